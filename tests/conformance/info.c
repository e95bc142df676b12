/* Info, restart and robustness: cases 58 to 60. */
#include "kit.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

/* What case 58 asks of a session over 50 ms each way after 12 s with traffic. */
static int is_well(const snm_realtime_status *s) {
  return s->state == 3 && s->ping >= 95 && s->ping <= 115 && s->local_quality >= 0.99f && s->local_quality <= 1.0f &&
         (s->remote_quality == -1.0f || (s->remote_quality >= 0.99f && s->remote_quality <= 1.0f)) &&
         s->packets_out_per_second > 0 && s->bytes_out_per_second > 0 && s->packets_in_per_second > 0 &&
         s->bytes_in_per_second > 0 && s->send_rate > 0 && s->queue_time < 10000000;
}

LONG_CASE("58", "12 s over 50 ms each way: info tells state 3, ping 95 to 115, qualities from 0.99, rates in and out, a queue that empties; a stranger is all zeros") {
  pair p = connected_pair();
  snm_connection_info info = SNM_CONNECTION_INFO_INIT, no_info = SNM_CONNECTION_INFO_INIT;
  snm_realtime_status s = SNM_REALTIME_STATUS_INIT, zeros = SNM_REALTIME_STATUS_INIT;
  int64_t began = snm_time_now();
  uint32_t i;
  set_both(p, SNM_CONFIG_FAKE_PACKET_LAG_SEND, 50);
  for (i = 0; snm_time_now() - began < 12000000 || !is_well(&s); i++) {
    CHECK("in time" && snm_time_now() - began < 40000000);
    CHECK(send_number(p.a, B_ID, i, RELIABLE, 1) == OK && send_number(p.b, A_ID, i, RELIABLE, 1) == OK);
    rest(40);
    CHECK(number_in(expect_message(p.a, 1)) == i && number_in(expect_message(p.b, 1)) == i);
    s = status_of(p.a, B_ID);
    CHECK(s.state == 3 && s.send_rate > 0 && s.queue_time != UINT64_MAX);
  }
  WITHIN(5000, (s = status_of(p.a, B_ID), s.pending_reliable == 0 && s.send_unacknowledged_reliable == 0));
  CHECK(s.pending_unreliable == 0 && s.queue_time == 0);
  CHECK(snm_get_session_connection_info(p.a, NOBODY_ID, &info, &s) == 0);
  CHECK(memcmp(&s, &zeros, sizeof(s)) == 0 && memcmp(&info, &no_info, sizeof(info)) == 0);
}

CASE("59", "The peer is killed, restarts and sends at once: a request or its message within 3 s, and the session that stands is the new one") {
  peer_process first = fork_peer(0), second = fork_peer(1);
  snm_endpoint *a = endpoint_of(A_ID);
  snm_event event = SNM_EVENT_INIT;
  snm_message *message = NULL;
  int asked = 0, i;
  wake_peer(&first, a);
  for (i = 0; i < 3; i++)
    CHECK(send_text(a, B_ID, "hello", RELIABLE, 0) == OK);
  WITHIN(10000, state_of(a, B_ID) == 3);
  all_delivered(a, B_ID);
  kill_peer(&first);
  wake_peer(&second, a);
  WITHIN(3000, (asked = snm_poll_event(a, &event)) == 1 || snm_receive_messages_on_channel(a, 0, &message, 1) == 1);
  if (asked) {
    CHECK(event.type == SNM_EVENT_SESSION_REQUEST && event.remote_steam_id == B_ID);
    CHECK(state_of(a, B_ID) == 1); /* not the old 3 */
    CHECK(snm_accept_session_with_user(a, B_ID) == 1);
    message = expect_message(a, 0);
  }
  CHECK(message->size == 10 && memcmp(message->payload, "here again", 10) == 0 && message->message_number == 1);
  CHECK(state_of(a, B_ID) == 3 && no_event(a));
  CHECK(send_text(a, B_ID, "welcome", RELIABLE, 0) == OK);
  all_delivered(a, B_ID);
  kill_peer(&second);
}

