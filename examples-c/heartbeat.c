#include "heartbeat.h"

#include <stdlib.h>
#include <string.h>

enum { INTERVAL_US = 1000000 / 60, BEAT_SIZE = 16, BATCH = 32 };

static void put_u64(uint8_t *at, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t take_u64(const uint8_t *at)
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

void heartbeat_start(struct heartbeat *heartbeat)
{
    memset(heartbeat, 0, sizeof *heartbeat);
    heartbeat->next_us = snm_time_now();
}

void heartbeat_send(struct heartbeat *heartbeat, snm_endpoint *endpoint, uint64_t peer)
{
    const int64_t now = snm_time_now();
    uint8_t beat[BEAT_SIZE];

    if (now < heartbeat->next_us)
        return;
    put_u64(beat, heartbeat->sent);
    put_u64(beat + 8, (uint64_t)now);
    /* A full send buffer refuses it: then it is still due, and goes at the next turn. */
    if (snm_send_message_to_user(endpoint, peer, beat, sizeof beat, SNM_SEND_RELIABLE | SNM_SEND_NO_NAGLE,
                                 HEARTBEAT_CHANNEL) != SNM_RESULT_OK)
        return;
    heartbeat->sent++;
    heartbeat->next_us += INTERVAL_US;
    if (heartbeat->next_us < now) /* the program was held up: no burst to catch up */
        heartbeat->next_us = now + INTERVAL_US;
}

static void take(struct heartbeat *heartbeat, const snm_message *message)
{
    if (message->size != BEAT_SIZE || take_u64(message->payload) != heartbeat->received)
        heartbeat->out_of_order++;
    if (message->size == BEAT_SIZE) {
        /* Unsigned, so that no time stamp from outside can overflow. */
        uint64_t transit = (uint64_t)message->time_received - take_u64(message->payload + 8);
        heartbeat->transit_us[heartbeat->received % HEARTBEAT_SAMPLES] = (int64_t)transit;
    }
    if (heartbeat->received > 0 && message->time_received - heartbeat->last_us > heartbeat->longest_gap_us)
        heartbeat->longest_gap_us = message->time_received - heartbeat->last_us;
    heartbeat->last_us = message->time_received;
    heartbeat->received++;
}

void heartbeat_receive(struct heartbeat *heartbeat, snm_endpoint *endpoint, uint64_t peer)
{
    snm_message *messages[BATCH];
    int32_t count;

    while ((count = snm_receive_messages_on_channel(endpoint, HEARTBEAT_CHANNEL, messages, BATCH)) > 0) {
        for (int32_t i = 0; i < count; i++)
            if (messages[i]->identity == peer)
                take(heartbeat, messages[i]);
        snm_messages_release(messages, count);
    }
}

int32_t heartbeat_due_ms(const struct heartbeat *heartbeat)
{
    const int64_t left_us = heartbeat->next_us - snm_time_now();

    return left_us <= 0 ? 0 : (int32_t)((left_us + 999) / 1000);
}

static int by_value(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

int64_t heartbeat_delay_us(const struct heartbeat *heartbeat, int percent)
{
    const size_t count = heartbeat->received < HEARTBEAT_SAMPLES ? (size_t)heartbeat->received : HEARTBEAT_SAMPLES;
    int64_t *sorted = count > 0 ? malloc(count * sizeof *sorted) : NULL;

    if (!sorted)
        return -1;
    memcpy(sorted, heartbeat->transit_us, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_value);
    int64_t delay = (int64_t)((uint64_t)sorted[(count - 1) * (size_t)percent / 100] - (uint64_t)sorted[0]);
    free(sorted);
    return delay;
}
