/*
 * The table of states and calls, cell by cell: what each call answers in each state, and what follows. The states:
 * N no session, O asked by us, P asked by the peer, A accepted and the peer has not heard it yet, C connected,
 * FP failed because the peer refused, FL failed because nobody answered.
 */
#include "kit.h"

typedef struct stage {
  snm_endpoint *us, *them;
  uint64_t me, peer; /* our id, theirs */
  int32_t state;     /* what info says of it */
} stage;

static stage seen_from_a(pair p) {
  stage s = { p.a, p.b, A_ID, B_ID, 0 };
  return s;
}

static stage seen_from_b(pair p) {
  stage s = { p.b, p.a, B_ID, A_ID, 0 };
  return s;
}

/* ---- How each state is reached. Whoever asks says "x" on channel 0. */

static stage reach_n(void) {
  return seen_from_a(make_pair());
}

static stage reach_o(void) {
  pair p = make_pair();
  ask(p);
  return seen_from_a(p);
}

static stage reach_p(void) {
  pair p = make_pair();
  ask(p);
  return seen_from_b(p);
}

/* Nothing of ours arrives from here on, until it is heard. */
static stage reach_a(void) {
  pair p = make_pair();
  ask(p);
  lose(p.b, 100.0);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  return seen_from_b(p);
}

static void is_heard(stage s) {
  CHECK(state_of(s.them, s.me) == 1);
  lose(s.us, 0.0);
}

static stage reach_c(void) {
  pair p = connected_pair();
  CHECK(send_text(p.b, A_ID, "for you", RELIABLE, 0) == OK);
  all_delivered(p.b, A_ID);
  return seen_from_a(p);
}

static stage reach_fp(void) {
  pair p = make_pair();
  ask(p);
  CHECK(snm_close_session_with_user(p.b, A_ID) == 1);
  (void)expect_event(p.a, SNM_EVENT_SESSION_FAILED, B_ID);
  return seen_from_a(p);
}

static stage reach_fl(void) {
  pair p = impatient_pair();
  ask(p);
  (void)expect_event(p.a, SNM_EVENT_SESSION_FAILED, B_ID);
  WITHIN(10000, state_of(p.b, A_ID) == 0);
  return seen_from_a(p);
}

/* ---- What follows. */

static void nothing_happens(stage s) {
  expect_quiet(s.us, 200);
  CHECK(no_event(s.them) && state_of(s.us, s.peer) == s.state);
}

static void peer_is_asked(stage s) {
  CHECK(state_of(s.us, s.peer) == 1 && end_reason(s.us, s.peer) == 0);
  (void)expect_event(s.them, SNM_EVENT_SESSION_REQUEST, s.me);
  CHECK(no_event(s.us));
}

static void nothing_is_foreseen(stage s) {
  nothing_happens(s);
  CHECK(send_text(s.them, s.me, "x", RELIABLE, 0) == OK);
  (void)expect_event(s.us, SNM_EVENT_SESSION_REQUEST, s.peer);
  rest(200);
  CHECK(state_of(s.us, s.peer) == 1 && state_of(s.them, s.me) == 1 && empty(s.us, 0));
}

static void all_is_zero(stage s) {
  snm_connection_info info = SNM_CONNECTION_INFO_INIT, no_info = SNM_CONNECTION_INFO_INIT;
  snm_realtime_status status = SNM_REALTIME_STATUS_INIT, no_status = SNM_REALTIME_STATUS_INIT;
  (void)snm_get_session_connection_info(s.us, s.peer, &info, &status);
  CHECK(memcmp(&info, &no_info, sizeof(info)) == 0 && memcmp(&status, &no_status, sizeof(status)) == 0);
}

static void others_are_read(stage s) {
  snm_endpoint *c = endpoint_of(C_ID);
  introduce(c, s.me, s.us);
  CHECK(send_text(c, s.me, "from c", RELIABLE, 0) == OK);
  (void)expect_event(s.us, SNM_EVENT_SESSION_REQUEST, C_ID);
  CHECK(snm_accept_session_with_user(s.us, C_ID) == 1);
  expect_text(s.us, 0, C_ID, "from c");
  CHECK(empty(s.us, 0) && state_of(s.us, s.peer) == 0);
}

