/* Values, attributes and payloads for fuzz_ops.c. */
#include "ops_draw.h"

uint32_t
draw(struct feed *f, uint32_t n)
{
    uint32_t v = 0;
    for (uint32_t left = n - 1; left != 0; left >>= 8)
        v = v << 8 | (f->pos < f->len ? f->data[f->pos++] : 0);
    return v % n;
}

void
pool_add(struct pool *pool, uint32_t tag, struct ks_span s)
{
    if (s.len > POOL_BYTES)
        return;
    /* No kind drives out the others. */
    struct value *v = NULL;
    size_t same = 0;
    for (size_t i = 0; i < pool->n && tag != KMIP_TAG_UNIQUE_IDENTIFIER; i++) {
        struct value *old = &pool->v[(pool->next + POOL - pool->n + i) % POOL];
        if (old->tag == tag && same++ == 0)
            v = old;
    }
    if (same < SAME_MOST) {
        v = &pool->v[pool->next];
        pool->next = (pool->next + 1) % POOL;
        pool->n += pool->n < POOL;
    }
    v->tag = tag;
    v->len = s.len;
    if (s.len != 0)
        memcpy(v->b, s.data, s.len);
}

struct ks_span
keep(struct feed *f, struct ks_span s)
{
    struct ks_span copy = KS_SPAN_NONE;
    FUZZ_ASSERT(ks_arena_span(f->arena, s, &copy) == 0);
    return copy;
}

void *
fresh(struct feed *f, size_t size)
{
    void *p = ks_arena_alloc(f->arena, size);
    FUZZ_ASSERT(p != NULL);
    return p;
}

/* ---- Values ---- */

static uint32_t
draw_enum(struct feed *f, uint32_t tag)
{
    if (tag == KMIP_TAG_OBJECT_TYPE && draw(f, 2) == 0)
        return KMIP_OBJECT_TYPE_SYMMETRIC_KEY;
    /* Most sets begin at 1 and have few values; what does not exist is asked for as well. */
    const uint32_t first = 1 + draw(f, 96);
    for (uint32_t i = 0; i < 96; i++) {
        const uint32_t value = 1 + (first + i) % 96;
        if (kmip_enum_known(tag, value, f->version))
            return value;
    }
    return first;
}

static int64_t
draw_number(struct feed *f)
{
    static const int64_t numbers[] = {0,   1,   2,   3,   4,   5,   8,    12,   16, 20,        32,       64,
                                      100, 128, 192, 256, 384, 512, 1000, 2048, -1, INT32_MIN, INT32_MAX};
    return numbers[draw(f, KS_ARRAY_LEN(numbers))];
}

/* What the kit has of that kind; empty: nothing. */
static struct ks_span
draw_kit(struct feed *f, uint32_t tag)
{
    const struct kit *kit = f->kit;
    switch (tag) {
    case KMIP_TAG_CERTIFICATE_SIGNING_REQUEST:
    case KMIP_TAG_CERTIFICATE_REQUEST:
    case KMIP_TAG_CERTIFICATE_REQUEST_VALUE:
        return ks_buf_span(&kit->request);
    case KMIP_TAG_CERTIFICATE_VALUE:
        return ks_buf_span(draw(f, 2) == 0 ? &kit->certificate : &kit->ca);
    case KMIP_TAG_KEY_MATERIAL:
        return kit->n_keys != 0 ? ks_buf_span(&kit->keys[draw(f, (uint32_t)kit->n_keys)]) : KS_SPAN_NONE;
    case KMIP_TAG_PASSPHRASE:
        return KIT_PASSPHRASE;
    case KMIP_TAG_DATA:
        return KS_LIT("sixteen bytes or so, for the modes");
    default:
        return KS_SPAN_NONE;
    }
}

