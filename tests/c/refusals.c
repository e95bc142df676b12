/* Every function with NULL, with nonsense and with the handle of something destroyed: an answer, no crash. */
#include "check.h"

static void on_request(void *user_data, uint64_t from) { (void)user_data, (void)from; }
static void on_failed(void *user_data, int32_t reason, uint64_t peer, int32_t state, const char *text) {
  (void)user_data, (void)reason, (void)peer, (void)state, (void)text;
}
static void on_signal(void *user_data, uint64_t to, const uint8_t *signal, uint32_t size) {
  (void)user_data, (void)to, (void)signal, (void)size;
}

/* Everything that takes an endpoint, with good other arguments. `code` is what functions with codes answer. */
static void every_call_answers(snm_endpoint *ep, snm_result code) {
  char text[128];
  uint8_t key[32];
  uint64_t to = 0;
  snm_message *messages[2];
  snm_connection_info info = SNM_CONNECTION_INFO_INIT;
  snm_realtime_status status = SNM_REALTIME_STATUS_INIT;
  snm_event event = SNM_EVENT_INIT;
  snm_result results[2] = { -7, -7 };
  snm_outgoing_message out[2];
  memset(out, 0, sizeof(out));
  out[0].remote_steam_id = out[1].remote_steam_id = 7;

  CHECK(snm_send_message_to_user(ep, 7, "x", 1, SNM_SEND_RELIABLE, 0) == code);
  CHECK(snm_send_messages(ep, out, 2, results) == 0);
  CHECK(results[0] == code && results[1] == code);
  CHECK(snm_receive_messages_on_channel(ep, 0, messages, 2) == 0);
  CHECK(snm_accept_session_with_user(ep, 7) == 0);
  CHECK(snm_close_session_with_user(ep, 7) == 0);
  CHECK(snm_close_channel_with_user(ep, 7, 0) == 0);
  memset(&info.identity, 0x55, sizeof(info.identity));
  CHECK(snm_get_session_connection_info(ep, 7, &info, &status) == SNM_STATE_NONE);
  CHECK(info.identity == 0x5555555555555555u);
  CHECK(snm_flush_messages_to_user(ep, 7) == code);
  CHECK(snm_wait(ep, 0) == -1);
  CHECK(snm_wait(ep, -1) == -1);
  CHECK(snm_set_channel_priority(ep, 0, 1) == code);
  snm_set_session_request_callback(ep, on_request, NULL);
  snm_set_session_failed_callback(ep, on_failed, NULL);
  CHECK(snm_run_callbacks(ep) == 0);
  CHECK(snm_poll_event(ep, &event) == 0);
  CHECK(snm_endpoint_set_int(ep, SNM_CONFIG_NAGLE_TIME, 0) == code);
  CHECK(snm_endpoint_set_float(ep, SNM_CONFIG_FAKE_PACKET_LOSS_SEND, 0) == code);
  CHECK(snm_endpoint_set_string(ep, SNM_CONFIG_LOGIN_TOKEN, "") == code);
  CHECK(snm_endpoint_set_bytes(ep, SNM_CONFIG_CERTIFICATE, NULL, 0) == code);
  CHECK(snm_peer_set_int(ep, 7, SNM_CONFIG_NAGLE_TIME, 0) == code);
  CHECK(snm_peer_set_float(ep, 7, SNM_CONFIG_FAKE_PACKET_LOSS_SEND, 0) == code);
  CHECK(snm_peer_reset(ep, 7) == code);
  CHECK(snm_endpoint_local_address(ep, text, sizeof(text)) == code);
  CHECK(snm_add_peer_address(ep, 7, "127.0.0.1:1") == code);
  CHECK(snm_add_peer_address(ep, 7, "localhost:1") == code);
  CHECK(snm_remove_peer_address(ep, 7) == code);
  CHECK(snm_explain_session(ep, 7, text, sizeof(text)) == 0);
  CHECK(snm_identity_public_key(ep, key) == code);
  CHECK(snm_network_changed(ep) == code);
  snm_set_signal_callback(ep, on_signal, NULL);
  CHECK(snm_receive_signal(ep, 7, key, sizeof(key)) == code);
  CHECK(snm_poll_signal(ep, &to, key, sizeof(key)) == 0);
  snm_use_own_signaling(ep, 1);
  snm_endpoint_destroy(ep);
}

