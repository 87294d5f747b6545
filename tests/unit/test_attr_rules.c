/*
 * The tables of the attributes, walked: for every attribute, every object type and every version, what comes of giving
 * it at creation, Add, Modify, Set, Delete, Adjust and Get is what the rows (kmip/spec/attrs.def, attrs_1.def) say.
 */
#include "engine_talk.h"

#include <stdio.h>

#include "kmip/schema.h"

/* The object types that Register takes. */
static const uint32_t types[] = {
    KMIP_OBJECT_TYPE_CERTIFICATE,   KMIP_OBJECT_TYPE_SYMMETRIC_KEY, KMIP_OBJECT_TYPE_PUBLIC_KEY,
    KMIP_OBJECT_TYPE_PRIVATE_KEY,   KMIP_OBJECT_TYPE_SPLIT_KEY,     KMIP_OBJECT_TYPE_SECRET_DATA,
    KMIP_OBJECT_TYPE_OPAQUE_OBJECT, KMIP_OBJECT_TYPE_PGP_KEY,       KMIP_OBJECT_TYPE_TEMPLATE,
};

struct bench {
    struct talk t;
    struct ks_buf private_der, public_der;
};

/* Values */

static struct kmip_item *
encoded(struct talk *t, uint32_t tag, const struct kmip_schema *schema, const void *value)
{
    struct kmip_item *item;
    assert_int_equal(kmip_item_encode(schema, KMIP_V2_1, value, &t->arena, &item), 0);
    item->tag = tag;
    return item;
}

static struct kmip_item *
structure(struct talk *t, uint32_t tag, unsigned n)
{
    /* Names are unique to their owner. */
    static unsigned names;
    char unique[32];
    (void)snprintf(unique, sizeof(unique), "name %u", ++names);
    const char *text = tag == KMIP_TAG_NAME ? unique : n == 0 ? "one" : "two";
    const struct kmip_name name = {.name_value = ks_span_str(text),
                                   .name_type = KMIP_NAME_TYPE_UNINTERPRETED_TEXT_STRING};
    const struct kmip_cryptographic_parameters parameters = {.block_cipher_mode = n == 0 ? KMIP_BLOCK_CIPHER_MODE_CBC
                                                                                         : KMIP_BLOCK_CIPHER_MODE_CTR,
                                                             .has_block_cipher_mode = true};
    const struct kmip_cryptographic_domain_parameters domain = {.recommended_curve = KMIP_RECOMMENDED_CURVE_P_256,
                                                                .has_recommended_curve = true};
    const struct kmip_usage_limits limits = {.usage_limits_total = 10 + n,
                                             .usage_limits_unit = KMIP_USAGE_LIMITS_UNIT_OBJECT};
    const struct kmip_link link = {.link_type =
                                       n == 0 ? KMIP_LINK_TYPE_PRIVATE_KEY_LINK : KMIP_LINK_TYPE_PUBLIC_KEY_LINK,
                                   .linked_object_identifier = uid("another")};
    const struct kmip_application_specific_information information = {
        .application_namespace = KS_LIT("tests"), .application_data = ks_span_str(text), .has_application_data = true};
    const struct kmip_alternative_name alternative = {.alternative_name_value = ks_span_str(text),
                                                      .alternative_name_type =
                                                          KMIP_ALTERNATIVE_NAME_TYPE_UNINTERPRETED_TEXT_STRING};
    const struct kmip_key_value_location location = {.key_value_location_value = ks_span_str(text),
                                                     .key_value_location_type =
                                                         KMIP_KEY_VALUE_LOCATION_TYPE_UNINTERPRETED_TEXT_STRING};
    const struct kmip_rng_parameters rng = {.rng_algorithm = KMIP_RNG_ALGORITHM_UNSPECIFIED};
    const struct kmip_rotate_name rotate = {.rotate_name_value = ks_span_str(text),
                                            .rotate_name_type = KMIP_NAME_TYPE_UNINTERPRETED_TEXT_STRING};
    const struct {
        uint32_t tag;
        const struct kmip_schema *schema;
        const void *value;
    } all[] = {
        {KMIP_TAG_NAME, &kmip_schema_name, &name},
        {KMIP_TAG_CRYPTOGRAPHIC_PARAMETERS, &kmip_schema_cryptographic_parameters, &parameters},
        {KMIP_TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS, &kmip_schema_cryptographic_domain_parameters, &domain},
        {KMIP_TAG_USAGE_LIMITS, &kmip_schema_usage_limits, &limits},
        {KMIP_TAG_LINK, &kmip_schema_link, &link},
        {KMIP_TAG_APPLICATION_SPECIFIC_INFORMATION, &kmip_schema_application_specific_information, &information},
        {KMIP_TAG_ALTERNATIVE_NAME, &kmip_schema_alternative_name, &alternative},
        {KMIP_TAG_KEY_VALUE_LOCATION, &kmip_schema_key_value_location, &location},
        {KMIP_TAG_RANDOM_NUMBER_GENERATOR, &kmip_schema_rng_parameters, &rng},
        {KMIP_TAG_ROTATE_NAME, &kmip_schema_rotate_name, &rotate},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(all); i++)
        if (all[i].tag == tag)
            return encoded(t, tag, all[i].schema, all[i].value);
    return NULL; /* what is the server's alone: no client's value is looked at */
}

