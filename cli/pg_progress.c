#include "cli/pg_progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"

enum { BAR = 30, SHOW_US = 100000 };

void
pg_progress_begin(struct pg_progress *progress, const struct cli *cli)
{
    *progress = (struct pg_progress){.shows = !cli->json && isatty(STDERR_FILENO) == 1};
}

void
pg_progress_show(struct pg_progress *progress, uint64_t bytes, uint64_t all)
{
    const int64_t now = ks_clock_us();
    if (!progress->shows || (now - progress->shown_us < SHOW_US && bytes < all))
        return;
    progress->shown_us = now;
    const unsigned percent = bytes < all ? (unsigned)(bytes * 100 / all) : 100, full = percent * BAR / 100;
    fprintf(stderr, "\r[");
    for (unsigned i = 0; i < BAR; i++)
        (void)fputc(i < full ? '#' : '.', stderr);
    fprintf(stderr, "] %3u%%  %ju of %ju MiB", percent, (uintmax_t)(bytes >> 20), (uintmax_t)(all >> 20));
    (void)fflush(stderr);
}

void
pg_progress_end(struct pg_progress *progress)
{
    if (progress->shows)
        fprintf(stderr, "\n");
    progress->shows = false;
}
