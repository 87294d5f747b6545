/*
 * The key encryption key is at a KMS. With Encrypt and Decrypt (AES-GCM, KMIP 1.4) it stays there. A KMS that cannot do
 * that hands it out, wrapped under a transport key that is in a file here too, or as it is: chosen when the slot is
 * made.
 *
 * Before it is used its State is asked for. KMIP lets a key that was deactivated decrypt; here, who deactivates,
 * suspends or revokes the key means that the cluster is not to start.
 */
#include "tde/wrap_kmip.h"

#include <stdio.h>

#include "base/file.h"
#include "base/text.h"
#include "crypto/keywrap.h"
#include "crypto/random.h"

enum { IV_LEN = 12, TAG_LEN = 16, TRY_MS = 10000 };

static int
client_fail(struct ks_diag *diag, const struct tde_slot *slot, const struct ks_error *error)
{
    return ks_fail(diag, error->code, "the KMS, key encryption key %.100s: %.380s",
                   slot->name[0] != '\0' ? slot->name : slot->uid, error->message);
}

static void
config_freep(struct ks_client_config **config)
{
    ks_client_config_free(*config);
}

static void
client_freep(struct ks_client **client)
{
    ks_client_free(*client);
}

int
tde_kmip_connect(const struct tde_slot *slot, int64_t timeout_ms, struct ks_client **ret, struct ks_diag *diag)
{
    KS_CLEANUP(config_freep) struct ks_client_config *config = NULL;
    struct ks_error error = {0};
    char timeout[32], each[32];
    (void)snprintf(timeout, sizeof(timeout), "%lldms", (long long)timeout_ms);
    (void)snprintf(each, sizeof(each), "%lldms", (long long)(timeout_ms < 5000 ? timeout_ms : 5000));
    const struct {
        const char *name, *value;
    } settings[] = {
        {"servers", slot->servers},         {"ca", slot->ca},
        {"certificate", slot->certificate}, {"key", slot->key},
        {"server_name", slot->server_name}, {"request_timeout", timeout},
        {"connect_timeout", each},
    };
    if (ks_client_config_new(&config) != 0)
        return ks_fail(diag, KS_E_NOMEM, "out of memory");
    for (size_t i = 0; i < KS_ARRAY_LEN(settings); i++)
        if (settings[i].value[0] != '\0' &&
            ks_client_config_set(config, settings[i].name, settings[i].value, &error) != 0)
            return client_fail(diag, slot, &error);
    return ks_client_new(config, ret, &error) == 0 ? 0 : client_fail(diag, slot, &error);
}

const char *
tde_kmip_state_word(uint32_t state)
{
    if (state == TDE_KMIP_SUSPENDED)
        return "Suspended";
    const char *word = state != 0 ? ks_client_enum_name(KMIP_TAG_STATE, state) : NULL;
    return word != NULL ? word : "unknown";
}

bool
tde_kmip_refused(const struct ks_error *error)
{
    static const uint32_t reasons[] = {
        KMIP_RESULT_REASON_ITEM_NOT_FOUND,
        KMIP_RESULT_REASON_OBJECT_NOT_FOUND,
        KMIP_RESULT_REASON_OBJECT_ARCHIVED,
        KMIP_RESULT_REASON_OBJECT_DESTROYED,
        KMIP_RESULT_REASON_NOT_AUTHORISED,
        KMIP_RESULT_REASON_PERMISSION_DENIED,
        KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL,
        KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE,
    };
    for (size_t i = 0; error->answered && i < KS_ARRAY_LEN(reasons); i++)
        if (error->result_reason == reasons[i])
            return true;
    return false;
}

/* What Keystead says of a key that is suspended: the mode, whichever it is. */
static const char suspended_vendor[] = "y", suspended_name[] = "Suspended";

/* State, Process Start Date, and whether it is suspended; a KMS that does not like to be asked for what a key has not
 * is asked for less, for the State at last. */
static int
read_state(struct ks_client *client, const struct tde_slot *slot, struct ks_attributes **ret, struct ks_error *error)
{
    static const struct ks_attribute_name names[] = {
        {.tag = KMIP_TAG_STATE},
        {.tag = KMIP_TAG_PROCESS_START_DATE},
        {.tag = KMIP_TAG_ATTRIBUTE, .vendor = suspended_vendor, .name = suspended_name}};
    int rc = ks_client_get_attributes(client, NULL, slot->uid, names, KS_ARRAY_LEN(names), ret, error);
    for (size_t n = KS_ARRAY_LEN(names) - 1; n > 0 && rc != 0 && error->answered && rc != KS_E_SEALED; n--)
        rc = ks_client_get_attributes(client, NULL, slot->uid, names, n, ret, error);
    return rc;
}

