/* A tiny assert kit: a failed check prints its line and ends the program with 1. */
#ifndef CHECK_H
#define CHECK_H

#include "steamnetmsg.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                               \
  do {                                                                                                 \
    if (!(condition)) {                                                                                \
      fprintf(stderr, "%s:%d: CHECK(%s) failed; last error: \"%s\"\n", __FILE__, __LINE__, #condition, \
              snm_last_error());                                                                       \
      exit(1);                                                                                         \
    }                                                                                                  \
  } while (0)

/* The answer, and that the last error text names `part`. */
#define REFUSED(call, code, part)                         \
  do {                                                    \
    CHECK((call) == (code));                              \
    CHECK(strstr(snm_last_error(), (part)) != NULL);      \
  } while (0)

/* How long anything may take, milliseconds: only a hang is a failure, not a machine with much to do. */
enum { PATIENCE = 120000 };

/* Settings for an endpoint at an address of this machine, to which a slow peer is not a dead one. */
static inline snm_config *config_for(uint64_t steam_id, const char *bind_address) {
  snm_config *config = snm_config_create();
  CHECK(config != NULL);
  CHECK(snm_config_set_int(config, SNM_CONFIG_LOCAL_STEAM_ID, (int64_t)steam_id) == SNM_RESULT_OK);
  CHECK(snm_config_set_string(config, SNM_CONFIG_BIND_ADDRESS, bind_address) == SNM_RESULT_OK);
#ifndef DEFAULT_TIMEOUTS /* of programs that are about them */
  CHECK(snm_config_set_int(config, SNM_CONFIG_TIMEOUT_INITIAL, PATIENCE) == SNM_RESULT_OK);
  CHECK(snm_config_set_int(config, SNM_CONFIG_TIMEOUT_CONNECTED, PATIENCE) == SNM_RESULT_OK);
#endif
  return config;
}

static inline snm_endpoint *endpoint_with(snm_config *config) {
  snm_endpoint *endpoint = NULL;
  CHECK(snm_endpoint_create(config, &endpoint) == SNM_RESULT_OK);
  CHECK(endpoint != NULL);
  snm_config_destroy(config);
  return endpoint;
}

/* An endpoint at an address of this machine. */
static inline snm_endpoint *endpoint_at(uint64_t steam_id, const char *bind_address) {
  return endpoint_with(config_for(steam_id, bind_address));
}

/* An endpoint on a free loopback port. */
static inline snm_endpoint *endpoint_of(uint64_t steam_id) {
  return endpoint_at(steam_id, "127.0.0.1:0");
}

#endif
