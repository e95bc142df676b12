/*
 * A thousand lives of an endpoint: idle, asking in vain, in the middle of a conversation, with a callback set,
 * with a name being looked up. Whatever it was doing, it leaves no descriptor, no thread and no memory.
 * SNM_CYCLES is how many.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* mallinfo2 */
#endif
#include "pair.h"
#include "residue.h"

enum { WARM_UP = 50 };

static void on_request(void *user_data, uint64_t from) {
  CHECK(snm_accept_session_with_user((snm_endpoint *)user_data, from) == 1);
}

static void talk_and_leave_things_undone(int cycle) {
  static uint8_t much[100000];
  pair p = make_pair();
  snm_message *message;
  CHECK(snm_endpoint_set_int(p.b, SNM_CONFIG_CALLBACK_MODE, cycle / 20 % 2) == SNM_RESULT_OK);
  snm_set_session_request_callback(p.b, on_request, p.b);
  CHECK(send_text(p.a, B_ID, "hi", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  EVENTUALLY(p.b, (snm_run_callbacks(p.b), snm_receive_messages_on_channel(p.b, 0, &message, 1)) == 1);
  CHECK(snm_send_message_to_user(p.b, A_ID, much, sizeof(much), SNM_SEND_RELIABLE, 1) == SNM_RESULT_OK);
  CHECK(snm_send_message_to_user(p.a, B_ID, much, sizeof(much), SNM_SEND_RELIABLE, 2) == SNM_RESULT_OK);
  /* One side first, either; then the other or all that is left. The message outlives both. */
  snm_endpoint_destroy(cycle / 20 % 2 ? p.a : p.b);
  if (cycle / 40 % 2) snm_shutdown_all();
  else snm_endpoint_destroy(cycle / 20 % 2 ? p.b : p.a);
  CHECK(message->size == 2 && memcmp(message->payload, "hi", 2) == 0);
  snm_message_release(message);
}

static void live(int cycle) {
  snm_endpoint *ep;
  if (cycle % 20 == 0) {
    talk_and_leave_things_undone(cycle);
    return;
  }
  ep = endpoint_of(A_ID);
  if (cycle % 4 == 1) snm_set_session_request_callback(ep, on_request, ep);
  if (cycle % 20 == 2) CHECK(snm_add_peer_address(ep, B_ID, "localhost:9") == SNM_RESULT_OK);
  if (cycle % 10 == 3) {
    CHECK(snm_add_peer_address(ep, B_ID, "127.0.0.1:9") == SNM_RESULT_OK);
    CHECK(send_text(ep, B_ID, "is anybody there?", SNM_SEND_RELIABLE, cycle) == SNM_RESULT_OK);
  }
  if (cycle % 4 == 2) CHECK(snm_wait(ep, 0) >= 0);
  if (cycle % 10 == 9) snm_shutdown_all();
  else snm_endpoint_destroy(ep);
}

int main(void) {
  const char *wanted = getenv("SNM_CYCLES");
  const int cycles = wanted != NULL ? atoi(wanted) : 1000;
  residue before;
  CHECK(cycles > 0);
  count_all_memory();
  for (int i = 0; i < WARM_UP; i++) live(i);
  snm_shutdown_all();
  before = residue_now();
  for (int i = 0; i < cycles; i++) live(i);
  snm_shutdown_all();
  expect_no_more_than(before, "cycles");
  return 0;
}