static bool
is_suspended(const struct ks_attributes *attributes)
{
    for (size_t i = 0; i < attributes->n; i++) {
        const struct ks_attribute *a = &attributes->v[i];
        if (a->vendor != NULL && a->name != NULL && strcmp(a->vendor, suspended_vendor) == 0 &&
            strcmp(a->name, suspended_name) == 0)
            return true;
    }
    return false;
}

int
tde_kmip_state(struct ks_client *client, const struct tde_slot *slot, uint32_t *ret, struct ks_diag *diag)
{
    struct ks_attributes *attributes = NULL;
    struct ks_error error = {0};
    const int rc = read_state(client, slot, &attributes, &error);
    if (rc == KS_E_NOT_FOUND)
        return ks_fail(diag, KS_E_DENIED,
                       "the key encryption key %s is not at %s, or not for this client's certificate",
                       slot->name[0] != '\0' ? slot->name : slot->uid, error.server);
    if (rc == KS_E_UNSUPPORTED) { /* then the KMS refuses by itself, or not at all */
        *ret = 0;
        return 0;
    }
    if (rc != 0 && tde_kmip_refused(&error))
        error.code = KS_E_DENIED;
    if (rc != 0)
        return client_fail(diag, slot, &error);
    const struct ks_attribute *state = ks_attributes_find(attributes, KMIP_TAG_STATE);
    const struct ks_attribute *start = ks_attributes_find(attributes, KMIP_TAG_PROCESS_START_DATE);
    uint32_t found = state != NULL ? state->value.enumeration : 0;
    const bool early = start != NULL && start->value.number > ks_clock_us() / 1000000;
    if ((found == 0 || found == KMIP_STATE_ACTIVE) && (early || is_suspended(attributes)))
        found = TDE_KMIP_SUSPENDED;
    *ret = found;
    ks_attributes_free(attributes);
    return 0;
}

/* A client, and a key encryption key that may be used. */
static int
connect_active(const struct tde_slot *slot, const struct tde_how *how, struct ks_client **ret, struct ks_diag *diag)
{
    KS_CLEANUP(client_freep) struct ks_client *client = NULL;
    uint32_t state = 0;
    int64_t timeout = TRY_MS;
    if (how->deadline_ms != 0) { /* the last try goes a little beyond it, rather than not to be made */
        const int64_t left = how->deadline_ms - ks_monotonic_ms();
        timeout = left > TRY_MS ? TRY_MS : left < 500 ? 500 : left;
    }
    KS_TRY(tde_kmip_connect(slot, timeout, &client, diag));
    KS_TRY(tde_kmip_state(client, slot, &state, diag));
    if (state != 0 && state != KMIP_STATE_ACTIVE)
        return ks_fail(diag, KS_E_DENIED,
                       "the key encryption key %s (%s) is %s at the KMS (%s): the data keys are not unwrapped. Ask its "
                       "administrator, or use a keyring whose key is active",
                       slot->name[0] != '\0' ? slot->name : "of this cluster", slot->uid, tde_kmip_state_word(state),
                       slot->servers);
    *ret = client;
    client = NULL; /* transferred */
    return 0;
}

static const struct ks_crypto_params gcm = {.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM,
                                            .cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
                                            .tag_length = TAG_LEN};

int
tde_kmip_encrypt(const struct tde_keyring *keyring, struct tde_slot *slot, const struct tde_how *how,
                 const struct ks_key32 *key, struct ks_diag *diag)
{
    KS_CLEANUP(client_freep) struct ks_client *client = NULL;
    uint8_t aad[TDE_AAD], iv[IV_LEN];
    struct ks_cipher_result *result = NULL;
    struct ks_error error = {0};
    KS_TRY(connect_active(slot, how, &client, diag));
    if (ks_random(iv, sizeof(iv)) != 0)
        return ks_fail(diag, KS_E_CRYPTO, "no random bytes for an IV");
    tde_wrap_aad(keyring, aad);
    const struct ks_cipher params = {.uid = slot->uid,
                                     .crypto = &gcm,
                                     .data = {key->b, sizeof(key->b)},
                                     .iv = {iv, sizeof(iv)},
                                     .aad = {aad, sizeof(aad)}};
    if (ks_client_encrypt(client, NULL, &params, &result, &error) != 0)
        return client_fail(diag, slot, &error);
    const bool right = result->data.len == sizeof(key->b) && result->tag.len == TAG_LEN;
    if (right) {
        memset(slot->check, 0, sizeof(slot->check));
        memcpy(slot->wrapped, iv, IV_LEN);
        memcpy(slot->wrapped + IV_LEN, result->data.data, sizeof(key->b));
        memcpy(slot->wrapped + IV_LEN + sizeof(key->b), result->tag.data, TAG_LEN);
        slot->wrapped_len = IV_LEN + sizeof(key->b) + TAG_LEN;
    }
    ks_cipher_result_free(result);
    return right
               ? 0
               : ks_fail(diag, KS_E_UNSUPPORTED,
                         "the KMS answered an Encrypt with AES-GCM without ciphertext and tag of the right length; use "
                         "--kmip-mode get");
}

