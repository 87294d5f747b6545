/* Create Split Key and Join Split Key. */
#include "engine_talk.h"

enum {
    GF8 = KMIP_SPLIT_KEY_METHOD_POLYNOMIAL_SHARING_GF_2_8,
    GF16 = KMIP_SPLIT_KEY_METHOD_POLYNOMIAL_SHARING_GF_2_16,
    PRIME = KMIP_SPLIT_KEY_METHOD_POLYNOMIAL_SHARING_PRIME_FIELD,
    XOR = KMIP_SPLIT_KEY_METHOD_XOR,
    MOST = 8
};

/* 2^521 - 1 as a Big Integer: 72 bytes. */
static struct ks_span
mersenne(void)
{
    static uint8_t p[72];
    memset(p + 6, 0xff, sizeof(p) - 6);
    p[6] = 1;
    return KS_SPAN(p, sizeof(p));
}

static struct kmip_create_split_key_request
splitting(const char *id, uint32_t method, int parts, int threshold)
{
    return (struct kmip_create_split_key_request){.object_type = KMIP_OBJECT_TYPE_SPLIT_KEY,
                                                  .unique_identifier = id != NULL ? uid(id) : (struct kmip_uid){0},
                                                  .split_key_method = method,
                                                  .split_key_parts = parts,
                                                  .split_key_threshold = threshold,
                                                  .prime_field_size = mersenne(),
                                                  .has_prime_field_size = method == PRIME,
                                                  .attributes = {.present = true}};
}

static void
split(struct talk *t, const struct kmip_create_split_key_request *r, const char **ret)
{
    const struct kmip_create_split_key_response *made = talk_do(t, KMIP_OPERATION_CREATE_SPLIT_KEY, r);
    assert_int_equal(made->n_unique_identifier, r->split_key_parts);
    for (size_t i = 0; i < made->n_unique_identifier; i++)
        ret[i] = uid_string(t, &made->unique_identifier[i]);
}

struct joined {
    struct kmip_join_split_key_request request;
    struct kmip_uid parts[MOST];
};

static void
joining(struct joined *j, uint32_t type, const char *const *parts, size_t n)
{
    memset(j, 0, sizeof(*j));
    for (size_t i = 0; i < n; i++)
        j->parts[i] = uid(parts[i]);
    j->request = (struct kmip_join_split_key_request){
        .object_type = type, .unique_identifier = j->parts, .n_unique_identifier = n, .attributes = {.present = true}};
}

