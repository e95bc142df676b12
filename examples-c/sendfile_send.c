/* The sending end: reads, sends until the buffer is full, waits for the receiver's verdict. */
#define _POSIX_C_SOURCE 200809L
#include "sendfile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    PIECES_A_TURN = 16, /* so that the heartbeats keep time */
    KEPT_FREE = 8 * PIECE_SIZE, /* of the send buffer, for the heartbeats: the file must not fill it */
    FULL_WAIT_MS = 1    /* when the send buffer is full */
};

enum stage { CONTENT, DIGEST, VERDICT };

struct sender {
    struct transfer transfer;
    enum stage stage;
    uint8_t next[PIECE_SIZE]; /* the message that goes next */
    uint32_t next_size;  /* 0: to be made */
    int full;            /* the send buffer has refused next */
    uint8_t digest[SHA256_SIZE];
};

static int sender_open(struct sender *sender, const char *path)
{
    struct transfer *transfer = &sender->transfer;
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    size_t name_length = strlen(name);
    struct stat about;

    transfer->file = fopen(path, "rb");
    if (!transfer->file || fstat(fileno(transfer->file), &about) != 0 || !S_ISREG(about.st_mode)) {
        fprintf(stderr, "cannot read %s: %s\n", path, transfer->file ? "not a file" : strerror(errno));
        return 0;
    }
    if (name_length > NAME_SIZE)
        name_length = NAME_SIZE;
    transfer->size = (uint64_t)about.st_size;
    memcpy(sender->next, FILE_MAGIC, sizeof FILE_MAGIC - 1);
    for (int i = 0; i < 8; i++)
        sender->next[4 + i] = (uint8_t)(transfer->size >> 8 * i);
    memcpy(sender->next + HEADER_SIZE, name, name_length);
    sender->next_size = (uint32_t)(HEADER_SIZE + name_length);
    return 1;
}

/* Makes the next message. 0 when there is none any more, -1 when the file cannot be read on. */
static int make_next(struct sender *sender)
{
    struct transfer *transfer = &sender->transfer;

    if (sender->stage == CONTENT && transfer->done < transfer->size) {
        const uint64_t left = transfer->size - transfer->done;
        const size_t wanted = left < PIECE_SIZE ? (size_t)left : PIECE_SIZE;
        if (fread(sender->next, 1, wanted, transfer->file) != wanted) {
            fprintf(stderr, "the file has become shorter\n");
            return -1;
        }
        sha256_add(&transfer->sha, sender->next, wanted);
        transfer->done += wanted;
        sender->next_size = (uint32_t)wanted;
        return 1;
    }
    if (sender->stage == CONTENT) {
        sha256_finish(&transfer->sha, sender->digest);
        memcpy(sender->next, sender->digest, SHA256_SIZE);
        sender->next_size = SHA256_SIZE;
        sender->stage = DIGEST;
        return 1;
    }
    sender->stage = VERDICT;
    return 0;
}

/* Sends until the buffer is nearly full: that is all the backpressure there is. 0 when something went wrong. */
static int push(struct sender *sender)
{
    snm_realtime_status status = SNM_REALTIME_STATUS_INIT;

    snm_get_session_connection_info(sender->transfer.endpoint, sender->transfer.peer, NULL, &status);
    int room = (BUFFERED_BYTES - KEPT_FREE - status.pending_reliable) / PIECE_SIZE;
    sender->full = room <= 0;
    for (int i = 0; i < PIECES_A_TURN && i < room && sender->stage != VERDICT; i++) {
        if (sender->next_size == 0) {
            int made = make_next(sender);
            if (made <= 0)
                return made == 0;
        }
        snm_result result = snm_send_message_to_user(sender->transfer.endpoint, sender->transfer.peer, sender->next,
                                                     sender->next_size, SNM_SEND_RELIABLE, FILE_CHANNEL);
        if (result == SNM_RESULT_LIMIT_EXCEEDED) {
            sender->full = 1;
            return 1;
        }
        if (result != SNM_RESULT_OK) {
            progress_end();
            printf("cannot send: %s\n", snm_result_name(result));
            return 0;
        }
        sender->next_size = 0;
    }
    return 1;
}

