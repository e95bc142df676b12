/* Every field of the two info structures, of a message and of an event, against what the link was set to. */
#include "kit.h"

typedef struct told {
  snm_connection_info info;
  snm_realtime_status status;
} told;

static told ask_about(snm_endpoint *endpoint, uint64_t peer) {
  told t = { SNM_CONNECTION_INFO_INIT, SNM_REALTIME_STATUS_INIT };
  CHECK(snm_get_session_connection_info(endpoint, peer, &t.info, &t.status) == t.info.connection_state);
  CHECK(t.info.connection_state == t.status.state);
  /* What is the same in every state. */
  CHECK(t.info.listen_socket == 0 && t.info.remote_pop == 0 && t.info.pop_relay == 0 && t.info.reserved == 0);
  CHECK(t.status.reserved0 == 0 && t.status.reserved1 == 0);
  CHECK(memchr(t.info.end_debug, 0, sizeof(t.info.end_debug)) != NULL);
  CHECK(memchr(t.info.debug_description, 0, sizeof(t.info.debug_description)) != NULL);
  CHECK(memchr(t.info.remote_address, 0, sizeof(t.info.remote_address)) != NULL);
  return t;
}

static void lag(snm_endpoint *endpoint, int64_t ms) {
  set_one(endpoint, SNM_CONFIG_FAKE_PACKET_LAG_SEND, ms);
}

/* A message of 100 bytes each way about every 10 ms, each in a packet of its own. */
static void chat_once(pair p, int32_t flags) {
  static const uint8_t hundred[100];
  snm_message *message;
  (void)snm_send_message_to_user(p.a, B_ID, hundred, sizeof(hundred), flags | SNM_SEND_NO_NAGLE, 1);
  (void)snm_send_message_to_user(p.b, A_ID, hundred, sizeof(hundred), flags | SNM_SEND_NO_NAGLE, 1);
  while (snm_receive_messages_on_channel(p.a, 1, &message, 1) == 1 || snm_receive_messages_on_channel(p.b, 1, &message, 1) == 1)
    snm_message_release(message);
  rest(10);
}

/* They chat until a condition holds, half a minute at most. */
#define CHAT_UNTIL(pair, flags, condition)              \
  do {                                                  \
    int64_t until_ = snm_time_now() + 30000000;         \
    while (!(condition)) {                              \
      CHECK("in time" && snm_time_now() < until_);      \
      chat_once(pair, flags);                           \
    }                                                   \
  } while (0)

CASE("I-asking", "Before it stands (1): identity, no reason, no address; ping and qualities -1, rates 0, queue_time UINT64_MAX, what waits in bytes") {
  pair p = make_pair();
  told t;
  CHECK(snm_send_message_to_user(p.a, NOBODY_ID, some_bytes(3000, 1), 3000, RELIABLE, 0) == OK);
  CHECK(snm_send_message_to_user(p.a, NOBODY_ID, some_bytes(500, 1), 500, SNM_SEND_UNRELIABLE, 0) == OK);
  t = ask_about(p.a, NOBODY_ID);
  CHECK(t.info.connection_state == 1 && t.info.identity == NOBODY_ID && t.info.user_data == 0);
  CHECK(t.info.end_reason == 0 && t.info.end_debug[0] == 0 && t.info.remote_address[0] == 0);
  CHECK(t.info.debug_description[0] != 0);
  CHECK((t.info.info_flags & ~(uint32_t)SNM_INFO_UNAUTHENTICATED) == 0);
  CHECK(t.status.ping == -1 && t.status.local_quality == -1.0f && t.status.remote_quality == -1.0f);
  CHECK(t.status.packets_out_per_second == 0 && t.status.bytes_out_per_second == 0);
  CHECK(t.status.packets_in_per_second == 0 && t.status.bytes_in_per_second == 0);
  CHECK(t.status.pending_reliable == 3500 && t.status.pending_unreliable == 0); /* early ones are reliable */
  CHECK(t.status.send_unacknowledged_reliable == 0 && t.status.queue_time == UINT64_MAX && t.status.max_jitter == -1);
  CHECK(snm_peer_set_int(p.a, C_ID, SNM_CONFIG_EARLY_UNRELIABLE, 1) == OK);
  CHECK(snm_send_message_to_user(p.a, C_ID, some_bytes(500, 1), 500, SNM_SEND_UNRELIABLE, 0) == OK);
  t = ask_about(p.a, C_ID);
  CHECK(t.status.pending_reliable == 0 && t.status.pending_unreliable == 500);
}

