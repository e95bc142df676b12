/*
 * Everybody at once: eight threads make every call there is, at random, on endpoints they share. A and B talk
 * all the time, and not one of their reliable messages may be lost, doubled or out of its sender's order. C is
 * met, left and met again; a guest is destroyed and replaced under everybody's feet. Every answer must be one
 * the header allows. SNM_TOGETHER_TURNS is how many calls a thread makes (4,000).
 */
#include "pair.h"
#include "ledger.h"
#include <pthread.h>

enum { THREADS = LEDGER_THREADS, STEADY = 4, WILD = 4, AT_ONCE = 16, IN_TRANSIT = 64 };
enum { A, B, C, GUEST, PLACES };

#define GUEST_ID UINT64_C(76561197960265732)

/* Small and large numbers: a channel's number decides how it travels. */
static const int32_t steady_channels[STEADY] = { 1, 2, -7, 1000000 };
static const int32_t wild_channels[WILD] = { 20, 21, -22, INT32_MIN };
static const uint64_t ids[PLACES + 1] = { A_ID, B_ID, C_ID, GUEST_ID, NOBODY };

/* [0] from A to B, [1] from B to A */
static ledger ledgers[2][STEADY];

static snm_endpoint *endpoints[PLACES];
static snm_config *recipe; /* of guests; everybody may change it */
static uint64_t turns_each = 4000;

typedef struct worker {
  uint32_t number;
  uint64_t dice;
  pthread_t thread;
} worker;

static uint32_t dice(worker *w, uint32_t sides) {
  w->dice = w->dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)(w->dice >> 33) % sides;
}

static snm_endpoint *at(uint32_t place) {
  return __atomic_load_n(&endpoints[place], __ATOMIC_ACQUIRE);
}

static int is_steady(uint32_t place, uint64_t peer) {
  return (place == A && peer == B_ID) || (place == B && peer == A_ID);
}

/* OK, or what else is named; the guest may be gone, which is always an answer. */
#define OR(code) | UINT64_C(1) << (code)
static void allow(uint32_t place, snm_result answer, uint64_t others) {
  others |= UINT64_C(1) << SNM_RESULT_OK;
  if (place == GUEST) others |= UINT64_C(1) << SNM_RESULT_INVALID_STATE;
  if (answer < 0 || answer > 63 || (others >> answer & 1) == 0) {
    fprintf(stderr, "place %u answered %d, \"%s\"\n", place, answer, snm_last_error());
    exit(1);
  }
}

/* ---- Sending ---------------------------------------------------------------------------------------------- */

static uint32_t any_size(worker *w) {
  return LETTER + dice(w, dice(w, 20) == 0 ? LARGEST_LETTER - LETTER : 200);
}

static void send_one(worker *w) {
  uint8_t bytes[LARGEST_LETTER];
  const uint32_t from = dice(w, 2), channel = dice(w, STEADY);
  uint32_t *sent = &ledgers[from][channel].sent[w->number];
  const int32_t flags = SNM_SEND_RELIABLE | (dice(w, 2) ? SNM_SEND_NO_NAGLE : 0) |
                        (dice(w, 4) ? 0 : SNM_SEND_USE_CURRENT_THREAD | SNM_SEND_AUTO_RESTART_BROKEN_SESSION);
  const uint32_t size = write_letter(bytes, w->number, *sent + 1, any_size(w));
  const snm_result result =
      snm_send_message_to_user(at(from), ids[1 - from], bytes, size, flags, steady_channels[channel]);
  allow(from, result, 0 OR(SNM_RESULT_LIMIT_EXCEEDED));
  *sent += result == SNM_RESULT_OK;
}

