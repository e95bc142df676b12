/* Limits a user can reach, each set low enough to be reached, and what happens there. */
#include "kit.h"

/* Sends numbers in messages of `size` bytes until nothing more is taken for a second; how many were. */
static uint32_t send_until_full(snm_endpoint *endpoint, uint64_t to, uint32_t size, int32_t channel) {
  uint8_t *bytes = some_bytes(size + 4, 3);
  int64_t taken_at = snm_time_now();
  uint32_t taken = 0;
  while (snm_time_now() - taken_at < 1000000) {
    snm_result answer;
    memcpy(bytes, &taken, sizeof(taken));
    answer = snm_send_message_to_user(endpoint, to, bytes, size, RELIABLE, channel);
    CHECK(answer == OK || answer == SNM_RESULT_LIMIT_EXCEEDED);
    CHECK(taken < 100000);
    if (answer == OK) {
      taken++;
      taken_at = snm_time_now();
    } else {
      rest(5);
    }
  }
  free(bytes);
  return taken;
}

/* A connected pair in which B takes so much unread, and A lets so much wait. */
static pair with_buffers(int64_t unread_bytes, int64_t unread_messages, int64_t waiting_bytes) {
  pair p = make_pair();
  set_one(p.b, SNM_CONFIG_RECV_BUFFER_SIZE, unread_bytes);
  set_one(p.b, SNM_CONFIG_RECV_BUFFER_MESSAGES, unread_messages);
  set_one(p.a, SNM_CONFIG_SEND_BUFFER_SIZE, waiting_bytes);
  connect_pair(p);
  return p;
}

/* B reads, and A can send again. */
static void reading_makes_room(pair p, uint32_t taken) {
  expect_numbers(p.b, 1, 0, taken);
  WITHIN(10000, send_number(p.a, B_ID, taken, RELIABLE, 1) == OK);
  expect_numbers(p.b, 1, taken, 1);
  CHECK(state_of(p.a, B_ID) == 3 && no_event(p.a) && no_event(p.b));
}

CASE("L-unread-bytes", "A peer that does not read: sends answer 25 once RECV_BUFFER_SIZE there and SEND_BUFFER_SIZE here are full; nothing taken is lost, reading makes room") {
  pair p = with_buffers(65536, 100000, 65536);
  uint32_t taken = send_until_full(p.a, B_ID, 1024, 1);
  CHECK(taken >= 64 && taken <= 128);
  reading_makes_room(p, taken);
}

CASE("L-unread-messages", "The same counted in messages: RECV_BUFFER_MESSAGES there, and a message is charged 32 bytes at least here") {
  pair p = with_buffers(1048576, 20, 4096);
  uint32_t taken = send_until_full(p.a, B_ID, 4, 1);
  CHECK(taken >= 128 && taken <= 128 + 20);
  reading_makes_room(p, taken);
}

CASE("L-unread-channel", "A channel nobody reads takes half of the receive buffer at most: another channel goes on") {
  pair p = with_buffers(65536, 100000, 1048576);
  uint8_t *bytes = some_bytes(1024, 3);
  uint32_t i;
  for (i = 0; i < 200; i++) {
    memcpy(bytes, &i, sizeof(i));
    CHECK(snm_send_message_to_user(p.a, B_ID, bytes, 1024, RELIABLE, 1) == OK);
  }
  for (i = 0; i < 50; i++) {
    CHECK(send_number(p.a, B_ID, i, RELIABLE, 2) == OK);
    expect_numbers(p.b, 2, i, 1);
  }
  CHECK(status_of(p.a, B_ID).pending_reliable > 0);
  expect_numbers(p.b, 1, 0, 200);
}

