/* keystead pg exec: runs a program of PostgreSQL's with the data keys of a cluster. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/pg.h"
#include "tde/arguments.h"

/* Of pg_upgrade and pg_rewind: the cluster that is written; NULL: another program, or it is not told. */
static const char *
first_of_pair(const struct cli *cli)
{
    const char *slash = strrchr(cli->args[0], '/');
    const struct tde_pair *pair = tde_pair_of(slash != NULL ? slash + 1 : cli->args[0]);
    const char *argv[CLI_MAX_ARGS];
    if (pair == NULL)
        return NULL;
    for (size_t i = 0; i < cli->n_args; i++)
        argv[i] = cli->args[i] != NULL ? cli->args[i] : "";
    const char *value = tde_option_last(&pair->options, (int)cli->n_args, argv, &pair->first);
    return value != NULL || pair->first_variable == NULL ? value : getenv(pair->first_variable);
}

/* -D DIR, -DDIR, --pgdata DIR, --pgdata=DIR of the program. */
static const char *
data_of(const struct cli *cli)
{
    const char *given = cli_value(cli, "data");
    if (given == NULL)
        given = first_of_pair(cli);
    for (size_t i = 1; given == NULL && i < cli->n_args; i++) {
        const char *arg = cli->args[i] != NULL ? cli->args[i] : "";
        const char *next = i + 1 < cli->n_args ? cli->args[i + 1] : NULL;
        if (strcmp(arg, "-D") == 0 || strcmp(arg, "--pgdata") == 0)
            given = next;
        else if (strncmp(arg, "-D", 2) == 0)
            given = arg + 2;
        else if (strncmp(arg, "--pgdata=", 9) == 0)
            given = arg + 9;
    }
    return given;
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(pg_ring_done) struct pg_ring ring = PG_RING;
    KS_CLEANUP(ks_closep) int fd = -1;
    char version[16], program[PATH_MAX];
    char *argv[CLI_MAX_ARGS + 1] = {NULL};
    pg_harden();
    KS_TRY(pg_ring_read(cli, data_of(cli), &ring));
    pg_version(ring.data, version);
    KS_TRY(pg_program(cli, cli_value(cli, "bin"), version, cli->args[0], program));
    KS_TRY(pg_ring_unlock(cli, &ring, true));
    KS_TRY(pg_bundle(cli, &ring, &fd));
    KS_TRY(pg_layer_environment(cli, fd, NULL));
    if (cli_flag(cli, "clear-backup") && setenv(TDE_ENV_CLEAR, "1", 1) != 0)
        return cli_fail(cli, KS_E_NOMEM, "out of memory");
    for (size_t i = 0; i < cli->n_args; i++) /* PostgreSQL's find each other by the path of their own */
        if ((argv[i] = strdup(i == 0 ? program : cli->args[i])) == NULL) {
            while (i-- > 0)
                free(argv[i]);
            return cli_fail(cli, KS_E_NOMEM, "out of memory");
        }
    ks_key32_done(&ring.key);
    (void)execv(program, argv);
    const int err = errno;
    for (size_t i = 0; i < cli->n_args; i++)
        free(argv[i]);
    return cli_fail(cli, err == ENOENT ? KS_E_NOT_FOUND : KS_E_IO, "cannot run %s: %s", program, strerror(err));
}

static const struct cli_option options[] = {
    {"data", CLI_FOLDER, "DIR", "whose keys (default: the program's -D or --pgdata, or PGDATA)"},
    {"bin", CLI_FOLDER, "DIR", "where PostgreSQL's programs are"},
    {"clear-backup", CLI_FLAG, NULL, "pg_basebackup: ask for it in the clear, to encrypt it by these keys"},
};

const struct cli_command cli_pg_exec = {
    .name = "pg exec",
    .args = "-- PROGRAM [ARGUMENT]...",
    .min_args = 1,
    .max_args = CLI_MAX_ARGS,
    .summary = "run a program of PostgreSQL's with a cluster's keys",
    .details = "The program gets the layer and the data keys; what it runs itself gets them only if it is one of\n"
               "PostgreSQL's too. The keys are not in its environment, nor in its arguments.",
    .examples = "  keystead pg exec -- pg_checksums --check -D /var/lib/postgresql/15/main\n"
                "  keystead pg exec -- pg_upgrade -b /usr/lib/postgresql/15/bin -d /srv/pg15 -D /srv/pg17\n"
                "  keystead pg exec --data /srv/pg -- pg_waldump /srv/pg/pg_wal/000000010000000000000001\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
