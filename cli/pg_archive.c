/*
 * keystead pg archive: an archive_command. It copies what it is given, which is ciphertext, so that what has the name
 * is whole and on the disk, and tells the KMS once for each timeline and key that the archive needs the key.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/pg_depend.h"

enum { PIECE = 131072, TIMEOUT_MS = 5000, NOTES_MAX = 65536 };

/* "archived" in DATA/keystead: a line for each key and timeline that the KMS knows of. */
#define NOTES "keystead/archived"

static int
copy(struct cli *cli, int from, int to, const char *path)
{
    uint8_t piece[PIECE];
    for (;;) {
        const ssize_t n = read(from, piece, sizeof(piece));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cli_fail(cli, KS_E_IO, "%s: %s", cli->args[0], strerror(errno));
        if (n == 0)
            return fsync(to) == 0 ? 0 : cli_fail(cli, KS_E_IO, "%s: %s", path, strerror(errno));
        if (ks_write_all(to, piece, (size_t)n) != 0)
            return cli_fail(cli, KS_E_IO, "%s: %s", path, strerror(errno));
    }
}

static int
same(struct cli *cli, const char *a, const char *b, bool *ret)
{
    KS_CLEANUP(ks_closep) int one = open(a, O_RDONLY | O_CLOEXEC), two = open(b, O_RDONLY | O_CLOEXEC);
    uint8_t left[PIECE], right[PIECE];
    struct stat st[2];
    if (one < 0 || two < 0 || fstat(one, &st[0]) != 0 || fstat(two, &st[1]) != 0)
        return cli_fail(cli, KS_E_IO, "%s or %s: %s", a, b, strerror(errno));
    bool equal = st[0].st_size == st[1].st_size;
    for (off_t at = 0; equal && at < st[0].st_size;) {
        const size_t part = st[0].st_size - at < PIECE ? (size_t)(st[0].st_size - at) : PIECE;
        const ssize_t n = pread(one, left, part, at), m = pread(two, right, part, at);
        if (n <= 0 || m <= 0)
            return cli_fail(cli, KS_E_IO, "%s or %s cannot be read", a, b);
        equal = n == m && memcmp(left, right, (size_t)n) == 0;
        at += n;
    }
    *ret = equal;
    return 0;
}

/* PostgreSQL gives a segment a second time after a crash: the same again is no error, another one is. */
static int
store(struct cli *cli, const char *from, const char *path)
{
    char temporary[PATH_MAX];
    bool equal = false;
    struct ks_diag diag = {0};
    if (access(path, F_OK) == 0) {
        KS_TRY(same(cli, from, path, &equal));
        return equal ? 0
                     : cli_fail(cli, KS_E_EXISTS,
                                "%s is there and is another segment: the archive is another cluster's too?", path);
    }
    if (snprintf(temporary, sizeof(temporary), "%s.part", path) >= (int)sizeof(temporary))
        return cli_fail(cli, KS_E_LIMIT, "%s: the path is too long", path);
    (void)unlink(temporary); /* of a try that was cut off */
    KS_CLEANUP(ks_closep) int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return cli_fail(cli, errno == ENOENT ? KS_E_NOT_FOUND : KS_E_IO, "%s: %s", from, strerror(errno));
    KS_CLEANUP(ks_closep) int out = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out < 0)
        return cli_fail(cli, KS_E_IO, "%s: %s", temporary, strerror(errno));
    int rc = copy(cli, in, out, temporary);
    if (rc == 0 && rename(temporary, path) != 0)
        rc = cli_fail(cli, KS_E_IO, "%s: %s", path, strerror(errno));
    if (rc != 0) {
        (void)unlink(temporary);
        return rc;
    }
    return ks_fsync_parent(path, &diag) == 0 ? 0 : cli_fail_diag(cli, &diag);
}

/*
 * The archive does not wait for the KMS: what cannot be told now is told with the next segment, and said on standard
 * error, which is the server's log.
 */