CASE("L-unread-large", "A message larger than the whole receive buffer arrives all the same, when everything before it was read") {
  pair p = with_buffers(4096, 100, 1048576);
  uint8_t *bytes = some_bytes(200000, 3);
  snm_message *message;
  CHECK(send_number(p.a, B_ID, 0, RELIABLE, 1) == OK);
  CHECK(snm_send_message_to_user(p.a, B_ID, bytes, 200000, RELIABLE, 1) == OK);
  rest(300);
  CHECK(status_of(p.a, B_ID).pending_reliable >= 200000); /* it waits for that */
  CHECK(number_in(expect_message(p.b, 1)) == 0);
  message = expect_message(p.b, 1);
  CHECK(message->size == 200000 && memcmp(message->payload, bytes, 200000) == 0);
}

CASE("L-unread-unreliable", "Of unreliable messages nobody reads the newest RECV_BUFFER_MESSAGES stay") {
  pair p = with_buffers(1048576, 10, 1048576);
  uint32_t i, got = 0, last = 0;
  snm_message *message;
  for (i = 0; i < 50; i++)
    CHECK(send_number(p.a, B_ID, i, SNM_SEND_NO_NAGLE, 1) == OK);
  WITHIN(10000, status_of(p.a, B_ID).pending_unreliable == 0);
  CHECK(send_text(p.a, B_ID, "after them", RELIABLE, 2) == OK);
  expect_text(p.b, 2, A_ID, "after them");
  while (snm_receive_messages_on_channel(p.b, 1, &message, 1) == 1) {
    CHECK(got++ == 0 || number_in(message) > last);
    last = number_in(message);
  }
  CHECK(got == 10 && last == 49);
}

CASE("L-unread-after-the-end", "Unread messages of sessions the peer closed stay readable up to 16 MiB together; those of the session that began first go") {
  enum { SIZE = 524288, COUNT = 20 };
  pair p = make_pair();
  snm_endpoint *c = third_party(p);
  uint8_t *bytes = some_bytes(SIZE, 3);
  uint64_t ids[2] = { A_ID, C_ID };
  snm_message *message;
  int who, i, of_c = 0;
  set_one(p.b, SNM_CONFIG_RECV_BUFFER_SIZE, 64 * 1024 * 1024);
  connect_pair(p);
  CHECK(send_text(c, B_ID, "hi", RELIABLE, 0) == OK);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, C_ID);
  CHECK(snm_accept_session_with_user(p.b, C_ID) == 1);
  expect_text(p.b, 0, C_ID, "hi");
  for (who = 0; who < 2; who++) {
    snm_endpoint *sender = who == 0 ? p.a : c;
    for (i = 0; i < COUNT; i++)
      WITHIN(20000, snm_send_message_to_user(sender, B_ID, bytes, SIZE, RELIABLE, 1) == OK);
    all_delivered(sender, B_ID);
    CHECK(snm_close_session_with_user(sender, B_ID) == 1);
    WITHIN(5000, state_of(p.b, ids[who]) == 0);
  }
  while (snm_receive_messages_on_channel(p.b, 1, &message, 1) == 1) {
    CHECK(message->identity == C_ID && message->size == SIZE);
    of_c++;
    snm_message_release(message);
  }
  CHECK(of_c == COUNT);
}

CASE("L-send-buffer", "SEND_BUFFER_SIZE to the byte: what fits is taken, one byte more answers 25, a larger buffer takes it; all arrives") {
  pair p = make_pair();
  uint32_t i;
  uint8_t kilobyte[1024] = { 0 };
  set_one(p.a, SNM_CONFIG_SEND_BUFFER_SIZE, 4096);
  CHECK(snm_send_message_to_user(p.a, B_ID, some_bytes(4097, 1), 4097, RELIABLE, 1) == SNM_RESULT_LIMIT_EXCEEDED);
  CHECK(state_of(p.a, B_ID) == 0); /* what can never be taken begins no session */
  for (i = 0; i < 4; i++) {
    memcpy(kilobyte, &i, sizeof(i));
    CHECK(snm_send_message_to_user(p.a, NOBODY_ID, kilobyte, 1024, RELIABLE, 1) == OK);
  }
  CHECK(snm_send_message_to_user(p.a, NOBODY_ID, kilobyte, 1, RELIABLE, 2) == SNM_RESULT_LIMIT_EXCEEDED);
  CHECK(status_of(p.a, NOBODY_ID).pending_reliable == 4096);
  CHECK(snm_peer_set_int(p.a, NOBODY_ID, SNM_CONFIG_SEND_BUFFER_SIZE, 4096 + 32) == OK);
  CHECK(snm_send_message_to_user(p.a, NOBODY_ID, &i, sizeof(i), RELIABLE, 1) == OK);
  CHECK(snm_send_message_to_user(p.a, NOBODY_ID, NULL, 0, RELIABLE, 1) == SNM_RESULT_LIMIT_EXCEEDED);
  CHECK(snm_send_message_to_user(p.a, NOBODY_ID, NULL, 0, SNM_SEND_UNRELIABLE, 1) == SNM_RESULT_LIMIT_EXCEEDED);
  p.b = endpoint_of(NOBODY_ID);
  introduce(p.a, NOBODY_ID, p.b);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  expect_numbers(p.b, 1, 0, 5);
}