CASE("I-asked", "A request, seen from both sides (1): identity, no reason; ping -1, queue_time UINT64_MAX") {
  pair p = make_pair();
  told t;
  ask(p);
  t = ask_about(p.b, A_ID);
  CHECK(t.info.connection_state == 1 && t.info.identity == A_ID && t.info.end_reason == 0 && t.info.remote_address[0] == 0);
  CHECK(t.status.ping == -1 && t.status.pending_reliable == 0 && t.status.queue_time == UINT64_MAX);
  t = ask_about(p.a, B_ID);
  CHECK(t.info.connection_state == 1 && t.info.identity == B_ID && t.info.end_reason == 0 && t.info.remote_address[0] == 0);
  CHECK(t.status.ping == -1 && t.status.queue_time == UINT64_MAX);
  CHECK(t.status.pending_reliable + t.status.send_unacknowledged_reliable == 1); /* "x" */
}

CASE("I-connected", "Connected (3): identity, user_data, the peer's address, UNAUTHENTICATED and FAST on this machine, a description, no reason") {
  pair p = connected_pair();
  char address[128];
  told t;
  set_one(p.a, SNM_CONFIG_CONNECTION_USER_DATA, 42);
  CHECK(snm_endpoint_local_address(p.b, address, sizeof(address)) == OK);
  t = ask_about(p.a, B_ID);
  CHECK(t.info.connection_state == 3 && t.info.identity == B_ID && t.info.user_data == 42);
  CHECK(strcmp(t.info.remote_address, address) == 0);
  CHECK(t.info.info_flags == (SNM_INFO_UNAUTHENTICATED | SNM_INFO_FAST));
  CHECK(t.info.end_reason == 0 && t.info.end_debug[0] == 0 && t.info.debug_description[0] != 0);
  CHECK(ask_about(p.b, A_ID).info.user_data == 0);
}

CASE("I-self", "The session with oneself: LOOPBACK, state 3, ping 0, qualities 1, nothing pending, no address") {
  snm_endpoint *a = endpoint_of(A_ID);
  told t;
  set_one(a, SNM_CONFIG_CONNECTION_USER_DATA, 43);
  CHECK(send_text(a, A_ID, "to me", RELIABLE, 0) == OK);
  t = ask_about(a, A_ID);
  CHECK(t.info.connection_state == 3 && t.info.identity == A_ID && t.info.user_data == 43);
  CHECK(t.info.info_flags & SNM_INFO_LOOPBACK && t.info.remote_address[0] == 0 && t.info.end_reason == 0);
  CHECK(t.status.ping == 0 && t.status.local_quality == 1.0f && t.status.remote_quality == 1.0f);
  CHECK(t.status.pending_reliable == 0 && t.status.pending_unreliable == 0 && t.status.send_unacknowledged_reliable == 0);
  CHECK(t.status.queue_time == 0 && t.status.send_rate > 0);
}

/* After a failure the event and the info tell the same. */
static void tells_the_same(snm_endpoint *endpoint, uint64_t peer, int32_t state, int32_t reason) {
  snm_event event = expect_event(endpoint, SNM_EVENT_SESSION_FAILED, peer);
  told t = ask_about(endpoint, peer);
  CHECK(event.connection_state == state && event.reason == reason);
  CHECK(t.info.connection_state == state && t.info.end_reason == reason && t.info.identity == peer);
  CHECK(t.info.end_debug[0] != 0 && strcmp(t.info.end_debug, event.debug_message) == 0);
  CHECK(t.info.debug_description[0] != 0);
  CHECK(t.status.queue_time == UINT64_MAX && t.status.pending_reliable == 0 && t.status.pending_unreliable == 0);
  CHECK(t.status.send_unacknowledged_reliable == 0);
}

