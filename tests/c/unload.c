/*
 * The library can be unloaded: loaded, used on this very thread, shut down, closed, gone from memory. A thousand
 * times, and in every twentieth life two endpoints have talked. Nothing is left: no descriptor, thread or memory.
 * Built without the library; its path is the argument. SNM_CYCLES is how many.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* mallinfo2 */
#endif
#include "residue.h"
#include "steamnetmsg.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)

static int is_mapped(const char *name) {
  char line[1024];
  int found = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  CHECK(maps != NULL);
  while (fgets(line, sizeof(line), maps) != NULL) found |= strstr(line, name) != NULL;
  fclose(maps);
  return found;
}

static void *symbol(void *library, const char *name) {
  void *found = dlsym(library, name);
  if (found == NULL) fprintf(stderr, "%s is not exported\n", name);
  CHECK(found != NULL);
  return found;
}

/* Object to function pointer, in the way POSIX asks for. */
#define LOAD(type, name) \
  type name;             \
  *(void **)&name = symbol(library, #name)

typedef snm_config *(*create_config)(void);
typedef void (*destroy_config)(snm_config *);
typedef snm_result (*set_int)(snm_config *, snm_config_key, int64_t);
typedef snm_result (*set_string)(snm_config *, snm_config_key, const char *);
typedef snm_result (*create_endpoint)(const snm_config *, snm_endpoint **);
typedef void (*destroy_endpoint)(snm_endpoint *);
typedef snm_result (*add_address)(snm_endpoint *, uint64_t, const char *);
typedef snm_result (*send_message)(snm_endpoint *, uint64_t, const void *, uint32_t, int32_t, int32_t);
typedef int32_t (*wait_for)(snm_endpoint *, int32_t);
typedef int32_t (*run_callbacks)(snm_endpoint *);
typedef int32_t (*receive)(snm_endpoint *, int32_t, snm_message **, int32_t);
typedef snm_connection_state (*state_of)(snm_endpoint *, uint64_t, snm_connection_info *, snm_realtime_status *);
typedef uint8_t (*accept_session)(snm_endpoint *, uint64_t);
typedef snm_result (*local_address)(const snm_endpoint *, char *, uint32_t);
typedef void (*release)(snm_message *);
typedef void (*nothing)(void);
typedef int64_t (*time_now)(void);
typedef const char *(*last_error)(void);

static snm_endpoint *endpoint_of(void *library, uint64_t steam_id) {
  LOAD(create_config, snm_config_create);
  LOAD(destroy_config, snm_config_destroy);
  LOAD(set_int, snm_config_set_int);
  LOAD(set_string, snm_config_set_string);
  LOAD(create_endpoint, snm_endpoint_create);
  snm_endpoint *endpoint = NULL;
  snm_config *config = snm_config_create();
  CHECK(snm_config_set_int(config, SNM_CONFIG_LOCAL_STEAM_ID, (int64_t)steam_id) == SNM_RESULT_OK);
  CHECK(snm_config_set_string(config, SNM_CONFIG_BIND_ADDRESS, "127.0.0.1:0") == SNM_RESULT_OK);
  /* Nobody listens there, but TLS is made ready, and the name of a relay looked up. */
  CHECK(snm_config_set_string(config, SNM_CONFIG_SIGNALING_URL, "wss://127.0.0.1:9") == SNM_RESULT_OK);
  CHECK(snm_config_set_string(config, SNM_CONFIG_P2P_TURN_SERVER_LIST, "turns:localhost:9") == SNM_RESULT_OK);
  CHECK(snm_endpoint_create(config, &endpoint) == SNM_RESULT_OK);
  snm_config_destroy(config);
  return endpoint;
}

/* Calls of every kind, and a name looked up. */
static void use(void *library, snm_endpoint *endpoint) {
  LOAD(add_address, snm_add_peer_address);
  LOAD(send_message, snm_send_message_to_user);
  LOAD(wait_for, snm_wait);
  LOAD(run_callbacks, snm_run_callbacks);
  LOAD(receive, snm_receive_messages_on_channel);
  LOAD(state_of, snm_get_session_connection_info);
  LOAD(time_now, snm_time_now);
  LOAD(last_error, snm_last_error);
  snm_message *messages[4];
  CHECK(snm_time_now() > 0);
  CHECK(snm_add_peer_address(NULL, 8, "x") == SNM_RESULT_INVALID_PARAM && snm_last_error()[0] != 0);
  (void)snm_add_peer_address(endpoint, 8, "localhost:9");
  (void)snm_send_message_to_user(endpoint, 8, "x", 1, SNM_SEND_RELIABLE, 0);
  (void)snm_send_message_to_user(endpoint, 7, "x", 1, SNM_SEND_RELIABLE, 0);
  (void)snm_wait(endpoint, 1);
  (void)snm_run_callbacks(endpoint);
  (void)snm_receive_messages_on_channel(endpoint, 5, messages, 4);
  (void)snm_get_session_connection_info(endpoint, 8, NULL, NULL);
}

/* A message over the wire; the session stands when this returns. */
static void talk(void *library, snm_endpoint *endpoint) {
  LOAD(local_address, snm_endpoint_local_address);
  LOAD(add_address, snm_add_peer_address);
  LOAD(send_message, snm_send_message_to_user);
  LOAD(accept_session, snm_accept_session_with_user);
  LOAD(wait_for, snm_wait);
  LOAD(receive, snm_receive_messages_on_channel);
  LOAD(release, snm_message_release);
  LOAD(time_now, snm_time_now);
  const int64_t until = snm_time_now() + INT64_C(120000000);
  snm_endpoint *other = endpoint_of(library, 9);
  snm_message *message = NULL;
  char address[128];
  CHECK(snm_endpoint_local_address(other, address, sizeof(address)) == SNM_RESULT_OK);
  CHECK(snm_add_peer_address(endpoint, 9, address) == SNM_RESULT_OK);
  CHECK(snm_send_message_to_user(endpoint, 9, "hi", 2, SNM_SEND_RELIABLE, 3) == SNM_RESULT_OK);
  while (snm_receive_messages_on_channel(other, 3, &message, 1) == 0) {
    CHECK(snm_time_now() < until);
    (void)snm_wait(other, 1);
    (void)snm_accept_session_with_user(other, 7);
  }
  CHECK(message->size == 2 && memcmp(message->payload, "hi", 2) == 0);
  snm_message_release(message);
}

static void load_use_unload(const char *path, int cycle) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) fprintf(stderr, "%s\n", dlerror());
  CHECK(library != NULL && is_mapped("libsteamnetmsg"));
  {
    LOAD(destroy_endpoint, snm_endpoint_destroy);
    LOAD(nothing, snm_shutdown_all);
    snm_endpoint *endpoint = endpoint_of(library, 7);
    use(library, endpoint);
    if (cycle % 20 == 0) talk(library, endpoint);
    if (cycle % 2 == 0) snm_endpoint_destroy(endpoint);
    snm_shutdown_all();
  }
  CHECK(dlclose(library) == 0);
  CHECK(!is_mapped("libsteamnetmsg"));
}

int main(int argc, char **argv) {
  const char *wanted = getenv("SNM_CYCLES");
  const int cycles = wanted != NULL ? atoi(wanted) : 1000;
  residue before;
  CHECK(argc == 2 && cycles > 0);
  count_all_memory();
  for (int i = 0; i < 50; i++) load_use_unload(argv[1], i);
  before = residue_now();
  for (int i = 0; i < cycles; i++) load_use_unload(argv[1], i);
  expect_no_more_than(before, "loaded and unloaded");
  return 0;
}
