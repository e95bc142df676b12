/* Sizes, flags, limits, many at once, oneself, and settings of one peer. */
#include "pair.h"

enum { LARGEST = 524288 };

static uint8_t *pattern(uint32_t size) {
  uint32_t i;
  uint8_t *bytes = (uint8_t *)malloc(size);
  CHECK(bytes != NULL);
  for (i = 0; i < size; ++i) bytes[i] = (uint8_t)(i * 31 + (i >> 8));
  return bytes;
}

static void every_size_arrives(void) {
  static const uint32_t sizes[] = { 0, 1, 1199, 1200, 1201, 16496, LARGEST };
  pair p = make_pair();
  uint8_t *bytes = pattern(LARGEST);
  size_t i;
  connect_pair(p);
  for (i = 0; i < sizeof(sizes) / sizeof(*sizes); ++i) {
    snm_message *message;
    CHECK(snm_send_message_to_user(p.a, B_ID, sizes[i] ? bytes : NULL, sizes[i], SNM_SEND_RELIABLE, 5) == SNM_RESULT_OK);
    message = expect_message(p.b, 5);
    CHECK(message->size == sizes[i] && message->payload != NULL);
    CHECK(memcmp(message->payload, bytes, sizes[i]) == 0);
    CHECK(message->message_number == (int64_t)i + 1 && message->flags == SNM_SEND_RELIABLE);
    snm_message_release(message);
  }
  CHECK(snm_send_message_to_user(p.a, B_ID, bytes, LARGEST + 1, SNM_SEND_RELIABLE, 5) == SNM_RESULT_INVALID_PARAM);
  CHECK(state_of(p.a, B_ID) == SNM_STATE_CONNECTED);
  free(bytes);
  end_pair(p);
}