CASE("I-failed", "Failed: end_reason, end_debug and state as in the event (rejected 4 and 1001, unanswered 5 and 5003), nothing pending") {
  pair p = impatient_pair();
  ask(p);
  CHECK(snm_close_session_with_user(p.b, A_ID) == 1);
  tells_the_same(p.a, B_ID, 4, 1001);
  CHECK(snm_close_session_with_user(p.a, B_ID) == 1);
  ask(p);
  tells_the_same(p.a, B_ID, 5, 5003);
}

CASE("I-failed-connected", "Failed after a connection: the address where the peer was last, the failure's reason and text, ping and qualities as they were") {
  pair p = connected_pair();
  char address[128];
  told first, second;
  CHECK(snm_endpoint_local_address(p.b, address, sizeof(address)) == OK);
  CHAT_UNTIL(p, RELIABLE, ask_about(p.a, B_ID).status.ping >= 0 && ask_about(p.a, B_ID).status.local_quality >= 0.0f);
  all_delivered(p.a, B_ID);
  set_both(p, SNM_CONFIG_TIMEOUT_CONNECTED, 1500);
  lose(p.a, 100.0);
  lose(p.b, 100.0);
  CHECK(send_text(p.a, B_ID, "lost", RELIABLE, 0) == OK);
  tells_the_same(p.a, B_ID, 5, 5003);
  first = ask_about(p.a, B_ID);
  CHECK(strcmp(first.info.remote_address, address) == 0);
  CHECK(first.status.ping >= 0 && first.status.local_quality >= 0.0f);
  rest(6000); /* longer than anything is measured over */
  second = ask_about(p.a, B_ID);
  CHECK(memcmp(&first.info, &second.info, sizeof(first.info)) == 0);
  CHECK(memcmp(&first.status, &second.status, sizeof(first.status)) == 0);
}

CASE("I-ping", "ping is the round trip in milliseconds: 95 to 115 with 50 ms each way, and with 100 ms one way; it follows a change") {
  pair p = connected_pair();
  CHAT_UNTIL(p, RELIABLE, ask_about(p.a, B_ID).status.ping >= 0 && ask_about(p.a, B_ID).status.ping < 50);
  lag(p.a, 50);
  lag(p.b, 50);
  CHAT_UNTIL(p, RELIABLE, ask_about(p.a, B_ID).status.ping >= 95 && ask_about(p.a, B_ID).status.ping <= 115);
  CHAT_UNTIL(p, RELIABLE, ask_about(p.b, A_ID).status.ping >= 95 && ask_about(p.b, A_ID).status.ping <= 115);
  lag(p.a, 0);
  lag(p.b, 0);
  CHAT_UNTIL(p, RELIABLE, ask_about(p.a, B_ID).status.ping < 50 && ask_about(p.b, A_ID).status.ping < 50);
  lag(p.a, 100);
  CHAT_UNTIL(p, RELIABLE, ask_about(p.a, B_ID).status.ping >= 95 && ask_about(p.a, B_ID).status.ping <= 115);
  CHAT_UNTIL(p, RELIABLE, ask_about(p.b, A_ID).status.ping >= 95 && ask_about(p.b, A_ID).status.ping <= 115);
}

