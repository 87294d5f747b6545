#include "postgres/kms.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/error.h"

struct ks_kms {
    struct ks_client *client;
    struct ks_call call;
};

static void
config_freep(struct ks_client_config **config)
{
    ks_client_config_free(*config);
}

static void
result_freep(struct ks_cipher_result **result)
{
    ks_cipher_result_free(*result);
}

static void
attributes_freep(struct ks_attributes **attributes)
{
    ks_attributes_free(*attributes);
}

static void
list_freep(struct ks_attributes_list **list)
{
    ks_attributes_list_free(*list);
}

/* Adds each entry of a comma-separated list as a server. */
static int
add_servers(struct ks_client_config *config, const char *servers, struct ks_error *error)
{
    size_t n = 0;
    for (const char *p = servers;; p++) {
        p += strspn(p, " \t");
        size_t len = strcspn(p, ",");
        const char *const next = p + len;
        while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t'))
            len--;
        char entry[300];
        if (len == 0)
            return client_fail(error, KS_E_CONFIG, "entry %zu of the list of servers is empty", n + 1);
        if (len >= sizeof(entry))
            return client_fail(error, KS_E_CONFIG, "entry %zu of the list of servers is too long", n + 1);
        memcpy(entry, p, len);
        entry[len] = '\0';
        KS_TRY(ks_client_config_set(config, "server", entry, error));
        n++;
        if (*next == '\0')
            return 0;
        p = next;
    }
}

int
ks_kms_check_servers(const char *servers, struct ks_error *error)
{
    KS_CLEANUP(config_freep) struct ks_client_config *config = NULL;
    KS_TRY(ks_client_config_new(&config));
    return add_servers(config, servers, error);
}

static bool
given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static int
set_ms(struct ks_client_config *config, const char *name, int ms, struct ks_error *error)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%dms", ms);
    return ks_client_config_set(config, name, text, error);
}

/*
 * A value that is set again takes the place of the former, so the file comes before the settings; but servers add up,
 * and those of the setting are to be tried first.
 */
static int
configure(struct ks_client_config *client, const struct ks_kms_config *config, struct ks_error *error)
{
    if (given(config->servers))
        KS_TRY(add_servers(client, config->servers, error));
    if (given(config->config_file))
        KS_TRY(ks_client_config_load(client, config->config_file, error));
    const struct {
        const char *name, *value;
    } files[] = {{"ca", config->ca_file}, {"certificate", config->certificate_file}, {"key", config->key_file}};
    for (size_t i = 0; i < KS_ARRAY_LEN(files); i++)
        if (given(files[i].value))
            KS_TRY(ks_client_config_set(client, files[i].name, files[i].value, error));
    KS_TRY(set_ms(client, "connect_timeout", config->connect_timeout_ms, error));
    KS_TRY(set_ms(client, "request_timeout", config->request_timeout_ms, error));
    return ks_client_config_set(client, "pool_size", "1", error); /* a backend does one thing at a time */
}

int
ks_kms_new(const struct ks_kms_config *config, struct ks_kms **ret, struct ks_error *error)
{
    KS_CLEANUP(config_freep) struct ks_client_config *client = NULL;
    if (ks_client_config_new(&client) != 0)
        return client_fail(error, KS_E_NOMEM, "out of memory");
    KS_TRY(configure(client, config, error));
    struct ks_kms *kms = calloc(1, sizeof(*kms));
    if (kms == NULL)
        return client_fail(error, KS_E_NOMEM, "out of memory");
    const int rc = ks_client_new(client, &kms->client, error);
    if (rc != 0) {
        free(kms);
        return rc;
    }
    kms->call = (struct ks_call){.interrupted = config->interrupted};
    *ret = kms;
    return 0;
}

void
ks_kms_free(struct ks_kms *kms)
{
    if (kms == NULL)
        return;
    ks_client_free(kms->client);
    free(kms);
}

static struct ks_bytes
bytes(const void *data, size_t len)
{
    return (struct ks_bytes){data, len};
}

static struct ks_bytes
text_bytes(const char *text)
{
    return bytes(text, strlen(text));
}

