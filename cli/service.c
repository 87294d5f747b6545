/* keystead ping, query, log, interop, seed, pkcs11: short questions to the server. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/words.h"
#include "kmip/kmip.h"

#include <keystead/operations.h>

enum { SEED_MAX = 1 << 16, INPUT_MAX = 16 << 20 };

/* "done" for people, {"name": value} for programs. */
static int
report(struct cli *cli, const char *text, const char *name, const char *value)
{
    if (!cli->json) {
        printf("%s\n", text);
        return 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, name, value);
    json_close(&json, '}');
    return output_json(&json);
}

static int
ping(struct cli *cli)
{
    KS_TRY(ks_client_ping(cli->client, &cli->call, &cli->error));
    return report(cli, "The server answers.", "answered", "yes");
}

static int
log_message(struct cli *cli)
{
    KS_TRY(ks_client_log(cli->client, &cli->call, cli->args[0], &cli->error));
    return report(cli, "Logged", "logged", cli->args[0]);
}

static int
interop(struct cli *cli)
{
    uint32_t function;
    if (words_find_of(KMIP_TAG_INTEROP_FUNCTION, ks_span_str(cli->args[0]), &function) != 0)
        return cli_fail(cli, KS_E_INVALID, "'%.60s' is none of: begin, end, reset", cli->args[0]);
    KS_TRY(ks_client_interop(cli->client, &cli->call, function, cli->args[1], &cli->error));
    return report(cli, "Marked", "test", cli->args[1]);
}

