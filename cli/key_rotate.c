/* keystead key rotate: Re-key. */
#include <stdio.h>

#include "cli/key.h"
#include "cli/output.h"

static int
report(struct cli *cli, const struct key_ref *old, const char *new_uid)
{
    if (!cli->json) {
        printf("Rotated %s: the new key is %s\n", (const char *)old->text.data, new_uid);
        return 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "identifier", new_uid);
    json_text(&json, "name", old->name);
    json_text(&json, "replaces", old->uid);
    json_close(&json, '}');
    return output_json(&json);
}

static void
attributes_freep(struct ks_attributes **attributes)
{
    ks_attributes_free(*attributes);
}

static int
is_private(struct cli *cli, const char *uid, bool *ret)
{
    const struct ks_attribute_name name = {.tag = KMIP_TAG_OBJECT_TYPE};
    KS_CLEANUP(attributes_freep) struct ks_attributes *attributes = NULL;
    KS_TRY(ks_client_get_attributes(cli->client, &cli->call, uid, &name, 1, &attributes, &cli->error));
    const struct ks_attribute *type = ks_attributes_find(attributes, KMIP_TAG_OBJECT_TYPE);
    *ret = type != NULL && type->value.enumeration == KMIP_OBJECT_TYPE_PRIVATE_KEY;
    return 0;
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(key_ref_done) struct key_ref old = KEY_REF;
    char new_uid[KS_UID_SIZE];
    int64_t offset = 0;
    KS_TRY(cli_duration(cli, "after", 0, &offset)); /* 0: Activation Date is the moment it is made */
    KS_TRY(key_find_ref(cli, &old));
    bool pair;
    char public_uid[KS_UID_SIZE];
    KS_TRY(is_private(cli, old.uid, &pair));
    if (pair)
        KS_TRY(ks_client_rekey_key_pair(cli->client, &cli->call, old.uid, offset, new_uid, public_uid, &cli->error));
    else
        KS_TRY(ks_client_rekey(cli->client, &cli->call, old.uid, offset, false, new_uid, &cli->error));
    return report(cli, &old, new_uid);
}

static const struct cli_option options[] = {
    {"after", CLI_TEXT, "TIME", "activate the new key so much later: 1h, 7d (default: at once)"},
};

const struct cli_command cli_key_rotate = {
    .name = "key rotate",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "replace a symmetric key, or a key pair, by a new one",
    .details = KEY_HINT " The new key takes the name; the old one keeps its identifier and still decrypts what it\n"
                        "encrypted, until it is revoked. A pair is named by its private key; the public key changes\n"
                        "with it.",
    .examples = "  keystead key rotate invoices\n"
                "  keystead key rotate invoices --after 7d --json\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
