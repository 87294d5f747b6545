/* keystead key get: the material of an object. */
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/key.h"
#include "cli/output.h"
#include "crypto/cert.h"

static const char *
pem_label(const struct ks_object *object)
{
    if (object->object_type == KMIP_OBJECT_TYPE_CERTIFICATE)
        return "CERTIFICATE";
    switch (object->key_format) {
    case KMIP_KEY_FORMAT_TYPE_PKCS_8:
        return "PRIVATE KEY";
    case KMIP_KEY_FORMAT_TYPE_EC_PRIVATE_KEY:
        return "EC PRIVATE KEY";
    case KMIP_KEY_FORMAT_TYPE_X_509:
        return "PUBLIC KEY";
    case KMIP_KEY_FORMAT_TYPE_PKCS_1:
        return object->object_type == KMIP_OBJECT_TYPE_PUBLIC_KEY ? "RSA PUBLIC KEY" : "RSA PRIVATE KEY";
    default:
        return NULL;
    }
}

static int
encode_json(const struct ks_object *object, struct ks_buf *ret)
{
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "identifier", object->uid);
    json_text(&json, "type", words_text(WORDS_OBJECT_TYPE, object->object_type));
    if (object->key_format != 0)
        json_text(&json, "format", words_text(WORDS_KEY_FORMAT_TYPE, object->key_format));
    if (object->algorithm != 0)
        json_text(&json, "algorithm", words_text(WORDS_CRYPTOGRAPHIC_ALGORITHM, object->algorithm));
    if (object->length != 0)
        json_number(&json, "length", object->length);
    json_bool(&json, "wrapped", object->wrapped);
    json_hex(&json, "material", object->material.data, object->material.len);
    json_close(&json, '}');
    (void)ks_buf_add_u8(&json.buf, '\n');
    return json.buf.err != 0 ? json.buf.err : ks_buf_add_span(ret, ks_buf_span(&json.buf));
}

static int
encode(struct cli *cli, const struct ks_object *object, struct ks_buf *ret)
{
    const char *encoding = cli_value(cli, "encoding");
    const struct ks_span material = KS_SPAN(object->material.data, object->material.len);
    const char *label = object->wrapped ? NULL : pem_label(object);
    if (encoding == NULL) /* files get the bytes, screens and pipes get text */
        encoding = label != NULL ? "pem" : cli_value(cli, "out") != NULL ? "raw" : "hex";
    if (cli->json)
        return encode_json(object, ret);
    if (strcmp(encoding, "raw") == 0)
        return ks_buf_add_span(ret, material);
    if (strcmp(encoding, "hex") == 0) {
        (void)ks_hex_add(ret, material.data, material.len);
        return ks_buf_add_u8(ret, '\n');
    }
    if (strcmp(encoding, "pem") != 0)
        return cli_fail(cli, KS_E_INVALID, "--encoding: '%s' is none of: raw, hex, pem", encoding);
    if (label == NULL)
        return cli_fail(cli, KS_E_INVALID, "%s has no PEM form; use --encoding raw or hex", object->uid);
    struct ks_diag diag = {0};
    return ks_pem_encode(label, material, ret, &diag) == 0 ? 0 : cli_fail_diag(cli, &diag);
}

static void
object_freep(struct ks_object **object)
{
    ks_object_free(*object);
}

static void
attributes_freep(struct ks_attributes **attributes)
{
    ks_attributes_free(*attributes);
}

/* Looked at before the material leaves the server: what must not be shown is not asked for. */
static int
check_terminal(struct cli *cli, const char *uid)
{
    const struct ks_attribute_name name = {.tag = KMIP_TAG_OBJECT_TYPE};
    KS_CLEANUP(attributes_freep) struct ks_attributes *attributes = NULL;
    KS_TRY(ks_client_get_attributes(cli->client, &cli->call, uid, &name, 1, &attributes, &cli->error));
    const struct ks_attribute *type = ks_attributes_find(attributes, KMIP_TAG_OBJECT_TYPE);
    if (type != NULL && (type->value.enumeration == KMIP_OBJECT_TYPE_CERTIFICATE ||
                         type->value.enumeration == KMIP_OBJECT_TYPE_PUBLIC_KEY))
        return 0;
    return cli_fail(cli, KS_E_DENIED,
                    "the material of %s would be shown on this terminal; use --out FILE, or --plaintext if you mean it",
                    uid);
}

