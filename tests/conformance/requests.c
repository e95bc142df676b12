/* Requests and accept: cases 1 to 18. */
#include "kit.h"

CASE("1", "A sends to B: the send is OK, B gets exactly one request naming A, A gets no event") {
  pair p = make_pair();
  CHECK(send_text(p.a, B_ID, "x", RELIABLE, 0) == OK);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  expect_quiet(p.b, 1500);
  CHECK(no_event(p.a));
}

CASE("2", "Before B accepts it reads nothing, and both sides are connecting (1)") {
  pair p = make_pair();
  ask(p);
  CHECK(empty(p.b, 0));
  CHECK(state_of(p.b, A_ID) == 1 && state_of(p.a, B_ID) == 1);
}

CASE("3", "B accepts: true, and the message arrives whole, on its channel, reliable") {
  pair p = make_pair();
  snm_message *message;
  ask(p);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  message = expect_message(p.b, 0);
  CHECK(message->identity == A_ID && message->size == 1 && message->payload[0] == 'x');
  CHECK(message->flags == RELIABLE && message->channel == 0);
}

CASE("4", "B accepts again: true, no event, still connected") {
  pair p = connected_pair();
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  expect_quiet(p.b, 300);
  CHECK(no_event(p.a));
  CHECK(state_of(p.b, A_ID) == 3 && state_of(p.a, B_ID) == 3);
}

CASE("5", "Accepting who never asked: false, no session, no event, and nothing is accepted in advance") {
  pair p = make_pair();
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 0);
  CHECK(state_of(p.b, A_ID) == 0);
  expect_quiet(p.b, 300);
  CHECK(no_event(p.a));
  ask(p);
  CHECK(state_of(p.b, A_ID) == 1 && empty(p.b, 0));
}

CASE("6", "B answers a request by sending: that accepts, both messages arrive, A gets no request") {
  pair p = make_pair();
  ask(p);
  CHECK(send_text(p.b, A_ID, "y", RELIABLE, 0) == OK);
  expect_text(p.a, 0, B_ID, "y");
  expect_text(p.b, 0, A_ID, "x");
  expect_quiet(p.a, 300);
}

CASE("7", "A and B send to each other at once: both messages arrive, both connected, no event on either side") {
  pair p = make_pair();
  CHECK(send_text(p.a, B_ID, "from a", RELIABLE, 0) == OK);
  CHECK(send_text(p.b, A_ID, "from b", RELIABLE, 0) == OK);
  expect_text(p.a, 0, B_ID, "from b");
  expect_text(p.b, 0, A_ID, "from a");
  WITHIN(5000, state_of(p.a, B_ID) == 3 && state_of(p.b, A_ID) == 3);
  expect_quiet(p.a, 500);
  CHECK(no_event(p.b));
}

CASE("8", "100 reliable messages queued before the accept arrive after it, in order, none twice") {
  pair p = make_pair();
  uint32_t i;
  for (i = 0; i < 100; i++)
    CHECK(send_number(p.a, B_ID, i, RELIABLE, 0) == OK);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  expect_numbers(p.b, 0, 0, 100);
  rest(300);
  CHECK(empty(p.b, 0));
}

CASE("9", "Unreliable messages queued before the accept all arrive, as reliable ones") {
  pair p = make_pair();
  uint32_t i;
  for (i = 0; i < 3; i++)
    CHECK(send_number(p.a, B_ID, i, SNM_SEND_UNRELIABLE, 0) == OK);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  for (i = 0; i < 3; i++) {
    snm_message *message = expect_message(p.b, 0);
    CHECK(number_in(message) == i && message->flags == RELIABLE);
  }
}

CASE("10", "The queue before the accept is full at 524288 bytes (25); what was taken arrives after it") {
  pair p = make_pair();
  uint8_t kilobyte[1024] = { 0 };
  snm_result answer;
  uint32_t taken = 0, i;
  for (;; taken++) {
    memcpy(kilobyte, &taken, sizeof(taken));
    answer = snm_send_message_to_user(p.a, B_ID, kilobyte, sizeof(kilobyte), RELIABLE, 0);
    if (answer != OK)
      break;
    CHECK(taken <= 512);
  }
  CHECK(answer == SNM_RESULT_LIMIT_EXCEEDED);
  CHECK(taken >= 480 && taken <= 512);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  for (i = 0; i < taken; i++) {
    snm_message *message = expect_message(p.b, 0);
    CHECK(message->size == 1024 && number_in(message) == i);
    snm_message_release(message);
  }
}

