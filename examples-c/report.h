/* How a file transfer shows itself: a bar while it runs, a table when it is done. */
#ifndef REPORT_H
#define REPORT_H

#include "example.h"
#include "heartbeat.h"

struct progress {
    int64_t started_us;
    int64_t shown_us;
    int shown_tenth; /* the last ten percent written where no line can be redrawn */
};

/* The clock runs from now. */
void progress_start(struct progress *progress);

/* Redraws one line on a terminal; writes a line each ten percent elsewhere. */
void progress_show(struct progress *progress, const char *verb, uint64_t done, uint64_t size);

/* Ends the redrawn line. */
void progress_end(void);

/* The session as it stands, the heartbeats, and the file's average rate. Call it before closing the session. */
void report_session(snm_endpoint *endpoint, uint64_t peer, const struct options *options,
                    const struct heartbeat *heartbeat, const struct progress *progress, uint64_t bytes);

#endif
