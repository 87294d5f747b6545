/*
 * The walkers over every schema in every version that has it: what a program fills in survives encoding and decoding,
 * passes the check, and shows no secret in a dump. Filled in minimally, maximally, and at random (always the same).
 */
#include "kmip_testing.h"

enum mode { MINIMAL, MAXIMAL, RANDOM };
enum { RANDOM_ROUNDS = 4, DEPTH = 6 };

static const char secret_text[] = "S3CRET-that-no-dump-may-show";

struct builder {
    struct ks_arena *arena;
    enum kmip_version version;
    enum mode mode;
    uint64_t seed;
    const struct kmip_operation *operation; /* of the batch item being filled in */
};

static uint32_t
draw(struct builder *b, uint32_t below)
{
    b->seed = b->seed * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(b->seed >> 33) % below;
}

static void *
alloc(struct builder *b, size_t n, size_t size)
{
    void *p = ks_arena_array(b->arena, n, size);
    assert_non_null(p);
    return p;
}

static struct ks_span
some_text(struct builder *b)
{
    static const char *const texts[] = {"", "a", "key", "longer than eight bytes", "\xc3\xa9\xf0\x9f\x94\x91 <&\">"};
    return ks_span_str(texts[draw(b, KS_ARRAY_LEN(texts))]);
}

static uint32_t
some_enum(struct builder *b, uint32_t tag)
{
    for (unsigned tries = 0; tries < 200; tries++) {
        const uint32_t value = 1 + draw(b, 40);
        if (kmip_enum_known(tag, value, b->version))
            return value;
    }
    return 0x80000001; /* an extension is always allowed */
}

static const struct kmip_operation *
some_operation(struct builder *b)
{
    size_t n;
    const struct kmip_operation *all = kmip_operations(&n);
    for (;;) {
        const struct kmip_operation *op = &all[draw(b, (uint32_t)n)];
        if (op->since <= b->version && b->version <= op->until)
            return op;
    }
}

static struct kmip_item *
some_item(struct builder *b, uint32_t tag)
{
    struct kmip_item *item = kmip_item_new(b->arena, tag, KMIP_TYPE_STRUCTURE);
    assert_non_null(item);
    if (draw(b, 2) == 0) {
        item->type = KMIP_TYPE_BYTE_STRING;
        item->s = KS_LIT("bytes");
        return item;
    }
    struct kmip_item *child = kmip_item_new(b->arena, 0x54FFFF, KMIP_TYPE_LONG_INTEGER);
    assert_non_null(child);
    child->i64 = -5;
    kmip_item_append(item, child);
    return item;
}

static void fill(struct builder *b, const struct kmip_schema *schema, void *base, unsigned depth);

/* The value of an attribute, in the form that it has in memory. */
static struct kmip_item *
attribute_value(struct builder *b, const struct kmip_attr_rule *rule, unsigned depth)
{
    struct kmip_item *item = kmip_item_new(b->arena, rule->tag, (enum kmip_type)rule->type);
    assert_non_null(item);
    switch (rule->type) {
    case KMIP_TYPE_STRUCTURE:
        if (rule->schema != NULL) {
            void *value = alloc(b, 1, rule->schema->size);
            fill(b, rule->schema, value, depth + 1);
            assert_int_equal(kmip_item_encode(rule->schema, b->version, value, b->arena, &item), 0);
            item->tag = rule->tag;
        }
        break;
    case KMIP_TYPE_ENUMERATION:
        item->u32 = some_enum(b, rule->tag);
        break;
    case KMIP_TYPE_BIG_INTEGER:
        item->s = KS_LIT("\0\0\0\0\0\0\0\1");
        break;
    case KMIP_TYPE_TEXT_STRING:
    case KMIP_TYPE_BYTE_STRING:
    case KMIP_TYPE_IDENTIFIER:
    case KMIP_TYPE_REFERENCE:
    case KMIP_TYPE_NAME_REFERENCE:
        item->s = some_text(b);
        break;
    case KMIP_TYPE_BOOLEAN:
        item->b = true;
        break;
    default:
        item->i64 = 0;
        item->u32 = 12;
    }
    return item;
}

