/* Users that know nothing of each other's address are introduced by the app, which carries their signals. */
#include "pair.h"

/* One side, and where what it signals is carried to. */
typedef struct side {
  snm_endpoint *endpoint, *other;
  uint64_t id, other_id;
  uint64_t carried;  /* by the callback */
  int32_t every;     /* only every so many are carried, and those twice */
} side;

static side side_of(snm_endpoint *endpoint, uint64_t id, snm_endpoint *other, uint64_t other_id) {
  side s;
  memset(&s, 0, sizeof(s));
  s.endpoint = endpoint;
  s.other = other;
  s.id = id;
  s.other_id = other_id;
  s.every = 1;
  return s;
}

/* Who comes by signals may be anywhere, so without authorities everybody has to be let in. */
static snm_endpoint *open_to_all(uint64_t id) {
  snm_config *config = config_for(id, "127.0.0.1:0");
  CHECK(snm_config_set_int(config, SNM_CONFIG_IP_ALLOW_WITHOUT_AUTH, 1) == SNM_RESULT_OK);
  return endpoint_with(config);
}

/* Takes every waiting signal and hands it to the other side. */
static void carry(const side *s) {
  uint8_t signal[4096];
  uint64_t to = 0;
  int32_t size;
  while ((size = snm_poll_signal(s->endpoint, &to, signal, sizeof(signal))) > 0) {
    CHECK(to == s->other_id);
    CHECK(snm_receive_signal(s->other, s->id, signal, (uint32_t)size) == SNM_RESULT_OK);
  }
  CHECK(size == 0);
}

static void stand_and_talk(pair p) {
  EVENTUALLY(p.a, state_of(p.a, B_ID) == SNM_STATE_CONNECTED);
  EVENTUALLY(p.b, state_of(p.b, A_ID) == SNM_STATE_CONNECTED);
  CHECK(send_text(p.b, A_ID, "and back", SNM_SEND_RELIABLE, 3) == SNM_RESULT_OK);
  expect_text(p.a, 3, B_ID, "and back");
}