static void send_many(worker *w) {
  uint8_t bytes[STEADY][LARGEST_LETTER];
  snm_outgoing_message messages[STEADY];
  snm_result results[STEADY];
  const uint32_t from = dice(w, 2);
  int32_t queued = 0;
  memset(messages, 0, sizeof(messages));
  for (int i = 0; i < STEADY; i++) {
    messages[i].remote_steam_id = ids[1 - from];
    messages[i].flags = SNM_SEND_RELIABLE;
    messages[i].channel = steady_channels[i];
    messages[i].payload = bytes[i];
    messages[i].size = write_letter(bytes[i], w->number, ledgers[from][i].sent[w->number] + 1, any_size(w));
  }
  const int32_t answer = snm_send_messages(at(from), messages, STEADY, results);
  for (int i = 0; i < STEADY; i++) {
    allow(from, results[i], 0 OR(SNM_RESULT_LIMIT_EXCEEDED));
    ledgers[from][i].sent[w->number] += results[i] == SNM_RESULT_OK;
    queued += results[i] == SNM_RESULT_OK;
  }
  CHECK(answer == queued);
}

/* To anybody, oneself and nobody included, with any flags; not reliably on a channel that is counted. */
static void send_wildly(worker *w) {
  uint8_t bytes[LARGEST_LETTER];
  const uint32_t from = dice(w, PLACES);
  const uint64_t to = ids[dice(w, PLACES + 1)];
  const int32_t flags = (int32_t)dice(w, 64);
  const uint32_t size = write_letter(bytes, w->number, 1, any_size(w));
  const int32_t channel = (flags & SNM_SEND_RELIABLE) ? wild_channels[dice(w, WILD)] : steady_channels[dice(w, STEADY)];
  allow(from, snm_send_message_to_user(at(from), to, bytes, size, flags, channel),
        0 OR(SNM_RESULT_LIMIT_EXCEEDED) OR(SNM_RESULT_NO_CONNECTION) OR(SNM_RESULT_IGNORED));
}

/* ---- Receiving, and releasing on other threads ------------------------------------------------------------ */

static pthread_mutex_t transit_lock = PTHREAD_MUTEX_INITIALIZER;
static snm_message *in_transit[IN_TRANSIT];

/* Leaves a message for another thread to read and release, and takes one that was left. */
static snm_message *exchange(uint32_t where, snm_message *message) {
  snm_message *other;
  pthread_mutex_lock(&transit_lock);
  other = in_transit[where];
  in_transit[where] = message;
  pthread_mutex_unlock(&transit_lock);
  return other;
}

static void examine(uint32_t place, const snm_message *message) {
  const uint32_t letter = read_letter(message);
  CHECK(message->identity != 0 && message->message_number >= 1 && message->time_received > 0);
  if (!is_steady(place, message->identity) || !(message->flags & SNM_SEND_RELIABLE)) return;
  for (int i = 0; i < STEADY; i++)
    if (message->channel == steady_channels[i]) enter(&ledgers[1 - place][i], message->message_number, letter);
}

static int32_t receive_from(worker *w, uint32_t place, int32_t channel) {
  snm_message *messages[AT_ONCE];
  int64_t last[2] = { 0, 0 };
  const int32_t count = snm_receive_messages_on_channel(at(place), channel, messages, AT_ONCE);
  CHECK(count >= 0 && count <= AT_ONCE);
  for (int32_t i = 0; i < count; i++) {
    const int reliable = (messages[i]->flags & SNM_SEND_RELIABLE) != 0;
    CHECK(messages[i]->channel == channel);
    if (is_steady(place, messages[i]->identity) && reliable) {
      CHECK("oldest first" && messages[i]->message_number > last[reliable]);
      last[reliable] = messages[i]->message_number;
    }
    examine(place, messages[i]);
    if (dice(w, 2)) messages[i] = exchange(dice(w, IN_TRANSIT), messages[i]);
    if (messages[i] != NULL) (void)read_letter(messages[i]);
  }
  if (dice(w, 2)) {
    snm_messages_release(messages, count);
    for (int32_t i = 0; i < count; i++) CHECK(messages[i] == NULL);
  } else {
    for (int32_t i = 0; i < count; i++) snm_message_release(messages[i]);
  }
  return count;
}

static int32_t any_channel(worker *w) {
  return dice(w, 3) ? steady_channels[dice(w, STEADY)] : wild_channels[dice(w, WILD)];
}

static void receive(worker *w) {
  const uint32_t place = dice(w, 3) ? dice(w, 2) : dice(w, PLACES);
  (void)receive_from(w, place, any_channel(w));
}

/* ---- Sessions --------------------------------------------------------------------------------------------- */

