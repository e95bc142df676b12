/* Two endpoints in one process that know each other's address, and waiting for things to come true. */
#ifndef PAIR_H
#define PAIR_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200112L /* nanosleep */
#endif
#include "check.h"
#include <time.h>

#define A_ID UINT64_C(76561197960265729)
#define B_ID UINT64_C(76561197960265730)
#define C_ID UINT64_C(76561197960265731)
#define NOBODY UINT64_C(76561197960265999) /* nowhere to be found */

typedef struct pair {
  snm_endpoint *a, *b;
} pair;

static inline void introduce(snm_endpoint *to, uint64_t steam_id, snm_endpoint *whom) {
  char address[128];
  CHECK(snm_endpoint_local_address(whom, address, sizeof(address)) == SNM_RESULT_OK);
  CHECK(snm_add_peer_address(to, steam_id, address) == SNM_RESULT_OK);
}

static inline pair make_pair(void) {
  pair p;
  p.a = endpoint_of(A_ID);
  p.b = endpoint_of(B_ID);
  introduce(p.a, B_ID, p.b);
  introduce(p.b, A_ID, p.a);
  return p;
}

static inline void end_pair(pair p) {
  snm_endpoint_destroy(p.a);
  snm_endpoint_destroy(p.b);
}

/* Waits for a condition, looking every 2 ms. */
#define EVENTUALLY(endpoint, condition)                                  \
  do {                                                                   \
    int64_t until_ = snm_time_now() + INT64_C(1000) * PATIENCE;           \
    while (!(condition)) {                                               \
      CHECK("in time" && snm_time_now() < until_);                       \
      nap(endpoint);                                                     \
    }                                                                    \
  } while (0)

static inline void nap(snm_endpoint *endpoint) {
  /* snm_wait returns at once while events wait that the test does not want yet. */
  struct timespec two_ms = { 0, 2000000 };
  (void)snm_wait(endpoint, 1);
  nanosleep(&two_ms, NULL);
}

static inline snm_connection_state state_of(snm_endpoint *endpoint, uint64_t peer) {
  return snm_get_session_connection_info(endpoint, peer, NULL, NULL);
}

/* The next event, which must be of this type and about this peer. */
static inline snm_event expect_event(snm_endpoint *endpoint, int32_t type, uint64_t peer) {
  snm_event event = SNM_EVENT_INIT;
  EVENTUALLY(endpoint, snm_poll_event(endpoint, &event) == 1);
  CHECK(event.type == type);
  CHECK(event.remote_steam_id == peer);
  return event;
}

/* The next message of a channel. */
static inline snm_message *expect_message(snm_endpoint *endpoint, int32_t channel) {
  snm_message *message = NULL;
  EVENTUALLY(endpoint, snm_receive_messages_on_channel(endpoint, channel, &message, 1) == 1);
  CHECK(message != NULL);
  CHECK(message->channel == channel);
  return message;
}

static inline void expect_text(snm_endpoint *endpoint, int32_t channel, uint64_t from, const char *text) {
  snm_message *message = expect_message(endpoint, channel);
  CHECK(message->identity == from);
  CHECK(message->size == strlen(text));
  CHECK(memcmp(message->payload, text, message->size) == 0);
  snm_message_release(message);
}

static inline snm_result send_text(snm_endpoint *endpoint, uint64_t to, const char *text, int32_t flags, int32_t channel) {
  return snm_send_message_to_user(endpoint, to, text, (uint32_t)strlen(text), flags, channel);
}

/* A asks, B accepts, both stand. The first message, "hi" on channel 0, is taken. */
static inline void connect_pair(pair p) {
  CHECK(send_text(p.a, B_ID, "hi", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  expect_text(p.b, 0, A_ID, "hi");
  EVENTUALLY(p.a, state_of(p.a, B_ID) == SNM_STATE_CONNECTED);
  EVENTUALLY(p.b, state_of(p.b, A_ID) == SNM_STATE_CONNECTED);
}

#endif