/* Dates far enough ahead to fit each other and the state. */
static int64_t
number(uint32_t tag, unsigned n)
{
    switch (tag) {
    case KMIP_TAG_ACTIVATION_DATE:
        return RIG_START_S + 100000 + n;
    case KMIP_TAG_PROCESS_START_DATE:
        return RIG_START_S + 200000 + n;
    case KMIP_TAG_PROTECT_STOP_DATE:
        return RIG_START_S + 300000 + n;
    case KMIP_TAG_DEACTIVATION_DATE:
        return RIG_START_S + 400000 + n;
    case KMIP_TAG_EXTRACTABLE:
        return 0;
    case KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM:
        return KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA;
    case KMIP_TAG_OPAQUE_DATA_TYPE:
        return 0x80000001;
    case KMIP_TAG_CRYPTOGRAPHIC_LENGTH:
        return 256;
    default:
        return 1 + n;
    }
}

/* The n-th value of an attribute (n is 0 or 1) appended to the list; false: a client has none to give. */
static bool
put_value(struct talk *t, const struct kmip_attr_rule *rule, unsigned n, struct kmip_attrs *attrs)
{
    if (rule->tag == KMIP_TAG_ATTRIBUTE) {
        put_vendor(t, attrs, "x", "note", n == 0 ? "one" : "two");
        return true;
    }
    if (rule->schema != NULL) {
        struct kmip_item *item = structure(t, rule->tag, n);
        attrs->present = true;
        return item != NULL && kmip_attrs_add(&t->arena, attrs, rule->tag, item) != NULL;
    }
    if (rule->type == KMIP_TYPE_TEXT_STRING) {
        put_text(t, attrs, rule->tag, n == 0 ? "one" : "two");
        return true;
    }
    if (rule->type == KMIP_TYPE_BYTE_STRING)
        return false;
    if (rule->type == KMIP_TYPE_REFERENCE || rule->type == KMIP_TYPE_NAME_REFERENCE) {
        struct kmip_item *item = kmip_item_new(&t->arena, rule->tag, rule->type);
        item->s = ks_span_str(n == 0 ? "one" : "two");
        attrs->present = true;
        return kmip_attrs_add(&t->arena, attrs, rule->tag, item) != NULL;
    }
    put_number(t, attrs, rule->tag, number(rule->tag, n));
    return true;
}

/* Objects */