static void meet_and_leave(worker *w) {
  const uint32_t place = dice(w, PLACES);
  const uint64_t peer = ids[dice(w, PLACES + 1)];
  switch (dice(w, 4)) {
    case 0:
      CHECK(snm_accept_session_with_user(at(place), peer) <= 1);
      break;
    case 1:
      if (!is_steady(place, peer)) CHECK(snm_close_session_with_user(at(place), peer) <= 1);
      break;
    case 2: /* A and B lose what comes on these, never the session: it has other channels. */
      CHECK(snm_close_channel_with_user(at(place), peer, wild_channels[dice(w, WILD)]) <= 1);
      break;
    default:
      allow(place, snm_flush_messages_to_user(at(place), peer), 0 OR(SNM_RESULT_NO_CONNECTION));
  }
}

static void ask_about(worker *w) {
  const uint32_t place = dice(w, PLACES);
  const uint64_t peer = ids[dice(w, PLACES + 1)];
  snm_connection_info info = SNM_CONNECTION_INFO_INIT;
  snm_realtime_status status = SNM_REALTIME_STATUS_INIT;
  char json[8192];
  const snm_connection_state state = snm_get_session_connection_info(at(place), peer, &info, dice(w, 2) ? &status : NULL);
  CHECK(state >= SNM_STATE_NONE && state <= SNM_STATE_PROBLEM_DETECTED_LOCALLY);
  CHECK(info.connection_state == state);
  if (is_steady(place, peer)) CHECK(state == SNM_STATE_CONNECTED && info.identity == peer);
  const int32_t length = snm_explain_session(at(place), peer, json, sizeof(json));
  CHECK(length > 0 || place == GUEST);
  if (length > 0 && length < (int32_t)sizeof(json)) CHECK(strlen(json) == (size_t)length && json[0] == '{');
}

/* ---- Settings --------------------------------------------------------------------------------------------- */

static void set_something(worker *w) {
  const uint32_t place = dice(w, PLACES);
  const uint64_t peer = ids[dice(w, PLACES + 1)];
  snm_endpoint *ep = at(place);
  switch (dice(w, 9)) {
    case 0: allow(place, snm_endpoint_set_int(ep, SNM_CONFIG_NAGLE_TIME, dice(w, 5000)), 0); break;
    case 1: allow(place, snm_endpoint_set_int(ep, SNM_CONFIG_SEND_BUFFER_SIZE, 65536 + dice(w, 1000000)), 0); break;
    case 2: allow(place, snm_endpoint_set_float(ep, SNM_CONFIG_FAKE_PACKET_LOSS_SEND, dice(w, 8)), 0); break;
    case 3: allow(place, snm_endpoint_set_int(ep, SNM_CONFIG_FAKE_PACKET_LAG_RECV, dice(w, 5)), 0); break;
    case 4: allow(place, snm_endpoint_set_string(ep, SNM_CONFIG_BIND_ADDRESS, "127.0.0.1:0"), 0 OR(SNM_RESULT_INVALID_STATE)); break;
    case 5: allow(place, snm_endpoint_set_bytes(ep, SNM_CONFIG_CERTIFICATE, NULL, 0), 0 OR(SNM_RESULT_INVALID_STATE)); break;
    case 6: allow(place, snm_peer_set_int(ep, peer, SNM_CONFIG_CONNECTION_USER_DATA, dice(w, 99)), 0); break;
    case 7: allow(place, snm_peer_set_float(ep, peer, SNM_CONFIG_FAKE_PACKET_DUP_SEND, 1), 0 OR(SNM_RESULT_INVALID_STATE)); break;
    default: allow(place, snm_peer_reset(ep, peer), 0);
  }
  allow(place, snm_set_channel_priority(ep, any_channel(w), (int32_t)dice(w, 3) - 1), 0);
}

