/* keystead pg register-backup: the KMS is told that a backup, or an archive, needs the key encryption key. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/pg_backup.h"
#include "cli/pg_depend.h"

enum { TIMEOUT_MS = 15000, LOOK = 8192 };

/* What stands behind a word, up to a quotation mark, a blank or the end of the line. */
static void
word_behind(const char *text, const char *word, char ret[64])
{
    const char *at = strstr(text, word);
    ret[0] = '\0';
    if (at == NULL)
        return;
    at += strlen(word);
    const size_t n = strcspn(at, "\" \n");
    (void)snprintf(ret, 64, "%.*s", (int)(n < 63 ? n : 63), at);
}

/* The piece of a file beside the backup in which the positions are: its end, or its beginning. */
static bool
look(struct cli *cli, const struct pg_backup *b, const char *name, bool end, char ret[LOOK + 1])
{
    struct pg_backup_file file = {.offset = 0};
    struct stat st;
    if ((size_t)snprintf(file.at, sizeof(file.at), "%s/%s", b->where, name) >= sizeof(file.at) ||
        stat(file.at, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    file.size = st.st_size;
    const size_t n = st.st_size < LOOK ? (size_t)st.st_size : LOOK;
    if (pg_backup_read(cli, &file, end ? file.size - (off_t)n : 0, ret, n) != 0) {
        cli->error = (struct ks_error){0};
        return false;
    }
    ret[n] = '\0';
    return true;
}

/* ", WAL 0/2000028 to 0/2000100"; "" where the backup does not say. */
static void
positions(struct cli *cli, const struct pg_backup *b, char ret[160])
{
    char text[LOOK + 1], from[64] = "", to[64] = "";
    if (look(cli, b, "backup_manifest", true, text)) {
        word_behind(text, "\"Start-LSN\": \"", from);
        word_behind(text, "\"End-LSN\": \"", to);
    } else if (look(cli, b, "backup.manifest", false, text)) {
        word_behind(text, "backup-lsn-start=\"", from);
        word_behind(text, "backup-lsn-stop=\"", to);
    } else if (look(cli, b, "backup_label", false, text)) {
        word_behind(text, "START WAL LOCATION: ", from);
    }
    ret[0] = '\0';
    if (from[0] != '\0')
        (void)snprintf(ret, 160, ", WAL from %s%s%s", from, to[0] != '\0' ? " to " : "", to);
}

/* The backup's own keyring: a key that was rotated since is not what it needs. */
static int
read_backup_ring(struct cli *cli, struct pg_backup *b, struct pg_ring *ring)
{
    uint8_t *bytes = NULL;
    struct ks_diag diag = {0};
    KS_TRY(pg_backup_find(cli, cli->args[0], cli_value(cli, "stanza"), cli_value(cli, "set"), b));
    if (b->keyring.size < 1 || b->keyring.size > TDE_KEYRING_MAX || (bytes = malloc((size_t)b->keyring.size)) == NULL)
        return cli_fail(cli, KS_E_MALFORMED, "%s: this is no keyring", b->keyring.at);
    int rc = pg_backup_read(cli, &b->keyring, 0, bytes, (size_t)b->keyring.size);
    if (rc == 0)
        rc = ks_buf_add(&ring->bytes, bytes, (size_t)b->keyring.size);
    free(bytes);
    KS_TRY(rc);
    return tde_keyring_decode(ks_buf_span(&ring->bytes), &ring->keyring, &diag) == 0 ? 0 : cli_fail_diag(cli, &diag);
}

static int
describe(struct cli *cli, const struct pg_backup *b, const struct pg_ring *ring, const char *label,
         char ret[PG_DEPEND_TEXT])
{
    char cluster[TDE_UUID_TEXT], host[128] = "", where[160], when[KS_TIME_TEXT_LEN];
    tde_uuid_text(ring->keyring->cluster, cluster);
    output_time(ks_clock_us() / 1000000, when);
    const char *wal = cli_value(cli, "wal");
    if (wal != NULL) {
        (void)snprintf(ret, PG_DEPEND_TEXT, "WAL of cluster %s from segment %.24s on, registered %s", cluster, wal,
                       when);
        return 0;
    }
    positions(cli, b, where);
    (void)gethostname(host, sizeof(host) - 1);
    const int n = snprintf(ret, PG_DEPEND_TEXT, "base backup %.60s of cluster %s%s, at %.100s:%.120s, registered %s",
                           label, cluster, where, host, b->where, when);
    return n > 0 ? 0 : cli_fail(cli, KS_E_INTERNAL, "no text");
}

static int
report(struct cli *cli, const char *id, const char *text, size_t n)
{
    if (cli->json) {
        KS_CLEANUP(json_done) struct json json = JSON;
        json_open(&json, NULL, '{');
        json_text(&json, "dependant", id);
        json_text(&json, "needs", text);
        json_number(&json, "keys", (int64_t)n);
        json_close(&json, '}');
        return output_json(&json);
    }
    if (n == 0)
        printf("No wrap of this keyring is at a KMS: there is nobody to tell.\n");
    else
        printf("%s at %zu KMS%s: %s\n", text != NULL ? "Registered" : "Expired", n, n == 1 ? "" : "s",
               text != NULL ? text : id);
    return 0;
}

static int
change(struct cli *cli, struct pg_backup *b, struct pg_ring *ring)
{
    char id[PG_DEPEND_ID], text[PG_DEPEND_TEXT], timeline[16];
    const char *label = cli_value(cli, "label"), *wal = cli_value(cli, "wal");
    size_t n = 0;
    if (wal != NULL && (strlen(wal) != 24 || strspn(wal, "0123456789ABCDEF") != 24))
        return cli_fail(cli, KS_E_INVALID, "--wal: %s is no name of a segment, 24 hexadecimal digits", wal);
    if (cli->n_args > 0)
        KS_TRY(read_backup_ring(cli, b, ring));
    else if (wal == NULL && label == NULL)
        return cli_fail(cli, KS_E_INVALID, "which backup? Give its folder, --label NAME, or --wal SEGMENT");
    else
        KS_TRY(pg_ring_read(cli, cli_value(cli, "data"), ring));
    if (cli->n_args == 0 && wal == NULL && !cli_flag(cli, "expire"))
        return cli_fail(cli, KS_E_INVALID,
                        "--label by itself goes with --expire: to register, give the backup's folder");
    if (label == NULL && wal == NULL) {
        const char *slash = strrchr(b->where, '/');
        label = slash != NULL && slash[1] != '\0' ? slash + 1 : b->where;
    }
    (void)snprintf(timeline, sizeof(timeline), "wal-%.8s", wal != NULL ? wal : "");
    pg_depend_id(ring->keyring, wal != NULL ? timeline : label, id);
    const bool expire = cli_flag(cli, "expire");
    if (!expire)
        KS_TRY(describe(cli, b, ring, label, text));
    KS_TRY(pg_depend_set(cli, ring->keyring, id, expire ? NULL : text, false, TIMEOUT_MS, &n));
    return report(cli, id, expire ? NULL : text, n);
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(pg_ring_done) struct pg_ring ring = PG_RING;
    pg_harden();
    struct pg_backup *b = calloc(1, sizeof(*b));
    if (b == NULL)
        return cli_fail(cli, KS_E_NOMEM, "out of memory");
    const int rc = change(cli, b, &ring);
    free(b);
    return rc;
}

static const struct cli_option options[] = {
    {"data", CLI_FOLDER, "DIR", "whose keyring, where no BACKUP is given (default PGDATA)"},
    {"label", CLI_TEXT, "NAME", "what the backup is called (default: its folder's name, or pgBackRest's label)"},
    {"wal", CLI_TEXT, "SEGMENT", "the archive of its timeline, from this segment on"},
    {"expire", CLI_FLAG, NULL, "it does not exist any more: the key is not needed for it"},
    {"stanza", CLI_TEXT, "NAME", "pgBackRest: which, if the repository has several"},
    {"set", CLI_TEXT, "LABEL", "pgBackRest: which backup (default: the newest)"},
};

const struct cli_command cli_pg_register = {
    .name = "pg register-backup",
    .args = "[BACKUP]",
    .max_args = 1,
    .arg_kind = CLI_FOLDER,
    .summary = "tell the KMS that a backup needs the key encryption key",
    .details =
        "The KMS keeps it as an attribute of the key. A Keystead then refuses to destroy the key, and says what would\n"
        "be lost; keystead pg status shows it. The key is the one that the backup's own keyring names, which after\n"
        "a rotation is an older one: expire a backup before it is removed.",
    .examples = "  keystead pg register-backup /backup/monday\n"
                "  keystead pg register-backup /var/lib/pgbackrest --stanza main\n"
                "  keystead pg register-backup --wal 000000010000000000000001 --data /srv/pg\n"
                "  keystead pg register-backup /backup/monday --expire\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
