/* Runs PostgreSQL's programs for the commands keystead pg ... */
#pragma once

#include "cli/cli.h"

struct pg_run {
    int bundle;       /* the data keys, with which the program has the layer; -1: without it */
    const char *root; /* a data directory that has no keyring yet; or NULL */
    bool clear;       /* pg_basebackup: asks for it in the clear */
    bool quiet;       /* what it says to standard output goes nowhere */
};

/*
 * Runs argv[0] (a path) to its end. ret_output: what it wrote to standard output; NULL: that goes to our own, or to
 * standard error where that is for JSON. KS_E_CLOSED: it failed, and has said why on standard error.
 */
int pg_run(struct cli *cli, const char *const argv[], const struct pg_run *how,
           struct ks_buf *ret_output) KS_MUST_CHECK;
