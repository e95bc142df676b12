/* The receiving end: accepts one sender at a time, writes beside the final name, checks the digest, renames. */
#define _POSIX_C_SOURCE 200809L
#include "sendfile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FAREWELL_MS = 5000 }; /* how long the sender may take to read the verdict and close */

struct receiver {
    struct transfer transfer;
    const char *directory;
    char name[NAME_SIZE + 2];
    char path[4096];      /* where the file goes once it is whole and right */
    char part_path[4096]; /* where it grows */
    int finished;         /* the current transfer has come to its end */
    int good;             /* it was whole and right */
};

/* A file name of a stranger, made harmless: no directories, no hidden files, no control characters. */
static void make_safe_name(char out[NAME_SIZE + 2], const uint8_t *name, size_t size)
{
    size_t start = size, length = 0;

    while (start > 0 && name[start - 1] != '/' && name[start - 1] != '\\')
        start--;
    if (start == size || name[start] == '.')
        out[length++] = '_';
    for (; start < size && length < NAME_SIZE + 1; start++)
        out[length++] = name[start] < 0x20 || name[start] == 0x7f ? '_' : (char)name[start];
    out[length] = '\0';
}

/* Tells the sender how it went. */
static void give_verdict(struct receiver *receiver, int good, const char *text)
{
    uint8_t verdict[128] = {good ? 1 : 0};
    size_t length = strlen(text) < sizeof verdict ? strlen(text) : sizeof verdict - 1;

    memcpy(verdict + 1, text, length);
    if (!good)
        printf("  not received: %s\n", text);
    snm_send_message_to_user(receiver->transfer.endpoint, receiver->transfer.peer, verdict, (uint32_t)(1 + length),
                             SNM_SEND_RELIABLE | SNM_SEND_NO_NAGLE, FILE_CHANNEL);
    receiver->good = good;
    receiver->finished = 1;
}

static void take_header(struct receiver *receiver, const snm_message *message)
{
    struct transfer *transfer = &receiver->transfer;

    if (message->size < HEADER_SIZE || memcmp(message->payload, FILE_MAGIC, sizeof FILE_MAGIC - 1) != 0) {
        give_verdict(receiver, 0, "this is no file");
        return;
    }
    for (int i = 0; i < 8; i++)
        transfer->size |= (uint64_t)message->payload[4 + i] << 8 * i;
    make_safe_name(receiver->name, message->payload + HEADER_SIZE, message->size - HEADER_SIZE);

    int length = snprintf(receiver->path, sizeof receiver->path, "%s/%s", receiver->directory, receiver->name);
    snprintf(receiver->part_path, sizeof receiver->part_path, "%s/.%s.part", receiver->directory, receiver->name);
    if (length < 0 || (size_t)length + 6 >= sizeof receiver->path || access(receiver->path, F_OK) == 0) {
        give_verdict(receiver, 0, "there is a file of this name already");
        return;
    }
    transfer->file = fopen(receiver->part_path, "wb");
    if (!transfer->file) {
        give_verdict(receiver, 0, "cannot create the file");
        return;
    }
    printf("  receiving %s, %.2f MB\n", receiver->name, (double)transfer->size / 1e6);
}

static void take_digest(struct receiver *receiver, const snm_message *message)
{
    struct transfer *transfer = &receiver->transfer;
    uint8_t digest[SHA256_SIZE];

    sha256_finish(&transfer->sha, digest);
    int same = message->size == SHA256_SIZE && memcmp(message->payload, digest, SHA256_SIZE) == 0;
    int written = fclose(transfer->file) == 0;
    transfer->file = NULL;
    progress_end();
    if (same && written && rename(receiver->part_path, receiver->path) == 0) {
        give_verdict(receiver, 1, "");
        transfer_report(transfer, digest, "as the sender says");
        printf("  written to   %s\n", receiver->path);
    } else {
        remove(receiver->part_path);
        give_verdict(receiver, 0, same ? "the file cannot be written" : "the digest does not match");
    }
}

static void take_message(struct receiver *receiver, const snm_message *message)
{
    struct transfer *transfer = &receiver->transfer;

    if (!transfer->file) {
        take_header(receiver, message);
    } else if (transfer->done == transfer->size) {
        take_digest(receiver, message);
    } else if (message->size > transfer->size - transfer->done) {
        give_verdict(receiver, 0, "more came than was announced");
    } else if (fwrite(message->payload, 1, message->size, transfer->file) != message->size) {
        give_verdict(receiver, 0, "the disk does not take it");
    } else {
        sha256_add(&transfer->sha, message->payload, message->size);
        transfer->done += message->size;
        progress_show(&transfer->progress, "received", transfer->done, transfer->size);
    }
}

