#!/usr/bin/env bash
# tests/servers.sh EXAMPLES TOOL SERVER: the C examples built there, as their users have them, with what stands around
# them in the world: SERVER, the program steamnetmsg-server, restarted; coturn; nginx with TLS; networks without UDP; and
# what goes wrong, told so that one can mend it. TOOL is the program steamnetmsg. Needs root for its network namespaces.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
examples=$(cd "$1" && pwd)
tool=$2
server=$3
# shellcheck source=tools/check.sh
. "$here/../tools/check.sh"
# shellcheck source=tools/programs.sh
. "$here/../tools/programs.sh"
# shellcheck source=tools/papers.sh
. "$here/../tools/papers.sh"

secret=0123456789abcdef0123456789abcdef
inside=()  # what puts a client where it belongs: a namespace
outside=() # the same for a server

# ---- Servers ----

# open_scene: a scratch folder with papers of 1001, 1002 and 1003.
open_scene() {
    open_programs
    make_papers "$tool" "$scratch"
    mkdir "$scratch/1003"
    "$tool" identity new --out "$scratch/1003"
    "$tool" cert issue --authority "$scratch/authority.key" --steam-id 1003 --app 480 --days 1 \
        --identity "$scratch/1003/identity.key" --out "$scratch/1003"
}

# configure KEYS TABLES: a server of who has a certificate, on this machine.
configure() {
    printf 'listen = ["127.0.0.1:0"]\nauthorities = ["%s"]\n%s\n%s\n' "$authority" "$1" "$2" >"$scratch/config.toml"
}

embedded_turn='[turn]
listen = ["127.0.0.1:0"]
allowed_peers = ["127.0.0.0/8"]'

# start_server NAME OPTIONS...; its URL is in $url then.
start_server() {
    local name=$1
    shift
    start "$name" "${outside[@]}" "$server" --config "$scratch/config.toml" --log debug "$@"
    wait_for "$name" '"url"'
    url=$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' "$scratch/$name.log" | head -n 1)
}

# port_of NAME FIELD: the port of the first address that its first line has there
port_of() {
    sed -n "s/.*\"$2\":\\[\"[^\"]*:\\([0-9]*\\)[\"?].*/\\1/p" "$scratch/$1.log" | head -n 1
}

# A port that nobody has at the moment.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 10000))
        [ -n "$(ss -Htuln "sport = :$port")" ] || break
    done
    echo "$port"
}

# start_coturn: at 127.0.0.1:$relay_port, with the secret.
start_coturn() {
    relay_port=$(free_port)
    start coturn turnserver -n --listening-ip=127.0.0.1 --relay-ip=127.0.0.1 --listening-port="$relay_port" \
        --use-auth-secret --static-auth-secret="$secret" --realm=relay.test --allow-loopback-peers --no-cli \
        --no-tls --no-dtls --log-file=stdout --verbose --pidfile="$scratch/coturn.pid" --userdb="$scratch/coturn.db"
    wait_for coturn "IPv4. TCP listener opened on : 127.0.0.1:$relay_port"
}

# make_certificates: a CA, $scratch/ca.pem, and a certificate of its for localhost and this test's addresses
make_certificates() {
    local subject='subjectAltName=DNS:localhost,IP:127.0.0.1,IP:10.99.0.1'
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=CA of a test" \
        -addext keyUsage=critical,keyCertSign -keyout "$scratch/ca.key" -out "$scratch/ca.pem"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=localhost" \
        -keyout "$scratch/tls.key" -out "$scratch/tls.csr"
    openssl x509 -req -in "$scratch/tls.csr" -CA "$scratch/ca.pem" -CAkey "$scratch/ca.key" -CAcreateserial -days 2 \
        -extfile <(echo "$subject") -out "$scratch/tls.pem"
}

# ---- Users ----

# enter NAME ID OPTIONS...: somebody opens his chat
enter() {
    local name=$1 id=$2
    shift 2
    start "$name" "${inside[@]}" "$examples/chat" --id "$id" --identity "$scratch/$id" --authority "$authority" "$@"
    wait_for "$name" "listens at"
}

# meet CALLER ID NAME: CALLER, of that id, says something to NAME, who lets him in and answers
meet() {
    local caller=$1 id=$2 name=$3
    say "$caller" "hello from $caller"
    wait_for "$name" "$id wants to talk. accept? [y/n]" 30
    say "$name" y
    wait_for "$name" "$id: hello from $caller" 30
    say "$name" "hello back to $caller"
    wait_for "$caller" "hello back to $caller" 30
}

