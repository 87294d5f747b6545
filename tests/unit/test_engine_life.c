/* The life of a key as a client sees it, and every cell of the state table. */
#include "engine_talk.h"

#include "server/engine/ctx.h"

enum {
    ENCRYPT = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT,
    DECRYPT = KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT,
    BOTH = ENCRYPT | DECRYPT
};

static void
from_birth_to_destruction(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, "payroll", BOTH);
    assert_non_null(strstr(records(&t), "\"operation\":\"Create\""));
    assert_int_equal(state_of(&t, id), KMIP_STATE_PRE_ACTIVE);
    assert_null(attribute(&t, id, KMIP_TAG_ACTIVATION_DATE));
    const struct ks_span bytes = key_bytes(&t, id);
    assert_int_equal(bytes.len, 32);

    t.rig.now_us += 5000000;
    activate_key(&t, id);
    assert_non_null(strstr(records(&t), "PreActive"));
    assert_int_equal(state_of(&t, id), KMIP_STATE_ACTIVE);
    assert_int_equal(attribute(&t, id, KMIP_TAG_ACTIVATION_DATE)->i64, RIG_START_S + 5);
    assert_int_equal(attribute(&t, id, KMIP_TAG_LAST_CHANGE_DATE)->i64, RIG_START_S + 5);

    const struct kmip_destroy_request too_early = {.unique_identifier = uid(id)};
    talk_refused(&t, KMIP_OPERATION_DESTROY, &too_early, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE);
    revoke_key(&t, id, KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION);
    assert_int_equal(state_of(&t, id), KMIP_STATE_DEACTIVATED);
    destroy_key(&t, id);
    assert_int_equal(state_of(&t, id), KMIP_STATE_DESTROYED);
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_OBJECT_DESTROYED);
    t.version = KMIP_V1_4;
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_close(&t);
}

static void
a_compromise_is_never_forgotten(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, BOTH);
    revoke_key(&t, id, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE);
    assert_int_equal(state_of(&t, id), KMIP_STATE_COMPROMISED);
    assert_int_equal(attribute(&t, id, KMIP_TAG_COMPROMISE_DATE)->i64, RIG_START_S);
    destroy_key(&t, id);
    assert_int_equal(state_of(&t, id), KMIP_STATE_DESTROYED_COMPROMISED);

    const char *other = make_key(&t, NULL, BOTH);
    destroy_key(&t, other);
    revoke_key(&t, other, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE);
    assert_int_equal(state_of(&t, other), KMIP_STATE_DESTROYED_COMPROMISED);
    talk_close(&t);
}

static const char *
dated_key(struct talk *t, int64_t activation, int64_t deactivation)
{
    struct kmip_create_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}};
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 128);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, BOTH);
    put_number(t, &r.attributes, KMIP_TAG_ACTIVATION_DATE, activation);
    put_number(t, &r.attributes, KMIP_TAG_DEACTIVATION_DATE, deactivation);
    const struct kmip_create_response *response = talk_do(t, KMIP_OPERATION_CREATE, &r);
    return uid_string(t, &response->unique_identifier);
}

static void
dates_bring_transitions(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = dated_key(&t, RIG_START_S + 10, RIG_START_S + 20);
    const char *past = dated_key(&t, RIG_START_S - 10, RIG_START_S + 1000);
    assert_int_equal(state_of(&t, id), KMIP_STATE_PRE_ACTIVE);
    assert_int_equal(state_of(&t, past), KMIP_STATE_ACTIVE);
    t.rig.now_us += 9999999;
    assert_false(engine_tick(t.rig.engine, &t.rig.reply));
    t.rig.now_us += 1;
    /* The clock alone does it, and puts it on record. */
    assert_true(engine_tick(t.rig.engine, &t.rig.reply));
    assert_int_equal(t.rig.reply.job.n_changes, 1);
    assert_non_null(strstr(records(&t), "state-change"));
    assert_non_null(strstr(records(&t), "system"));
    assert_int_equal(state_of(&t, id), KMIP_STATE_ACTIVE);
    /* A request that comes before the clock's turn finds the state as it has to be. */
    t.rig.now_us += 10000000;
    assert_int_equal(state_of(&t, id), KMIP_STATE_DEACTIVATED);
    assert_false(engine_tick(t.rig.engine, &t.rig.reply));
    talk_close(&t);
}

