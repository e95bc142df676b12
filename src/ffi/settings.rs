//! What is changed and asked on a running endpoint: its settings, its peers' settings and addresses.

use super::answer::{Refusal, call, count, result};
use super::codes::snm_result;
use super::events::call_hook_soon;
use super::keys::{SNM_CONFIG_CALLBACK_MODE, snm_config_key};
use super::life::{Slot, find, snm_endpoint};
use super::pointers::{read_bytes, read_text, write_text};
use crate::endpoint::config::Value;
use crate::endpoint::servers::is_host_name;
use crate::ids::SteamId;
use std::ffi::c_char;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn set(endpoint: *const snm_endpoint, key: snm_config_key, value: Value<'_>) -> Result<(), Refusal> {
    let slot = find(endpoint)?;
    let on_poll_thread =
        slot.core(|core, now| core.set_config(now, key, value).map(|()| core.config().callbacks_on_poll_thread))??;
    if key == SNM_CONFIG_CALLBACK_MODE {
        slot.on_poll_thread.store(on_poll_thread, Ordering::Release);
        call_hook_soon(&slot);
    }
    Ok(())
}

fn set_peer(endpoint: *const snm_endpoint, peer: u64, key: snm_config_key, value: Value<'_>) -> Result<(), Refusal> {
    let peer = somebody(peer)?;
    Ok(find(endpoint)?.core(|core, now| core.set_peer_config(now, peer, key, value))??)
}

fn somebody(peer: u64) -> Result<SteamId, Refusal> {
    if peer == 0 { Err(Refusal::param("the remote steam id is 0: nobody")) } else { Ok(SteamId(peer)) }
}

/// Changes a key of type int on a running endpoint, sessions included.
///
/// Answers as snm_config_set_int; also INVALID_STATE for keys fixed when the endpoint is created,
/// INVALID_PARAM for a value that contradicts another key, FAIL when this endpoint failed. A refused value
/// changes nothing. Any thread; never waits.
#[unsafe(no_mangle)]
pub extern "C" fn snm_endpoint_set_int(endpoint: *mut snm_endpoint, key: snm_config_key, value: i64) -> snm_result {
    result(|| set(endpoint, key, Value::Int(value)))
}

/// Changes a key of type float on a running endpoint. Answers as snm_endpoint_set_int.
#[unsafe(no_mangle)]
pub extern "C" fn snm_endpoint_set_float(endpoint: *mut snm_endpoint, key: snm_config_key, value: f64) -> snm_result {
    result(|| set(endpoint, key, Value::Float(value)))
}

/// Changes a key of type string on a running endpoint. Answers as snm_endpoint_set_int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_endpoint_set_string(
    endpoint: *mut snm_endpoint,
    key: snm_config_key,
    value: *const c_char,
) -> snm_result {
    // SAFETY: the header asks for a NUL-terminated string or NULL.
    result(|| set(endpoint, key, Value::String(unsafe { read_text(value, "value") }?)))
}

/// Changes a key of type bytes on a running endpoint. Answers as snm_endpoint_set_int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_endpoint_set_bytes(
    endpoint: *mut snm_endpoint,
    key: snm_config_key,
    value: *const u8,
    size: u32,
) -> snm_result {
    // SAFETY: the header asks for `size` bytes or NULL.
    result(|| set(endpoint, key, Value::Bytes(unsafe { read_bytes(value, size, "value") }?)))
}

/// Sets a key of type int for one user alone, also before the first contact. It outlives the session.
///
/// Answers as snm_endpoint_set_int; also INVALID_STATE for keys that cannot differ by peer, LIMIT_EXCEEDED
/// when too many users have settings of their own.
#[unsafe(no_mangle)]
pub extern "C" fn snm_peer_set_int(
    endpoint: *mut snm_endpoint,
    remote_steam_id: u64,
    key: snm_config_key,
    value: i64,
) -> snm_result {
    result(|| set_peer(endpoint, remote_steam_id, key, Value::Int(value)))
}

/// Sets a key of type float for one user alone. Answers as snm_peer_set_int.
#[unsafe(no_mangle)]
pub extern "C" fn snm_peer_set_float(
    endpoint: *mut snm_endpoint,
    remote_steam_id: u64,
    key: snm_config_key,
    value: f64,
) -> snm_result {
    result(|| set_peer(endpoint, remote_steam_id, key, Value::Float(value)))
}

/// Forgets what was set for one user; the endpoint's own values hold again.
///
/// SNM_RESULT_OK, also when nothing was set; INVALID_PARAM, INVALID_STATE, FAIL as usual.
#[unsafe(no_mangle)]
pub extern "C" fn snm_peer_reset(endpoint: *mut snm_endpoint, remote_steam_id: u64) -> snm_result {
    result(|| {
        let peer = somebody(remote_steam_id)?;
        find(endpoint)?.core(|core, now| core.reset_peer(now, peer))
    })
}

/// Where a peer is said to be.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Address(SocketAddr),
    Host(&'a str, u16),
}

/// Reads "ip:port", "[ip6]:port" or "host:port".
fn parse_place(text: &str) -> Result<Place<'_>, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        let ip = address.ip();
        if address.port() == 0 {
            return Err(format!("\"{text}\" names port 0, where nobody can be reached"));
        }
        if ip.is_unspecified() || ip.is_multicast() || ip == std::net::Ipv4Addr::BROADCAST {
            return Err(format!("\"{text}\" is not the address of one machine"));
        }
        return Ok(Place::Address(address));
    }
    let form = || format!("\"{text}\" is not of the form 203.0.113.5:27015, [2001:db8::1]:27015 or host.example:27015");
    let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
    let port = port.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(form)?;
    if is_host_name(host) { Ok(Place::Host(host, port)) } else { Err(form()) }
}

