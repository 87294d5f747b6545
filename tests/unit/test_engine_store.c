/* What the store holds: the same answers after a start, changed rows refused, and memory that runs out. */
#include "engine_talk.h"

#include <stdio.h>

#include "kmip/schema.h"

enum { MASK = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT };

/* All attributes of an object as one TTLV text, for comparing. */
static struct ks_span
everything(struct talk *t, const char *id)
{
    const struct kmip_get_attributes_request r = {.unique_identifier = uid(id)};
    const struct kmip_get_attributes_response *all = talk_do(t, KMIP_OPERATION_GET_ATTRIBUTES, &r);
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(65536);
    struct ks_span copy;
    for (const struct kmip_attr *a = all->attributes.first; a != NULL; a = a->next) {
        ks_buf_add_be32(&text, (uint32_t)a->index);
        ks_buf_add_span(&text, a->name);
        assert_int_equal(kmip_item_to_ttlv(a->value, &text), 0);
    }
    assert_int_equal(ks_arena_span(&t->arena, ks_buf_span(&text), &copy), 0);
    return copy;
}

static void
a_start_changes_no_answer(void **unused)
{
    (void)unused;
    struct talk t;
    const char *ids[5];
    struct ks_span before[5];
    talk_open(&t);
    ids[0] = make_key(&t, "plain", MASK);
    ids[1] = make_key(&t, "active", MASK);
    ids[2] = make_key(&t, "compromised", MASK);
    ids[3] = make_key(&t, "destroyed", MASK);
    ids[4] = register_key(&t, "registered", MASK, KS_LIT("0123456789abcdef"));
    activate_key(&t, ids[1]);
    revoke_key(&t, ids[2], KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE);
    destroy_key(&t, ids[3]);
    struct kmip_add_attribute_request add = {.unique_identifier = uid(ids[4])};
    put_vendor(&t, &add.new_attribute, "x", "rack", "14");
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    const struct ks_span key = key_bytes(&t, ids[0]);
    assert_true(ks_span_is(key_bytes(&t, ids[4]), "0123456789abcdef"));
    for (size_t i = 0; i < 5; i++)
        before[i] = everything(&t, ids[i]);
    assert_int_equal(rig_reload(&t.rig, NULL), 0);
    for (size_t i = 0; i < 5; i++)
        assert_true(ks_span_equal(everything(&t, ids[i]), before[i]));
    assert_true(ks_span_equal(key_bytes(&t, ids[0]), key));
    struct kmip_locate_request locate = {.attributes = {.present = true}};
    put_name(&t, &locate.attributes, "registered");
    const struct kmip_locate_response *found = talk_do(&t, KMIP_OPERATION_LOCATE, &locate);
    assert_int_equal(found->n_unique_identifier, 1);
    talk_close(&t);
}

static void
the_store_holds_nothing_in_the_clear(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = register_key(&t, "very-secret-name", MASK, KS_LIT("KEYBYTESKEYBYTES"));
    KS_CLEANUP(ks_buf_done) struct ks_buf row = KS_BUF(1 << 20);
    assert_int_equal(store_get(t.rig.store, STORE_OBJECT, ks_span_str(id), &row, NULL), 0);
    assert_null(memmem(row.data, row.len, "KEYBYTES", 8));
    assert_null(memmem(row.data, row.len, "very-secret", 11));
    destroy_key(&t, id);
    KS_CLEANUP(ks_buf_done) struct ks_buf after = KS_BUF(1 << 20);
    assert_int_equal(store_get(t.rig.store, STORE_OBJECT, ks_span_str(id), &after, NULL), 0);
    assert_true(after.len < row.len);
    talk_close(&t);
}

/* Puts a row straight into the store, behind the engine's back. */
static void
overwrite(struct talk *t, const char *id, struct ks_span value)
{
    const struct store_change change = {.table = STORE_OBJECT, .key = ks_span_str(id), .value = value};
    assert_int_equal(store_commit(t->rig.store, &change, 1, NULL), 0);
}

