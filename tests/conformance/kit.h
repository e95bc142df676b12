/*
 * What every case of the specification is made of: its id and the sentence it proves, on top of the pair of
 * tests/c. A case runs in a process of its own, so it leaves nothing behind and needs no cleaning up.
 */
#ifndef KIT_H
#define KIT_H

#define _POSIX_C_SOURCE 200809L
#define DEFAULT_TIMEOUTS
#include "../c/pair.h"
#include <sys/types.h>
#include <unistd.h>

#define C_ID UINT64_C(76561197960265731)
#define NOBODY_ID UINT64_C(76561197960265799)
#define RELIABLE SNM_SEND_RELIABLE
#define OK SNM_RESULT_OK

/* One case: `CASE("12", "what it proves") { ... }`. It lists itself before main begins. */
#define CASE(id, sentence) CASE_OF(id, sentence, 0, __LINE__)

/* One that waits for ten seconds and more: it starts first, so that nobody waits for it in the end. */
#define LONG_CASE(id, sentence) CASE_OF(id, sentence, 1, __LINE__)

#define CASE_OF(id, sentence, is_long, line) CASE_AT(id, sentence, is_long, line)
#define CASE_AT(id, sentence, is_long, line)                              \
  static void case_##line(void);                                          \
  static void run_##line(int part) {                                      \
    (void)part;                                                           \
    case_##line();                                                        \
  }                                                                       \
  __attribute__((constructor)) static void list_##line(void) {            \
    list_case(id, sentence, __FILE__, run_##line, 0, is_long);            \
  }                                                                       \
  static void case_##line(void)

/* Lists a case that is one part of a table; the texts are copied. */
void list_case(const char *id, const char *sentence, const char *file, void (*run)(int part), int part, int is_long);

/* Waits for a condition for so many milliseconds at most. Bounds are generous: a slow machine is no failure. */
#define WITHIN(ms, condition)                                     \
  do {                                                            \
    int64_t before_ = snm_time_now() + (int64_t)(ms) * 1000;      \
    while (!(condition)) {                                        \
      CHECK("in time" && snm_time_now() < before_);               \
      rest(2);                                                    \
    }                                                             \
  } while (0)

static inline void rest(int32_t ms) {
  struct timespec span;
  span.tv_sec = ms / 1000;
  span.tv_nsec = (long)(ms % 1000) * 1000000;
  nanosleep(&span, NULL);
}

static inline int no_event(snm_endpoint *endpoint) {
  snm_event event = SNM_EVENT_INIT;
  return snm_poll_event(endpoint, &event) == 0;
}

/* No event comes for a while. */
static inline void expect_quiet(snm_endpoint *endpoint, int32_t ms) {
  int64_t until = snm_time_now() + (int64_t)ms * 1000;
  while (snm_time_now() < until) {
    CHECK(no_event(endpoint));
    rest(5);
  }
}

static inline void set_one(snm_endpoint *endpoint, snm_config_key key, int64_t value) {
  CHECK(snm_endpoint_set_int(endpoint, key, value) == OK);
}

static inline void set_both(pair p, snm_config_key key, int64_t value) {
  set_one(p.a, key, value);
  set_one(p.b, key, value);
}

/* A pair whose attempts to connect give up after a second and a half. */
static inline pair impatient_pair(void) {
  pair p = make_pair();
  set_both(p, SNM_CONFIG_TIMEOUT_INITIAL, 1500);
  return p;
}

static inline pair connected_pair(void) {
  pair p = make_pair();
  connect_pair(p);
  return p;
}

/* A asks with "x" on channel 0; the request stands at B. */
static inline void ask(pair p) {
  CHECK(send_text(p.a, B_ID, "x", RELIABLE, 0) == OK);
  (void)expect_event(p.b, SNM_EVENT_SESSION_REQUEST, A_ID);
}

static inline snm_endpoint *third_party(pair p) {
  snm_endpoint *c = endpoint_of(C_ID);
  introduce(c, B_ID, p.b);
  introduce(p.b, C_ID, c);
  return c;
}

static inline int32_t end_reason(snm_endpoint *endpoint, uint64_t peer) {
  snm_connection_info info = SNM_CONNECTION_INFO_INIT;
  (void)snm_get_session_connection_info(endpoint, peer, &info, NULL);
  return info.end_reason;
}

static inline snm_realtime_status status_of(snm_endpoint *endpoint, uint64_t peer) {
  snm_realtime_status status = SNM_REALTIME_STATUS_INIT;
  (void)snm_get_session_connection_info(endpoint, peer, NULL, &status);
  return status;
}

/* Everything reliable that was sent to a connected peer has arrived there. */
static inline void all_delivered(snm_endpoint *endpoint, uint64_t peer) {
  snm_realtime_status s;
  WITHIN(20000, (s = status_of(endpoint, peer), s.pending_reliable == 0 && s.send_unacknowledged_reliable == 0));
}

/* Nothing is to be read on a channel. */
static inline int empty(snm_endpoint *endpoint, int32_t channel) {
  snm_message *message = NULL;
  return snm_receive_messages_on_channel(endpoint, channel, &message, 1) == 0;
}

/* A message that is only a number, and reading one. */
static inline snm_result send_number(snm_endpoint *endpoint, uint64_t to, uint32_t number, int32_t flags, int32_t channel) {
  return snm_send_message_to_user(endpoint, to, &number, sizeof(number), flags, channel);
}

static inline uint32_t number_in(const snm_message *message) {
  uint32_t number;
  CHECK(message->size >= sizeof(number));
  memcpy(&number, message->payload, sizeof(number));
  return number;
}

/* The numbers first, first + 1, ... arrive on a channel, in order, and nothing else. */
static inline void expect_numbers(snm_endpoint *endpoint, int32_t channel, uint32_t first, uint32_t count) {
  uint32_t i;
  for (i = first; i < first + count; i++) {
    snm_message *message = expect_message(endpoint, channel);
    CHECK(number_in(message) == i);
    snm_message_release(message);
  }
  CHECK(empty(endpoint, channel));
}

static inline uint8_t *some_bytes(uint32_t size, uint32_t seed) {
  uint8_t *bytes = malloc(size + 1);
  uint32_t i;
  CHECK(bytes != NULL);
  for (i = 0; i < size; i++)
    bytes[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
  return bytes;
}

/* So many percent of what an endpoint sends is lost. */
static inline void lose(snm_endpoint *endpoint, double percent) {
  CHECK(snm_endpoint_set_float(endpoint, SNM_CONFIG_FAKE_PACKET_LOSS_SEND, percent) == OK);
}

static inline void lose_a_fifth(pair p) {
  int i;
  for (i = 0; i < 2; i++) {
    snm_endpoint *endpoint = i == 0 ? p.a : p.b;
    set_one(endpoint, SNM_CONFIG_FAKE_NETWORK_SEED, 7 + i);
    lose(endpoint, 20.0);
  }
}

/* A fixed rate, so that a queue takes a known time. */
static inline void send_at(snm_endpoint *endpoint, int64_t bytes_per_second) {
  set_one(endpoint, SNM_CONFIG_SEND_RATE_MAX, bytes_per_second);
  set_one(endpoint, SNM_CONFIG_SEND_RATE_MIN, bytes_per_second);
}

/* B in a process of its own, to be killed. Fork it before the case touches the library. */
typedef struct peer_process {
  pid_t pid;
  int to, from;
} peer_process;

peer_process fork_peer(int speaks_first);
/* Tells the waiting process where A is, and A where B is. From then on it lives. */
void wake_peer(peer_process *peer, snm_endpoint *a);
void kill_peer(peer_process *peer);

#endif