/* A living endpoint, and everything else that can be NULL or nonsense. */
static void every_argument_is_checked(void) {
  snm_endpoint *ep = endpoint_of(1);
  snm_event event = SNM_EVENT_INIT;
  snm_outgoing_message out;
  snm_result one = -7;
  char text[8];
  memset(&out, 0, sizeof(out));
  memset(text, 7, sizeof(text));

  REFUSED(snm_send_message_to_user(ep, 7, NULL, 1, 0, 0), SNM_RESULT_INVALID_PARAM, "NULL");
  REFUSED(snm_send_message_to_user(ep, 0, "x", 1, 0, 0), SNM_RESULT_INVALID_PARAM, "0");
  REFUSED(snm_send_message_to_user(ep, 7, "x", 524289, 0, 0), SNM_RESULT_INVALID_PARAM, "524288");
  REFUSED(snm_send_message_to_user(ep, 7, "x", UINT32_MAX, 0, 0), SNM_RESULT_INVALID_PARAM, "524288");
  CHECK(snm_send_messages(ep, NULL, 3, &one) == 0 && one == -7);
  CHECK(snm_send_messages(ep, &out, 0, &one) == 0 && one == -7);
  CHECK(snm_send_messages(ep, &out, -1, &one) == 0 && one == -7);
  CHECK(snm_send_messages(ep, &out, 1, NULL) == 0);
  CHECK(snm_send_messages(ep, &out, 1, &one) == 0 && one == SNM_RESULT_INVALID_PARAM);
  CHECK(snm_receive_messages_on_channel(ep, 0, NULL, 5) == 0);
  CHECK(snm_receive_messages_on_channel(ep, 0, NULL, 0) == 0);
  snm_message_release(NULL);
  snm_messages_release(NULL, 5);
  CHECK(snm_poll_event(ep, NULL) == 0);
  event.struct_size = 151;
  CHECK(snm_poll_event(ep, &event) == 0);
  CHECK(strstr(snm_last_error(), "snm_event") != NULL);
  REFUSED(snm_endpoint_set_string(ep, SNM_CONFIG_LOGIN_TOKEN, NULL), SNM_RESULT_INVALID_PARAM, "NULL");
  REFUSED(snm_peer_set_int(ep, 0, SNM_CONFIG_NAGLE_TIME, 0), SNM_RESULT_INVALID_PARAM, "0");
  REFUSED(snm_endpoint_local_address(ep, NULL, 128), SNM_RESULT_INVALID_PARAM, "NULL");
  REFUSED(snm_endpoint_local_address(ep, text, 5), SNM_RESULT_LIMIT_EXCEEDED, "5");
  CHECK(text[0] == 0 && text[1] == 7);
  CHECK(snm_endpoint_local_address(ep, text, 0) == SNM_RESULT_LIMIT_EXCEEDED);
  REFUSED(snm_add_peer_address(ep, 7, NULL), SNM_RESULT_INVALID_PARAM, "NULL");
  REFUSED(snm_add_peer_address(ep, 7, "nowhere"), SNM_RESULT_INVALID_PARAM, "nowhere");
  REFUSED(snm_add_peer_address(ep, 7, "\xff:1"), SNM_RESULT_INVALID_PARAM, "UTF-8");
  REFUSED(snm_add_peer_address(ep, 0, "127.0.0.1:1"), SNM_RESULT_INVALID_PARAM, "0");
  CHECK(snm_explain_session(ep, 7, NULL, 5) == 0);
  REFUSED(snm_identity_public_key(ep, NULL), SNM_RESULT_INVALID_PARAM, "NULL");
  REFUSED(snm_receive_signal(ep, 7, NULL, 5), SNM_RESULT_INVALID_PARAM, "signal");
  REFUSED(snm_receive_signal(ep, 7, (const uint8_t *)"x", 1), SNM_RESULT_INVALID_STATE, "snm_use_own_signaling");
  REFUSED(snm_receive_signal(ep, 0, (const uint8_t *)"x", 1), SNM_RESULT_INVALID_PARAM, "sender");
  REFUSED(snm_receive_signal(ep, 7, (const uint8_t *)text, 4097), SNM_RESULT_INVALID_PARAM, "4096");
  CHECK(snm_poll_signal(ep, NULL, NULL, 0) == 0);
  snm_set_session_request_callback(ep, NULL, NULL);
  snm_set_session_failed_callback(ep, NULL, NULL);
  CHECK(snm_run_callbacks(ep) == 0);
  snm_endpoint_destroy(ep);
}

