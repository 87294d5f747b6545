#include "cli/key.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/output.h"
#include "crypto/hash.h"
#include "crypto/pq.h"

/* "0193c1f0-7d2a-7c3e-9a55-0242ac120002" */
static bool
is_identifier(const char *text)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    size_t i = 0;
    for (; text[i] != '\0' && form[i] != '\0'; i++)
        if (form[i] == 'x' ? isxdigit((unsigned char)text[i]) == 0 : text[i] != '-')
            return false;
    return text[i] == '\0' && form[i] == '\0';
}

int
key_find(struct cli *cli, size_t i, char ret_uid[KS_UID_SIZE])
{
    if (cli->ticket != NULL && is_identifier(cli->args[i])) {
        /* Its rights may be to this one operation, and each look costs one of its requests. */
        snprintf(ret_uid, KS_UID_SIZE, "%s", cli->args[i]);
        return 0;
    }
    return ks_client_find(cli->client, &cli->call, cli->args[i], ret_uid, &cli->error);
}

/* Says which words there are. */
static int
no_such_word(struct cli *cli, const char *option, const char *word, enum words_set set)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf list = KS_BUF(4096);
    const char *text = words_list(set, ", ", &list) == 0 ? ks_buf_cstr(&list) : NULL;
    return cli_fail(cli, KS_E_INVALID, "--%s: '%.60s' is none of: %s", option, word, text != NULL ? text : "?");
}

int
key_word(struct cli *cli, const char *option, enum words_set set, uint32_t fallback, uint32_t *ret)
{
    const char *word = cli_value(cli, option);
    if (word == NULL)
        *ret = fallback;
    else if (words_find(set, word, ret) != 0)
        return no_such_word(cli, option, word, set);
    return 0;
}

int
key_mask(struct cli *cli, const char *option, uint32_t fallback, uint32_t *ret)
{
    const char *list = cli_value(cli, option);
    char unknown[64];
    if (list == NULL)
        *ret = fallback;
    else if (words_find_mask(WORDS_CRYPTOGRAPHIC_USAGE_MASK, list, ret, unknown) != 0)
        return no_such_word(cli, option, unknown, WORDS_CRYPTOGRAPHIC_USAGE_MASK);
    return 0;
}

void
key_text(struct ks_buf *ret, const char *uid, const char *name)
{
    if (name != NULL) {
        (void)output_add_safe(ret, name);
        (void)ks_buf_add_str(ret, " (");
    }
    (void)output_add_safe(ret, uid);
    if (name != NULL)
        (void)ks_buf_add_u8(ret, ')');
}

int
key_report(struct cli *cli, const char *done, const char *uid, const char *name)
{
    if (!cli->json) {
        KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(65536);
        key_text(&text, uid, name);
        printf("%s %s\n", done, ks_buf_cstr(&text));
        return text.err;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "identifier", uid);
    json_text(&json, "name", name);
    json_close(&json, '}');
    return output_json(&json);
}

static void
attributes_freep(struct ks_attributes **attributes)
{
    ks_attributes_free(*attributes);
}

int
key_algorithm(struct cli *cli, const char *uid, uint32_t *ret)
{
    const struct ks_attribute_name name = {.tag = KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM};
    KS_CLEANUP(attributes_freep) struct ks_attributes *attributes = NULL;
    KS_TRY(ks_client_get_attributes(cli->client, &cli->call, uid, &name, 1, &attributes, &cli->error));
    const struct ks_attribute *algorithm = ks_attributes_find(attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM);
    *ret = algorithm != NULL && algorithm->value.type == KMIP_TYPE_ENUMERATION ? algorithm->value.enumeration : 0;
    return 0;
}

void
key_ref_done(struct key_ref *ref)
{
    free(ref->name);
    ks_buf_done(&ref->text);
}