static struct kmip_key_block *
key_block(struct bench *b, uint32_t format, uint32_t algorithm, int32_t bits, struct ks_span bytes)
{
    struct kmip_key_block *block = ks_arena_alloc(&b->t.arena, sizeof(*block));
    struct kmip_item *material = kmip_item_new(&b->t.arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
    struct kmip_item *value = kmip_item_new(&b->t.arena, KMIP_TAG_KEY_VALUE, KMIP_TYPE_STRUCTURE);
    material->s = bytes;
    kmip_item_append(value, material);
    *block = (struct kmip_key_block){.key_format_type = format,
                                     .key_value = value,
                                     .cryptographic_algorithm = algorithm,
                                     .has_cryptographic_algorithm = algorithm != 0,
                                     .cryptographic_length = bits,
                                     .has_cryptographic_length = bits != 0};
    return block;
}

/* Registers an object of a type with the attributes (they hold what the version has to have besides). */
/* 1.x asks for a Cryptographic Usage Mask with keys (required.def). */
static bool
wants_mask(const struct bench *b, uint32_t type, const struct kmip_attrs *attrs)
{
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next)
        if (a->tag == KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK)
            return false;
    return b->t.version < KMIP_V2_0 && (type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY || type == KMIP_OBJECT_TYPE_PUBLIC_KEY ||
                                        type == KMIP_OBJECT_TYPE_PRIVATE_KEY);
}

static const struct kmip_response_batch_item *
enrol(struct bench *b, uint32_t type, const struct kmip_attrs *attrs)
{
    static const uint8_t bytes[32] = {1, 2, 3};
    const struct ks_span raw = KS_SPAN(bytes, sizeof(bytes));
    const uint32_t ec = KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA;
    struct kmip_symmetric_key symmetric = {
        .key_block = key_block(b, KMIP_KEY_FORMAT_TYPE_RAW, KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA, 256, raw)};
    struct kmip_public_key public = {
        .key_block = key_block(b, KMIP_KEY_FORMAT_TYPE_X_509, ec, 256, ks_buf_span(&b->public_der))};
    struct kmip_private_key private = {
        .key_block = key_block(b, KMIP_KEY_FORMAT_TYPE_PKCS_8, ec, 256, ks_buf_span(&b->private_der))};
    struct kmip_split_key split = {.split_key_parts = 3,
                                   .key_part_identifier = 1,
                                   .split_key_threshold = 3,
                                   .split_key_method = KMIP_SPLIT_KEY_METHOD_XOR,
                                   .key_block = key_block(b, KMIP_KEY_FORMAT_TYPE_RAW, ec, 256, raw)};
    struct kmip_secret_data secret = {.secret_data_type = KMIP_SECRET_DATA_TYPE_SEED,
                                      .key_block = key_block(b, KMIP_KEY_FORMAT_TYPE_RAW, 0, 0, raw)};
    struct kmip_pgp_key pgp = {.pgp_key_version = 4, .key_block = key_block(b, KMIP_KEY_FORMAT_TYPE_RAW, ec, 256, raw)};
    struct kmip_opaque_object opaque = {.opaque_data_type = 0x80000001, .opaque_data_value = raw};
    struct kmip_certificate certificate = {.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
                                           .certificate_value = ks_buf_span(&b->t.rig.ca)};
    struct kmip_template template = {.attributes = {.present = true}};
    put_text(&b->t, &template.attributes, KMIP_TAG_CONTACT_INFORMATION, "inside");
    struct kmip_register_request r = {.object_type = type, .attributes = *attrs};
    r.attributes.present = true;
    const enum kmip_version version = b->t.version;
    if (wants_mask(b, type, attrs) && attrs->first == NULL) /* one without any attribute is made in 2.1 */
        b->t.version = KMIP_V2_1;
    else if (wants_mask(b, type, attrs))
        put_number(&b->t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_EXPORT);
    r.object.certificate = type == KMIP_OBJECT_TYPE_CERTIFICATE ? &certificate : NULL;
    r.object.symmetric_key = type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY ? &symmetric : NULL;
    r.object.public_key = type == KMIP_OBJECT_TYPE_PUBLIC_KEY ? &public : NULL;
    r.object.private_key = type == KMIP_OBJECT_TYPE_PRIVATE_KEY ? &private : NULL;
    r.object.split_key = type == KMIP_OBJECT_TYPE_SPLIT_KEY ? &split : NULL;
    r.object.secret_data = type == KMIP_OBJECT_TYPE_SECRET_DATA ? &secret : NULL;
    r.object.pgp_key = type == KMIP_OBJECT_TYPE_PGP_KEY ? &pgp : NULL;
    r.object.template = type == KMIP_OBJECT_TYPE_TEMPLATE ? &template : NULL;
    r.object.opaque_object = type == KMIP_OBJECT_TYPE_OPAQUE_OBJECT ? &opaque : NULL;
    const struct kmip_response_batch_item *item = talk_ask(&b->t, KMIP_OPERATION_REGISTER, &r);
    b->t.version = version;
    return item;
}