static void receive_file(struct receiver *receiver)
{
    snm_message *messages[64];
    int32_t count = snm_receive_messages_on_channel(receiver->transfer.endpoint, FILE_CHANNEL, messages, 64);

    for (int32_t i = 0; i < count; i++)
        if (messages[i]->identity == receiver->transfer.peer && !receiver->finished)
            take_message(receiver, messages[i]);
    if (count > 0)
        snm_messages_release(messages, count);
}

static int is_welcome(const struct receiver *receiver, uint64_t caller)
{
    const struct options *options = receiver->transfer.options;

    for (int i = 0; i < options->peer_count; i++)
        if (options->peers[i].id == caller)
            return 1;
    return options->peer_count == 0; /* without --peer, everybody */
}

/* Takes one sender at a time; the others are refused and may try again. */
static void receiver_events(struct receiver *receiver)
{
    struct transfer *transfer = &receiver->transfer;
    snm_event event = SNM_EVENT_INIT;

    while (snm_poll_event(transfer->endpoint, &event)) {
        if (event.type == SNM_EVENT_SESSION_FAILED) {
            progress_end();
            say_failed(&event);
        } else if (event.type == SNM_EVENT_SESSION_REQUEST) {
            if (transfer->peer == 0 && is_welcome(receiver, event.remote_steam_id)
                && snm_accept_session_with_user(transfer->endpoint, event.remote_steam_id)) {
                printf("%" PRIu64 " wants to send; accepted\n", event.remote_steam_id);
                transfer_start(transfer, event.remote_steam_id);
                receiver->finished = receiver->good = 0;
            } else {
                printf("%" PRIu64 " wants to send; refused\n", event.remote_steam_id);
                snm_close_session_with_user(transfer->endpoint, event.remote_steam_id);
            }
        }
    }
}

/* After the verdict the sender closes; whoever does not is closed. */
static void farewell(struct receiver *receiver)
{
    struct transfer *transfer = &receiver->transfer;
    const int64_t deadline = snm_time_now() + FAREWELL_MS * INT64_C(1000);

    while (transfer_lives(transfer) && snm_time_now() < deadline && !stop_requested()) {
        heartbeat_receive(&transfer->heartbeat, transfer->endpoint, transfer->peer);
        receive_file(receiver);
        receiver_events(receiver);
        snm_wait(transfer->endpoint, 10);
    }
    snm_close_session_with_user(transfer->endpoint, transfer->peer);
    if (transfer->file) {
        fclose(transfer->file);
        transfer->file = NULL;
        remove(receiver->part_path);
    }
    transfer->peer = 0;
}

/* One turn. 1 when a transfer has come to its end, good or bad. */
static int receiver_turn(struct receiver *receiver)
{
    struct transfer *transfer = &receiver->transfer;
    int ended = 0;

    receiver_events(receiver);
    if (transfer->peer == 0) {
        snm_wait(transfer->endpoint, 100);
        return 0;
    }
    transfer_beat(transfer);
    int lives = transfer_lives(transfer);
    receive_file(receiver);
    if (receiver->finished || !lives) {
        if (!receiver->finished)
            printf("%" PRIu64 " is gone before the file was whole\n", transfer->peer);
        ended = 1;
        farewell(receiver);
    } else {
        snm_wait(transfer->endpoint, transfer_wait_ms(transfer));
    }
    return ended;
}

int receive_files(const struct options *options, const char *directory, int once)
{
    struct receiver *receiver = calloc(1, sizeof *receiver);
    char address[128] = "";
    int good = 1, ended = 0;

    if (!receiver)
        return 0;
    receiver->directory = directory;
    receiver->transfer.options = options;
    receiver->transfer.endpoint = open_for_bulk(options);
    if (!receiver->transfer.endpoint) {
        free(receiver);
        return 0;
    }
    snm_endpoint_local_address(receiver->transfer.endpoint, address, sizeof address);
    printf("%" PRIu64 " listens at %s\n", options->id, address);
    while (!stop_requested() && !(once && ended)) {
        if (receiver_turn(receiver)) {
            ended = 1;
            good = good && receiver->good && receiver->transfer.heartbeat.out_of_order == 0;
        }
    }
    if (receiver->transfer.peer != 0) { /* stopped in the middle */
        farewell(receiver);
        good = 0;
    }
    snm_endpoint_destroy(receiver->transfer.endpoint);
    free(receiver);
    return good && (ended || !once);
}
