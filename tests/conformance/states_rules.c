/* What the table of states and calls says beside its cells. */
#include "kit.h"

/* A failed session of A with B is left alone, but for plain sends that answer 3, until it is forgotten. */
static void is_forgotten_in_time(pair p, int32_t state) {
  int64_t failed_at = snm_time_now();
  CHECK(state_of(p.a, B_ID) == state);
  while (state_of(p.a, B_ID) != 0) {
    /* The session may be forgotten between the two calls. */
    snm_result answer = send_text(p.a, B_ID, "word", RELIABLE, 0);
    CHECK(answer == SNM_RESULT_NO_CONNECTION || (answer == OK && state_of(p.a, B_ID) == 1));
    if (answer == OK)
      break;
    CHECK("in time" && snm_time_now() - failed_at < 20000000);
    rest(20);
  }
  CHECK(snm_time_now() - failed_at > 1800000);
  CHECK(snm_close_session_with_user(p.a, B_ID) == (state_of(p.a, B_ID) != 0));
  ask(p);
}

CASE("T-FP-forgotten", "FP: 3 until SESSION_IDLE_TIMEOUT after the failure, sends do not prolong it; then a plain send asks anew") {
  pair p = make_pair();
  set_one(p.a, SNM_CONFIG_SESSION_IDLE_TIMEOUT, 2000);
  ask(p);
  CHECK(snm_close_session_with_user(p.b, A_ID) == 1);
  (void)expect_event(p.a, SNM_EVENT_SESSION_FAILED, B_ID);
  is_forgotten_in_time(p, 4);
}

CASE("T-FL-forgotten", "FL: 3 until SESSION_IDLE_TIMEOUT after the failure, sends do not prolong it; then a plain send asks anew") {
  pair p = impatient_pair();
  set_one(p.a, SNM_CONFIG_SESSION_IDLE_TIMEOUT, 2000);
  ask(p);
  (void)expect_event(p.a, SNM_EVENT_SESSION_FAILED, B_ID);
  is_forgotten_in_time(p, 5);
}

/* Connected once; then the line is cut, and A has an unread message on channel 3. */
static pair cut_off(void) {
  pair p = connected_pair();
  snm_event event;
  CHECK(send_text(p.b, A_ID, "unread", RELIABLE, 3) == OK);
  all_delivered(p.b, A_ID);
  set_both(p, SNM_CONFIG_TIMEOUT_CONNECTED, 1500);
  lose(p.a, 100.0);
  lose(p.b, 100.0);
  event = expect_event(p.a, SNM_EVENT_SESSION_FAILED, B_ID);
  CHECK(event.connection_state == 5 && event.reason == 5003);
  event = expect_event(p.b, SNM_EVENT_SESSION_FAILED, A_ID);
  CHECK(event.connection_state == 5 && event.reason == 5003);
  lose(p.a, 0.0);
  lose(p.b, 0.0);
  return p;
}

CASE("T-FL-once-connected", "Connected, then a time-out: FL with an event on both sides, a plain send answers 3 every time, one with 32 asks anew") {
  pair p = cut_off();
  int i;
  for (i = 0; i < 5; i++)
    CHECK(send_text(p.a, B_ID, "word", RELIABLE, 0) == SNM_RESULT_NO_CONNECTION);
  CHECK(snm_accept_session_with_user(p.a, B_ID) == 0);
  expect_quiet(p.b, 300);
  CHECK(no_event(p.a) && state_of(p.a, B_ID) == 5 && state_of(p.b, A_ID) == 5);
  CHECK(send_text(p.a, B_ID, "word", RELIABLE | SNM_SEND_AUTO_RESTART_BROKEN_SESSION, 0) == OK);
  CHECK(state_of(p.a, B_ID) == 1 && end_reason(p.a, B_ID) == 0);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
}

CASE("T-FL-once-connected-receive", "FL after a connection, receive: what was received before can still be read") {
  pair p = cut_off();
  expect_text(p.a, 3, B_ID, "unread");
}

CASE("T-FL-once-connected-closeChannel", "FL after a connection, closeChannel: true for a channel used, its unread messages are gone; the last one closes") {
  pair p = cut_off();
  CHECK(snm_close_channel_with_user(p.a, B_ID, 99) == 0);
  CHECK(snm_close_channel_with_user(p.a, B_ID, 3) == 1 && empty(p.a, 3));
  CHECK(snm_close_channel_with_user(p.a, B_ID, 3) == 0 && state_of(p.a, B_ID) == 5);
  CHECK(snm_close_channel_with_user(p.a, B_ID, 0) == 1 && state_of(p.a, B_ID) == 0);
  CHECK(snm_close_session_with_user(p.a, B_ID) == 0);
  CHECK(send_text(p.a, B_ID, "word", RELIABLE, 0) == OK);
}