/* The name of an object that was named by its identifier. */
static int
find_name(struct cli *cli, struct key_ref *ref)
{
    const struct ks_attribute_name name = {.tag = KMIP_TAG_NAME};
    KS_CLEANUP(attributes_freep) struct ks_attributes *attributes = NULL;
    KS_TRY(ks_client_get_attributes(cli->client, &cli->call, ref->uid, &name, 1, &attributes, &cli->error));
    const char *text = ks_attributes_name(attributes);
    if (text != NULL && (ref->name = strdup(text)) == NULL)
        return KS_E_NOMEM;
    return 0;
}

int
key_find_ref(struct cli *cli, struct key_ref *ref)
{
    KS_TRY(key_find(cli, 0, ref->uid));
    if (strcmp(ref->uid, cli->args[0]) == 0 && cli->ticket == NULL)
        KS_TRY(find_name(cli, ref));
    else if (strcmp(ref->uid, cli->args[0]) != 0 && (ref->name = strdup(cli->args[0])) == NULL)
        return KS_E_NOMEM;
    key_text(&ref->text, ref->uid, ref->name);
    return ks_buf_cstr(&ref->text) != NULL ? 0 : ref->text.err;
}

int
key_confirm(struct cli *cli, const struct key_ref *ref, const char *before, const char *after)
{
    if (cli_flag(cli, "yes"))
        return 0;
    KS_CLEANUP(ks_buf_done) struct ks_buf question = KS_BUF(1 << 20);
    (void)ks_buf_addf(&question, "%s %s%s", before, (const char *)ref->text.data, after);
    return ks_buf_cstr(&question) != NULL ? cli_confirm(cli, (const char *)question.data) : question.err;
}

int
key_signature(struct cli *cli, const char *uid, struct ks_crypto_params *ret)
{
    uint32_t algorithm;
    KS_TRY(key_algorithm(cli, uid, &algorithm));
    /* These leave nothing to choose. */
    const bool alone = ks_pq_is(algorithm) || algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519 ||
                       algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ED448;
    if (cli_flag(cli, "pss") && algorithm != KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA)
        return cli_fail(cli, KS_E_INVALID, "--pss is for RSA keys");
    if (alone && cli_value(cli, "hash") != NULL)
        return cli_fail(cli, KS_E_INVALID, "--hash is not for keys of this kind: they have a hash of their own");
    if (alone)
        return 0;
    KS_TRY(key_word(cli, "hash", WORDS_HASHING_ALGORITHM, KMIP_HASHING_ALGORITHM_SHA_256, &ret->hashing_algorithm));
    ret->cryptographic_algorithm = algorithm;
    if (algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA)
        ret->padding_method = cli_flag(cli, "pss") ? KMIP_PADDING_METHOD_PSS : KMIP_PADDING_METHOD_PKCS1_V1_5;
    if (ret->padding_method == KMIP_PADDING_METHOD_PSS) {
        ret->mask_generator = KMIP_MASK_GENERATOR_MGF1;
        ret->mask_generator_hashing_algorithm = ret->hashing_algorithm;
    }
    return 0;
}

int
key_mac_params(struct cli *cli, const char *uid, struct ks_crypto_params *ret)
{
    uint32_t hash;
    if (cli_flag(cli, "cmac")) {
        if (cli_value(cli, "hash") != NULL)
            return cli_fail(cli, KS_E_INVALID, "--hash is for HMAC; CMAC has none");
        ret->block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_CMAC;
        return key_algorithm(cli, uid, &ret->cryptographic_algorithm);
    }
    KS_TRY(key_word(cli, "hash", WORDS_HASHING_ALGORITHM, KMIP_HASHING_ALGORITHM_SHA_256, &hash));
    ret->cryptographic_algorithm = ks_hmac_of_hash(hash);
    if (ret->cryptographic_algorithm == 0)
        return cli_fail(cli, KS_E_UNSUPPORTED, "KMIP has no HMAC with that hash");
    return 0;
}