int
ks_kms_create(struct ks_kms *kms, const char *name, const char *information, char ret_uid[KS_UID_SIZE],
              struct ks_error *error)
{
    const struct ks_value fields[] = {
        {.tag = KMIP_TAG_APPLICATION_NAMESPACE,
         .type = KMIP_TYPE_TEXT_STRING,
         .bytes = text_bytes("keystead-postgresql")},
        {.tag = KMIP_TAG_APPLICATION_DATA, .type = KMIP_TYPE_TEXT_STRING, .bytes = text_bytes(information)},
    };
    /* The ones that matter most come last: what a server does not take is left out from the front. */
    const struct ks_attribute wishes[] = {
        {.value = {.tag = KMIP_TAG_APPLICATION_SPECIFIC_INFORMATION,
                   .type = KMIP_TYPE_STRUCTURE,
                   .fields = fields,
                   .n_fields = KS_ARRAY_LEN(fields)}},
        {.value = {.tag = KMIP_TAG_EXTRACTABLE, .type = KMIP_TYPE_BOOLEAN, .boolean = false}},
        {.value = {.tag = KMIP_TAG_SENSITIVE, .type = KMIP_TYPE_BOOLEAN, .boolean = true}},
    };
    const size_t n = KS_ARRAY_LEN(wishes);
    for (size_t skip = 0;; skip++) {
        const struct ks_create create = {
            .object = {.name = name,
                       .algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
                       .length = 256,
                       .usage_mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT,
                       .attributes = wishes + skip,
                       .n_attributes = n - skip,
                       .activate = true}};
        struct ks_error e = {0};
        char uid[KS_UID_SIZE] = "";
        const int rc = ks_client_create(kms->client, &kms->call, &create, uid, &e);
        if (rc == 0) {
            memcpy(ret_uid, uid, KS_UID_SIZE);
            return 0;
        }
        if (uid[0] != '\0') { /* made, but not activated */
            struct ks_error second = {0};
            *error = e;
            if (ks_client_destroy(kms->client, &kms->call, uid, &second) != 0)
                return client_fail(error, rc, "%s; and key %s stays there unused: %s", e.message, uid, second.message);
        }
        /* Refused for what was asked, not for who asks: try with less. Nothing was made then. */
        if (uid[0] == '\0' && skip < n && (rc == KS_E_UNSUPPORTED || (rc == KS_E_KMIP && e.answered)))
            continue;
        *error = e;
        return rc;
    }
}

int
ks_kms_discard(struct ks_kms *kms, const char *uid, struct ks_error *error)
{
    KS_TRY(ks_client_revoke(kms->client, &kms->call, uid, KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION,
                            "made for a transaction that was rolled back", 0, error));
    return ks_client_destroy(kms->client, &kms->call, uid, error);
}

static const struct ks_crypto_params GCM = {
    .block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM,
    .cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
    .random_iv = true,
    .iv_length = 8 * KS_KMS_IV,
    .tag_length = KS_KMS_TAG,
};

int
ks_kms_wrap(struct ks_kms *kms, const char *uid, struct ks_span aad, const struct ks_key32 *key,
            uint8_t ret[KS_KMS_WRAPPED], struct ks_error *error)
{
    const struct ks_cipher params = {
        .uid = uid, .crypto = &GCM, .data = bytes(key->b, sizeof(key->b)), .aad = bytes(aad.data, aad.len)};
    KS_CLEANUP(result_freep) struct ks_cipher_result *result = NULL;
    KS_TRY(ks_client_encrypt(kms->client, &kms->call, &params, &result, error));
    if (result->iv.len != KS_KMS_IV || result->data.len != sizeof(key->b) || result->tag.len != KS_KMS_TAG)
        return client_fail(
            error, KS_E_MALFORMED,
            "the answer to Encrypt has an IV of %zu, data of %zu and a tag of %zu bytes instead of %d, %zu and %d",
            result->iv.len, result->data.len, result->tag.len, KS_KMS_IV, sizeof(key->b), KS_KMS_TAG);
    memcpy(ret, result->iv.data, KS_KMS_IV);
    memcpy(ret + KS_KMS_IV, result->data.data, sizeof(key->b));
    memcpy(ret + KS_KMS_IV + sizeof(key->b), result->tag.data, KS_KMS_TAG);
    return 0;
}