/* Sends until the buffer is full; how many bytes were taken. */
static void fill_up(stage s) {
  uint8_t *bytes = some_bytes(65536, 3);
  snm_result answer = OK;
  int sends;
  for (sends = 0; answer == OK; sends++) {
    CHECK(sends < 100);
    answer = snm_send_message_to_user(s.us, s.peer, bytes, 65536, RELIABLE, 9);
  }
  CHECK(answer == SNM_RESULT_LIMIT_EXCEEDED && state_of(s.us, s.peer) == s.state);
}

static void queue_arrives_after_the_accept(stage s) {
  snm_message *message;
  CHECK(send_text(s.us, s.peer, "quick", SNM_SEND_UNRELIABLE, 1) == OK);
  fill_up(s);
  CHECK(no_event(s.them) && empty(s.them, 0));
  CHECK(snm_accept_session_with_user(s.them, s.me) == 1);
  expect_text(s.them, 0, s.me, "x");
  expect_text(s.them, 0, s.me, "word");
  message = expect_message(s.them, 1);
  CHECK(message->size == 5 && message->flags == RELIABLE);
}

static void word_arrives_after_the_accept(stage s) {
  nothing_happens(s);
  CHECK(snm_accept_session_with_user(s.them, s.me) == 1);
  expect_text(s.them, 0, s.me, "x");
  expect_text(s.them, 0, s.me, "word");
}

static void peer_still_decides(stage s) {
  nothing_happens(s);
  CHECK(state_of(s.them, s.me) == 1 && empty(s.them, 0));
}

static void request_disappears(stage s) {
  CHECK(state_of(s.us, s.peer) == 0);
  WITHIN(2000, state_of(s.them, s.me) == 0);
  CHECK(snm_accept_session_with_user(s.them, s.me) == 0);
  expect_quiet(s.us, 200);
  CHECK(no_event(s.them) && empty(s.them, 0));
}

static void request_is_withdrawn(stage s) {
  pair p = make_pair();
  request_disappears(s);
  /* One that nobody has looked at yet is not even told. */
  CHECK(send_text(p.a, B_ID, "x", RELIABLE, 0) == OK);
  WITHIN(5000, state_of(p.b, A_ID) == 1);
  CHECK(snm_close_session_with_user(p.a, B_ID) == 1);
  WITHIN(2000, state_of(p.b, A_ID) == 0);
  CHECK(no_event(p.b));
}

/* Its identity is there, and nothing of an end. */
static void lives(stage s) {
  snm_connection_info info = SNM_CONNECTION_INFO_INIT;
  (void)snm_get_session_connection_info(s.us, s.peer, &info, NULL);
  CHECK(info.connection_state == s.state && info.identity == s.peer);
  CHECK(info.end_reason == 0 && info.end_debug[0] == 0);
}

static void both_connect(stage s) {
  expect_text(s.us, 0, s.peer, "x");
  WITHIN(5000, state_of(s.us, s.peer) == 3 && state_of(s.them, s.me) == 3);
  CHECK(no_event(s.us) && no_event(s.them));
}

static void both_speak(stage s) {
  both_connect(s);
  expect_text(s.them, 0, s.me, "word");
}

static void peer_is_rejected(stage s) {
  snm_event event = expect_event(s.them, SNM_EVENT_SESSION_FAILED, s.me);
  CHECK(event.connection_state == 4 && event.reason == 1001);
  CHECK(state_of(s.us, s.peer) == 0 && state_of(s.them, s.me) == 4 && no_event(s.us) && empty(s.us, 0));
}

static void nothing_is_lost(stage s) {
  nothing_happens(s);
  CHECK(snm_accept_session_with_user(s.us, s.peer) == 1);
  both_connect(s);
}

static void word_arrives_once_heard(stage s) {
  is_heard(s);
  both_speak(s);
}

static void peer_connects_once_heard(stage s) {
  is_heard(s);
  both_connect(s);
}

static void peer_is_rejected_once_heard(stage s) {
  is_heard(s);
  peer_is_rejected(s);
}

static void word_arrives_in_the_same_session(stage s) {
  snm_message *message = expect_message(s.them, 0);
  CHECK(message->size == 4 && message->message_number == 2); /* "hi" was the first */
  nothing_happens(s);
}

