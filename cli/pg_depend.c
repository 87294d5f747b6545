#include "cli/pg_depend.h"

#include <ctype.h>
#include <stdio.h>

#include "base/text.h"
#include "tde/wrap_kmip.h"

static const char vendor[] = "x", prefix[] = "keystead-needs-";

static void
client_freep(struct ks_client **client)
{
    ks_client_free(*client);
}

static void
attributes_freep(struct ks_attributes **attributes)
{
    ks_attributes_free(*attributes);
}

void
pg_depend_id(const struct tde_keyring *keyring, const char *what, char ret[PG_DEPEND_ID])
{
    char cluster[TDE_UUID_TEXT];
    tde_uuid_text(keyring->cluster, cluster);
    (void)snprintf(ret, PG_DEPEND_ID, "%.8s-%s", cluster, what);
    for (char *p = ret; *p != '\0'; p++)
        if (!isalnum((unsigned char)*p))
            *p = '-';
}

static int
set_at(struct cli *cli, const struct tde_slot *slot, const char *id, const char *text, bool keep, int64_t timeout_ms)
{
    KS_CLEANUP(client_freep) struct ks_client *client = NULL;
    KS_CLEANUP(attributes_freep) struct ks_attributes *there = NULL;
    struct ks_diag diag = {0};
    char name[PG_DEPEND_ID + sizeof(prefix)];
    (void)snprintf(name, sizeof(name), "%s%s", prefix, id);
    const struct ks_attribute_name which = {.tag = KMIP_TAG_ATTRIBUTE, .vendor = vendor, .name = name};
    if (tde_kmip_connect(slot, timeout_ms, &client, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    /* What is not there is left out, or is an error of the server's. */
    const int rc = ks_client_get_attributes(client, NULL, slot->uid, &which, 1, &there, &cli->error);
    const bool known = rc == 0 && there->n > 0;
    if (rc != 0 && rc != KS_E_NOT_FOUND && rc != KS_E_KMIP)
        return rc;
    cli->error = (struct ks_error){0};
    if (known && keep)
        return 0;
    if (text == NULL)
        return known ? ks_client_delete_attribute(client, NULL, slot->uid, &which, &cli->error)
                     : cli_fail(cli, KS_E_NOT_FOUND, "nothing of that name depends on key %s", slot->uid);
    const struct ks_attribute attribute = {.vendor = vendor,
                                           .name = name,
                                           .value = {.tag = KMIP_TAG_ATTRIBUTE,
                                                     .type = KMIP_TYPE_TEXT_STRING,
                                                     .bytes = {(const uint8_t *)text, strlen(text)}}};
    return known ? ks_client_modify_attribute(client, NULL, slot->uid, &attribute, &cli->error)
                 : ks_client_add_attribute(client, NULL, slot->uid, &attribute, &cli->error);
}

int
pg_depend_set(struct cli *cli, const struct tde_keyring *keyring, const char *id, const char *text, bool keep,
              int64_t timeout_ms, size_t *ret_n)
{
    size_t n = 0;
    for (size_t i = 0; i < keyring->n_slots; i++) {
        if (keyring->slots[i].provider != TDE_PROVIDER_KMIP)
            continue;
        KS_TRY(set_at(cli, &keyring->slots[i], id, text, keep, timeout_ms));
        n++;
    }
    *ret_n = n;
    return 0;
}

size_t
pg_depend_list(const struct ks_attributes *attributes, pg_depend_fn *each, void *arg)
{
    size_t n = 0;
    for (size_t i = 0; attributes != NULL && i < attributes->n; i++) {
        const struct ks_attribute *a = &attributes->v[i];
        char text[PG_DEPEND_TEXT];
        if (a->value.tag != KMIP_TAG_ATTRIBUTE || a->value.type != KMIP_TYPE_TEXT_STRING || a->vendor == NULL ||
            a->name == NULL || strcmp(a->vendor, vendor) != 0 || strncmp(a->name, prefix, sizeof(prefix) - 1) != 0)
            continue;
        (void)snprintf(text, sizeof(text), "%.*s",
                       (int)(a->value.bytes.len < sizeof(text) ? a->value.bytes.len : sizeof(text) - 1),
                       (const char *)a->value.bytes.data);
        each(arg, a->name + sizeof(prefix) - 1, text);
        n++;
    }
    return n;
}
