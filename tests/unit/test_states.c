/*
 * Every operation that takes an object, in every state, in its window and outside of it, archived and not, suspended
 * and not, in every version: against one table that is written down here from the requirements, not read from the
 * engine's rows.
 *
 * A row whose operation the engine does not carry out (ops.def) waits for it.
 */
#include <stdio.h>

#include "engine_talk.h"

#include "server/engine/ctx.h"

/* The objects that the rows are about. */
enum kind { AES_KEY, MAC_KEY, PRIVATE_KEY, PUBLIC_KEY };

enum state {
    PRE_ACTIVE,
    IN,  /* Active, in the window of the use */
    OUT, /* Active, before its Process Start Date and behind its Protect Stop Date */
    DEACTIVATED,
    COMPROMISED,
    DESTROYED,
    DESTROYED_COMPROMISED,
    STATES
};

/*
 * Letters: Y  is done                                 W  wrong state: 2.1 and 3.0 say so, before it is Permission
 * Denied D  Permission Denied                       X  destroyed: from 2.0 Object Destroyed, before Permission Denied
 *          A  Object Archived                         O  up to 1.4 Object Archived, from 2.0 it is done
 *          x, a  as a wrapping key that is destroyed, archived: from 2.0 reasons of their own
 *          R  done with a right to what is not active, which the owner has
 *          K  an administrator's alone, else Permission Denied
 *          N  so it is where the object can not be resumed any more; before that it is Permission Denied to everybody
 * The owner asks, who has all the rights to what is not active that the requirements speak of.
 */