fn add_address(slot: Arc<Slot>, peer: SteamId, text: &str) -> Result<(), Refusal> {
    match parse_place(text).map_err(Refusal::param)? {
        Place::Address(address) => Ok(slot.core(|core, now| core.add_peer_address(now, peer, address))??),
        Place::Host(host, port) => Ok(slot.driver.add_peer_host(peer, host, port)?),
    }
}

/// Adds an address where a user may be reached: "203.0.113.5:27015", "[2001:db8::1]:27015" or
/// "host.example:27015". Call it again to add more. A name is looked up in the background.
///
/// SNM_RESULT_OK; INVALID_PARAM (NULL, user 0, or not of that form); LIMIT_EXCEEDED (too many addresses);
/// INVALID_STATE, FAIL as usual. Any thread; never waits for the network.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_add_peer_address(
    endpoint: *mut snm_endpoint,
    remote_steam_id: u64,
    address: *const c_char,
) -> snm_result {
    result(|| {
        let slot = find(endpoint)?;
        // SAFETY: the header asks for a NUL-terminated string or NULL.
        add_address(slot, somebody(remote_steam_id)?, unsafe { read_text(address, "address") }?)
    })
}

/// Forgets all addresses added for a user. A session that stands stays.
///
/// SNM_RESULT_OK, also when there were none; INVALID_PARAM, INVALID_STATE, FAIL as usual.
#[unsafe(no_mangle)]
pub extern "C" fn snm_remove_peer_address(endpoint: *mut snm_endpoint, remote_steam_id: u64) -> snm_result {
    result(|| {
        let slot = find(endpoint)?;
        let peer = somebody(remote_steam_id)?;
        slot.core(|core, now| core.remove_peer_address(now, peer))
    })
}

/// Explains, as JSON, why the session with a user is where it is, or why there is none: "cause" is a word that never
/// changes, "why" a sentence, "advice" what to do, "evidence" numbers. docs/diagnosis.md lists all causes; the rest
/// is for people and logs.
///
/// Returns the length of the JSON, without its NUL, and writes it only if it fits into out_size bytes with
/// its NUL; so call it with NULL and 0 first, or with a few KiB. 0: bad argument, or no endpoint. Any thread;
/// never waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_explain_session(
    endpoint: *mut snm_endpoint,
    remote_steam_id: u64,
    out_json: *mut c_char,
    out_size: u32,
) -> i32 {
    count(|| {
        let slot = find(endpoint)?;
        let peer = somebody(remote_steam_id)?;
        if out_json.is_null() && out_size > 0 {
            return Err(Refusal::param("out_json is NULL but out_size is not 0"));
        }
        let json = slot.core(|core, now| core.explain(now, peer))?;
        if json.len() < out_size as usize {
            // SAFETY: the header asks for out_size writable bytes.
            unsafe { write_text(out_json, out_size, &json) };
        }
        i32::try_from(json.len()).map_err(|_| Refusal::fail("the explanation is too long"))
    })
}

/// Writes the endpoint's Ed25519 public key, 32 bytes.
///
/// SNM_RESULT_OK; INVALID_PARAM, INVALID_STATE, FAIL as usual. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_identity_public_key(endpoint: *const snm_endpoint, out_key: *mut u8) -> snm_result {
    result(|| {
        let slot = find(endpoint)?;
        if out_key.is_null() {
            return Err(Refusal::param("out_key is NULL"));
        }
        let key = slot.core(|core, _| core.public_key())?;
        // SAFETY: the header asks for 32 writable bytes.
        unsafe { out_key.cast::<[u8; 32]>().write(key) };
        Ok(())
    })
}

/// Says that network interfaces changed (resume from sleep, Wi-Fi to mobile): paths are proven anew at once
/// instead of after a time-out. A hint; calling it for nothing is harmless.
///
/// SNM_RESULT_OK; INVALID_PARAM, INVALID_STATE, FAIL as usual. Any thread; never waits.
#[unsafe(no_mangle)]
pub extern "C" fn snm_network_changed(endpoint: *mut snm_endpoint) -> snm_result {
    call(
        |code| code,
        || {
            let slot = find(endpoint)?;
            slot.driver.handle_network_change().map_err(|gone| slot.refuse(gone))?;
            Ok(super::codes::SNM_RESULT_OK)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_told_apart() {
        let address = |text: &str| Ok(Place::Address(text.parse().expect("an address")));
        assert_eq!(parse_place("127.0.0.1:5"), address("127.0.0.1:5"));
        assert_eq!(parse_place("[::1]:65535"), address("[::1]:65535"));
        assert_eq!(parse_place("host.example:27015"), Ok(Place::Host("host.example", 27015)));
        assert_eq!(parse_place("localhost:1"), Ok(Place::Host("localhost", 1)));
        assert_eq!(parse_place("a_b.example.:1"), Ok(Place::Host("a_b.example.", 1)));
    }

    #[test]
    fn what_is_neither_is_refused_with_its_own_text() {
        let long = format!("{}:1", "a".repeat(254));
        for bad in [
            "",
            ":",
            ":5",
            "host",
            "host:",
            "host:0",
            "host:65536",
            "host:-1",
            "127.0.0.1",
            "127.0.0.1:0",
            "300.1.1.1:5",
            "::1:5",
            "[::1]",
            "a b:5",
            "a..b:5",
            "0.0.0.0:5",
            "[::]:5",
            "224.0.0.1:5",
            "255.255.255.255:5",
            "[ff02::1]:5",
            &long,
        ] {
            assert!(parse_place(bad).is_err_and(|text| text.contains(bad)), "{bad}");
        }
    }
}
