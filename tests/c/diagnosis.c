/* Why a session is where it is, asked through the C ABI: a word, a sentence and numbers. */
#include "pair.h"

#define C_ID UINT64_C(76561197960265731)

static char json[16384];

/* Is that the cause, and does the sentence say this? */
static int is_cause(snm_endpoint *endpoint, uint64_t peer, const char *cause, const char *says) {
  char field[128];
  const char *why;
  int32_t length = snm_explain_session(endpoint, peer, json, sizeof(json));
  CHECK(length > 0 && (size_t)length < sizeof(json) && (size_t)length == strlen(json));
  CHECK(snprintf(field, sizeof(field), "\"cause\":\"%s\"", cause) > 0);
  CHECK(strstr(json, "\"evidence\":{") != NULL && strstr(json, "\"advice\":\"") != NULL);
  why = strstr(json, "\"why\":\"");
  CHECK(why != NULL);
  return strstr(json, field) != NULL && strstr(why, says) != NULL;
}

static void expect_cause(snm_endpoint *endpoint, uint64_t peer, const char *cause, const char *says) {
  EVENTUALLY(endpoint, is_cause(endpoint, peer, cause, says));
}

static snm_endpoint *hasty(uint64_t steam_id) {
  snm_endpoint *endpoint = endpoint_of(steam_id);
  CHECK(snm_endpoint_set_int(endpoint, SNM_CONFIG_TIMEOUT_INITIAL, 500) == SNM_RESULT_OK);
  return endpoint;
}

static void expect_failure(snm_endpoint *endpoint, uint64_t peer, int32_t reason) {
  snm_event event = expect_event(endpoint, SNM_EVENT_SESSION_FAILED, peer);
  snm_connection_info info = SNM_CONNECTION_INFO_INIT;
  CHECK(event.reason == reason);
  (void)snm_get_session_connection_info(endpoint, peer, &info, NULL);
  CHECK(info.end_reason == reason && info.end_debug[0] != '\0');
}

static void read_what_is_there(snm_endpoint *endpoint) {
  snm_message *message = NULL;
  while (snm_receive_messages_on_channel(endpoint, 0, &message, 1) == 1) {
    snm_message_release(message);
  }
}

static void nobody_is_there(void) {
  snm_endpoint *a = hasty(A_ID);
  CHECK(is_cause(a, C_ID, "no_session", "no session"));
  CHECK(send_text(a, C_ID, "where are you?", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  expect_cause(a, C_ID, "no_address", "snm_add_peer_address");
  expect_failure(a, C_ID, SNM_END_MISC_P2P_RENDEZVOUS);
  CHECK(is_cause(a, C_ID, "no_address", "ago"));
  CHECK(snm_add_peer_address(a, B_ID, "127.0.0.1:9") == SNM_RESULT_OK);
  CHECK(send_text(a, B_ID, "are you there?", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  (void)expect_event(a, SNM_EVENT_SESSION_FAILED, B_ID);
  CHECK(is_cause(a, B_ID, "no_answer", "127.0.0.1:9") || is_cause(a, B_ID, "network_unreachable", "127.0.0.1:9"));
  snm_endpoint_destroy(a);
}

static void the_app_decides_reads_and_closes(void) {
  pair p = make_pair();
  static char large[60000];
  CHECK(send_text(p.a, B_ID, "hi", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  expect_cause(p.a, B_ID, "peer_deciding", "did not accept yet");
  expect_cause(p.b, A_ID, "app_deciding", "has not accepted yet");
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  expect_text(p.b, 0, A_ID, "hi");
  expect_cause(p.a, B_ID, "connected", "Connected with 127.0.0.1:");
  while (!is_cause(p.a, B_ID, "peer_not_reading", "does not read")) {
    snm_result sent = snm_send_message_to_user(p.a, B_ID, large, sizeof(large), SNM_SEND_RELIABLE, 0);
    CHECK(sent == SNM_RESULT_OK || sent == SNM_RESULT_LIMIT_EXCEEDED);
    nap(p.a);
  }
  expect_cause(p.b, A_ID, "app_not_reading", "not read here");
  while (!is_cause(p.a, B_ID, "connected", "") || strstr(json, "\"pending_reliable\":0,") == NULL ||
         strstr(json, "\"unacknowledged\":0,") == NULL) {
    read_what_is_there(p.b);
    nap(p.b);
  }
  CHECK(snm_close_session_with_user(p.b, A_ID) == 1);
  CHECK(is_cause(p.b, A_ID, "closed_here", "This app closed"));
  expect_cause(p.a, B_ID, "closed_by_peer", "nothing was lost");
  end_pair(p);
}

int main(void) {
  nobody_is_there();
  the_app_decides_reads_and_closes();
  return 0;
}
