/*
 * Every call of the library from inside each of its callbacks: request, failure and log, on the app's thread and
 * on the poll thread, with endpoints that share that thread and with those that do not; and at the end of the
 * callback its own endpoint destroyed, or all of them.
 */
#include "pair.h"
#include <pthread.h>

enum { LEAVE_IT, DESTROY_IT, DESTROY_ALL, ENDS };

/* What a callback has to work with. It may run on another thread. */
typedef struct scene {
  snm_endpoint *own, *other;
  int mode, end;
  int calls;
} scene;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int count(int *counter, int more) {
  pthread_mutex_lock(&lock);
  *counter += more;
  more = *counter;
  pthread_mutex_unlock(&lock);
  return more;
}

static void never_called(void *user_data, int32_t level, const char *text) {
  (void)user_data, (void)level, (void)text;
}

static void make_another_and_end_it(void) {
  snm_endpoint *another = endpoint_of(C_ID);
  CHECK(snm_wait(another, 0) == 0);
  CHECK(send_text(another, C_ID, "to myself", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  snm_endpoint_destroy(another);
  /* Inside a callback that is yet to come; its handle is good until then. */
  CHECK(state_of(another, A_ID) == SNM_STATE_NONE);
  CHECK(snm_endpoint_set_int(another, SNM_CONFIG_NAGLE_TIME, 0) == SNM_RESULT_OK);
}

/* The session `own` has with `peer` may be in any state, also ended. */
static void call_everything(const scene *s, uint64_t peer) {
  snm_endpoint *own = s->own;
  snm_message *messages[2];
  snm_event event = SNM_EVENT_INIT;
  snm_connection_info info = SNM_CONNECTION_INFO_INIT;
  snm_realtime_status status = SNM_REALTIME_STATUS_INIT;
  snm_outgoing_message out;
  snm_result result;
  char text[4096];
  uint8_t key[32];
  uint64_t to;

  CHECK(snm_get_session_connection_info(own, peer, &info, &status) == info.connection_state);
  CHECK(snm_explain_session(own, peer, text, sizeof(text)) > 0);
  (void)snm_accept_session_with_user(own, peer);
  result = send_text(own, peer, "from inside", SNM_SEND_RELIABLE | SNM_SEND_USE_CURRENT_THREAD, 9);
  CHECK(result == SNM_RESULT_OK || result == SNM_RESULT_NO_CONNECTION);
  memset(&out, 0, sizeof(out));
  out.remote_steam_id = NOBODY;
  CHECK(snm_send_messages(own, &out, 1, &result) == 1 && result == SNM_RESULT_OK);
  CHECK(snm_flush_messages_to_user(own, NOBODY) == SNM_RESULT_OK);
  CHECK(snm_close_channel_with_user(own, NOBODY, 0) == 1);
  CHECK(snm_close_session_with_user(own, NOBODY) <= 1);
  CHECK(snm_set_channel_priority(own, 9, 1) == SNM_RESULT_OK);
  snm_messages_release(messages, snm_receive_messages_on_channel(own, 5, messages, 2));

  /* Where waiting would be for oneself it does not; elsewhere it does no harm. */
  CHECK(snm_wait(own, s->mode == 1 ? -1 : 1) >= 0);
  CHECK(snm_run_callbacks(own) == 0);
  (void)snm_poll_event(own, &event);
  CHECK(snm_poll_signal(own, &to, key, sizeof(key)) == 0);
  snm_use_own_signaling(own, 0);
  snm_set_signal_callback(own, NULL, NULL);
  (void)snm_receive_signal(own, peer, key, 1);

  CHECK(snm_endpoint_set_int(own, SNM_CONFIG_NAGLE_TIME, 100) == SNM_RESULT_OK);
  CHECK(snm_endpoint_set_float(own, SNM_CONFIG_FAKE_PACKET_LOSS_SEND, 0.5) == SNM_RESULT_OK);
  CHECK(snm_endpoint_set_string(own, SNM_CONFIG_BIND_ADDRESS, "127.0.0.1:0") == SNM_RESULT_INVALID_STATE);
  (void)snm_endpoint_set_bytes(own, SNM_CONFIG_CERTIFICATE, NULL, 0);
  CHECK(snm_peer_set_int(own, peer, SNM_CONFIG_NAGLE_TIME, 200) == SNM_RESULT_OK);
  CHECK(snm_peer_set_float(own, peer, SNM_CONFIG_NAGLE_TIME, 1) == SNM_RESULT_INVALID_PARAM);
  CHECK(snm_peer_reset(own, peer) == SNM_RESULT_OK);
  CHECK(snm_endpoint_local_address(own, text, sizeof(text)) == SNM_RESULT_OK);
  CHECK(snm_add_peer_address(own, NOBODY, text) == SNM_RESULT_OK);
  CHECK(snm_add_peer_address(own, NOBODY, "localhost:9") == SNM_RESULT_OK);
  CHECK(snm_remove_peer_address(own, NOBODY) == SNM_RESULT_OK);
  CHECK(snm_identity_public_key(own, key) == SNM_RESULT_OK);
  CHECK(snm_network_changed(own) == SNM_RESULT_OK);
  CHECK(snm_time_now() > 0 && snm_version() > 0 && snm_last_error() != NULL);
  CHECK(snm_result_name(1) != NULL && snm_end_reason_name(1) != NULL && snm_connection_state_name(1) != NULL);

  /* The other side, which is in nobody's callback. */
  (void)state_of(s->other, A_ID);
  (void)snm_run_callbacks(s->other);
  make_another_and_end_it();
}

/* Its own callbacks cleared and set, all of them, then its end. */
static void finish(const scene *s) {
  snm_set_log_callback(never_called, NULL, SNM_LOG_BUG);
  snm_set_log_callback(NULL, NULL, 0);
  snm_set_session_request_callback(s->own, NULL, NULL);
  snm_set_session_failed_callback(s->own, NULL, NULL);
  if (s->end == DESTROY_IT) snm_endpoint_destroy(s->own);
  if (s->end == DESTROY_ALL) snm_shutdown_all();
  CHECK(snm_endpoint_set_int(s->own, SNM_CONFIG_NAGLE_TIME, 0) == SNM_RESULT_OK);
}

static void on_request(void *user_data, uint64_t from) {
  scene *s = (scene *)user_data;
  call_everything(s, from);
  finish(s);
  (void)count(&s->calls, 1);
}

static void on_failed(void *user_data, int32_t reason, uint64_t peer, int32_t state, const char *text) {
  scene *s = (scene *)user_data;
  CHECK(reason == SNM_END_SESSION_CLOSED && state == SNM_STATE_CLOSED_BY_PEER && text != NULL);
  call_everything(s, peer);
  finish(s);
  (void)count(&s->calls, 1);
}

/* Called from inside all that it calls, too; only its first call does more than return. */
static void on_log(void *user_data, int32_t level, const char *text) {
  scene *s = (scene *)user_data;
  CHECK(level >= SNM_LOG_BUG && text[0] != 0);
  if (count(&s->calls, 1) > 1) return;
  call_everything(s, NOBODY);
  finish(s);
}

static snm_endpoint *in_group(uint64_t steam_id, int group, int mode) {
  snm_config *config = config_for(steam_id, "127.0.0.1:0");
  CHECK(snm_config_set_int(config, SNM_CONFIG_POLL_GROUP, group) == SNM_RESULT_OK);
  CHECK(snm_config_set_int(config, SNM_CONFIG_CALLBACK_MODE, mode) == SNM_RESULT_OK);
  return endpoint_with(config);
}

static int is_dead(snm_endpoint *endpoint) {
  return snm_endpoint_set_int(endpoint, SNM_CONFIG_NAGLE_TIME, 0) == SNM_RESULT_INVALID_STATE;
}

static scene set_up(int group, int mode, int end) {
  scene s;
  memset(&s, 0, sizeof(s));
  s.own = in_group(B_ID, group, mode);
  s.other = in_group(A_ID, group, 0);
  s.mode = mode;
  s.end = end;
  introduce(s.own, A_ID, s.other);
  introduce(s.other, B_ID, s.own);
  return s;
}

static void tear_down(scene *s) {
  if (s->end != LEAVE_IT) EVENTUALLY(s->other, is_dead(s->own));
  if (s->end == DESTROY_ALL) EVENTUALLY(s->own, is_dead(s->other));
  snm_shutdown_all();
  CHECK(is_dead(s->own) && is_dead(s->other));
}

static void inside_a_request(int group, int mode, int end) {
  scene s = set_up(group, mode, end);
  snm_set_session_request_callback(s.own, on_request, &s);
  CHECK(send_text(s.other, B_ID, "x", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  EVENTUALLY(s.other, (snm_run_callbacks(s.own), count(&s.calls, 0)) == 1);
  tear_down(&s);
}

static void inside_a_failure(int group, int mode, int end) {
  scene s = set_up(group, mode, end);
  snm_set_session_failed_callback(s.own, on_failed, &s);
  CHECK(send_text(s.own, A_ID, "x", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  (void)expect_event(s.other, SNM_EVENT_SESSION_REQUEST, B_ID);
  CHECK(snm_close_session_with_user(s.other, B_ID) == 1);
  EVENTUALLY(s.other, (snm_run_callbacks(s.own), count(&s.calls, 0)) == 1);
  tear_down(&s);
}

static void inside_a_log_line(int group, int mode, int end) {
  scene s = set_up(group, 0, end);
  snm_endpoint *refused = NULL;
  (void)mode;
  snm_set_log_callback(on_log, &s, SNM_LOG_DEBUG);
  CHECK(snm_endpoint_create(NULL, &refused) == SNM_RESULT_INVALID_PARAM);
  CHECK(count(&s.calls, 0) >= 1);
  tear_down(&s);
  snm_set_log_callback(NULL, NULL, 0);
}

int main(void) {
  for (int end = LEAVE_IT; end < ENDS; end++) {
    for (int mode = 0; mode < 2; mode++) {
      for (int group = -1; group < 1; group++) {
        inside_a_request(group, mode, end);
        inside_a_failure(group, mode, end);
        inside_a_log_line(group, mode, end);
      }
    }
  }
  return 0;
}
