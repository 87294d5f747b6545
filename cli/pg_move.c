/*
 * keystead pg move: a cluster that runs goes on in another data directory, under data keys of its own.
 *
 * A standby with the new keys is made by a base backup, follows until it has all, and takes over when the old server
 * has stopped. Until that moment nothing of the old cluster is changed but a replication slot. What was done is seen
 * from what is there: the keyring of the new cluster is written when its base backup is whole.
 */
#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/pg.h"
#include "cli/pg_conf.h"
#include "cli/pg_server.h"
#include "tde/pg_control.h"

#define SLOT "keystead_move"

enum { POLL_MS = 500, LOST_POLLS = 120, CLOSE_BYTES = 16 << 20, OPTIONS_MAX = 4 * PATH_MAX, SOCKET_MAX = 85 };

struct move {
    struct pg_server old, new;
    struct pg_ring ring; /* the new cluster's */
    char conf[PATH_MAX]; /* folder of the old server's postgresql.conf; "": the data directory itself */
    char log[PATH_MAX];
    char moved[PATH_MAX]; /* where the old cluster went; "" */
    int64_t down_us;      /* between the two servers */
};

static void
move_done(struct move *m)
{
    pg_ring_done(&m->ring);
}

__attribute__((format(printf, 3, 4))) static void
say(const struct cli *cli, const char *step, const char *fmt, ...)
{
    va_list args;
    if (cli->json)
        return;
    fprintf(stderr, "%s ", step);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\n");
}

/* ---- 1: may it be done? ---- */

static int
yes_or_fail(struct cli *cli, const struct pg_server *server, const char *sql, const char *wrong)
{
    char answer[PG_ANSWER];
    KS_TRY(pg_server_ask(cli, server, sql, answer));
    return strcmp(answer, "t") == 0 ? 0 : cli_fail(cli, KS_E_UNSUPPORTED, "%s", wrong);
}

static int
encrypted(struct cli *cli, const char *data, const char *file, bool *ret)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", data, file) >= sizeof(path))
        return cli_fail(cli, KS_E_INVALID, "%s: the path is too long", data);
    *ret = access(path, F_OK) == 0;
    return 0;
}

static int
check_old(struct cli *cli, struct move *m)
{
    char answer[PG_ANSWER];
    bool keyring = false, permit = false;
    if (!pg_server_runs(&m->old))
        return cli_fail(
            cli, KS_E_CLOSED,
            "no server runs in %s: start it, or use keystead pg encrypt or rotate --data-keys, which are for "
            "clusters that are stopped",
            m->old.data);
    KS_TRY(yes_or_fail(cli, &m->old, "SELECT NOT pg_is_in_recovery()", "the server is a standby: move its primary"));
    KS_TRY(yes_or_fail(cli, &m->old, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user",
                       "the user is no superuser: give --username"));
    KS_TRY(yes_or_fail(cli, &m->old, "SELECT current_setting('wal_level') <> 'minimal'",
                       "wal_level is minimal: set it to replica and restart the server"));
    KS_TRY(pg_server_ask(cli, &m->old,
                         "SELECT string_agg(spcname || ' (' || pg_tablespace_location(oid) || ')', ', ') FROM "
                         "pg_tablespace WHERE pg_tablespace_location(oid) <> ''",
                         answer));
    if (answer[0] != '\0' && cli->n_args == 0)
        return cli_fail(cli, KS_E_INVALID,
                        "say where the tablespaces %.400s are to be: -- --tablespace-mapping=OLDDIR=NEWDIR for each",
                        answer);
    KS_TRY(encrypted(cli, m->old.data, TDE_KEYRING, &keyring));
    KS_TRY(encrypted(cli, m->old.data, TDE_PERMIT, &permit));
    if (keyring && !permit)
        return cli_fail(
            cli, KS_E_DENIED,
            "%s is encrypted, and other keys need a base backup in the clear, inside the connection: keystead "
            "pg permit --clear-backup --data %s, and run this again",
            m->old.data, m->old.data);
    KS_TRY(pg_server_ask(cli, &m->old, "SHOW config_file", answer));
    char *folder = dirname(answer);
    if (strcmp(folder, m->old.data) != 0)
        (void)snprintf(m->conf, sizeof(m->conf), "%s", folder);
    return 0;
}

/* ---- 2: the base backup ---- */