static const char *
join(struct talk *t, struct joined *j)
{
    put_number(t, &j->request.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    const struct kmip_join_split_key_response *made = talk_do(t, KMIP_OPERATION_JOIN_SPLIT_KEY, &j->request);
    return uid_string(t, &made->unique_identifier);
}

static struct ks_span
bytes_of(struct talk *t, const char *id)
{
    struct ks_span copy;
    assert_int_equal(ks_arena_span(&t->arena, key_bytes(t, id), &copy), 0);
    return copy;
}

static void
refused(struct talk *t, uint32_t operation, const void *request, uint32_t reason)
{
    talk_refused(t, operation, request, reason);
}

static void
keys_come_back(void **unused)
{
    (void)unused;
    static const uint32_t methods[] = {XOR, GF16, GF8, PRIME};
    struct talk t;
    talk_open(&t);
    const char *key = make_key(&t, "key", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT), *parts[MOST];
    const struct ks_span bytes = bytes_of(&t, key);
    for (size_t i = 0; i < KS_ARRAY_LEN(methods); i++) {
        const bool all = methods[i] == XOR;
        struct kmip_create_split_key_request r = splitting(key, methods[i], 5, all ? 5 : 3);
        struct joined j;
        split(&t, &r, parts);
        /* What Get says of a part. */
        const struct kmip_get_request get = {.unique_identifier = uid(parts[1])};
        const struct kmip_get_response *got = talk_do(&t, KMIP_OPERATION_GET, &get);
        assert_int_equal(got->object_type, KMIP_OBJECT_TYPE_SPLIT_KEY);
        const struct kmip_split_key *part = got->object.split_key;
        assert_int_equal(part->key_part_identifier, 2);
        assert_int_equal(part->split_key_parts, 5);
        assert_int_equal(part->split_key_threshold, all ? 5 : 3);
        assert_int_equal(part->split_key_method, methods[i]);
        assert_int_equal(part->has_prime_field_size, methods[i] == PRIME);
        assert_int_equal(part->key_block->cryptographic_length, 256);
        joining(&j, KMIP_OBJECT_TYPE_SYMMETRIC_KEY, parts, 5);
        assert_true(ks_span_equal(bytes_of(&t, join(&t, &j)), bytes));
        joining(&j, KMIP_OBJECT_TYPE_SYMMETRIC_KEY, parts + 2, 3);
        if (all)
            refused(&t, KMIP_OPERATION_JOIN_SPLIT_KEY, &j.request, KMIP_RESULT_REASON_CRYPTOGRAPHIC_FAILURE);
        else
            assert_true(ks_span_equal(bytes_of(&t, join(&t, &j)), bytes));
        joining(&j, KMIP_OBJECT_TYPE_SYMMETRIC_KEY, parts, 2);
        refused(&t, KMIP_OPERATION_JOIN_SPLIT_KEY, &j.request, KMIP_RESULT_REASON_CRYPTOGRAPHIC_FAILURE);
        const char *const twice[] = {parts[0], parts[1], parts[0]};
        joining(&j, KMIP_OBJECT_TYPE_SYMMETRIC_KEY, twice, 3);
        refused(&t, KMIP_OPERATION_JOIN_SPLIT_KEY, &j.request, KMIP_RESULT_REASON_CRYPTOGRAPHIC_FAILURE);
    }
    talk_close(&t);
}

/* Parts of two splits of one key, and of two keys, do not go together, though each is of three with a threshold of two.
 */
static void
foreign_parts_are_found_out(void **unused)
{
    (void)unused;
    struct talk t;
    struct joined j;
    const char *a[3], *b[3], *c[3];
    talk_open(&t);
    const char *key = make_key(&t, "key", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT),
               *other = make_key(&t, "other", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    struct kmip_create_split_key_request r = splitting(key, GF8, 3, 2), s = splitting(other, GF8, 3, 2);
    split(&t, &r, a);
    split(&t, &r, b);
    split(&t, &s, c);
    const char *const splits[] = {a[0], b[1]}, *const keys[] = {a[0], c[1]}, *const no_part[] = {a[0], key};
    joining(&j, KMIP_OBJECT_TYPE_SYMMETRIC_KEY, splits, 2);
    refused(&t, KMIP_OPERATION_JOIN_SPLIT_KEY, &j.request, KMIP_RESULT_REASON_CRYPTOGRAPHIC_FAILURE);
    joining(&j, KMIP_OBJECT_TYPE_SYMMETRIC_KEY, keys, 2);
    refused(&t, KMIP_OPERATION_JOIN_SPLIT_KEY, &j.request, KMIP_RESULT_REASON_CRYPTOGRAPHIC_FAILURE);
    joining(&j, KMIP_OBJECT_TYPE_SYMMETRIC_KEY, no_part, 2);
    refused(&t, KMIP_OPERATION_JOIN_SPLIT_KEY, &j.request, KMIP_RESULT_REASON_INVALID_OBJECT_TYPE);
    talk_close(&t);
}

/* Without a key to split one is made; the parts survive a restart; RSA keys do not count in bytes. */
static void
new_keys_and_private_keys(void **unused)
{
    (void)unused;
    struct talk t;
    struct joined j;
    const char *parts[MOST];
    talk_open(&t);
    struct kmip_create_split_key_request r = splitting(NULL, GF16, 3, 2);
    put_number(&t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(&t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 192);
    split(&t, &r, parts);
    rig_restart(&t.rig);
    joining(&j, KMIP_OBJECT_TYPE_SYMMETRIC_KEY, parts, 2);
    assert_int_equal(bytes_of(&t, join(&t, &j)).len, 24);
    struct kmip_create_key_pair_request pair = {0};
    put_number(&t, &pair.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA);
    put_number(&t, &pair.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 2048);
    const struct kmip_create_key_pair_response *made = talk_do(&t, KMIP_OPERATION_CREATE_KEY_PAIR, &pair);
    const char *private = uid_string(&t, &made->private_key_unique_identifier);
    const struct kmip_get_request get = {.unique_identifier = uid(private)};
    const struct kmip_get_response *got = talk_do(&t, KMIP_OPERATION_GET, &get);
    const struct ks_span before =
        kmip_item_child(got->object.private_key->key_block->key_value, KMIP_TAG_KEY_MATERIAL)->s;
    r = splitting(private, GF16, 3, 2);
    split(&t, &r, parts);
    joining(&j, KMIP_OBJECT_TYPE_PRIVATE_KEY, parts + 1, 2);
    const struct kmip_get_request again = {.unique_identifier = uid(join(&t, &j))};
    got = talk_do(&t, KMIP_OPERATION_GET, &again);
    assert_true(ks_span_equal(
        before, kmip_item_child(got->object.private_key->key_block->key_value, KMIP_TAG_KEY_MATERIAL)->s));
    talk_close(&t);
}

/* A key that does not leave does not leave in parts. */
static void
parts_are_as_sensitive_as_the_key(void **unused)
{
    (void)unused;
    struct talk t;
    struct joined j;
    const char *parts[MOST];
    talk_open(&t);
    struct kmip_create_request create = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                         .attributes = {.present = true}};
    put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    put_number(&t, &create.attributes, KMIP_TAG_EXTRACTABLE, 0);
    const struct kmip_create_response *made = talk_do(&t, KMIP_OPERATION_CREATE, &create);
    struct kmip_create_split_key_request r = splitting(uid_string(&t, &made->unique_identifier), XOR, 2, 2);
    split(&t, &r, parts);
    struct kmip_get_request get = {.unique_identifier = uid(parts[0])};
    refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_NOT_EXTRACTABLE);
    joining(&j, KMIP_OBJECT_TYPE_SYMMETRIC_KEY, parts, 2);
    get.unique_identifier = uid(join(&t, &j));
    refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_NOT_EXTRACTABLE);
    talk_close(&t);
}