static struct ks_span
draw_value_of(struct feed *f, const struct pool *pool, uint32_t tag, bool surely)
{
    for (size_t i = 0; i < pool->n; i++) {
        const struct value *v = &pool->v[(pool->next + POOL - 1 - i) % POOL];
        if (v->tag == tag && (surely || draw(f, 2) == 0))
            return keep(f, KS_SPAN(v->b, v->len));
    }
    return KS_SPAN_NONE;
}

static struct ks_span
draw_bytes(struct feed *f, uint32_t tag)
{
    static const size_t lengths[] = {0, 1, 8, 12, 16, 20, 24, 32, 48, 64, 100};
    const uint32_t which = draw(f, 8);
    struct ks_span found = KS_SPAN_NONE;
    if (which < 5)
        found = draw_kit(f, tag);
    if (which < 5 && found.len == 0)
        found = draw_value_of(f, &f->values, tag, which == 0);
    if (found.len != 0)
        return keep(f, found);
    if (which == 5 && f->values.n != 0) {
        const struct value *v = &f->values.v[draw(f, (uint32_t)f->values.n)];
        return keep(f, KS_SPAN(v->b, v->len));
    }
    if (which == 6)
        return keep(f, ks_buf_span(&f->kit->ca));
    const size_t len = lengths[draw(f, KS_ARRAY_LEN(lengths))];
    uint8_t *bytes = fresh(f, len + 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 7 + draw(f, 4));
    return KS_SPAN(bytes, len);
}

struct ks_span
draw_uid_text(struct feed *f)
{
    if (f->uids.n == 0 || draw(f, 16) == 0)
        return KS_LIT("01a20da9-0000-7000-8000-000000000000");
    if (f->mine.n != 0 && draw(f, 4) != 0) {
        const struct value *own = &f->mine.v[draw(f, (uint32_t)f->mine.n)];
        return keep(f, KS_SPAN(own->b, own->len));
    }
    const uint32_t most = f->uids.n > 8 && draw(f, 2) == 0 ? 8 : (uint32_t)f->uids.n; /* rather what is new */
    const struct value *v = &f->uids.v[(f->uids.next + POOL - 1 - draw(f, most)) % POOL];
    return keep(f, KS_SPAN(v->b, v->len));
}

static struct ks_span
draw_text(struct feed *f, uint32_t tag)
{
    static const char *const texts[] = {"a",    "b",      "group",           "",        "app",       "ssl",
                                        "ada",  "secret", "admin",           "client",  "x-purpose", "bob",
                                        "team", "other",  "www.example.com", "Keystead"};
    if (tag == KMIP_TAG_SUSPENSION_MODE && draw(f, 8) != 7)
        return draw(f, 2) == 0 ? KS_LIT("all") : KS_LIT("protect");
    const bool surely = tag == KMIP_TAG_ENROLLMENT_TOKEN;
    const struct ks_span found = surely || draw(f, 2) == 0 ? draw_value_of(f, &f->texts, tag, surely) : KS_SPAN_NONE;
    if (found.len != 0)
        return found;
    const uint32_t which = draw(f, KS_ARRAY_LEN(texts) + 2);
    return which < KS_ARRAY_LEN(texts) ? ks_span_str(texts[which]) : draw_uid_text(f);
}

static struct kmip_uid
draw_uid(struct feed *f)
{
    const uint32_t which = draw(f, 16);
    if (which == 14 || (f->item != 0 && which >= 10 && which < 14)) /* the ID Placeholder */
        return (struct kmip_uid){.type = 0};
    if (which == 15 && f->version >= KMIP_V2_0)
        return (struct kmip_uid){.type = KMIP_TYPE_ENUMERATION, .number = 1 + draw(f, 0x16)};
    return (struct kmip_uid){.type = f->version >= KMIP_V3_0 ? KMIP_TYPE_IDENTIFIER : KMIP_TYPE_TEXT_STRING,
                             .text = draw_uid_text(f)};
}

