/* keystead pg permit: that base backups of a cluster may be sent in the clear, for some time. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <keystead/operations.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/pg.h"
#include "tde/permit.h"
#include "tde/wrap_kmip.h"

enum { DEFAULT_S = 3600, MOST_S = 30 * 86400 };

static void
client_freep(struct ks_client **client)
{
    ks_client_free(*client);
}

/* On record where the key encryption key is, before it is so. A KMS without KMIP 2.0 has the Decrypt on record alone.
 */
static int
audit(struct cli *cli, const struct pg_ring *ring, const char *line)
{
    const struct tde_slot *slot = tde_keyring_slot(ring->keyring, ring->slot);
    if (slot == NULL || slot->provider != TDE_PROVIDER_KMIP)
        return 0;
    KS_CLEANUP(client_freep) struct ks_client *client = NULL;
    struct ks_diag diag = {0};
    if (tde_kmip_connect(slot, 10000, &client, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    const int rc = ks_client_log(client, NULL, line, &cli->error);
    if (rc != KS_E_UNSUPPORTED)
        return rc;
    fprintf(stderr, "keystead pg permit: the KMS takes no lines for its log (KMIP 2.0): it has no record of this\n");
    return 0;
}

static int
make(const struct pg_ring *ring, int64_t until, uint8_t ret[TDE_PERMIT_LEN], struct ks_diag *diag)
{
    KS_SECRET *bundle = NULL;
    KS_TRY(ks_secret_new(sizeof(struct tde_bundle), &bundle));
    struct tde_bundle *b = (void *)ks_secret_data(bundle);
    KS_TRY(tde_keyring_bundle(ring->keyring, &ring->key, b, diag));
    return tde_permit_make(b, until, ret);
}

static int
end(struct cli *cli, const struct pg_ring *ring, const char *path, const char *cluster)
{
    char line[128];
    struct ks_diag diag = {0};
    const bool was = access(path, F_OK) == 0;
    if (unlink(path) != 0 && errno != ENOENT)
        return cli_fail(cli, KS_E_IO, "%s: %s", path, strerror(errno));
    if (ks_fsync_parent(path, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    (void)snprintf(line, sizeof(line), "keystead: cluster %s: base backups in the clear are not permitted any more",
                   cluster);
    if (was)
        KS_TRY(audit(cli, ring, line));
    if (!cli->json)
        printf(was ? "Base backups in the clear are not permitted any more.\n" : "There was no permit.\n");
    return 0;
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(pg_ring_done) struct pg_ring ring = PG_RING;
    char path[PATH_MAX], cluster[TDE_UUID_TEXT], when[KS_TIME_TEXT_LEN], line[192];
    uint8_t permit[TDE_PERMIT_LEN];
    int64_t seconds = DEFAULT_S;
    struct ks_diag diag = {0};
    pg_harden();
    if (cli_flag(cli, "clear-backup") == cli_flag(cli, "end"))
        return cli_fail(cli, KS_E_INVALID, "what is to be permitted? --clear-backup, or --end");
    KS_TRY(cli_duration(cli, "for", DEFAULT_S, &seconds));
    if (seconds < 1 || seconds > MOST_S)
        return cli_fail(cli, KS_E_INVALID, "--for: from one second to 30 days");
    KS_TRY(pg_ring_read(cli, cli_value(cli, "data"), &ring));
    if ((size_t)snprintf(path, sizeof(path), "%s/" TDE_PERMIT, ring.data) >= sizeof(path))
        return cli_fail(cli, KS_E_LIMIT, "%s: the path is too long", ring.data);
    tde_uuid_text(ring.keyring->cluster, cluster);
    KS_TRY(pg_ring_unlock(cli, &ring, true));
    if (cli_flag(cli, "end"))
        return end(cli, &ring, path, cluster);
    const int64_t until = ks_clock_us() / 1000000 + seconds;
    output_time(until, when);
    if (make(&ring, until, permit, &diag) != 0)
        return cli_fail(cli, KS_E_CRYPTO, "cannot make the permit: %s", ks_diag_text(&diag));
    (void)snprintf(line, sizeof(line), "keystead: cluster %s: base backups in the clear are permitted until %s",
                   cluster, when);
    KS_TRY(audit(cli, &ring, line));
    if (ks_file_write(path, KS_SPAN(permit, sizeof(permit)), 0600, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    if (cli->json) {
        KS_CLEANUP(json_done) struct json json = JSON;
        json_open(&json, NULL, '{');
        json_text(&json, "cluster", cluster);
        json_text(&json, "permits", "clear-backup");
        json_date(&json, "until", until);
        json_close(&json, '}');
        return output_json(&json);
    }
    printf("Until %s clients of replication that ask for it get base backups in the clear; the server's log\n"
           "says who did. keystead pg permit --end ends it.\n",
           when);
    return 0;
}

static const struct cli_option options[] = {
    {"data", CLI_FOLDER, "DIR", "the data directory (default PGDATA)"},
    {"clear-backup", CLI_FLAG, NULL, "base backups over the replication protocol in the clear"},
    {"for", CLI_TEXT, "TIME", "how long: 30m, 8h, 7d (default 1h, 30 days at most)"},
    {"end", CLI_FLAG, NULL, "not any more"},
};

const struct cli_command cli_pg_permit = {
    .name = "pg permit",
    .args = "",
    .summary = "let base backups leave in the clear, for some time",
    .details =
        "Base backups are ciphertext under the cluster's own keys. One in the clear, for a standby with other keys\n"
        "(keystead pg exec --clear-backup), needs this. It takes the key encryption key, and is on record at the\n"
        "KMS. The server need not be restarted.",
    .examples = "  keystead pg permit --clear-backup --for 4h --data /srv/pg\n"
                "  keystead pg permit --end --data /srv/pg\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