LONG_CASE("11", "While A sends every second and its request lives, B gets the request again at most 6 s apart, never twice within a second") {
  pair p = make_pair();
  int64_t sent_at = 0, looked_at = 0, told_before = 0, told_after = 0;
  int requests = 0;
  while (state_of(p.a, B_ID) != 5) { /* TIMEOUT_INITIAL: ten seconds */
    snm_event event = SNM_EVENT_INIT;
    int told = snm_poll_event(p.b, &event);
    int64_t now = snm_time_now();
    if (told) {
      CHECK(event.type == SNM_EVENT_SESSION_REQUEST && event.remote_steam_id == A_ID);
      /* It came between the last look and this one: a test that was not run for a while proves nothing wrong. */
      CHECK(requests == 0 || (looked_at - told_after <= 6000000 && now - told_before >= 1000000));
      told_before = looked_at;
      told_after = now;
      requests++;
    }
    looked_at = now;
    if (now - sent_at >= 1000000) {
      snm_result answer = send_text(p.a, B_ID, "x", RELIABLE, 0);
      CHECK(answer == OK || (answer == SNM_RESULT_NO_CONNECTION && state_of(p.a, B_ID) == 5));
      sent_at = now;
    }
    rest(5);
  }
  CHECK(requests >= 2 && requests <= 10);
}

CASE("12", "B pending from A: B closes; that is true, B has no session, A gets failed (state 4, reason 1001) and info 4") {
  pair p = make_pair();
  snm_event event;
  ask(p);
  CHECK(snm_close_session_with_user(p.b, A_ID) == 1);
  CHECK(state_of(p.b, A_ID) == 0);
  event = expect_event(p.a, SNM_EVENT_SESSION_FAILED, B_ID);
  CHECK(event.connection_state == 4 && event.reason == 1001);
  CHECK(state_of(p.a, B_ID) == 4);
  CHECK(no_event(p.b));
}

CASE("13", "B ignores the request: after TIMEOUT_INITIAL A gets failed (5, 5003), and info says the same") {
  pair p = impatient_pair();
  int64_t began = snm_time_now(), took;
  snm_event event;
  ask(p);
  event = expect_event(p.a, SNM_EVENT_SESSION_FAILED, B_ID);
  took = snm_time_now() - began;
  CHECK(event.connection_state == 5 && event.reason == 5003 && event.debug_message[0] != 0);
  CHECK(took >= 1350000 && took < 6000000);
  CHECK(state_of(p.a, B_ID) == 5 && end_reason(p.a, B_ID) == 5003);
}

CASE("14", "Who ignores a request gets no failed event, and its session is gone by itself") {
  pair p = impatient_pair();
  ask(p);
  WITHIN(15000, no_event(p.b) && state_of(p.b, A_ID) == 0);
  expect_quiet(p.b, 500);
}

CASE("15", "A closes before B accepts: within 2 s the request is gone at B and its accept is false") {
  pair p = make_pair();
  ask(p);
  CHECK(snm_close_session_with_user(p.a, B_ID) == 1);
  WITHIN(2000, state_of(p.b, A_ID) == 0);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 0);
  expect_quiet(p.a, 300);
  CHECK(no_event(p.b));
}

CASE("16", "A sends to who is not there: OK at first, then failed with state 5 and a reason of 4000 to 5999") {
  pair p = impatient_pair();
  snm_event event;
  CHECK(send_text(p.a, NOBODY_ID, "x", RELIABLE, 0) == OK);
  event = expect_event(p.a, SNM_EVENT_SESSION_FAILED, NOBODY_ID);
  CHECK(event.connection_state == 5 && event.reason >= 4000 && event.reason <= 5999);
  /* The same at an address where somebody else lives. */
  introduce(p.a, C_ID, p.b);
  CHECK(send_text(p.a, C_ID, "x", RELIABLE, 0) == OK);
  event = expect_event(p.a, SNM_EVENT_SESSION_FAILED, C_ID);
  CHECK(event.connection_state == 5 && event.reason >= 4000 && event.reason <= 5999);
  CHECK(no_event(p.b));
}

CASE("17", "A and C ask before B looks: two requests, one of each") {
  pair p = make_pair();
  snm_endpoint *c = third_party(p);
  snm_event first = SNM_EVENT_INIT, second = SNM_EVENT_INIT;
  CHECK(send_text(p.a, B_ID, "x", RELIABLE, 0) == OK && send_text(c, B_ID, "z", RELIABLE, 0) == OK);
  WITHIN(5000, state_of(p.b, A_ID) == 1 && state_of(p.b, C_ID) == 1);
  CHECK(snm_poll_event(p.b, &first) == 1 && snm_poll_event(p.b, &second) == 1);
  CHECK(first.type == SNM_EVENT_SESSION_REQUEST && second.type == SNM_EVENT_SESSION_REQUEST);
  CHECK(first.remote_steam_id + second.remote_steam_id == A_ID + C_ID && first.remote_steam_id != second.remote_steam_id);
  CHECK(no_event(p.b));
}

CASE("18", "B accepts A while C waits: only A is connected, nothing of C's is delivered") {
  pair p = make_pair();
  snm_endpoint *c = third_party(p);
  CHECK(send_text(p.a, B_ID, "x", RELIABLE, 0) == OK && send_text(c, B_ID, "z", RELIABLE, 0) == OK);
  WITHIN(5000, state_of(p.b, A_ID) == 1 && state_of(p.b, C_ID) == 1);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  expect_text(p.b, 0, A_ID, "x");
  rest(500);
  CHECK(empty(p.b, 0));
  CHECK(state_of(p.b, C_ID) == 1 && state_of(c, B_ID) == 1 && state_of(p.a, B_ID) == 3);
}