static const struct row {
    const char *name;
    uint32_t operation;
    enum kind kind;
    char cell[STATES + 1]; /* by enum state */
    char archived;         /* of an object that could be archived */
    char suspended[3];     /* wholly, and to protect: over the state, of what is not destroyed */
    uint32_t behind;       /* the reason of a refusal that comes after all those of the state: as good as done */
} rows[] = {
    {"Encrypt", KMIP_OPERATION_ENCRYPT, AES_KEY, "WYWWWWW", 'A', "WW", 0},
    {"Decrypt", KMIP_OPERATION_DECRYPT, AES_KEY, "WYWYYWW", 'A', "WR", KMIP_RESULT_REASON_CRYPTOGRAPHIC_FAILURE},
    {"Sign", KMIP_OPERATION_SIGN, PRIVATE_KEY, "WYWWWWW", 'A', "WW", 0},
    {"Signature Verify", KMIP_OPERATION_SIGNATURE_VERIFY, PUBLIC_KEY, "WYWYYWW", 'A', "WR", 0},
    {"MAC", KMIP_OPERATION_MAC, MAC_KEY, "WYWWWWW", 'A', "WW", 0},
    {"MAC Verify", KMIP_OPERATION_MAC_VERIFY, MAC_KEY, "WYWYYWW", 'A', "WR", 0},
    {"Derive Key", KMIP_OPERATION_DERIVE_KEY, AES_KEY, "WYWWWWW", 'A', "WW", 0},
    {"Get", KMIP_OPERATION_GET, AES_KEY, "YYYYYGG", 'A', "DR", 0},
    {"Get wrapped by it", KMIP_OPERATION_GET, AES_KEY, "WYWWWxx", 'a', "WW", 0},
    {"Export", KMIP_OPERATION_EXPORT, AES_KEY, "YYYYYYY", 'A', "DD", 0},
    {"Check", KMIP_OPERATION_CHECK, AES_KEY, "YYYYYXX", 'A', "YY", 0},
    {"Get Attributes", KMIP_OPERATION_GET_ATTRIBUTES, AES_KEY, "YYYYYYY", 'Y', "YY", 0},
    {"Get Attribute List", KMIP_OPERATION_GET_ATTRIBUTE_LIST, AES_KEY, "YYYYYYY", 'Y', "YY", 0},
    {"Add Attribute", KMIP_OPERATION_ADD_ATTRIBUTE, AES_KEY, "YYYYYXX", 'A', "KK", 0},
    {"Modify Attribute", KMIP_OPERATION_MODIFY_ATTRIBUTE, AES_KEY, "YYYYYXX", 'A', "KK", 0},
    {"Delete Attribute", KMIP_OPERATION_DELETE_ATTRIBUTE, AES_KEY, "YYYYYXX", 'A', "KK", 0},
    {"Set Attribute", KMIP_OPERATION_SET_ATTRIBUTE, AES_KEY, "YYYYYXX", 'A', "KK", 0},
    {"Adjust Attribute", KMIP_OPERATION_ADJUST_ATTRIBUTE, AES_KEY, "YYYYYXX", 'A', "KK", 0},
    {"Activate", KMIP_OPERATION_ACTIVATE, AES_KEY, "YWWWWWW", 'A', "DD", 0},
    {"Revoke, compromise", KMIP_OPERATION_REVOKE, AES_KEY, "YYYYWYW", 'O', "YY", 0},
    {"Revoke, superseded", KMIP_OPERATION_REVOKE, AES_KEY, "WYYWWWW", 'O', "YY", 0},
    {"Deactivate", KMIP_OPERATION_DEACTIVATE, AES_KEY, "WYYWWWW", 'O', "YY", 0},
    {"Re-key", KMIP_OPERATION_RE_KEY, AES_KEY, "YYYYYXX", 'A', "KK", 0},
    {"Re-key Key Pair", KMIP_OPERATION_RE_KEY_KEY_PAIR, PRIVATE_KEY, "YYYYYXX", 'A', "KK", 0},
    {"Destroy", KMIP_OPERATION_DESTROY, AES_KEY, "YWWYYXX", 'A', "NN", 0},
    {"Obtain Lease", KMIP_OPERATION_OBTAIN_LEASE, AES_KEY, "DYYYDXX", 'A', "DD", 0},
    {"Get Usage Allocation", KMIP_OPERATION_GET_USAGE_ALLOCATION, AES_KEY, "DYDDDXX", 'A', "DD", 0},
    {"Archive", KMIP_OPERATION_ARCHIVE, AES_KEY, "YDDYYXX", 'A', "DD", 0},
    {"Recover", KMIP_OPERATION_RECOVER, AES_KEY, "DDDDDXX", 'Y', "DD", 0},
};

/* What the engine carries out. */
static bool
is_served(uint32_t operation)
{
    static const uint32_t served[] = {
#define ENGINE_OP(NAME, handler, RIGHT, FLAGS) KMIP_OPERATION_##NAME,
#include "server/engine/ops.def"
#undef ENGINE_OP
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(served); i++)
        if (served[i] == operation)
            return true;
    return false;
}

static uint32_t
reason_for(char cell, enum kmip_version version)
{
    const bool old = version < KMIP_V2_0, named = version >= KMIP_V2_1;
    switch (cell) {
    case 'W':
        return named ? KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE : KMIP_RESULT_REASON_PERMISSION_DENIED;
    case 'G': /* Get, up to 1.3: TC-314 */
        if (version < KMIP_V1_4)
            return KMIP_RESULT_REASON_ITEM_NOT_FOUND;
        return old ? KMIP_RESULT_REASON_PERMISSION_DENIED : KMIP_RESULT_REASON_OBJECT_DESTROYED;
    case 'X':
        return old ? KMIP_RESULT_REASON_PERMISSION_DENIED : KMIP_RESULT_REASON_OBJECT_DESTROYED;
    case 'x':
        return old ? KMIP_RESULT_REASON_PERMISSION_DENIED : KMIP_RESULT_REASON_WRAPPING_OBJECT_DESTROYED;
    case 'a':
        return old ? KMIP_RESULT_REASON_OBJECT_ARCHIVED : KMIP_RESULT_REASON_WRAPPING_OBJECT_ARCHIVED;
    case 'A':
    case 'O':
        return KMIP_RESULT_REASON_OBJECT_ARCHIVED;
    default:
        return KMIP_RESULT_REASON_PERMISSION_DENIED;
    }
}

