//! What may be wrong with a configuration, and how it is told: what, where, and what to do.

use crate::kit::*;

#[test]
fn a_good_configuration_is_said_to_be() {
    let scratch = Scratch::new();
    assert_eq!(check(&scratch, &config("", "")), (Some(0), "the configuration is good\n".to_owned()));
    let (code, said) = check(&scratch, &config("public_hosts = [\"x\"]", "").replace("127.0.0.1:0", "0.0.0.0:0"));
    assert!(code == Some(0) && said.contains("warning: no [tls]"), "{said}");
}

#[test]
fn whatever_is_wrong_is_named_with_its_place() {
    let scratch = Scratch::new();
    scratch.write("short.secret", b"short\n");
    scratch.write("open.key", &[0; 64]);
    tls_pair(&scratch, "cert.pem", "key.pem");
    tls_pair(&scratch, "other.pem", "other.key");
    let good = config("", "");
    let plus = |keys: &str, tables: &str| config(keys, tables);
    let cases: Vec<(String, &[&str])> = vec![
        (plus("lissten = []", ""), &["line 3", "unknown field `lissten`", "listen"]),
        (plus("", "relay_prots = \"1-2\""), &["unknown field `relay_prots`"]),
        (plus("", "[limitz]"), &["unknown field `limitz`"]),
        (plus("listen = [\"127.0.0.1:1\"]", ""), &["line 3", "duplicate key"]),
        (good.replace("127.0.0.1:0", "localhost"), &["line 1", "socket address"]),
        (good.replace("[\"127.0.0.1:0\"]\nauthority", "7\nauthority"), &["line 1", "invalid type"]),
        (plus("authorities = [\"abc\"]", ""), &["line 3", "43 characters"]),
        (plus("certificate_lifetime = \"soon\"", ""), &["line 3", "no span of time"]),
        (plus("certificate_lifetime = \"0s\"", ""), &["certificate_lifetime must be"]),
        (plus("public_hosts = [\"ws://x\"]", ""), &["public_hosts", "ws://x"]),
        (good.replace("\"127.0.0.1:0\"]\na", "\"0.0.0.0:0\"]\na"), &["public_hosts is missing"]),
        (good.replace("authority.key", "nowhere.key"), &["authority_key", "cannot read", "nowhere.key"]),
        (good.replace("authority.key", "open.key"), &["authority_key", "open.key"]),
        ("listen = [\"127.0.0.1:0\"]".to_owned(), &["nobody could log in", "authority_key", "--dev"]),
        (plus("", &format!("[[app]]\nid = {APP}")), &["id 480 stands there twice"]),
        (plus("", "[[app]]\nid = -1"), &["line", "invalid value"]),
        (plus("", "[limits]\nconnections = 0"), &["limits.connections is 0"]),
        (plus("", "[rendezvous]\nsilence = \"1s\""), &["rendezvous.silence must be longer"]),
        (plus("", "realm = \"a realm that is much too long\""), &["turn.realm"]),
        (plus("", "secret = \"short\""), &["turn: the secret has 5 bytes", "16"]),
        (plus("", "secret_file = \"short.secret\""), &["turn: the secret has 5 bytes"]),
        (plus("", "secret_file = \"nowhere\""), &["turn.secret_file", "nowhere"]),
        (plus("", "secret = \"sixteen bytes or more\"\nsecret_file = \"x\""), &["keep one"]),
        (plus("", "relay_ports = \"9-1\""), &["no range of ports"]),
        (plus("", "relay_addresses = [\"192.0.2.1\", \"192.0.2.2\"]"), &["two of one family"]),
        (plus("", "relay_addresses = [\"0.0.0.0\"]"), &["nothing can be sent to 0.0.0.0"]),
        (plus("", "denied_peers = [\"10.0.0.1/8\"]"), &["bits set behind its prefix"]),
        (plus("", "tls_listen = [\"127.0.0.1:0\"]"), &["turn.tls_listen needs [tls]"]),
        (plus("", "[[relay]]\nurl = \"http://x\"\nsecret = \"sixteen bytes or more\""), &["no TURN URL", "http://x"]),
        (plus("", "[[relay]]\nurl = \"turn:x\""), &["turn:x", "static-auth-secret"]),
        (plus("", "[tls]\ncertificate = \"cert.pem\""), &["missing field `key`"]),
        (
            plus("", "[tls]\ncertificate = \"no.pem\"\nkey = \"key.pem\""),
            &["tls.certificate", "no.pem", "cannot be read"],
        ),
        (
            plus("", "[tls]\ncertificate = \"key.pem\"\nkey = \"key.pem\""),
            &["tls.certificate", "no certificate in PEM"],
        ),
        (plus("", "[tls]\ncertificate = \"cert.pem\"\nkey = \"cert.pem\""), &["tls.key", "nothing of the kind"]),
        (plus("", "[tls]\ncertificate = \"cert.pem\"\nkey = \"other.key\""), &["not the key of the certificate"]),
        (plus("", "[http]\ntrusted_proxies = [\"nginx\"]"), &["line", "no network"]),
        (plus("", "[log]\nlevel = \"loud\""), &["no level"]),
    ];
    for (text, words) in cases {
        let (code, said) = check(&scratch, &text);
        assert_eq!(code, Some(2), "{said} for\n{text}");
        for word in words {
            assert!(said.contains(word), "\"{word}\" is not in: {said} for\n{text}");
        }
    }
}

#[test]
fn the_command_line_is_judged_as_well() {
    let scratch = Scratch::new();
    let cases: [(&[&str], &str); 6] = [
        (&["--dance"], "--dance"),
        (&["--config", "/nowhere/at/all.toml"], "/nowhere/at/all.toml"),
        (&["--dev", "--listen", "0.0.0.0:0"], "--dev-anywhere"),
        (&["--port", "70000"], "70000"),
        (&["--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2", "--port", "3", "--dev"], "--port says one port"),
        (&["--log", "loud"], "loud"),
    ];
    for (arguments, words) in cases {
        let ran = run(arguments);
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.code() == Some(2) && said.contains(words), "{arguments:?}: {said}");
    }
    let help = run(&["--help"]);
    let said = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.status.success() && said.contains("Exit codes") && said.contains("--dev"), "{said}");
    drop(scratch);
}