/* With the attribute, if `with` is set; in the version of the bench. */
static const char *
object_with(struct bench *b, uint32_t type, const struct kmip_attr_rule *with)
{
    struct kmip_attrs attrs = {.present = true};
    if (with != NULL)
        assert_true(put_value(&b->t, with, 0, &attrs));
    const struct kmip_response_batch_item *item = enrol(b, type, &attrs);
    if (item->result_status != KMIP_RESULT_STATUS_SUCCESS)
        fail_msg("Register: %.*s", (int)item->result_message.len, (const char *)item->result_message.data);
    return uid_string(&b->t, &((const struct kmip_register_response *)item->payload)->unique_identifier);
}

/* Outcomes: 0 is success, else the reason that the version has for it. */

static uint32_t
by(const struct bench *b, uint32_t old, uint32_t now)
{
    return b->t.version < KMIP_V2_0 ? old : now;
}

static uint32_t
misplaced(const struct bench *b, bool adding)
{
    return by(b, adding ? KMIP_RESULT_REASON_PERMISSION_DENIED : KMIP_RESULT_REASON_INVALID_FIELD,
              KMIP_RESULT_REASON_INVALID_ATTRIBUTE);
}

/* How the reason for what is the server's is called in Create, Modify and Delete; and in Add, Set and Adjust. */
static uint32_t
not_yours(const struct bench *b, bool adding)
{
    return by(b, KMIP_RESULT_REASON_PERMISSION_DENIED,
              adding ? KMIP_RESULT_REASON_READ_ONLY_ATTRIBUTE : KMIP_RESULT_REASON_ATTRIBUTE_READ_ONLY);
}

static uint32_t
absent(const struct bench *b, bool modifying)
{
    return by(b, modifying ? KMIP_RESULT_REASON_INVALID_FIELD : KMIP_RESULT_REASON_ITEM_NOT_FOUND,
              KMIP_RESULT_REASON_ATTRIBUTE_NOT_FOUND);
}

static void
compare(const struct bench *b, const char *what, uint32_t type, const struct kmip_attr_rule *rule, uint32_t wanted,
        const struct kmip_response_batch_item *item)
{
    const uint32_t got = item->result_status == KMIP_RESULT_STATUS_SUCCESS ? 0 : item->result_reason;
    const struct kmip_version_number v = kmip_version_number(b->t.version);
    if (got != wanted)
        fail_msg("%s %s, %s, KMIP %d.%d: wanted %s, got %s (%.*s)", what, kmip_tag_name(rule->tag),
                 kmip_enum_name(KMIP_TAG_OBJECT_TYPE, type), v.major, v.minor,
                 wanted != 0 ? kmip_enum_name(KMIP_TAG_RESULT_REASON, wanted) : "success",
                 got != 0 ? kmip_enum_name(KMIP_TAG_RESULT_REASON, got) : "success", (int)item->result_message.len,
                 (const char *)item->result_message.data);
}

