/* keystead random */
#include "base/text.h"
#include "cli/parts.h"

enum { BYTES_MOST = 1 << 20 };

static int
run(struct cli *cli)
{
    int64_t n = 32;
    if (cli->n_args > 0 && ks_parse_i64(ks_span_str(cli->args[0]), 1, BYTES_MOST, &n) != 0)
        return cli_fail(cli, KS_E_INVALID, "%s: from 1 to %d bytes can be had", cli->args[0], BYTES_MOST);
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(BYTES_MOST);
    if (ks_buf_reserve(&bytes, (size_t)n) != 0)
        return cli_fail(cli, bytes.err, "%s", ks_err_text(bytes.err));
    KS_TRY(ks_client_rng_retrieve(cli->client, &cli->call, bytes.data, (size_t)n, &cli->error));
    bytes.len = (size_t)n;
    return parts_write(cli, ks_buf_span(&bytes));
}

static const struct cli_option options[] = {
    {"out", CLI_FILE, "FILE", "where the bytes go (default: hexadecimal on standard output)"},
};

const struct cli_command cli_random = {
    .name = "random",
    .args = "[BYTES]",
    .max_args = 1,
    .connects = true,
    .summary = "get random bytes from the server",
    .details = "32 bytes unless BYTES says otherwise; 1 MiB at most.",
    .examples = "  keystead random\n"
                "  keystead random 4096 --out seed\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