/* Objects */

static void
put_common(struct talk *t, struct kmip_attrs *attrs, enum state state)
{
    put_number(t, attrs, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, 0xffff);
    if (state != OUT)
        return;
    put_number(t, attrs, KMIP_TAG_PROCESS_START_DATE, RIG_START_S + 500000);
    put_number(t, attrs, KMIP_TAG_PROTECT_STOP_DATE, RIG_START_S - 5);
}

static const char *
make_symmetric(struct talk *t, enum kind kind, enum state state)
{
    struct kmip_create_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}};
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM,
               kind == AES_KEY ? KMIP_CRYPTOGRAPHIC_ALGORITHM_AES : KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_text(t, &r.attributes, KMIP_TAG_CONTACT_INFORMATION, "the test");
    const struct kmip_usage_limits limits = {.usage_limits_total = 1000,
                                             .usage_limits_unit = KMIP_USAGE_LIMITS_UNIT_OBJECT};
    struct kmip_item *item;
    assert_int_equal(kmip_item_encode(&kmip_schema_usage_limits, KMIP_V2_1, &limits, &t->arena, &item), 0);
    item->tag = KMIP_TAG_USAGE_LIMITS;
    assert_non_null(kmip_attrs_add(&t->arena, &r.attributes, KMIP_TAG_USAGE_LIMITS, item));
    put_common(t, &r.attributes, state);
    const struct kmip_create_response *response = talk_do(t, KMIP_OPERATION_CREATE, &r);
    return uid_string(t, &response->unique_identifier);
}

static const char *
make_pair(struct talk *t, enum kind kind, enum state state)
{
    struct kmip_create_key_pair_request r = {.common_attributes = {.present = true}};
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA);
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_common(t, &r.common_attributes, state);
    const struct kmip_create_key_pair_response *response = talk_do(t, KMIP_OPERATION_CREATE_KEY_PAIR, &r);
    return uid_string(t, kind == PRIVATE_KEY ? &response->private_key_unique_identifier
                                             : &response->public_key_unique_identifier);
}

static const char *
object_in(struct talk *t, enum kind kind, enum state state)
{
    const enum kmip_version asked = t->version;
    t->version = KMIP_V2_1;
    const char *id = kind <= MAC_KEY ? make_symmetric(t, kind, state) : make_pair(t, kind, state);
    if (state == IN || state == OUT || state == DEACTIVATED)
        activate_key(t, id);
    if (state == DEACTIVATED)
        revoke_key(t, id, KMIP_REVOCATION_REASON_CODE_SUPERSEDED);
    if (state == COMPROMISED || state == DESTROYED_COMPROMISED)
        revoke_key(t, id, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE);
    if (state == DESTROYED || state == DESTROYED_COMPROMISED)
        destroy_key(t, id);
    t->version = asked;
    return id;
}

/* Whatever archives objects, an Archive Date is what makes them archived: it is put in place past all operations. */
static void
archive(struct talk *t, const char *id)
{
    struct object *object = objects_find(&t->rig.engine->objects, ks_span_str(id));
    assert_non_null(object);
    core_set(&object->rev->core, CORE_ARCHIVE_DATE, RIG_START_S);
}

/* Requests */