CASE("L-send-buffer-connected", "Connected, the send buffer holds what has not left yet: 25 when it is full, OK again as it empties") {
  pair p = connected_pair();
  uint8_t *bytes = some_bytes(4096, 3);
  uint32_t taken = 0, refused = 0;
  set_one(p.a, SNM_CONFIG_SEND_BUFFER_SIZE, 16384);
  send_at(p.a, 100000);
  while (taken < 50) {
    snm_result answer;
    memcpy(bytes, &taken, sizeof(taken));
    answer = snm_send_message_to_user(p.a, B_ID, bytes, 4096, RELIABLE, 1);
    CHECK(answer == OK || answer == SNM_RESULT_LIMIT_EXCEEDED);
    CHECK(refused < 100000);
    CHECK(answer == OK || taken >= 4);
    refused += answer != OK;
    taken += answer == OK;
    if (answer != OK)
      rest(1);
  }
  CHECK(refused > 0);
  expect_numbers(p.b, 1, 0, 50);
}

CASE("L-message-size", "A peer whose RECV_MAX_MESSAGE_SIZE is 1000 takes 1000 bytes; 1001 answer 8, reliable or not, and the session does not mind") {
  pair p = make_pair();
  uint8_t *bytes = some_bytes(1001, 3);
  int32_t flags;
  set_one(p.b, SNM_CONFIG_RECV_MAX_MESSAGE_SIZE, 1000);
  connect_pair(p);
  for (flags = 0; flags <= RELIABLE; flags += RELIABLE) {
    snm_message *message;
    CHECK(snm_send_message_to_user(p.a, B_ID, bytes, 1001, flags, 1) == SNM_RESULT_INVALID_PARAM);
    CHECK(snm_send_message_to_user(p.a, B_ID, bytes, 1000, flags, 1) == OK);
    message = expect_message(p.b, 1);
    CHECK(message->size == 1000 && memcmp(message->payload, bytes, 1000) == 0 && message->flags == flags);
  }
  CHECK(snm_send_message_to_user(p.b, A_ID, bytes, 1001, RELIABLE, 1) == OK); /* the other way it is not set */
  CHECK(expect_message(p.a, 1)->size == 1001 && state_of(p.a, B_ID) == 3 && no_event(p.a) && no_event(p.b));
}

CASE("L-message-size-early", "A message queued before the peer's RECV_MAX_MESSAGE_SIZE is known, and larger, fails the session (5, 5001) with a text that says so") {
  pair p = make_pair();
  uint8_t *bytes = some_bytes(1001, 3);
  snm_event event;
  set_one(p.b, SNM_CONFIG_RECV_MAX_MESSAGE_SIZE, 1000);
  CHECK(snm_send_message_to_user(p.a, B_ID, bytes, 1001, RELIABLE, 1) == OK);
  event = expect_event(p.a, SNM_EVENT_SESSION_FAILED, B_ID);
  CHECK(event.connection_state == 5 && event.reason == 5001 && strstr(event.debug_message, "1001") != NULL);
  CHECK(state_of(p.a, B_ID) == 5);
}

