/*
 * Sends a file to a steam id, over a line as bad as you like, while a game's heartbeat runs beside it.
 *
 *     sendfile recv --id 1002 --bind 127.0.0.1:7002 --out DIR [--once]
 *     sendfile send --id 1001 --peer 1002@127.0.0.1:7002 [--loss 5 --lag 25] FILE
 *
 * Both ends check the outcome, and the exit status says it.
 */
#include "sendfile.h"

#include <inttypes.h>
#include <string.h>

enum {
    BUFFERED_MESSAGES = 8192,
    CONNECTING_WAIT_MS = 10
};

snm_endpoint *open_for_bulk(const struct options *options)
{
    snm_config *config = snm_config_create();

    if (snm_config_set_int(config, SNM_CONFIG_SEND_BUFFER_SIZE, BUFFERED_BYTES) != SNM_RESULT_OK
        || snm_config_set_int(config, SNM_CONFIG_RECV_BUFFER_SIZE, BUFFERED_BYTES) != SNM_RESULT_OK
        || snm_config_set_int(config, SNM_CONFIG_RECV_BUFFER_MESSAGES, BUFFERED_MESSAGES) != SNM_RESULT_OK) {
        fprintf(stderr, "cannot set the buffers: %s\n", snm_last_error());
        snm_config_destroy(config);
        return NULL;
    }
    snm_endpoint *endpoint = options_open(options, config);
    if (endpoint)
        snm_set_channel_priority(endpoint, HEARTBEAT_CHANNEL, 1);
    return endpoint;
}

void transfer_start(struct transfer *transfer, uint64_t peer)
{
    transfer->peer = peer;
    transfer->connected = 0;
    transfer->size = transfer->done = 0;
    progress_start(&transfer->progress);
    heartbeat_start(&transfer->heartbeat);
    sha256_start(&transfer->sha);
}

int transfer_lives(struct transfer *transfer)
{
    snm_connection_state state = snm_get_session_connection_info(transfer->endpoint, transfer->peer, NULL, NULL);

    if (state == SNM_STATE_CONNECTED && !transfer->connected) {
        transfer->connected = 1;
        progress_start(&transfer->progress);
    }
    return state == SNM_STATE_CONNECTING || state == SNM_STATE_FINDING_ROUTE || state == SNM_STATE_CONNECTED;
}

void transfer_beat(struct transfer *transfer)
{
    if (transfer->connected) /* those of before would only wait, and look late */
        heartbeat_send(&transfer->heartbeat, transfer->endpoint, transfer->peer);
    heartbeat_receive(&transfer->heartbeat, transfer->endpoint, transfer->peer);
}

int32_t transfer_wait_ms(const struct transfer *transfer)
{
    return transfer->connected ? heartbeat_due_ms(&transfer->heartbeat) : CONNECTING_WAIT_MS;
}

void say_failed(const snm_event *event)
{
    printf("session with %" PRIu64 " failed: %s (%" PRId32 "): ", event->remote_steam_id,
           snm_end_reason_name(event->reason), event->reason);
    print_safely(stdout, event->debug_message, strlen(event->debug_message));
    putchar('\n');
}

void transfer_report(const struct transfer *transfer, const uint8_t digest[SHA256_SIZE], const char *remark)
{
    report_session(transfer->endpoint, transfer->peer, transfer->options, &transfer->heartbeat, &transfer->progress,
                   transfer->size);
    printf("  sha256       ");
    for (int i = 0; i < SHA256_SIZE; i++)
        printf("%02x", digest[i]);
    printf("\n               %s\n", remark);
}

static int usage(void)
{
    fprintf(stderr,
            "usage: sendfile recv --id N --bind IP:PORT [--out DIR] [--once] [options]\n"
            "       sendfile send --id N --peer N@HOST:PORT [options] FILE\n"
            "  --out DIR             where files go (default: here)\n"
            "  --once                end after one file\n%s",
            OPTIONS_HELP);
    return 2;
}

int main(int argc, char **argv)
{
    struct options options = options_default();
    const char *directory = ".", *path = NULL;
    int once = 0;

    if (argc < 2 || (strcmp(argv[1], "send") != 0 && strcmp(argv[1], "recv") != 0))
        return usage();
    const int sending = strcmp(argv[1], "send") == 0;
    for (int i = 2; i < argc; i++) {
        int taken = options_take(&options, argc, argv, &i);
        if (taken < 0)
            return 2;
        if (taken > 0)
            continue;
        if (!sending && strcmp(argv[i], "--once") == 0)
            once = 1;
        else if (!sending && strcmp(argv[i], "--out") == 0 && i + 1 < argc)
            directory = argv[++i];
        else if (sending && !path && argv[i][0] != '-')
            path = argv[i];
        else
            return usage();
    }
    if (options.id == 0 || (sending && (!path || options.peer_count != 1)))
        return usage();

    setvbuf(stdout, NULL, _IOLBF, 0);
    catch_stop();
    return (sending ? send_file(&options, path) : receive_files(&options, directory, once)) ? 0 : 1;
}
