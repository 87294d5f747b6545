/* keystead pg lease: may a running server go on with its keys? The guard asks by this, for it has no code of KMIP. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/output.h"
#include "cli/pg.h"
#include "tde/wrap_lease.h"

enum { TIMEOUT_S = 10, TIMEOUT_MAX_S = 600, CALLS = 2 };

static int
report(struct cli *cli, const struct tde_lease *lease)
{
    if (!cli->json) {
        printf("%s %u %s\n", lease->word, lease->seconds, lease->message);
        return ferror(stdout) != 0 ? cli_fail(cli, KS_E_IO, "standard output: %s", strerror(errno)) : 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "state", lease->word);
    json_number(&json, "slot", lease->slot);
    json_number(&json, "lease_s", lease->seconds);
    json_text(&json, "message", lease->message);
    json_close(&json, '}');
    return output_json(&json);
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(pg_ring_done) struct pg_ring ring = PG_RING;
    struct tde_lease lease;
    int64_t seconds;
    pg_harden();
    KS_TRY(cli_duration(cli, "timeout", TIMEOUT_S, &seconds));
    if (seconds < 1 || seconds > TIMEOUT_MAX_S)
        return cli_fail(cli, KS_E_INVALID, "--timeout: from 1 to %d seconds", TIMEOUT_MAX_S);
    (void)alarm((unsigned)seconds + 1); /* whatever hangs: a name server, for example */
    KS_TRY(pg_ring_read(cli, cli_value(cli, "data"), &ring));
    tde_lease_ask(ring.keyring, seconds * 1000 / CALLS, &lease);
    ring.slot = lease.slot;
    if (lease.state == TDE_LEASE_ACTIVE || lease.state == TDE_LEASE_WITHDRAWN)
        pg_note_contact(&ring);
    switch (lease.state) {
    case TDE_LEASE_WITHDRAWN:
        return cli_fail(cli, KS_E_DENIED, "%s: %s", lease.word, lease.message);
    case TDE_LEASE_UNKNOWN:
        return cli_fail(cli, KS_E_CONNECT, "%s: %s", lease.word, lease.message);
    default:
        return report(cli, &lease);
    }
}

static const struct cli_option options[] = {
    {"data", CLI_FOLDER, "DIR", "the data directory (default PGDATA)"},
    {"timeout", CLI_TEXT, "TIME", "how long the KMS is given (default 10s)"},
};

const struct cli_command cli_pg_lease = {
    .name = "pg lease",
    .args = "",
    .hidden = true,
    .summary = "ask the KMS whether a cluster may go on with its keys",
    .details = "Run by keystead_guard in the server, a few times in each lease; monitoring may too. No key is fetched. "
               "Status 0\n"
               "and one line: active, with the seconds of the lease, or internal, where no KMS is asked. Status 5: the "
               "KMS has\n"
               "withdrawn the key. Any other: it did not answer. See docs/keyring.md.",
    .examples = "  keystead pg lease --data /var/lib/postgresql/15/main\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
