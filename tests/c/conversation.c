/* Two endpoints talk: asking, accepting, both ways, closing. Poll only: no function pointer crosses. */
#include "pair.h"

static void asking_and_accepting(void) {
  pair p = make_pair();
  snm_message *message = NULL;
  snm_event event = SNM_EVENT_INIT;
  snm_connection_info info = SNM_CONNECTION_INFO_INIT;
  snm_realtime_status status = SNM_REALTIME_STATUS_INIT;
  char address[128];

  CHECK(state_of(p.a, B_ID) == SNM_STATE_NONE);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 0);
  CHECK(send_text(p.a, B_ID, "hello", SNM_SEND_RELIABLE, 3) == SNM_RESULT_OK);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  CHECK(state_of(p.a, B_ID) == SNM_STATE_CONNECTING);
  CHECK(state_of(p.b, A_ID) == SNM_STATE_CONNECTING);
  CHECK(snm_receive_messages_on_channel(p.b, 3, &message, 1) == 0);

  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  expect_text(p.b, 3, A_ID, "hello");
  CHECK(send_text(p.b, A_ID, "hello yourself", SNM_SEND_RELIABLE, -7) == SNM_RESULT_OK);
  expect_text(p.a, -7, B_ID, "hello yourself");
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);

  EVENTUALLY(p.a, state_of(p.a, B_ID) == SNM_STATE_CONNECTED);
  CHECK(snm_get_session_connection_info(p.a, B_ID, &info, &status) == SNM_STATE_CONNECTED);
  CHECK(info.struct_size == sizeof(info) && status.struct_size == sizeof(status));
  CHECK(info.connection_state == SNM_STATE_CONNECTED && status.state == SNM_STATE_CONNECTED);
  CHECK(info.identity == B_ID && info.end_reason == SNM_END_INVALID);
  CHECK(info.info_flags & SNM_INFO_UNAUTHENTICATED);
  CHECK(!(info.info_flags & (SNM_INFO_UNENCRYPTED | SNM_INFO_LOOPBACK | SNM_INFO_RELAYED)));
  CHECK(snm_endpoint_local_address(p.b, address, sizeof(address)) == SNM_RESULT_OK);
  CHECK(strcmp(info.remote_address, address) == 0);
  CHECK(info.reserved == 0 && status.reserved0 == 0 && status.reserved1 == 0);
  CHECK(status.ping >= 0 && status.send_rate > 0);
  CHECK(status.queue_time != UINT64_MAX);

  /* A structure that is too small is not written; the state is told all the same. */
  info.struct_size = 40;
  info.identity = 5;
  CHECK(snm_get_session_connection_info(p.a, B_ID, &info, NULL) == SNM_STATE_CONNECTED);
  CHECK(info.identity == 5 && strstr(snm_last_error(), "snm_connection_info") != NULL);
  CHECK(snm_poll_event(p.a, &event) == 0);
  CHECK(snm_poll_event(p.b, &event) == 0);
  end_pair(p);
}

static void a_stranger_is_all_zeros(void) {
  snm_endpoint *ep = endpoint_of(A_ID);
  snm_connection_info info, zeros;
  snm_realtime_status status;
  memset(&info, 0x55, sizeof(info));
  memset(&status, 0x55, sizeof(status));
  memset(&zeros, 0, sizeof(zeros));
  info.struct_size = zeros.struct_size = sizeof(info);
  status.struct_size = sizeof(status);
  CHECK(snm_get_session_connection_info(ep, 99, &info, &status) == SNM_STATE_NONE);
  CHECK(memcmp(&info, &zeros, sizeof(info)) == 0);
  CHECK(status.ping == 0 && status.queue_time == 0 && status.local_quality == 0);
  CHECK(snm_close_session_with_user(ep, 99) == 0);
  CHECK(snm_close_channel_with_user(ep, 99, 0) == 0);
  CHECK(snm_flush_messages_to_user(ep, 99) == SNM_RESULT_NO_CONNECTION);
  snm_endpoint_destroy(ep);
}