static void
what_is_refused(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *key = make_key(&t, "key", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    struct kmip_create_split_key_request r = splitting(key, XOR, 3, 2);
    refused(&t, KMIP_OPERATION_CREATE_SPLIT_KEY, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    r = splitting(key, GF8, 1000, 2);
    refused(&t, KMIP_OPERATION_CREATE_SPLIT_KEY, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    r = splitting(key, GF8, 3, 1);
    refused(&t, KMIP_OPERATION_CREATE_SPLIT_KEY, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    r = splitting(key, PRIME, 3, 2);
    r.has_prime_field_size = false;
    refused(&t, KMIP_OPERATION_CREATE_SPLIT_KEY, &r, KMIP_RESULT_REASON_MISSING_DATA);
    r = splitting("nothing", GF8, 3, 2);
    refused(&t, KMIP_OPERATION_CREATE_SPLIT_KEY, &r, KMIP_RESULT_REASON_ITEM_NOT_FOUND);
    r = splitting(key, GF8, 3, 2);
    r.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY;
    refused(&t, KMIP_OPERATION_CREATE_SPLIT_KEY, &r, KMIP_RESULT_REASON_INVALID_OBJECT_TYPE);
    /* A name is for one object: none of the parts stays when the second can not have it. */
    r = splitting(key, GF8, 3, 2);
    put_name(&t, &r.attributes, "part");
    refused(&t, KMIP_OPERATION_CREATE_SPLIT_KEY, &r, KMIP_RESULT_REASON_NON_UNIQUE_NAME_ATTRIBUTE);
    (void)make_key(&t, "part", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    talk_close(&t);
}

static struct ks_span
zeros(struct talk *t, size_t len)
{
    uint8_t *p = ks_arena_alloc(&t->arena, len);
    assert_non_null(p);
    return KS_SPAN(p, len);
}

static const char *
secret_of(struct talk *t, size_t len)
{
    struct kmip_item *value = kmip_item_new(&t->arena, KMIP_TAG_KEY_VALUE, KMIP_TYPE_STRUCTURE);
    struct kmip_item *bytes = kmip_item_new(&t->arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
    bytes->s = zeros(t, len);
    kmip_item_append(value, bytes);
    struct kmip_key_block block = {.key_format_type = KMIP_KEY_FORMAT_TYPE_OPAQUE, .key_value = value};
    struct kmip_secret_data secret = {.key_block = &block, .secret_data_type = KMIP_SECRET_DATA_TYPE_SEED};
    struct kmip_register_request r = {.object_type = KMIP_OBJECT_TYPE_SECRET_DATA,
                                      .object = {.secret_data = &secret},
                                      .attributes = {.present = true}};
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_DERIVE_KEY);
    const struct kmip_register_response *made = talk_do(t, KMIP_OPERATION_REGISTER, &r);
    return uid_string(t, &made->unique_identifier);
}

/* One thread serves all: what would keep it for long is refused before it begins, item by item and all together. */
static void
work_is_bounded(void **unused)
{
    (void)unused;
    struct talk t;
    const char *parts[MOST];
    talk_open(&t);
    const char *large = secret_of(&t, 60000), *small = secret_of(&t, 3000);
    struct kmip_create_split_key_request r = splitting(large, GF8, 255, 255);
    refused(&t, KMIP_OPERATION_CREATE_SPLIT_KEY, &r, KMIP_RESULT_REASON_SERVER_LIMIT_EXCEEDED);
    /* The largest primes take the longest to be found to be primes. */
    r = splitting(make_key(&t, NULL, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT), PRIME, 3, 2);
    uint8_t prime[520];
    memset(prime, 0xff, sizeof(prime));
    prime[0] = 0x7f;
    r.prime_field_size = KS_SPAN(prime, sizeof(prime));
    refused(&t, KMIP_OPERATION_CREATE_SPLIT_KEY, &r, KMIP_RESULT_REASON_SERVER_LIMIT_EXCEEDED);
    r = splitting(small, GF8, MOST, MOST);
    split(&t, &r, parts);
    r = splitting(large, GF8, 24, 20);
    const struct talk_item items[] = {{KMIP_OPERATION_CREATE_SPLIT_KEY, &r}, {KMIP_OPERATION_CREATE_SPLIT_KEY, &r}};
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_CONTINUE;
    const struct kmip_response_message *got = talk_batch(&t, items, 2);
    assert_int_equal(got->batch_item[0]->result_status, KMIP_RESULT_STATUS_SUCCESS);
    assert_int_equal(got->batch_item[1]->result_reason, KMIP_RESULT_REASON_SERVER_LIMIT_EXCEEDED);
    talk_close(&t);
}

/* Parts with more than the threshold are compared: that, too, is work. */
static void
joining_is_bounded(void **unused)
{
    (void)unused;
    enum { PARTS = 60 };
    struct talk t;
    const char *parts[PARTS];
    struct kmip_uid uids[PARTS];
    talk_open(&t);
    struct kmip_create_split_key_request r = splitting(secret_of(&t, 12000), GF8, PARTS, PARTS / 2);
    split(&t, &r, parts);
    for (size_t i = 0; i < PARTS; i++)
        uids[i] = uid(parts[i]);
    const struct kmip_join_split_key_request j = {.object_type = KMIP_OBJECT_TYPE_SECRET_DATA,
                                                  .unique_identifier = uids,
                                                  .n_unique_identifier = PARTS / 2 + 1,
                                                  .attributes = {.present = true}},
                                             all = {.object_type = KMIP_OBJECT_TYPE_SECRET_DATA,
                                                    .unique_identifier = uids,
                                                    .n_unique_identifier = PARTS,
                                                    .attributes = {.present = true}};
    const struct talk_item items[] = {{KMIP_OPERATION_JOIN_SPLIT_KEY, &all},
                                      {KMIP_OPERATION_JOIN_SPLIT_KEY, &all},
                                      {KMIP_OPERATION_JOIN_SPLIT_KEY, &all},
                                      {KMIP_OPERATION_JOIN_SPLIT_KEY, &all},
                                      {KMIP_OPERATION_JOIN_SPLIT_KEY, &all}};
    talk_do(&t, KMIP_OPERATION_JOIN_SPLIT_KEY, &j);
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_CONTINUE;
    const struct kmip_response_message *got = talk_batch(&t, items, 5);
    assert_int_equal(got->batch_item[0]->result_status, KMIP_RESULT_STATUS_SUCCESS);
    assert_int_equal(got->batch_item[4]->result_reason, KMIP_RESULT_REASON_SERVER_LIMIT_EXCEEDED);
    talk_close(&t);
}

/* A key that can not leave, and whose uses are counted, would have a second count in what its parts are joined to. */
static void
what_is_counted_is_not_split(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *key = make_key(&t, NULL, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT), *parts[MOST];
    struct kmip_item *limits = kmip_item_new(&t.arena, KMIP_TAG_USAGE_LIMITS, KMIP_TYPE_STRUCTURE);
    struct kmip_item *total = kmip_item_new(&t.arena, KMIP_TAG_USAGE_LIMITS_TOTAL, KMIP_TYPE_LONG_INTEGER);
    struct kmip_item *unit = kmip_item_new(&t.arena, KMIP_TAG_USAGE_LIMITS_UNIT, KMIP_TYPE_ENUMERATION);
    total->i64 = 2;
    unit->u32 = KMIP_USAGE_LIMITS_UNIT_OBJECT;
    kmip_item_append(limits, total);
    kmip_item_append(limits, unit);
    struct kmip_add_attribute_request add = {.unique_identifier = uid(key), .new_attribute = {.present = true}};
    assert_non_null(kmip_attrs_add(&t.arena, &add.new_attribute, KMIP_TAG_USAGE_LIMITS, limits));
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    struct kmip_create_split_key_request r = splitting(key, XOR, 2, 2);
    split(&t, &r, parts); /* who can have the key itself can count or not */
    struct kmip_modify_attribute_request hide = {.unique_identifier = uid(key)};
    put_number(&t, &hide.new_attribute, KMIP_TAG_EXTRACTABLE, 0);
    talk_do(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &hide);
    refused(&t, KMIP_OPERATION_CREATE_SPLIT_KEY, &r, KMIP_RESULT_REASON_NOT_EXTRACTABLE);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_back),
        cmocka_unit_test(foreign_parts_are_found_out),
        cmocka_unit_test(new_keys_and_private_keys),
        cmocka_unit_test(parts_are_as_sensitive_as_the_key),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(work_is_bounded),
        cmocka_unit_test(joining_is_bounded),
        cmocka_unit_test(what_is_counted_is_not_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
