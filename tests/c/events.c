/* Events by callback, on this thread or on the poll thread, and what may be done inside one. */
#include "pair.h"
#include <pthread.h>

typedef struct seen {
  snm_endpoint *endpoint;
  pthread_t thread;
  int requests, failures;
  int32_t reason, state;
  uint64_t peer;
} seen;

static seen nothing_at(snm_endpoint *endpoint) {
  seen s;
  memset(&s, 0, sizeof(s));
  s.endpoint = endpoint;
  return s;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int count_of(const int *counter) {
  int value;
  pthread_mutex_lock(&lock);
  value = *counter;
  pthread_mutex_unlock(&lock);
  return value;
}

static void accept_it(void *user_data, uint64_t from) {
  seen *s = (seen *)user_data;
  CHECK(snm_accept_session_with_user(s->endpoint, from) == 1);
  pthread_mutex_lock(&lock);
  s->thread = pthread_self();
  s->peer = from;
  ++s->requests;
  pthread_mutex_unlock(&lock);
}

static void reject_it(void *user_data, uint64_t from) {
  seen *s = (seen *)user_data;
  CHECK(snm_close_session_with_user(s->endpoint, from) == 1);
  ++s->requests;
}

static void note_failure(void *user_data, int32_t reason, uint64_t peer, int32_t state, const char *text) {
  seen *s = (seen *)user_data;
  CHECK(text != NULL);
  s->reason = reason;
  s->state = state;
  s->peer = peer;
  ++s->failures;
}

static void destroy_it(void *user_data, uint64_t from) {
  seen *s = (seen *)user_data;
  snm_endpoint_destroy(s->endpoint);
  snm_endpoint_destroy(s->endpoint);
  /* Not before this callback has returned. */
  CHECK(state_of(s->endpoint, from) == SNM_STATE_CONNECTING);
  snm_set_session_request_callback(s->endpoint, NULL, NULL);
  CHECK(snm_run_callbacks(s->endpoint) == 0);
  pthread_mutex_lock(&lock);
  ++s->requests;
  pthread_mutex_unlock(&lock);
}

static void shut_it_all_down(void *user_data, uint64_t from) {
  seen *s = (seen *)user_data;
  (void)from;
  snm_shutdown_all();
  CHECK(snm_endpoint_set_int(s->endpoint, SNM_CONFIG_NAGLE_TIME, 0) == SNM_RESULT_OK);
  pthread_mutex_lock(&lock);
  ++s->requests;
  pthread_mutex_unlock(&lock);
}

static int is_dead(snm_endpoint *endpoint) {
  return snm_endpoint_set_int(endpoint, SNM_CONFIG_NAGLE_TIME, 0) == SNM_RESULT_INVALID_STATE;
}

static void callbacks_run_only_in_run_callbacks(void) {
  pair p = make_pair();
  seen s = nothing_at(p.b);
  snm_set_session_request_callback(p.b, accept_it, &s);
  CHECK(snm_run_callbacks(p.b) == 0);
  CHECK(send_text(p.a, B_ID, "x", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  CHECK(snm_wait(p.b, PATIENCE) > 0);
  CHECK(count_of(&s.requests) == 0);
  EVENTUALLY(p.b, snm_run_callbacks(p.b) == 1);
  CHECK(s.requests == 1 && s.peer == A_ID && pthread_equal(s.thread, pthread_self()));
  expect_text(p.b, 0, A_ID, "x");
  end_pair(p);
}

/* An event without a callback of its kind waits for one, or for whoever polls. */
static void an_event_without_a_callback_waits(void) {
  pair p = make_pair();
  seen s = nothing_at(p.b);
  snm_event event = SNM_EVENT_INIT;
  snm_set_session_failed_callback(p.b, note_failure, &s);
  CHECK(send_text(p.a, B_ID, "x", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  CHECK(snm_wait(p.b, PATIENCE) > 0);
  CHECK(snm_run_callbacks(p.b) == 0);
  CHECK(snm_poll_event(p.b, &event) == 1);
  CHECK(event.type == SNM_EVENT_SESSION_REQUEST && event.remote_steam_id == A_ID);
  end_pair(p);
}

static void failures_come_with_reason_and_state(void) {
  pair p = make_pair();
  seen a = nothing_at(p.a), b = nothing_at(p.b);
  snm_set_session_failed_callback(p.a, note_failure, &a);
  snm_set_session_request_callback(p.b, reject_it, &b);
  CHECK(send_text(p.a, B_ID, "x", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  EVENTUALLY(p.b, snm_run_callbacks(p.b) == 1);
  EVENTUALLY(p.a, snm_run_callbacks(p.a) == 1);
  CHECK(a.failures == 1 && a.peer == B_ID);
  CHECK(a.reason == SNM_END_SESSION_CLOSED && a.state == SNM_STATE_CLOSED_BY_PEER);
  end_pair(p);
}

static void the_poll_thread_calls_in_mode_1(void) {
  pair p = make_pair();
  seen s = nothing_at(p.b);
  CHECK(snm_endpoint_set_int(p.b, SNM_CONFIG_CALLBACK_MODE, 1) == SNM_RESULT_OK);
  CHECK(send_text(p.a, B_ID, "x", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  CHECK(snm_wait(p.b, PATIENCE) > 0); /* the request is there before the callback is */
  snm_set_session_request_callback(p.b, accept_it, &s);
  EVENTUALLY(p.a, count_of(&s.requests) == 1);
  snm_set_session_request_callback(p.b, NULL, NULL);
  CHECK(!pthread_equal(s.thread, pthread_self()));
  CHECK(snm_run_callbacks(p.b) == 0);
  expect_text(p.b, 0, A_ID, "x");
  end_pair(p);
}

static void destroying_inside_a_callback(int mode, snm_session_request_fn how) {
  pair p = make_pair();
  seen s = nothing_at(p.b);
  int64_t until;
  CHECK(snm_endpoint_set_int(p.b, SNM_CONFIG_CALLBACK_MODE, mode) == SNM_RESULT_OK);
  snm_set_session_request_callback(p.b, how, &s);
  CHECK(send_text(p.a, B_ID, "x", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  until = snm_time_now() + INT64_C(1000) * PATIENCE;
  while (!is_dead(p.b)) {
    CHECK(snm_time_now() < until);
    if (mode == 0) (void)snm_run_callbacks(p.b);
    nap(p.a);
  }
  CHECK(count_of(&s.requests) == 1);
  CHECK(snm_wait(p.b, -1) == -1);
  snm_endpoint_destroy(p.b);
  snm_endpoint_destroy(p.a);
  snm_shutdown_all();
}

static void *wait_for_ever(void *endpoint) {
  int32_t answer = snm_wait((snm_endpoint *)endpoint, -1);
  CHECK(answer == -1);
  return NULL;
}

static void waiting_ends_with_the_endpoint(void) {
  snm_endpoint *ep = endpoint_of(A_ID);
  pthread_t threads[3];
  int i;
  CHECK(snm_wait(ep, 0) == 0);
  CHECK(snm_wait(ep, 1) == 0);
  for (i = 0; i < 3; ++i) CHECK(pthread_create(&threads[i], NULL, wait_for_ever, ep) == 0);
  nap(ep);
  snm_endpoint_destroy(ep);
  for (i = 0; i < 3; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(void) {
  callbacks_run_only_in_run_callbacks();
  an_event_without_a_callback_waits();
  failures_come_with_reason_and_state();
  the_poll_thread_calls_in_mode_1();
  destroying_inside_a_callback(0, destroy_it);
  destroying_inside_a_callback(1, destroy_it);
  destroying_inside_a_callback(0, shut_it_all_down);
  destroying_inside_a_callback(1, shut_it_all_down);
  waiting_ends_with_the_endpoint();
  return 0;
}
