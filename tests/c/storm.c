/*
 * The main law in real time: eight channels each way, reliable messages of 0 to 1,200 bytes and one in a
 * hundred up to 100 KB, over 20 % loss, 5 % duplicates, reordering and jitter. Every message must arrive once,
 * in order and whole. SNM_STORM_MESSAGES is how many a channel carries (1,000; the full law is 10,000).
 */
#include "pair.h"

enum { CHANNELS = 8, LARGEST = 100 * 1024, TURN = 64 };

static const int32_t channels[CHANNELS] = { 0, 1, 2, 7, -7, 1000000, INT32_MAX, INT32_MIN };

/* One channel in one direction: what was sent and received, and the digests of both. */
typedef struct flow {
  snm_endpoint *from, *to;
  uint64_t to_id;
  int32_t channel;
  uint32_t sent, received;
  uint64_t sent_digest, received_digest;
  uint64_t dice;
} flow;

static uint64_t next_random(uint64_t *dice) {
  *dice = *dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return *dice >> 33;
}

/* FNV-1a over the message's bytes, size and number, so that order counts. */
static uint64_t digest(uint64_t before, const uint8_t *bytes, uint32_t size, uint32_t number) {
  uint64_t h = before ^ number ^ ((uint64_t)size << 32);
  for (uint32_t i = 0; i < size; i++)
    h = (h ^ bytes[i]) * UINT64_C(1099511628211);
  return h * UINT64_C(1099511628211);
}

/* Sends the next message; 0 when there is no room for it now. */
static int send_next(flow *f) {
  static uint8_t bytes[LARGEST];
  const uint64_t before = f->dice;
  uint32_t size = (uint32_t)(next_random(&f->dice) % 1201);
  if (next_random(&f->dice) % 100 == 0)
    size = (uint32_t)(next_random(&f->dice) % LARGEST);
  for (uint32_t i = 0; i < size; i++)
    bytes[i] = (uint8_t)next_random(&f->dice);
  const snm_result result = snm_send_message_to_user(f->from, f->to_id, bytes, size, SNM_SEND_RELIABLE, f->channel);
  if (result == SNM_RESULT_LIMIT_EXCEEDED) {
    f->dice = before;
    return 0;
  }
  CHECK(result == SNM_RESULT_OK);
  f->sent_digest = digest(f->sent_digest, bytes, size, ++f->sent);
  return 1;
}

static uint32_t receive_all(flow *f) {
  snm_message *messages[TURN];
  const int32_t count = snm_receive_messages_on_channel(f->to, f->channel, messages, TURN);
  for (int32_t i = 0; i < count; i++) {
    CHECK(messages[i]->message_number == (int64_t)f->received + 1);
    CHECK((messages[i]->flags & SNM_SEND_RELIABLE) != 0);
    f->received_digest = digest(f->received_digest, messages[i]->payload, messages[i]->size, ++f->received);
  }
  snm_messages_release(messages, count);
  return (uint32_t)count;
}

static void set_weather(snm_endpoint *endpoint, int64_t seed) {
  CHECK(snm_endpoint_set_int(endpoint, SNM_CONFIG_FAKE_NETWORK_SEED, seed) == SNM_RESULT_OK);
  CHECK(snm_endpoint_set_float(endpoint, SNM_CONFIG_FAKE_PACKET_LOSS_SEND, 20.0) == SNM_RESULT_OK);
  CHECK(snm_endpoint_set_float(endpoint, SNM_CONFIG_FAKE_PACKET_DUP_SEND, 5.0) == SNM_RESULT_OK);
  CHECK(snm_endpoint_set_float(endpoint, SNM_CONFIG_FAKE_PACKET_REORDER_SEND, 10.0) == SNM_RESULT_OK);
  CHECK(snm_endpoint_set_float(endpoint, SNM_CONFIG_FAKE_PACKET_JITTER_SEND_AVG, 3.0) == SNM_RESULT_OK);
  CHECK(snm_endpoint_set_int(endpoint, SNM_CONFIG_FAKE_PACKET_LAG_SEND, 5) == SNM_RESULT_OK);
}

int main(void) {
  const char *wanted = getenv("SNM_STORM_MESSAGES");
  const uint32_t count = wanted != NULL ? (uint32_t)strtoul(wanted, NULL, 10) : 1000;
  static flow flows[2 * CHANNELS];
  pair p = make_pair();
  uint32_t missing = 2 * CHANNELS * count;
  int64_t progress_at;

  CHECK(count > 0);
  connect_pair(p);
  set_weather(p.a, 1);
  set_weather(p.b, 2);
  for (int i = 0; i < 2 * CHANNELS; i++) {
    flow *f = &flows[i];
    f->from = i < CHANNELS ? p.a : p.b;
    f->to = i < CHANNELS ? p.b : p.a;
    f->to_id = i < CHANNELS ? B_ID : A_ID;
    f->channel = channels[i % CHANNELS];
    f->dice = (uint64_t)i + 1;
  }
  /* Channel 0 has carried A's greeting already. */
  flows[0].sent = flows[0].received = 1;

  progress_at = snm_time_now();
  while (missing > 0) {
    uint32_t moved = 0;
    for (int i = 0; i < 2 * CHANNELS; i++) {
      const uint32_t all = count + (i == 0);
      for (int n = 0; n < TURN && flows[i].sent < all && send_next(&flows[i]); n++)
        moved++;
      const uint32_t received = receive_all(&flows[i]);
      missing -= received;
      moved += received;
    }
    if (moved > 0)
      progress_at = snm_time_now();
    else
      nap(p.a);
    /* Only a standstill is a failure, not a slow machine. */
    CHECK("it goes on" && snm_time_now() - progress_at < INT64_C(30000000));
  }
  for (int i = 0; i < 2 * CHANNELS; i++) {
    CHECK(flows[i].received == flows[i].sent);
    CHECK(flows[i].received_digest == flows[i].sent_digest);
  }
  printf("%d channels each way, %u messages each: all digests equal\n", CHANNELS, count);
  end_pair(p);
  return 0;
}