static bool
has(struct bench *b, const char *id, const struct kmip_attr_rule *rule)
{
    if (rule->tag != KMIP_TAG_ATTRIBUTE)
        return attribute(&b->t, id, rule->tag) != NULL;
    struct kmip_attr_ref ref = {.tag = KMIP_TAG_ATTRIBUTE, .vendor = KS_LIT("x"), .name = KS_LIT("note"), .index = -1};
    const struct kmip_get_attributes_request r = {.unique_identifier = uid(id), .attribute_refs = {.n = 1, .v = &ref}};
    const struct kmip_get_attributes_response *response = talk_do(&b->t, KMIP_OPERATION_GET_ATTRIBUTES, &r);
    return response->attributes.first != NULL;
}

/* The requests, one each */

static const struct kmip_response_batch_item *
ask_add(struct bench *b, const char *id, const struct kmip_attr_rule *rule, unsigned n)
{
    struct kmip_add_attribute_request r = {.unique_identifier = uid(id)};
    assert_true(put_value(&b->t, rule, n, &r.new_attribute));
    return talk_ask(&b->t, KMIP_OPERATION_ADD_ATTRIBUTE, &r);
}

static const struct kmip_response_batch_item *
ask_modify(struct bench *b, const char *id, const struct kmip_attr_rule *rule)
{
    struct kmip_modify_attribute_request r = {.unique_identifier = uid(id)};
    assert_true(put_value(&b->t, rule, 1, &r.new_attribute));
    return talk_ask(&b->t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &r);
}

static const struct kmip_response_batch_item *
ask_set(struct bench *b, const char *id, const struct kmip_attr_rule *rule)
{
    struct kmip_set_attribute_request r = {.unique_identifier = uid(id)};
    assert_true(put_value(&b->t, rule, 1, &r.new_attribute));
    return talk_ask(&b->t, KMIP_OPERATION_SET_ATTRIBUTE, &r);
}

static struct kmip_attr_ref
reference(const struct kmip_attr_rule *rule)
{
    struct kmip_attr_ref ref = {.tag = rule->tag, .index = -1};
    if (rule->tag == KMIP_TAG_ATTRIBUTE) {
        ref.vendor = KS_LIT("x");
        ref.name = KS_LIT("note");
    }
    return ref;
}

static const struct kmip_response_batch_item *
ask_delete(struct bench *b, const char *id, const struct kmip_attr_rule *rule)
{
    struct kmip_attr_ref ref = reference(rule);
    const struct kmip_delete_attribute_request r = {.unique_identifier = uid(id),
                                                    .attribute_refs = {.n = 1, .v = &ref}};
    return talk_ask(&b->t, KMIP_OPERATION_DELETE_ATTRIBUTE, &r);
}

static const struct kmip_response_batch_item *
ask_adjust(struct bench *b, const char *id, const struct kmip_attr_rule *rule)
{
    struct kmip_attr_ref ref = reference(rule);
    const struct kmip_adjust_attribute_request r = {.unique_identifier = uid(id),
                                                    .attribute_refs = {.n = 1, .v = &ref},
                                                    .adjustment_type = rule->type == KMIP_TYPE_BOOLEAN
                                                                           ? KMIP_ADJUSTMENT_TYPE_NEGATE
                                                                           : KMIP_ADJUSTMENT_TYPE_INCREMENT};
    return talk_ask(&b->t, KMIP_OPERATION_ADJUST_ATTRIBUTE, &r);
}

/* The walk */

enum { SETS = KMIP_ATTR_CLIENT_SETS, MODIFIES = KMIP_ATTR_CLIENT_MODIFIES, DELETES = KMIP_ATTR_CLIENT_DELETES };