int
tde_kmip_decrypt(const struct tde_keyring *keyring, const struct tde_slot *slot, const struct tde_how *how,
                 struct ks_key32 *ret, struct ks_diag *diag)
{
    KS_CLEANUP(client_freep) struct ks_client *client = NULL;
    struct ks_cipher_result *result = NULL;
    struct ks_error error = {0};
    uint8_t aad[TDE_AAD];
    if (slot->wrapped_len != IV_LEN + sizeof(ret->b) + TAG_LEN)
        return ks_fail(diag, KS_E_MALFORMED, "the wrapped key of slot %u has a wrong length: restore the keyring",
                       slot->id);
    KS_TRY(connect_active(slot, how, &client, diag));
    tde_wrap_aad(keyring, aad);
    const struct ks_cipher params = {.uid = slot->uid,
                                     .crypto = &gcm,
                                     .data = {slot->wrapped + IV_LEN, sizeof(ret->b)},
                                     .iv = {slot->wrapped, IV_LEN},
                                     .aad = {aad, sizeof(aad)},
                                     .tag = {slot->wrapped + IV_LEN + sizeof(ret->b), TAG_LEN}};
    if (ks_client_decrypt(client, NULL, &params, &result, &error) != 0)
        return client_fail(diag, slot, &error);
    const bool right = result->data.len == sizeof(ret->b);
    if (right)
        memcpy(ret->b, result->data.data, sizeof(ret->b));
    ks_cipher_result_free(result);
    return right ? 0 : ks_fail(diag, KS_E_INTEGRITY, "what the KMS decrypted is no keyring key");
}

/* A key that came wrapped, by the transport key in our file. */
static int
unwrap_transport(const struct tde_slot *slot, struct ks_span wrapped, struct ks_buf *ret, struct ks_diag *diag)
{
    KS_KEY32 transport;
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(256);
    KS_TRY(ks_file_read_private(slot->transport_file, &text, diag));
    KS_TRY(tde_key_bytes(ks_buf_span(&text), slot->transport_file, &transport, diag));
    if (ks_keyunwrap(KS_KEYWRAP_RFC3394, KS_SPAN(transport.b, sizeof(transport.b)), wrapped, ret, NULL) != 0)
        return ks_fail(diag, KS_E_DENIED, "%s is not the transport key %s of the KMS", slot->transport_file,
                       slot->transport_uid);
    return 0;
}

int
tde_kmip_kek(struct tde_slot *slot, const struct tde_how *how, bool fresh, struct ks_key32 *ret, struct ks_diag *diag)
{
    (void)fresh;
    KS_CLEANUP(client_freep) struct ks_client *client = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf clear = KS_BUF(256);
    struct ks_object *object = NULL;
    struct ks_error error = {0};
    const struct ks_wrap wrap = {.key_uid = slot->transport_uid};
    const bool wrapped = slot->mode == TDE_KMS_WRAPPED_GET;
    const struct ks_get get = {
        .uid = slot->uid, .key_format = KMIP_KEY_FORMAT_TYPE_RAW, .wrap = wrapped ? &wrap : NULL};
    KS_TRY(connect_active(slot, how, &client, diag));
    if (ks_client_get(client, NULL, &get, &object, &error) != 0)
        return client_fail(diag, slot, &error);
    const struct ks_span material = KS_SPAN(object->material.data, object->material.len);
    int rc = object->wrapped != wrapped ? ks_fail(diag, KS_E_UNSUPPORTED, "the KMS gave key %s %s", slot->uid,
                                                  wrapped ? "unwrapped" : "wrapped")
             : wrapped                  ? unwrap_transport(slot, material, &clear, diag)
                                        : ks_buf_add_span(&clear, material);
    ks_object_free(object);
    KS_TRY(rc);
    if (clear.len != sizeof(ret->b))
        return ks_fail(diag, KS_E_INVALID, "the key encryption key %s has %zu bits, not 256", slot->uid, clear.len * 8);
    memcpy(ret->b, clear.data, sizeof(ret->b));
    return 0;
}