static const struct kmip_response_batch_item *
ask_attributes(struct talk *t, uint32_t operation, const char *id)
{
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id)};
    struct kmip_modify_attribute_request modify = {.unique_identifier = uid(id)};
    struct kmip_set_attribute_request set = {.unique_identifier = uid(id)};
    struct kmip_attr_ref contact = {.tag = KMIP_TAG_CONTACT_INFORMATION, .index = -1},
                         fact = {.tag = KMIP_TAG_EXTRACTABLE, .index = -1};
    const struct kmip_delete_attribute_request delete = {.unique_identifier = uid(id),
                                                         .attribute_refs = {.v = &contact, .n = 1}};
    const struct kmip_adjust_attribute_request adjust = {.unique_identifier = uid(id),
                                                         .attribute_refs = {.v = &fact, .n = 1},
                                                         .adjustment_type = KMIP_ADJUSTMENT_TYPE_NEGATE};
    put_vendor(t, &add.new_attribute, "x", "note", "hello");
    put_text(t, &modify.new_attribute, KMIP_TAG_CONTACT_INFORMATION, "another");
    put_text(t, &set.new_attribute, KMIP_TAG_CONTACT_INFORMATION, "another");
    switch (operation) {
    case KMIP_OPERATION_ADD_ATTRIBUTE:
        return talk_ask(t, operation, &add);
    case KMIP_OPERATION_MODIFY_ATTRIBUTE:
        return talk_ask(t, operation, &modify);
    case KMIP_OPERATION_SET_ATTRIBUTE:
        return talk_ask(t, operation, &set);
    case KMIP_OPERATION_DELETE_ATTRIBUTE:
        return talk_ask(t, operation, &delete);
    case KMIP_OPERATION_ADJUST_ATTRIBUTE:
        return talk_ask(t, operation, &adjust);
    default:
        return NULL;
    }
}