CASE("T-C-peer-closes", "The peer closes while nothing is unacknowledged: no session and no event; the next send opens a new session") {
  pair p = connected_pair();
  all_delivered(p.a, B_ID);
  CHECK(snm_close_session_with_user(p.b, A_ID) == 1);
  WITHIN(5000, state_of(p.a, B_ID) == 0);
  expect_quiet(p.a, 200);
  CHECK(send_text(p.a, B_ID, "x", RELIABLE, 0) == OK);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  expect_text(p.b, 0, A_ID, "x");
  CHECK(no_event(p.a));
}

/* B closes while a reliable message of A, which never arrives, is unacknowledged. */
static pair closed_while_holding(void) {
  pair p = connected_pair();
  snm_connection_info info = SNM_CONNECTION_INFO_INIT;
  lose(p.a, 100.0);
  CHECK(send_text(p.a, B_ID, "lost", RELIABLE, 0) == OK);
  CHECK(snm_close_session_with_user(p.b, A_ID) == 1);
  WITHIN(5000, state_of(p.a, B_ID) != 3);
  lose(p.a, 0.0);
  CHECK(snm_get_session_connection_info(p.a, B_ID, &info, NULL) == 4);
  CHECK(info.end_reason == 1001 && info.end_debug[0] != 0);
  expect_quiet(p.a, 200);
  return p;
}

CASE("T-C-peer-closes-holding", "The peer closes while reliable data is unacknowledged: no event, info 4 with 1001; one plain send answers 3, the next opens a new session") {
  pair p = closed_while_holding();
  CHECK(send_text(p.a, B_ID, "x", RELIABLE, 0) == SNM_RESULT_NO_CONNECTION);
  CHECK(state_of(p.a, B_ID) == 0);
  CHECK(send_text(p.a, B_ID, "x", RELIABLE, 0) == OK);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  expect_text(p.b, 0, A_ID, "x"); /* and not what the old session lost */
  CHECK(no_event(p.a));
}

CASE("T-C-peer-closes-holding-restart", "The same, and a send with 32 is OK at once; closeSession is true and the next plain send is OK") {
  pair p = closed_while_holding();
  CHECK(send_text(p.a, B_ID, "x", RELIABLE | SNM_SEND_AUTO_RESTART_BROKEN_SESSION, 0) == OK);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  p = closed_while_holding();
  CHECK(snm_accept_session_with_user(p.a, B_ID) == 0);
  CHECK(snm_close_session_with_user(p.a, B_ID) == 1 && state_of(p.a, B_ID) == 0);
  CHECK(send_text(p.a, B_ID, "x", RELIABLE, 0) == OK);
}

CASE("T-channels-open", "A channel is open once sent or received on, for either side; the last one that closes closes the session") {
  pair p = connected_pair(); /* channel 0, both sides */
  CHECK(send_text(p.a, B_ID, "of a", RELIABLE, 1) == OK);
  CHECK(send_text(p.b, A_ID, "of b", RELIABLE, 2) == OK);
  expect_text(p.b, 1, A_ID, "of a");
  expect_text(p.a, 2, B_ID, "of b");
  CHECK(empty(p.a, 7) && snm_close_channel_with_user(p.a, B_ID, 7) == 0); /* reading opens nothing */
  CHECK(snm_close_channel_with_user(p.a, B_ID, 1) == 1 && snm_close_channel_with_user(p.b, A_ID, 2) == 1);
  CHECK(snm_close_channel_with_user(p.a, B_ID, 2) == 1 && snm_close_channel_with_user(p.b, A_ID, 1) == 1);
  CHECK(snm_close_channel_with_user(p.a, B_ID, 2) == 0);
  all_delivered(p.b, A_ID);
  CHECK(state_of(p.a, B_ID) == 3 && state_of(p.b, A_ID) == 3);
  CHECK(snm_close_channel_with_user(p.a, B_ID, 0) == 1 && state_of(p.a, B_ID) == 0);
  WITHIN(5000, state_of(p.b, A_ID) == 0);
  CHECK(no_event(p.a) && no_event(p.b));
}