static void
many_due_at_once(void **unused)
{
    (void)unused;
    struct talk t;
    const char *ids[300];
    talk_open(&t);
    for (size_t i = 0; i < KS_ARRAY_LEN(ids); i++)
        ids[i] = dated_key(&t, RIG_START_S + 1000 - (int64_t)(i * 7 % 300), RIG_START_S + 100000);
    for (size_t i = 0; i < KS_ARRAY_LEN(ids); i += 2)
        destroy_key(&t, ids[i]);
    t.rig.now_us += 850000000;
    for (size_t i = 0; i < KS_ARRAY_LEN(ids); i++) {
        const bool due = 1000 - (int64_t)(i * 7 % 300) <= 850;
        const uint32_t expected = i % 2 == 0 ? KMIP_STATE_DESTROYED : due ? KMIP_STATE_ACTIVE : KMIP_STATE_PRE_ACTIVE;
        assert_int_equal(state_of(&t, ids[i]), expected);
    }
    talk_close(&t);
}

static void
dates_have_an_order(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = dated_key(&t, RIG_START_S + 100, RIG_START_S + 200);
    struct kmip_set_attribute_request r = {.unique_identifier = uid(id)};
    put_number(&t, &r.new_attribute, KMIP_TAG_PROTECT_STOP_DATE, RIG_START_S + 300);
    talk_refused(&t, KMIP_OPERATION_SET_ATTRIBUTE, &r, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE);
    struct kmip_modify_attribute_request m = {.unique_identifier = uid(id)};
    put_number(&t, &m.new_attribute, KMIP_TAG_ACTIVATION_DATE, RIG_START_S + 201);
    talk_refused(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &m, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE);
    /* An Activation Date that has come by is as good as Activate. */
    struct kmip_modify_attribute_request now = {.unique_identifier = uid(id)};
    put_number(&t, &now.new_attribute, KMIP_TAG_ACTIVATION_DATE, RIG_START_S);
    talk_do(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &now);
    assert_int_equal(state_of(&t, id), KMIP_STATE_ACTIVE);
    talk_refused(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &now, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE);
    talk_close(&t);
}

static void
put_usage_limits(struct talk *t, struct kmip_attrs *attrs, int64_t total)
{
    const struct kmip_usage_limits limits = {.usage_limits_total = total,
                                             .usage_limits_unit = KMIP_USAGE_LIMITS_UNIT_OBJECT};
    struct kmip_item *item;
    assert_int_equal(kmip_item_encode(&kmip_schema_usage_limits, KMIP_V2_1, &limits, &t->arena, &item), 0);
    attrs->present = true;
    assert_non_null(kmip_attrs_add(&t->arena, attrs, KMIP_TAG_USAGE_LIMITS, item));
}

static void
archive_key(struct talk *t, const char *id)
{
    const struct kmip_archive_request r = {.unique_identifier = uid(id)};
    talk_do(t, KMIP_OPERATION_ARCHIVE, &r);
}

static void
suspend_key(struct talk *t, const char *id, const char *mode)
{
    const struct identity *asked = t->who;
    const struct kmip_suspend_request r = {.unique_identifier = uid(id),
                                           .suspension_mode = ks_span_str(mode),
                                           .has_suspension_mode = true,
                                           .suspension_reason = KS_LIT("a test")};
    t->who = &t->rig.admin;
    talk_do(t, KMIP_OPERATION_SUSPEND, &r);
    t->who = asked;
}

/* The table, cell by cell */

/* A key in the state of a column; archived ones are Deactivated. */
static const char *
key_in(struct talk *t, enum state_column column)
{
    const bool active = column == STATE_ACTIVE_IN || column == STATE_ACTIVE_OUT || column == STATE_DEACTIVATED ||
                        column >= STATE_ARCHIVED;
    struct kmip_create_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}};
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, BOTH);
    if (column == STATE_ACTIVE_OUT) {
        put_number(t, &r.attributes, KMIP_TAG_PROCESS_START_DATE, RIG_START_S + 5000);
        put_number(t, &r.attributes, KMIP_TAG_PROTECT_STOP_DATE, RIG_START_S - 5);
    }
    const struct kmip_create_response *response = talk_do(t, KMIP_OPERATION_CREATE, &r);
    const char *id = uid_string(t, &response->unique_identifier);
    struct kmip_add_attribute_request limits = {.unique_identifier = uid(id)};
    put_usage_limits(t, &limits.new_attribute, 1000);
    talk_do(t, KMIP_OPERATION_ADD_ATTRIBUTE, &limits);
    if (active)
        activate_key(t, id);
    if (column == STATE_DEACTIVATED || column == STATE_ARCHIVED)
        revoke_key(t, id, KMIP_REVOCATION_REASON_CODE_SUPERSEDED);
    if (column == STATE_COMPROMISED || column == STATE_DESTROYED_COMPROMISED)
        revoke_key(t, id, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE);
    if (column == STATE_DESTROYED || column == STATE_DESTROYED_COMPROMISED)
        destroy_key(t, id);
    if (column == STATE_ARCHIVED)
        archive_key(t, id);
    if (column == STATE_SUSPENDED || column == STATE_SUSPENDED_TO_PROTECT)
        suspend_key(t, id, column == STATE_SUSPENDED ? "all" : "protect");
    return id;
}