static bool
adjustable(uint8_t type)
{
    return type == KMIP_TYPE_INTEGER || type == KMIP_TYPE_INTERVAL || type == KMIP_TYPE_BOOLEAN ||
           type == KMIP_TYPE_DATE_TIME || type == KMIP_TYPE_LONG_INTEGER;
}

/* An attribute that the objects have not: nothing of it can be had, added or changed. */
static void
where_it_does_not_belong(struct bench *b, uint32_t type, const char *id, const struct kmip_attr_rule *rule)
{
    const bool sets = (rule->flags & SETS) != 0;
    assert_false(has(b, id, rule));
    compare(b, "Add", type, rule, sets ? misplaced(b, true) : not_yours(b, true), ask_add(b, id, rule, 0));
    compare(b, "Modify", type, rule, (rule->flags & MODIFIES) != 0 ? misplaced(b, false) : not_yours(b, false),
            ask_modify(b, id, rule));
    compare(b, "Delete", type, rule, (rule->flags & DELETES) != 0 ? misplaced(b, false) : not_yours(b, false),
            ask_delete(b, id, rule));
    struct kmip_attrs attrs = {.present = true};
    assert_true(put_value(&b->t, rule, 0, &attrs));
    compare(b, "Register with", type, rule,
            (rule->flags & (SETS | KMIP_ATTR_CLIENT_ASKS)) != 0 ? misplaced(b, false) : not_yours(b, false),
            enrol(b, type, &attrs));
}

/* What an operation that may not be done is answered, on an object that stays as it is. */
static void
what_may_not_be_done(struct bench *b, uint32_t type, const char *id, const struct kmip_attr_rule *rule)
{
    const bool there = has(b, id, rule), multi = (rule->flags & KMIP_ATTR_MULTI) != 0;
    if ((rule->flags & SETS) == 0)
        compare(b, "Add", type, rule, not_yours(b, true), ask_add(b, id, rule, 0));
    else if (there && !multi)
        compare(b, "Add another", type, rule,
                by(b, KMIP_RESULT_REASON_ILLEGAL_OPERATION, KMIP_RESULT_REASON_ATTRIBUTE_SINGLE_VALUED),
                ask_add(b, id, rule, 1));
    if ((rule->flags & MODIFIES) == 0)
        compare(b, "Modify", type, rule, not_yours(b, false), ask_modify(b, id, rule));
    else if (!there)
        compare(b, "Modify the absent", type, rule, absent(b, true), ask_modify(b, id, rule));
    if ((rule->flags & DELETES) == 0)
        compare(b, "Delete", type, rule, not_yours(b, false), ask_delete(b, id, rule));
    else if (!there)
        compare(b, "Delete the absent", type, rule, absent(b, false), ask_delete(b, id, rule));
    if (b->t.version >= KMIP_V2_0) {
        if ((rule->flags & (SETS | MODIFIES)) == 0)
            compare(b, "Set", type, rule, not_yours(b, true), ask_set(b, id, rule));
        else if (multi && rule->tag != KMIP_TAG_ATTRIBUTE)
            compare(b, "Set one of several", type, rule, KMIP_RESULT_REASON_MULTI_VALUED_ATTRIBUTE,
                    ask_set(b, id, rule));
        else if (there && (rule->flags & MODIFIES) == 0)
            compare(b, "Set what is set", type, rule, not_yours(b, true), ask_set(b, id, rule));
        if ((rule->flags & MODIFIES) == 0)
            compare(b, "Adjust", type, rule, not_yours(b, true), ask_adjust(b, id, rule));
        else if (!there && (rule->type == KMIP_TYPE_DATE_TIME || rule->type == 0))
            compare(b, "Adjust the absent", type, rule, absent(b, false), ask_adjust(b, id, rule));
        else if (!adjustable(rule->type))
            compare(b, "Adjust what is no number", type, rule, KMIP_RESULT_REASON_INVALID_DATA_TYPE,
                    ask_adjust(b, id, rule));
    }
    struct kmip_attrs attrs = {.present = true};
    assert_true(put_value(&b->t, rule, 0, &attrs));
    if ((rule->flags & (SETS | KMIP_ATTR_CLIENT_ASKS)) == 0)
        compare(b, "Register with", type, rule, not_yours(b, false), enrol(b, type, &attrs));
}

