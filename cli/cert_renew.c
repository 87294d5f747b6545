/* keystead cert renew: Re-certify. */
#include <time.h>

#include "cli/cert.h"

static int
run(struct cli *cli)
{
    KS_CLEANUP(key_ref_done) struct key_ref old = KEY_REF;
    char uid[KS_UID_SIZE];
    KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(1 << 16);
    struct ks_certify params = {.uid = old.uid};
    int64_t valid = 0;
    KS_TRY(cli_duration(cli, "valid", 0, &valid));
    if (cli_value(cli, "request") != NULL)
        KS_TRY(cert_read_request(cli, cli_value(cli, "request"), &request));
    params.request = (struct ks_bytes){request.data, request.len};
    KS_TRY(key_find_ref(cli, &old));
    if (valid != 0) {
        params.not_before = (int64_t)time(NULL);
        params.not_after = params.not_before + valid;
    }
    KS_TRY(ks_client_recertify(cli->client, &cli->call, &params, -1, uid, &cli->error));
    KS_TRY(cert_write(cli, uid));
    return key_report(cli, "Renewed: the new certificate is", uid, old.name);
}

static const struct cli_option options[] = {
    {"request", CLI_FILE, "FILE", "certificate request for the same key (default: the names of the old one)"},
    {"valid", CLI_TEXT, "TIME", "90d, 24h, ... from now (default: as the server is configured)"},
    {"out", CLI_FILE, "FILE", "also write the certificate to FILE, as PEM"},
};

const struct cli_command cli_cert_renew = {
    .name = "cert renew",
    .args = "CERT",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "issue a new certificate for the key of an old one",
    .details = "CERT is a name or an identifier. The new certificate takes the name.",
    .examples = "  keystead cert renew web --out web.pem\n"
                "  keystead cert renew web --valid 90d\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
