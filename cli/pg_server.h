/* A server that runs on a data directory of this machine: asked by psql, stopped and started by pg_ctl. */
#pragma once

#include <limits.h>

#include "cli/cli.h"
#include "cli/pg_run.h"

enum { PG_ANSWER = 4096 };

struct pg_server {
    char data[PATH_MAX];
    char version[16];
    char host[PATH_MAX], port[16]; /* of its socket, else its address; "" until it was found running */
    const char *bin, *user;        /* of the options; or NULL */
};

/* Whether one runs there, by its postmaster.pid; then where it listens is known. */
bool pg_server_runs(struct pg_server *server);

/* Runs one statement as `user`; the answer without its last newline, columns with '|' between. */
int pg_server_ask(struct cli *cli, const struct pg_server *server, const char *sql, char ret[PG_ANSWER]) KS_MUST_CHECK;

/*
 * options: of postgres, in the syntax of a shell; how: the keys. What the server says goes to `log`. Waits until it
 * takes connections, for as long as that needs.
 */
int pg_server_start(struct cli *cli, struct pg_server *server, const struct pg_run *how, const char *options,
                    const char *log) KS_MUST_CHECK;
int pg_server_stop(struct cli *cli, struct pg_server *server) KS_MUST_CHECK; /* fast, to the end */
