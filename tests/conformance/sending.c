/* Sending: cases 19 to 35. */
#include "kit.h"
#include <pthread.h>

enum { LARGEST = 524288 };

CASE("19", "Sending to the invalid identity answers 8 and begins no session") {
  pair p = make_pair();
  CHECK(send_text(p.a, 0, "x", RELIABLE, 0) == SNM_RESULT_INVALID_PARAM);
  CHECK(state_of(p.a, 0) == 0);
}

CASE("20", "524289 bytes answer 8 and begin no session") {
  pair p = make_pair();
  uint8_t *bytes = some_bytes(LARGEST + 1, 1);
  CHECK(snm_send_message_to_user(p.a, B_ID, bytes, LARGEST + 1, RELIABLE, 0) == SNM_RESULT_INVALID_PARAM);
  CHECK(state_of(p.a, B_ID) == 0);
}

CASE("21", "On an empty queue 524283 bytes, and 524288, are taken and arrive whole") {
  pair p = connected_pair();
  uint8_t *bytes = some_bytes(LARGEST, 1);
  uint32_t size;
  for (size = LARGEST - 5; size <= LARGEST; size += 5) {
    snm_message *message;
    CHECK(snm_send_message_to_user(p.a, B_ID, bytes, size, RELIABLE, 0) == OK);
    message = expect_message(p.b, 0);
    CHECK(message->size == size && memcmp(message->payload, bytes, size) == 0);
    WITHIN(5000, status_of(p.a, B_ID).pending_reliable == 0);
  }
}

CASE("22", "An empty message is a message, reliable and unreliable") {
  pair p = connected_pair();
  int32_t flags;
  for (flags = 0; flags <= RELIABLE; flags += RELIABLE) {
    snm_message *message;
    CHECK(snm_send_message_to_user(p.a, B_ID, NULL, 0, flags, 4) == OK);
    message = expect_message(p.b, 4);
    CHECK(message->size == 0 && message->flags == flags && message->identity == A_ID);
  }
}

/* 1000 messages of random sizes to channel 5, and a look at each that arrives. */
static void thousand(void (*look)(const snm_message *, uint32_t number, const uint8_t *bytes, uint32_t size)) {
  pair p = connected_pair();
  uint8_t *bytes = some_bytes(4000, 9);
  uint32_t sizes[1000], sent = 0, got = 0, dice = 77;
  int64_t until = snm_time_now() + 40000000;
  while (got < 1000) {
    snm_message *message = NULL;
    CHECK("in time" && snm_time_now() < until);
    if (sent < 1000) {
      snm_result answer;
      sizes[sent] = (dice = dice * 1664525u + 1013904223u) % 4001;
      bytes[0] = (uint8_t)sent;
      answer = snm_send_message_to_user(p.a, B_ID, bytes, sizes[sent], RELIABLE, 5);
      CHECK(answer == OK || answer == SNM_RESULT_LIMIT_EXCEEDED);
      sent += answer == OK;
    }
    if (snm_receive_messages_on_channel(p.b, 5, &message, 1) == 1) {
      bytes[0] = (uint8_t)got;
      look(message, got, bytes, sizes[got]);
      got++;
      snm_message_release(message);
    } else if (sent == 1000) {
      rest(1);
    }
  }
  rest(200);
  CHECK(empty(p.b, 5));
}

static void is_whole(const snm_message *message, uint32_t number, const uint8_t *bytes, uint32_t size) {
  (void)number;
  CHECK(message->size == size && memcmp(message->payload, bytes, size) == 0);
}

static void is_numbered(const snm_message *message, uint32_t number, const uint8_t *bytes, uint32_t size) {
  (void)bytes;
  (void)size;
  CHECK(message->message_number == (int64_t)number + 1);
  CHECK(message->identity == A_ID && message->connection == 0 && message->channel == 5);
}

CASE("23", "1000 reliable messages of 0 to 4000 bytes arrive once, in order, byte for byte") {
  thousand(is_whole);
}

CASE("24", "Message numbers count from 1 on a channel; identity is the sender's, connection 0") {
  thousand(is_numbered);
}

