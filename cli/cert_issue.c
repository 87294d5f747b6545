/* keystead cert issue: Certify. */
#include <time.h>

#include "cli/cert.h"

static int
run(struct cli *cli)
{
    char key_uid[KS_UID_SIZE], issuer_uid[KS_UID_SIZE], uid[KS_UID_SIZE];
    KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(1 << 16);
    struct ks_certify params = {.object = {.name = cli->args[0]}, .common_name = cli_value(cli, "common-name")};
    int64_t valid = 0;
    if (cli_value(cli, "request") == NULL && cli_value(cli, "key") == NULL)
        return cli_fail(cli, KS_E_INVALID, "give the request with --request FILE, or a public key with --key KEY");
    KS_TRY(cli_duration(cli, "valid", 0, &valid));
    if (cli_value(cli, "request") != NULL)
        KS_TRY(cert_read_request(cli, cli_value(cli, "request"), &request));
    params.request = (struct ks_bytes){request.data, request.len};
    if (cli_value(cli, "key") != NULL) {
        KS_TRY(ks_client_find(cli->client, &cli->call, cli_value(cli, "key"), key_uid, &cli->error));
        params.uid = key_uid;
    }
    if (cli_value(cli, "issuer") != NULL) {
        KS_TRY(ks_client_find(cli->client, &cli->call, cli_value(cli, "issuer"), issuer_uid, &cli->error));
        params.issuer_uid = issuer_uid;
    }
    if (valid != 0)
        params.not_after = (int64_t)time(NULL) + valid;
    KS_TRY(key_mask(cli, "usage", 0, &params.object.usage_mask));
    KS_TRY(ks_client_certify(cli->client, &cli->call, &params, uid, &cli->error));
    KS_TRY(cert_write(cli, uid));
    return key_report(cli, "Issued", uid, cli->args[0]);
}

static const struct cli_option options[] = {
    {"request", CLI_FILE, "FILE", "certificate request (PKCS#10), PEM or DER"},
    {"key", CLI_TEXT, "KEY", "public key on the server that is certified"},
    {"common-name", CLI_TEXT, "TEXT", "subject where there is no request (default: NAME)"},
    {"issuer", CLI_TEXT, "CERT", "certificate of the authority (default: issuing-ca, made when first needed)"},
    {"valid", CLI_TEXT, "TIME", "90d, 24h, ... (default: as the server is configured)"},
    {"usage", CLI_TEXT, "LIST", "sign,verify,encrypt,...: what the key may be used for"},
    {"out", CLI_FILE, "FILE", "also write the certificate to FILE, as PEM"},
};

const struct cli_command cli_cert_issue = {
    .name = "cert issue",
    .args = "NAME --request FILE | --key KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "issue a certificate for a request or a key",
    .details = "The authority is one of your own. No certificate that is issued so lets anybody in to the server.",
    .examples = "  keystead cert issue web --request web.csr --out web.pem\n"
                "  keystead cert issue signer --key signer-public --common-name 'Invoice signer' --valid 90d\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