/* Signals wake who waits, and one that does not fit waits for more room. */
static void by_polling(void) {
  pair p;
  side a, b;
  uint8_t signal[4096];
  uint64_t to = 0;
  int32_t needed, size;
  p.a = open_to_all(A_ID);
  p.b = open_to_all(B_ID);
  a = side_of(p.a, A_ID, p.b, B_ID);
  b = side_of(p.b, B_ID, p.a, A_ID);
  snm_use_own_signaling(p.a, 1);
  snm_use_own_signaling(p.b, 1);
  CHECK(snm_poll_signal(p.a, &to, signal, sizeof(signal)) == 0);
  CHECK(send_text(p.a, B_ID, "hello", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  CHECK(snm_wait(p.a, PATIENCE) == 1);
  needed = -snm_poll_signal(p.a, &to, NULL, 0);
  CHECK(0 < needed && needed <= 4096);
  CHECK(snm_poll_signal(p.a, &to, signal, (uint32_t)needed - 1) == -needed);
  REFUSED(snm_poll_signal(p.a, NULL, signal, sizeof(signal)), 0, "out_to_steam_id");
  REFUSED(snm_poll_signal(p.a, &to, NULL, 5), 0, "NULL");
  size = snm_poll_signal(p.a, &to, signal, (uint32_t)needed);
  CHECK(size == needed && to == B_ID);
  CHECK(snm_receive_signal(p.b, A_ID, signal, (uint32_t)size) == SNM_RESULT_OK);
  EVENTUALLY(p.b, (carry(&a), carry(&b), snm_accept_session_with_user(p.b, A_ID)) == 1);
  EVENTUALLY(p.a, (carry(&a), carry(&b), state_of(p.a, B_ID)) == SNM_STATE_CONNECTED);
  expect_text(p.b, 0, A_ID, "hello");
  stand_and_talk(p);
  /* Rubbish in the name of anybody is dropped, and disturbs nobody. */
  memset(signal, 7, sizeof(signal));
  CHECK(snm_receive_signal(p.a, B_ID, signal, sizeof(signal)) == SNM_RESULT_OK);
  CHECK(snm_receive_signal(p.a, C_ID, signal, 1) == SNM_RESULT_OK);
  CHECK(state_of(p.a, B_ID) == SNM_STATE_CONNECTED);
  end_pair(p);
}

static void SNM_CALL on_signal(void *user_data, uint64_t to, const uint8_t *signal, uint32_t size) {
  side *s = (side *)user_data;
  CHECK(to == s->other_id);
  CHECK(0 < size && size <= 4096);
  s->carried += 1;
  if (s->carried % (uint64_t)s->every != 0) return;
  CHECK(snm_receive_signal(s->other, s->id, signal, size) == SNM_RESULT_OK);
  if (s->every > 1) CHECK(snm_receive_signal(s->other, s->id, signal, size) == SNM_RESULT_OK);
}

/* Inside snm_run_callbacks (mode 0) or on the poll threads (mode 1), over a carrier that loses and doubles. */
static void by_callback(int32_t mode, int32_t every) {
  pair p;
  side a, b;
  p.a = open_to_all(A_ID);
  p.b = open_to_all(B_ID);
  a = side_of(p.a, A_ID, p.b, B_ID);
  b = side_of(p.b, B_ID, p.a, A_ID);
  a.every = b.every = every;
  CHECK(snm_endpoint_set_int(p.a, SNM_CONFIG_CALLBACK_MODE, mode) == SNM_RESULT_OK);
  CHECK(snm_endpoint_set_int(p.b, SNM_CONFIG_CALLBACK_MODE, mode) == SNM_RESULT_OK);
  snm_set_signal_callback(p.a, on_signal, &a);
  snm_set_signal_callback(p.b, on_signal, &b);
  CHECK(send_text(p.a, B_ID, "hello", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  if (mode == 0) {
    EVENTUALLY(p.a, snm_run_callbacks(p.a) > 0);
    CHECK(a.carried > 0);
  }
  EVENTUALLY(p.b, (snm_run_callbacks(p.a), snm_run_callbacks(p.b), snm_accept_session_with_user(p.b, A_ID)) == 1);
  EVENTUALLY(p.a, (snm_run_callbacks(p.a), snm_run_callbacks(p.b), state_of(p.a, B_ID)) == SNM_STATE_CONNECTED);
  expect_text(p.b, 0, A_ID, "hello");
  stand_and_talk(p);
  /* From here on nobody is called any more, so what was carried stands still; and the session needs no signals. */
  snm_set_signal_callback(p.a, NULL, NULL);
  snm_set_signal_callback(p.b, NULL, NULL);
  memset(&a, 0, sizeof(a));
  memset(&b, 0, sizeof(b));
  stand_and_talk(p);
  end_pair(p);
}

/* Without anybody who carries signals there are none. */
static void switched_off(void) {
  snm_endpoint *ep = open_to_all(A_ID);
  uint8_t signal[4096];
  uint64_t to;
  snm_use_own_signaling(ep, 1);
  CHECK(send_text(ep, NOBODY, "hello", SNM_SEND_RELIABLE, 0) == SNM_RESULT_OK);
  EVENTUALLY(ep, snm_poll_signal(ep, &to, NULL, 0) < 0);
  snm_use_own_signaling(ep, 0);
  CHECK(snm_poll_signal(ep, &to, signal, sizeof(signal)) == 0);
  REFUSED(snm_receive_signal(ep, NOBODY, (const uint8_t *)"x", 1), SNM_RESULT_INVALID_STATE, "snm_use_own_signaling");
  snm_endpoint_destroy(ep);
}

int main(void) {
  by_polling();
  by_callback(0, 1);
  by_callback(1, 1);
  by_callback(0, 2);
  by_callback(1, 3);
  switched_off();
  snm_shutdown_all();
  return 0;
}