static void
fill_attrs(struct builder *b, const struct kmip_field *f, struct kmip_attrs *attrs, unsigned depth)
{
    size_t n_rules;
    const struct kmip_attr_rule *rules = kmip_attr_rules(&n_rules);
    attrs->present = true;
    const size_t n = b->mode == MAXIMAL ? n_rules : b->mode == RANDOM ? 1 + draw(b, 4) : 1;
    for (size_t i = 0; i < n; i++) {
        const struct kmip_attr_rule *rule = &rules[b->mode == MAXIMAL ? i : draw(b, (uint32_t)n_rules)];
        if (rule->since > b->version || rule->until < b->version || depth >= DEPTH)
            rule = kmip_attr_rule_find(KMIP_TAG_CRYPTOGRAPHIC_LENGTH);
        /* The forms of 3.0 that are not those in memory have their own tests (test_shape). */
        if (b->version >= KMIP_V3_0 && (rule->since >= KMIP_V3_0 || rule->tag == KMIP_TAG_NAME))
            continue;
        const bool vendor = rule->tag == KMIP_TAG_ATTRIBUTE;
        struct kmip_attr *attr =
            kmip_attrs_add(b->arena, attrs, rule->tag,
                           vendor ? some_item(b, KMIP_TAG_ATTRIBUTE_VALUE) : attribute_value(b, rule, depth));
        assert_non_null(attr);
        if (vendor) {
            attr->vendor = KS_LIT("x");
            attr->name = KS_LIT("Rack");
        }
        if (f->kind != KMIP_KIND_ATTRS_2 && draw(b, 2) == 0)
            attr->index = (int32_t)i;
    }
}

static void
fill_refs(struct builder *b, struct kmip_attr_refs *refs)
{
    const size_t n = b->mode == MAXIMAL ? 9 : 1 + draw(b, 2);
    refs->v = alloc(b, n, sizeof(*refs->v));
    refs->n = n;
    for (size_t i = 0; i < n; i++) {
        refs->v[i] = (struct kmip_attr_ref){.index = -1, .tag = KMIP_TAG_CRYPTOGRAPHIC_LENGTH};
        if (i % 2 == 1)
            refs->v[i] = (struct kmip_attr_ref){
                .index = -1, .tag = KMIP_TAG_ATTRIBUTE, .vendor = KS_LIT("y"), .name = KS_LIT("Rack")};
    }
}

static void
fill_uid(struct builder *b, struct kmip_uid *uid)
{
    *uid = (struct kmip_uid){.type = KMIP_TYPE_TEXT_STRING, .text = some_text(b)};
    const uint32_t form = draw(b, 4);
    if (b->version >= KMIP_V3_0)
        uid->type = form == 3 ? (uint8_t)KMIP_TYPE_NAME_REFERENCE : (uint8_t)KMIP_TYPE_IDENTIFIER;
    if (b->version >= KMIP_V2_0 && form == 1)
        *uid = (struct kmip_uid){.type = KMIP_TYPE_ENUMERATION, .number = 1};
    if (b->version >= KMIP_V2_0 && form == 2)
        *uid = (struct kmip_uid){.type = KMIP_TYPE_INTEGER, .number = (uint32_t)-2};
}