static void address_somebody(worker *w) {
  const uint32_t place = dice(w, PLACES), peer = dice(w, PLACES);
  char address[128];
  uint8_t key[32];
  allow(peer, snm_endpoint_local_address(at(peer), address, sizeof(address)), 0);
  if (peer == GUEST && snm_endpoint_local_address(at(peer), address, sizeof(address)) != SNM_RESULT_OK) return;
  if (dice(w, 4) == 0 && !is_steady(place, ids[peer]))
    allow(place, snm_remove_peer_address(at(place), ids[peer]), 0);
  else /* a guest comes to a new address each time: too many are refused */
    allow(place, snm_add_peer_address(at(place), ids[peer], address), 0 OR(SNM_RESULT_LIMIT_EXCEEDED));
  if (dice(w, 8) == 0)
    allow(place, snm_add_peer_address(at(place), NOBODY, "localhost:9"), 0 OR(SNM_RESULT_LIMIT_EXCEEDED));
  allow(place, snm_identity_public_key(at(place), key), 0);
  if (dice(w, 8) == 0) allow(place, snm_network_changed(at(place)), 0);
}

/* ---- Events ----------------------------------------------------------------------------------------------- */

/* What a callback is given; freed as soon as the setter that replaced it has returned. */
typedef struct listener {
  uint32_t alive, place;
} listener;

static pthread_mutex_t setter_locks[PLACES + 1] = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
                                                    PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
                                                    PTHREAD_MUTEX_INITIALIZER };
static listener *listeners[PLACES + 1];

static void on_request(void *user_data, uint64_t from) {
  const listener *l = (const listener *)user_data;
  CHECK(l->alive == 1);
  CHECK(!is_steady(l->place, from));
  CHECK(snm_accept_session_with_user(at(l->place), from) <= 1);
  CHECK(l->alive == 1);
}

static void on_failed(void *user_data, int32_t reason, uint64_t peer, int32_t state, const char *text) {
  const listener *l = (const listener *)user_data;
  CHECK(l->alive == 1 && text != NULL && reason > 0);
  CHECK(state == SNM_STATE_CLOSED_BY_PEER || state == SNM_STATE_PROBLEM_DETECTED_LOCALLY);
  CHECK(!is_steady(l->place, peer));
  if (reason % 2) (void)snm_close_session_with_user(at(l->place), peer);
  CHECK(l->alive == 1);
}

static void on_log(void *user_data, int32_t level, const char *text) {
  const listener *l = (const listener *)user_data;
  CHECK(l->alive == 1 && level >= SNM_LOG_BUG && level <= SNM_LOG_DEBUG && text[0] != 0);
  CHECK(state_of(at(A), B_ID) == SNM_STATE_CONNECTED);
  CHECK(l->alive == 1);
}

static void set_listener(uint32_t place, int listen) {
  listener *new_one = NULL;
  if (listen) {
    new_one = (listener *)malloc(sizeof(*new_one));
    CHECK(new_one != NULL);
    new_one->alive = 1;
    new_one->place = place;
  }
  pthread_mutex_lock(&setter_locks[place]);
  if (place == PLACES) {
    snm_set_log_callback(listen ? on_log : NULL, new_one, SNM_LOG_DEBUG);
  } else {
    snm_endpoint *ep = at(place);
    snm_set_session_request_callback(ep, listen ? on_request : NULL, new_one);
    snm_set_session_failed_callback(ep, listen ? on_failed : NULL, new_one);
  }
  if (listeners[place] != NULL) listeners[place]->alive = 0;
  free(listeners[place]);
  listeners[place] = new_one;
  pthread_mutex_unlock(&setter_locks[place]);
}

static void listen_or_not(worker *w) {
  const uint32_t place = dice(w, PLACES + 1);
  /* The guest's setters would come to nothing, or to its successor: it is listened to from its birth. */
  if (place != GUEST) set_listener(place, dice(w, 4) != 0);
  allow(place, snm_endpoint_set_int(at(place % PLACES), SNM_CONFIG_CALLBACK_MODE, dice(w, 2)), 0 OR(SNM_RESULT_INVALID_STATE));
}