/* Stands between A and B, hands on every datagram, and sends altered copies and noise to A as well. */
typedef struct meddler {
  int to_a, to_b; /* sockets: one A sees, one B sees */
  struct sockaddr_in a;
  int noise, stop;
} meddler;

static struct sockaddr_in address_of(int s) {
  struct sockaddr_in address;
  socklen_t length = sizeof(address);
  CHECK(getsockname(s, (struct sockaddr *)&address, &length) == 0);
  return address;
}

static int local_socket(void) {
  struct sockaddr_in any;
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  memset(&any, 0, sizeof(any));
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(s >= 0 && bind(s, (struct sockaddr *)&any, sizeof(any)) == 0);
  return s;
}

static void hand_to(int s, const void *bytes, size_t size, const struct sockaddr_in *where) {
  (void)sendto(s, bytes, size, 0, (const struct sockaddr *)where, sizeof(*where));
}

static void *meddle(void *argument) {
  meddler *m = argument;
  struct sockaddr_in b, from;
  uint8_t bytes[2048], last[2048];
  ssize_t size, last_size = 0;
  uint32_t dice = 1;
  int i;
  memset(&b, 0, sizeof(b));
  while (!__atomic_load_n(&m->stop, __ATOMIC_SEQ_CST)) {
    struct pollfd ready[2] = { { 0, POLLIN, 0 }, { 0, POLLIN, 0 } };
    ready[0].fd = m->to_a;
    ready[1].fd = m->to_b;
    (void)poll(ready, 2, 1);
    if (ready[0].revents & POLLIN) {
      size = recv(m->to_a, bytes, sizeof(bytes), 0);
      if (size > 0 && b.sin_port != 0)
        hand_to(m->to_b, bytes, (size_t)size, &b);
    }
    if (ready[1].revents & POLLIN) {
      socklen_t length = sizeof(from);
      size = recvfrom(m->to_b, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &length);
      if (size > 0) {
        b = from;
        hand_to(m->to_a, bytes, (size_t)size, &m->a);
        memcpy(last, bytes, (size_t)size);
        last_size = size;
      }
    }
    for (i = 0; i < 10 && __atomic_load_n(&m->noise, __ATOMIC_SEQ_CST) > 0 && last_size > 0; i++) {
      dice = dice * 1664525u + 1013904223u;
      if (i % 2 == 0) { /* a real one with a bit turned */
        memcpy(bytes, last, (size_t)last_size);
        bytes[(dice >> 8) % (uint32_t)last_size] ^= (uint8_t)(1u << (dice >> 29));
        hand_to(m->to_a, bytes, (size_t)last_size, &m->a);
      } else {
        uint32_t n, noise_size = (dice >> 8) % 1300;
        for (n = 0; n < noise_size; n++)
          bytes[n] = (uint8_t)((dice = dice * 1664525u + 1013904223u) >> 24);
        hand_to(m->to_a, bytes, noise_size, &m->a);
      }
      (void)__atomic_sub_fetch(&m->noise, 1, __ATOMIC_SEQ_CST);
    }
  }
  return NULL;
}

static long resident_bytes(void) {
  long pages = 0, ignored;
  FILE *statm = fopen("/proc/self/statm", "r");
  CHECK(statm != NULL && fscanf(statm, "%ld %ld", &ignored, &pages) == 2);
  fclose(statm);
  return pages * sysconf(_SC_PAGESIZE);
}