static void
tell(struct cli *cli, const char *segment)
{
    KS_CLEANUP(pg_ring_done) struct pg_ring ring = PG_RING;
    KS_CLEANUP(ks_buf_done) struct ks_buf notes = KS_BUF(NOTES_MAX), line = KS_BUF((size_t)4 * TDE_TEXT);
    char notes_path[PATH_MAX], id[PG_DEPEND_ID], what[16], cluster[TDE_UUID_TEXT], when[KS_TIME_TEXT_LEN];
    char text[PG_DEPEND_TEXT];
    const char *given = cli_value(cli, "data");
    size_t n = 0;
    int rc =
        pg_ring_read(cli, given != NULL ? given : ".", &ring); /* the server's commands run in the data directory */
    if (rc == 0 && snprintf(notes_path, sizeof(notes_path), "%s/" NOTES, ring.data) >= (int)sizeof(notes_path))
        rc = KS_E_LIMIT;
    for (size_t i = 0; rc == 0 && i < ring.keyring->n_slots; i++)
        if (ring.keyring->slots[i].provider == TDE_PROVIDER_KMIP)
            rc = ks_buf_addf(&line, "%.8s %s\n", segment, ring.keyring->slots[i].uid);
    if (rc == 0 && line.len == 0)
        return;
    if (rc == 0 && access(notes_path, F_OK) == 0)
        rc = ks_file_read(notes_path, &notes, NULL);
    if (rc == 0 && notes.len != 0 && memmem(notes.data, notes.len, line.data, line.len) != NULL)
        return;
    if (rc == 0) {
        tde_uuid_text(ring.keyring->cluster, cluster);
        output_time(ks_clock_us() / 1000000, when);
        (void)snprintf(what, sizeof(what), "wal-%.8s", segment);
        (void)snprintf(text, sizeof(text), "WAL of cluster %s from segment %.24s on, registered %s", cluster, segment,
                       when);
        pg_depend_id(ring.keyring, what, id);
        rc = pg_depend_set(cli, ring.keyring, id, text, true, TIMEOUT_MS, &n);
    }
    if (rc == 0)
        rc = ks_buf_add_span(&notes, ks_buf_span(&line));
    if (rc == 0)
        rc = ks_file_write(notes_path, ks_buf_span(&notes), 0600, NULL);
    if (rc != 0)
        fprintf(stderr,
                "keystead pg archive: %s is archived, and the KMS is not told that the archive needs its key: %s\n",
                segment, cli->error.message[0] != '\0' ? cli->error.message : ks_err_text(rc));
    cli->error = (struct ks_error){0};
}

static int
run(struct cli *cli)
{
    char path[PATH_MAX];
    const char *slash = strrchr(cli->args[0], '/');
    const char *name = slash != NULL ? slash + 1 : cli->args[0];
    pg_harden();
    if (snprintf(path, sizeof(path), "%s/%s", cli->args[1], name) >= (int)sizeof(path))
        return cli_fail(cli, KS_E_LIMIT, "%s: the path is too long", cli->args[1]);
    KS_TRY(store(cli, cli->args[0], path));
    if (strlen(name) == 24 && strspn(name, "0123456789ABCDEF") == 24)
        tell(cli, name);
    return 0;
}

static const struct cli_option options[] = {
    {"data", CLI_FOLDER, "DIR", "the data directory (default: the working directory, which is it for the server)"},
};

const struct cli_command cli_pg_archive = {
    .name = "pg archive",
    .args = "FILE FOLDER",
    .min_args = 2,
    .max_args = 2,
    .arg_kind = CLI_FILE,
    .summary = "archive WAL, and tell the KMS that it needs the key",
    .details =
        "An archive_command. The segment is copied as it is, ciphertext, and synced; one that is there is not\n"
        "overwritten. The first one of a timeline, or after a rotation, registers the archive at the KMS. If that\n"
        "fails the segment is archived all the same, and the server's log says so.",
    .examples = "  archive_command = 'keystead pg archive %p /archive'\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
