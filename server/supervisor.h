/*
 * The supervisor: starts the vault and the net workers, connects them, and restarts net workers that die. It holds no
 * key and reads no byte of a client's.
 *
 *   SIGTERM, SIGINT   finish what is in flight (at most stop_timeout), then end with 0
 *   SIGHUP            read configuration and certificates again: fresh net workers take over, the old ones drain; if
 *                     anything is wrong with the new ones the old ones stay, and the log says why
 *   the vault ends    everything ends
 */
#pragma once

#include "base/err.h"

struct supervisor_options {
    const char *dir;
    const char *passphrase_file; /* NULL: none */
};

/* Returns the exit status. Errors are on standard error already. */
int supervisor_run(const struct supervisor_options *options);
