/* keystead pg rotate --data-keys: all files of a cluster that is stopped, written anew under new data keys. */
#include "cli/pg_rotate_data.h"

#include <stdio.h>
#include <time.h>

#include "base/text.h"
#include "cli/pg_convert.h"
#include "tde/check.h"

/* The keys are those that the files are encrypted with, or nothing is touched. */
static int
keys(struct cli *cli, struct pg_conversion *c)
{
    char why[512];
    KS_TRY(pg_conversion_keys(cli, c));
    const int rc = tde_check(c->data, why, sizeof(why));
    return rc == 0 ? 0 : cli_fail(cli, rc, "%s", why);
}

/*
 * The next generation is in the keyring before the journal is begun, and is the active one before the journal goes:
 * what an interrupted run has come to is told by these two. A server that starts before the journal is there has no use
 * for the next generation.
 */
static int
convert(struct cli *cli, struct pg_conversion *c)
{
    struct ks_diag diag = {0};
    if (!tde_keyring_has_next(c->ring.keyring)) {
        if (tde_keyring_add_next(c->ring.keyring, &c->ring.key, ks_clock_us() / 1000000, &diag) != 0)
            return cli_fail_diag(cli, &diag);
        KS_TRY(pg_ring_write(cli, &c->ring, c->ring.slot));
        KS_TRY(pg_conversion_keys(cli, c));
    }
    if (!c->resumed && tde_journal_begin(&c->journal, TDE_CONVERT_ROTATE, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    KS_TRY(pg_conversion_run(cli, c));
    tde_keyring_promote_next(c->ring.keyring);
    return pg_ring_write(cli, &c->ring, c->ring.slot);
}

static uint32_t
generation(const struct tde_keyring *keyring)
{
    for (size_t i = 0; i < keyring->n_keys; i++)
        if (keyring->keys[i].state == TDE_KEY_ACTIVE)
            return keyring->keys[i].generation;
    return 0;
}

int
pg_rotate_data_keys(struct cli *cli)
{
    KS_CLEANUP(pg_conversion_done) struct pg_conversion c = PG_CONVERSION;
    KS_TRY(pg_conversion_start(cli, &c, TDE_CONVERT_ROTATE));
    KS_TRY(pg_ring_read(cli, c.data, &c.ring));
    KS_TRY(pg_ring_unlock(cli, &c.ring, true));
    KS_TRY(pg_conversion_scan(cli, &c));
    /* Where a rotation was begun and there is no next generation, it is the active one already. */
    if (!c.resumed || tde_keyring_has_next(c.ring.keyring)) {
        KS_TRY(keys(cli, &c));
        KS_TRY(convert(cli, &c));
    } else {
        c.done.before = c.scan.n_files;
    }
    KS_TRY(pg_conversion_keys(cli, &c));
    KS_TRY(pg_conversion_finish(cli, &c));
    KS_TRY(pg_conversion_report(cli, &c, "Rewrote"));
    if (!cli->json)
        printf(
            "Its data keys are those of generation %u. Start it as before.\n"
            "Backups and archived WAL from before have the keys of before, in the keyrings of those backups; they do\n"
            "not go on into WAL from now on: take a new base backup. Standbys have their own copies: see docs/pg.md.\n",
            generation(c.ring.keyring));
    return 0;
}