# anna (1001) and bert (1002) meet, with these options, and it was by a relay.
two_chats_meet_by_a_relay() {
    enter bert 1002 --url "$url" --relay-only "$@"
    enter anna 1001 --url "$url" --relay-only "$@" --peer 1002
    meet anna 1001 bert
    wait_for anna "connected with 1002 at a relay, certified"
    wait_for bert "connected with 1001 at a relay, certified"
}

leave() {
    local name
    for name in "$@"; do
        say "$name" /quit
        finish "$name"
    done
}

# ---- The server goes and comes ----

sessions_outlive_the_server() {
    local port turn_port
    open_scene
    configure "" "$embedded_turn"
    start_server first --port 0
    port=$(port_of first listen)
    turn_port=$(port_of first turn)
    enter bert 1002 --url "$url"
    enter anna 1001 --url "$url" --peer 1002
    meet anna 1001 bert

    kill -9 "${program_pid[first]}"
    if finish first; then return 1; fi
    wait_for anna "! signaling: "
    say anna "can you hear me without a server?"
    wait_for bert "1001: can you hear me without a server?"

    start_server second --port "$port" --turn-port "$turn_port"
    enter carl 1003 --url "$url" --peer 1002
    wait_for second "steam_id=1002" 60 # bert has come back
    meet carl 1003 bert
    say bert "hello to both"
    wait_for anna "1002: hello to both"
    wait_for carl "1002: hello to both"
    leave carl anna bert
}

relayed_sessions_outlive_a_restart_of_their_relay() {
    local port turn_port
    open_scene
    configure "" "$embedded_turn"
    start_server first --port 0
    port=$(port_of first listen)
    turn_port=$(port_of first turn)
    two_chats_meet_by_a_relay

    kill -9 "${program_pid[first]}"
    if finish first; then return 1; fi
    say anna "said while there is no relay"
    start_server second --port "$port" --turn-port "$turn_port"
    wait_for bert "1001: said while there is no relay" 60
    say bert "and the answer"
    wait_for anna "1002: and the answer" 60
    if grep "^! session" "$scratch/anna.log" "$scratch/bert.log"; then return 1; fi
    leave anna bert
}

# ---- coturn ----

# relay_entry SECRET: coturn as the server tells clients
relay_entry() {
    printf '[turn]\nenabled = false\n[[relay]]\nurl = "turn:127.0.0.1:%s?transport=udp"\nsecret = "%s"\n' \
        "$relay_port" "$1"
}

coturn_relays_with_credentials_of_the_server() {
    open_scene
    start_coturn
    configure "" "$(relay_entry "$secret")"
    start_server server --port 0
    two_chats_meet_by_a_relay
    grep -q ":1001.480>.*ALLOCATE processed, success" "$scratch/coturn.log"
    leave anna bert
}

coturn_relays_with_credentials_of_the_user() {
    local user password
    open_scene
    start_coturn
    configure "" '[turn]
enabled = false'
    start_server server --port 0
    user=$(($(date +%s) + 3600)):somebody
    password=$(printf %s "$user" | openssl dgst -sha1 -hmac "$secret" -binary | base64)
    two_chats_meet_by_a_relay --relay "turn:127.0.0.1:$relay_port" "$user" "$password"
    grep -q ":somebody>.*ALLOCATE processed, success" "$scratch/coturn.log"
    leave anna bert
}

a_relay_that_refuses_is_named() {
    local tries=0
    open_scene
    start_coturn
    configure "" "$(relay_entry another-secret-0123456789)"
    start_server server --port 0
    enter bert 1002 --url "$url" --relay-only
    enter anna 1001 --url "$url" --relay-only --peer 1002
    wait_for bert "has let us in"
    say anna "is anybody there?"
    wait_for bert "1001 wants to talk. accept? [y/n]"
    say bert y
    wait_for anna "! session with 1002 failed: " 30
    until grep -q "\"name\":\"127.0.0.1:$relay_port\",\"state\":\"failed\"" "$scratch/anna.log"; do
        tries=$((tries + 1))
        [ "$tries" -le 20 ] || { cat "$scratch/anna.log" && return 1; }
        say anna /info
        sleep 0.5
    done
    grep -v '^  {' "$scratch/anna.log"
    grep -o '"relays":\[[^]]*\]' "$scratch/anna.log" | tail -n 1 >"$scratch/relays"
    cat "$scratch/relays"
    grep -q '"why":".*401, wrong password' "$scratch/relays"
    if finish anna; then return 1; fi
}

# ---- nginx ----