CASE("T-self", "A send to oneself: a loopback session without events, state 3, flags LOOPBACK; all calls work as on a connected one") {
  snm_endpoint *a = endpoint_of(A_ID);
  snm_connection_info info = SNM_CONNECTION_INFO_INIT;
  snm_message *message;
  int64_t number;
  CHECK(state_of(a, A_ID) == 0 && snm_accept_session_with_user(a, A_ID) == 0);
  CHECK(snm_close_session_with_user(a, A_ID) == 0 && snm_close_channel_with_user(a, A_ID, 0) == 0);
  for (number = 1; number <= 3; number++) {
    CHECK(send_text(a, A_ID, "to me", RELIABLE, 4) == OK);
    CHECK(send_text(a, A_ID, "to me", SNM_SEND_UNRELIABLE, 5) == OK);
    message = expect_message(a, 4);
    CHECK(message->identity == A_ID && message->flags == RELIABLE && message->message_number == number);
    message = expect_message(a, 5);
    CHECK(message->identity == A_ID && message->flags == 0 && message->message_number == number);
  }
  CHECK(snm_get_session_connection_info(a, A_ID, &info, NULL) == 3);
  CHECK(info.info_flags & SNM_INFO_LOOPBACK && info.identity == A_ID && info.end_reason == 0);
  CHECK(snm_accept_session_with_user(a, A_ID) == 1);
  CHECK(send_text(a, A_ID, "unread", RELIABLE, 4) == OK);
  CHECK(snm_close_channel_with_user(a, A_ID, 99) == 0 && snm_close_channel_with_user(a, A_ID, 4) == 1);
  CHECK(empty(a, 4) && state_of(a, A_ID) == 3);
  CHECK(snm_close_session_with_user(a, A_ID) == 1 && state_of(a, A_ID) == 0);
  CHECK(send_text(a, A_ID, "anew", RELIABLE, 4) == OK);
  message = expect_message(a, 4);
  CHECK(message->message_number == 1);
  expect_quiet(a, 200);
}

CASE("T-message-numbers", "message_number counts from 1 for each channel and each reliability, and anew in the next session") {
  static const int32_t channels[] = { 0, 1, -5 };
  pair p = connected_pair();
  int session, i;
  int64_t k;
  for (session = 0; session < 2; session++) {
    for (k = 1; k <= 4; k++) {
      for (i = 0; i < 6; i++) {
        int32_t flags = i % 2 ? RELIABLE : SNM_SEND_UNRELIABLE;
        snm_message *message;
        CHECK(send_text(p.b, A_ID, "word", flags, channels[i / 2]) == OK);
        message = expect_message(p.a, channels[i / 2]);
        CHECK(message->flags == flags && message->message_number == k);
        snm_message_release(message);
      }
    }
    all_delivered(p.b, A_ID);
    CHECK(snm_close_session_with_user(p.a, B_ID) == 1);
    WITHIN(5000, state_of(p.b, A_ID) == 0);
    connect_pair(p);
  }
}

/* What B's next message to A shows. */
static int64_t user_data_of_next(pair p) {
  snm_message *message;
  int64_t user_data;
  CHECK(send_text(p.b, A_ID, "word", RELIABLE, 1) == OK);
  message = expect_message(p.a, 1);
  CHECK(message->sender_user_data == 0);
  user_data = message->receiver_user_data;
  snm_message_release(message);
  return user_data;
}

CASE("T-user-data", "receiver_user_data and user_data are the receiver's CONNECTION_USER_DATA: 0 by default, per peer before per endpoint") {
  pair p = connected_pair();
  snm_connection_info info = SNM_CONNECTION_INFO_INIT;
  set_one(p.b, SNM_CONFIG_CONNECTION_USER_DATA, 55);
  CHECK(user_data_of_next(p) == 0);
  set_one(p.a, SNM_CONFIG_CONNECTION_USER_DATA, -7);
  CHECK(user_data_of_next(p) == -7);
  CHECK(snm_peer_set_int(p.a, B_ID, SNM_CONFIG_CONNECTION_USER_DATA, INT64_MAX) == OK);
  CHECK(user_data_of_next(p) == INT64_MAX);
  (void)snm_get_session_connection_info(p.a, B_ID, &info, NULL);
  CHECK(info.user_data == INT64_MAX);
  CHECK(snm_peer_reset(p.a, B_ID) == OK);
  CHECK(user_data_of_next(p) == -7);
}