static void sending_back_accepts(void) {
  pair p = make_pair();
  snm_event event = SNM_EVENT_INIT;
  CHECK(send_text(p.a, B_ID, "x", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  CHECK(send_text(p.b, A_ID, "y", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  expect_text(p.a, 0, B_ID, "y");
  expect_text(p.b, 0, A_ID, "x");
  CHECK(snm_poll_event(p.a, &event) == 0);
  end_pair(p);
}

static void both_at_once_need_no_request(void) {
  pair p = make_pair();
  snm_event event = SNM_EVENT_INIT;
  CHECK(send_text(p.a, B_ID, "from a", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  CHECK(send_text(p.b, A_ID, "from b", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  expect_text(p.a, 0, B_ID, "from b");
  expect_text(p.b, 0, A_ID, "from a");
  CHECK(snm_poll_event(p.a, &event) == 0 && snm_poll_event(p.b, &event) == 0);
  end_pair(p);
}

static void rejecting(void) {
  pair p = make_pair();
  snm_connection_info info = SNM_CONNECTION_INFO_INIT;
  snm_event event;
  CHECK(send_text(p.a, B_ID, "let me in", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  CHECK(snm_close_session_with_user(p.b, A_ID) == 1);
  CHECK(state_of(p.b, A_ID) == SNM_STATE_NONE);
  event = expect_event(p.a, SNM_EVENT_SESSION_FAILED, B_ID);
  CHECK(event.struct_size == sizeof(event));
  CHECK(event.reason == SNM_END_SESSION_CLOSED && event.connection_state == SNM_STATE_CLOSED_BY_PEER);
  CHECK(snm_get_session_connection_info(p.a, B_ID, &info, NULL) == SNM_STATE_CLOSED_BY_PEER);
  CHECK(info.end_reason == SNM_END_SESSION_CLOSED);
  CHECK(send_text(p.a, B_ID, "please", SNM_SEND_RELIABLE, 0) == SNM_RESULT_NO_CONNECTION);
  CHECK(snm_accept_session_with_user(p.a, B_ID) == 0);
  CHECK(send_text(p.a, B_ID, "please", SNM_SEND_RELIABLE | SNM_SEND_AUTO_RESTART_BROKEN_SESSION, 0) == SNM_RESULT_OK);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  expect_text(p.b, 0, A_ID, "please");
  end_pair(p);
}

static void closing_tells_the_peer_quietly(void) {
  pair p = make_pair();
  snm_event event = SNM_EVENT_INIT;
  connect_pair(p);
  CHECK(snm_close_session_with_user(p.b, A_ID) == 1);
  CHECK(snm_close_session_with_user(p.b, A_ID) == 0);
  CHECK(state_of(p.b, A_ID) == SNM_STATE_NONE);
  EVENTUALLY(p.a, state_of(p.a, B_ID) != SNM_STATE_CONNECTED);
  CHECK(snm_poll_event(p.a, &event) == 0);
  end_pair(p);
}

static void the_last_channel_closes_the_session(void) {
  pair p = make_pair();
  connect_pair(p);
  CHECK(send_text(p.a, B_ID, "one", SNM_SEND_RELIABLE, 1) == SNM_RESULT_OK);
  expect_text(p.b, 1, A_ID, "one");
  CHECK(send_text(p.b, A_ID, "two", SNM_SEND_RELIABLE, 2) == SNM_RESULT_OK);
  CHECK(snm_close_channel_with_user(p.b, A_ID, 99) == 0);
  CHECK(snm_close_channel_with_user(p.b, A_ID, 0) == 1);
  CHECK(snm_close_channel_with_user(p.b, A_ID, 0) == 0);
  CHECK(snm_close_channel_with_user(p.b, A_ID, 1) == 1);
  CHECK(state_of(p.b, A_ID) == SNM_STATE_CONNECTED);
  CHECK(snm_close_channel_with_user(p.b, A_ID, 2) == 1); /* open because sent on */
  CHECK(state_of(p.b, A_ID) == SNM_STATE_NONE);
  end_pair(p);
}

static void messages_outlive_everything(void) {
  pair p = make_pair();
  snm_message *message;
  CHECK(snm_endpoint_set_int(p.b, SNM_CONFIG_CONNECTION_USER_DATA, -42) == SNM_RESULT_OK);
  connect_pair(p);
  CHECK(send_text(p.a, B_ID, "keep me", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  message = expect_message(p.b, 0);
  end_pair(p);
  snm_shutdown_all();
  CHECK(message->identity == A_ID && message->size == 7 && memcmp(message->payload, "keep me", 7) == 0);
  CHECK(message->receiver_user_data == -42 && message->sender_user_data == 0);
  CHECK(message->message_number == 2 && message->flags == SNM_SEND_RELIABLE && message->connection == 0);
  CHECK(message->time_received > 0 && message->time_received <= snm_time_now());
  snm_messages_release(&message, 1);
  CHECK(message == NULL);
  snm_messages_release(&message, 1);
}

static void explaining_and_asking(void) {
  pair p = make_pair();
  char json[8192], small[4] = "abc";
  uint8_t ours[32], theirs[32];
  int32_t length;
  connect_pair(p);
  length = snm_explain_session(p.a, B_ID, NULL, 0);
  CHECK(length > 2);
  CHECK(snm_explain_session(p.a, B_ID, small, sizeof(small)) >= 2 && strcmp(small, "abc") == 0);
  length = snm_explain_session(p.a, B_ID, json, sizeof(json));
  CHECK(length > 2 && (size_t)length == strlen(json) && json[0] == '{' && json[length - 1] == '}');
  CHECK(snm_explain_session(p.a, 99, json, sizeof(json)) > 0);
  CHECK(snm_identity_public_key(p.a, ours) == SNM_RESULT_OK && snm_identity_public_key(p.b, theirs) == SNM_RESULT_OK);
  CHECK(memcmp(ours, theirs, sizeof(ours)) != 0);
  CHECK(snm_network_changed(p.a) == SNM_RESULT_OK);
  CHECK(send_text(p.a, B_ID, "still here", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  expect_text(p.b, 0, A_ID, "still here");
  CHECK(snm_remove_peer_address(p.a, B_ID) == SNM_RESULT_OK);
  CHECK(state_of(p.a, B_ID) == SNM_STATE_CONNECTED);
  end_pair(p);
}

static void ipv6_is_as_good(void) {
  snm_connection_info info = SNM_CONNECTION_INFO_INIT;
  pair p;
  p.a = endpoint_at(A_ID, "[::1]:0");
  p.b = endpoint_at(B_ID, "[::1]:0,127.0.0.1:0");
  /* B is bound twice: A, which has IPv6 only, must pick the address it can reach. */
  introduce(p.b, A_ID, p.a);
  {
    char addresses[128], *comma;
    CHECK(snm_endpoint_local_address(p.b, addresses, sizeof(addresses)) == SNM_RESULT_OK);
    comma = strchr(addresses, ',');
    CHECK(comma != NULL);
    *comma = 0;
    CHECK(snm_add_peer_address(p.a, B_ID, comma + 1) == SNM_RESULT_OK);
    CHECK(snm_add_peer_address(p.a, B_ID, addresses) == SNM_RESULT_OK);
  }
  connect_pair(p);
  CHECK(snm_get_session_connection_info(p.a, B_ID, &info, NULL) == SNM_STATE_CONNECTED);
  CHECK(strncmp(info.remote_address, "[::1]:", 6) == 0);
  end_pair(p);
}

int main(void) {
  asking_and_accepting();
  ipv6_is_as_good();
  a_stranger_is_all_zeros();
  sending_back_accepts();
  both_at_once_need_no_request();
  rejecting();
  closing_tells_the_peer_quietly();
  the_last_channel_closes_the_session();
  messages_outlive_everything();
  explaining_and_asking();
  snm_shutdown_all();
  return 0;
}