static int
empty(struct cli *cli, const char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST) {
        DIR *dir = opendir(path);
        int n = 0;
        while (dir != NULL && n <= 2 && readdir(dir) != NULL)
            n++;
        if (dir == NULL)
            return cli_fail(cli, KS_E_IO, "%s: %s", path, strerror(errno));
        (void)closedir(dir);
        if (n > 2)
            return cli_fail(
                cli, KS_E_EXISTS,
                "%s is not empty: if an earlier run was interrupted in its base backup, empty it and run this "
                "again",
                path);
        return 0;
    }
    return cli_fail(cli, KS_E_IO, "%s: %s", path, strerror(errno));
}

/* What the backup brought along of the source's keys is of no use to the new cluster. */
static int
forget_old_keys(struct cli *cli, const struct move *m)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s/keystead", m->new.data) >= sizeof(path))
        return cli_fail(cli, KS_E_INVALID, "%s: the path is too long", m->new.data);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno == ENOENT ? 0 : cli_fail(cli, KS_E_IO, "%s: %s", path, strerror(errno));
    int rc = 0;
    for (const struct dirent *entry; rc == 0 && (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.' && unlinkat(dirfd(dir), entry->d_name, 0) != 0)
            rc = cli_fail(cli, KS_E_IO, "%s/%s: %s", path, entry->d_name, strerror(errno));
    (void)closedir(dir);
    return rc;
}

static int
drop_slot(struct cli *cli, const struct move *m)
{
    char answer[PG_ANSWER];
    return pg_server_ask(
        cli, &m->old,
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '" SLOT "'", answer);
}

static int
base_backup(struct cli *cli, struct move *m, int bundle)
{
    char program[PATH_MAX];
    const char *argv[24 + CLI_MAX_ARGS];
    size_t n = 0;
    bool keyring = false;
    KS_TRY(encrypted(cli, m->old.data, TDE_KEYRING, &keyring));
    KS_TRY(pg_program(cli, m->new.bin, m->old.version, "pg_basebackup", program));
    const char *fixed[] = {program, "-D", m->new.data, "-h", m->old.host, "-p", m->old.port, "-w",
                           "-R",    "-X", "stream",    "-C", "-S",        SLOT, "-c",        "fast"};
    for (; n < KS_ARRAY_LEN(fixed); n++)
        argv[n] = fixed[n];
    if (!cli->json && isatty(STDERR_FILENO) == 1)
        argv[n++] = "-P";
    if (m->old.user != NULL) {
        argv[n++] = "-U";
        argv[n++] = m->old.user;
    }
    for (size_t i = 0; i < cli->n_args; i++)
        argv[n++] = cli->args[i];
    argv[n] = NULL;
    KS_TRY(drop_slot(cli, m));
    const struct pg_run how = {.bundle = bundle, .root = m->new.data, .clear = keyring};
    return pg_run(cli, argv, &how, NULL);
}

static int
copy(struct cli *cli, struct move *m)
{
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_closep) int bundle = -1;
    KS_CLEANUP(ks_buf_done) struct ks_buf file = KS_BUF(TDE_KEYRING_MAX);
    KS_TRY(empty(cli, m->new.data));
    KS_TRY(pg_ring_new(cli, m->new.data, &m->ring));
    KS_TRY(pg_bundle(cli, &m->ring, &bundle));
    KS_TRY(base_backup(cli, m, bundle));
    KS_TRY(forget_old_keys(cli, m));
    if (m->conf[0] == '\0')
        KS_TRY(pg_conf_add_guard(cli, m->new.data, m->new.data, "pg move"));
    if (tde_keyring_encode(m->ring.keyring, &m->ring.key, &file, &diag) != 0 ||
        tde_keyring_file_create(m->new.data, ks_buf_span(&file), &diag) != 0)
        return cli_fail_diag(cli, &diag);
    return 0;
}

/* ---- 3: the standby ---- */

static int
quotable(struct cli *cli, const char *path)
{
    return strchr(path, '\'') == NULL ? 0 : cli_fail(cli, KS_E_UNSUPPORTED, "%s: has a quote in its name", path);
}

/* Where the configuration is elsewhere (Debian), the standby reads the old server's, and what must differ is said. */
static int
options_elsewhere(struct cli *cli, const struct move *m, struct ks_buf *ret)
{
    static const char *const files[] = {"config_file", "hba_file", "ident_file"};
    char answer[PG_ANSWER], guard[PATH_MAX];
    for (size_t i = 0; i < KS_ARRAY_LEN(files); i++) {
        char sql[64];
        (void)snprintf(sql, sizeof(sql), "SHOW %s", files[i]);
        KS_TRY(pg_server_ask(cli, &m->old, sql, answer));
        KS_TRY(quotable(cli, answer));
        (void)ks_buf_addf(ret, " -c %s='%s'", files[i], answer);
    }
    KS_TRY(pg_server_ask(cli, &m->old, "SHOW shared_preload_libraries", answer));
    KS_TRY(pg_guard_name(cli, m->old.version, guard));
    KS_TRY(quotable(cli, answer));
    if (strstr(answer, TDE_GUARD) == NULL)
        (void)ks_buf_addf(ret, " -c shared_preload_libraries='%s%s%s'", guard, answer[0] != '\0' ? "," : "", answer);
    (void)ks_buf_addf(ret, " -c data_directory='%s' -c external_pid_file=''", m->new.data);
    return 0;
}

static int
start(struct cli *cli, struct move *m)
{
    KS_CLEANUP(ks_closep) int bundle = -1;
    KS_CLEANUP(ks_buf_done) struct ks_buf options = KS_BUF(OPTIONS_MAX);
    KS_TRY(quotable(cli, m->new.data));
    (void)ks_buf_addf(&options, "-c hot_standby=on -c listen_addresses='' -c port=%s -c unix_socket_directories='%s'",
                      m->old.port, strlen(m->new.data) < SOCKET_MAX ? m->new.data : "/tmp");
    if (m->conf[0] != '\0')
        KS_TRY(options_elsewhere(cli, m, &options));
    const char *text = ks_buf_cstr(&options);
    if (text == NULL)
        return cli_fail(cli, KS_E_LIMIT, "the options of the standby are too long");
    KS_TRY(pg_bundle(cli, &m->ring, &bundle));
    return pg_server_start(cli, &m->new, &(struct pg_run){.bundle = bundle, .quiet = true}, text, m->log);
}

/* ---- 4: until it has all but a little ---- */

static int
catch_up(struct cli *cli, struct move *m)
{
    const bool shows = !cli->json && isatty(STDERR_FILENO) == 1;
    for (int lost = 0; lost < LOST_POLLS;) {
        char answer[PG_ANSWER];
        KS_TRY(pg_server_ask(cli, &m->old,
                             "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), r.replay_lsn)::bigint FROM "
                             "pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid WHERE "
                             "s.slot_name = '" SLOT "'",
                             answer));
        const long long behind = answer[0] != '\0' ? strtoll(answer, NULL, 10) : -1;
        if (behind >= 0 && shows)
            fprintf(stderr, "\r    %lld MiB behind   ", behind >> 20);
        if (behind >= 0 && behind < CLOSE_BYTES) {
            if (shows)
                fprintf(stderr, "\n");
            return 0;
        }
        lost = behind < 0 ? lost + 1 : 0;
        (void)nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
    return cli_fail(cli, KS_E_CLOSED, "the standby does not follow: see %s; run this again to go on", m->log);
}

/* ---- 5: the one stops, the other takes over ---- */

/* The old server's last word is the checkpoint of its end. */
static int
has_all(struct cli *cli, struct move *m)
{
    struct tde_control control = {0};
    struct ks_diag diag = {0};
    char sql[128], answer[PG_ANSWER];
    if (tde_control_read(m->old.data, &control, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    if (!control.stopped)
        return cli_fail(cli, KS_E_BUSY, "%s was not shut down in order: start it, and run this again", m->old.data);
    (void)snprintf(sql, sizeof(sql), "SELECT coalesce(pg_last_wal_replay_lsn() > '%X/%X', false)",
                   (unsigned)(control.checkpoint >> 32), (unsigned)control.checkpoint);
    for (int i = 0; i < LOST_POLLS; i++) {
        KS_TRY(pg_server_ask(cli, &m->new, sql, answer));
        if (strcmp(answer, "t") == 0)
            return 0;
        (void)nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
    return cli_fail(
        cli, KS_E_CLOSED,
        "the standby has not got all that the old server wrote; nothing is lost: start the old server in %s "
        "again, and run this again",
        m->old.data);
}

static int
take_over(struct cli *cli, struct move *m)
{
    char answer[PG_ANSWER];
    KS_TRY(has_all(cli, m));
    KS_TRY(yes_or_fail(cli, &m->new, "SELECT pg_promote(true, 600)", "the standby was not promoted within 10 minutes"));
    KS_TRY(pg_server_ask(cli, &m->new, "ALTER SYSTEM RESET primary_conninfo", answer));
    KS_TRY(pg_server_ask(cli, &m->new, "ALTER SYSTEM RESET primary_slot_name", answer));
    return pg_server_stop(cli, &m->new);
}

/* The new cluster where the old one was. */
static int
exchange(struct cli *cli, struct move *m)
{
    struct ks_diag diag = {0};
    if ((size_t)snprintf(m->moved, sizeof(m->moved), "%s.before-keystead", m->old.data) >= sizeof(m->moved))
        return cli_fail(cli, KS_E_INVALID, "%s: the path is too long", m->old.data);
    if (access(m->moved, F_OK) == 0)
        return cli_fail(cli, KS_E_EXISTS, "%s is there already: rename %s by hand", m->moved, m->new.data);
    if (rename(m->old.data, m->moved) != 0)
        return cli_fail(cli, KS_E_IO, "cannot rename %s: %s; the cluster is in %s", m->old.data, strerror(errno),
                        m->new.data);
    if (rename(m->new.data, m->old.data) != 0) {
        const int err = errno;
        (void)!rename(m->moved, m->old.data);
        return cli_fail(cli, KS_E_IO, "cannot rename %s: %s; the cluster is there", m->new.data, strerror(err));
    }
    if (ks_fsync_parent(m->old.data, &diag) != 0 || ks_fsync_parent(m->new.data, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    return 0;
}

static int
switch_over(struct cli *cli, struct move *m)
{
    const int64_t began = ks_clock_us();
    if (pg_server_runs(&m->old))
        KS_TRY(pg_server_stop(cli, &m->old));
    KS_TRY(take_over(cli, m));
    if (m->conf[0] != '\0')
        KS_TRY(pg_conf_add_guard(cli, m->conf, m->new.data, "pg move"));
    if (cli_flag(cli, "swap"))
        KS_TRY(exchange(cli, m));
    m->down_us = ks_clock_us() - began;
    return 0;
}

/* ---- All of it ---- */

static int
report(struct cli *cli, const struct move *m, bool done)
{
    char layer[PATH_MAX], cluster[TDE_UUID_TEXT];
    const char *data = m->moved[0] != '\0' ? m->old.data : m->new.data;
    const char *old = m->moved[0] != '\0' ? m->moved : m->old.data;
    KS_TRY(pg_layer_path(cli, layer));
    tde_uuid_text(m->ring.keyring->cluster, cluster);
    if (cli->json) {
        KS_CLEANUP(json_done) struct json json = JSON;
        json_open(&json, NULL, '{');
        json_bool(&json, "switched", done);
        json_text(&json, "data", data);
        json_text(&json, "old", old);
        json_text(&json, "cluster", cluster);
        json_number(&json, "milliseconds_down", done ? m->down_us / 1000 : 0);
        json_close(&json, '}');
        return output_json(&json);
    }
    if (!done) {
        printf("The standby in %s follows. To switch over, run this again with --yes; to give up, with --abort.\n",
               data);
        return 0;
    }
    printf("The cluster is in %s now, and is not running (%lld ms since the old server was asked to stop).\n"
           "Start it with: LD_PRELOAD=%s pg_ctl -D %s start\n",
           data, (long long)(m->down_us / 1000), layer, data);
    if (m->conf[0] != '\0')
        printf("Its configuration is in %s: LD_PRELOAD goes into `environment` there%s.\n", m->conf,
               m->moved[0] != '\0' ? "" : ", and the new folder into data_directory");
    printf(
        "The old files are in %s. Never start a server on them again, and destroy them when a base backup of the new\n"
        "cluster is made.\n",
        old);
    return 0;
}

static int
give_up(struct cli *cli, struct move *m)
{
    if (pg_server_runs(&m->new))
        KS_TRY(pg_server_stop(cli, &m->new));
    if (pg_server_runs(&m->old))
        KS_TRY(drop_slot(cli, m));
    if (!cli->json)
        printf("Given up: the standby is stopped%s. Remove %s.\n",
               m->old.port[0] != '\0' ? " and its replication slot is gone" : "", m->new.data);
    return 0;
}

static int
place(struct cli *cli, struct move *m)
{
    char path[PATH_MAX];
    const char *to = cli_value(cli, "to");
    KS_TRY(pg_data(cli, cli_value(cli, "data"), m->old.data));
    if (to == NULL)
        return cli_fail(cli, KS_E_INVALID, "where is the new data directory to be? Give --to DIR");
    if (mkdir(to, 0700) != 0 && errno != EEXIST)
        return cli_fail(cli, KS_E_IO, "cannot create %s: %s", to, strerror(errno));
    if (realpath(to, path) == NULL)
        return cli_fail(cli, KS_E_IO, "%s: %s", to, strerror(errno));
    KS_TRY(pg_data(cli, path, m->new.data));
    if (strcmp(m->old.data, m->new.data) == 0)
        return cli_fail(cli, KS_E_INVALID, "--to is the cluster itself");
    if ((size_t)snprintf(m->log, sizeof(m->log), "%s.keystead-log", m->new.data) >= sizeof(m->log))
        return cli_fail(cli, KS_E_INVALID, "%s: the path is too long", to);
    pg_version(m->old.data, m->old.version);
    memcpy(m->new.version, m->old.version, sizeof(m->new.version));
    m->old.bin = m->new.bin = cli_value(cli, "bin");
    m->old.user = m->new.user = cli_value(cli, "username");
    return 0;
}

/* Up to the standby that follows; what was done in an earlier run is not done again. */
static int
prepare(struct cli *cli, struct move *m)
{
    bool copied = false;
    say(cli, "1/5", "looking at the server in %s", m->old.data);
    KS_TRY(check_old(cli, m));
    KS_TRY(encrypted(cli, m->new.data, TDE_KEYRING, &copied));
    if (!copied) {
        say(cli, "2/5", "base backup into %s, encrypted with keys of its own", m->new.data);
        KS_TRY(copy(cli, m));
    } else {
        KS_TRY(pg_ring_read(cli, m->new.data, &m->ring));
        KS_TRY(pg_ring_unlock(cli, &m->ring, true));
    }
    if (!pg_server_runs(&m->new)) {
        say(cli, "3/5", "starting it as a standby; it logs to %s", m->log);
        KS_TRY(start(cli, m));
    }
    KS_TRY(yes_or_fail(cli, &m->new, "SELECT pg_is_in_recovery()",
                       "the server in the new data directory is no standby any more: it has taken over already"));
    say(cli, "4/5", "until it has all that the old server has written");
    return catch_up(cli, m);
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(move_done) struct move m = {.ring = PG_RING};
    pg_harden();
    KS_TRY(place(cli, &m));
    if (cli_flag(cli, "abort"))
        return give_up(cli, &m);
    KS_TRY(prepare(cli, &m));
    if (!cli_flag(cli, "yes") &&
        cli_confirm(cli, "Stop the old server now, and go on with the new one? Clients are disconnected.") != 0) {
        if (cli->error.code != KS_E_DENIED && cli->error.code != KS_E_CANCELLED)
            return cli->error.code;
        cli->error.code = 0;
        return report(cli, &m, false);
    }
    say(cli, "5/5", "switching over");
    KS_TRY(switch_over(cli, &m));
    return report(cli, &m, true);
}

static const struct cli_option options[] = {
    {"data", CLI_FOLDER, "DIR", "the data directory of the server that runs (default PGDATA)"},
    {"to", CLI_FOLDER, "DIR", "where the encrypted cluster is to be: empty, on a disk with room for all of it"},
    {"swap", CLI_FLAG, NULL, "at the end rename it to where the old one was (DIR.before-keystead)"},
    {"yes", CLI_FLAG, NULL, "switch over without asking"},
    {"abort", CLI_FLAG, NULL, "stop the standby, drop its replication slot"},
    {"username", CLI_TEXT, "NAME", "a superuser of the database (default: as psql)"},
    {"bin", CLI_FOLDER, "DIR", "where PostgreSQL's programs are"},
    PG_PROVIDER_OPTIONS,
    {"wait", CLI_TEXT, "TIME", "how long a start waits for the KMS (default 60s, up to 10m)"},
    {"when-unreachable", CLI_CHOICE, "refuse|other-slot", "then: no start (default), or the other slots"},
};

const struct cli_command cli_pg_move = {
    .name = "pg move",
    .args = "[-- BASEBACKUP-OPTION...]",
    .max_args = CLI_MAX_ARGS,
    .summary = "encrypt a running cluster, or give it new data keys",
    .details =
        "Makes an encrypted standby with keys of its own by a base backup, lets it follow, and when all is there asks\n"
        "before it stops the old server and promotes the new one: seconds of interruption. The old cluster stays as "
        "it\n"
        "is. Interrupt it at any time; run it again to go on. A cluster that is encrypted already gets new data keys\n"
        "so; it needs keystead pg permit --clear-backup first.",
    .examples =
        "  keystead pg move --data /srv/pg --to /srv/pg-new --config client.conf --create-key\n"
        "  keystead pg move --data /srv/pg --to /srv/pg-new --passphrase-file /run/keys/pg --swap --yes\n"
        "  keystead pg move --data /srv/pg --to /srv/pg-new --key-file k -- --tablespace-mapping=/fast=/fast-new\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