/* Opaque objects have no format: the published cases (OMOS-O-1) list none, although the table wants one of all objects.
 * The bytes of a PGP key are kept, not read: nothing is known of how it is signed. */
static bool
is_without(uint32_t type, const struct kmip_attr_rule *rule)
{
    return (rule->tag == KMIP_TAG_KEY_FORMAT_TYPE && type == KMIP_OBJECT_TYPE_OPAQUE_OBJECT) ||
           (rule->tag == KMIP_TAG_DIGITAL_SIGNATURE_ALGORITHM && type == KMIP_OBJECT_TYPE_PGP_KEY);
}

/* What may be done is done, and shows; an object of its own for each. */
static void
what_may_be_done(struct bench *b, uint32_t type, const char *bare, const struct kmip_attr_rule *rule)
{
    const bool there = has(b, bare, rule), multi = (rule->flags & KMIP_ATTR_MULTI) != 0;
    /* The format is that of the object in Register, whatever the attribute says. */
    if ((rule->flags & (SETS | KMIP_ATTR_CLIENT_ASKS)) != 0 && !is_without(type, rule) &&
        !has(b, object_with(b, type, rule), rule))
        fail_msg("Register with %s, type %u, version %u: it is not there", kmip_tag_name(rule->tag), (unsigned)type,
                 (unsigned)b->t.version);
    if ((rule->flags & SETS) == 0)
        return;
    if (!there) {
        const char *id = object_with(b, type, NULL);
        compare(b, "Add", type, rule, 0, ask_add(b, id, rule, 0));
        assert_true(has(b, id, rule));
        if (multi)
            compare(b, "Add a second", type, rule, 0, ask_add(b, id, rule, 1));
    }
    if ((rule->flags & MODIFIES) != 0) {
        const char *id = object_with(b, type, rule);
        compare(b, "Modify", type, rule, 0, ask_modify(b, id, rule));
    }
    if ((rule->flags & DELETES) != 0) {
        const char *id = object_with(b, type, rule);
        compare(b, "Delete", type, rule, 0, ask_delete(b, id, rule));
        assert_false(has(b, id, rule));
    }
    if (b->t.version < KMIP_V2_0)
        return;
    if (!multi && (!there || (rule->flags & MODIFIES) != 0)) {
        const char *id = object_with(b, type, NULL);
        compare(b, "Set", type, rule, 0, ask_set(b, id, rule));
        assert_true(has(b, id, rule));
    }
    if (adjustable(rule->type) && (rule->flags & MODIFIES) != 0 && rule->tag != KMIP_TAG_EXTRACTABLE &&
        rule->tag != KMIP_TAG_SENSITIVE) { /* those go one way: tested where secrecy is */
        const char *id = object_with(b, type, rule);
        compare(b, "Adjust", type, rule, 0, ask_adjust(b, id, rule));
    }
}