static struct kmip_item *
draw_leaf(struct feed *f, uint32_t tag, uint8_t type)
{
    struct kmip_item *item = kmip_item_new(f->arena, tag, (enum kmip_type)type);
    FUZZ_ASSERT(item != NULL);
    switch (type) {
    case KMIP_TYPE_INTEGER:
        item->i32 =
            kmip_tag_is_mask(tag) ? (int32_t)(draw(f, 4) == 0 ? draw(f, 1U << 30) : 0x3FFFFF) : (int32_t)draw_number(f);
        break;
    case KMIP_TYPE_LONG_INTEGER:
        item->i64 = draw_number(f);
        break;
    case KMIP_TYPE_DATE_TIME:
        item->i64 = f->now_us / 1000000 + (int64_t)draw(f, 7) * 10 - 30;
        break;
    case KMIP_TYPE_DATE_TIME_EXTENDED:
        item->i64 = f->now_us + (int64_t)draw(f, 7) * 10000000 - 30000000;
        break;
    case KMIP_TYPE_ENUMERATION:
        item->u32 = draw_enum(f, tag);
        break;
    case KMIP_TYPE_INTERVAL:
        item->u32 = draw(f, 4) * 20;
        break;
    case KMIP_TYPE_BOOLEAN:
        item->b = draw(f, 2) != 0;
        break;
    case KMIP_TYPE_BYTE_STRING:
    case KMIP_TYPE_BIG_INTEGER:
        item->s = draw_bytes(f, tag);
        if (type == KMIP_TYPE_BIG_INTEGER && (item->s.len == 0 || item->s.len % 8 != 0))
            item->s = KS_LIT("\0\0\0\0\0\1\0\1");
        break;
    case KMIP_TYPE_STRUCTURE:
        break;
    default:
        item->s = draw_text(f, tag);
    }
    return item;
}

/* ---- Attributes ---- */

static struct kmip_item *
draw_value(struct feed *f, const struct kmip_attr_rule *rule)
{
    if (rule->schema == NULL)
        return draw_leaf(f, rule->tag, rule->type != 0 ? rule->type : KMIP_TYPE_TEXT_STRING);
    void *from = fresh(f, rule->schema->size);
    struct kmip_item *item = NULL;
    draw_struct(f, rule->schema, from, DEPTH_MAX - 2);
    if (kmip_item_encode(rule->schema, f->version, from, f->arena, &item) != 0)
        return NULL;
    item->tag = rule->tag;
    return item;
}

void
add_number(struct feed *f, struct kmip_attrs *attrs, uint32_t tag, uint8_t type, uint32_t number)
{
    struct kmip_item *item = kmip_item_new(f->arena, tag, (enum kmip_type)type);
    FUZZ_ASSERT(item != NULL);
    item->u32 = number;
    FUZZ_ASSERT(kmip_attrs_add(f->arena, attrs, tag, item) != NULL);
}

void
add_date(struct feed *f, struct kmip_attrs *attrs, uint32_t tag, int64_t seconds)
{
    struct kmip_item *item = kmip_item_new(f->arena, tag, KMIP_TYPE_DATE_TIME);
    FUZZ_ASSERT(item != NULL);
    item->i64 = seconds;
    FUZZ_ASSERT(kmip_attrs_add(f->arena, attrs, tag, item) != NULL);
}

/* What makes a key, so that stories have something to be about. */
static void
add_key_attributes(struct feed *f, struct kmip_attrs *attrs)
{
    static const struct {
        uint32_t algorithm, length;
    } keys[] = {{KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 128},  {KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 256},
                {KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 512},  {KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES, 192},
                {KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, 256},   {KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA, 256},
                {KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH, 384}, {KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, 256}};
    const uint32_t which = draw(f, KS_ARRAY_LEN(keys));
    add_number(f, attrs, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_TYPE_ENUMERATION, keys[which].algorithm);
    add_number(f, attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, KMIP_TYPE_INTEGER, keys[which].length);
    add_number(f, attrs, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_TYPE_INTEGER, 0xFFFFF);
    if (draw(f, 4) != 0)
        add_date(f, attrs, KMIP_TAG_ACTIVATION_DATE, f->now_us / 1000000 - 10);
}