static void
fill_value(struct builder *b, const struct kmip_field *f, void *at, unsigned depth)
{
    void *sub;
    switch (f->kind) {
    case KMIP_KIND_INT:
    case KMIP_KIND_MASK:
    case KMIP_KIND_INTERVAL:
        *(uint32_t *)at = draw(b, 2) == 0 ? UINT32_MAX - 1 : draw(b, 1000);
        return;
    case KMIP_KIND_LONG:
        *(int64_t *)at = -(int64_t)draw(b, 1000);
        return;
    case KMIP_KIND_DATE:
    case KMIP_KIND_DATEX:
        *(int64_t *)at = 1205495800 + draw(b, 100000);
        return;
    case KMIP_KIND_BIG:
        *(struct ks_span *)at = KS_LIT("\xff\0\0\0\0\0\0\x7f");
        return;
    case KMIP_KIND_ENUM:
        *(uint32_t *)at = f->tag == KMIP_TAG_OPERATION ? b->operation->value : some_enum(b, f->tag);
        return;
    case KMIP_KIND_BOOL:
        *(bool *)at = draw(b, 2) == 0;
        return;
    case KMIP_KIND_TEXT:
    case KMIP_KIND_BYTES:
        *(struct ks_span *)at = (f->flags & KMIP_FIELD_SECRET) != 0 ? ks_span_str(secret_text) : some_text(b);
        return;
    case KMIP_KIND_UID:
        fill_uid(b, at);
        return;
    case KMIP_KIND_ITEM:
        *(struct kmip_item **)at = some_item(b, f->tag);
        return;
    case KMIP_KIND_STRUCT:
        sub = alloc(b, 1, f->sub->size);
        fill(b, f->sub, sub, depth + 1);
        *(void **)at = sub;
        return;
    case KMIP_KIND_PAYLOAD: {
        const struct kmip_schema *schema =
            f->tag == KMIP_TAG_REQUEST_PAYLOAD ? b->operation->request : b->operation->response;
        sub = alloc(b, 1, schema->size);
        fill(b, schema, sub, depth + 1);
        *(void **)at = sub;
        return;
    }
    case KMIP_KIND_REFS_1:
    case KMIP_KIND_REFS_2:
        fill_refs(b, at);
        return;
    default:
        fill_attrs(b, f, at, depth);
    }
}

static void
fill(struct builder *b, const struct kmip_schema *schema, void *base, unsigned depth)
{
    const struct kmip_operation *outer = b->operation;
    b->operation = some_operation(b);
    if (schema == &kmip_schema_protocol_version) {
        struct kmip_protocol_version *v = base;
        v->protocol_version_major = kmip_version_number(b->version).major;
        v->protocol_version_minor = kmip_version_number(b->version).minor;
        b->operation = outer;
        return;
    }
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct kmip_field *f = &schema->fields[i];
        uint8_t *at = (uint8_t *)base + f->at;
        if (f->kind == KMIP_KIND_GROUP) {
            fill(b, f->sub, at, depth);
            continue;
        }
        /* Without an Operation nobody could tell what the payload is. */
        const bool required = f->card == KMIP_CARD_ONE || f->card == KMIP_CARD_SOME || f->tag == KMIP_TAG_OPERATION;
        const bool wanted = b->mode == MAXIMAL || (b->mode == RANDOM && draw(b, 2) == 0);
        if (!kmip_field_in(f, b->version) || !(required || (wanted && depth < DEPTH)))
            continue;
        if (f->card == KMIP_CARD_MANY || f->card == KMIP_CARD_SOME) {
            const size_t n = b->mode == MINIMAL ? 1 : 1 + draw(b, 6);
            uint8_t *array = alloc(b, n, f->member_size);
            *(void **)(void *)at = array;
            *(size_t *)(void *)((uint8_t *)base + f->count_at) = n;
            for (size_t j = 0; j < n; j++)
                fill_value(b, f, array + j * f->member_size, depth);
            continue;
        }
        fill_value(b, f, at, depth);
        if (f->count_at != KMIP_FIELD_NO_COUNT)
            *(bool *)((uint8_t *)base + f->count_at) = true;
    }
    b->operation = outer;
}

static const char *
what(const struct builder *b, const struct kmip_schema *schema)
{
    static char text[200];
    snprintf(text, sizeof(text), "%s, version %d.%d, mode %d, seed %llu", schema->name,
             kmip_version_number(b->version).major, kmip_version_number(b->version).minor, b->mode,
             (unsigned long long)b->seed);
    return text;
}

static void
no_secret_in_dump(const struct builder *b, const struct kmip_schema *schema, const void *from)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf dump = KS_BUF(1 << 22), hex = KS_BUF(4096), all = KS_BUF(1 << 22);
    struct ks_diag diag = {0};
    if (kmip_dump(schema, b->version, from, false, &dump, &diag) != 0 ||
        kmip_dump(schema, b->version, from, true, &all, &diag) != 0)
        fail_msg("%s: %s", what(b, schema), ks_diag_text(&diag));
    ks_hex_add(&hex, secret_text, strlen(secret_text));
    const char *text = ks_buf_cstr(&dump);
    if (strstr(text, secret_text) != NULL || strstr(text, ks_buf_cstr(&hex)) != NULL)
        fail_msg("%s: a secret in\n%s", what(b, schema), text);
    assert_true(all.len >= dump.len || dump.len != 0);
}