static void word_arrives_within_limits(stage s) {
  uint8_t *bytes = some_bytes(524289, 3);
  word_arrives_in_the_same_session(s);
  CHECK(snm_send_message_to_user(s.us, s.peer, bytes, 524289, RELIABLE, 0) == SNM_RESULT_INVALID_PARAM);
  send_at(s.us, 20000);
  fill_up(s);
}

static void peer_sees_it_gone(stage s) {
  CHECK(state_of(s.us, s.peer) == 0 && empty(s.us, 0));
  CHECK(snm_close_session_with_user(s.us, s.peer) == 0);
  WITHIN(5000, state_of(s.them, s.me) == 0);
  expect_quiet(s.them, 300);
  CHECK(no_event(s.us));
}

static void three_again_and_again(stage s) {
  int i;
  for (i = 0; i < 5; i++)
    CHECK(send_text(s.us, s.peer, "word", i % 2 ? RELIABLE : SNM_SEND_UNRELIABLE, i) == SNM_RESULT_NO_CONNECTION);
  nothing_happens(s);
}

static void a_plain_send_asks_again(stage s) {
  CHECK(state_of(s.us, s.peer) == 0);
  CHECK(send_text(s.us, s.peer, "word", RELIABLE, 0) == OK);
  peer_is_asked(s);
}

static void tells_how_it_ended(stage s) {
  snm_connection_info info = SNM_CONNECTION_INFO_INIT;
  (void)snm_get_session_connection_info(s.us, s.peer, &info, NULL);
  CHECK(info.connection_state == s.state && info.identity == s.peer && info.end_debug[0] != 0);
  CHECK(info.end_reason == (s.state == 4 ? 1001 : 5003));
  CHECK(send_text(s.us, s.peer, "word", RELIABLE, 0) == SNM_RESULT_NO_CONNECTION); /* looking clears nothing */
}

/* ---- The table. */

enum { SEND, RESTART, ACCEPT, CLOSE, CLOSE_CHANNEL, INFO, RECEIVE, CALLS };

static const char *const call_names[CALLS] = { "send",         "restart", "accept", "closeSession",
                                               "closeChannel", "info",    "receive" };

static const char *const call_words[CALLS] = { "a plain send", "a send with 32", "accept", "closeSession",
                                               "closeChannel", "info",           "receive" };

typedef struct cell {
  int32_t answer;
  const char *what;
  void (*then)(stage);
} cell;

typedef struct row {
  const char *name, *words;
  stage (*reach)(void);
  cell cells[CALLS];
} row;