static void names_are_never_null(void) {
  CHECK(strcmp(snm_result_name(SNM_RESULT_INVALID_PARAM), "SNM_RESULT_INVALID_PARAM") == 0);
  CHECK(strcmp(snm_end_reason_name(5003), "SNM_END_MISC_TIMEOUT") == 0);
  CHECK(strcmp(snm_end_reason_name(1001), "SNM_END_SESSION_CLOSED") == 0);
  CHECK(strcmp(snm_connection_state_name(3), "SNM_STATE_CONNECTED") == 0);
  CHECK(strcmp(snm_connection_state_name(-3), "SNM_STATE_DEAD") == 0);
  CHECK(strcmp(snm_result_name(INT32_MIN), "unknown") == 0);
  CHECK(strcmp(snm_end_reason_name(INT32_MAX), "unknown") == 0);
  CHECK(strcmp(snm_connection_state_name(77), "unknown") == 0);
  CHECK(snm_version() < 0x01000000u && snm_version() > 0);
  CHECK(snm_time_now() >= INT64_C(3000000000000));
}

int main(void) {
  snm_endpoint *dead, *out = (snm_endpoint *)&dead;
  snm_config *config;
  CHECK(strcmp(snm_last_error(), "") == 0);
  names_are_never_null();

  every_call_answers(NULL, SNM_RESULT_INVALID_PARAM);
  every_call_answers((snm_endpoint *)(uintptr_t)0x1234, SNM_RESULT_INVALID_STATE);
  every_call_answers((snm_endpoint *)&dead, SNM_RESULT_INVALID_STATE);
  every_call_answers((snm_endpoint *)UINTPTR_MAX, SNM_RESULT_INVALID_STATE);
  dead = endpoint_of(1);
  snm_endpoint_destroy(dead);
  every_call_answers(dead, SNM_RESULT_INVALID_STATE);
  dead = endpoint_of(2);
  snm_shutdown_all();
  snm_shutdown_all();
  every_call_answers(dead, SNM_RESULT_INVALID_STATE);
  config = snm_config_create();
  every_call_answers((snm_endpoint *)config, SNM_RESULT_INVALID_STATE);

  CHECK(snm_endpoint_create(config, NULL) == SNM_RESULT_INVALID_PARAM);
  CHECK(snm_endpoint_create(NULL, &out) == SNM_RESULT_INVALID_PARAM && out == NULL);
  CHECK(snm_endpoint_create((snm_config *)dead, &out) == SNM_RESULT_INVALID_STATE && out == NULL);
  snm_config_destroy(config);
  snm_config_destroy(config);
  snm_config_destroy(NULL);
  CHECK(snm_endpoint_create(config, &out) == SNM_RESULT_INVALID_STATE);
  CHECK(snm_config_set_int(config, SNM_CONFIG_NAGLE_TIME, 0) == SNM_RESULT_INVALID_STATE);
  CHECK(snm_config_set_int(NULL, SNM_CONFIG_NAGLE_TIME, 0) == SNM_RESULT_INVALID_PARAM);
  CHECK(snm_config_set_float(NULL, SNM_CONFIG_FAKE_PACKET_LOSS_SEND, 0) == SNM_RESULT_INVALID_PARAM);
  CHECK(snm_config_set_string(NULL, SNM_CONFIG_BIND_ADDRESS, "") == SNM_RESULT_INVALID_PARAM);
  CHECK(snm_config_set_bytes(NULL, SNM_CONFIG_IDENTITY_KEY, NULL, 0) == SNM_RESULT_INVALID_PARAM);
  every_argument_is_checked();
  return 0;
}