static const struct kmip_response_batch_item *
ask_to_compute(struct talk *t, uint32_t operation, const char *id)
{
    static const uint8_t data[64] = {1};
    struct kmip_cryptographic_parameters gcm = {.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM,
                                                .has_block_cipher_mode = true};
    struct kmip_cryptographic_parameters ecdsa = {.digital_signature_algorithm =
                                                      KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA256,
                                                  .has_digital_signature_algorithm = true};
    struct kmip_cryptographic_parameters hmac = {.cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256,
                                                 .has_cryptographic_algorithm = true};
    const struct ks_span text = KS_SPAN(data, 16);
    const struct kmip_encrypt_request encrypt = {
        .unique_identifier = uid(id), .cryptographic_parameters = &gcm, .data = text, .has_data = true};
    const struct kmip_decrypt_request decrypt = {.unique_identifier = uid(id),
                                                 .cryptographic_parameters = &gcm,
                                                 .data = text,
                                                 .has_data = true,
                                                 .iv_counter_nonce = KS_SPAN(data, 12),
                                                 .has_iv_counter_nonce = true,
                                                 .authenticated_encryption_tag = text,
                                                 .has_authenticated_encryption_tag = true};
    const struct kmip_sign_request sign = {
        .unique_identifier = uid(id), .cryptographic_parameters = &ecdsa, .data = text, .has_data = true};
    const struct kmip_signature_verify_request verify = {.unique_identifier = uid(id),
                                                         .cryptographic_parameters = &ecdsa,
                                                         .data = text,
                                                         .has_data = true,
                                                         .signature_data = KS_SPAN(data, 64),
                                                         .has_signature_data = true};
    const struct kmip_mac_request mac = {
        .unique_identifier = uid(id), .cryptographic_parameters = &hmac, .data = text, .has_data = true};
    const struct kmip_mac_verify_request mac_verify = {.unique_identifier = uid(id),
                                                       .cryptographic_parameters = &hmac,
                                                       .data = text,
                                                       .has_data = true,
                                                       .mac_data = KS_SPAN(data, 32),
                                                       .has_mac_data = true};
    struct kmip_cryptographic_parameters sha256 = {.hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256,
                                                   .has_hashing_algorithm = true};
    struct ks_span salt = text;
    struct kmip_derivation_parameters parameters = {
        .cryptographic_parameters = &sha256, .derivation_data = &salt, .n_derivation_data = 1};
    struct kmip_uid from = uid(id);
    struct kmip_derive_key_request derive = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                             .unique_identifier = &from,
                                             .n_unique_identifier = 1,
                                             .derivation_method = KMIP_DERIVATION_METHOD_HMAC,
                                             .derivation_parameters = &parameters,
                                             .attributes = {.present = true}};
    put_number(t, &derive.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(t, &derive.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 128);
    put_number(t, &derive.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    switch (operation) {
    case KMIP_OPERATION_ENCRYPT:
        return talk_ask(t, operation, &encrypt);
    case KMIP_OPERATION_DECRYPT:
        return talk_ask(t, operation, &decrypt);
    case KMIP_OPERATION_SIGN:
        return talk_ask(t, operation, &sign);
    case KMIP_OPERATION_SIGNATURE_VERIFY:
        return talk_ask(t, operation, &verify);
    case KMIP_OPERATION_MAC:
        return talk_ask(t, operation, &mac);
    case KMIP_OPERATION_MAC_VERIFY:
        return talk_ask(t, operation, &mac_verify);
    case KMIP_OPERATION_DERIVE_KEY:
        return talk_ask(t, operation, &derive);
    default:
        return NULL;
    }
}

static const struct kmip_response_batch_item *
ask_wrapped(struct talk *t, const char *by)
{
    const char *id = object_in(t, AES_KEY, IN);
    struct kmip_cryptographic_parameters mode = {.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP,
                                                 .has_block_cipher_mode = true};
    struct kmip_encryption_key_information key = {.unique_identifier = uid(by), .cryptographic_parameters = &mode};
    struct kmip_key_wrapping_specification how = {.wrapping_method = KMIP_WRAPPING_METHOD_ENCRYPT,
                                                  .encryption_key_information = &key};
    const struct kmip_get_request get = {.unique_identifier = uid(id), .key_wrapping_specification = &how};
    return talk_ask(t, KMIP_OPERATION_GET, &get);
}

/* An operation that takes a Unique Identifier and nothing else that has to be there. */
static const struct kmip_response_batch_item *
ask_plainly(struct talk *t, const struct row *row, const char *id)
{
    struct kmip_revocation_reason why = {.revocation_reason_code = strstr(row->name, "compromise") != NULL
                                                                       ? KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE
                                                                       : KMIP_REVOCATION_REASON_CODE_SUPERSEDED};
    const struct kmip_revoke_request revoke = {.unique_identifier = uid(id), .revocation_reason = &why};
    const struct kmip_get_usage_allocation_request allocation = {.unique_identifier = uid(id), .usage_limits_count = 1};
    const struct kmip_re_key_key_pair_request re_key_pair = {.private_key_unique_identifier = uid(id)};
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    const struct kmip_export_request export = {.unique_identifier = uid(id)};
    const struct kmip_check_request check = {.unique_identifier = uid(id)};
    const struct kmip_get_attributes_request get_attributes = {.unique_identifier = uid(id)};
    const struct kmip_get_attribute_list_request list = {.unique_identifier = uid(id)};
    const struct kmip_activate_request activate = {.unique_identifier = uid(id)};
    const struct kmip_deactivate_request deactivate = {.unique_identifier = uid(id)};
    const struct kmip_re_key_request re_key = {.unique_identifier = uid(id)};
    const struct kmip_destroy_request destroy = {.unique_identifier = uid(id)};
    const struct kmip_obtain_lease_request lease = {.unique_identifier = uid(id)};
    const struct kmip_archive_request archive_it = {.unique_identifier = uid(id)};
    const struct kmip_recover_request recover = {.unique_identifier = uid(id)};
    const struct {
        uint32_t operation;
        const void *payload;
    } plain[] = {
        {KMIP_OPERATION_REVOKE, &revoke},
        {KMIP_OPERATION_GET_USAGE_ALLOCATION, &allocation},
        {KMIP_OPERATION_RE_KEY_KEY_PAIR, &re_key_pair},
        {KMIP_OPERATION_GET, &get},
        {KMIP_OPERATION_EXPORT, &export},
        {KMIP_OPERATION_CHECK, &check},
        {KMIP_OPERATION_GET_ATTRIBUTES, &get_attributes},
        {KMIP_OPERATION_GET_ATTRIBUTE_LIST, &list},
        {KMIP_OPERATION_ACTIVATE, &activate},
        {KMIP_OPERATION_DEACTIVATE, &deactivate},
        {KMIP_OPERATION_RE_KEY, &re_key},
        {KMIP_OPERATION_DESTROY, &destroy},
        {KMIP_OPERATION_OBTAIN_LEASE, &lease},
        {KMIP_OPERATION_ARCHIVE, &archive_it},
        {KMIP_OPERATION_RECOVER, &recover},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(plain); i++)
        if (plain[i].operation == row->operation)
            return talk_ask(t, row->operation, plain[i].payload);
    fail_msg("%s: there is no request for it", row->name);
    return NULL;
}

static const struct kmip_response_batch_item *
ask(struct talk *t, const struct row *row, const char *id)
{
    if (strcmp(row->name, "Get wrapped by it") == 0)
        return ask_wrapped(t, id);
    const struct kmip_response_batch_item *item = ask_attributes(t, row->operation, id);
    if (item == NULL)
        item = ask_to_compute(t, row->operation, id);
    return item != NULL ? item : ask_plainly(t, row, id);
}

/* The walk */

static void
judge(const struct row *row, const char *where, char cell, enum kmip_version version,
      const struct kmip_response_batch_item *item)
{
    const bool wanted = cell == 'Y' || (cell == 'O' && version >= KMIP_V2_0);
    const bool done = item->result_status == KMIP_RESULT_STATUS_SUCCESS ||
                      item->result_status == KMIP_RESULT_STATUS_OPERATION_PENDING ||
                      (row->behind != 0 && item->result_reason == row->behind);
    if (done == wanted && (done || item->result_reason == reason_for(cell, version)))
        return;
    const struct kmip_version_number number = kmip_version_number(version);
    fail_msg("%s in %s, KMIP %d.%d: wanted %c, got %s (%.*s)", row->name, where, number.major, number.minor, cell,
             item->result_status == KMIP_RESULT_STATUS_SUCCESS
                 ? "success"
                 : kmip_enum_name(KMIP_TAG_RESULT_REASON, item->result_reason),
             (int)item->result_message.len, (const char *)item->result_message.data);
}

/* The versions that the server offers: the draft may be switched off. */
static enum kmip_version
last_version(struct talk *t)
{
    const struct kmip_discover_versions_request none = {0};
    const struct kmip_discover_versions_response *r = talk_do(t, KMIP_OPERATION_DISCOVER_VERSIONS, &none);
    for (size_t i = 0; i < r->n_protocol_version; i++)
        if (r->protocol_version[i]->protocol_version_major == 3)
            return KMIP_V3_0;
    return KMIP_V2_1;
}

static void
every_operation_in_every_state(void **unused)
{
    (void)unused;
    static const char *const names[STATES] = {
        "Pre-Active", "Active and in its window", "Active and outside of its window", "Deactivated", "Compromised",
        "Destroyed",  "Destroyed Compromised"};
    struct talk t;
    talk_open(&t);
    const enum kmip_version last = last_version(&t);
    size_t n = 0;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        const struct kmip_operation *op = kmip_operation_find(rows[i].operation);
        for (enum kmip_version v = op->since; v <= last && v <= op->until && is_served(op->value); v++)
            for (enum state s = 0; s < STATES; s++, n++) {
                const char *id = object_in(&t, rows[i].kind, s);
                t.version = v;
                judge(&rows[i], names[s], rows[i].cell[s], v, ask(&t, &rows[i], id));
            }
    }
    assert_true(n > 17 * 7 * 2);
    talk_close(&t);
}

