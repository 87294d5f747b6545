/* A file that is written bit by bit and is there when all of it is; or standard output. */
#pragma once

#include "cli/cli.h"

struct sink {
    const char *path; /* NULL: standard output */
    char temporary[4096];
    int fd; /* -1: not open */
};
#define SINK                                                                                                           \
    {                                                                                                                  \
        .fd = -1                                                                                                       \
    }

/* path NULL or "-": standard output. Nobody but the user can read the file. */
int sink_open(struct cli *cli, struct sink *sink, const char *path) KS_MUST_CHECK;
int sink_write(struct cli *cli, struct sink *sink, struct ks_span data) KS_MUST_CHECK;
/* All of it was written: it lasts, and has its name, in place of a file that had it. */
int sink_commit(struct cli *cli, struct sink *sink) KS_MUST_CHECK;
/* Without sink_commit nothing stays. */
void sink_done(struct sink *sink);