LONG_CASE("I-quality", "A fifth of what B sends is lost: local_quality of A is about 0.8, and so is B's remote_quality; the other way both are 1") {
  pair p = connected_pair();
  float here, there;
  set_one(p.b, SNM_CONFIG_FAKE_NETWORK_SEED, 5);
  lose(p.b, 20.0);
  CHAT_UNTIL(p, SNM_SEND_UNRELIABLE,
             (here = ask_about(p.a, B_ID).status.local_quality, there = ask_about(p.b, A_ID).status.remote_quality,
              here > 0.7f && here < 0.9f && there > 0.7f && there < 0.9f));
  CHAT_UNTIL(p, SNM_SEND_UNRELIABLE, ask_about(p.b, A_ID).status.local_quality >= 0.99f);
  CHAT_UNTIL(p, SNM_SEND_UNRELIABLE, ask_about(p.a, B_ID).status.remote_quality >= 0.99f);
}

LONG_CASE("I-quality-clean", "On a clean line both qualities are 1 or not yet known (-1), never less than 0.99") {
  pair p = connected_pair();
  int64_t until = snm_time_now() + 12000000;
  while (snm_time_now() < until) {
    snm_realtime_status s = ask_about(p.a, B_ID).status;
    CHECK(s.local_quality == -1.0f || (s.local_quality >= 0.99f && s.local_quality <= 1.0f));
    CHECK(s.remote_quality == -1.0f || (s.remote_quality >= 0.99f && s.remote_quality <= 1.0f));
    chat_once(p, SNM_SEND_UNRELIABLE);
  }
  CHAT_UNTIL(p, SNM_SEND_UNRELIABLE, ask_about(p.a, B_ID).status.remote_quality >= 0.99f);
}

static int about(double value, double expected) {
  return value > expected * 0.75 && value < expected * 1.25;
}

/* A sends 50 packets of 1130 bytes a second, and B says little. */
static int rates_are_right(const snm_realtime_status *a, const snm_realtime_status *b) {
  return about(a->packets_out_per_second, 50) && about(b->packets_in_per_second, 50) &&
         about(a->bytes_out_per_second, 50 * 1130) && about(b->bytes_in_per_second, 50 * 1130) &&
         b->bytes_out_per_second < a->bytes_out_per_second / 2; /* acknowledgements at most */
}

LONG_CASE("I-rates", "Rates out are what was sent, rates in of the peer the same, from the second second on; bytes are those of UDP; they end with the traffic") {
  pair p = connected_pair();
  uint8_t *bytes = some_bytes(1100, 3); /* no two of them in one packet */
  snm_realtime_status a = SNM_REALTIME_STATUS_INIT, b = SNM_REALTIME_STATUS_INIT;
  int64_t began = snm_time_now(), now = began, sent = 0;
  snm_message *message;
  all_delivered(p.a, B_ID);
  for (; now - began < 6000000 || !rates_are_right(&a, &b); now = snm_time_now()) {
    CHECK("in time" && now - began < 50000000);
    for (; sent * 20000 < now - began; sent++) /* 50 a second, late or not */
      CHECK(snm_send_message_to_user(p.a, B_ID, bytes, 1100, SNM_SEND_NO_NAGLE, 1) == OK);
    while (snm_receive_messages_on_channel(p.b, 1, &message, 1) == 1)
      snm_message_release(message);
    a = ask_about(p.a, B_ID).status;
    b = ask_about(p.b, A_ID).status;
    CHECK(now - began < 2000000 || (a.packets_out_per_second > 0 && b.bytes_in_per_second > 0));
    rest(10);
  }
  WITHIN(25000, (a = ask_about(p.a, B_ID).status, a.packets_out_per_second < 5));
  WITHIN(25000, (b = ask_about(p.b, A_ID).status, b.bytes_in_per_second < 2500));
}

