/*
 * Every combination of the send flags 1, 4, 8, 16 and 32, on a healthy session, before it stands, behind a queue of
 * more than 200 ms, and on a failed one: what send answers, and what arrives.
 */
#include "kit.h"

/* 0 to 31: the five bits that have a meaning. Bit 2 has none. */
static int32_t flags_of(int part) {
  return (part & 1) | (part & ~1) << 1;
}

static int leaves_at_once_or_never(int32_t flags) {
  return (flags & SNM_SEND_NO_DELAY) != 0 && (flags & RELIABLE) == 0;
}

/* What send answers where a message would have to wait. */
static snm_result answer_where_it_waits(int32_t flags) {
  return leaves_at_once_or_never(flags) ? SNM_RESULT_IGNORED : OK;
}

static snm_result answer_of_a_failed_one(int32_t flags) {
  if ((flags & SNM_SEND_AUTO_RESTART_BROKEN_SESSION) == 0)
    return SNM_RESULT_NO_CONNECTION;
  return answer_where_it_waits(flags);
}

/* The next message of a channel is "word", with these flags. */
static void expect_word(snm_endpoint *endpoint, int32_t channel, int32_t flags) {
  snm_message *message = expect_message(endpoint, channel);
  CHECK(message->size == 4 && memcmp(message->payload, "word", 4) == 0 && message->flags == flags);
}

static void when_connected(int32_t flags) {
  pair p = connected_pair();
  CHECK(send_text(p.a, B_ID, "word", flags, 1) == OK);
  expect_word(p.b, 1, flags & RELIABLE);
  CHECK(state_of(p.a, B_ID) == 3 && no_event(p.a) && no_event(p.b));
}

static void before_it_stands(int32_t flags) {
  pair p = make_pair();
  snm_result answer = answer_where_it_waits(flags);
  CHECK(send_text(p.a, B_ID, "word", flags, 1) == answer); /* without a session */
  CHECK(state_of(p.a, B_ID) == (answer == OK));
  CHECK(send_text(p.a, B_ID, "x", RELIABLE, 0) == OK);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  CHECK(send_text(p.a, B_ID, "word", flags, 2) == answer); /* while the peer decides */
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  expect_text(p.b, 0, A_ID, "x");
  if (answer == OK) {
    expect_word(p.b, 1, RELIABLE);
    expect_word(p.b, 2, RELIABLE);
  } else {
    all_delivered(p.a, B_ID);
    rest(100);
    CHECK(empty(p.b, 1) && empty(p.b, 2));
  }
}

/* Ten seconds of it, so that a slow machine makes no difference; then it is let out. */
static void behind_a_queue(int32_t flags) {
  pair p = connected_pair();
  uint8_t *bytes = some_bytes(200000, 3);
  snm_result answer = answer_where_it_waits(flags);
  send_at(p.a, 20000);
  CHECK(snm_send_message_to_user(p.a, B_ID, bytes, 200000, RELIABLE, 0) == OK);
  CHECK(send_text(p.a, B_ID, "word", flags, 1) == answer);
  send_at(p.a, 10000000);
  if (answer == OK)
    expect_word(p.b, 1, flags & RELIABLE);
  CHECK(expect_message(p.b, 0)->size == 200000);
  if (answer != OK)
    CHECK(empty(p.b, 1));
}