static void flags_do_what_they_say(void) {
  /* The last is made of undefined bits: the same as none. */
  static const int32_t flags[] = { SNM_SEND_UNRELIABLE, SNM_SEND_NO_NAGLE, SNM_SEND_UNRELIABLE | SNM_SEND_NO_DELAY,
                                   SNM_SEND_RELIABLE, SNM_SEND_RELIABLE | SNM_SEND_NO_NAGLE, SNM_SEND_USE_CURRENT_THREAD,
                                   SNM_SEND_RELIABLE | SNM_SEND_AUTO_RESTART_BROKEN_SESSION, 64 | 128 };
  pair p = make_pair();
  size_t i;
  CHECK(send_text(p.a, B_ID, "x", SNM_SEND_NO_DELAY, 0) == SNM_RESULT_IGNORED); /* nothing stands yet */
  connect_pair(p);
  for (i = 0; i < sizeof(flags) / sizeof(*flags); ++i) {
    snm_message *message;
    CHECK(send_text(p.a, B_ID, "f", flags[i], (int32_t)i) == SNM_RESULT_OK);
    message = expect_message(p.b, (int32_t)i);
    CHECK(message->flags == (flags[i] & SNM_SEND_RELIABLE));
    snm_message_release(message);
  }
  CHECK(send_text(p.a, B_ID, "nagle", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  CHECK(snm_flush_messages_to_user(p.a, B_ID) == SNM_RESULT_OK);
  expect_text(p.b, 0, A_ID, "nagle");
  end_pair(p);
}

/* What was accepted before the limit arrives; what was refused does not. */
static void the_send_buffer_has_a_limit(void) {
  pair p = make_pair();
  uint8_t *bytes = pattern(65536);
  int queued = 0, received = 0;
  snm_result answer;
  while ((answer = snm_send_message_to_user(p.a, B_ID, bytes, 65536, SNM_SEND_RELIABLE, 0)) == SNM_RESULT_OK) {
    ++queued;
    CHECK(queued <= 8);
  }
  CHECK(answer == SNM_RESULT_LIMIT_EXCEEDED);
  CHECK(queued == 8);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  for (; received < queued; ++received) {
    snm_message *message = expect_message(p.b, 0);
    CHECK(message->size == 65536 && memcmp(message->payload, bytes, 65536) == 0);
    snm_message_release(message);
  }
  CHECK(send_text(p.a, B_ID, "room again", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  expect_text(p.b, 0, A_ID, "room again");
  free(bytes);
  end_pair(p);
}

static void many_at_once_each_as_if_alone(void) {
  pair p = make_pair();
  snm_outgoing_message out[4];
  snm_result results[4];
  snm_message *messages[4];
  int i, got = 0;
  connect_pair(p);
  memset(out, 0, sizeof(out));
  for (i = 0; i < 4; ++i) {
    out[i].remote_steam_id = B_ID;
    out[i].payload = "abcd";
    out[i].size = (uint32_t)i + 1;
    out[i].flags = SNM_SEND_RELIABLE;
    out[i].channel = 9;
  }
  out[1].payload = NULL;
  out[2].remote_steam_id = 0;
  CHECK(snm_send_messages(p.a, out, 4, results) == 2);
  CHECK(results[0] == SNM_RESULT_OK && results[3] == SNM_RESULT_OK);
  CHECK(results[1] == SNM_RESULT_INVALID_PARAM && results[2] == SNM_RESULT_INVALID_PARAM);
  EVENTUALLY(p.b, (got += snm_receive_messages_on_channel(p.b, 9, messages + got, 4 - got)) == 2);
  CHECK(messages[0]->size == 1 && messages[1]->size == 4);
  snm_messages_release(messages, 2);
  CHECK(messages[0] == NULL && messages[1] == NULL);
  CHECK(snm_set_channel_priority(p.a, 9, 1) == SNM_RESULT_OK);
  end_pair(p);
}

static void receiving_takes_no_more_than_asked(void) {
  pair p = make_pair();
  snm_message *messages[5];
  int i;
  connect_pair(p);
  for (i = 0; i < 5; ++i) CHECK(send_text(p.a, B_ID, "m", SNM_SEND_RELIABLE, 4) == SNM_RESULT_OK);
  CHECK(send_text(p.a, B_ID, "last", SNM_SEND_RELIABLE, 4) == SNM_RESULT_OK);
  CHECK(snm_receive_messages_on_channel(p.b, 4, messages, 0) == 0);
  CHECK(snm_receive_messages_on_channel(p.b, 4, messages, -1) == 0);
  for (i = 0; i < 5; ++i) expect_text(p.b, 4, A_ID, "m");
  expect_text(p.b, 4, A_ID, "last");
  CHECK(snm_receive_messages_on_channel(p.b, 4, messages, 5) == 0);
  end_pair(p);
}

static void talking_to_oneself_is_a_loopback(void) {
  snm_endpoint *ep = endpoint_of(A_ID);
  snm_connection_info info = SNM_CONNECTION_INFO_INIT;
  snm_event event = SNM_EVENT_INIT;
  CHECK(send_text(ep, A_ID, "note to self", SNM_SEND_RELIABLE, 1) == SNM_RESULT_OK);
  expect_text(ep, 1, A_ID, "note to self");
  CHECK(snm_get_session_connection_info(ep, A_ID, &info, NULL) == SNM_STATE_CONNECTED);
  CHECK(info.info_flags & SNM_INFO_LOOPBACK);
  CHECK(snm_poll_event(ep, &event) == 0);
  CHECK(snm_close_session_with_user(ep, A_ID) == 1);
  snm_endpoint_destroy(ep);
}

static void settings_of_one_peer_are_its_own(void) {
  snm_endpoint *ep = endpoint_of(A_ID);
  uint8_t *bytes = pattern(8192);
  CHECK(snm_peer_set_int(ep, B_ID, SNM_CONFIG_SEND_BUFFER_SIZE, 4096) == SNM_RESULT_OK);
  CHECK(snm_send_message_to_user(ep, B_ID, bytes, 8192, SNM_SEND_RELIABLE, 0) == SNM_RESULT_LIMIT_EXCEEDED);
  CHECK(snm_send_message_to_user(ep, B_ID + 1, bytes, 8192, SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  CHECK(snm_peer_reset(ep, B_ID) == SNM_RESULT_OK);
  CHECK(snm_send_message_to_user(ep, B_ID, bytes, 8192, SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  REFUSED(snm_peer_set_int(ep, B_ID, SNM_CONFIG_SEND_BUFFER_SIZE, 1), SNM_RESULT_INVALID_PARAM, "SEND_BUFFER_SIZE");
  REFUSED(snm_peer_set_int(ep, B_ID, SNM_CONFIG_APP_ID, 1), SNM_RESULT_INVALID_STATE, "APP_ID");
  REFUSED(snm_peer_set_float(ep, B_ID, SNM_CONFIG_FAKE_PACKET_LOSS_SEND, 1), SNM_RESULT_INVALID_STATE, "FAKE_PACKET_LOSS_SEND");
  REFUSED(snm_endpoint_set_int(ep, SNM_CONFIG_APP_ID, 1), SNM_RESULT_INVALID_STATE, "APP_ID");
  REFUSED(snm_endpoint_set_int(ep, SNM_CONFIG_NAGLE_TIME, -1), SNM_RESULT_INVALID_PARAM, "NAGLE_TIME");
  CHECK(snm_endpoint_set_int(ep, SNM_CONFIG_NAGLE_TIME, 0) == SNM_RESULT_OK);
  CHECK(snm_endpoint_set_float(ep, SNM_CONFIG_FAKE_PACKET_LOSS_SEND, 5) == SNM_RESULT_OK);
  CHECK(snm_endpoint_set_string(ep, SNM_CONFIG_SIGNALING_URL, "") == SNM_RESULT_OK);
  REFUSED(snm_endpoint_set_string(ep, SNM_CONFIG_SIGNALING_URL, "http://x"), SNM_RESULT_INVALID_PARAM, "SIGNALING_URL");
  free(bytes);
  snm_endpoint_destroy(ep);
}

int main(void) {
  every_size_arrives();
  flags_do_what_they_say();
  the_send_buffer_has_a_limit();
  many_at_once_each_as_if_alone();
  receiving_takes_no_more_than_asked();
  talking_to_oneself_is_a_loopback();
  settings_of_one_peer_are_its_own();
  snm_shutdown_all();
  return 0;
}
