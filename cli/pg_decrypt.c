/* keystead pg decrypt: an encrypted cluster that is stopped becomes a plain one. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/pg_conf.h"
#include "cli/pg_convert.h"
#include "tde/check.h"

/* The keys are those that the files are encrypted with, or nothing is touched. */
static int
keys(struct cli *cli, struct pg_conversion *c)
{
    char why[512];
    struct ks_diag diag = {0};
    KS_TRY(pg_ring_read(cli, c->data, &c->ring));
    KS_TRY(pg_ring_unlock(cli, &c->ring, true));
    KS_TRY(pg_conversion_keys(cli, c));
    const int rc = tde_check(c->data, why, sizeof(why));
    if (rc != 0)
        return cli_fail(cli, rc, "%s", why);
    if (!c->resumed && tde_journal_begin(&c->journal, TDE_CONVERT_DECRYPT, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    return 0;
}

/* Backups and archived WAL are opened by the keyring still: it is kept under a name that no start looks at. */
static int
retire(struct cli *cli, struct pg_conversion *c, const char *keyring)
{
    char check[PATH_MAX], kept[PATH_MAX], cluster[TDE_UUID_TEXT];
    struct ks_diag diag = {0};
    tde_uuid_text(c->ring.keyring->cluster, cluster);
    if (snprintf(check, sizeof(check), "%s/" TDE_CHECK, c->data) >= PATH_MAX ||
        snprintf(kept, sizeof(kept), "%s.%s", keyring, cluster) >= PATH_MAX)
        return cli_fail(cli, KS_E_INVALID, "%s: the path is too long", c->data);
    if (unlink(check) != 0 && errno != ENOENT)
        return cli_fail(cli, KS_E_IO, "%s: %s", check, strerror(errno));
    if (rename(keyring, kept) != 0)
        return cli_fail(cli, KS_E_IO, "%s: %s", keyring, strerror(errno));
    return ks_fsync_parent(keyring, &diag) == 0 ? 0 : cli_fail_diag(cli, &diag);
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(pg_conversion_done) struct pg_conversion c = PG_CONVERSION;
    struct ks_diag diag = {0};
    char keyring[PATH_MAX];
    KS_TRY(pg_conversion_start(cli, &c, TDE_CONVERT_DECRYPT));
    if (snprintf(keyring, sizeof(keyring), "%s/" TDE_KEYRING, c.data) >= PATH_MAX)
        return cli_fail(cli, KS_E_INVALID, "%s: the path is too long", c.data);
    KS_TRY(pg_conversion_scan(cli, &c));
    /* Where it is gone already all files are plain, and what is left is the configuration. */
    if (!c.resumed || access(keyring, F_OK) == 0) {
        KS_TRY(keys(cli, &c));
        KS_TRY(pg_conversion_run(cli, &c));
        KS_TRY(retire(cli, &c, keyring));
    }
    KS_TRY(pg_conf_remove_guard(cli, c.conf, c.data));
    if (tde_journal_remove(&c.journal, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    KS_TRY(pg_conversion_report(cli, &c, "Decrypted"));
    if (!cli->json)
        printf("Start it as any other: pg_ctl -D %s start, without LD_PRELOAD.\n"
               "Backups and archived WAL from before are encrypted still: they need the keyring (keystead/keyring.*)\n"
               "and the key that it is wrapped by.\n",
               c.data);
    return 0;
}

static const struct cli_option options[] = {
    {"data", CLI_FOLDER, "DIR", "the cluster's data directory (default PGDATA)"},
    {"configuration", CLI_FOLDER, "DIR", "where postgresql.conf is, if not there (Debian: /etc/postgresql/15/main)"},
};

const struct cli_command cli_pg_decrypt = {
    .name = "pg decrypt",
    .args = "",
    .summary = "make an encrypted cluster that is stopped a plain one",
    .details =
        "The way back from keystead pg encrypt and init, done file by file like that, and resumed in the same way.\n"
        "All of it is readable on the disk afterwards. The keyring is kept as keystead/keyring.UUID: backups and\n"
        "archived WAL from before need it.",
    .examples = "  keystead pg decrypt --data /srv/pg\n"
                "  keystead pg decrypt --data /srv/pg --configuration /etc/postgresql/15/main\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
