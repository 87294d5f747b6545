/* A bar at the terminal for work on all files of a cluster. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct cli;

struct pg_progress {
    bool shows;
    int64_t shown_us;
};

/* With --json, or where standard error is no terminal, it shows nothing. */
void pg_progress_begin(struct pg_progress *progress, const struct cli *cli);
void pg_progress_show(struct pg_progress *progress, uint64_t bytes, uint64_t all); /* as often as one likes */
void pg_progress_end(struct pg_progress *progress);