void
add_custom(struct feed *f, struct kmip_attrs *attrs)
{
    struct kmip_attr *custom = kmip_attrs_add(f->arena, attrs, KMIP_TAG_ATTRIBUTE,
                                              draw_leaf(f, KMIP_TAG_ATTRIBUTE_VALUE, KMIP_TYPE_TEXT_STRING));
    FUZZ_ASSERT(custom != NULL);
    custom->vendor = KS_LIT("x");
    custom->name = KS_LIT("purpose");
}

static void
add_name(struct feed *f, struct kmip_attrs *attrs)
{
    const struct kmip_name name = {.name_value = draw_text(f, KMIP_TAG_NAME_VALUE), .name_type = 1};
    struct kmip_item *item = NULL;
    FUZZ_ASSERT(kmip_item_encode(&kmip_schema_name, KMIP_V2_1, &name, f->arena, &item) == 0);
    FUZZ_ASSERT(kmip_attrs_add(f->arena, attrs, KMIP_TAG_NAME, item) != NULL);
}

static void
draw_attributes(struct feed *f, struct kmip_attrs *attrs, bool single)
{
    size_t n_rules;
    const struct kmip_attr_rule *rules = kmip_attr_rules(&n_rules);
    attrs->present = true;
    if (!single && f->for_admin)
        add_name(f, attrs);
    else if (!single && draw(f, 4) != 0)
        add_key_attributes(f, attrs);
    for (uint32_t n = single ? 1 : draw(f, 1 + draw(f, ATTRIBUTES_MAX)); n != 0; n--) {
        const struct kmip_attr_rule *rule = &rules[draw(f, (uint32_t)n_rules)];
        if (draw(f, 8) == 0) {
            add_custom(f, attrs);
            continue;
        }
        if (rule->since > f->version || rule->until < f->version)
            continue;
        struct kmip_item *value = draw_value(f, rule);
        if (value != NULL)
            FUZZ_ASSERT(kmip_attrs_add(f->arena, attrs, rule->tag, value) != NULL);
    }
}

static void
draw_refs(struct feed *f, struct kmip_attr_refs *refs)
{
    size_t n_rules;
    const struct kmip_attr_rule *rules = kmip_attr_rules(&n_rules);
    refs->n = draw(f, 4) != 3 ? 1 : draw(f, 4);
    refs->v = fresh(f, (refs->n + 1) * sizeof(*refs->v));
    for (size_t i = 0; i < refs->n; i++) {
        const struct kmip_attr_rule *rule = &rules[draw(f, (uint32_t)n_rules)];
        refs->v[i] = (struct kmip_attr_ref){.tag = rule->tag, .index = -1};
        if (draw(f, 3) == 0)
            refs->v[i] = (struct kmip_attr_ref){
                .tag = KMIP_TAG_ATTRIBUTE, .vendor = KS_LIT("x"), .name = KS_LIT("purpose"), .index = -1};
    }
}

/* ---- Structures, by their rows ---- */

/* Key Value, Credential Value and the like: bytes, or a structure of one of the schemas that has the tag. */
static struct kmip_item *
draw_item(struct feed *f, uint32_t tag, unsigned depth)
{
    size_t n_schemas;
    const struct kmip_schema *const *schemas = kmip_schemas(&n_schemas);
    const uint32_t first = draw(f, (uint32_t)n_schemas);
    if (depth < DEPTH_MAX && draw(f, 4) != 0) {
        for (size_t i = 0; i < n_schemas; i++) {
            const struct kmip_schema *schema = schemas[(first + i) % n_schemas];
            struct kmip_item *item = NULL;
            if (schema->tag != tag)
                continue;
            void *from = fresh(f, schema->size);
            draw_struct(f, schema, from, depth + 1);
            if (kmip_item_encode(schema, f->version, from, f->arena, &item) == 0)
                return item;
        }
    }
    return draw_leaf(f, tag, tag == KMIP_TAG_ATTRIBUTE_VALUE ? KMIP_TYPE_TEXT_STRING : KMIP_TYPE_BYTE_STRING);
}