static int
seed(struct cli *cli)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(SEED_MAX);
    struct ks_diag diag = {0};
    size_t taken = 0;
    char text[64];
    if (command_read(cli->args[0], &bytes, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    KS_TRY(ks_client_rng_seed(cli->client, &cli->call, (struct ks_bytes){bytes.data, bytes.len}, &taken, &cli->error));
    if (!cli->json) {
        snprintf(text, sizeof(text), "The server took %zu bytes.", taken);
        printf("%s\n", text);
        return 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_number(&json, "taken", (int64_t)taken);
    json_close(&json, '}');
    return output_json(&json);
}

/* ---- query ---- */

static void
query_freep(struct ks_query_result **result)
{
    ks_query_result_free(*result);
}

static void
versions_freep(struct ks_versions **versions)
{
    ks_versions_free(*versions);
}

static const char *
word(uint32_t tag, uint32_t value, char buffer[16])
{
    const char *name = ks_client_enum_name(tag, value);
    if (name == NULL)
        snprintf(buffer, 16, "0x%08X", value);
    return name != NULL ? name : buffer;
}

static void
add_words(struct json *json, const char *name, uint32_t tag, const uint32_t *v, size_t n)
{
    char buffer[16];
    json_open(json, name, '[');
    for (size_t i = 0; i < n; i++)
        json_text(json, NULL, word(tag, v[i], buffer));
    json_close(json, ']');
}

static void
print_words(const char *title, uint32_t tag, const uint32_t *v, size_t n)
{
    char buffer[16];
    printf("%s:\n", title);
    for (size_t i = 0; i < n; i++) {
        printf("  ");
        output_safe(stdout, word(tag, v[i], buffer));
        printf("\n");
    }
}

static int
query(struct cli *cli)
{
    KS_CLEANUP(query_freep) struct ks_query_result *got = NULL;
    KS_CLEANUP(versions_freep) struct ks_versions *versions = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf line = KS_BUF(4096);
    KS_CLEANUP(json_done) struct json json = JSON;
    KS_TRY(ks_client_discover_versions(cli->client, &cli->call, &versions, &cli->error));
    KS_TRY(ks_client_query(cli->client, &cli->call, &got, &cli->error));
    json_open(&json, NULL, '{');
    json_text(&json, "vendor", got->vendor);
    json_open(&json, "versions", '[');
    for (size_t i = 0; i < versions->n; i++) {
        char text[32];
        snprintf(text, sizeof(text), "%d.%d", versions->v[i].major, versions->v[i].minor);
        json_text(&json, NULL, text);
        (void)ks_buf_addf(&line, "%s%s", i > 0 ? ", " : "", text);
    }
    json_close(&json, ']');
    add_words(&json, "operations", KMIP_TAG_OPERATION, got->operations, got->n_operations);
    add_words(&json, "object_types", KMIP_TAG_OBJECT_TYPE, got->object_types, got->n_object_types);
    json_close(&json, '}');
    if (cli->json)
        return output_json(&json);
    if (got->vendor != NULL)
        output_field("Vendor", got->vendor);
    output_field("KMIP", ks_buf_cstr(&line));
    print_words("Operations", KMIP_TAG_OPERATION, got->operations, got->n_operations);
    print_words("Object types", KMIP_TAG_OBJECT_TYPE, got->object_types, got->n_object_types);
    return line.err;
}

/* ---- pkcs11 ---- */

static void
pkcs11_freep(struct ks_pkcs11_result **result)
{
    ks_pkcs11_result_free(*result);
}

static int
pkcs11_params(struct cli *cli, struct ks_buf *input, struct ks_buf *correlation, struct ks_pkcs11 *ret)
{
    struct ks_diag diag = {0};
    const char *path = cli_value(cli, "in");
    const char *value = cli_value(cli, "correlation");
    if (words_find_of(KMIP_TAG_PKCS_11_FUNCTION, ks_span_str(cli->args[0]), &ret->function) != 0)
        return cli_fail(cli, KS_E_INVALID, "'%.60s' is no function of PKCS#11; write C_GetInfo", cli->args[0]);
    if (path != NULL && command_read(path, input, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    if (value != NULL && ks_hex_decode(ks_span_str(value), correlation) != 0)
        return cli_fail(cli, KS_E_INVALID, "--correlation: '%.60s' is not hexadecimal", value);
    ret->input = (struct ks_bytes){input->data, input->len};
    ret->correlation = (struct ks_bytes){correlation->data, correlation->len};
    return 0;
}

static int
pkcs11(struct cli *cli)
{
    struct ks_pkcs11 params = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf input = KS_BUF(INPUT_MAX);
    KS_CLEANUP(ks_buf_done) struct ks_buf correlation = KS_BUF(4096);
    KS_CLEANUP(ks_buf_done) struct ks_buf hex = KS_BUF(2 * INPUT_MAX + 16);
    KS_CLEANUP(pkcs11_freep) struct ks_pkcs11_result *got = NULL;
    KS_CLEANUP(json_done) struct json json = JSON;
    char buffer[16];
    const char *out = cli_value(cli, "out");
    KS_TRY(pkcs11_params(cli, &input, &correlation, &params));
    KS_TRY(ks_client_pkcs11(cli->client, &cli->call, &params, &got, &cli->error));
    const struct ks_span output = KS_SPAN(got->output.data, got->output.len);
    if (out != NULL)
        KS_TRY(cli_write(cli, out, output));
    const char *code = word(KMIP_TAG_PKCS_11_RETURN_CODE, got->return_code, buffer);
    if (cli->json) {
        json_open(&json, NULL, '{');
        json_text(&json, "return", code);
        json_hex(&json, "correlation", got->correlation.data, got->correlation.len);
        if (out == NULL)
            json_hex(&json, "output", output.data, output.len);
        json_close(&json, '}');
        return output_json(&json);
    }
    output_field("Return code", code);
    if (got->correlation.len != 0) {
        (void)ks_hex_add(&hex, got->correlation.data, got->correlation.len);
        output_field("Correlation", ks_buf_cstr(&hex));
        ks_buf_reset(&hex);
    }
    if (out == NULL && output.len != 0) {
        (void)ks_hex_add(&hex, output.data, output.len);
        output_field("Output", ks_buf_cstr(&hex));
    }
    return hex.err;
}

/* ---- The commands ---- */

const struct cli_command cli_ping = {
    .name = "ping",
    .args = "",
    .connects = true,
    .summary = "ask whether the server answers this client",
    .details = "Works against any KMIP 2.1 server; keystead status says more of a Keystead.",
    .examples = "  keystead ping --timeout 2s\n",
    .run = ping,
};

const struct cli_command cli_query = {
    .name = "query",
    .args = "",
    .connects = true,
    .summary = "show what the server can do: versions, operations",
    .examples = "  keystead query\n"
                "  keystead query --json\n",
    .run = query,
};

const struct cli_command cli_log = {
    .name = "log",
    .args = "MESSAGE",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "put a line into the server's audit trail",
    .details = "It stands there as what this client said. Needs KMIP 2.0.",
    .examples = "  keystead log 'backup of the cluster begins'\n",
    .run = log_message,
};

const struct cli_command cli_interop = {
    .name = "interop",
    .args = "begin|end|reset NAME",
    .min_args = 2,
    .max_args = 2,
    .arg_kind = CLI_CHOICE,
    .arg_choices = "begin|end|reset",
    .connects = true,
    .summary = "mark where a test begins and ends",
    .details = "For tests of interoperability; NAME is the test's. It is noted in the audit\ntrail. Needs KMIP 2.0.",
    .examples = "  keystead interop begin TC-NP-1-21\n",
    .run = interop,
};

const struct cli_command cli_seed = {
    .name = "seed",
    .args = "FILE",
    .min_args = 1,
    .max_args = 1,
    .arg_kind = CLI_FILE,
    .connects = true,
    .summary = "add bytes to what the server's random numbers come of",
    .details = "FILE is - for standard input; 64 KiB at most. A server need not take it, and\nsays how much it took.",
    .examples = "  keystead seed dice.txt\n",
    .run = seed,
};

static const struct cli_option pkcs11_options[] = {
    {"in", CLI_FILE, "FILE", "the input parameters, encoded as KMIP says (- is standard input)"},
    {"out", CLI_FILE, "FILE", "where the output parameters go (default: hexadecimal, here)"},
    {"correlation", CLI_TEXT, "HEX", "what C_Initialize answered; every later call has it"},
};

const struct cli_command cli_pkcs11 = {
    .name = "pkcs11",
    .args = "FUNCTION",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "call a function of PKCS#11 on the server",
    .details = "For trying things out: a program links a PKCS#11 module, or libkeystead. Needs KMIP 2.0.",
    .examples = "  keystead pkcs11 C_Initialize --json\n"
                "  keystead pkcs11 C_GetInfo --correlation 6f1d...\n",
    .options = pkcs11_options,
    .n_options = KS_ARRAY_LEN(pkcs11_options),
    .run = pkcs11,
};
