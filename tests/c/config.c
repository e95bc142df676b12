/* Settings: every refusal names the key, and an endpoint that cannot be made says why. */
#include "check.h"

static snm_config *ready(void) {
  snm_config *config = snm_config_create();
  CHECK(config != NULL);
  CHECK(snm_config_set_int(config, SNM_CONFIG_LOCAL_STEAM_ID, 7) == SNM_RESULT_OK);
  CHECK(snm_config_set_string(config, SNM_CONFIG_BIND_ADDRESS, "127.0.0.1:0") == SNM_RESULT_OK);
  return config;
}

static void values_are_checked(void) {
  static const uint8_t seed[32] = { 1 };
  snm_config *config = ready();
  CHECK(snm_config_set_int(config, SNM_CONFIG_SEND_BUFFER_SIZE, 4096) == SNM_RESULT_OK);
  CHECK(snm_config_set_float(config, SNM_CONFIG_FAKE_PACKET_LOSS_SEND, 12.5) == SNM_RESULT_OK);
  CHECK(snm_config_set_bytes(config, SNM_CONFIG_IDENTITY_KEY, seed, 32) == SNM_RESULT_OK);
  REFUSED(snm_config_set_int(config, 4711, 1), SNM_RESULT_INVALID_PARAM, "4711");
  REFUSED(snm_config_set_int(config, -1, 1), SNM_RESULT_INVALID_PARAM, "-1");
  REFUSED(snm_config_set_int(config, SNM_CONFIG_SEND_BUFFER_SIZE, 4095), SNM_RESULT_INVALID_PARAM, "4096 to 268435456");
  REFUSED(snm_config_set_int(config, SNM_CONFIG_FAKE_PACKET_LOSS_SEND, 1), SNM_RESULT_INVALID_PARAM, "takes a float");
  REFUSED(snm_config_set_float(config, SNM_CONFIG_FAKE_PACKET_LOSS_SEND, 100.5), SNM_RESULT_INVALID_PARAM, "100.5");
  REFUSED(snm_config_set_string(config, SNM_CONFIG_BIND_ADDRESS, NULL), SNM_RESULT_INVALID_PARAM, "NULL");
  REFUSED(snm_config_set_string(config, SNM_CONFIG_BIND_ADDRESS, "\xff"), SNM_RESULT_INVALID_PARAM, "UTF-8");
  REFUSED(snm_config_set_string(config, SNM_CONFIG_BIND_ADDRESS, "here"), SNM_RESULT_INVALID_PARAM, "BIND_ADDRESS");
  REFUSED(snm_config_set_bytes(config, SNM_CONFIG_IDENTITY_KEY, seed, 31), SNM_RESULT_INVALID_PARAM, "exactly 32");
  REFUSED(snm_config_set_bytes(config, SNM_CONFIG_IDENTITY_KEY, NULL, 32), SNM_RESULT_INVALID_PARAM, "NULL");
  REFUSED(snm_config_set_int(config, SNM_CONFIG_LAN_DISCOVERY, 1), SNM_RESULT_INVALID_STATE, "LAN_DISCOVERY");
  CHECK(snm_config_set_int(config, SNM_CONFIG_LAN_DISCOVERY, 0) == SNM_RESULT_OK);
  CHECK(snm_config_set_bytes(config, SNM_CONFIG_CERTIFICATE, NULL, 0) == SNM_RESULT_OK);
  snm_config_destroy(config);
}

static void an_endpoint_that_cannot_be_made_says_why(void) {
  snm_endpoint *first = NULL, *second = NULL;
  char address[128];
  snm_config *config = snm_config_create();
  REFUSED(snm_endpoint_create(config, &first), SNM_RESULT_INVALID_PARAM, "LOCAL_STEAM_ID");
  CHECK(first == NULL);
  snm_config_destroy(config);

  config = ready();
  CHECK(snm_config_set_int(config, SNM_CONFIG_SEND_RATE_MIN, 50000) == SNM_RESULT_OK);
  CHECK(snm_config_set_int(config, SNM_CONFIG_SEND_RATE_MAX, 40000) == SNM_RESULT_OK);
  REFUSED(snm_endpoint_create(config, &first), SNM_RESULT_INVALID_PARAM, "SEND_RATE_MAX");
  CHECK(snm_config_set_int(config, SNM_CONFIG_SEND_RATE_MAX, 0) == SNM_RESULT_OK);

  CHECK(snm_endpoint_create(config, &first) == SNM_RESULT_OK);
  CHECK(snm_endpoint_local_address(first, address, sizeof(address)) == SNM_RESULT_OK);
  CHECK(strncmp(address, "127.0.0.1:", 10) == 0 && strcmp(address, "127.0.0.1:0") != 0);

  /* 192.0.2.1 is an address for documentation: no machine has it. */
  CHECK(snm_config_set_string(config, SNM_CONFIG_BIND_ADDRESS, "192.0.2.1:0") == SNM_RESULT_OK);
  REFUSED(snm_endpoint_create(config, &second), SNM_RESULT_FAIL, "192.0.2.1");
  CHECK(second == NULL);
  snm_config_destroy(config);
  snm_endpoint_destroy(first);
}

/* The port is free the moment destroy returns, and one config makes many endpoints. */
static void a_destroyed_endpoint_leaves_its_port(void) {
  char address[128], again[128];
  int i;
  snm_endpoint *endpoint = NULL;
  snm_config *config = ready();
  CHECK(snm_endpoint_create(config, &endpoint) == SNM_RESULT_OK);
  CHECK(snm_endpoint_local_address(endpoint, address, sizeof(address)) == SNM_RESULT_OK);
  snm_endpoint_destroy(endpoint);
  CHECK(snm_config_set_string(config, SNM_CONFIG_BIND_ADDRESS, address) == SNM_RESULT_OK);
  for (i = 0; i < 3; ++i) {
    CHECK(snm_endpoint_create(config, &endpoint) == SNM_RESULT_OK);
    CHECK(snm_endpoint_local_address(endpoint, again, sizeof(again)) == SNM_RESULT_OK);
    CHECK(strcmp(address, again) == 0);
    snm_endpoint_destroy(endpoint);
  }
  snm_config_destroy(config);
}

static int lines = 0;
static void on_log(void *user_data, int32_t level, const char *message) {
  CHECK(user_data == &lines && level >= SNM_LOG_BUG && level <= SNM_LOG_ERROR && message[0] != 0);
  ++lines;
}

static void the_log_tells_what_the_last_error_told(void) {
  snm_endpoint *endpoint = NULL;
  snm_config *config = snm_config_create();
  snm_set_log_callback(on_log, &lines, SNM_LOG_ERROR);
  CHECK(snm_endpoint_create(config, &endpoint) == SNM_RESULT_INVALID_PARAM);
  CHECK(lines == 1);
  snm_set_log_callback(NULL, NULL, SNM_LOG_DEBUG);
  CHECK(snm_endpoint_create(config, &endpoint) == SNM_RESULT_INVALID_PARAM);
  CHECK(lines == 1);
  snm_config_destroy(config);
}

int main(void) {
  values_are_checked();
  an_endpoint_that_cannot_be_made_says_why();
  a_destroyed_endpoint_leaves_its_port();
  the_log_tells_what_the_last_error_told();
  snm_shutdown_all();
  return 0;
}
