/*
 * A game's pulse beside the bulk: a small reliable message 60 times a second, numbered and stamped. What comes back
 * shows how late such messages arrive while a file fills the same session on another channel.
 */
#ifndef HEARTBEAT_H
#define HEARTBEAT_H

#include <stdint.h>
#include <steamnetmsg.h>

enum { HEARTBEAT_CHANNEL = 0, HEARTBEAT_SAMPLES = 65536 };

struct heartbeat {
    int64_t next_us;        /* when ours is due */
    uint64_t sent;
    uint64_t received;
    uint64_t out_of_order;  /* must stay 0: reliable messages of one channel arrive once and in order */
    int64_t last_us;        /* when the last one arrived */
    int64_t longest_gap_us; /* between two arrivals */
    int64_t transit_us[HEARTBEAT_SAMPLES]; /* arrival minus departure, by two clocks; the newest samples */
};

void heartbeat_start(struct heartbeat *heartbeat);

/* Sends ours if it is due. */
void heartbeat_send(struct heartbeat *heartbeat, snm_endpoint *endpoint, uint64_t peer);

/* Takes what has arrived from the peer. */
void heartbeat_receive(struct heartbeat *heartbeat, snm_endpoint *endpoint, uint64_t peer);

/* Milliseconds until ours is due, for snm_wait. */
int32_t heartbeat_due_ms(const struct heartbeat *heartbeat);

/* How long the given percentage of the heartbeats took at most, beyond the fastest one. -1 when none arrived. */
int64_t heartbeat_delay_us(const struct heartbeat *heartbeat, int percent);

#endif