CASE("L-channels", "A session sends on 4096 channels; one more answers 25, those in use go on, and all arrive") {
  pair p = make_pair();
  int32_t channel;
  set_one(p.b, SNM_CONFIG_RECV_BUFFER_MESSAGES, 10000);
  connect_pair(p); /* channel 0 */
  for (channel = 1; channel < 4096; channel++)
    CHECK(send_number(p.a, B_ID, (uint32_t)channel, RELIABLE, channel) == OK);
  all_delivered(p.a, B_ID); /* what is still on its way through the library when the limit is reached goes out as well */
  CHECK(send_number(p.a, B_ID, 4096, RELIABLE, 4096) == SNM_RESULT_LIMIT_EXCEEDED);
  CHECK(send_number(p.a, B_ID, 4096, SNM_SEND_UNRELIABLE, -1) == SNM_RESULT_LIMIT_EXCEEDED);
  CHECK(send_number(p.a, B_ID, 4096, RELIABLE, 4095) == OK);
  for (channel = 1; channel < 4095; channel++)
    expect_numbers(p.b, channel, (uint32_t)channel, 1);
  expect_numbers(p.b, 4095, 4095, 2);
  CHECK(empty(p.b, 4096) && empty(p.b, -1) && no_event(p.a) && no_event(p.b));
}

/* So many strangers ask B at once. */
static void strangers_ask(pair p, snm_endpoint **strangers, int count) {
  int i;
  for (i = 0; i < count; i++) {
    strangers[i] = endpoint_of(C_ID + (uint64_t)i);
    introduce(strangers[i], B_ID, p.b);
    CHECK(send_text(strangers[i], B_ID, "x", RELIABLE, 0) == OK);
  }
}

static int pending_of(snm_endpoint *endpoint, int count) {
  int i, pending = 0;
  for (i = 0; i < count; i++)
    pending += state_of(endpoint, C_ID + (uint64_t)i) == 1;
  return pending;
}

CASE("L-pending", "Of seven strangers MAX_PENDING_REQUESTS wait, one event each; whoever is accepted makes room for the next") {
  enum { STRANGERS = 7, LIMIT = 3 };
  pair p = make_pair();
  snm_endpoint *strangers[STRANGERS];
  snm_event event = SNM_EVENT_INIT;
  int requests = 0, i;
  set_one(p.b, SNM_CONFIG_MAX_PENDING_REQUESTS, LIMIT);
  strangers_ask(p, strangers, STRANGERS);
  WITHIN(5000, pending_of(p.b, STRANGERS) == LIMIT);
  rest(1000); /* the others try on */
  CHECK(pending_of(p.b, STRANGERS) == LIMIT);
  for (i = 0; i < STRANGERS; i++)
    CHECK(state_of(strangers[i], B_ID) == 1); /* nobody is told no */
  while (requests < STRANGERS) {
    EVENTUALLY(p.b, snm_poll_event(p.b, &event) == 1);
    CHECK(event.type == SNM_EVENT_SESSION_REQUEST && pending_of(p.b, STRANGERS) <= LIMIT);
    if (state_of(p.b, event.remote_steam_id) == 1) { /* else it asked again meanwhile */
      CHECK(snm_accept_session_with_user(p.b, event.remote_steam_id) == 1);
      requests++;
    }
  }
  for (i = 0; i < STRANGERS; i++)
    CHECK(state_of(p.b, C_ID + (uint64_t)i) == 3);
}

CASE("L-pending-none", "With MAX_PENDING_REQUESTS 0 nobody is let in, and nothing is told; whom we ask can answer") {
  pair p = make_pair();
  set_one(p.b, SNM_CONFIG_MAX_PENDING_REQUESTS, 0);
  CHECK(send_text(p.a, B_ID, "x", RELIABLE, 0) == OK);
  expect_quiet(p.b, 700);
  CHECK(state_of(p.b, A_ID) == 0 && state_of(p.a, B_ID) == 1);
  CHECK(send_text(p.b, A_ID, "y", RELIABLE, 0) == OK);
  expect_text(p.a, 0, B_ID, "y");
  expect_text(p.b, 0, A_ID, "x");
}