/* What has left our buffers and was acknowledged. */
static uint64_t delivered(const struct transfer *transfer)
{
    snm_realtime_status status = SNM_REALTIME_STATUS_INIT;

    snm_get_session_connection_info(transfer->endpoint, transfer->peer, NULL, &status);
    uint64_t held = (uint64_t)status.pending_reliable + (uint64_t)status.send_unacknowledged_reliable;
    return held < transfer->done ? transfer->done - held : 0;
}

/* The receiver's verdict: 1 good, 0 bad, -1 not there yet. */
static int hear_verdict(struct sender *sender)
{
    snm_message *message = NULL;
    int verdict;

    if (snm_receive_messages_on_channel(sender->transfer.endpoint, FILE_CHANNEL, &message, 1) == 0)
        return -1;
    verdict = message->size > 0 && message->payload[0] == 1 && sender->stage == VERDICT;
    if (verdict)
        progress_show(&sender->transfer.progress, "sent    ", sender->transfer.size, sender->transfer.size);
    progress_end();
    if (verdict) {
        transfer_report(&sender->transfer, sender->digest, "the receiver found the same");
    } else {
        printf("the receiver says: ");
        print_safely(stdout, message->payload + (message->size > 0), message->size > 0 ? message->size - 1 : 0);
        putchar('\n');
    }
    snm_message_release(message);
    return verdict;
}

/* Runs to the verdict: 1 the file is there, 0 it is not. */
static int sender_run(struct sender *sender)
{
    struct transfer *transfer = &sender->transfer;
    snm_event event = SNM_EVENT_INIT;
    int verdict;

    while (!stop_requested()) {
        while (snm_poll_event(transfer->endpoint, &event)) {
            if (event.type == SNM_EVENT_SESSION_FAILED && event.remote_steam_id == transfer->peer) {
                progress_end();
                say_failed(&event);
                return 0;
            }
            if (event.type == SNM_EVENT_SESSION_REQUEST) /* we only send */
                snm_close_session_with_user(transfer->endpoint, event.remote_steam_id);
        }
        transfer_beat(transfer);
        if (!push(sender))
            return 0;
        progress_show(&transfer->progress, "sent    ", delivered(transfer), transfer->size);
        int lives = transfer_lives(transfer);
        if ((verdict = hear_verdict(sender)) >= 0)
            return verdict;
        if (!lives) {
            progress_end();
            printf("%" PRIu64 " has closed the session\n", transfer->peer);
            return 0;
        }
        int32_t wait_ms = transfer_wait_ms(transfer);
        if (sender->stage != VERDICT && wait_ms > FULL_WAIT_MS)
            wait_ms = sender->full ? FULL_WAIT_MS : 0;
        snm_wait(transfer->endpoint, wait_ms);
    }
    return 0;
}

int send_file(const struct options *options, const char *path)
{
    struct sender *sender = calloc(1, sizeof *sender); /* the heartbeat's samples are large for a stack */
    int sent = 0;

    if (!sender)
        return 0;
    sender->transfer.options = options;
    transfer_start(&sender->transfer, options->peers[0].id);
    if (sender_open(sender, path) && (sender->transfer.endpoint = open_for_bulk(options)) != NULL) {
        printf("%" PRIu64 " sends %s, %.2f MB, to %" PRIu64 "\n", options->id, path,
               (double)sender->transfer.size / 1e6, sender->transfer.peer);
        sent = sender_run(sender) && sender->transfer.heartbeat.out_of_order == 0;
        snm_endpoint_destroy(sender->transfer.endpoint); /* closes the session */
    }
    if (sender->transfer.file)
        fclose(sender->transfer.file);
    free(sender);
    return sent;
}