static void
every_operation_on_what_is_archived(void **unused)
{
    (void)unused;
    static const enum state archivable[] = {PRE_ACTIVE, DEACTIVATED, COMPROMISED};
    static const char *const names[] = {"Pre-Active, archived", "Deactivated, archived", "Compromised, archived"};
    struct talk t;
    talk_open(&t);
    const enum kmip_version last = last_version(&t);
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        const struct kmip_operation *op = kmip_operation_find(rows[i].operation);
        for (enum kmip_version v = op->since; v <= last && v <= op->until && is_served(op->value); v++)
            for (size_t s = 0; s < KS_ARRAY_LEN(archivable); s++) {
                const char *id = object_in(&t, rows[i].kind, archivable[s]);
                archive(&t, id);
                t.version = v;
                /* Where archived is no obstacle the state is. */
                char cell = rows[i].archived;
                if (cell == 'O' && v >= KMIP_V2_0)
                    cell = rows[i].cell[archivable[s]];
                judge(&rows[i], names[s], cell, v, ask(&t, &rows[i], id));
            }
    }
    talk_close(&t);
}

static void
suspend(struct talk *t, const char *id, enum suspension mode)
{
    struct object *object = objects_find(&t->rig.engine->objects, ks_span_str(id));
    assert_non_null(object);
    core_set(&object->rev->core, CORE_SUSPENSION, mode);
}

