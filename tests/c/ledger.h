/*
 * Who sent what and what arrived, when many threads send on the same channels and many receive. A message says
 * which thread sent it and as its which; its number says where it stands in its channel. So the order is judged
 * when all is over, whichever thread received it: every number once, and each thread's messages in its order.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "check.h"

enum { LEDGER_THREADS = 8, LEDGER_SIZE = 1 << 15, LETTER = 16, LARGEST_LETTER = 3000 };

/* One channel in one direction. */
typedef struct ledger {
  uint32_t sent[LEDGER_THREADS];  /* by each thread, which alone writes it */
  uint32_t arrived[LEDGER_SIZE];  /* by number - 1: thread in the high byte, its count below; 0 for not yet */
  uint32_t count;                 /* of those that arrived */
} ledger;

/* A message: who, which, how long; then bytes that follow from these. */
static inline uint32_t write_letter(uint8_t *bytes, uint32_t thread, uint32_t which, uint32_t size) {
  const uint32_t head[4] = { thread, which, size, thread * 31u + which * 7u + size };
  memcpy(bytes, head, LETTER);
  memset(bytes + LETTER, (int)(head[3] & 0xff), size - LETTER);
  return size;
}

/* Checks that a letter is whole; its thread in the high byte, its count below. */
static inline uint32_t read_letter(const snm_message *message) {
  uint32_t head[4];
  CHECK(message->size >= LETTER && message->size <= LARGEST_LETTER);
  memcpy(head, message->payload, LETTER);
  CHECK(head[2] == message->size && head[3] == head[0] * 31u + head[1] * 7u + head[2]);
  for (uint32_t i = LETTER; i < message->size; i++) CHECK(message->payload[i] == (uint8_t)(head[3] & 0xff));
  CHECK(head[0] < LEDGER_THREADS && head[1] < (1u << 24));
  return head[0] << 24 | head[1];
}

static inline void enter(ledger *l, int64_t number, uint32_t letter) {
  uint32_t before;
  CHECK(number >= 1 && number <= LEDGER_SIZE);
  CHECK((letter & 0xffffff) != 0);
  before = __atomic_exchange_n(&l->arrived[number - 1], letter, __ATOMIC_RELAXED);
  CHECK("a number comes once" && before == 0);
  (void)__atomic_add_fetch(&l->count, 1, __ATOMIC_RELAXED);
}

static inline uint32_t sent_by_all(const ledger *l) {
  uint32_t all = 0;
  for (int t = 0; t < LEDGER_THREADS; t++) all += l->sent[t];
  return all;
}

/* When nobody writes any more and all has arrived: once each, and in the order of each thread. */
static inline void balance(const ledger *l) {
  uint32_t next[LEDGER_THREADS] = { 0 };
  const uint32_t all = sent_by_all(l);
  CHECK(l->count == all);
  for (uint32_t n = 0; n < all; n++) {
    const uint32_t letter = l->arrived[n];
    CHECK("no number is missing" && letter != 0);
    CHECK("in the sender's order" && (letter & 0xffffff) == ++next[letter >> 24]);
  }
  for (int t = 0; t < LEDGER_THREADS; t++) CHECK(next[t] == l->sent[t]);
}

#endif