/* KS_E_MALFORMED where the server does not tell: an unknown state is no permission. */
static int
get_state(struct ks_kms *kms, const char *uid, uint32_t *ret, struct ks_error *error)
{
    const struct ks_attribute_name name = {.tag = KMIP_TAG_STATE};
    KS_CLEANUP(attributes_freep) struct ks_attributes *attributes = NULL;
    KS_TRY(ks_client_get_attributes(kms->client, &kms->call, uid, &name, 1, &attributes, error));
    const struct ks_attribute *state = ks_attributes_find(attributes, KMIP_TAG_STATE);
    if (state == NULL || state->value.type != KMIP_TYPE_ENUMERATION)
        return client_fail(error, KS_E_MALFORMED, "the answer to Get Attributes for key %s has no State", uid);
    *ret = state->value.enumeration;
    return 0;
}

/* Whether the new key is Active at once depends on the old one's dates (1.x: 4.4, table of attributes), and servers. */
int
ks_kms_rekey(struct ks_kms *kms, const char *uid, char ret_new_uid[KS_UID_SIZE], struct ks_error *error)
{
    char new_uid[KS_UID_SIZE] = "";
    uint32_t state = 0;
    KS_TRY(ks_client_rekey(kms->client, &kms->call, uid, -1, false, new_uid, error));
    KS_TRY(get_state(kms, new_uid, &state, error));
    if (state == KMIP_STATE_PRE_ACTIVE)
        KS_TRY(ks_client_activate(kms->client, &kms->call, new_uid, error));
    memcpy(ret_new_uid, new_uid, KS_UID_SIZE);
    return 0;
}

/* The target of the key's Replacement Object Link (1.x: 3.35; 2.x: 4.31); "" if it has none. */
static int
get_replacement(struct ks_kms *kms, const char *uid, char ret[KS_UID_SIZE], struct ks_error *error)
{
    const struct ks_attribute_name name = {.tag = KMIP_TAG_LINK};
    KS_CLEANUP(attributes_freep) struct ks_attributes *attributes = NULL;
    KS_TRY(ks_client_get_attributes(kms->client, &kms->call, uid, &name, 1, &attributes, error));
    ret[0] = '\0';
    for (size_t i = 0; i < attributes->n; i++) {
        const struct ks_value *link = &attributes->v[i].value;
        if (link->tag != KMIP_TAG_LINK || link->type != KMIP_TYPE_STRUCTURE)
            continue;
        bool replacement = false;
        struct ks_bytes target = {NULL, 0};
        for (size_t f = 0; f < link->n_fields; f++) {
            const struct ks_value *field = &link->fields[f];
            if (field->tag == KMIP_TAG_LINK_TYPE && field->type == KMIP_TYPE_ENUMERATION)
                replacement = field->enumeration == KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK;
            else if (field->tag == KMIP_TAG_LINKED_OBJECT_IDENTIFIER && field->type == KMIP_TYPE_TEXT_STRING)
                target = field->bytes;
        }
        if (!replacement || target.len == 0 || target.len >= KS_UID_SIZE)
            continue;
        memcpy(ret, target.data, target.len);
        ret[target.len] = '\0';
    }
    return 0;
}

int
ks_kms_successor(struct ks_kms *kms, const char *uid, bool *ret_found, char ret_uid[KS_UID_SIZE],
                 struct ks_error *error)
{
    enum { LONGEST_CHAIN = 64 }; /* no server makes a loop of them, but none is believed to */
    char at[KS_UID_SIZE], next[KS_UID_SIZE];
    (void)snprintf(at, sizeof(at), "%s", uid);
    size_t steps = 0;
    for (; steps < LONGEST_CHAIN; steps++) {
        KS_TRY(get_replacement(kms, at, next, error));
        if (next[0] == '\0')
            break;
        memcpy(at, next, sizeof(at));
    }
    uint32_t state = KMIP_STATE_ACTIVE;
    if (steps > 0)
        KS_TRY(get_state(kms, at, &state, error));
    *ret_found = steps > 0 && state == KMIP_STATE_ACTIVE;
    if (*ret_found)
        memcpy(ret_uid, at, KS_UID_SIZE);
    return 0;
}

