/* keystead key create: a new key, or key pair, made by the server. */
#include <stdio.h>

#include "cli/key.h"
#include "cli/output.h"
#include "crypto/pq.h"

#define MASK(bit) KMIP_CRYPTOGRAPHIC_USAGE_MASK_##bit

/* What a key is for if nobody says: by algorithm. */
static uint32_t
usual_mask(uint32_t algorithm)
{
    const bool is_mac =
        (algorithm >= KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA1 && algorithm <= KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_MD5) ||
        (algorithm >= KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA3_224 &&
         algorithm <= KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA3_512);
    return is_mac ? MASK(MAC_GENERATE) | MASK(MAC_VERIFY)
                  : MASK(ENCRYPT) | MASK(DECRYPT) | MASK(WRAP_KEY) | MASK(UNWRAP_KEY);
}

static bool
makes_pairs(uint32_t algorithm)
{
    static const uint32_t algorithms[] = {KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA,   KMIP_CRYPTOGRAPHIC_ALGORITHM_DSA,
                                          KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA, KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH,
                                          KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,    KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519,
                                          KMIP_CRYPTOGRAPHIC_ALGORITHM_ED448};
    for (size_t i = 0; i < KS_ARRAY_LEN(algorithms); i++)
        if (algorithm == algorithms[i])
            return true;
    return ks_pq_is(algorithm);
}

/* NAME-private and NAME-public: two objects do not share a name. */
static int
create_pair(struct cli *cli, const struct ks_new_object *object, const char *name)
{
    char private_name[256];
    char public_name[256];
    char private_uid[KS_UID_SIZE];
    char public_uid[KS_UID_SIZE];
    if ((size_t)snprintf(private_name, sizeof(private_name), "%s-private", name) >= sizeof(private_name) ||
        (size_t)snprintf(public_name, sizeof(public_name), "%s-public", name) >= sizeof(public_name))
        return cli_fail(cli, KS_E_INVALID, "the name is too long");
    struct ks_create_key_pair params = {.common = *object,
                                        .private_name = private_name,
                                        .public_name = public_name,
                                        .private_usage_mask = MASK(SIGN),
                                        .public_usage_mask = MASK(VERIFY)};
    /* ML-KEM: what the keys are for is done by those who get them. */
    if (ks_pq_is(object->algorithm) && !ks_pq_signs(object->algorithm)) {
        params.private_usage_mask = MASK(UNWRAP_KEY);
        params.public_usage_mask = MASK(WRAP_KEY);
    }
    KS_TRY(key_word(cli, "curve", WORDS_RECOMMENDED_CURVE, 0, &params.curve));
    if (cli_flag(cli, "usage"))
        return cli_fail(cli, KS_E_INVALID, "--usage is for symmetric keys; a key pair signs and verifies");
    KS_TRY(ks_client_create_key_pair(cli->client, &cli->call, &params, private_uid, public_uid, &cli->error));
    if (!cli->json) {
        KS_TRY(key_report(cli, "Created", private_uid, private_name));
        return key_report(cli, "Created", public_uid, public_name);
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "private_identifier", private_uid);
    json_text(&json, "private_name", private_name);
    json_text(&json, "public_identifier", public_uid);
    json_text(&json, "public_name", public_name);
    json_close(&json, '}');
    return output_json(&json);
}

static int
run(struct cli *cli)
{
    struct ks_create params = {.object = {.name = cli->args[0], .activate = !cli_flag(cli, "pre-active")}};
    struct ks_new_object *object = &params.object;
    int64_t length = 0;
    KS_TRY(key_word(cli, "algorithm", WORDS_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
                    &object->algorithm));
    const bool pair = makes_pairs(object->algorithm);
    KS_TRY(cli_number(cli, "length", 8, 65536, pair ? 0 : 256, &length));
    object->length = (int32_t)length;
    if (pair)
        return create_pair(cli, object, cli->args[0]);
    KS_TRY(key_mask(cli, "usage", usual_mask(object->algorithm), &object->usage_mask));
    char uid[KS_UID_SIZE];
    KS_TRY(ks_client_create(cli->client, &cli->call, &params, uid, &cli->error));
    return key_report(cli, "Created", uid, cli->args[0]);
}

static const struct cli_option options[] = {
    {"algorithm", CLI_CHOICE, "aes|hmac-sha256|hmac-sha384|hmac-sha512|rsa|ec|ed25519|ml-dsa-87|ml-kem-1024|chacha20",
     "kind of key (default aes; any of KMIP's that the server offers)"},
    {"length", CLI_TEXT, "BITS", "length (default 256; for a key pair the server's choice)"},
    {"curve", CLI_TEXT, "CURVE", "for ec: p-256, p-384, p-521, ..."},
    {"usage", CLI_TEXT, "LIST", "encrypt,decrypt,wrap-key,unwrap-key,mac-generate,... (default: by algorithm)"},
    {"pre-active", CLI_FLAG, NULL, "do not activate it yet; do so later with: keystead key activate"},
};

const struct cli_command cli_key_create = {
    .name = "key create",
    .args = "NAME",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "make a new key on the server",
    .details = "The key is made by the server and never leaves it unless somebody gets it. A key pair becomes two\n"
               "objects, NAME-private and NAME-public.",
    .examples = "  keystead key create invoices\n"
                "  keystead key create tokens --algorithm hmac-sha256 --json\n"
                "  keystead key create signer --algorithm ec --curve p-256\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