CASE("25", "16495 unreliable bytes arrive unreliable; 16496 arrive as well") {
  pair p = connected_pair();
  uint8_t *bytes = some_bytes(16496, 3);
  uint32_t size;
  for (size = 16495; size <= 16496; size++) {
    snm_message *message;
    CHECK(snm_send_message_to_user(p.a, B_ID, bytes, size, SNM_SEND_UNRELIABLE, 2) == OK);
    message = expect_message(p.b, 2);
    CHECK(message->size == size && memcmp(message->payload, bytes, size) == 0);
    CHECK(size == 16496 || message->flags == SNM_SEND_UNRELIABLE);
  }
}

CASE("26", "With a fifth of the packets lost, 500 reliable messages arrive, in order") {
  pair p = connected_pair();
  uint32_t i;
  lose_a_fifth(p);
  for (i = 0; i < 500; i++)
    CHECK(send_number(p.a, B_ID, i, RELIABLE, 1) == OK);
  expect_numbers(p.b, 1, 0, 500);
}

CASE("27", "With a fifth of the packets lost, 60 to 95 of 100 unreliable messages arrive, none twice, none corrupted") {
  pair p = connected_pair();
  uint8_t *bytes = some_bytes(100, 5), seen[500] = { 0 };
  uint32_t sent = 0, got = 0;
  int64_t until;
  lose_a_fifth(p);
  until = snm_time_now() + 20000000;
  while (snm_time_now() < until) {
    snm_message *message;
    if (sent < 500) {
      memcpy(bytes, &sent, sizeof(sent));
      CHECK(snm_send_message_to_user(p.a, B_ID, bytes, 100, SNM_SEND_NO_NAGLE, 1) == OK);
      if (++sent == 500)
        until = snm_time_now() + 1500000;
    }
    while (snm_receive_messages_on_channel(p.b, 1, &message, 1) == 1) {
      uint32_t number = number_in(message);
      CHECK(number < 500 && !seen[number]);
      CHECK(message->size == 100 && memcmp(message->payload + 4, bytes + 4, 96) == 0 && message->flags == 0);
      seen[number] = 1;
      got++;
      snm_message_release(message);
    }
    rest(10);
  }
  CHECK(sent == 500 && got >= 300 && got <= 475);
}

CASE("28", "A flood ends in 25; after a pause sends are OK again, and nothing that was OK is missing") {
  pair p = connected_pair();
  uint8_t *bytes = some_bytes(65536, 5);
  uint32_t taken = 0, got;
  snm_result answer;
  do {
    memcpy(bytes, &taken, sizeof(taken));
    answer = snm_send_message_to_user(p.a, B_ID, bytes, 65536, RELIABLE, 1);
    CHECK(answer == OK || answer == SNM_RESULT_LIMIT_EXCEEDED);
    taken += answer == OK;
    CHECK(taken < 1000);
  } while (answer == OK);
  for (got = 0; got < taken; got++) {
    snm_message *message = expect_message(p.b, 1);
    CHECK(message->size == 65536 && number_in(message) == got);
    snm_message_release(message);
  }
  CHECK(send_number(p.a, B_ID, 7, RELIABLE, 1) == OK);
  expect_numbers(p.b, 1, 7, 1);
}

CASE("29", "NoDelay behind more than a second of queue answers 41 and is not delivered") {
  pair p = connected_pair();
  uint8_t *bytes = some_bytes(300000, 5);
  snm_message *message;
  send_at(p.a, 100000);
  CHECK(snm_send_message_to_user(p.a, B_ID, bytes, 300000, RELIABLE, 1) == OK);
  rest(100);
  CHECK(send_text(p.a, B_ID, "now", SNM_SEND_NO_DELAY | SNM_SEND_NO_NAGLE, 2) == SNM_RESULT_IGNORED);
  message = expect_message(p.b, 1);
  CHECK(message->size == 300000);
  rest(300);
  CHECK(empty(p.b, 2));
}

