/* keystead key derive */
#include "base/text.h"
#include "cli/key.h"

enum { DERIVED_MOST = 65536 /* bits */, SALT_MOST = 4096, ITERATIONS_MOST = 1000000 };

#define MASK(bit) KMIP_CRYPTOGRAPHIC_USAGE_MASK_##bit

static struct ks_bytes
bytes_of(struct ks_span span)
{
    return (struct ks_bytes){.data = span.data, .len = span.len};
}

/* What is made, by --secret, --algorithm, --length and --usage. */
static int
new_object(struct cli *cli, struct ks_derive *ret)
{
    const bool secret = cli_flag(cli, "secret");
    int64_t length;
    KS_TRY(cli_number(cli, "length", 8, DERIVED_MOST, 256, &length));
    ret->object_type = secret ? KMIP_OBJECT_TYPE_SECRET_DATA : KMIP_OBJECT_TYPE_SYMMETRIC_KEY;
    ret->object.length = (int32_t)length;
    if (secret && cli_value(cli, "algorithm") != NULL)
        return cli_fail(cli, KS_E_INVALID, "--algorithm is for keys; secret data has none");
    if (!secret)
        KS_TRY(key_word(cli, "algorithm", WORDS_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
                        &ret->object.algorithm));
    return key_mask(cli, "usage",
                    secret ? MASK(DERIVE_KEY) : MASK(ENCRYPT) | MASK(DECRYPT) | MASK(WRAP_KEY) | MASK(UNWRAP_KEY),
                    &ret->object.usage_mask);
}

static int
run(struct cli *cli)
{
    char uid[KS_UID_SIZE], new_uid[KS_UID_SIZE];
    const char *const uids[] = {uid};
    const char *data = cli_value(cli, "data"), *salt = cli_value(cli, "salt");
    struct ks_crypto_params crypto = {0};
    struct ks_derive params = {.object = {.name = cli->args[1], .activate = !cli_flag(cli, "pre-active")},
                               .uids = uids,
                               .n_uids = 1,
                               .crypto = &crypto};
    KS_CLEANUP(ks_buf_done) struct ks_buf salt_bytes = KS_BUF(SALT_MOST);
    int64_t iterations;
    KS_TRY(key_word(cli, "method", WORDS_DERIVATION_METHOD, KMIP_DERIVATION_METHOD_HKDF, &params.method));
    KS_TRY(key_word(cli, "hash", WORDS_HASHING_ALGORITHM, KMIP_HASHING_ALGORITHM_SHA_256, &crypto.hashing_algorithm));
    KS_TRY(cli_number(cli, "iterations", 1, ITERATIONS_MOST, 0, &iterations));
    KS_TRY(new_object(cli, &params));
    if (salt != NULL && ks_hex_decode(ks_span_str(salt), &salt_bytes) != 0)
        return cli_fail(cli, KS_E_INVALID, "--salt: not hexadecimal, or more than %d bytes", SALT_MOST);
    params.iterations = (int32_t)iterations;
    params.salt = bytes_of(ks_buf_span(&salt_bytes));
    if (data != NULL)
        params.data = bytes_of(ks_span_str(data));
    KS_TRY(key_find(cli, 0, uid));
    KS_TRY(ks_client_derive_key(cli->client, &cli->call, &params, new_uid, &cli->error));
    return key_report(cli, "Derived", new_uid, cli->args[1]);
}

static const struct cli_option options[] = {
    {"method", CLI_CHOICE, "hkdf|nist800-108-c|nist800-108-f|nist800-108-dpi|hmac|hash|pbkdf2",
     "how (default hkdf, which needs KMIP 2.0)"},
    {"data", CLI_TEXT, "TEXT", "what the new key is for: another text, another key; not for hash and pbkdf2"},
    {"hash", CLI_TEXT, "HASH", "sha-256 (default), sha-384, sha-512, sha3-256 and so on"},
    {"salt", CLI_TEXT, "HEX", "for hkdf and pbkdf2"},
    {"iterations", CLI_TEXT, "N", "for pbkdf2"},
    {"algorithm", CLI_TEXT, "ALGORITHM", "kind of the new key (default aes)"},
    {"length", CLI_TEXT, "BITS", "its length (default 256)"},
    {"usage", CLI_TEXT, "LIST", "what it is for (default: encrypt,decrypt,wrap-key,unwrap-key; a secret: derive-key)"},
    {"secret", CLI_FLAG, NULL, "make secret data, not a key"},
    {"pre-active", CLI_FLAG, NULL, "do not activate it yet; do so later with: keystead key activate"},
};

const struct cli_command cli_key_derive = {
    .name = "key derive",
    .args = "KEY NAME",
    .min_args = 2,
    .max_args = 2,
    .connects = true,
    .summary = "make a new key from one that is there",
    .details = KEY_HINT " It has to be usable for derive-key. The server derives, and neither key leaves it. The same\n"
                        "key, method and data give the same key again.",
    .examples = "  keystead key derive root tenant-1 --data 'tenant 1'\n"
                "  keystead key derive root mac-1 --method nist800-108-c --data 'mac 1' --algorithm hmac-sha256\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
