/* keystead pg encrypt: a cluster that is there, and stopped, becomes an encrypted one. */
#include <stdio.h>
#include <unistd.h>

#include "cli/pg_conf.h"
#include "cli/pg_convert.h"

static bool
has_keyring(const struct pg_conversion *c)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof(path), "%s/" TDE_KEYRING, c->data) < PATH_MAX && access(path, F_OK) == 0;
}

/* Once more: the keyring is there, and the options that say how to make one are not needed. */
static int
keys_again(struct cli *cli, struct pg_conversion *c)
{
    KS_TRY(pg_ring_read(cli, c->data, &c->ring));
    KS_TRY(pg_ring_unlock(cli, &c->ring, true));
    return pg_conversion_keys(cli, c);
}

/* The guard first, for a server without the layer is to start no more; then the journal, so that none does with it;
 * then the keyring. Until there is a journal the cluster is a plain one. */
static int
begin(struct cli *cli, struct pg_conversion *c)
{
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf file = KS_BUF(TDE_KEYRING_MAX);
    KS_TRY(pg_ring_new(cli, c->data, &c->ring));
    KS_TRY(pg_conversion_keys(cli, c));
    KS_TRY(pg_conf_add_guard(cli, c->conf, c->data, "pg encrypt"));
    const int rc = pg_conf_guard_in_force(cli, c->conf, c->data, cli_value(cli, "bin"));
    if (rc != 0) {
        const struct ks_error why = cli->error;
        if (pg_conf_remove_guard(cli, c->conf, c->data) != 0)
            fprintf(stderr, "keystead pg encrypt: %s\n", cli->error.message);
        cli->error = why;
        return rc;
    }
    if (tde_keyring_encode(c->ring.keyring, &c->ring.key, &file, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    if (!c->resumed && tde_journal_begin(&c->journal, TDE_CONVERT_ENCRYPT, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    return tde_keyring_file_create(c->data, ks_buf_span(&file), &diag) == 0 ? 0 : cli_fail_diag(cli, &diag);
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(pg_conversion_done) struct pg_conversion c = PG_CONVERSION;
    char layer[PATH_MAX], text[2 * TDE_TEXT];
    KS_TRY(pg_layer_path(cli, layer));
    KS_TRY(pg_conversion_start(cli, &c, TDE_CONVERT_ENCRYPT));
    if (!c.resumed && has_keyring(&c))
        return cli_fail(cli, KS_E_EXISTS, "%s is an encrypted cluster already", c.data);
    KS_TRY(pg_conversion_scan(cli, &c));
    KS_TRY(has_keyring(&c) ? keys_again(cli, &c) : begin(cli, &c));
    KS_TRY(pg_conversion_run(cli, &c));
    KS_TRY(pg_conversion_finish(cli, &c));
    KS_TRY(pg_conversion_report(cli, &c, "Encrypted"));
    if (!cli->json) {
        tde_slot_text(tde_keyring_primary(c.ring.keyring), text);
        printf(
            "Its keys are wrapped by %s.\nStart it with: LD_PRELOAD=%s pg_ctl -D %s start\n"
            "Backups and archived WAL from before are in the clear still, and so may be blocks of the disk that are\n"
            "free now: take a new base backup, and see docs/pg-encrypt.md.\n",
            text, layer, c.data);
    }
    return 0;
}

static const struct cli_option options[] = {
    {"data", CLI_FOLDER, "DIR", "the cluster's data directory (default PGDATA)"},
    {"configuration", CLI_FOLDER, "DIR", "where postgresql.conf is, if not there (Debian: /etc/postgresql/15/main)"},
    {"bin", CLI_FOLDER, "DIR", "where PostgreSQL's programs are"},
    PG_PROVIDER_OPTIONS,
    {"wait", CLI_TEXT, "TIME", "how long a start waits for the KMS (default 60s, up to 10m)"},
    {"when-unreachable", CLI_CHOICE, "refuse|other-slot", "then: no start (default), or the other slots"},
};

const struct cli_command cli_pg_encrypt = {
    .name = "pg encrypt",
    .args = "",
    .summary = "encrypt a cluster that exists and is stopped",
    .details =
        "Each file is written anew, encrypted, and replaced in one step; it needs space for the largest file. What\n"
        "is interrupted in any way, at any moment, goes on when the same command is run again; until then no\n"
        "server starts. shared_preload_libraries gets the guard, which refuses a start without the layer.\n"
        "Backups and archived WAL from before stay in the clear.",
    .examples = "  keystead pg encrypt --data /srv/pg --passphrase-file /run/keys/pg\n"
                "  keystead pg encrypt --data /srv/pg --config pg-client.conf --create-key\n"
                "  keystead pg encrypt --data /srv/pg --configuration /etc/postgresql/15/main --key-file /run/pg\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