/* What is wanted where suspended in that mode lies over the state. */
static char
cell_over(const struct row *row, enum suspension mode, enum state s, bool admin)
{
    const char over = row->suspended[mode == SUSPENSION_ALL ? 0 : 1];
    const bool over_for_good = s == DEACTIVATED || s == COMPROMISED;
    if (s == DESTROYED || s == DESTROYED_COMPROMISED)
        return row->cell[s];
    switch (over) {
    case 'Y':
    case 'R':
        return row->cell[s];
    case 'K':
        return admin ? row->cell[s] : 'D';
    case 'N':
        return admin && over_for_good ? row->cell[s] : 'D';
    default:
        return over;
    }
}

static void
walk_suspended(struct talk *t, const struct row *row, enum suspension mode, bool admin)
{
    const struct kmip_operation *op = kmip_operation_find(row->operation);
    const enum kmip_version last = last_version(t);
    char where[64];
    for (enum kmip_version v = op->since; v <= last && v <= op->until && is_served(op->value); v++)
        for (enum state s = 0; s < STATES; s++) {
            t->who = &t->rig.client;
            const char *id = object_in(t, row->kind, s);
            suspend(t, id, mode);
            t->version = v;
            t->who = admin ? &t->rig.admin : &t->rig.client;
            (void)snprintf(where, sizeof(where), "state %d, suspended (%d), for the %s", (int)s, (int)mode,
                           admin ? "administrator" : "owner");
            judge(row, where, cell_over(row, mode, s, admin), v, ask(t, row, id));
        }
}

static void
every_operation_on_what_is_suspended(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        walk_suspended(&t, &rows[i], SUSPENSION_ALL, false);
        walk_suspended(&t, &rows[i], SUSPENSION_PROTECT, false);
    }
    talk_close(&t);
}

/* What the owner may not do while it lasts, and administrators may. */
static void
every_operation_of_administrators_on_what_is_suspended(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        if (rows[i].suspended[0] == 'K' || rows[i].suspended[0] == 'N')
            walk_suspended(&t, &rows[i], SUSPENSION_ALL, true);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_in_every_state),
        cmocka_unit_test(every_operation_on_what_is_archived),
        cmocka_unit_test(every_operation_on_what_is_suspended),
        cmocka_unit_test(every_operation_of_administrators_on_what_is_suspended),
    };
    return cmocka_run_group_tests_name("states", tests, NULL, NULL);
}
