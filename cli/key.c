#include "cli/key.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/output.h"

int
key_find(struct cli *cli, size_t i, char ret_uid[KS_UID_SIZE])
{
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
    if (strcmp(ref->uid, cli->args[0]) == 0)
        KS_TRY(find_name(cli, ref));
    else if ((ref->name = strdup(cli->args[0])) == NULL)
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