#define FAILED(name, words, state, reach)                                                                  \
  { name, words, reach, {                                                                                  \
    { SNM_RESULT_NO_CONNECTION, "3, every time, and the peer is not asked", three_again_and_again },       \
    { OK, "1: the failure is forgotten, the peer is asked", peer_is_asked },                               \
    { 0, "false, and the session stays failed", nothing_happens },                                         \
    { 1, "true: no session; the next plain send is OK and asks anew", a_plain_send_asks_again },           \
    { 0, "false, and the session stays failed", nothing_happens },                                         \
    { state, #state " with identity, reason and text; looking clears nothing", tells_how_it_ended },       \
    { 0, "nothing, as nothing was received", nothing_happens },                                            \
  } }

static const row rows[] = {
  { "N", "no session", reach_n, {
    { OK, "1: a session begins, the peer is asked", peer_is_asked },
    { OK, "1: a session begins, the peer is asked", peer_is_asked },
    { 0, "false, and a later request is not accepted in advance", nothing_is_foreseen },
    { 0, "false", nothing_happens },
    { 0, "false", nothing_happens },
    { 0, "0, and both structures are zeros", all_is_zero },
    { 0, "nothing; messages of others are read", others_are_read },
  } },
  { "O", "asked by us", reach_o, {
    { OK, "1, queued as reliable, 25 when the buffer is full; all of it arrives after the accept",
      queue_arrives_after_the_accept },
    { OK, "1, the same as without 32", word_arrives_after_the_accept },
    { 1, "true, and nothing changes: the peer decides", peer_still_decides },
    { 1, "true: the queue is dropped, the request disappears at the peer, nobody gets an event", request_is_withdrawn },
    { 1, "true for the channel sent on, false for another; the last one closes the session", request_disappears },
    { 1, "1 with the identity, no reason", lives },
    { 0, "nothing of the peer yet", nothing_happens },
  } },
  { "P", "asked by the peer", reach_p, {
    { OK, "1, and accepts: both messages arrive, both sides are connected, no request at the peer", both_speak },
    { OK, "1, the same as without 32", both_speak },
    { 1, "true: the message arrives, both sides are connected", both_connect },
    { 1, "true: no session; a rejection, the peer gets failed (4, 1001)", peer_is_rejected },
    { 0, "false, nothing was received yet; the request stands", nothing_is_lost },
    { 1, "1 with the identity, no reason", lives },
    { 0, "nothing of the peer yet; after the accept it is there", nothing_is_lost },
  } },
  { "A", "accepted, the peer has not heard it", reach_a, {
    { OK, "1: arrives once the peer hears of the accept", word_arrives_once_heard },
    { OK, "1, the same as without 32", word_arrives_once_heard },
    { 1, "true, and nothing changes: both sides connect", peer_connects_once_heard },
    { 1, "true: no session; the peer, not connected yet, gets failed (4, 1001)", peer_is_rejected_once_heard },
    { 1, "true for the channel received on, false for another; the last one closes the session",
      peer_is_rejected_once_heard },
    { 3, "3 with the identity, no reason: the handshake ended before the accept", lives },
    { 1, "what came with the request is there at once", nothing_happens },
  } },
  { "C", "connected", reach_c, {
    { OK, "1 and arrives; 25 when the buffer is full, 8 when it is too large", word_arrives_within_limits },
    { OK, "1, the same as without 32: the session goes on", word_arrives_in_the_same_session },
    { 1, "true, and nothing changes", nothing_happens },
    { 1, "true: no session, unread messages are gone; the peer's session ends without an event", peer_sees_it_gone },
    { 1, "true for a channel used, false for another; the last one closes the session", peer_sees_it_gone },
    { 3, "3 with the identity, no reason", lives },
    { 1, "what the peer sent", nothing_happens },
  } },
  FAILED("FP", "refused by the peer", 4, reach_fp),
  FAILED("FL", "nobody answered", 5, reach_fl),
};

enum { ROWS = sizeof(rows) / sizeof(*rows) };

static int32_t answer_of(stage s, int call, int32_t expected) {
  snm_message *message = NULL;
  switch (call) {
  case SEND:
    return send_text(s.us, s.peer, "word", RELIABLE, 0);
  case RESTART:
    return send_text(s.us, s.peer, "word", RELIABLE | SNM_SEND_AUTO_RESTART_BROKEN_SESSION, 0);
  case ACCEPT:
    return snm_accept_session_with_user(s.us, s.peer);
  case CLOSE:
    return snm_close_session_with_user(s.us, s.peer);
  case CLOSE_CHANNEL:
    CHECK(snm_close_channel_with_user(s.us, s.peer, 99) == 0 && state_of(s.us, s.peer) == s.state);
    return snm_close_channel_with_user(s.us, s.peer, 0);
  case INFO:
    return state_of(s.us, s.peer);
  default: /* RECEIVE */
    if (expected == 0)
      rest(300);
    else
      message = expect_message(s.us, 0);
    return message != NULL ? message->identity == s.peer : !empty(s.us, 0);
  }
}

static void prove(int part) {
  const row *r = &rows[part / CALLS];
  const cell *c = &r->cells[part % CALLS];
  stage s = r->reach();
  s.state = r->cells[INFO].answer;
  CHECK(state_of(s.us, s.peer) == s.state);
  CHECK(no_event(s.us) && no_event(s.them));
  CHECK(answer_of(s, part % CALLS, c->answer) == c->answer);
  c->then(s);
}

__attribute__((constructor)) static void list_table(void) {
  char id[32], sentence[256];
  int part;
  for (part = 0; part < ROWS * CALLS; part++) {
    const row *r = &rows[part / CALLS];
    snprintf(id, sizeof(id), "T-%s-%s", r->name, call_names[part % CALLS]);
    snprintf(sentence, sizeof(sentence), "%s (%s), %s: %s", r->name, r->words, call_words[part % CALLS],
             r->cells[part % CALLS].what);
    list_case(id, sentence, __FILE__, prove, part, 0);
  }
}
