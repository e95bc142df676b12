/* The library can be unloaded: loaded, used on this very thread, shut down, closed, gone from memory.
 * Built without the library; its path is the argument. */
#define _GNU_SOURCE
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
typedef void (*nothing)(void);
typedef int64_t (*time_now)(void);
typedef const char *(*last_error)(void);

static void use(const char *path, int leave_it_to_shutdown) {
  snm_message *messages[4];
  snm_endpoint *endpoint = NULL;
  snm_config *config;
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) fprintf(stderr, "%s\n", dlerror());
  CHECK(library != NULL && is_mapped("libsteamnetmsg"));
  {
    LOAD(create_config, snm_config_create);
    LOAD(destroy_config, snm_config_destroy);
    LOAD(set_int, snm_config_set_int);
    LOAD(set_string, snm_config_set_string);
    LOAD(create_endpoint, snm_endpoint_create);
    LOAD(destroy_endpoint, snm_endpoint_destroy);
    LOAD(add_address, snm_add_peer_address);
    LOAD(send_message, snm_send_message_to_user);
    LOAD(wait_for, snm_wait);
    LOAD(run_callbacks, snm_run_callbacks);
    LOAD(receive, snm_receive_messages_on_channel);
    LOAD(state_of, snm_get_session_connection_info);
    LOAD(nothing, snm_shutdown_all);
    LOAD(time_now, snm_time_now);
    LOAD(last_error, snm_last_error);
    CHECK(snm_time_now() > 0);
    config = snm_config_create();
    CHECK(snm_config_set_int(config, SNM_CONFIG_LOCAL_STEAM_ID, 7) == SNM_RESULT_OK);
    CHECK(snm_config_set_string(config, SNM_CONFIG_BIND_ADDRESS, "127.0.0.1:0") == SNM_RESULT_OK);
    CHECK(snm_endpoint_create(config, &endpoint) == SNM_RESULT_OK);
    snm_config_destroy(config);
    CHECK(snm_add_peer_address(NULL, 8, "x") == SNM_RESULT_INVALID_PARAM && snm_last_error()[0] != 0);
    (void)snm_add_peer_address(endpoint, 8, "localhost:9");
    (void)snm_send_message_to_user(endpoint, 8, "x", 1, SNM_SEND_RELIABLE, 0);
    (void)snm_send_message_to_user(endpoint, 7, "x", 1, SNM_SEND_RELIABLE, 0);
    (void)snm_wait(endpoint, 5);
    (void)snm_run_callbacks(endpoint);
    (void)snm_receive_messages_on_channel(endpoint, 5, messages, 4);
    (void)snm_get_session_connection_info(endpoint, 8, NULL, NULL);
    if (!leave_it_to_shutdown) snm_endpoint_destroy(endpoint);
    snm_shutdown_all();
  }
  CHECK(dlclose(library) == 0);
  CHECK(!is_mapped("libsteamnetmsg"));
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  use(argv[1], 0);
  use(argv[1], 1);
  use(argv[1], 0);
  return 0;
}
