#define _POSIX_C_SOURCE 200809L
#include "example.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = 32, CERTIFICATE_SIZE = 133, RELAY_ONLY = 1 };

static volatile sig_atomic_t stop_flag; /* a signal handler can reach nothing else */

static void on_stop(int signal_number)
{
    (void)signal_number;
    stop_flag = 1;
}

void catch_stop(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_stop;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int stop_requested(void)
{
    return stop_flag;
}

void print_safely(FILE *out, const void *text, size_t size)
{
    const unsigned char *byte = text;

    for (size_t i = 0; i < size; i++) {
        /* U+0080 to U+009F, the second set of control characters, is C2 80 to C2 9F in UTF-8. */
        int second_set = byte[i] == 0xc2 && i + 1 < size && byte[i + 1] >= 0x80 && byte[i + 1] < 0xa0;

        if (second_set)
            i++;
        fputc(second_set || byte[i] < 0x20 || byte[i] == 0x7f ? '?' : byte[i], out);
    }
}

const char *whereabouts(const snm_connection_info *info)
{
    return info->info_flags & SNM_INFO_RELAYED ? "a relay" : info->remote_address;
}

uint64_t parse_steam_id(const char *text)
{
    char *end;

    if (*text < '0' || *text > '9')
        return 0;
    errno = 0;
    unsigned long long id = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0 ? (uint64_t)id : 0;
}

struct options options_default(void)
{
    struct options options;

    memset(&options, 0, sizeof options);
    options.bind = "127.0.0.1:0";
    return options;
}

/* "1002@127.0.0.1:7002", or "1002" alone */
static int take_peer(struct options *options, char *value)
{
    char *at = strchr(value, '@');

    if (options->peer_count == EXAMPLE_MAX_PEERS)
        return 0;
    if (at)
        *at = '\0';
    uint64_t id = parse_steam_id(value);
    options->peers[options->peer_count].id = id;
    options->peers[options->peer_count].address = at ? at + 1 : NULL;
    options->peer_count++;
    return id != 0;
}

static int take_number(const char *value, double highest, double *number)
{
    char *end;

    *number = strtod(value, &end);
    return end != value && *end == '\0' && *number >= 0 && *number <= highest;
}

static int take_relay(struct options *options, int argc, char **argv, int *at)
{
    if (*at + 3 >= argc) {
        fprintf(stderr, "--relay needs a URL, a user name and a password\n");
        return -1;
    }
    for (int i = 0; i < 3; i++)
        options->relay[i] = argv[++*at];
    return 1;
}

int options_take(struct options *options, int argc, char **argv, int *at)
{
    const char *name = argv[*at];

    if (strcmp(name, "--allow-lan") == 0) {
        options->allow_lan = 1;
        return 1;
    }
    if (strcmp(name, "--relay-only") == 0) {
        options->relay_only = 1;
        return 1;
    }
    if (strcmp(name, "--relay") == 0)
        return take_relay(options, argc, argv, at);
    if (strcmp(name, "--id") != 0 && strcmp(name, "--bind") != 0 && strcmp(name, "--peer") != 0
        && strcmp(name, "--identity") != 0 && strcmp(name, "--authority") != 0 && strcmp(name, "--loss") != 0
        && strcmp(name, "--lag") != 0 && strcmp(name, "--url") != 0 && strcmp(name, "--ca") != 0
        && strcmp(name, "--token") != 0)
        return 0;
    if (*at + 1 >= argc) {
        fprintf(stderr, "%s needs a value\n", name);
        return -1;
    }

    char *value = argv[++*at];
    double lag = 0;
    int right = 1;
    if (strcmp(name, "--id") == 0)
        right = (options->id = parse_steam_id(value)) != 0;
    else if (strcmp(name, "--bind") == 0)
        options->bind = value;
    else if (strcmp(name, "--peer") == 0)
        right = take_peer(options, value);
    else if (strcmp(name, "--url") == 0)
        options->url = value;
    else if (strcmp(name, "--ca") == 0)
        options->ca = value;
    else if (strcmp(name, "--token") == 0)
        options->token = value;
    else if (strcmp(name, "--identity") == 0)
        options->identity = value;
    else if (strcmp(name, "--authority") == 0)
        options->authority = value;
    else if (strcmp(name, "--loss") == 0)
        right = take_number(value, 100, &options->loss_percent);
    else if ((right = take_number(value, 5000, &lag)) != 0)
        options->lag_ms = (int)lag;
    if (!right)
        fprintf(stderr, "%s: \"%s\" will not do\n", name, value);
    return right ? 1 : -1;
}

/* Reads the first bytes of a file; in a key file the 32 of the key come first. */
static int read_paper(const char *folder, const char *name, uint8_t *bytes, size_t size)
{
    char path[1024];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    size_t count = file ? fread(bytes, 1, size, file) : 0;
    if (file)
        fclose(file);
    if (count != size)
        fprintf(stderr, "cannot read %s: %s\n", path, file ? "it is too short" : strerror(errno));
    return count == size;
}

/* Gives the config what proves who we are; who has a token gets his certificate from the server. */
static int show_papers(snm_config *config, const char *folder, int has_token)
{
    uint8_t key[KEY_SIZE], certificate[CERTIFICATE_SIZE];

    if (!read_paper(folder, "identity.key", key, sizeof key)
        || (!has_token && !read_paper(folder, "identity.cert", certificate, sizeof certificate)))
        return 0;
    if (snm_config_set_bytes(config, SNM_CONFIG_IDENTITY_KEY, key, sizeof key) == SNM_RESULT_OK
        && (has_token
            || snm_config_set_bytes(config, SNM_CONFIG_CERTIFICATE, certificate, sizeof certificate) == SNM_RESULT_OK))
        return 1;
    fprintf(stderr, "cannot use the identity in %s: %s\n", folder, snm_last_error());
    return 0;
}

static int show_token(snm_config *config, const char *path)
{
    char token[8192];
    FILE *file = fopen(path, "rb");
    size_t count = file ? fread(token, 1, sizeof token - 1, file) : 0;

    if (file)
        fclose(file);
    token[count] = '\0';
    token[strcspn(token, "\r\n")] = '\0';
    if (*token != '\0' && snm_config_set_string(config, SNM_CONFIG_LOGIN_TOKEN, token) == SNM_RESULT_OK)
        return 1;
    fprintf(stderr, "cannot use the token in %s: %s\n", path, *token != '\0' ? snm_last_error() : "there is none");
    return 0;
}

static int add_relay(snm_config *config, const char *const relay[3])
{
    return snm_config_set_string(config, SNM_CONFIG_P2P_TURN_SERVER_LIST, relay[0]) == SNM_RESULT_OK
        && snm_config_set_string(config, SNM_CONFIG_P2P_TURN_USER_LIST, relay[1]) == SNM_RESULT_OK
        && snm_config_set_string(config, SNM_CONFIG_P2P_TURN_PASS_LIST, relay[2]) == SNM_RESULT_OK;
}

void say_signaling(const snm_event *event)
{
    if (event->connection_state == SNM_STATE_CONNECTED) {
        printf("* the signaling server has let us in\n");
    } else if (event->reason != 0) {
        printf("! signaling: ");
        print_safely(stdout, event->debug_message, strlen(event->debug_message));
        printf(" (%" PRId32 ")\n", event->reason);
    }
}

snm_endpoint *options_open(const struct options *options, snm_config *config)
{
    snm_endpoint *endpoint = NULL;

    if ((options->identity && !show_papers(config, options->identity, options->token != NULL))
        || (options->token && !show_token(config, options->token))) {
        snm_config_destroy(config);
        return NULL;
    }
    const char *authority = options->authority ? options->authority : "";
    int right = snm_config_set_int(config, SNM_CONFIG_LOCAL_STEAM_ID, (int64_t)options->id) == SNM_RESULT_OK
        && snm_config_set_string(config, SNM_CONFIG_BIND_ADDRESS, options->bind) == SNM_RESULT_OK
        && snm_config_set_string(config, SNM_CONFIG_TRUSTED_AUTHORITIES, authority) == SNM_RESULT_OK
        && snm_config_set_string(config, SNM_CONFIG_SIGNALING_URL, options->url ? options->url : "") == SNM_RESULT_OK
        && snm_config_set_string(config, SNM_CONFIG_SIGNALING_CA, options->ca ? options->ca : "") == SNM_RESULT_OK
        && (!options->relay[0] || add_relay(config, options->relay))
        && (!options->relay_only
            || snm_config_set_int(config, SNM_CONFIG_P2P_TRANSPORT_ICE_ENABLE, RELAY_ONLY) == SNM_RESULT_OK)
        && snm_config_set_int(config, SNM_CONFIG_IP_ALLOW_WITHOUT_AUTH, options->allow_lan) == SNM_RESULT_OK
        && snm_config_set_float(config, SNM_CONFIG_FAKE_PACKET_LOSS_SEND, options->loss_percent) == SNM_RESULT_OK
        && snm_config_set_float(config, SNM_CONFIG_FAKE_PACKET_LOSS_RECV, options->loss_percent) == SNM_RESULT_OK
        && snm_config_set_int(config, SNM_CONFIG_FAKE_PACKET_LAG_SEND, options->lag_ms) == SNM_RESULT_OK
        && snm_config_set_int(config, SNM_CONFIG_FAKE_PACKET_LAG_RECV, options->lag_ms) == SNM_RESULT_OK
        && snm_endpoint_create(config, &endpoint) == SNM_RESULT_OK;

    if (!right)
        fprintf(stderr, "cannot open the endpoint: %s\n", snm_last_error());
    for (int i = 0; right && i < options->peer_count; i++) {
        if (!options->peers[i].address) {
            right = options->url != NULL;
            if (!right)
                fprintf(stderr, "where is %" PRIu64 "? Say --peer N@HOST:PORT, or --url\n", options->peers[i].id);
            continue;
        }
        right = snm_add_peer_address(endpoint, options->peers[i].id, options->peers[i].address) == SNM_RESULT_OK;
        if (!right)
            fprintf(stderr, "cannot use the address of %" PRIu64 ": %s\n", options->peers[i].id, snm_last_error());
    }
    snm_config_destroy(config);
    if (!right) {
        snm_endpoint_destroy(endpoint);
        endpoint = NULL;
    }
    return endpoint;
}