static void take_events(worker *w) {
  const uint32_t place = dice(w, PLACES);
  snm_event event = SNM_EVENT_INIT;
  uint8_t signal[8];
  uint64_t to;
  if (dice(w, 2)) {
    CHECK(snm_run_callbacks(at(place)) >= 0);
    return;
  }
  if (snm_poll_event(at(place), &event) == 1) {
    CHECK(event.type == SNM_EVENT_SESSION_REQUEST || event.type == SNM_EVENT_SESSION_FAILED);
    CHECK(!is_steady(place, event.remote_steam_id));
    if (event.type == SNM_EVENT_SESSION_REQUEST) (void)snm_accept_session_with_user(at(place), event.remote_steam_id);
  }
  CHECK(snm_poll_signal(at(place), &to, signal, sizeof(signal)) <= 0);
  snm_use_own_signaling(at(place), 0);
  snm_set_signal_callback(at(place), NULL, NULL);
  CHECK(snm_receive_signal(at(place), C_ID, (const uint8_t *)"x", 1) != SNM_RESULT_OK);
}

static void wait_a_little(worker *w) {
  const uint32_t place = dice(w, PLACES);
  const int32_t answer = snm_wait(at(place), (int32_t)dice(w, 4));
  CHECK(answer >= -1 && (answer >= 0 || place == GUEST));
}

static void say_what_is_wrong(worker *w) {
  char mine[32];
  const uint64_t nonsense = dice(w, 1000000);
  REFUSED(snm_add_peer_address(NULL, 1, "127.0.0.1:9"), SNM_RESULT_INVALID_PARAM, "NULL");
  /* The text is this thread's, whatever the others are told. */
  snprintf(mine, sizeof(mine), "no.%u.%u", w->number, (unsigned)nonsense);
  REFUSED(snm_add_peer_address(at(C), 1, mine), SNM_RESULT_INVALID_PARAM, mine);
  CHECK(strcmp(snm_result_name(SNM_RESULT_OK), "SNM_RESULT_OK") == 0);
  CHECK(strcmp(snm_end_reason_name(1001), "SNM_END_SESSION_CLOSED") == 0);
  CHECK(strcmp(snm_connection_state_name(3), "SNM_STATE_CONNECTED") == 0);
  CHECK(snm_version() > 0);
}

/* ---- The guest -------------------------------------------------------------------------------------------- */

static snm_endpoint *new_guest(void) {
  snm_endpoint *guest = NULL;
  CHECK(snm_endpoint_create(recipe, &guest) == SNM_RESULT_OK);
  introduce(guest, A_ID, at(A));
  introduce(guest, C_ID, at(C));
  return guest;
}

static void replace_the_guest(worker *w) {
  static listener of_guests = { 1, GUEST };
  snm_endpoint *guest, *old;
  allow(A, snm_config_set_int(recipe, SNM_CONFIG_CALLBACK_MODE, dice(w, 2)), 0);
  allow(A, snm_config_set_int(recipe, SNM_CONFIG_SEND_RATE_MIN, 20000 + dice(w, 9)), 0);
  allow(A, snm_config_set_float(recipe, SNM_CONFIG_FAKE_PACKET_LOSS_RECV, dice(w, 9)), 0);
  allow(A, snm_config_set_string(recipe, SNM_CONFIG_BIND_ADDRESS, "127.0.0.1:0"), 0);
  allow(A, snm_config_set_bytes(recipe, SNM_CONFIG_CERTIFICATE, NULL, 0), 0);
  if (dice(w, 6) != 0) return;
  guest = new_guest();
  snm_set_session_request_callback(guest, on_request, &of_guests);
  old = __atomic_exchange_n(&endpoints[GUEST], guest, __ATOMIC_ACQ_REL);
  snm_endpoint_destroy(old);
  CHECK(snm_wait(old, -1) == -1);
  CHECK(snm_endpoint_set_int(old, SNM_CONFIG_NAGLE_TIME, 0) == SNM_RESULT_INVALID_STATE);
}

/* ---- All of it -------------------------------------------------------------------------------------------- */

static void *live(void *argument) {
  worker *w = (worker *)argument;
  for (uint64_t turn = 0; turn < turns_each; turn++) {
    const int64_t before = snm_time_now();
    const uint32_t what = dice(w, 200);
    if (what < 40) send_one(w);
    else if (what < 50) send_many(w);
    else if (what < 65) send_wildly(w);
    else if (what < 130) receive(w);
    else if (what < 145) meet_and_leave(w);
    else if (what < 155) ask_about(w);
    else if (what < 163) set_something(w);
    else if (what < 170) address_somebody(w);
    else if (what < 175) listen_or_not(w);
    else if (what < 187) take_events(w);
    else if (what < 194) wait_a_little(w);
    else if (what < 198) say_what_is_wrong(w);
    else replace_the_guest(w);
    CHECK(snm_time_now() >= before);
  }
  return NULL;
}

