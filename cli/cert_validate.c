/* keystead cert validate: Validate. */
#include <stdio.h>

#include "base/text.h"
#include "cli/cert.h"
#include "cli/command.h"
#include "cli/output.h"
#include "crypto/cert.h"

enum { FILE_MAX = 1 << 20, CERTIFICATES_MOST = 32 };

static const char *
indicator_text(uint32_t indicator)
{
    switch (indicator) {
    case KMIP_VALIDITY_INDICATOR_VALID:
        return "valid";
    case KMIP_VALIDITY_INDICATOR_INVALID:
        return "invalid";
    default:
        return "unknown";
    }
}

/* All certificates of a PEM file, one behind the other; ends[i] is where the i-th ends. */
static int
read_file(struct cli *cli, const char *path, struct ks_buf *ders, size_t ends[CERTIFICATES_MOST], size_t *ret_n)
{
    static const char mark[] = "-----END CERTIFICATE-----";
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(FILE_MAX);
    struct ks_diag diag = {0};
    if (command_read(path, &text, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    struct ks_span rest = ks_buf_span(&text);
    size_t n = 0;
    while (n < CERTIFICATES_MOST) {
        diag = (struct ks_diag){0};
        const int rc = ks_pem_decode(KS_PEM_CERT, rest, ders, &diag);
        if (rc == KS_E_NOT_FOUND)
            break;
        if (rc != 0)
            return cli_fail_diag(cli, &diag);
        ends[n++] = ders->len;
        const uint8_t *end = memmem(rest.data, rest.len, mark, sizeof(mark) - 1);
        if (end == NULL)
            break;
        rest = KS_SPAN(end + sizeof(mark) - 1, rest.len - (size_t)(end - rest.data) - (sizeof(mark) - 1));
    }
    if (n == 0)
        return cli_fail(cli, KS_E_NOT_FOUND, "%s holds no PEM certificate", path);
    *ret_n = n;
    return 0;
}

static int
report(struct cli *cli, uint32_t indicator)
{
    if (!cli->json) {
        printf("%s\n", indicator_text(indicator));
    } else {
        KS_CLEANUP(json_done) struct json json = JSON;
        json_open(&json, NULL, '{');
        json_text(&json, "validity", indicator_text(indicator));
        json_close(&json, '}');
        KS_TRY(output_json(&json));
    }
    if (indicator == KMIP_VALIDITY_INDICATOR_VALID)
        return 0;
    return cli_fail(cli, KS_E_INTEGRITY, "the certificates are no chain that is valid: %s", indicator_text(indicator));
}

static int
run(struct cli *cli)
{
    char uids[CLI_MAX_ARGS][KS_UID_SIZE];
    const char *uid[CLI_MAX_ARGS];
    struct ks_bytes certificates[CERTIFICATES_MOST];
    size_t ends[CERTIFICATES_MOST] = {0}, n = 0;
    KS_CLEANUP(ks_buf_done) struct ks_buf ders = KS_BUF(FILE_MAX);
    struct ks_validate params = {.certificates = certificates, .uids = uid, .n_uids = cli->n_args};
    uint32_t indicator;
    const char *at = cli_value(cli, "at");
    if (at != NULL && ks_time_parse(ks_span_str(at), &params.at) != 0)
        return cli_fail(cli, KS_E_INVALID, "--at: '%s' is no time like 2026-11-24T12:00:00Z", at);
    if (cli_value(cli, "file") != NULL)
        KS_TRY(read_file(cli, cli_value(cli, "file"), &ders, ends, &n));
    for (size_t i = 0; i < n; i++) {
        const size_t from = i == 0 ? 0 : ends[i - 1];
        certificates[i] = (struct ks_bytes){ders.data + from, ends[i] - from};
    }
    params.n_certificates = n;
    if (n == 0 && cli->n_args == 0)
        return cli_fail(cli, KS_E_INVALID, "name certificates on the server, or give a file with --file FILE");
    for (size_t i = 0; i < cli->n_args; i++) {
        KS_TRY(key_find(cli, i, uids[i]));
        uid[i] = uids[i];
    }
    KS_TRY(ks_client_validate(cli->client, &cli->call, &params, &indicator, &cli->error));
    return report(cli, indicator);
}

static const struct cli_option options[] = {
    {"file", CLI_FILE, "FILE", "certificates of the chain that are not on the server, PEM"},
    {"at", CLI_TEXT, "TIME", "when they have to be valid: 2026-11-24T12:00:00Z (default: now)"},
};

const struct cli_command cli_cert_validate = {
    .name = "cert validate",
    .args = "[CERT]...",
    .min_args = 0,
    .max_args = CLI_MAX_ARGS,
    .connects = true,
    .summary = "whether certificates are a chain that you trust",
    .details =
        "Together they are one chain, in any order. Trusted are the self-signed certificates among your objects\n"
        "on the server. Prints valid, invalid or unknown (it leads to none that is trusted), and ends with\n"
        "status 0 for valid alone.",
    .examples = "  keystead cert validate web\n"
                "  keystead cert validate --file chain.pem --at 2027-01-01T00:00:00Z\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