static void
survives(struct builder *b, const struct kmip_schema *schema)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf ttlv = KS_BUF(1 << 22), again = KS_BUF(1 << 22);
    struct ks_diag diag = {0};
    struct kmip_ttlv_writer w;
    struct kmip_item *item;
    static const struct kmip_limits limits = {4 << 20, 64, 1 << 20, 1 << 20};
    void *built = alloc(b, 1, schema->size), *decoded;
    fill(b, schema, built, 0);
    if (kmip_check(schema, b->version, built, &diag) != 0)
        fail_msg("%s: check: %s", what(b, schema), ks_diag_text(&diag));
    kmip_ttlv_writer_init(&w, &ttlv, &diag);
    struct kmip_encoder e = {.w = &w.base, .version = b->version, .diag = &diag};
    if (kmip_encode_struct(&e, schema, schema->tag, built) != 0)
        fail_msg("%s: encode: %s", what(b, schema), ks_diag_text(&diag));
    if (kmip_item_from_ttlv(ks_buf_span(&ttlv), &limits, b->arena, &item, &diag) != 0 ||
        kmip_item_decode(schema, b->version, item, b->arena, &decoded, &diag) != 0)
        fail_msg("%s: decode: %s", what(b, schema), ks_diag_text(&diag));
    if (!kmip_equal(schema, built, decoded)) {
        KS_CLEANUP(ks_buf_done) struct ks_buf x = KS_BUF(1 << 22), y = KS_BUF(1 << 22);
        assert_int_equal(kmip_dump(schema, b->version, built, true, &x, NULL), 0);
        assert_int_equal(kmip_dump(schema, b->version, decoded, true, &y, NULL), 0);
        fail_msg("%s: was\n%s\nis\n%s", what(b, schema), ks_buf_cstr(&x), ks_buf_cstr(&y));
    }
    kmip_ttlv_writer_init(&w, &again, &diag);
    assert_int_equal(kmip_encode_struct(&e, schema, schema->tag, decoded), 0);
    assert_bytes(ks_buf_span(&again), ks_buf_span(&ttlv));
    no_secret_in_dump(b, schema, built);
}

/* Versions in which the schema has a field at all, or that all have if it has none. */
static bool
is_in(const struct kmip_schema *schema, enum kmip_version version)
{
    for (size_t i = 0; i < schema->n_fields; i++)
        if (schema->fields[i].kind == KMIP_KIND_GROUP || kmip_field_in(&schema->fields[i], version))
            return true;
    return schema->n_fields == 0;
}

static void
every_schema_survives_in_every_version(void **state)
{
    (void)state;
    size_t n, tried = 0;
    const struct kmip_schema *const *all = kmip_schemas(&n);
    for (size_t i = 0; i < n; i++)
        for (unsigned version = 0; version < KMIP_VERSION_COUNT; version++) {
            if (all[i]->tag == 0 || !is_in(all[i], (enum kmip_version)version))
                continue;
            for (unsigned mode = MINIMAL; mode < RANDOM + RANDOM_ROUNDS; mode++) {
                KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(64 << 20);
                struct builder b = {.arena = &arena,
                                    .version = (enum kmip_version)version,
                                    .mode = mode < RANDOM ? (enum mode)mode : RANDOM,
                                    .seed = i * 1000 + version * 10 + mode};
                survives(&b, all[i]);
                tried++;
            }
        }
    print_message("%zu schemas, %zu structs\n", n, tried);
    assert_true(tried > 5000);
}

