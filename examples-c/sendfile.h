/*
 * One file on its way between two steam ids, as both ends see it.
 *
 * Channel 1 carries reliable messages: a header (magic, size, name), the content in pieces of 32 KiB, its SHA-256;
 * and back, one verdict (1 good or 0 bad, and a text). Channel 0 carries the heartbeats.
 */
#ifndef SENDFILE_H
#define SENDFILE_H

#include "example.h"
#include "heartbeat.h"
#include "report.h"
#include "sha256.h"

enum {
    FILE_CHANNEL = 1,
    PIECE_SIZE = 32 * 1024,
    BUFFERED_BYTES = 8 << 20, /* a channel may hold half unread: enough for 80 MB/s over a round trip of 50 ms */
    HEADER_SIZE = 12, /* magic and size; the name follows */
    NAME_SIZE = 200
};

#define FILE_MAGIC "SNF1"

struct transfer {
    snm_endpoint *endpoint;
    const struct options *options;
    uint64_t peer; /* 0: the receiver waits for somebody */
    int connected; /* the session has stood */
    struct heartbeat heartbeat;
    struct progress progress;
    struct sha256 sha;
    FILE *file;
    uint64_t size, done;
};

/* The endpoint, with room for a bulk transfer, and the heartbeats before the bulk. NULL when it did not work. */
snm_endpoint *open_for_bulk(const struct options *options);

void transfer_start(struct transfer *transfer, uint64_t peer);

/* Whether the session still lives; notes when it came to stand. Ask before reading: what came can be read after an end. */
int transfer_lives(struct transfer *transfer);

/* Heartbeats out and in. */
void transfer_beat(struct transfer *transfer);

/* How long the next turn may be waited for, if nothing arrives. */
int32_t transfer_wait_ms(const struct transfer *transfer);

void say_failed(const snm_event *event);

/* The table at the end, while the session still stands. */
void transfer_report(const struct transfer *transfer, const uint8_t digest[SHA256_SIZE], const char *remark);

/* The two programs. 1 when every file has arrived, whole and right. */
int send_file(const struct options *options, const char *path);
int receive_files(const struct options *options, const char *directory, int once);

#endif