CASE("I-pending", "Behind a fixed rate pending_reliable and pending_unreliable are what has not left, queue_time is that over send_rate; all end at 0") {
  pair p = connected_pair();
  uint8_t *bytes = some_bytes(1000, 3);
  snm_realtime_status s;
  snm_message *message;
  int i;
  send_at(p.a, 20000);
  for (i = 0; i < 100; i++) {
    CHECK(snm_send_message_to_user(p.a, B_ID, bytes, 1000, RELIABLE, 1) == OK);
    CHECK(snm_send_message_to_user(p.a, B_ID, bytes, 1000, SNM_SEND_UNRELIABLE, 2) == OK);
  }
  for (i = 0; i < 30; i++) {
    double pending;
    s = ask_about(p.a, B_ID).status;
    pending = (double)s.pending_reliable + (double)s.pending_unreliable;
    CHECK(s.send_rate == 20000);
    CHECK(s.pending_reliable + s.send_unacknowledged_reliable <= 100000 && s.pending_unreliable <= 100000);
    CHECK(pending > 50000 && about((double)s.queue_time, pending / 20000 * 1e6));
    rest(20);
  }
  send_at(p.a, 10000000);
  for (i = 0; i < 20000 && (s = ask_about(p.a, B_ID).status,
       s.pending_reliable + s.pending_unreliable + s.send_unacknowledged_reliable > 0); i++) {
    while (snm_receive_messages_on_channel(p.b, 1, &message, 1) == 1 || snm_receive_messages_on_channel(p.b, 2, &message, 1) == 1)
      snm_message_release(message);
    rest(1);
  }
  s = ask_about(p.a, B_ID).status;
  CHECK(s.pending_reliable == 0 && s.pending_unreliable == 0 && s.send_unacknowledged_reliable == 0 && s.queue_time == 0);
}

CASE("I-unacknowledged", "send_unacknowledged_reliable is what is on the wire and not acknowledged, with pending_reliable all that is not; unreliable bytes never count") {
  pair p = connected_pair();
  snm_realtime_status s;
  all_delivered(p.a, B_ID);
  lag(p.a, 2000);
  CHECK(snm_send_message_to_user(p.a, B_ID, some_bytes(700, 1), 700, RELIABLE | SNM_SEND_NO_NAGLE, 1) == OK);
  CHECK(snm_send_message_to_user(p.a, B_ID, some_bytes(300, 1), 300, SNM_SEND_NO_NAGLE, 1) == OK);
  WITHIN(10000, (s = ask_about(p.a, B_ID).status, s.send_unacknowledged_reliable == 700 && s.pending_reliable == 0));
  all_delivered(p.a, B_ID);
  lag(p.a, 0);
  lose(p.a, 100.0);
  CHECK(snm_send_message_to_user(p.a, B_ID, some_bytes(700, 1), 700, RELIABLE | SNM_SEND_NO_NAGLE, 1) == OK);
  {
    int i;
    for (i = 0; i < 50; i++) {
      s = ask_about(p.a, B_ID).status;
      CHECK(s.pending_reliable + s.send_unacknowledged_reliable == 700);
      rest(10);
    }
  }
  lose(p.a, 0.0);
  all_delivered(p.a, B_ID);
}

CASE("I-send-rate", "send_rate is at least SEND_RATE_MIN and at most SEND_RATE_MAX; equal they fix it, also per peer") {
  pair p = connected_pair();
  int i;
  CHECK(ask_about(p.a, B_ID).status.send_rate >= 16384);
  set_one(p.a, SNM_CONFIG_SEND_RATE_MAX, 70000);
  for (i = 0; i < 50; i++) {
    int32_t rate = ask_about(p.a, B_ID).status.send_rate;
    CHECK(rate >= 16384 && rate <= 70000);
    chat_once(p, RELIABLE);
  }
  send_at(p.a, 50000);
  CHECK(ask_about(p.a, B_ID).status.send_rate == 50000);
  CHECK(snm_peer_set_int(p.a, B_ID, SNM_CONFIG_SEND_RATE_MAX, 60000) == OK);
  CHECK(snm_peer_set_int(p.a, B_ID, SNM_CONFIG_SEND_RATE_MIN, 60000) == OK);
  CHECK(ask_about(p.a, B_ID).status.send_rate == 60000);
}

