/* Channels: cases 36 to 47. */
#include "kit.h"

CASE("36", "Every channel number is legal, and a message arrives on its own channel alone") {
  static const int32_t channels[] = { 0, 7, -7, INT32_MAX, INT32_MIN };
  pair p = connected_pair();
  uint32_t i;
  for (i = 0; i < 5; i++)
    CHECK(send_number(p.a, B_ID, i, RELIABLE, channels[i]) == OK);
  for (i = 5; i-- > 0;)
    expect_numbers(p.b, channels[i], i, 1);
  CHECK(empty(p.b, 1) && empty(p.b, -1));
}

LONG_CASE("37", "A message nobody reads waits on its channel, half a minute as well") {
  pair p = connected_pair();
  CHECK(send_text(p.a, B_ID, "wait", RELIABLE, 3) == OK);
  rest(300);
  CHECK(empty(p.b, 4));
  rest(30000);
  CHECK(empty(p.b, 4));
  expect_text(p.b, 3, A_ID, "wait");
}

CASE("38", "A and C send on one channel: B reads both, each with its identity and in its order") {
  pair p = connected_pair();
  snm_endpoint *c = third_party(p);
  uint32_t i, of_a = 0, of_c = 0;
  CHECK(send_number(c, B_ID, 0, RELIABLE, 1) == OK);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, C_ID);
  CHECK(snm_accept_session_with_user(p.b, C_ID) == 1);
  for (i = 0; i < 50; i++) {
    CHECK(send_number(p.a, B_ID, i, RELIABLE, 1) == OK);
    CHECK(send_number(c, B_ID, i + 1, RELIABLE, 1) == OK);
  }
  while (of_a < 50 || of_c < 51) {
    snm_message *message = expect_message(p.b, 1);
    CHECK(message->identity == A_ID || message->identity == C_ID);
    CHECK(number_in(message) == (message->identity == A_ID ? of_a++ : of_c++));
    snm_message_release(message);
  }
}

static pair five_waiting(snm_message **first) {
  pair p = connected_pair();
  uint32_t i;
  for (i = 0; i < 6; i++)
    CHECK(send_number(p.a, B_ID, i, RELIABLE, i == 5 ? 2 : 1) == OK);
  *first = expect_message(p.b, 2);
  all_delivered(p.a, B_ID);
  return p;
}

CASE("39", "Reading at most 2 of 5 gives 2, 2, 1, 0") {
  static const int32_t expected[] = { 2, 2, 1, 0 };
  snm_message *messages[2];
  pair p = five_waiting(messages);
  uint32_t i, next = 0;
  for (i = 0; i < 4; i++) {
    int32_t n, count = snm_receive_messages_on_channel(p.b, 1, messages, 2);
    CHECK(count == expected[i]);
    for (n = 0; n < count; n++)
      CHECK(number_in(messages[n]) == next++);
  }
}

CASE("40", "Reading at most 0 or -1 gives 0 and takes nothing") {
  snm_message *messages[2];
  pair p = five_waiting(messages);
  CHECK(snm_receive_messages_on_channel(p.b, 1, messages, 0) == 0);
  CHECK(snm_receive_messages_on_channel(p.b, 1, messages, -1) == 0);
  expect_numbers(p.b, 1, 0, 5);
}

CASE("41", "10 bytes on another channel overtake 400 kB that were queued before them") {
  pair p = connected_pair();
  uint8_t *bytes = some_bytes(400000, 5);
  snm_message *small, *large;
  send_at(p.a, 200000);
  CHECK(snm_send_message_to_user(p.a, B_ID, bytes, 400000, RELIABLE, 1) == OK);
  CHECK(snm_send_message_to_user(p.a, B_ID, bytes, 10, RELIABLE, 2) == OK);
  small = expect_message(p.b, 2);
  large = expect_message(p.b, 1);
  CHECK(large->time_received - small->time_received > 500000);
  CHECK(large->size == 400000 && memcmp(large->payload, bytes, 400000) == 0);
}

static int by_size(const void *left, const void *right) {
  int64_t l = *(const int64_t *)left, r = *(const int64_t *)right;
  return (l > r) - (l < r);
}