static void
messages_survive_every_encoding(void **state)
{
    static const enum kmip_encoding encodings[] = {KMIP_ENCODING_TTLV, KMIP_ENCODING_JSON, KMIP_ENCODING_XML};
    static const struct kmip_limits limits = {4 << 20, 64, 1 << 20, 1 << 20};
    (void)state;
    for (unsigned round = 0; round < 40 * KMIP_VERSION_COUNT; round++)
        for (size_t i = 0; i < KS_ARRAY_LEN(encodings); i++) {
            KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(64 << 20);
            KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(4 << 20);
            struct builder b = {.arena = &arena,
                                .version = (enum kmip_version)(round % KMIP_VERSION_COUNT),
                                .mode = RANDOM,
                                .seed = round};
            struct kmip_request_message *request = alloc(&b, 1, sizeof(*request)), *request_again;
            struct kmip_response_message *response = alloc(&b, 1, sizeof(*response)), *response_again;
            struct kmip_any_reader reader;
            struct kmip_any_writer writer;
            struct kmip_reader *r;
            struct kmip_writer *w;
            struct ks_diag diag = {0};
            fill(&b, &kmip_schema_request_message, request, 0);
            fill(&b, &kmip_schema_response_message, response, 0);
            if (kmip_write_to(encodings[i], false, &writer, &out, &w, &diag) != 0 ||
                kmip_request_write(request, w, &diag) != 0 ||
                kmip_read_from(encodings[i], ks_buf_span(&out), &limits, &arena, &reader, &r, &diag) != 0 ||
                kmip_request_read(r, &arena, &request_again, &diag) != 0)
                fail_msg("%s", ks_diag_text(&diag));
            assert_true(kmip_equal(&kmip_schema_request_message, request, request_again));
            ks_buf_reset(&out);
            if (kmip_write_to(encodings[i], false, &writer, &out, &w, &diag) != 0 ||
                kmip_response_write(response, w, &diag) != 0 ||
                kmip_read_from(encodings[i], ks_buf_span(&out), &limits, &arena, &reader, &r, &diag) != 0 ||
                kmip_response_read(r, &arena, &response_again, &diag) != 0)
                fail_msg("%s", ks_diag_text(&diag));
            assert_true(kmip_equal(&kmip_schema_response_message, response, response_again));
        }
}

/* A difference in any one field is seen. */
static void
equal_sees_every_difference(void **state)
{
    (void)state;
    size_t n, seen = 0;
    const struct kmip_schema *const *all = kmip_schemas(&n);
    for (size_t i = 0; i < n; i++) {
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(64 << 20);
        struct builder b = {.arena = &arena, .version = KMIP_V2_1, .mode = MAXIMAL, .seed = i};
        uint8_t *base = alloc(&b, 1, all[i]->size), *other = alloc(&b, 1, all[i]->size);
        fill(&b, all[i], base, 0);
        assert_true(kmip_equal(all[i], base, base));
        for (size_t j = 0; j < all[i]->n_fields; j++) {
            const struct kmip_field *f = &all[i]->fields[j];
            if (f->kind == KMIP_KIND_GROUP || !kmip_field_in(f, b.version))
                continue;
            memcpy(other, base, all[i]->size);
            if (f->count_at != KMIP_FIELD_NO_COUNT)
                other[f->count_at] ^= 1; /* one more or less, present or not */
            else if (f->kind == KMIP_KIND_STRUCT || f->kind == KMIP_KIND_ITEM || f->kind == KMIP_KIND_PAYLOAD)
                *(void **)(void *)(other + f->at) = NULL;
            else if (f->kind >= KMIP_KIND_ATTRS_T && f->kind <= KMIP_KIND_ATTRS_2)
                *(struct kmip_attrs *)(void *)(other + f->at) = (struct kmip_attrs){.present = true};
            else if (f->kind == KMIP_KIND_REFS_1 || f->kind == KMIP_KIND_REFS_2)
                ((struct kmip_attr_refs *)(void *)(other + f->at))->n--;
            else if (f->kind == KMIP_KIND_BIG || f->kind == KMIP_KIND_TEXT || f->kind == KMIP_KIND_BYTES)
                *(struct ks_span *)(void *)(other + f->at) = KS_LIT("something else");
            else if (f->kind == KMIP_KIND_UID)
                ((struct kmip_uid *)(void *)(other + f->at))->type ^= 1;
            else
                other[f->at] ^= 1;
            assert_false(kmip_equal(all[i], base, other));
            seen++;
        }
    }
    assert_true(seen > 500);
}