/* Parameters that go together; drawn one by one they hardly ever do. */
static void
draw_parameters(struct feed *f, struct kmip_cryptographic_parameters *p)
{
    static const struct kmip_cryptographic_parameters sets[] = {
        {.has_block_cipher_mode = true,
         .block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_CBC,
         .has_padding_method = true,
         .padding_method = KMIP_PADDING_METHOD_PKCS5},
        {.has_block_cipher_mode = true,
         .block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM,
         .has_tag_length = true,
         .tag_length = 16},
        {.has_block_cipher_mode = true,
         .block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM,
         .has_random_iv = true,
         .random_iv = true},
        {.has_block_cipher_mode = true,
         .block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_CTR,
         .has_random_iv = true,
         .random_iv = true},
        {.has_block_cipher_mode = true, .block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP},
        {.has_hashing_algorithm = true, .hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256},
        {.has_digital_signature_algorithm = true,
         .digital_signature_algorithm = KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA256},
        {.has_cryptographic_algorithm = true, .cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256},
    };
    *p = sets[draw(f, KS_ARRAY_LEN(sets))];
}

/* An AES key as it is. */
static void
draw_aes(struct feed *f, struct kmip_key_block *block)
{
    struct kmip_item *material = kmip_item_new(f->arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
    struct kmip_key_value value = {.key_material = material};
    FUZZ_ASSERT(material != NULL);
    uint8_t *bytes = fresh(f, 32);
    for (size_t i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(i + draw(f, 8));
    material->s = KS_SPAN(bytes, 16U << draw(f, 2));
    block->key_format_type = KMIP_KEY_FORMAT_TYPE_RAW;
    block->has_cryptographic_algorithm = block->has_cryptographic_length = true;
    block->cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES;
    block->cryptographic_length = (int32_t)material->s.len * 8;
    FUZZ_ASSERT(kmip_item_encode(&kmip_schema_key_value, f->version, &value, f->arena, &block->key_value) == 0);
}

static void
draw_one(struct feed *f, const struct kmip_field *field, uint8_t *to, unsigned depth)
{
    struct kmip_item *leaf;
    switch ((enum kmip_kind)field->kind) {
    case KMIP_KIND_INT:
        *(int32_t *)to = (int32_t)draw_number(f);
        break;
    case KMIP_KIND_MASK:
        *(uint32_t *)to = draw(f, 4) == 0 ? draw(f, 1U << 24) : 0xFFFFF;
        break;
    case KMIP_KIND_LONG:
    case KMIP_KIND_DATE:
    case KMIP_KIND_DATEX:
        leaf = draw_leaf(f, field->tag,
                         field->kind == KMIP_KIND_LONG   ? KMIP_TYPE_LONG_INTEGER
                         : field->kind == KMIP_KIND_DATE ? KMIP_TYPE_DATE_TIME
                                                         : KMIP_TYPE_DATE_TIME_EXTENDED);
        *(int64_t *)to = leaf->i64;
        break;
    case KMIP_KIND_BIG:
        *(struct ks_span *)to = draw_leaf(f, field->tag, KMIP_TYPE_BIG_INTEGER)->s;
        break;
    case KMIP_KIND_ENUM:
        *(uint32_t *)to = draw_enum(f, field->tag);
        break;
    case KMIP_KIND_BOOL:
        *(bool *)to = draw(f, 2) != 0;
        break;
    case KMIP_KIND_TEXT:
        *(struct ks_span *)to = draw_text(f, field->tag);
        break;
    case KMIP_KIND_BYTES:
        *(struct ks_span *)to = draw_bytes(f, field->tag);
        break;
    case KMIP_KIND_INTERVAL:
        *(uint32_t *)to = draw(f, 4) * 20;
        break;
    case KMIP_KIND_UID:
        *(struct kmip_uid *)to = draw_uid(f);
        break;
    case KMIP_KIND_ITEM:
        *(struct kmip_item **)to = draw_item(f, field->tag, depth);
        break;
    case KMIP_KIND_ATTRS_T:
    case KMIP_KIND_ATTRS_1:
    case KMIP_KIND_ATTRS_2:
        draw_attributes(f, (struct kmip_attrs *)to,
                        field->tag == KMIP_TAG_ATTRIBUTE || field->tag == KMIP_TAG_NEW_ATTRIBUTE ||
                            field->tag == KMIP_TAG_CURRENT_ATTRIBUTE);
        break;
    case KMIP_KIND_REFS_1:
    case KMIP_KIND_REFS_2:
        draw_refs(f, (struct kmip_attr_refs *)to);
        break;
    case KMIP_KIND_STRUCT:
        *(void **)to = fresh(f, field->sub->size);
        if (field->sub == &kmip_schema_key_block && draw(f, 4) != 0)
            draw_aes(f, *(void **)to);
        else if (field->sub == &kmip_schema_cryptographic_parameters && draw(f, 4) != 0)
            draw_parameters(f, *(void **)to);
        else
            draw_struct(f, field->sub, *(void **)to, depth + 1);
        break;
    case KMIP_KIND_GROUP:
        draw_struct(f, field->sub, to, depth);
        break;
    case KMIP_KIND_PAYLOAD:
        break; /* the message's own */
    }
}

/* Whether a field that can be left out is there: what most requests are about mostly is. */
static bool
draw_whether(struct feed *f, const struct kmip_field *field, unsigned depth)
{
    if (depth > DEPTH_MAX)
        return false;
    if (field->tag == KMIP_TAG_CORRELATION_VALUE)
        return draw_value_of(f, &f->values, field->tag, true).len != 0 && draw(f, 2) == 0;
    if (field->tag == KMIP_TAG_INIT_INDICATOR || field->tag == KMIP_TAG_FINAL_INDICATOR)
        return draw(f, 4) == 3;
    if (field->tag == KMIP_TAG_CRYPTOGRAPHIC_PARAMETERS && depth == 0)
        return draw(f, 4) != 3;
    if (field->tag == KMIP_TAG_DATA || (depth == 0 && field->kind == KMIP_KIND_UID && f->item == 0))
        return draw(f, 16) != 15;
    return draw(f, 1 + f->sparse) == 0;
}

void
draw_struct(struct feed *f, const struct kmip_schema *schema, void *to, unsigned depth)
{
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct kmip_field *field = &schema->fields[i];
        uint8_t *const member = (uint8_t *)to + field->at;
        if (!kmip_field_in(field, f->version))
            continue;
        const bool many = field->card == KMIP_CARD_MANY || field->card == KMIP_CARD_SOME;
        if (field->card == KMIP_CARD_OPT && !draw_whether(f, field, depth))
            continue;
        if (!many) {
            draw_one(f, field, member, depth);
            if (field->card == KMIP_CARD_OPT && field->count_at != KMIP_FIELD_NO_COUNT)
                *(bool *)((uint8_t *)to + field->count_at) = true;
            continue;
        }
        const size_t n =
            (field->card == KMIP_CARD_SOME) + (depth > DEPTH_MAX || draw(f, f->sparse) != 0 ? 0 : draw(f, 3));
        uint8_t *array = fresh(f, (n + 1) * field->member_size);
        for (size_t k = 0; k < n; k++)
            draw_one(f, field, array + k * field->member_size, depth);
        *(void **)member = array;
        *(size_t *)((uint8_t *)to + field->count_at) = n;
    }
}