CASE("42", "Beside a bulk transfer over a line that loses 5 %, small messages take at most 2 RTT + 50 ms: 99 of 100 in virtual time (small_messages_stay_quick_beside_a_bulk_transfer_with_loss), in real time nine of ten with 100 ms for the machine") {
  enum { SMALL = 80 };
  pair p = connected_pair();
  uint8_t *bytes = some_bytes(100000, 5);
  int64_t took[SMALL], sent_at = 0, until = snm_time_now() + 30000000;
  int sent = 0, got = 0;
  set_both(p, SNM_CONFIG_FAKE_PACKET_LAG_SEND, 25);
  set_one(p.a, SNM_CONFIG_FAKE_NETWORK_SEED, 3);
  CHECK(snm_endpoint_set_float(p.a, SNM_CONFIG_FAKE_PACKET_LOSS_SEND, 5.0) == OK);
  CHECK(snm_endpoint_set_float(p.b, SNM_CONFIG_FAKE_PACKET_LOSS_SEND, 5.0) == OK);
  send_at(p.a, 500000);
  while (got < SMALL) {
    snm_message *message;
    CHECK("in time" && snm_time_now() < until);
    (void)snm_send_message_to_user(p.a, B_ID, bytes, 100000, RELIABLE, 1);
    while (snm_receive_messages_on_channel(p.b, 1, &message, 1) == 1)
      snm_message_release(message);
    if (sent < SMALL && snm_time_now() - sent_at >= 50000) {
      uint8_t small[20] = { 0 };
      sent_at = snm_time_now();
      memcpy(small, &sent_at, sizeof(sent_at));
      CHECK(snm_send_message_to_user(p.a, B_ID, small, sizeof(small), RELIABLE | SNM_SEND_NO_NAGLE, 2) == OK || sent > 0);
      sent++;
    }
    while (got < SMALL && snm_receive_messages_on_channel(p.b, 2, &message, 1) == 1) {
      int64_t left;
      memcpy(&left, message->payload, sizeof(left));
      took[got++] = message->time_received - left;
      snm_message_release(message);
    }
    rest(2);
  }
  qsort(took, SMALL, sizeof(*took), by_size);
  CHECK(took[SMALL * 9 / 10] < 2 * 50000 + 150000); /* 50 ms of it for the promise, the rest for a slow machine */
}

/* B has read nothing of ch 1 and ch 2, and has closed what the greeting opened. */
static pair two_channels(void) {
  pair p = connected_pair();
  uint32_t i;
  for (i = 0; i < 5; i++)
    CHECK(send_number(p.a, B_ID, i, RELIABLE, 1) == OK);
  CHECK(send_number(p.a, B_ID, 0, RELIABLE, 2) == OK);
  CHECK(send_number(p.a, B_ID, 0, RELIABLE, 3) == OK);
  expect_numbers(p.b, 3, 0, 1);
  all_delivered(p.a, B_ID);
  CHECK(snm_close_channel_with_user(p.b, A_ID, 0) == 1);
  CHECK(snm_close_channel_with_user(p.b, A_ID, 3) == 1);
  return p;
}

CASE("43", "B closes channel 1 of two: true, its unread messages are gone, those of channel 2 are not, still connected") {
  pair p = two_channels();
  CHECK(snm_close_channel_with_user(p.b, A_ID, 1) == 1);
  CHECK(empty(p.b, 1));
  CHECK(state_of(p.b, A_ID) == 3);
  expect_numbers(p.b, 2, 0, 1);
}

CASE("44", "B closes the last channel: true, the session is closed, and A's next sends raise a request") {
  pair p = two_channels();
  snm_event event = SNM_EVENT_INIT;
  int sends;
  CHECK(snm_close_channel_with_user(p.b, A_ID, 1) == 1 && snm_close_channel_with_user(p.b, A_ID, 2) == 1);
  CHECK(state_of(p.b, A_ID) == 0);
  WITHIN(5000, state_of(p.a, B_ID) != 3);
  for (sends = 0; sends < 2 && send_text(p.a, B_ID, "again", RELIABLE, 1) != OK; sends++) {
  }
  WITHIN(5000, snm_poll_event(p.b, &event) == 1);
  CHECK(event.type == SNM_EVENT_SESSION_REQUEST && event.remote_steam_id == A_ID);
  CHECK(no_event(p.a));
}

CASE("45", "Closing a channel never used: false, and the session does not mind") {
  pair p = connected_pair();
  CHECK(snm_close_channel_with_user(p.b, A_ID, 99) == 0);
  CHECK(send_text(p.a, B_ID, "fine", RELIABLE, 1) == OK);
  expect_text(p.b, 1, A_ID, "fine");
  CHECK(state_of(p.b, A_ID) == 3 && state_of(p.a, B_ID) == 3);
}

CASE("46", "Closing a channel without a session: false") {
  pair p = make_pair();
  CHECK(snm_close_channel_with_user(p.b, A_ID, 0) == 0);
  CHECK(state_of(p.b, A_ID) == 0);
}

CASE("47", "A closed channel opens again when a message arrives on it, without a request") {
  pair p = two_channels();
  CHECK(snm_close_channel_with_user(p.b, A_ID, 1) == 1);
  CHECK(send_number(p.a, B_ID, 9, RELIABLE, 1) == OK);
  expect_numbers(p.b, 1, 9, 1);
  CHECK(no_event(p.b) && no_event(p.a));
  CHECK(snm_close_channel_with_user(p.b, A_ID, 1) == 1);
}
