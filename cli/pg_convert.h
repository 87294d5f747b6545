/* What keystead pg encrypt, decrypt and rotate --data-keys have in common: a cluster that is stopped, and its files. */
#pragma once

#include "cli/pg.h"
#include "cli/pg_progress.h"
#include "tde/convert.h"

struct pg_conversion {
    char data[PATH_MAX], conf[PATH_MAX]; /* conf: the folder of postgresql.conf */
    bool has_pid, resumed;
    int lock; /* on the folder of the keyring */
    struct pg_progress progress;
    struct tde_journal journal;
    struct tde_scan scan;
    struct tde_convert done;
    struct pg_ring ring;
};
#define PG_CONVERSION                                                                                                  \
    {                                                                                                                  \
        .lock = -1, .journal = {.fd = -1}, .ring = PG_RING                                                             \
    }
void pg_conversion_done(struct pg_conversion *c);

/*
 * The options' data directory, which nothing runs in and which was stopped in order. It is held by a postmaster.pid of
 * our own, so that no server starts, until pg_conversion_done. The journal is read; another direction is refused.
 */
int pg_conversion_start(struct cli *cli, struct pg_conversion *c, enum tde_direction direction) KS_MUST_CHECK;

/* Takes the data keys of the ring that is unlocked for the layer's code in this process. */
int pg_conversion_keys(struct cli *cli, struct pg_conversion *c) KS_MUST_CHECK;

int pg_conversion_scan(struct cli *cli, struct pg_conversion *c) KS_MUST_CHECK;
int pg_conversion_run(struct cli *cli, struct pg_conversion *c) KS_MUST_CHECK; /* with a bar at a terminal */

/* The check values of the keys that are loaded, for the next start; then the journal goes. */
int pg_conversion_finish(struct cli *cli, struct pg_conversion *c) KS_MUST_CHECK;

/* What was done, as JSON, or as a line that begins with `word`. */
int pg_conversion_report(struct cli *cli, struct pg_conversion *c, const char *word) KS_MUST_CHECK;