LONG_CASE("L-request-once", "Of one who asks again and again one request waits, however long nobody looks") {
  pair p = make_pair();
  set_one(p.a, SNM_CONFIG_TIMEOUT_INITIAL, 60000);
  CHECK(send_text(p.a, B_ID, "x", RELIABLE, 0) == OK);
  rest(12000);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  CHECK(no_event(p.b));
}

/* Sessions with so many users who are nobody fail, one after the other. */
static void many_fail(snm_endpoint *endpoint, uint64_t count) {
  uint64_t i;
  set_one(endpoint, SNM_CONFIG_TIMEOUT_INITIAL, 1);
  for (i = 0; i < count; i++) {
    CHECK(send_text(endpoint, NOBODY_ID + i, "x", RELIABLE, 0) == OK);
    WITHIN(10000, state_of(endpoint, NOBODY_ID + i) == 5);
  }
}

/* Exactly the events of the last of them wait, in order. */
static void expect_failures(snm_endpoint *endpoint, uint64_t first, uint64_t last) {
  uint64_t i;
  for (i = first; i <= last; i++) {
    snm_event event = SNM_EVENT_INIT;
    CHECK(snm_poll_event(endpoint, &event) == 1 && event.type == SNM_EVENT_SESSION_FAILED);
    CHECK(event.remote_steam_id == NOBODY_ID + i);
  }
  CHECK(no_event(endpoint));
}

CASE("L-events", "Of failures nobody takes 1024 wait, the newest; a request before them is not lost") {
  pair p = make_pair();
  CHECK(send_text(p.a, B_ID, "x", RELIABLE, 0) == OK);
  WITHIN(5000, state_of(p.b, A_ID) == 1);
  many_fail(p.b, 1040);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  expect_failures(p.b, 1040 - 1024, 1039);
}

static void SNM_CALL on_request(void *called, uint64_t remote_steam_id) {
  (void)remote_steam_id;
  ++*(int *)called;
}

static void SNM_CALL on_failed(void *called, int32_t reason, uint64_t remote_steam_id, int32_t state, const char *text) {
  (void)reason;
  (void)remote_steam_id;
  CHECK(state == 5 && text[0] != 0);
  ++*(int *)called;
}

CASE("L-events-held", "Failures without a callback, beside one for requests: 256 wait, the newest, and can still be polled") {
  snm_endpoint *a = endpoint_of(A_ID);
  int called = 0;
  many_fail(a, 300);
  snm_set_session_request_callback(a, on_request, &called);
  CHECK(snm_run_callbacks(a) == 0 && called == 0);
  expect_failures(a, 300 - 256, 299);
}

CASE("L-callbacks-at-once", "One run of the callbacks calls 1024 at most, the next the rest") {
  pair p = make_pair();
  int failures = 0, requests = 0;
  many_fail(p.b, 1024);
  CHECK(send_text(p.a, B_ID, "x", RELIABLE, 0) == OK);
  WITHIN(5000, state_of(p.b, A_ID) == 1);
  snm_set_session_request_callback(p.b, on_request, &requests);
  snm_set_session_failed_callback(p.b, on_failed, &failures);
  CHECK(snm_run_callbacks(p.b) == 1024 && failures == 1024 && requests == 0);
  CHECK(snm_run_callbacks(p.b) == 1 && requests == 1);
  CHECK(snm_run_callbacks(p.b) == 0);
}

CASE("L-batch", "A batch is as large as asked for, or all there is: sizes 1, 7, 64, 5000, in order across batches") {
  static const int32_t sizes[] = { 1, 7, 64, 5000 };
  static snm_message *messages[5000];
  pair p = connected_pair();
  uint32_t i, next = 0;
  for (i = 0; i < 400; i++)
    CHECK(send_number(p.a, B_ID, i, RELIABLE, 1) == OK);
  all_delivered(p.a, B_ID);
  for (i = 0; i < 4; i++) {
    int32_t n, count = snm_receive_messages_on_channel(p.b, 1, messages, sizes[i]);
    CHECK(count == (i == 3 ? 400 - 72 : sizes[i]));
    for (n = 0; n < count; n++)
      CHECK(number_in(messages[n]) == next++);
    snm_messages_release(messages, count);
  }
  CHECK(next == 400 && empty(p.b, 1));
}