CASE("I-jitter", "max_jitter is the most since it was last read, -1 when nothing came since; FAKE_PACKET_JITTER shows in it") {
  pair p = connected_pair();
  int32_t most = -1;
  int i;
  set_one(p.b, SNM_CONFIG_FAKE_NETWORK_SEED, 5);
  CHECK(snm_endpoint_set_float(p.b, SNM_CONFIG_FAKE_PACKET_JITTER_SEND_AVG, 40.0) == OK);
  for (i = 0; i < 100; i++)
    chat_once(p, SNM_SEND_UNRELIABLE);
  most = ask_about(p.a, B_ID).status.max_jitter;
  CHECK(most >= 20000 && most < 30000000);
  rest(500); /* what is under way comes in */
  WITHIN(10000, (rest(200), (void)ask_about(p.a, B_ID), ask_about(p.a, B_ID).status.max_jitter == -1));
}

CASE("I-looking", "Looking is no use: a session asked about all the time is idle all the same") {
  pair p = make_pair();
  set_both(p, SNM_CONFIG_SESSION_IDLE_TIMEOUT, 1500);
  connect_pair(p);
  WITHIN(15000, (ask_about(p.a, B_ID).info.connection_state == 0) & (ask_about(p.b, A_ID).info.connection_state == 0));
  CHECK(no_event(p.a) && no_event(p.b));
}

CASE("I-message", "A message: identity, channel, flags, size, bytes, number, user data; connection, sender_user_data and reserved 0; time_received on the clock of snm_time_now, in order") {
  pair p = connected_pair();
  int64_t before, last = 0;
  int i;
  set_one(p.b, SNM_CONFIG_CONNECTION_USER_DATA, 77);
  for (i = 0; i < 10; i++) {
    snm_message *message;
    before = snm_time_now();
    CHECK(send_text(p.a, B_ID, "word", i % 2 ? RELIABLE : SNM_SEND_UNRELIABLE, -3) == OK);
    message = expect_message(p.b, -3);
    CHECK(message->identity == A_ID && message->channel == -3 && message->size == 4);
    CHECK(memcmp(message->payload, "word", 4) == 0 && message->flags == (i % 2 ? RELIABLE : 0));
    CHECK(message->message_number == 1 + i / 2 && message->receiver_user_data == 77);
    CHECK(message->sender_user_data == 0 && message->connection == 0 && message->reserved == 0);
    CHECK(message->time_received >= before && message->time_received <= snm_time_now() && message->time_received >= last);
    last = message->time_received;
    snm_message_release(message);
  }
  CHECK(snm_send_message_to_user(p.a, B_ID, NULL, 0, RELIABLE, -3) == OK);
  CHECK(expect_message(p.b, -3)->payload != NULL);
  lag(p.a, 300); /* time_received is when it came, not when it is read */
  CHECK(send_text(p.a, B_ID, "word", RELIABLE, 4) == OK);
  before = snm_time_now();
  all_delivered(p.a, B_ID);
  rest(500);
  last = expect_message(p.b, 4)->time_received;
  CHECK(last >= before + 250000 && last <= snm_time_now() - 450000);
}

CASE("I-event", "An event: a request has its peer and zeros; a failure its peer, reason, state and a text") {
  pair p = impatient_pair();
  snm_event event, zeros = SNM_EVENT_INIT;
  CHECK(send_text(p.a, B_ID, "x", RELIABLE, 0) == OK);
  event = expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  zeros.type = SNM_EVENT_SESSION_REQUEST;
  zeros.remote_steam_id = A_ID;
  CHECK(memcmp(&event, &zeros, sizeof(event)) == 0);
  event = expect_event(p.a, SNM_EVENT_SESSION_FAILED, B_ID);
  CHECK(event.reason == 5003 && event.connection_state == 5);
  CHECK(event.debug_message[0] != 0 && memchr(event.debug_message, 0, sizeof(event.debug_message)) != NULL);
}