CASE("T-C-close-and-send", "closeSession and a send right after it: a new session, a request at the peer, who has not closed; only the new message arrives") {
  pair p = connected_pair();
  snm_message *message;
  lose(p.a, 100.0);
  CHECK(send_text(p.a, B_ID, "old", RELIABLE, 0) == OK);
  CHECK(snm_close_session_with_user(p.a, B_ID) == 1);
  lose(p.a, 0.0);
  CHECK(send_text(p.a, B_ID, "new", RELIABLE, 0) == OK && state_of(p.a, B_ID) == 1);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  message = expect_message(p.b, 0);
  CHECK(message->size == 3 && memcmp(message->payload, "new", 3) == 0 && message->message_number == 1);
  CHECK(no_event(p.a) && no_event(p.b));
}

/* A queues 100 messages, five seconds' worth, and closes. */
static pair closed_with_a_queue(int64_t flush_ms) {
  pair p = connected_pair();
  uint8_t *bytes = some_bytes(1000, 3);
  uint32_t i;
  set_one(p.a, SNM_CONFIG_CLOSE_FLUSH, flush_ms);
  send_at(p.a, 20000);
  for (i = 0; i < 100; i++) {
    memcpy(bytes, &i, sizeof(i));
    CHECK(snm_send_message_to_user(p.a, B_ID, bytes, 1000, RELIABLE, 1) == OK);
  }
  CHECK(snm_close_session_with_user(p.a, B_ID) == 1 && state_of(p.a, B_ID) == 0);
  return p;
}

CASE("T-C-close-drops", "closeSession drops what is queued") {
  pair p = closed_with_a_queue(0);
  snm_message *message;
  int got = 0;
  WITHIN(5000, state_of(p.b, A_ID) == 0);
  while (snm_receive_messages_on_channel(p.b, 1, &message, 1) == 1)
    got++;
  CHECK(got < 100);
}

CASE("T-C-close-flush", "With CLOSE_FLUSH what is queued still arrives, and then the session ends at the peer") {
  pair p = closed_with_a_queue(60000);
  send_at(p.a, 10000000);
  expect_numbers(p.b, 1, 0, 100);
  WITHIN(10000, state_of(p.b, A_ID) == 0);
  CHECK(no_event(p.a) && no_event(p.b));
}

/* Connected, to end after three seconds without use; B has 12 unread messages. */
static pair soon_idle(void) {
  pair p = make_pair();
  uint32_t i;
  set_both(p, SNM_CONFIG_SESSION_IDLE_TIMEOUT, 3000);
  connect_pair(p);
  for (i = 0; i < 12; i++)
    CHECK(send_number(p.a, B_ID, i, RELIABLE, 1) == OK);
  all_delivered(p.a, B_ID);
  return p;
}

CASE("T-idle-read", "Reading is use: while one side reads now and then neither ends, long after SESSION_IDLE_TIMEOUT") {
  pair p = soon_idle();
  uint32_t i;
  for (i = 0; i < 12; i++) {
    snm_message *message = expect_message(p.b, 1);
    CHECK(number_in(message) == i);
    rest(400);
    CHECK(state_of(p.a, B_ID) == 3 && state_of(p.b, A_ID) == 3);
  }
}

CASE("T-idle-accept", "Accepting is use") {
  pair p = soon_idle();
  int i;
  for (i = 0; i < 12; i++) {
    CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
    rest(400);
    CHECK(state_of(p.a, B_ID) == 3 && state_of(p.b, A_ID) == 3);
  }
}

CASE("T-idle-unread", "A session that ends for want of use leaves its unread messages readable") {
  pair p = soon_idle();
  WITHIN(15000, state_of(p.a, B_ID) == 0 && state_of(p.b, A_ID) == 0);
  expect_numbers(p.b, 1, 0, 12);
  CHECK(no_event(p.a) && no_event(p.b));
}

LONG_CASE("T-nobody", "Nobody to talk to, nothing set: the send is OK, and the session fails within 21 s, state 5") {
  snm_endpoint *a = endpoint_of(A_ID);
  int64_t began = snm_time_now();
  snm_event event;
  CHECK(send_text(a, NOBODY_ID, "x", RELIABLE, 0) == OK);
  event = expect_event(a, SNM_EVENT_SESSION_FAILED, NOBODY_ID);
  CHECK(snm_time_now() - began <= 21000000);
  CHECK(event.connection_state == 5 && event.reason >= 4000 && event.reason <= 5999);
  CHECK(state_of(a, NOBODY_ID) == 5);
}