static void on_a_failed_one(int32_t flags) {
  pair p = make_pair();
  snm_result answer = answer_of_a_failed_one(flags);
  ask(p);
  CHECK(snm_close_session_with_user(p.b, A_ID) == 1);
  (void)expect_event(p.a, SNM_EVENT_SESSION_FAILED, B_ID);
  CHECK(send_text(p.a, B_ID, "word", flags, 1) == answer);
  CHECK(state_of(p.a, B_ID) == (answer == OK ? 1 : 4)); /* refused, it is not forgotten either */
  if (answer == OK) {
    (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
    CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
    expect_word(p.b, 1, RELIABLE);
  }
}

static void prove(int part) {
  int32_t flags = flags_of(part);
  when_connected(flags);
  before_it_stands(flags);
  behind_a_queue(flags);
  on_a_failed_one(flags);
}

__attribute__((constructor)) static void list_flags(void) {
  static const struct {
    int32_t bit;
    const char *name;
  } names[] = { { 1, " NoNagle" }, { 4, " NoDelay" }, { 8, " Reliable" }, { 16, " UseCurrentThread" }, { 32, " AutoRestart" } };
  char id[32], name[100], sentence[300];
  snm_result failed;
  int part, i, waits;
  for (part = 0; part < 32; part++) {
    int32_t flags = flags_of(part);
    strcpy(name, flags & RELIABLE ? "" : " Unreliable");
    for (i = 0; i < 5; i++)
      strcat(name, flags & names[i].bit ? names[i].name : "");
    snprintf(id, sizeof(id), "F-%d", flags);
    waits = answer_where_it_waits(flags) == OK;
    failed = answer_of_a_failed_one(flags);
    snprintf(sentence, sizeof(sentence), "%d,%s: connected 1, arrives with flags %d; not yet connected %s; queue over 200 ms %s; failed %d%s",
             flags, name, flags & RELIABLE, waits ? "1, arrives with flags 8" : "41", waits ? "1, arrives" : "41, never arrives",
             failed, failed == OK ? " and asks anew" : "");
    list_case(id, sentence, __FILE__, prove, part, 0);
  }
}

CASE("F-undefined", "Every other bit, all of them, 255 and -1: as without them, and the receiver sees 0 or 8") {
  pair p = connected_pair();
  int32_t defined = 1 | 4 | 8 | 16 | 32;
  int bit;
  for (bit = 0; bit < 32; bit++) {
    int32_t flags = (int32_t)(UINT32_C(1) << bit);
    if (flags & defined)
      continue;
    CHECK(send_text(p.a, B_ID, "word", flags, 1) == OK);
    expect_word(p.b, 1, 0);
    CHECK(send_text(p.a, B_ID, "word", flags | RELIABLE, 1) == OK);
    expect_word(p.b, 1, RELIABLE);
  }
  CHECK(send_text(p.a, B_ID, "word", ~defined, 1) == OK);
  expect_word(p.b, 1, 0);
  CHECK(send_text(p.a, B_ID, "word", 255, 1) == OK && send_text(p.a, B_ID, "word", -1, 1) == OK);
  expect_word(p.b, 1, RELIABLE);
  expect_word(p.b, 1, RELIABLE);
}

CASE("F-early-unreliable", "With EARLY_UNRELIABLE 1 what was sent before the session stands keeps its flags: 0 or 8") {
  pair p = make_pair();
  set_one(p.a, SNM_CONFIG_EARLY_UNRELIABLE, 1);
  CHECK(send_text(p.a, B_ID, "word", SNM_SEND_UNRELIABLE, 1) == OK && send_text(p.a, B_ID, "word", RELIABLE, 2) == OK);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  expect_word(p.b, 2, RELIABLE);
  expect_word(p.b, 1, 0);
}

CASE("F-duplicates", "Where the network doubles every packet a message arrives once all the same, unreliable or reliable") {
  pair p = connected_pair();
  uint8_t seen[2][200] = { { 0 } };
  snm_message *message;
  uint32_t i;
  CHECK(snm_endpoint_set_float(p.a, SNM_CONFIG_FAKE_PACKET_DUP_SEND, 100.0) == OK);
  for (i = 0; i < 200; i++) {
    CHECK(send_number(p.a, B_ID, i, SNM_SEND_NO_NAGLE, 1) == OK);
    CHECK(send_number(p.a, B_ID, i, RELIABLE | SNM_SEND_NO_NAGLE, 1) == OK);
  }
  WITHIN(10000, status_of(p.a, B_ID).pending_unreliable == 0);
  all_delivered(p.a, B_ID);
  CHECK(send_text(p.a, B_ID, "after them", RELIABLE, 2) == OK);
  expect_text(p.b, 2, A_ID, "after them");
  rest(300); /* and after their doubles */
  for (i = 0; i < 400; i++) {
    CHECK(snm_receive_messages_on_channel(p.b, 1, &message, 1) == 1);
    CHECK(message->flags == 0 || message->flags == RELIABLE);
    CHECK(seen[message->flags == 0][number_in(message)]++ == 0);
  }
  CHECK(empty(p.b, 1));
}
