#define _POSIX_C_SOURCE 200809L
#include "report.h"

#include <inttypes.h>
#include <unistd.h>

enum { BAR_WIDTH = 30, REDRAW_US = 100000 };

static double megabytes(uint64_t bytes)
{
    return (double)bytes / 1e6;
}

static double seconds_since(int64_t start_us)
{
    const int64_t passed_us = snm_time_now() - start_us;

    return passed_us > 0 ? (double)passed_us / 1e6 : 1e-6;
}

static void draw_bar(int percent)
{
    putchar('[');
    for (int i = 0; i < BAR_WIDTH; i++)
        putchar(i < percent * BAR_WIDTH / 100 ? '#' : '.');
    putchar(']');
}

void progress_start(struct progress *progress)
{
    progress->started_us = snm_time_now();
    progress->shown_us = 0;
    progress->shown_tenth = 0;
}

void progress_show(struct progress *progress, const char *verb, uint64_t done, uint64_t size)
{
    const int percent = size > 0 ? (int)((double)done * 100 / (double)size) : 100;
    const int terminal = isatty(STDOUT_FILENO);

    if (terminal ? done < size && snm_time_now() - progress->shown_us < REDRAW_US
                 : percent / 10 <= progress->shown_tenth)
        return;
    progress->shown_us = snm_time_now();
    progress->shown_tenth = percent / 10;

    const double rate = megabytes(done) / seconds_since(progress->started_us);
    if (terminal)
        printf("\r\033[K");
    printf("  %s ", verb);
    draw_bar(percent);
    printf(" %3d %%  %6.2f MB/s", percent, rate);
    if (done < size && rate > 0)
        printf("  %.0f s left", megabytes(size - done) / rate);
    if (!terminal)
        putchar('\n');
    fflush(stdout);
}

void progress_end(void)
{
    if (isatty(STDOUT_FILENO))
        putchar('\n');
}

static void print_quality(const char *label, float quality)
{
    if (quality < 0)
        printf("%s not known yet", label);
    else
        printf("%s %.1f %%", label, (double)quality * 100);
}

void report_session(snm_endpoint *endpoint, uint64_t peer, const struct options *options,
                    const struct heartbeat *heartbeat, const struct progress *progress, uint64_t bytes)
{
    snm_connection_info info = SNM_CONNECTION_INFO_INIT;
    snm_realtime_status status = SNM_REALTIME_STATUS_INIT;
    const snm_connection_state state = snm_get_session_connection_info(endpoint, peer, &info, &status);
    const double seconds = seconds_since(progress->started_us);

    printf("  session      with %" PRIu64 " at %s, %s%s\n", peer, whereabouts(&info), snm_connection_state_name(state),
           info.info_flags & SNM_INFO_UNAUTHENTICATED ? ", encrypted, unauthenticated" : ", encrypted, certified");
    printf("  injected     loss %g %%, lag %d ms, each way, at this end\n", options->loss_percent, options->lag_ms);
    printf("  ping         %" PRId32 " ms\n", status.ping);
    print_quality("  quality      here", status.local_quality);
    print_quality(", there", status.remote_quality);
    printf("\n  last 5 s     out %.2f MB/s, %.0f packets/s; in %.2f MB/s, %.0f packets/s\n",
           (double)status.bytes_out_per_second / 1e6, (double)status.packets_out_per_second,
           (double)status.bytes_in_per_second / 1e6, (double)status.packets_in_per_second);
    printf("  capacity     %.2f MB/s, estimated\n", (double)status.send_rate / 1e6);
    printf("  file         %.2f MB in %.2f s: %.2f MB/s on average\n", megabytes(bytes), seconds,
           megabytes(bytes) / seconds);
    printf("  heartbeats   %" PRIu64 " sent, %" PRIu64 " received, %" PRIu64 " out of order, longest gap %.1f ms\n",
           heartbeat->sent, heartbeat->received, heartbeat->out_of_order, (double)heartbeat->longest_gap_us / 1e3);
    if (heartbeat->received > 0)
        printf("  their delay  p50 %.1f ms, p99 %.1f ms beyond the fastest one\n",
               (double)heartbeat_delay_us(heartbeat, 50) / 1e3, (double)heartbeat_delay_us(heartbeat, 99) / 1e3);
}
