/*
 * An endpoint is destroyed while other threads wait for it, send, receive and ask: hundreds of times, by one
 * thread, by two at once, from inside its callback on either thread. Everybody is told, nobody hangs, its peer
 * goes on. SNM_FAREWELLS is how often (200).
 */
#include "pair.h"
#include <pthread.h>

#define HOST_ID C_ID

enum { WAITER, SENDER, RECEIVER, ASKER, DESTROYER, SECOND_DESTROYER, ROLES };

/* How an endpoint ends. */
enum { BY_ONE, BY_TWO, IN_RUN_CALLBACKS, ON_THE_POLL_THREAD, WAYS };

static pthread_barrier_t begins, ends, inside;
static snm_endpoint *host; /* lives through all of it */
static snm_endpoint *mortal; /* of this round; written between the rounds */
static int round_now, rounds = 200;

static int is_dead(snm_endpoint *endpoint) {
  return snm_endpoint_set_int(endpoint, SNM_CONFIG_NAGLE_TIME, 0) == SNM_RESULT_INVALID_STATE;
}

static void pause_for(int microseconds) {
  struct timespec pause = { 0, microseconds * 1000 };
  nanosleep(&pause, NULL);
}

static void destroy_it(void *user_data, uint64_t from) {
  CHECK(from == HOST_ID);
  snm_endpoint_destroy((snm_endpoint *)user_data);
}

static void accept_it(void *user_data, uint64_t from) {
  CHECK(from == HOST_ID);
  (void)snm_accept_session_with_user((snm_endpoint *)user_data, from);
}

static void play(int role, snm_endpoint *ep, int number) {
  snm_connection_info info = SNM_CONNECTION_INFO_INIT;
  snm_event event = SNM_EVENT_INIT;
  snm_message *messages[8];
  char text[4096];
  const int way = number % WAYS;
  switch (role) {
    case WAITER:
      while (snm_wait(ep, -1) >= 0) pause_for(50); /* for what others take */
      CHECK(is_dead(ep));
      break;
    case SENDER:
      for (;;) {
        /* To send to who asks would accept, and there would be no callback to be destroyed in. */
        const uint64_t to = way < IN_RUN_CALLBACKS ? HOST_ID : NOBODY;
        const snm_result result = send_text(ep, to, "still here", SNM_SEND_RELIABLE, 1);
        if (result == SNM_RESULT_INVALID_STATE) break;
        CHECK(result == SNM_RESULT_OK || result == SNM_RESULT_LIMIT_EXCEEDED);
      }
      break;
    case RECEIVER:
      do {
        const int32_t count = snm_receive_messages_on_channel(ep, 0, messages, 8);
        (void)snm_run_callbacks(ep);
        for (int32_t i = 0; i < count; i++) CHECK(messages[i]->size == 2 && memcmp(messages[i]->payload, "hi", 2) == 0);
        snm_messages_release(messages, count);
      } while (!is_dead(ep));
      break;
    case ASKER:
      do {
        (void)snm_get_session_connection_info(ep, HOST_ID, &info, NULL);
        (void)snm_explain_session(ep, HOST_ID, text, sizeof(text));
        (void)snm_flush_messages_to_user(ep, HOST_ID);
        if (way < IN_RUN_CALLBACKS) (void)snm_poll_event(ep, &event);
      } while (snm_peer_set_int(ep, HOST_ID, SNM_CONFIG_NAGLE_TIME, 7) == SNM_RESULT_OK);
      CHECK(strstr(snm_last_error(), "destroyed") != NULL);
      break;
    case DESTROYER:
      if (way >= IN_RUN_CALLBACKS) break;
      pause_for(number % 40 * 50); /* in every stage of the handshake, and after it */
      snm_endpoint_destroy(ep);
      CHECK(is_dead(ep));
      break;
    default:
      if (way != BY_TWO) break;
      pause_for(number % 40 * 50);
      snm_endpoint_destroy(ep);
      CHECK(is_dead(ep));
  }
}

static void *perform(void *role) {
  for (int i = 0; i < rounds; i++) {
    pthread_barrier_wait(&begins);
    play(*(const int *)role, mortal, round_now);
    pthread_barrier_wait(&ends);
  }
  return NULL;
}

