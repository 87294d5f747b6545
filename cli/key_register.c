/* keystead key register: an object that exists already, from a file. */
#include <string.h>

#include "base/text.h"
#include "cli/command.h"
#include "cli/key.h"
#include "crypto/cert.h"
#include "crypto/keyformat.h"

enum { MATERIAL_MAX = 1 << 16, TEXT_MAX = 1 << 17 };

/* What a PEM label says. */
static const struct {
    const char *label;
    uint32_t object_type, key_format;
    bool is_private;
} labels[] = {
    {"CERTIFICATE", KMIP_OBJECT_TYPE_CERTIFICATE, 0, false},
    {"PRIVATE KEY", KMIP_OBJECT_TYPE_PRIVATE_KEY, KMIP_KEY_FORMAT_TYPE_PKCS_8, true},
    {"RSA PRIVATE KEY", KMIP_OBJECT_TYPE_PRIVATE_KEY, KMIP_KEY_FORMAT_TYPE_PKCS_1, true},
    {"EC PRIVATE KEY", KMIP_OBJECT_TYPE_PRIVATE_KEY, KMIP_KEY_FORMAT_TYPE_EC_PRIVATE_KEY, true},
    {"PUBLIC KEY", KMIP_OBJECT_TYPE_PUBLIC_KEY, KMIP_KEY_FORMAT_TYPE_X_509, false},
    {"RSA PUBLIC KEY", KMIP_OBJECT_TYPE_PUBLIC_KEY, KMIP_KEY_FORMAT_TYPE_PKCS_1, false},
};

static int
from_pem(struct cli *cli, struct ks_span text, struct ks_register *params, struct ks_buf *material)
{
    struct ks_diag diag = {0};
    for (size_t i = 0; i < KS_ARRAY_LEN(labels); i++) {
        diag = (struct ks_diag){0};
        const int rc = ks_pem_decode(labels[i].label, text, material, &diag);
        if (rc == KS_E_NOT_FOUND)
            continue;
        if (rc != 0)
            return cli_fail_diag(cli, &diag);
        params->object_type = labels[i].object_type;
        params->key_format = labels[i].key_format;
        if (labels[i].key_format == 0)
            return 0;
        KS_PKEY *key = NULL;
        if (ks_pkey_parse(labels[i].key_format, labels[i].is_private, 0, 0, ks_buf_span(material), &key, &diag) != 0)
            return cli_fail_diag(cli, &diag);
        struct ks_pkey_info info;
        ks_pkey_info(key, &info);
        params->object.algorithm = info.algorithm;
        params->object.length = (int32_t)info.bits;
        return 0;
    }
    return cli_fail(cli, KS_E_UNSUPPORTED,
                    "%s holds no PEM certificate or unencrypted key; decrypt the key first (openssl pkey)",
                    cli_value(cli, "file"));
}

static bool
looks_like_pem(struct ks_span text)
{
    return text.len >= 11 && memmem(text.data, text.len, "-----BEGIN ", 11) != NULL;
}

static int
read_material(struct cli *cli, struct ks_register *params, struct ks_buf *material)
{
    const char *path = cli_value(cli, "file");
    const char *encoding = cli_value(cli, "encoding");
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(TEXT_MAX);
    if (path == NULL)
        return cli_fail(cli, KS_E_INVALID, "give the file with --file FILE (- is standard input)");
    if (command_read(path, &text, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    if (encoding == NULL)
        encoding = looks_like_pem(ks_buf_span(&text)) ? "pem" : "raw";
    if (strcmp(encoding, "pem") == 0)
        return from_pem(cli, ks_buf_span(&text), params, material);
    if (strcmp(encoding, "hex") == 0) {
        if (ks_hex_decode(ks_buf_span(&text), material) != 0)
            return cli_fail(cli, KS_E_MALFORMED, "%s is not made of hexadecimal digits", path);
        return 0;
    }
    if (strcmp(encoding, "raw") != 0)
        return cli_fail(cli, KS_E_INVALID, "--encoding: '%s' is none of: raw, hex, pem", encoding);
    const int rc = ks_buf_add_span(material, ks_buf_span(&text));
    return rc == 0 ? 0 : cli_fail(cli, rc, "%s: %s", path, ks_err_text(rc));
}

static uint32_t
usual_mask(uint32_t object_type)
{
    switch (object_type) {
    case KMIP_OBJECT_TYPE_SYMMETRIC_KEY:
        return KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT |
               KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY | KMIP_CRYPTOGRAPHIC_USAGE_MASK_UNWRAP_KEY;
    case KMIP_OBJECT_TYPE_PRIVATE_KEY:
        return KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN;
    case KMIP_OBJECT_TYPE_PUBLIC_KEY:
    case KMIP_OBJECT_TYPE_CERTIFICATE:
        return KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY;
    default:
        return 0;
    }
}

static int
run(struct cli *cli)
{
    struct ks_register params = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                 .object = {.name = cli->args[0], .activate = !cli_flag(cli, "pre-active")}};
    KS_CLEANUP(ks_buf_done) struct ks_buf material = KS_BUF(MATERIAL_MAX);
    KS_TRY(read_material(cli, &params, &material));
    params.material = (struct ks_bytes){material.data, material.len};
    KS_TRY(key_word(cli, "type", WORDS_OBJECT_TYPE, params.object_type, &params.object_type));
    KS_TRY(key_word(cli, "format", WORDS_KEY_FORMAT_TYPE, params.key_format, &params.key_format));
    if (params.object_type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
        params.object.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES;
    KS_TRY(
        key_word(cli, "algorithm", WORDS_CRYPTOGRAPHIC_ALGORITHM, params.object.algorithm, &params.object.algorithm));
    KS_TRY(key_mask(cli, "usage", usual_mask(params.object_type), &params.object.usage_mask));
    char uid[KS_UID_SIZE];
    KS_TRY(ks_client_register(cli->client, &cli->call, &params, uid, &cli->error));
    return key_report(cli, "Registered", uid, cli->args[0]);
}

static const struct cli_option options[] = {
    {"file", CLI_FILE, "FILE", "the material (- is standard input)"},
    {"encoding", CLI_CHOICE, "raw|hex|pem", "how FILE is written (default: pem if it looks so, else raw)"},
    {"type", CLI_CHOICE, "symmetric-key|private-key|public-key|secret-data|certificate|opaque-object",
     "kind of object (default: as the PEM says, else symmetric-key)"},
    {"format", CLI_TEXT, "FORMAT", "key format: raw, pkcs-1, pkcs-8, x-509, ... (default: as the PEM says, else raw)"},
    {"algorithm", CLI_TEXT, "ALGORITHM", "of a symmetric key (default aes)"},
    {"usage", CLI_TEXT, "LIST", "encrypt,decrypt,sign,verify,... (default: by type)"},
    {"pre-active", CLI_FLAG, NULL, "do not activate it yet"},
};

const struct cli_command cli_key_register = {
    .name = "key register",
    .args = "NAME --file FILE",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "bring a key, certificate or secret to the server",
    .details = "The file stays where it is: destroy it when the object is safe on the server.",
    .examples = "  keystead key register legacy --file aes.key\n"
                "  keystead key register legacy --file aes.hex --encoding hex\n"
                "  keystead key register web --file server.key\n"
                "  printf %s \"$PASSWORD\" | keystead key register db-password --file - --type secret-data\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
