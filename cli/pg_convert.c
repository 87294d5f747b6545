#include "cli/pg_convert.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/output.h"
#include "tde/check.h"
#include "tde/keys.h"
#include "tde/pg_control.h"

static int
pid_path(struct cli *cli, const struct pg_conversion *c, char ret[PATH_MAX])
{
    if (snprintf(ret, PATH_MAX, "%s/postmaster.pid", c->data) >= PATH_MAX)
        return cli_fail(cli, KS_E_INVALID, "%s: the path is too long", c->data);
    return 0;
}

void
pg_conversion_done(struct pg_conversion *c)
{
    char path[PATH_MAX];
    if (c->has_pid && snprintf(path, sizeof(path), "%s/postmaster.pid", c->data) < PATH_MAX)
        (void)unlink(path);
    ks_closep(&c->lock);
    tde_journal_done(&c->journal);
    tde_scan_done(&c->scan);
    pg_ring_done(&c->ring);
    tde_keys_done();
}

/* By a server's lock file. One whose process is gone may stay: it is what tells a start of processes that are not. */
static int
nothing_runs(struct cli *cli, const struct pg_conversion *c)
{
    char path[PATH_MAX];
    KS_TRY(pid_path(cli, c, path));
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(4096);
    struct ks_diag diag = {0};
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    if (ks_file_read(path, &text, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    const char *line = ks_buf_cstr(&text);
    const long pid = labs(strtol(line != NULL ? line : "", NULL, 10)); /* negative: of a server without a postmaster */
    if (pid <= 0)
        return cli_fail(cli, KS_E_BUSY, "%s names no process: remove it if no server runs", path);
    if (pid != getpid() && pid != getppid() && (kill((pid_t)pid, 0) == 0 || errno == EPERM))
        return cli_fail(cli, KS_E_BUSY,
                        "process %ld has this cluster (%s): stop the server first; if that process is none of "
                        "PostgreSQL's, remove the file",
                        pid, path);
    return 0;
}

/* After all else has been looked at: a lock file that is still there is of a server that came to a good end. */
static int
hold(struct cli *cli, struct pg_conversion *c)
{
    char path[PATH_MAX], text[PATH_MAX + 32];
    KS_TRY(nothing_runs(cli, c));
    KS_TRY(pid_path(cli, c, path));
    if (unlink(path) != 0 && errno != ENOENT)
        return cli_fail(cli, KS_E_IO, "%s: %s", path, strerror(errno));
    KS_CLEANUP(ks_closep) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return cli_fail(cli, errno == EEXIST ? KS_E_BUSY : KS_E_IO, "%s: %s", path, strerror(errno));
    c->has_pid = true;
    const int n = snprintf(text, sizeof(text), "%d\n%s\n", (int)getpid(), c->data);
    return ks_write_all(fd, text, (size_t)n) == 0 ? 0 : cli_fail(cli, KS_E_IO, "%s: %s", path, strerror(errno));
}

static int
configuration(struct cli *cli, struct pg_conversion *c)
{
    const char *given = cli_value(cli, "configuration");
    if (realpath(given != NULL ? given : c->data, c->conf) == NULL)
        return cli_fail(cli, KS_E_NOT_FOUND, "%s: %s", given != NULL ? given : c->data, strerror(errno));
    return 0;
}

static int
major_version(struct cli *cli, struct pg_conversion *c)
{
    char version[16];
    pg_version(c->data, version);
    c->scan.major = (int)strtol(version, NULL, 10);
    if (c->scan.major < 10)
        return cli_fail(cli, KS_E_UNSUPPORTED, "%s is no data directory of PostgreSQL 10 or newer", c->data);
    return 0;
}

static const char *const commands[] = {[TDE_CONVERT_ENCRYPT] = "keystead pg encrypt",
                                       [TDE_CONVERT_DECRYPT] = "keystead pg decrypt",
                                       [TDE_CONVERT_ROTATE] = "keystead pg rotate --data-keys"};

int
pg_conversion_start(struct cli *cli, struct pg_conversion *c, enum tde_direction direction)
{
    struct ks_diag diag = {0};
    struct tde_control control = {0};
    char folder[PATH_MAX];
    pg_harden();
    KS_TRY(pg_data(cli, cli_value(cli, "data"), c->data));
    KS_TRY(major_version(cli, c));
    if (direction != TDE_CONVERT_ROTATE) /* which leaves it as it is */
        KS_TRY(configuration(cli, c));
    KS_TRY(nothing_runs(cli, c));
    if (tde_control_read(c->data, &control, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    if (!control.stopped)
        return cli_fail(cli, KS_E_BUSY,
                        "the cluster in %s was not shut down in order: start it, let it recover, and stop it (pg_ctl "
                        "stop)",
                        c->data);
    KS_TRY(hold(cli, c));
    if (snprintf(folder, sizeof(folder), "%s/keystead", c->data) >= PATH_MAX ||
        (mkdir(folder, 0700) != 0 && errno != EEXIST))
        return cli_fail(cli, KS_E_IO, "%s: %s", folder, strerror(errno));
    if (tde_keyring_file_lock(c->data, &c->lock, &diag) != 0 || tde_journal_read(c->data, &c->journal, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    c->scan.data = c->data;
    c->scan.catalog = control.catalog;
    c->resumed = c->journal.direction != TDE_CONVERT_NOTHING;
    if (c->resumed && c->journal.direction != direction)
        return cli_fail(cli, KS_E_BUSY, "%s was begun in this cluster and is not finished: run it again first",
                        commands[c->journal.direction]);
    return 0;
}

int
pg_conversion_keys(struct cli *cli, struct pg_conversion *c)
{
    char why[512];
    int fd = -1;
    KS_TRY(pg_bundle(cli, &c->ring, &fd));
    const int rc = tde_keys_load(fd, why, sizeof(why));
    return rc == 0 ? 0 : cli_fail(cli, rc, "%s", why);
}

int
pg_conversion_scan(struct cli *cli, struct pg_conversion *c)
{
    struct ks_diag diag = {0};
    return tde_scan(&c->scan, &diag) == 0 ? 0 : cli_fail_diag(cli, &diag);
}

static void
show(void *arg, uint64_t bytes)
{
    struct pg_conversion *c = arg;
    pg_progress_show(&c->progress, bytes, c->scan.bytes);
}

int
pg_conversion_run(struct cli *cli, struct pg_conversion *c)
{
    struct ks_diag diag = {0};
    pg_progress_begin(&c->progress, cli);
    c->done = (struct tde_convert){.scan = &c->scan, .journal = &c->journal, .progress = show, .arg = c};
    const int rc = tde_convert(&c->done, &diag);
    if (rc == 0)
        show(c, c->scan.bytes);
    pg_progress_end(&c->progress);
    return rc == 0 ? 0
                   : cli_fail(cli, diag.code, "%s (what was done stays; run the same command again to go on)",
                              ks_diag_text(&diag));
}

int
pg_conversion_finish(struct cli *cli, struct pg_conversion *c)
{
    struct ks_diag diag = {0};
    char path[PATH_MAX];
    if (snprintf(path, sizeof(path), "%s/" TDE_CHECK, c->data) >= PATH_MAX)
        return cli_fail(cli, KS_E_INVALID, "%s: the path is too long", c->data);
    if ((unlink(path) != 0 && errno != ENOENT) || tde_check_write(c->data) != 0)
        return cli_fail(cli, KS_E_IO, "%s: %s", path, strerror(errno));
    if (ks_fsync_parent(path, &diag) != 0 || tde_journal_remove(&c->journal, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    return 0;
}

int
pg_conversion_report(struct cli *cli, struct pg_conversion *c, const char *word)
{
    if (cli->json) {
        KS_CLEANUP(json_done) struct json json = JSON;
        json_open(&json, NULL, '{');
        json_text(&json, "data", c->data);
        json_bool(&json, "resumed", c->resumed);
        json_number(&json, "files", (int64_t)c->scan.n_files);
        json_number(&json, "bytes", (int64_t)c->scan.bytes);
        json_number(&json, "converted", (int64_t)c->done.converted);
        json_number(&json, "converted_before", (int64_t)c->done.before);
        json_number(&json, "removed", (int64_t)c->done.removed);
        json_close(&json, '}');
        return output_json(&json);
    }
    printf("%s %ju files", word, (uintmax_t)(c->done.converted + c->done.before));
    if (c->resumed)
        printf(" (%ju of them before)", (uintmax_t)c->done.before);
    printf(" in %s, %ju MiB.\n", c->data, (uintmax_t)(c->scan.bytes >> 20));
    return 0;
}