static void
a_changed_row_is_refused_by_name(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, "k", MASK);
    KS_CLEANUP(ks_buf_done) struct ks_buf row = KS_BUF(1 << 20);
    assert_int_equal(store_get(t.rig.store, STORE_OBJECT, ks_span_str(id), &row, NULL), 0);
    /* Every byte of format, version, lengths and metadata counts at the start. */
    const size_t meta = 13 + ks_be32(row.data + 9);
    for (size_t i = 0; i < meta; i += i < 13 ? 1 : 17) {
        struct ks_diag diag = {0};
        row.data[i] ^= 1;
        overwrite(&t, id, ks_buf_span(&row));
        row.data[i] ^= 1;
        assert_int_equal(rig_reload(&t.rig, &diag), KS_E_CORRUPT);
        assert_non_null(strstr(ks_diag_text(&diag), id));
        assert_true(engine_sealed(t.rig.engine));
    }
    /* A byte of the key material counts when it is used. */
    row.data[meta + 20] ^= 1;
    overwrite(&t, id, ks_buf_span(&row));
    assert_int_equal(rig_reload(&t.rig, NULL), 0);
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_GENERAL_FAILURE);
    talk_close(&t);
}

static void
rows_and_material_are_not_exchanged(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *a = make_key(&t, "a", MASK), *b = make_key(&t, "b", MASK);
    KS_CLEANUP(ks_buf_done) struct ks_buf row_a = KS_BUF(1 << 20), row_b = KS_BUF(1 << 20), mixed = KS_BUF(1 << 20);
    assert_int_equal(store_get(t.rig.store, STORE_OBJECT, ks_span_str(a), &row_a, NULL), 0);
    assert_int_equal(store_get(t.rig.store, STORE_OBJECT, ks_span_str(b), &row_b, NULL), 0);
    /* The metadata of a with the material of b. */
    const size_t at_a = 13 + ks_be32(row_a.data + 9), at_b = 13 + ks_be32(row_b.data + 9);
    ks_buf_add(&mixed, row_a.data, at_a);
    assert_int_equal(ks_buf_add(&mixed, row_b.data + at_b, row_b.len - at_b), 0);
    overwrite(&t, a, ks_buf_span(&mixed));
    assert_int_equal(rig_reload(&t.rig, NULL), 0);
    const struct kmip_get_request get = {.unique_identifier = uid(a)};
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_GENERAL_FAILURE);
    /* The whole row of b under the identifier of a. */
    overwrite(&t, a, ks_buf_span(&row_b));
    assert_int_equal(rig_reload(&t.rig, NULL), KS_E_CORRUPT);
    talk_close(&t);
}

/* Whatever allocation of the reply's arena fails: the request is refused whole, or done whole. */
static void
memory_runs_out(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    size_t refused = 0, done = 0;
    for (size_t limit = 0; limit < 40000; limit += 61) {
        char name[32];
        snprintf(name, sizeof(name), "key %zu", limit);
        struct kmip_create_request create = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                             .attributes = {.present = true}};
        put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
        put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
        put_name(&t, &create.attributes, name);
        const struct kmip_activate_request activate = {0};
        const struct talk_item items[] = {{KMIP_OPERATION_CREATE, &create}, {KMIP_OPERATION_ACTIVATE, &activate}};
        t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO;
        t.rig.reply.arena.limit = limit;
        const struct kmip_response_message *r = talk_batch(&t, items, 2);
        const bool ok =
            r != NULL && r->n_batch_item == 2 && r->batch_item[1]->result_status == KMIP_RESULT_STATUS_SUCCESS;
        t.rig.reply.arena.limit = 64 << 20;
        t.option = 0;
        struct kmip_locate_request locate = {.attributes = {.present = true}};
        put_name(&t, &locate.attributes, name);
        const struct kmip_locate_response *found = talk_do(&t, KMIP_OPERATION_LOCATE, &locate);
        assert_int_equal(found->n_unique_identifier, ok ? 1 : 0);
        if (ok)
            assert_int_equal(state_of(&t, uid_string(&t, &found->unique_identifier[0])), KMIP_STATE_ACTIVE);
        refused += !ok;
        done += ok;
    }
    assert_true(refused > 20 && done > 20);
    const struct kmip_server_status_request ask = {0};
    const struct kmip_server_status_response *before = talk_do(&t, KMIP_OPERATION_SERVER_STATUS, &ask);
    assert_int_equal(before->object_count, done);
    assert_int_equal(rig_reload(&t.rig, NULL), 0);
    const struct kmip_server_status_response *after = talk_do(&t, KMIP_OPERATION_SERVER_STATUS, &ask);
    assert_int_equal(after->object_count, done);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_changes_no_answer),
        cmocka_unit_test(the_store_holds_nothing_in_the_clear),
        cmocka_unit_test(a_changed_row_is_refused_by_name),
        cmocka_unit_test(rows_and_material_are_not_exchanged),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests_name("engine: store", tests, NULL, NULL);
}