static int32_t receive_everything(worker *w) {
  int32_t count = 0;
  for (uint32_t place = 0; place < PLACES; place++) {
    for (int i = 0; i < STEADY; i++) count += receive_from(w, place, steady_channels[i]);
    for (int i = 0; i < WILD; i++) count += receive_from(w, place, wild_channels[i]);
  }
  return count;
}

static uint32_t missing(void) {
  uint32_t sent = 0, arrived = 0;
  for (int i = 0; i < 2 * STEADY; i++) {
    sent += sent_by_all(&ledgers[i / STEADY][i % STEADY]);
    arrived += ledgers[i / STEADY][i % STEADY].count;
  }
  return sent - arrived;
}

static void set_the_stage(void) {
  pair p = make_pair();
  connect_pair(p);
  endpoints[A] = p.a;
  endpoints[B] = p.b;
  endpoints[C] = endpoint_of(C_ID);
  for (uint32_t place = A; place <= C; place++) {
    if (place != C) introduce(at(place), C_ID, at(C));
    if (place == C) introduce(at(C), A_ID, at(A)), introduce(at(C), B_ID, at(B));
  }
  recipe = config_for(GUEST_ID, "127.0.0.1:0");
  endpoints[GUEST] = new_guest();
  /* The counted channels are open on both sides before anybody may close another. */
  for (uint32_t i = 0; i < 2 * STEADY; i++) {
    uint8_t bytes[LETTER];
    ledger *l = &ledgers[i / STEADY][i % STEADY];
    (void)write_letter(bytes, 0, ++l->sent[0], LETTER);
    CHECK(snm_send_message_to_user(at(i / STEADY), ids[1 - i / STEADY], bytes, LETTER, SNM_SEND_RELIABLE,
                                   steady_channels[i % STEADY]) == SNM_RESULT_OK);
  }
}

int main(void) {
  static worker workers[THREADS + 1];
  const char *wanted = getenv("SNM_TOGETHER_TURNS");
  worker *own = &workers[THREADS];
  int64_t progress_at;
  if (wanted != NULL) turns_each = strtoull(wanted, NULL, 10);
  CHECK(turns_each > 0);
  own->dice = 99;
  set_the_stage();
  while (missing() > 0) {
    (void)receive_everything(own);
    nap(at(A));
  }
  for (uint32_t i = 0; i < THREADS; i++) {
    workers[i].number = i;
    workers[i].dice = i + 1;
    CHECK(pthread_create(&workers[i].thread, NULL, live, &workers[i]) == 0);
  }
  for (int i = 0; i < THREADS; i++) CHECK(pthread_join(workers[i].thread, NULL) == 0);

  progress_at = snm_time_now();
  while (missing() > 0) {
    if (receive_everything(own) > 0) progress_at = snm_time_now();
    else nap(at(A));
    /* Only a standstill is a failure, not a slow machine. */
    CHECK("it goes on" && snm_time_now() - progress_at < INT64_C(1000) * PATIENCE);
  }
  CHECK(state_of(at(A), B_ID) == SNM_STATE_CONNECTED && state_of(at(B), A_ID) == SNM_STATE_CONNECTED);
  for (uint32_t place = 0; place <= PLACES; place++) set_listener(place, 0);
  snm_config_destroy(recipe);
  snm_shutdown_all();
  for (uint32_t i = 0; i < IN_TRANSIT; i++) snm_message_release(exchange(i, NULL));
  for (int i = 0; i < 2 * STEADY; i++) {
    balance(&ledgers[i / STEADY][i % STEADY]);
    printf("%u ", sent_by_all(&ledgers[i / STEADY][i % STEADY]));
  }
  printf("messages of 8 threads arrived once and in order\n");
  return 0;
}