int
ks_kms_unwrap(struct ks_kms *kms, const char *uid, struct ks_span aad, struct ks_span wrapped, struct ks_key32 *ret,
              uint32_t *ret_state, struct ks_error *error)
{
    if (wrapped.len != KS_KMS_WRAPPED)
        return client_fail(error, KS_E_CORRUPT, "the wrapped data key has %zu bytes instead of %d", wrapped.len,
                           KS_KMS_WRAPPED);
    uint32_t state = 0;
    KS_TRY(get_state(kms, uid, &state, error));
    if (state != KMIP_STATE_ACTIVE) {
        const char *name = ks_client_enum_name(KMIP_TAG_STATE, state);
        *ret_state = state;
        return client_fail(error, KS_E_DENIED, "key %s is in state %s", uid, name != NULL ? name : "(unknown)");
    }
    const struct ks_crypto_params gcm = {.block_cipher_mode = GCM.block_cipher_mode,
                                         .cryptographic_algorithm = GCM.cryptographic_algorithm,
                                         .tag_length = GCM.tag_length};
    const struct ks_cipher params = {
        .uid = uid,
        .crypto = &gcm,
        .iv = bytes(wrapped.data, KS_KMS_IV),
        .data = bytes(wrapped.data + KS_KMS_IV, sizeof(ret->b)),
        .tag = bytes(wrapped.data + KS_KMS_IV + sizeof(ret->b), KS_KMS_TAG),
        .aad = bytes(aad.data, aad.len),
    };
    KS_CLEANUP(result_freep) struct ks_cipher_result *result = NULL;
    KS_TRY(ks_client_decrypt(kms->client, &kms->call, &params, &result, error));
    if (result->data.len != sizeof(ret->b))
        return client_fail(error, KS_E_MALFORMED, "the answer to Decrypt has %zu bytes instead of %zu",
                           result->data.len, sizeof(ret->b));
    memcpy(ret->b, result->data.data, sizeof(ret->b));
    return 0;
}

static int64_t
date(const struct ks_attributes *attributes, uint32_t tag)
{
    const struct ks_attribute *a = ks_attributes_find(attributes, tag);
    return a != NULL && a->value.type == KMIP_TYPE_DATE_TIME ? a->value.number : 0;
}

static uint32_t
enumeration(const struct ks_attributes *attributes, uint32_t tag)
{
    const struct ks_attribute *a = ks_attributes_find(attributes, tag);
    return a != NULL && a->value.type == KMIP_TYPE_ENUMERATION ? a->value.enumeration : 0;
}

static struct ks_kms_info
describe_one(const struct ks_attributes *a)
{
    if (a->code != 0)
        return (struct ks_kms_info){.code = a->code};
    const struct ks_attribute *length = ks_attributes_find(a, KMIP_TAG_CRYPTOGRAPHIC_LENGTH);
    return (struct ks_kms_info){
        .state = enumeration(a, KMIP_TAG_STATE),
        .algorithm = enumeration(a, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM),
        .length = length != NULL && length->value.type == KMIP_TYPE_INTEGER ? length->value.integer : 0,
        .created = date(a, KMIP_TAG_INITIAL_DATE),
        .activated = date(a, KMIP_TAG_ACTIVATION_DATE),
        .deactivated = date(a, KMIP_TAG_DEACTIVATION_DATE),
    };
}

int
ks_kms_describe(struct ks_kms *kms, const char *const *uids, size_t n, struct ks_kms_info *ret, struct ks_error *error)
{
    static const struct ks_attribute_name NAMES[] = {
        {.tag = KMIP_TAG_STATE},
        {.tag = KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM},
        {.tag = KMIP_TAG_CRYPTOGRAPHIC_LENGTH},
        {.tag = KMIP_TAG_INITIAL_DATE},
        {.tag = KMIP_TAG_ACTIVATION_DATE},
        {.tag = KMIP_TAG_DEACTIVATION_DATE},
    };
    KS_CLEANUP(list_freep) struct ks_attributes_list *list = NULL;
    KS_TRY(ks_client_get_attributes_many(kms->client, &kms->call, uids, n, NAMES, KS_ARRAY_LEN(NAMES), &list, error));
    if (list->n != n)
        return client_fail(error, KS_E_MALFORMED, "asked for %zu keys, the answer has %zu", n, list->n);
    for (size_t i = 0; i < n; i++)
        ret[i] = describe_one(&list->v[i]);
    return 0;
}