static void
every_rule(void **unused)
{
    (void)unused;
    struct bench b = {.private_der = KS_BUF(4096), .public_der = KS_BUF(4096)};
    KS_PKEY *key = NULL;
    const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
                                             .curve = KMIP_RECOMMENDED_CURVE_P_256};
    talk_open(&b.t);
    assert_int_equal(ks_keygen_pair(&params, &key, NULL), 0);
    assert_int_equal(ks_pkey_export(key, KMIP_KEY_FORMAT_TYPE_PKCS_8, true, &b.private_der, NULL), 0);
    assert_int_equal(ks_pkey_export(key, KMIP_KEY_FORMAT_TYPE_X_509, false, &b.public_der, NULL), 0);
    size_t n, belong = 0, not_belong = 0;
    const struct kmip_attr_rule *rules = kmip_attr_rules(&n);
    for (enum kmip_version v = KMIP_V1_0; v <= KMIP_V3_0; v++)
        for (size_t k = 0; k < KS_ARRAY_LEN(types); k++) {
            b.t.version = v;
            if (!kmip_enum_known(KMIP_TAG_OBJECT_TYPE, types[k], v))
                continue;
            const char *bare = object_with(&b, types[k], NULL);
            for (size_t i = 0; i < n; i++) {
                struct kmip_attrs sample = {0};
                if (v < rules[i].since || v > rules[i].until)
                    continue;
                /* Of what a client has no value to give, reading and deleting are left. */
                if (!put_value(&b.t, &rules[i], 0, &sample)) {
                    assert_int_equal(rules[i].flags & (SETS | MODIFIES | DELETES), 0);
                    compare(&b, "Delete", types[k], &rules[i], not_yours(&b, false), ask_delete(&b, bare, &rules[i]));
                    continue;
                }
                const bool applies = kmip_attr_applies(&rules[i], v, types[k]);
                if (applies) {
                    what_may_not_be_done(&b, types[k], bare, &rules[i]);
                    what_may_be_done(&b, types[k], bare, &rules[i]);
                } else {
                    where_it_does_not_belong(&b, types[k], bare, &rules[i]);
                }
                *(applies ? &belong : &not_belong) += 1;
            }
        }
    assert_true(belong > 1000);
    assert_true(not_belong > 500);
    ks_buf_done(&b.private_der);
    ks_buf_done(&b.public_der);
    talk_close(&b.t);
}

/* What always has a value has one, in every version that has it. */
static void
what_is_always_there(void **unused)
{
    (void)unused;
    struct bench b = {.private_der = KS_BUF(4096), .public_der = KS_BUF(4096)};
    KS_PKEY *key = NULL;
    const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
                                             .curve = KMIP_RECOMMENDED_CURVE_P_256};
    talk_open(&b.t);
    assert_int_equal(ks_keygen_pair(&params, &key, NULL), 0);
    assert_int_equal(ks_pkey_export(key, KMIP_KEY_FORMAT_TYPE_PKCS_8, true, &b.private_der, NULL), 0);
    assert_int_equal(ks_pkey_export(key, KMIP_KEY_FORMAT_TYPE_X_509, false, &b.public_der, NULL), 0);
    size_t n, tried = 0;
    const struct kmip_attr_rule *rules = kmip_attr_rules(&n);
    for (enum kmip_version v = KMIP_V1_0; v <= KMIP_V3_0; v++)
        for (size_t k = 0; k < KS_ARRAY_LEN(types); k++) {
            b.t.version = v;
            if (!kmip_enum_known(KMIP_TAG_OBJECT_TYPE, types[k], v))
                continue;
            const char *id = object_with(&b, types[k], NULL);
            for (size_t i = 0; i < n; i++) {
                if ((rules[i].flags & KMIP_ATTR_ALWAYS) == 0 || !kmip_attr_applies(&rules[i], v, types[k]) ||
                    is_without(types[k], &rules[i]))
                    continue;
                if (!has(&b, id, &rules[i]))
                    fail_msg("no %s, type %u, version %u", kmip_tag_name(rules[i].tag), (unsigned)types[k],
                             (unsigned)v);
                tried++;
            }
        }
    assert_true(tried > 300);
    ks_buf_done(&b.private_der);
    ks_buf_done(&b.public_der);
    talk_close(&b.t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule),
        cmocka_unit_test(what_is_always_there),
    };
    /* Thousands of changes, none of which has to outlive the test: memory will do. */
    if (access("/dev/shm", W_OK) == 0)
        (void)setenv("TMPDIR", "/dev/shm", 0);
    return cmocka_run_group_tests_name("attribute rules", tests, NULL, NULL);
}
