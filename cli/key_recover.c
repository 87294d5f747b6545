/* keystead key recover */
#include <string.h>

#include "cli/key.h"
#include "cli/request.h"

static void
uids_freep(struct ks_uids **uids)
{
    ks_uids_free(*uids);
}

/* The archived object that args[0] means: archived ones are found where they are asked for alone. */
static int
key_find_archived(struct cli *cli, struct key_ref *ref)
{
    const struct ks_locate by_name = {.name = cli->args[0],
                                      .storage_status_mask = KMIP_STORAGE_STATUS_MASK_ARCHIVAL_STORAGE};
    KS_CLEANUP(uids_freep) struct ks_uids *uids = NULL;
    KS_TRY(ks_client_locate(cli->client, &cli->call, &by_name, &uids, &cli->error));
    if (uids->n > 1)
        return cli_fail(cli, KS_E_INVALID, "%zu archived objects are named '%.60s'; say which by its identifier",
                        uids->n, cli->args[0]);
    const char *uid = uids->n == 1 ? uids->v[0] : cli->args[0];
    if (strlen(uid) >= sizeof(ref->uid))
        return cli_fail(cli, KS_E_NOT_FOUND, "no archived object is named so");
    memcpy(ref->uid, uid, strlen(uid) + 1);
    if (uids->n == 1 && (ref->name = strdup(cli->args[0])) == NULL)
        return KS_E_NOMEM;
    return 0;
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(key_ref_done) struct key_ref ref = KEY_REF;
    KS_TRY(key_find_archived(cli, &ref));
    if (cli_flag(cli, "later"))
        return request_submit(cli, KMIP_OPERATION_RECOVER, ref.uid);
    KS_TRY(ks_client_recover(cli->client, &cli->call, ref.uid, &cli->error));
    return key_report(cli, "Recovered", ref.uid, ref.name);
}

static const struct cli_option options[] = {
    {"later", CLI_FLAG, NULL, "let the server do it when it can, and print what to ask for the result with"},
};

const struct cli_command cli_key_recover = {
    .name = "key recover",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "bring an archived key back",
    .details = KEY_HINT " An archived key is found with its identifier, or with its name.",
    .examples = "  keystead key recover invoices-2019\n"
                "  keystead key recover invoices-2019 --later\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