/*
 * Keys on elliptic curves that 2.x makes are kept as KMIP's structures, which are no file for any other program: those
 * are asked for once more, in the form that everybody reads.
 */
static int
get_bytes(struct cli *cli, struct ks_get *params, struct ks_object **ret)
{
    KS_CLEANUP(object_freep) struct ks_object *object = NULL;
    KS_TRY(ks_client_get(cli->client, &cli->call, params, &object, &cli->error));
    const bool is_private = object->object_type == KMIP_OBJECT_TYPE_PRIVATE_KEY;
    const bool pair = is_private || object->object_type == KMIP_OBJECT_TYPE_PUBLIC_KEY;
    if (object->material.len == 0 && object->structure.type != 0 && params->key_format == 0 && pair) {
        params->key_format = is_private ? KMIP_KEY_FORMAT_TYPE_PKCS_8 : KMIP_KEY_FORMAT_TYPE_X_509;
        ks_object_free(object);
        object = NULL;
        KS_TRY(ks_client_get(cli->client, &cli->call, params, &object, &cli->error));
    }
    *ret = object;
    object = NULL; /* transferred */
    return 0;
}

static int
run(struct cli *cli)
{
    char uid[KS_UID_SIZE];
    char wrap_uid[KS_UID_SIZE];
    struct ks_get params = {.uid = uid};
    struct ks_wrap wrap = {.key_uid = wrap_uid};
    const char *out = cli_value(cli, "out");
    const bool to_terminal = (out == NULL || strcmp(out, "-") == 0) && isatty(STDOUT_FILENO) == 1;
    KS_TRY(key_word(cli, "format", WORDS_KEY_FORMAT_TYPE, 0, &params.key_format));
    if (cli_value(cli, "wrap-with") != NULL) {
        KS_TRY(ks_client_find(cli->client, &cli->call, cli_value(cli, "wrap-with"), wrap_uid, &cli->error));
        params.wrap = &wrap;
    }
    params.unwrap = cli_flag(cli, "unwrap");
    KS_TRY(key_find(cli, 0, uid));
    if (to_terminal && params.wrap == NULL && !cli_flag(cli, "plaintext"))
        KS_TRY(check_terminal(cli, uid));
    KS_CLEANUP(object_freep) struct ks_object *object = NULL;
    KS_TRY(get_bytes(cli, &params, &object));
    if (object->material.len == 0)
        return cli_fail(cli, KS_E_UNSUPPORTED, "%s came without bytes; choose a --format that is made of bytes", uid);
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(64 << 20);
    KS_TRY(encode(cli, object, &text));
    return cli_write(cli, out, ks_buf_span(&text));
}

static const struct cli_option options[] = {
    {"out", CLI_FILE, "FILE", "write to FILE, which nobody but you can read"},
    {"encoding", CLI_CHOICE, "raw|hex|pem", "default: pem where there is one, else raw to a file and hex otherwise"},
    {"format", CLI_TEXT, "FORMAT",
     "key format: raw, pkcs-1, pkcs-8, x-509, ... (default: as it is kept, if that is bytes)"},
    {"wrap-with", CLI_TEXT, "KEY", "encrypted with that key (NIST key wrap); it never shows in the clear"},
    {"unwrap", CLI_FLAG, NULL, "one that was registered wrapped: unwrapped by the server"},
    {"plaintext", CLI_FLAG, NULL, "show secret material on a terminal"},
};

const struct cli_command cli_key_get = {
    .name = "key get",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "get the material of a key, certificate or secret",
    .details = KEY_HINT " Material is never shown on a terminal unless --plaintext is given. With --json the material\n"
                        "is in hexadecimal.",
    .examples = "  keystead key get invoices --out invoices.key\n"
                "  keystead key get invoices --wrap-with master --out invoices.wrapped\n"
                "  keystead key get signer-public\n"
                "  keystead key get signer --format pkcs-12 --out signer.p12\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