CASE("L-self", "Sends to oneself answer 25 once RECV_BUFFER_MESSAGES or RECV_BUFFER_SIZE are unread, OK after reading; of unreliable ones the newest stay") {
  snm_endpoint *a = endpoint_of(A_ID);
  uint8_t *bytes = some_bytes(4096, 3);
  uint32_t i;
  set_one(a, SNM_CONFIG_RECV_BUFFER_MESSAGES, 10);
  set_one(a, SNM_CONFIG_RECV_BUFFER_SIZE, 4096);
  for (i = 0; i < 10; i++)
    CHECK(send_number(a, A_ID, i, RELIABLE, 1) == OK);
  CHECK(send_number(a, A_ID, 10, RELIABLE, 1) == SNM_RESULT_LIMIT_EXCEEDED);
  expect_numbers(a, 1, 0, 10);
  CHECK(snm_send_message_to_user(a, A_ID, bytes, 4096, RELIABLE, 1) == OK);
  CHECK(send_number(a, A_ID, 10, RELIABLE, 1) == SNM_RESULT_LIMIT_EXCEEDED);
  snm_message_release(expect_message(a, 1));
  for (i = 0; i < 30; i++)
    CHECK(send_number(a, A_ID, i, SNM_SEND_UNRELIABLE, 1) == OK);
  expect_numbers(a, 1, 20, 10);
}

CASE("L-addresses", "A user has 16 addresses, and 65536 users have some: one more answers 25, until some are removed") {
  snm_endpoint *a = endpoint_of(A_ID);
  char text[32];
  uint64_t i;
  for (i = 0; i < 16; i++) {
    sprintf(text, "127.0.0.1:%d", 40000 + (int)i);
    CHECK(snm_add_peer_address(a, B_ID, text) == OK);
  }
  CHECK(snm_add_peer_address(a, B_ID, text) == OK); /* known already */
  CHECK(snm_add_peer_address(a, B_ID, "127.0.0.1:50000") == SNM_RESULT_LIMIT_EXCEEDED);
  for (i = 1; i < 65536; i++)
    CHECK(snm_add_peer_address(a, NOBODY_ID + i, text) == OK);
  CHECK(snm_add_peer_address(a, NOBODY_ID + i, text) == SNM_RESULT_LIMIT_EXCEEDED);
  CHECK(snm_remove_peer_address(a, B_ID) == OK);
  CHECK(snm_add_peer_address(a, NOBODY_ID + i, text) == OK);
}

CASE("L-peer-settings", "65536 users have settings of their own, 4096 channels a priority: one more answers 25, those that have may change") {
  snm_endpoint *a = endpoint_of(A_ID);
  uint64_t i;
  int32_t channel;
  for (i = 0; i < 65536; i++)
    CHECK(snm_peer_set_int(a, NOBODY_ID + i, SNM_CONFIG_NAGLE_TIME, 1000) == OK);
  CHECK(snm_peer_set_int(a, NOBODY_ID + i, SNM_CONFIG_NAGLE_TIME, 1000) == SNM_RESULT_LIMIT_EXCEEDED);
  CHECK(snm_peer_set_int(a, NOBODY_ID, SNM_CONFIG_NAGLE_TIME, 2000) == OK);
  CHECK(snm_peer_reset(a, NOBODY_ID) == OK);
  CHECK(snm_peer_set_int(a, NOBODY_ID + i, SNM_CONFIG_NAGLE_TIME, 1000) == OK);
  for (channel = 0; channel < 4096; channel++)
    CHECK(snm_set_channel_priority(a, channel, 1) == OK);
  CHECK(snm_set_channel_priority(a, channel, 1) == SNM_RESULT_LIMIT_EXCEEDED);
  CHECK(snm_set_channel_priority(a, 0, 2) == OK);
}
