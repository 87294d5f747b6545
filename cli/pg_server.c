#include "cli/pg_server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "cli/pg.h"

enum { LINES = 6 }; /* of postmaster.pid: process, data, time, port, folder of the socket, address */

/* The address that is to be asked instead of all. */
static const char *
address(const char *text)
{
    return text[0] == '\0' || strcmp(text, "*") == 0 || strcmp(text, "0.0.0.0") == 0 ? "localhost" : text;
}

bool
pg_server_runs(struct pg_server *server)
{
    char path[PATH_MAX];
    const char *lines[LINES] = {"", "", "", "", "", ""};
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(8192);
    server->host[0] = server->port[0] = '\0';
    if ((size_t)snprintf(path, sizeof(path), "%s/postmaster.pid", server->data) >= sizeof(path) ||
        ks_file_read(path, &text, NULL) != 0)
        return false;
    char *p = ks_buf_cstr(&text) != NULL ? (char *)text.data : NULL;
    for (size_t i = 0; p != NULL && i < LINES && *p != '\0'; i++) {
        lines[i] = p;
        p += strcspn(p, "\n");
        if (*p == '\n')
            *p++ = '\0';
    }
    const long pid = strtol(lines[0], NULL, 10);
    if (pid <= 0 || (kill((pid_t)pid, 0) != 0 && errno != EPERM))
        return false;
    (void)snprintf(server->host, sizeof(server->host), "%s", lines[4][0] != '\0' ? lines[4] : address(lines[5]));
    (void)snprintf(server->port, sizeof(server->port), "%.15s", lines[3]);
    return true;
}

int
pg_server_ask(struct cli *cli, const struct pg_server *server, const char *sql, char ret[PG_ANSWER])
{
    char program[PATH_MAX];
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(PG_ANSWER - 1);
    KS_TRY(pg_program(cli, server->bin, server->version, "psql", program));
    const char *argv[] = {program,
                          "-XAtqw",
                          "-v",
                          "ON_ERROR_STOP=1",
                          "-h",
                          server->host,
                          "-p",
                          server->port,
                          "-d",
                          "postgres",
                          "-c",
                          sql,
                          server->user != NULL ? "-U" : NULL,
                          server->user,
                          NULL};
    KS_TRY(pg_run(cli, argv, &(struct pg_run){.bundle = -1}, &text));
    const char *answer = ks_buf_cstr(&text);
    (void)snprintf(ret, PG_ANSWER, "%s", answer != NULL ? answer : "");
    ret[strcspn(ret, "\n")] = '\0';
    return 0;
}

int
pg_server_start(struct cli *cli, struct pg_server *server, const struct pg_run *how, const char *options,
                const char *log)
{
    char program[PATH_MAX];
    KS_TRY(pg_program(cli, server->bin, server->version, "pg_ctl", program));
    const char *argv[] = {program, "-D", server->data, "-o",    options, "-l", log,
                          "-s",    "-w", "-t",         "86400", "start", NULL};
    const int rc = pg_run(cli, argv, how, NULL);
    if (rc == KS_E_CLOSED)
        return cli_fail(cli, rc, "the server in %s does not start: see %s", server->data, log);
    KS_TRY(rc);
    return pg_server_runs(server) ? 0
                                  : cli_fail(cli, KS_E_CLOSED, "the server in %s is gone: see %s", server->data, log);
}

int
pg_server_stop(struct cli *cli, struct pg_server *server)
{
    char program[PATH_MAX];
    KS_TRY(pg_program(cli, server->bin, server->version, "pg_ctl", program));
    const char *argv[] = {program, "-D", server->data, "-m", "fast", "-s", "-w", "-t", "86400", "stop", NULL};
    return pg_run(cli, argv, &(struct pg_run){.bundle = -1}, NULL);
}