/* Each has a steam id of its own: what one of them asked for at the last moment is not the next one's. */
static void one_farewell(int number) {
  const int way = number % WAYS;
  const uint64_t steam_id = NOBODY + 1 + (uint64_t)number;
  mortal = endpoint_of(steam_id);
  round_now = number;
  introduce(mortal, HOST_ID, host);
  introduce(host, steam_id, mortal);
  CHECK(snm_endpoint_set_int(mortal, SNM_CONFIG_CALLBACK_MODE, way == ON_THE_POLL_THREAD) == SNM_RESULT_OK);
  snm_set_session_request_callback(mortal, way < IN_RUN_CALLBACKS ? accept_it : destroy_it, mortal);
  CHECK(send_text(host, steam_id, "hi", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  pthread_barrier_wait(&begins);
  pthread_barrier_wait(&ends);
  CHECK(is_dead(mortal) && snm_wait(mortal, -1) == -1);
  CHECK(snm_close_session_with_user(host, steam_id) <= 1);
  CHECK(snm_remove_peer_address(host, steam_id) == SNM_RESULT_OK);
}

/* ---- Two callbacks, each of which destroys the endpoint of the other ------------------------------------- */

static void meet_and_destroy(void *user_data, uint64_t from) {
  CHECK(from == HOST_ID);
  pthread_barrier_wait(&inside); /* both are in their callback now */
  snm_endpoint_destroy((snm_endpoint *)user_data);
}

static void *run_callbacks_until_dead(void *endpoint) {
  while (!is_dead((snm_endpoint *)endpoint)) {
    (void)snm_run_callbacks((snm_endpoint *)endpoint);
    pause_for(100);
  }
  return NULL;
}

static void each_destroys_the_other(int mode) {
  const uint64_t ids[2] = { A_ID, B_ID };
  pair p = make_pair();
  snm_endpoint *const both[2] = { p.a, p.b };
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) {
    CHECK(snm_endpoint_set_int(both[i], SNM_CONFIG_CALLBACK_MODE, mode) == SNM_RESULT_OK);
    introduce(host, ids[i], both[i]);
    CHECK(send_text(host, ids[i], "hi", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
    CHECK(snm_wait(both[i], PATIENCE) > 0);
  }
  for (int i = 0; i < 2; i++) {
    snm_set_session_request_callback(both[i], meet_and_destroy, both[1 - i]);
    CHECK(pthread_create(&threads[i], NULL, run_callbacks_until_dead, both[i]) == 0);
  }
  for (int i = 0; i < 2; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(snm_close_session_with_user(host, ids[i]) <= 1);
    CHECK(snm_remove_peer_address(host, ids[i]) == SNM_RESULT_OK);
  }
}

/* ---- Callbacks that take longer than destroying waits for the poll thread -------------------------------- */

static int returned = 0;

static void take_long(void *user_data, uint64_t from) {
  (void)user_data, (void)from;
  pthread_barrier_wait(&inside);
  pause_for(999999);
  __atomic_store_n(&returned, 1, __ATOMIC_RELEASE);
}

static void take_a_while(void *user_data, uint64_t from) {
  (void)user_data, (void)from;
  pause_for(60000); /* much less than destroying waits now, even on a busy machine */
}

/* One of two on the same poll thread, which calls their callbacks. */
static snm_endpoint *on_a_shared_thread(uint64_t steam_id) {
  snm_config *config = config_for(steam_id, "127.0.0.1:0");
  snm_endpoint *endpoint;
  CHECK(snm_config_set_int(config, SNM_CONFIG_POLL_GROUP, 1) == SNM_RESULT_OK);
  CHECK(snm_config_set_int(config, SNM_CONFIG_CALLBACK_MODE, 1) == SNM_RESULT_OK);
  endpoint = endpoint_with(config);
  introduce(host, steam_id, endpoint);
  CHECK(send_text(host, steam_id, "hi", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  CHECK(snm_wait(endpoint, PATIENCE) > 0);
  return endpoint;
}

static void destroying_waits_for_slow_callbacks_and_frees_the_port(void) {
  char address[128];
  snm_endpoint *mate = on_a_shared_thread(A_ID), *ep = on_a_shared_thread(B_ID);
  CHECK(snm_endpoint_local_address(ep, address, sizeof(address)) == SNM_RESULT_OK);
  snm_set_session_request_callback(ep, take_long, NULL);
  pthread_barrier_wait(&inside);
  /* When it comes back from the one callback, the poll thread goes on to the other. */
  snm_set_session_request_callback(mate, take_a_while, NULL);
  snm_endpoint_destroy(ep);
  CHECK(__atomic_load_n(&returned, __ATOMIC_ACQUIRE) == 1);
  snm_endpoint_destroy(endpoint_at(B_ID, address));
  snm_endpoint_destroy(mate);
}

int main(void) {
  static int roles[ROLES];
  pthread_t threads[ROLES];
  const char *wanted = getenv("SNM_FAREWELLS");
  if (wanted != NULL) rounds = atoi(wanted);
  CHECK(rounds > 0);
  host = endpoint_of(HOST_ID);
  CHECK(pthread_barrier_init(&begins, NULL, ROLES + 1) == 0);
  CHECK(pthread_barrier_init(&ends, NULL, ROLES + 1) == 0);
  CHECK(pthread_barrier_init(&inside, NULL, 2) == 0);
  for (int i = 0; i < ROLES; i++) {
    roles[i] = i;
    CHECK(pthread_create(&threads[i], NULL, perform, &roles[i]) == 0);
  }
  for (int i = 0; i < rounds; i++) one_farewell(i);
  for (int i = 0; i < ROLES; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  for (int i = 0; i < rounds / 10 + 1; i++) each_destroys_the_other(i % 2);
  destroying_waits_for_slow_callbacks_and_frees_the_port();
  snm_shutdown_all();
  return 0;
}