CASE("30", "NoDelay before the connection stands answers 41 and is not delivered") {
  pair p = make_pair();
  ask(p);
  CHECK(send_text(p.a, B_ID, "now", SNM_SEND_NO_DELAY | SNM_SEND_NO_NAGLE, 2) == SNM_RESULT_IGNORED);
  CHECK(snm_accept_session_with_user(p.b, A_ID) == 1);
  expect_text(p.b, 0, A_ID, "x");
  rest(300);
  CHECK(empty(p.b, 2));
}

/* How long ten small messages took, the last with these flags; the best of several tries, microseconds. */
static int64_t ten_took(pair p, int32_t last_flags) {
  int64_t best = INT64_MAX;
  int attempt, i;
  for (attempt = 0; attempt < 8; attempt++) {
    int64_t began = snm_time_now(), took = 0;
    for (i = 0; i < 10; i++)
      CHECK(snm_send_message_to_user(p.a, B_ID, "twenty bytes of text", 20, i == 9 ? last_flags : RELIABLE, 1) == OK);
    for (i = 0; i < 10; i++) {
      snm_message *message = expect_message(p.b, 1);
      took = message->time_received - began;
      snm_message_release(message);
    }
    if (took < best)
      best = took;
    rest(50);
  }
  return best;
}

CASE("31", "Nagle: small messages wait NAGLE_TIME for company and no longer; NoNagle on the last sends all at once") {
  pair p = connected_pair();
  int64_t patient, hasty;
  set_one(p.a, SNM_CONFIG_NAGLE_TIME, 20000);
  rest(50);
  patient = ten_took(p, RELIABLE);
  hasty = ten_took(p, RELIABLE | SNM_SEND_NO_NAGLE);
  CHECK(patient >= 15000 && patient < 500000);
  CHECK(hasty < patient / 2 + 2000);
}

/* With these bits added, results and what arrives are the same. */
static void bits_change_nothing(int32_t bits) {
  pair p = connected_pair();
  int32_t flags;
  for (flags = 0; flags <= RELIABLE; flags += RELIABLE) {
    snm_message *message;
    CHECK(send_text(p.a, B_ID, "plain", flags, 1) == OK);
    CHECK(send_text(p.a, B_ID, "with bits", flags | bits, 2) == OK);
    message = expect_message(p.b, 1);
    CHECK(message->flags == flags && message->size == 5);
    message = expect_message(p.b, 2);
    CHECK(message->flags == flags && message->size == 9 && memcmp(message->payload, "with bits", 9) == 0);
  }
  CHECK(state_of(p.a, B_ID) == 3 && no_event(p.a) && no_event(p.b));
}

CASE("32", "UseCurrentThread (16) changes neither result nor delivery") {
  bits_change_nothing(SNM_SEND_USE_CURRENT_THREAD);
}

CASE("33", "AutoRestartBrokenSession (32) changes nothing on a healthy session") {
  bits_change_nothing(SNM_SEND_AUTO_RESTART_BROKEN_SESSION);
}

CASE("34", "Undefined bits count as 0 and do not reach the receiver") {
  bits_change_nothing(64 | 128);
}

typedef struct sender {
  pthread_t thread;
  snm_endpoint *endpoint;
  int32_t channel;
  int failed;
} sender;

static void *send_500(void *argument) {
  sender *s = argument;
  uint32_t i;
  for (i = 0; i < 500; i++)
    s->failed += send_number(s->endpoint, B_ID, i, RELIABLE, s->channel) != OK;
  return NULL;
}

CASE("35", "Two threads send 500 messages each on two channels: all arrive, each channel in its order") {
  pair p = connected_pair();
  sender s[2];
  int i;
  for (i = 0; i < 2; i++) {
    s[i].endpoint = p.a;
    s[i].channel = i + 1;
    s[i].failed = 0;
    CHECK(pthread_create(&s[i].thread, NULL, send_500, &s[i]) == 0);
  }
  expect_numbers(p.b, 1, 0, 500);
  expect_numbers(p.b, 2, 0, 500);
  for (i = 0; i < 2; i++)
    CHECK(pthread_join(s[i].thread, NULL) == 0 && s[i].failed == 0);
}