static void
check_finds_what_cannot_be_sent(void **state)
{
    (void)state;
    struct kmip_protocol_version version = {2, 1, 0};
    struct kmip_request_header header = {.protocol_version = &version, .batch_count = 1};
    struct kmip_create_request create = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY};
    struct kmip_request_batch_item item = {.operation = KMIP_OPERATION_CREATE, .payload = &create};
    struct kmip_request_batch_item *items[] = {&item};
    struct kmip_request_message request = {.request_header = &header, .batch_item = items, .n_batch_item = 1};
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(4096);
    assert_int_equal(kmip_check(&kmip_schema_request_message, KMIP_V2_1, &request, &diag), 0);
    assert_int_equal(kmip_request_encode(&request, &out, &diag), 0);
    create.object_type = 0x77;
    assert_int_equal(kmip_check(&kmip_schema_request_message, KMIP_V2_1, &request, &diag), KS_E_INVALID);
    assert_non_null(strstr(diag.message, "Object Type"));
    create.object_type = KMIP_OBJECT_TYPE_TEMPLATE; /* of 1.x */
    assert_int_equal(kmip_check(&kmip_schema_request_message, KMIP_V2_1, &request, NULL), KS_E_INVALID);
    assert_int_equal(kmip_check(&kmip_schema_request_message, KMIP_V1_4, &request, NULL), 0);
    item.operation = KMIP_OPERATION_ENCRYPT;
    assert_int_equal(kmip_check(&kmip_schema_request_message, KMIP_V1_0, &request, NULL), KS_E_UNSUPPORTED);
    item.payload = NULL;
    diag = (struct ks_diag){0};
    assert_int_equal(kmip_check(&kmip_schema_request_message, KMIP_V2_1, &request, &diag), KS_E_INVALID);
    assert_non_null(strstr(diag.message, "payload of request_batch_item"));
    assert_int_equal(kmip_request_encode(&request, &out, NULL), KS_E_INVALID);
    request.n_batch_item = 0;
    assert_int_equal(kmip_check(&kmip_schema_request_message, KMIP_V2_1, &request, NULL), KS_E_INVALID);
    version.protocol_version_major = 9;
    assert_int_equal(kmip_request_encode(&request, &out, NULL), KS_E_UNSUPPORTED);
}

/* The reader of KMIP fits a struct into 64 bits of marks, groups included, and rows agree with their ALTs. */
static unsigned
count_fields(const struct kmip_schema *schema)
{
    unsigned n = 0;
    for (size_t i = 0; i < schema->n_fields; i++)
        n += schema->fields[i].kind == KMIP_KIND_GROUP ? count_fields(schema->fields[i].sub) : 1;
    return n;
}

static void
the_rows_agree_with_the_decoder(void **state)
{
    (void)state;
    size_t n;
    const struct kmip_schema *const *all = kmip_schemas(&n);
    for (size_t i = 0; i < n; i++) {
        assert_true(count_fields(all[i]) <= 64);
        for (size_t j = 0; j < all[i]->n_fields; j++) {
            const struct kmip_field *f = &all[i]->fields[j];
            const struct kmip_field *before = f->alt ? f - 1 : NULL;
            assert_true(f->since <= f->until);
            if (f->alt && (before->at != f->at || before->member_size != f->member_size || before->card != f->card))
                fail_msg("%s.%s: an ALT that is not like its F", all[i]->name, f->member);
            for (size_t k = 0; k < j; k++)
                if (f->kind != KMIP_KIND_GROUP && all[i]->fields[k].tag == f->tag &&
                    all[i]->fields[k].since <= f->until && f->since <= all[i]->fields[k].until)
                    fail_msg("%s.%s: two rows for one tag in one version", all[i]->name, f->member);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rows_agree_with_the_decoder), cmocka_unit_test(every_schema_survives_in_every_version),
        cmocka_unit_test(messages_survive_every_encoding), cmocka_unit_test(equal_sees_every_difference),
        cmocka_unit_test(check_finds_what_cannot_be_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
