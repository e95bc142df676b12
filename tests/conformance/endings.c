/* Close, idle and failure: cases 48 to 57. */
#include "kit.h"

CASE("48", "B closes a session: true, then false; B has none, and A gets no event") {
  pair p = connected_pair();
  CHECK(snm_close_session_with_user(p.b, A_ID) == 1);
  CHECK(snm_close_session_with_user(p.b, A_ID) == 0);
  CHECK(state_of(p.b, A_ID) == 0);
  expect_quiet(p.a, 6000);
  CHECK(state_of(p.a, B_ID) != 3);
}

CASE("49", "After that A goes on sending: within three sends B gets a request naming A, A gets no event") {
  pair p = connected_pair();
  snm_event event = SNM_EVENT_INIT;
  int sends;
  CHECK(snm_close_session_with_user(p.b, A_ID) == 1);
  for (sends = 0; sends < 3 && event.type == 0; sends++) {
    int64_t until = snm_time_now() + 1000000;
    (void)send_text(p.a, B_ID, "still there?", RELIABLE, 0);
    while (snm_time_now() < until && snm_poll_event(p.b, &event) == 0)
      rest(5);
  }
  CHECK(event.type == SNM_EVENT_SESSION_REQUEST && event.remote_steam_id == A_ID);
  CHECK(no_event(p.a));
}

static pair five_unread(void) {
  pair p = connected_pair();
  uint32_t i;
  for (i = 0; i < 5; i++)
    CHECK(send_number(p.a, B_ID, i, RELIABLE, 1) == OK);
  CHECK(send_text(p.a, B_ID, "all sent", RELIABLE, 2) == OK);
  expect_text(p.b, 2, A_ID, "all sent");
  all_delivered(p.a, B_ID);
  return p;
}

CASE("50", "A closes while B has unread messages of it: B still reads them all") {
  pair p = five_unread();
  CHECK(snm_close_session_with_user(p.a, B_ID) == 1);
  WITHIN(5000, state_of(p.b, A_ID) != 3);
  expect_numbers(p.b, 1, 0, 5);
}

CASE("51", "B closes while it has unread messages of A: none of them can be read") {
  pair p = five_unread();
  CHECK(snm_close_session_with_user(p.b, A_ID) == 1);
  CHECK(empty(p.b, 1));
}

/* Connects to a peer process as A and kills it while data is under way to it; waits until that is known. */
static snm_endpoint *bereaved(snm_event *event, int64_t *took) {
  peer_process peer = fork_peer(0);
  snm_endpoint *a = endpoint_of(A_ID);
  int64_t killed_at;
  set_one(a, SNM_CONFIG_TIMEOUT_CONNECTED, 2000);
  wake_peer(&peer, a);
  CHECK(send_text(a, B_ID, "hello", RELIABLE, 0) == OK);
  WITHIN(10000, state_of(a, B_ID) == 3);
  rest(300);
  kill_peer(&peer);
  killed_at = snm_time_now();
  CHECK(send_text(a, B_ID, "lost", RELIABLE, 0) == OK);
  *event = expect_event(a, SNM_EVENT_SESSION_FAILED, B_ID);
  *took = snm_time_now() - killed_at;
  return a;
}

CASE("52", "The peer is killed with our data unacknowledged: failed (5, 5003) after TIMEOUT_CONNECTED, info 5 with text") {
  snm_event event;
  snm_connection_info info = SNM_CONNECTION_INFO_INIT;
  int64_t took;
  snm_endpoint *a = bereaved(&event, &took);
  CHECK(event.connection_state == 5 && event.reason == 5003);
  CHECK(took >= 1500000 && took < 8000000);
  CHECK(snm_get_session_connection_info(a, B_ID, &info, NULL) == 5);
  CHECK(info.end_reason == 5003 && info.end_debug[0] != 0 && info.identity == B_ID);
}

CASE("53", "After that a plain send answers 3 every time, one with 32 is OK; after closing a plain one is OK") {
  snm_event event;
  int64_t took;
  snm_endpoint *a = bereaved(&event, &took);
  int i;
  for (i = 0; i < 3; i++)
    CHECK(send_text(a, B_ID, "x", RELIABLE, 0) == SNM_RESULT_NO_CONNECTION);
  CHECK(send_text(a, B_ID, "x", RELIABLE | SNM_SEND_AUTO_RESTART_BROKEN_SESSION, 0) == OK);
  CHECK(state_of(a, B_ID) == 1);
  CHECK(snm_close_session_with_user(a, B_ID) == 1);
  CHECK(send_text(a, B_ID, "x", RELIABLE, 0) == OK);
}

CASE("54", "A failed session: accept false, closeChannel false, closeSession true; then a send asks B anew") {
  pair p = impatient_pair();
  ask(p);
  (void)expect_event(p.a, SNM_EVENT_SESSION_FAILED, B_ID);
  WITHIN(10000, state_of(p.b, A_ID) == 0);
  CHECK(snm_accept_session_with_user(p.a, B_ID) == 0);
  CHECK(snm_close_channel_with_user(p.a, B_ID, 0) == 0 && state_of(p.a, B_ID) == 5);
  CHECK(snm_close_session_with_user(p.a, B_ID) == 1);
  CHECK(state_of(p.a, B_ID) == 0);
  ask(p);
}

CASE("55", "Unused for SESSION_IDLE_TIMEOUT a session is gone on both sides without an event; the next send asks anew") {
  pair p = make_pair();
  set_both(p, SNM_CONFIG_SESSION_IDLE_TIMEOUT, 2000);
  connect_pair(p);
  WITHIN(15000, state_of(p.a, B_ID) == 0 && state_of(p.b, A_ID) == 0);
  expect_quiet(p.a, 300);
  CHECK(no_event(p.b));
  ask(p);
}

CASE("56", "Sending on one side and receiving on the other is use: the session outlives the idle timeout on both") {
  pair p = make_pair();
  uint32_t i;
  set_both(p, SNM_CONFIG_SESSION_IDLE_TIMEOUT, 2000);
  connect_pair(p);
  for (i = 0; i < 12; i++) {
    CHECK(send_number(p.a, B_ID, i, RELIABLE, 1) == OK);
    rest(500);
    CHECK(state_of(p.a, B_ID) == 3 && state_of(p.b, A_ID) == 3);
  }
  expect_numbers(p.b, 1, 0, 12);
  CHECK(no_event(p.a) && no_event(p.b));
}

CASE("57", "A failed session left alone for SESSION_IDLE_TIMEOUT is forgotten, and a plain send is OK") {
  pair p = impatient_pair();
  set_one(p.a, SNM_CONFIG_SESSION_IDLE_TIMEOUT, 3000);
  ask(p);
  (void)expect_event(p.a, SNM_EVENT_SESSION_FAILED, B_ID);
  CHECK(send_text(p.a, B_ID, "x", RELIABLE, 0) == SNM_RESULT_NO_CONNECTION);
  WITHIN(15000, state_of(p.a, B_ID) == 0);
  CHECK(send_text(p.a, B_ID, "x", RELIABLE, 0) == OK);
  CHECK(no_event(p.a));
}