static const struct kmip_response_batch_item *
try(struct talk *t, enum state_use use, const char *id)
{
    struct kmip_cryptographic_parameters gcm = {.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM,
                                                .has_block_cipher_mode = true};
    static const uint8_t data[16] = {1};
    const struct kmip_encrypt_request encrypt = {
        .unique_identifier = uid(id), .cryptographic_parameters = &gcm, .data = KS_SPAN(data, 16), .has_data = true};
    const struct kmip_decrypt_request decrypt = {.unique_identifier = uid(id),
                                                 .cryptographic_parameters = &gcm,
                                                 .data = KS_SPAN(data, 16),
                                                 .has_data = true,
                                                 .iv_counter_nonce = KS_SPAN(data, 12),
                                                 .has_iv_counter_nonce = true,
                                                 .authenticated_encryption_tag = KS_SPAN(data, 16),
                                                 .has_authenticated_encryption_tag = true};
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    const struct kmip_get_attributes_request get_attributes = {.unique_identifier = uid(id)};
    const struct kmip_check_request check = {.unique_identifier = uid(id)};
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id)};
    const struct kmip_activate_request activation = {.unique_identifier = uid(id)};
    struct kmip_revocation_reason compromised = {.revocation_reason_code = KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE};
    struct kmip_revocation_reason superseded = {.revocation_reason_code = KMIP_REVOCATION_REASON_CODE_SUPERSEDED};
    const struct kmip_revoke_request revoke_compromise = {.unique_identifier = uid(id),
                                                          .revocation_reason = &compromised};
    const struct kmip_revoke_request revoke_other = {.unique_identifier = uid(id), .revocation_reason = &superseded};
    const struct kmip_re_key_request re_key = {.unique_identifier = uid(id)};
    const struct kmip_suspend_request suspension = {.unique_identifier = uid(id), .suspension_reason = KS_LIT("why")};
    const struct kmip_resume_request resumption = {.unique_identifier = uid(id)};
    const struct kmip_obliterate_request obliteration = {.unique_identifier = uid(id)};
    const struct kmip_export_request export = {.unique_identifier = uid(id)};
    struct kmip_item *value = kmip_item_new(&t->arena, KMIP_TAG_KEY_VALUE, KMIP_TYPE_STRUCTURE);
    struct kmip_item *bytes = kmip_item_new(&t->arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
    bytes->s = KS_LIT("0123456789abcdef0123456789abcdef");
    kmip_item_append(value, bytes);
    struct kmip_key_block block = {.key_format_type = KMIP_KEY_FORMAT_TYPE_RAW,
                                   .key_value = value,
                                   .cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
                                   .has_cryptographic_algorithm = true,
                                   .cryptographic_length = 256,
                                   .has_cryptographic_length = true};
    struct kmip_symmetric_key symmetric = {.key_block = &block};
    struct kmip_import_request import = {.unique_identifier = uid(id),
                                         .object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                         .replace_existing = true,
                                         .has_replace_existing = true,
                                         .attributes = {.present = true},
                                         .object = {.symmetric_key = &symmetric}};
    put_number(t, &import.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, BOTH);
    const struct kmip_certify_request certify = {.unique_identifier = uid(id), .attributes = {.present = true}};
    const struct kmip_destroy_request destruction = {.unique_identifier = uid(id)};
    const struct kmip_obtain_lease_request lease = {.unique_identifier = uid(id)};
    const struct kmip_get_usage_allocation_request allocation = {.unique_identifier = uid(id), .usage_limits_count = 1};
    const struct kmip_archive_request archive = {.unique_identifier = uid(id)};
    const struct kmip_recover_request recover = {.unique_identifier = uid(id)};
    put_vendor(t, &add.new_attribute, "x", "note", "hello");
    switch (use) {
    case USE_PROTECT:
        return talk_ask(t, KMIP_OPERATION_ENCRYPT, &encrypt);
    case USE_PROCESS:
        return talk_ask(t, KMIP_OPERATION_DECRYPT, &decrypt);
    case USE_GET:
        return talk_ask(t, KMIP_OPERATION_GET, &get);
    case USE_GET_ATTRIBUTES:
        return talk_ask(t, KMIP_OPERATION_GET_ATTRIBUTES, &get_attributes);
    case USE_CHECK:
        return talk_ask(t, KMIP_OPERATION_CHECK, &check);
    case USE_CHANGE_ATTRIBUTES:
        return talk_ask(t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    case USE_ACTIVATE:
        return talk_ask(t, KMIP_OPERATION_ACTIVATE, &activation);
    case USE_REVOKE_COMPROMISE:
        return talk_ask(t, KMIP_OPERATION_REVOKE, &revoke_compromise);
    case USE_REVOKE:
        return talk_ask(t, KMIP_OPERATION_REVOKE, &revoke_other);
    case USE_EXPORT:
        return talk_ask(t, KMIP_OPERATION_EXPORT, &export);
    case USE_IMPORT_OVER:
        return talk_ask(t, KMIP_OPERATION_IMPORT, &import);
    case USE_CERTIFY:
        return talk_ask(t, KMIP_OPERATION_CERTIFY, &certify);
    case USE_RE_KEY:
        return talk_ask(t, KMIP_OPERATION_RE_KEY, &re_key);
    case USE_OBTAIN_LEASE:
        return talk_ask(t, KMIP_OPERATION_OBTAIN_LEASE, &lease);
    case USE_USAGE_ALLOCATION:
        return talk_ask(t, KMIP_OPERATION_GET_USAGE_ALLOCATION, &allocation);
    case USE_ARCHIVE:
        return talk_ask(t, KMIP_OPERATION_ARCHIVE, &archive);
    case USE_RECOVER:
        return talk_ask(t, KMIP_OPERATION_RECOVER, &recover);
    case USE_SUSPEND:
        return talk_ask(t, KMIP_OPERATION_SUSPEND, &suspension);
    case USE_RESUME:
        return talk_ask(t, KMIP_OPERATION_RESUME, &resumption);
    case USE_OBLITERATE:
        return talk_ask(t, KMIP_OPERATION_OBLITERATE, &obliteration);
    default:
        return talk_ask(t, KMIP_OPERATION_DESTROY, &destruction);
    }
}

/* What requirements say for each cell, written down apart from states.def: use by use, column by column;
 * what is suspended is Active. */
static const char *const wanted[USE_COUNT] = {
    [USE_PROTECT] = "WYWWWWWAWW",
    [USE_PROCESS] = "WYWYYWWAWY",
    [USE_GET] = "YYYYYGGADY",
    [USE_GET_ATTRIBUTES] = "YYYYYYYYYY",
    [USE_CHECK] = "YYYYYXXAYY",
    [USE_CHANGE_ATTRIBUTES] = "YYYYYXXADD",
    [USE_ACTIVATE] = "YWWWWWWADD",
    [USE_REVOKE_COMPROMISE] = "YYYYWYWOYY",
    [USE_REVOKE] = "WYYWWWWPYY",
    [USE_RE_KEY] = "YYYYYXXADD",
    [USE_DESTROY] = "YWWYYXXADD",
    [USE_OBTAIN_LEASE] = "DYYYDXXADD",
    [USE_USAGE_ALLOCATION] = "DYDDDXXADD",
    [USE_ARCHIVE] = "YDDYYXXADD",
    [USE_RECOVER] = "DDDDDXXYDD",
    [USE_EXPORT] = "YYYYYYYADD",
    [USE_IMPORT_OVER] = "YYYYDYDADD",
    [USE_CERTIFY] = "YYYDDXXAWW",
    [USE_OBLITERATE] = "YWWYYYYADD",
    [USE_SUSPEND] = "DDDDDDDDDD", /* the owner asks: it is the administrators' */
    [USE_RESUME] = "DDDDDDDDDD",
};

static uint32_t
reason_for(char cell, enum kmip_version version)
{
    if (cell == 'G' && version < KMIP_V1_4)
        return KMIP_RESULT_REASON_ITEM_NOT_FOUND;
    if (cell == 'X' || cell == 'G')
        return version < KMIP_V2_0 ? KMIP_RESULT_REASON_PERMISSION_DENIED : KMIP_RESULT_REASON_OBJECT_DESTROYED;
    if (cell == 'W')
        return version < KMIP_V2_1 ? KMIP_RESULT_REASON_PERMISSION_DENIED
                                   : KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE;
    if (cell == 'A')
        return KMIP_RESULT_REASON_OBJECT_ARCHIVED;
    return KMIP_RESULT_REASON_PERMISSION_DENIED;
}

static void
every_cell_of_the_state_table(void **unused)
{
    (void)unused;
    static const enum kmip_version versions[] = {KMIP_V1_2, KMIP_V1_4, KMIP_V2_0, KMIP_V2_1};
    struct talk t;
    talk_open(&t);
    for (size_t v = 0; v < KS_ARRAY_LEN(versions); v++)
        for (unsigned use = 0; use < USE_COUNT; use++) {
            if (versions[v] < KMIP_V1_4 && (use == USE_EXPORT || use == USE_IMPORT_OVER))
                continue; /* not there before 1.4 */
            if (use == USE_OBLITERATE && versions[v] != KMIP_V2_1)
                continue; /* 3.0 alone has it, with the reasons of 2.1 */
            for (unsigned column = 0; column < STATE_COLUMNS; column++) {
                t.version = KMIP_V2_1;
                const char *id = key_in(&t, (enum state_column)column);
                t.version = use == USE_OBLITERATE ? KMIP_V3_0 : versions[v];
                const struct kmip_response_batch_item *item = try(&t, (enum state_use)use, id);
                char cell = wanted[use][column];
                if (cell == 'O' || cell == 'P') /* archived: up to 1.4 that counts, then Deactivated */
                    cell = versions[v] < KMIP_V2_0 ? 'A' : cell == 'O' ? 'Y' : 'W';
                /* Decrypting nonsense fails only after the state has been found good, and so does certifying a key of
                 * another type, which in 1.x has the reason of a bad state. */
                const bool is_unfit = memmem(item->result_message.data, item->result_message.len, "is no public key",
                                             strlen("is no public key")) != NULL;
                const bool good =
                    item->result_status == KMIP_RESULT_STATUS_SUCCESS ||
                    (use == USE_PROCESS && item->result_reason == KMIP_RESULT_REASON_CRYPTOGRAPHIC_FAILURE) ||
                    (use == USE_CERTIFY && is_unfit &&
                     item->result_reason == condition_reason(COND_OBJECT_UNFIT, versions[v]));
                if (good != (cell == 'Y') || (!good && item->result_reason != reason_for(cell, versions[v])))
                    fail_msg("version %u, use %u, column %u: wanted %c, got %s (%.*s)", (unsigned)versions[v], use,
                             column, cell, kmip_enum_name(KMIP_TAG_RESULT_REASON, item->result_reason),
                             (int)item->result_message.len, (const char *)item->result_message.data);
            }
        }
    talk_close(&t);
}

static void
destroyed_counts_before_archived(void **unused)
{
    (void)unused;
    struct core core = {0};
    core_set(&core, CORE_STATE, KMIP_STATE_ACTIVE);
    core_set(&core, CORE_ARCHIVE_DATE, 5);
    assert_int_equal(state_column(&core, USE_GET, 10), STATE_ARCHIVED);
    core_set(&core, CORE_STATE, KMIP_STATE_DESTROYED);
    assert_int_equal(state_column(&core, USE_GET, 10), STATE_DESTROYED);
}

static void
usage_limits_run_out(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, BOTH);
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id)};
    put_usage_limits(&t, &add.new_attribute, 2);
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    activate_key(&t, id);
    assert_int_equal(try(&t, USE_PROTECT, id)->result_status, KMIP_RESULT_STATUS_SUCCESS);
    assert_int_equal(try(&t, USE_PROTECT, id)->result_status, KMIP_RESULT_STATUS_SUCCESS);
    assert_int_equal(try(&t, USE_PROTECT, id)->result_reason, KMIP_RESULT_REASON_PERMISSION_DENIED);
    const struct kmip_item *left = attribute(&t, id, KMIP_TAG_USAGE_LIMITS);
    assert_int_equal(kmip_item_child(left, KMIP_TAG_USAGE_LIMITS_COUNT)->i64, 0);
    assert_int_equal(kmip_item_child(left, KMIP_TAG_USAGE_LIMITS_TOTAL)->i64, 2);
    /* Reading what was protected is not counted. */
    assert_int_equal(try(&t, USE_PROCESS, id)->result_reason, KMIP_RESULT_REASON_CRYPTOGRAPHIC_FAILURE);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_birth_to_destruction),
        cmocka_unit_test(a_compromise_is_never_forgotten),
        cmocka_unit_test(dates_bring_transitions),
        cmocka_unit_test(many_due_at_once),
        cmocka_unit_test(dates_have_an_order),
        cmocka_unit_test(every_cell_of_the_state_table),
        cmocka_unit_test(destroyed_counts_before_archived),
        cmocka_unit_test(usage_limits_run_out),
    };
    return cmocka_run_group_tests_name("engine: life", tests, NULL, NULL);
}