start_nginx() {
    local port=$1 behind=$2
    mkdir "$scratch/nginx"
    cat >"$scratch/nginx.conf" <<CONF
daemon off;
pid $scratch/nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path $scratch/nginx/body;
    proxy_temp_path $scratch/nginx/proxy;
    fastcgi_temp_path $scratch/nginx/fastcgi;
    uwsgi_temp_path $scratch/nginx/uwsgi;
    scgi_temp_path $scratch/nginx/scgi;
    server {
        listen 127.0.0.1:$port ssl;
        server_name localhost;
        ssl_certificate $scratch/tls.pem;
        ssl_certificate_key $scratch/tls.key;
        location / { return 200 "a page\n"; }
        location /snm/ {
            proxy_bind 127.0.0.9;
            proxy_pass http://127.0.0.1:$behind;
            proxy_http_version 1.1;
            proxy_set_header Upgrade \$http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
            proxy_read_timeout 60s;
        }
    }
}
CONF
    start nginx nginx -e stderr -c "$scratch/nginx.conf"
    until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        kill -0 "${program_pid[nginx]}" || { cat "$scratch/nginx.log" && return 1; }
        sleep 0.1
    done
}

chats_meet_behind_nginx_with_tls() {
    local port
    open_scene
    make_certificates
    port=$(free_port)
    configure "public_hosts = [\"localhost:$port\"]" "$embedded_turn
[http]
trusted_proxies = [\"127.0.0.9\"]"
    start_server server --port 0
    start_nginx "$port" "$(port_of server listen)"
    url=wss://localhost:$port
    two_chats_meet_by_a_relay --ca "$scratch/ca.pem"
    grep -q "steam_id=1001.*source=127.0.0.1" "$scratch/server.log" # who came from 127.0.0.9 is nginx
    if grep "source=127.0.0.9" "$scratch/server.log"; then return 1; fi
    leave anna bert

    enter stranger 1003 --url "$url" # who does not know that CA
    wait_for stranger "! signaling: "
    cat "$scratch/stranger.log"
    grep -qi "certificate" "$scratch/stranger.log"
    finish stranger
}

# ---- Networks ----

# close_network RULES...: clients live in a namespace of their own, 10.99.0.2, where nftables drops what the rules say;
# the server is 10.99.0.1, in another.
close_network() {
    start clients unshare --net sleep infinity
    start servers unshare --net sleep infinity
    inside=(nsenter --net="/proc/${program_pid[clients]}/ns/net")
    outside=(nsenter --net="/proc/${program_pid[servers]}/ns/net")
    until [ "$(readlink "/proc/${program_pid[clients]}/ns/net")" != "$(readlink /proc/self/ns/net)" ] &&
        [ "$(readlink "/proc/${program_pid[servers]}/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do
        sleep 0.1
    done
    "${outside[@]}" ip link add uplink type veth peer name wire netns "${program_pid[clients]}"
    "${outside[@]}" ip address add 10.99.0.1/24 dev uplink
    "${outside[@]}" ip link set uplink up
    "${outside[@]}" ip link set lo up
    "${inside[@]}" ip address add 10.99.0.2/24 dev wire
    "${inside[@]}" ip link set wire up
    "${inside[@]}" ip link set lo up
    "${inside[@]}" nft -f - <<RULES
table inet closed {
    chain out { type filter hook output priority 0; $1; }
    chain in { type filter hook input priority 0; $1; }
}
RULES
}

chats_meet_where_udp_is_dropped() {
    open_scene
    close_network "meta l4proto udp counter drop"
    cat >"$scratch/config.toml" <<CONF
listen = ["10.99.0.1:8765"]
public_hosts = ["10.99.0.1:8765"]
authorities = ["$authority"]
[turn]
listen = ["10.99.0.1:3478"]
allowed_peers = ["10.99.0.0/24"]
CONF
    start_server server
    url=ws://10.99.0.1:8765
    two_chats_meet_by_a_relay --bind 10.99.0.2:0
    "${inside[@]}" nft list chain inet closed out >"$scratch/dropped"
    cat "$scratch/dropped"
    grep -q "udp counter packets [1-9]" "$scratch/dropped" # UDP was tried
    leave anna bert
}

chats_meet_where_only_tls_goes_through() {
    open_scene
    make_certificates
    close_network "meta l4proto udp counter drop; tcp dport 3478 counter drop"
    cat >"$scratch/config.toml" <<CONF
listen = ["10.99.0.1:443"]
public_hosts = ["10.99.0.1"]
authorities = ["$authority"]
[tls]
certificate = "tls.pem"
key = "tls.key"
[turn]
listen = ["10.99.0.1:3478"]
tls_listen = ["10.99.0.1:5349"]
host = "10.99.0.1"
allowed_peers = ["10.99.0.0/24"]
CONF
    start_server server
    url=wss://10.99.0.1
    two_chats_meet_by_a_relay --bind 10.99.0.2:0 --ca "$scratch/ca.pem"
    leave anna bert
}

# ---- What goes wrong ----

# Anna says something at $url, and is told the text.
anna_is_told() {
    local text=$1
    shift
    enter anna 1001 --url "$url" --peer 1002 "$@"
    say anna "is anybody there?"
    wait_for anna "$text" 30
    wait_for anna "! session with 1002 failed: " 30
    cat "$scratch/anna.log"
    if finish anna; then return 1; fi
}

a_server_that_is_not_there() {
    open_scene
    url=ws://127.0.0.1:$(free_port)
    anna_is_told "! signaling: cannot connect to ${url#ws://}: Connection refused"
}

a_page_instead_of_a_server() {
    open_scene
    make_certificates
    local port
    port=$(free_port)
    start_nginx "$port" "$(free_port)"
    url=wss://localhost:$port/elsewhere
    anna_is_told "HTTP status 200 instead of a WebSocket; is SIGNALING_URL right?" --ca "$scratch/ca.pem"
}

tokens_open_the_door_until_they_expire() {
    local backend identity
    open_scene
    backend=$("$tool" backend new --out "$scratch" 2>/dev/null)
    printf 'listen = ["127.0.0.1:0"]\nauthority_key = "authority.key"\n[[app]]\nid = 480\nbackends = ["%s"]\n%s\n' \
        "$backend" "$embedded_turn" >"$scratch/config.toml"
    start_server server --port 0
    identity=$scratch/1001/identity.key
    "$tool" token issue --backend "$scratch/backend.key" --steam-id 1001 --app 480 --identity "$identity" \
        >"$scratch/good.token"
    "$tool" token issue --backend "$scratch/backend.key" --steam-id 1001 --app 480 --identity "$identity" \
        --lifetime 1s >"$scratch/old.token"
    enter anna 1001 --url "$url" --token "$scratch/good.token"
    wait_for anna "has let us in"
    finish anna
    sleep 7 # 5 s of grace for clocks
    enter late 1001 --url "$url" --token "$scratch/old.token"
    wait_for late "! signaling: the signaling server refused the login: the token expired "
    grep -q "(4003)" "$scratch/late.log"
    finish late
}

# the_server_ends STATUS TEXT OPTIONS...
the_server_ends() {
    local status=$1 text=$2 ended=0
    shift 2
    timeout 20 "$server" "$@" </dev/null >"$scratch/said" 2>&1 || ended=$?
    cat "$scratch/said"
    [ "$ended" = "$status" ] || { echo "it ended with $ended, not $status" && return 1; }
    grep -qF -- "$text" "$scratch/said"
}

what_the_server_cannot_use_is_named() {
    open_scene
    configure "bogus = 1" ""
    # shellcheck disable=SC2016 # backticks of the message
    the_server_ends 2 'unknown field `bogus`' --config "$scratch/config.toml"
    configure "" '[tls]
certificate = "no.pem"
key = "no.key"'
    the_server_ends 2 "no.pem" check-config --config "$scratch/config.toml"
    echo "this is no certificate" >"$scratch/no.pem"
    cp "$scratch/no.pem" "$scratch/no.key"
    the_server_ends 2 "no.pem" check-config --config "$scratch/config.toml"
    configure "" "$embedded_turn"
    start_server server --port 0
    the_server_ends 3 "127.0.0.1:$(port_of server listen)" --config "$scratch/config.toml" \
        --port "$(port_of server listen)"
    the_server_ends 3 "127.0.0.1:$(port_of server turn)" --config "$scratch/config.toml" --port 0 \
        --turn-port "$(port_of server turn)"
}

[ "$(id -u)" = 0 ] || { echo "tests/servers.sh needs root for its network namespaces" >&2; exit 1; }

check "servers: sessions outlive the server, and others join when it is back" sessions_outlive_the_server
check "servers: a session by a relay outlives the relay's restart" relayed_sessions_outlive_a_restart_of_their_relay
check "servers: coturn, with the server's credentials" coturn_relays_with_credentials_of_the_server
check "servers: coturn, with the user's own" coturn_relays_with_credentials_of_the_user
check "servers: a relay that refuses is named, and why" a_relay_that_refuses_is_named
check "servers: nginx with TLS by a CA of one's own; the real source is known" chats_meet_behind_nginx_with_tls
check "servers: no UDP: TURN over TCP" chats_meet_where_udp_is_dropped
check "servers: nothing but TLS: TURN over TLS" chats_meet_where_only_tls_goes_through
check "servers: nobody at the URL, and it says so" a_server_that_is_not_there
check "servers: a web page at the URL, and it says so" a_page_instead_of_a_server
check "servers: tokens let in until they expire, and it says so" tokens_open_the_door_until_they_expire
check "servers: what the server cannot use is named, with its exit status" what_the_server_cannot_use_is_named
end_checks