/* Messages flow while so many altered and random datagrams arrive at A. */
static void talk_through(pair p, meddler *m, int noise) {
  uint32_t i = 0;
  __atomic_store_n(&m->noise, noise, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&m->noise, __ATOMIC_SEQ_CST) > 0 || i < 20) {
    uint8_t garbage[64];
    uint32_t n;
    for (n = 0; n < sizeof(garbage); n++)
      garbage[n] = (uint8_t)(i * 31 + n * n * 7);
    (void)snm_receive_signal(p.a, B_ID, garbage, 1 + i % 64);
    CHECK(send_number(p.b, A_ID, i, RELIABLE, 1) == OK && send_number(p.a, B_ID, i, RELIABLE, 1) == OK);
    expect_numbers(p.a, 1, i, 1);
    expect_numbers(p.b, 1, i, 1);
    CHECK(state_of(p.a, B_ID) == 3);
    i++;
  }
}

/* How many of them wait for an accept. */
static int strangers_waiting(snm_endpoint *endpoint, int strangers) {
  int i, waiting = 0;
  for (i = 0; i < strangers; i++)
    waiting += state_of(endpoint, C_ID + 100 + (uint64_t)i) == 1;
  return waiting;
}

CASE("60", "10000 altered and random datagrams: still connected, no event, under 1 MB more memory; of 100 strangers only MAX_PENDING_REQUESTS wait") {
  enum { STRANGERS = 100, LIMIT = 8 };
  pair p;
  meddler m;
  pthread_t thread;
  char text[128];
  snm_endpoint *strangers[STRANGERS];
  snm_event event = SNM_EVENT_INIT;
  long before;
  int i;
  p.a = endpoint_of(A_ID);
  p.b = endpoint_of(B_ID);
  memset(&m, 0, sizeof(m));
  m.to_a = local_socket();
  m.to_b = local_socket();
  CHECK(snm_endpoint_local_address(p.a, text, sizeof(text)) == OK);
  m.a.sin_family = AF_INET;
  m.a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  m.a.sin_port = htons((uint16_t)atoi(strrchr(text, ':') + 1));
  CHECK(pthread_create(&thread, NULL, meddle, &m) == 0);
  sprintf(text, "127.0.0.1:%d", ntohs(address_of(m.to_b).sin_port));
  CHECK(snm_add_peer_address(p.b, A_ID, text) == OK);
  CHECK(send_text(p.b, A_ID, "hi", RELIABLE, 0) == OK);
  (void)expect_event(p.a, SNM_EVENT_SESSION_REQUEST, B_ID);
  CHECK(snm_accept_session_with_user(p.a, B_ID) == 1);
  expect_text(p.a, 0, B_ID, "hi");

  talk_through(p, &m, 1000); /* let buffers reach their size */
  for (i = 0; i < 20; i++)
    rest(5);
  before = resident_bytes();
  talk_through(p, &m, 10000);
  CHECK(resident_bytes() - before < 1024 * 1024);
  CHECK(no_event(p.a) && no_event(p.b));

  set_one(p.a, SNM_CONFIG_MAX_PENDING_REQUESTS, LIMIT);
  for (i = 0; i < STRANGERS; i++) {
    strangers[i] = endpoint_of(C_ID + 100 + (uint64_t)i);
    introduce(strangers[i], A_ID, p.a);
    CHECK(send_text(strangers[i], A_ID, "me too", RELIABLE, 0) == OK);
  }
  talk_through(p, &m, 200);
  WITHIN(8000, strangers_waiting(p.a, STRANGERS) > 0);
  rest(1000);
  CHECK(strangers_waiting(p.a, STRANGERS) <= LIMIT);
  while (snm_poll_event(p.a, &event) == 1)
    CHECK(event.type == SNM_EVENT_SESSION_REQUEST && event.remote_steam_id != B_ID);
  CHECK(send_text(p.b, A_ID, "still here", RELIABLE, 2) == OK);
  expect_text(p.a, 2, B_ID, "still here");
  CHECK(state_of(p.a, B_ID) == 3);
  __atomic_store_n(&m.stop, 1, __ATOMIC_SEQ_CST);
  CHECK(pthread_join(thread, NULL) == 0);
}
