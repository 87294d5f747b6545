/* Login, Delegated Login, Logout, and credentials in headers: what a ticket allows, and every way to go beyond it. */
#include "engine_talk.h"

static struct ks_span
copy_of(struct talk *t, struct ks_span from)
{
    struct ks_span copy;
    assert_int_equal(ks_arena_span(&t->arena, from, &copy), 0);
    return copy;
}

static struct ks_span
log_in(struct talk *t, int32_t count, uint32_t lease)
{
    struct kmip_item *item = kmip_item_new(&t->arena, KMIP_TAG_LEASE_TIME, KMIP_TYPE_INTERVAL);
    item->u32 = lease;
    const struct kmip_login_request r = {.lease_time = item, .request_count = count, .has_request_count = true};
    const struct kmip_login_response *got = talk_do(t, KMIP_OPERATION_LOGIN, &r);
    assert_int_equal(got->ticket->ticket_type, KMIP_TICKET_TYPE_LOGIN);
    assert_int_equal(got->ticket->ticket_value.len, 32);
    return copy_of(t, got->ticket->ticket_value);
}

static struct kmip_credential *
credential(struct talk *t, uint32_t type, const struct kmip_schema *schema, const void *value)
{
    struct kmip_credential *c = ks_arena_alloc(&t->arena, sizeof(*c));
    c->credential_type = type;
    assert_int_equal(kmip_item_encode(schema, KMIP_V2_1, value, &t->arena, &c->credential_value), 0);
    return c;
}

static void
present_one(struct talk *t, struct kmip_credential *c)
{
    t->authentication = ks_arena_alloc(&t->arena, sizeof(*t->authentication));
    t->authentication->credential = ks_arena_alloc(&t->arena, sizeof(c));
    t->authentication->credential[0] = c;
    t->authentication->n_credential = 1;
}

static void
present(struct talk *t, struct ks_span value)
{
    struct kmip_ticket ticket = {.ticket_type = KMIP_TICKET_TYPE_LOGIN, .ticket_value = value};
    const struct kmip_ticket_credential c = {.ticket = &ticket};
    present_one(t, credential(t, KMIP_CREDENTIAL_TYPE_TICKET, &kmip_schema_ticket_credential, &c));
}

static void
log_out(struct talk *t, struct ks_span value)
{
    struct kmip_ticket ticket = {.ticket_type = KMIP_TICKET_TYPE_LOGIN, .ticket_value = value};
    const struct kmip_logout_request r = {.ticket = &ticket};
    talk_do(t, KMIP_OPERATION_LOGOUT, &r);
}

static struct ks_span
delegate(struct talk *t, struct kmip_right **rights, size_t n)
{
    struct kmip_rights all = {.right = rights, .n_right = n};
    const struct kmip_delegated_login_request r = {.rights = &all};
    const struct kmip_delegated_login_response *got = talk_do(t, KMIP_OPERATION_DELEGATED_LOGIN, &r);
    return copy_of(t, got->ticket->ticket_value);
}

static struct kmip_get_attributes_request
asks(const char *id)
{
    return (struct kmip_get_attributes_request){.unique_identifier = uid(id)};
}

static const struct kmip_ping_request ping;

static void
a_login_ticket_is_its_makers(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    const char *id = make_key(&t, "mine", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    const struct kmip_get_attributes_request get = asks(id);
    const struct ks_span ticket = log_in(&t, 0, 0);
    present(&t, ticket);
    talk_do(&t, KMIP_OPERATION_GET_ATTRIBUTES, &get);
    assert_non_null(strstr(records(&t), "\"acts_for\""));
    t.who = &t.rig.admin;
    talk_refused(&t, KMIP_OPERATION_PING, &ping, KMIP_RESULT_REASON_INVALID_TICKET);
    t.who = &t.rig.client;
    const struct kmip_login_request again = {0};
    t.authentication = NULL;
    present(&t, ticket);
    talk_refused(&t, KMIP_OPERATION_LOGIN, &again, KMIP_RESULT_REASON_NOT_AUTHORIZED);
    log_out(&t, ticket);
    talk_refused(&t, KMIP_OPERATION_PING, &ping, KMIP_RESULT_REASON_INVALID_TICKET);
    talk_close(&t);
}

static void
tickets_end(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    struct ks_span ticket = log_in(&t, 2, 0);
    present(&t, ticket);
    talk_do(&t, KMIP_OPERATION_PING, &ping);
    talk_do(&t, KMIP_OPERATION_PING, &ping);
    talk_refused(&t, KMIP_OPERATION_PING, &ping, KMIP_RESULT_REASON_USAGE_LIMIT_EXCEEDED);
    t.authentication = NULL;
    ticket = log_in(&t, 0, 60);
    present(&t, ticket);
    t.rig.now_us += 59000000;
    talk_do(&t, KMIP_OPERATION_PING, &ping);
    t.rig.now_us += 2000000;
    talk_refused(&t, KMIP_OPERATION_PING, &ping, KMIP_RESULT_REASON_INVALID_TICKET);
    /* Not longer than a day, whatever was asked for. */
    t.authentication = NULL;
    ticket = log_in(&t, 0, 10 * 86400);
    present(&t, ticket);
    t.rig.now_us += INT64_C(86401) * 1000000;
    talk_refused(&t, KMIP_OPERATION_PING, &ping, KMIP_RESULT_REASON_INVALID_TICKET);
    /* None outlives the memory that it was in. */
    t.authentication = NULL;
    ticket = log_in(&t, 0, 0);
    struct ks_diag diag = {0};
    assert_int_equal(rig_reload(&t.rig, &diag), 0);
    present(&t, ticket);
    talk_refused(&t, KMIP_OPERATION_PING, &ping, KMIP_RESULT_REASON_INVALID_TICKET);
    talk_close(&t);
}

static void
values_that_are_none(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    const struct ks_span ticket = log_in(&t, 0, 0);
    uint8_t bytes[33];
    memcpy(bytes, ticket.data, 32);
    bytes[32] = 0;
    for (size_t len = 0; len <= 33; len++) {
        if (len == 32)
            continue;
        present(&t, KS_SPAN(bytes, len));
        talk_refused(&t, KMIP_OPERATION_PING, &ping, KMIP_RESULT_REASON_INVALID_TICKET);
    }
    for (size_t bit = 0; bit < 256; bit += 17) {
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        present(&t, KS_SPAN(bytes, 32));
        talk_refused(&t, KMIP_OPERATION_PING, &ping, KMIP_RESULT_REASON_INVALID_TICKET);
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    present(&t, KS_SPAN(bytes, 32));
    talk_do(&t, KMIP_OPERATION_PING, &ping);
    talk_close(&t);
}

static void
they_are_bounded(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    const struct kmip_login_request r = {0};
    for (int i = 0; i < 64; i++)
        talk_do(&t, KMIP_OPERATION_LOGIN, &r);
    talk_refused(&t, KMIP_OPERATION_LOGIN, &r, KMIP_RESULT_REASON_SERVER_LIMIT_EXCEEDED);
    t.who = &t.rig.admin;
    talk_do(&t, KMIP_OPERATION_LOGIN, &r);
    t.who = &t.rig.client;
    t.rig.now_us += INT64_C(3601) * 1000000;
    talk_do(&t, KMIP_OPERATION_LOGIN, &r);
    talk_close(&t);
}

/* Every part of a right, present or not, against an object inside and one outside of it. */
static void
rights_row_by_row(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    const char *in = make_key(&t, "in", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    const char *out = make_key(&t, "out", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    struct kmip_add_attribute_request add = {.unique_identifier = uid(in)};
    put_text(&t, &add.new_attribute, KMIP_TAG_OBJECT_GROUP, "team");
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    uint32_t get[] = {KMIP_OPERATION_GET_ATTRIBUTES};
    struct kmip_uid only[] = {uid(in)};
    struct ks_span team[] = {KS_LIT("team")};
    struct kmip_operations operations = {.operation = get, .n_operation = 1};
    struct kmip_objects objects = {.unique_identifier = only, .n_unique_identifier = 1};
    struct kmip_object_groups groups = {.object_group = team, .n_object_group = 1};
    const struct kmip_get_attributes_request inside = asks(in), outside = asks(out);
    for (unsigned parts = 0; parts < 8; parts++) {
        struct kmip_right right = {.operations = parts & 1 ? &operations : NULL,
                                   .objects = parts & 2 ? &objects : NULL,
                                   .object_groups = parts & 4 ? &groups : NULL};
        struct kmip_right *list[] = {&right};
        t.authentication = NULL;
        present(&t, delegate(&t, list, 1));
        talk_do(&t, KMIP_OPERATION_GET_ATTRIBUTES, &inside);
        if ((parts & 6) != 0)
            talk_refused(&t, KMIP_OPERATION_GET_ATTRIBUTES, &outside, KMIP_RESULT_REASON_NOT_AUTHORIZED);
        else
            talk_do(&t, KMIP_OPERATION_GET_ATTRIBUTES, &outside);
        const struct kmip_get_request key = {.unique_identifier = uid(in)};
        if ((parts & 1) != 0)
            talk_refused(&t, KMIP_OPERATION_GET, &key, KMIP_RESULT_REASON_NOT_AUTHORIZED);
        /* What is searched for is narrowed as well. */
        const struct kmip_locate_request locate = {.attributes = {.present = true}};
        if ((parts & 1) != 0) {
            talk_refused(&t, KMIP_OPERATION_LOCATE, &locate, KMIP_RESULT_REASON_NOT_AUTHORIZED);
        } else {
            const struct kmip_locate_response *found = talk_do(&t, KMIP_OPERATION_LOCATE, &locate);
            assert_int_equal(found->n_unique_identifier, (parts & 6) != 0 ? 1 : 2);
        }
        /* Rights to objects that are there make none. */
        struct kmip_create_request create = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                             .attributes = {.present = true}};
        put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
        put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
        put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
        if (parts != 0)
            talk_refused(&t, KMIP_OPERATION_CREATE, &create, KMIP_RESULT_REASON_NOT_AUTHORIZED);
    }
    /* No right at all allows nothing. */
    t.authentication = NULL;
    present(&t, delegate(&t, NULL, 0));
    talk_refused(&t, KMIP_OPERATION_PING, &ping, KMIP_RESULT_REASON_NOT_AUTHORIZED);
    talk_refused(&t, KMIP_OPERATION_GET_ATTRIBUTES, &inside, KMIP_RESULT_REASON_NOT_AUTHORIZED);
    talk_close(&t);
}

static void
a_holder_acts_for_the_maker_and_no_further(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    const char *clients = make_key(&t, "of the client", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    struct kmip_right all = {0};
    struct kmip_right *list[] = {&all};
    const struct ks_span from_client = delegate(&t, list, 1);
    t.who = &t.rig.admin;
    const char *admins = make_key(&t, "of the admin", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    const struct ks_span from_admin = delegate(&t, list, 1);
    const struct kmip_get_request get = {.unique_identifier = uid(clients)},
                                  get_own = {.unique_identifier = uid(admins)};
    /* An administrator reads no client's key, but with that client's ticket; and then none of his own. */
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_PERMISSION_DENIED);
    present(&t, from_client);
    talk_do(&t, KMIP_OPERATION_GET, &get);
    assert_non_null(strstr(records(&t), "\"acts_for\""));
    talk_refused(&t, KMIP_OPERATION_GET, &get_own, KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
    /* What administrators do is not to be had by ticket, not even by an unrestricted one, not even for one. */
    const struct kmip_client_list_request list_clients = {0};
    const struct kmip_enroll_token_create_request token = {.client_name = KS_LIT("mallory")};
    talk_refused(&t, KMIP_OPERATION_CLIENT_LIST, &list_clients, KMIP_RESULT_REASON_PERMISSION_DENIED);
    t.who = &t.rig.client;
    present(&t, from_admin);
    talk_do(&t, KMIP_OPERATION_GET, &get_own);
    talk_refused(&t, KMIP_OPERATION_CLIENT_LIST, &list_clients, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_refused(&t, KMIP_OPERATION_ENROLL_TOKEN_CREATE, &token, KMIP_RESULT_REASON_PERMISSION_DENIED);
    /* No ticket makes another. */
    const struct kmip_login_request login = {0};
    struct kmip_rights rights = {.right = list, .n_right = 1};
    const struct kmip_delegated_login_request more = {.rights = &rights};
    talk_refused(&t, KMIP_OPERATION_LOGIN, &login, KMIP_RESULT_REASON_NOT_AUTHORIZED);
    talk_refused(&t, KMIP_OPERATION_DELEGATED_LOGIN, &more, KMIP_RESULT_REASON_NOT_AUTHORIZED);
    /* The ticket narrows nothing once its request is answered. */
    t.authentication = NULL;
    const struct kmip_get_request own = {.unique_identifier = uid(clients)};
    talk_do(&t, KMIP_OPERATION_GET, &own);
    talk_refused(&t, KMIP_OPERATION_GET, &get_own, KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
    /* Without a certificate that is known it is worth nothing. */
    t.who = &t.rig.stranger;
    present(&t, from_client);
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
    t.who = &t.rig.nobody;
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
    talk_close(&t);
}

static void
others_objects_can_not_be_delegated(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.admin;
    const char *admins = make_key(&t, "of the admin", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    t.who = &t.rig.client;
    struct kmip_uid only[] = {uid(admins)};
    struct kmip_objects objects = {.unique_identifier = only, .n_unique_identifier = 1};
    struct kmip_right right = {.objects = &objects};
    struct kmip_right *list[] = {&right};
    struct kmip_rights all = {.right = list, .n_right = 1};
    const struct kmip_delegated_login_request r = {.rights = &all};
    talk_refused(&t, KMIP_OPERATION_DELEGATED_LOGIN, &r, KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
    talk_close(&t);
}

static void
a_revoked_maker_has_no_tickets(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    struct kmip_right all = {0};
    struct kmip_right *list[] = {&all};
    const struct ks_span ticket = delegate(&t, list, 1);
    t.who = &t.rig.admin;
    present(&t, ticket);
    talk_do(&t, KMIP_OPERATION_PING, &ping);
    t.authentication = NULL;
    const struct kmip_client_list_request list_clients = {0};
    const struct kmip_client_list_response *got = talk_do(&t, KMIP_OPERATION_CLIENT_LIST, &list_clients);
    for (size_t i = 0; i < got->n_client_entry; i++)
        if (!ks_span_is(got->client_entry[i]->client_role, "admin")) {
            const struct kmip_client_revoke_request revoke = {.client_name =
                                                                  copy_of(&t, got->client_entry[i]->client_name)};
            talk_do(&t, KMIP_OPERATION_CLIENT_REVOKE, &revoke);
        }
    present(&t, ticket);
    talk_refused(&t, KMIP_OPERATION_PING, &ping, KMIP_RESULT_REASON_INVALID_TICKET);
    talk_close(&t);
}

static void
usage_limits_count(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    const char *id = make_key(&t, "k", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    activate_key(&t, id);
    struct kmip_cryptographic_parameters p = {.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_CBC,
                                              .has_block_cipher_mode = true,
                                              .padding_method = KMIP_PADDING_METHOD_PKCS5,
                                              .has_padding_method = true,
                                              .random_iv = true,
                                              .has_random_iv = true};
    const struct kmip_encrypt_request encrypt = {
        .unique_identifier = uid(id), .cryptographic_parameters = &p, .data = KS_LIT("0123456789"), .has_data = true};
    struct kmip_usage_limits bytes = {.usage_limits_total = 25, .usage_limits_unit = KMIP_USAGE_LIMITS_UNIT_BYTE};
    struct kmip_right all = {.usage_limits = &bytes};
    struct kmip_right *list[] = {&all};
    present(&t, delegate(&t, list, 1));
    talk_do(&t, KMIP_OPERATION_ENCRYPT, &encrypt);
    talk_do(&t, KMIP_OPERATION_ENCRYPT, &encrypt);
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &encrypt, KMIP_RESULT_REASON_USAGE_LIMIT_EXCEEDED);
    t.authentication = NULL;
    struct kmip_usage_limits uses = {.usage_limits_total = 1, .usage_limits_unit = KMIP_USAGE_LIMITS_UNIT_OBJECT};
    const struct kmip_login_request r = {.usage_limits = &uses};
    const struct kmip_login_response *got = talk_do(&t, KMIP_OPERATION_LOGIN, &r);
    present(&t, copy_of(&t, got->ticket->ticket_value));
    talk_do(&t, KMIP_OPERATION_ENCRYPT, &encrypt);
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &encrypt, KMIP_RESULT_REASON_USAGE_LIMIT_EXCEEDED);
    talk_close(&t);
}

static void
other_credentials(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    const struct kmip_username_password_credential name = {
        .username = KS_LIT("admin"), .password = KS_LIT("x"), .has_password = true};
    struct kmip_credential *c =
        credential(&t, KMIP_CREDENTIAL_TYPE_USERNAME_AND_PASSWORD, &kmip_schema_username_password_credential, &name);
    present_one(&t, c);
    talk_do(&t, KMIP_OPERATION_PING, &ping);
    /* It makes nobody an administrator. */
    const struct kmip_client_list_request list_clients = {0};
    talk_refused(&t, KMIP_OPERATION_CLIENT_LIST, &list_clients, KMIP_RESULT_REASON_PERMISSION_DENIED);
    t.who = &t.rig.nobody;
    talk_refused(&t, KMIP_OPERATION_PING, &ping, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
    t.who = &t.rig.client;
    struct kmip_nonce nonce = {.nonce_id = KS_LIT("1"), .nonce_value = KS_LIT("2")};
    const struct kmip_attestation_credential attestation = {.nonce = &nonce,
                                                            .attestation_type = KMIP_ATTESTATION_TYPE_TPM_QUOTE};
    present_one(&t,
                credential(&t, KMIP_CREDENTIAL_TYPE_ATTESTATION, &kmip_schema_attestation_credential, &attestation));
    const struct kmip_response_message *refused = talk_batch(&t, &(struct talk_item){KMIP_OPERATION_PING, &ping}, 1);
    assert_int_equal(refused->batch_item[0]->result_reason, KMIP_RESULT_REASON_ATTESTATION_FAILED);
    const struct kmip_one_time_password_credential otp = {.username = KS_LIT("u"), .one_time_password = KS_LIT("1")};
    present_one(
        &t, credential(&t, KMIP_CREDENTIAL_TYPE_ONE_TIME_PASSWORD, &kmip_schema_one_time_password_credential, &otp));
    refused = talk_batch(&t, &(struct talk_item){KMIP_OPERATION_PING, &ping}, 1);
    assert_int_equal(refused->batch_item[0]->result_reason, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
    c->credential_type = KMIP_CREDENTIAL_TYPE_TICKET; /* whose value is a name and a password */
    present_one(&t, c);
    refused = talk_batch(&t, &(struct talk_item){KMIP_OPERATION_PING, &ping}, 1);
    assert_int_equal(refused->batch_item[0]->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    talk_close(&t);
}

/* What the maker has put off is the maker's: its result may be of objects that the ticket does not reach. */
static void
what_was_put_off_is_not_delegated(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    const char *reached = make_key(&t, "reached", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    const char *secret = make_key(&t, "not reached", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    struct kmip_uid ids[] = {uid(reached)};
    struct kmip_objects objects = {.unique_identifier = ids, .n_unique_identifier = 1};
    struct kmip_right right = {.objects = &objects}, *rights[] = {&right};
    const struct ks_span ticket = delegate(&t, rights, 1);
    t.asynchronous = KMIP_ASYNCHRONOUS_INDICATOR_MANDATORY;
    const struct kmip_get_attributes_request get = asks(secret);
    const struct kmip_response_batch_item *item = talk_ask(&t, KMIP_OPERATION_GET_ATTRIBUTES, &get);
    assert_int_equal(item->result_status, KMIP_RESULT_STATUS_OPERATION_PENDING);
    const struct ks_span id = copy_of(&t, item->asynchronous_correlation_value);
    t.asynchronous = 0;
    t.rig.now_us += 60000000;
    (void)rig_tick(&t.rig);
    t.who = &t.rig.admin;
    present(&t, ticket);
    const struct kmip_poll_request poll = {.asynchronous_correlation_value = id};
    const struct kmip_cancel_request cancel = {.asynchronous_correlation_value = id};
    const struct kmip_process_request process = {.asynchronous_correlation_value = id};
    const struct kmip_query_asynchronous_requests_request query = {0};
    talk_refused(&t, KMIP_OPERATION_POLL, &poll, KMIP_RESULT_REASON_NOT_AUTHORIZED);
    talk_refused(&t, KMIP_OPERATION_CANCEL, &cancel, KMIP_RESULT_REASON_NOT_AUTHORIZED);
    talk_refused(&t, KMIP_OPERATION_PROCESS, &process, KMIP_RESULT_REASON_NOT_AUTHORIZED);
    talk_refused(&t, KMIP_OPERATION_QUERY_ASYNCHRONOUS_REQUESTS, &query, KMIP_RESULT_REASON_NOT_AUTHORIZED);
    t.authentication = NULL;
    t.who = &t.rig.client;
    talk_do(&t, KMIP_OPERATION_POLL, &poll);
    talk_close(&t);
}

static void
undoing_a_batch_undoes_tickets(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO;
    const struct kmip_login_request login = {0};
    const struct kmip_get_request unknown = {.unique_identifier = uid("00000000-0000-7000-8000-000000000000")};
    /* One that was made is gone: as many as there may be can be made over and over. */
    for (size_t i = 0; i < 70; i++) {
        const struct talk_item items[] = {{KMIP_OPERATION_LOGIN, &login}, {KMIP_OPERATION_GET, &unknown}};
        const struct kmip_response_message *m = talk_batch(&t, items, 2);
        assert_int_equal(m->batch_item[0]->result_status, KMIP_RESULT_STATUS_OPERATION_UNDONE);
        assert_null(m->batch_item[0]->payload);
    }
    /* One that was ended is there again, whether it is another or the one that is shown. */
    const struct ks_span value = log_in(&t, 0, 0);
    struct kmip_ticket ticket = {.ticket_type = KMIP_TICKET_TYPE_LOGIN, .ticket_value = value};
    const struct kmip_logout_request logout = {.ticket = &ticket};
    const struct talk_item ends[] = {{KMIP_OPERATION_LOGOUT, &logout}, {KMIP_OPERATION_GET, &unknown}};
    for (unsigned shown = 0; shown < 2; shown++) {
        t.authentication = NULL;
        if (shown == 1)
            present(&t, value);
        const struct kmip_response_message *m = talk_batch(&t, ends, 2);
        assert_int_equal(m->batch_item[0]->result_status, KMIP_RESULT_STATUS_OPERATION_UNDONE);
        assert_int_equal(m->batch_item[1]->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
        present(&t, value);
        talk_do(&t, KMIP_OPERATION_PING, &ping);
    }
    t.authentication = NULL;
    log_out(&t, value);
    present(&t, value);
    talk_refused(&t, KMIP_OPERATION_PING, &ping, KMIP_RESULT_REASON_INVALID_TICKET);
    talk_close(&t);
}

static void
a_stream_goes_on_with_the_ticket_that_began_it(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    struct kmip_cryptographic_parameters p = {.hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256,
                                              .has_hashing_algorithm = true};
    const struct kmip_hash_request first = {.cryptographic_parameters = &p,
                                            .data = KS_LIT("a"),
                                            .has_data = true,
                                            .init_indicator = true,
                                            .has_init_indicator = true};
    struct kmip_right all = {0};
    struct kmip_right *list[] = {&all};
    const struct ks_span one = delegate(&t, list, 1), two = delegate(&t, list, 1);
    present(&t, one);
    const struct kmip_hash_response *begun = talk_do(&t, KMIP_OPERATION_HASH, &first);
    const struct kmip_hash_request next = {.cryptographic_parameters = &p,
                                           .data = KS_LIT("b"),
                                           .has_data = true,
                                           .correlation_value = copy_of(&t, begun->correlation_value),
                                           .has_correlation_value = true};
    t.authentication = NULL;
    assert_int_equal(talk_ask(&t, KMIP_OPERATION_HASH, &next)->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    present(&t, two);
    assert_int_equal(talk_ask(&t, KMIP_OPERATION_HASH, &next)->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    present(&t, one);
    talk_do(&t, KMIP_OPERATION_HASH, &next);
    talk_close(&t);
}

static void
placeholders_and_wrapping_keep_to_the_rights(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    const char *in = make_key(&t, "in", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    const char *out = make_key(&t, "out", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    struct kmip_uid only[] = {uid(in)};
    struct kmip_objects objects = {.unique_identifier = only, .n_unique_identifier = 1};
    uint32_t may[] = {KMIP_OPERATION_LOCATE};
    struct kmip_operations operations = {.operation = may, .n_operation = 1};
    /* May look for everything, and do anything with one. */
    struct kmip_right look = {.operations = &operations}, use = {.objects = &objects};
    struct kmip_right *list[] = {&look, &use};
    present(&t, delegate(&t, list, 2));
    struct kmip_locate_request locate = {.attributes = {.present = true}};
    put_name(&t, &locate.attributes, "out");
    const struct kmip_get_request get = {0};
    const struct kmip_destroy_request destroy = {0};
    const struct kmip_locate_response *found = talk_do(&t, KMIP_OPERATION_LOCATE, &locate);
    assert_int_equal(found->n_unique_identifier, 1);
    const struct talk_item gets[] = {{KMIP_OPERATION_LOCATE, &locate}, {KMIP_OPERATION_GET, &get}};
    const struct talk_item destroys[] = {{KMIP_OPERATION_LOCATE, &locate}, {KMIP_OPERATION_DESTROY, &destroy}};
    const struct kmip_response_message *m = talk_batch(&t, gets, 2);
    assert_int_equal(m->batch_item[1]->result_reason, KMIP_RESULT_REASON_NOT_AUTHORIZED);
    m = talk_batch(&t, destroys, 2);
    assert_int_equal(m->batch_item[1]->result_reason, KMIP_RESULT_REASON_NOT_AUTHORIZED);
    /* Nor is the key of another a key to wrap with. */
    struct kmip_encryption_key_information with = {.unique_identifier = uid(out)};
    struct kmip_key_wrapping_specification wrap = {.wrapping_method = KMIP_WRAPPING_METHOD_ENCRYPT,
                                                   .encryption_key_information = &with};
    const struct kmip_get_request wrapped = {.unique_identifier = uid(in), .key_wrapping_specification = &wrap};
    assert_int_equal(talk_ask(&t, KMIP_OPERATION_GET, &wrapped)->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    t.authentication = NULL;
    assert_int_equal(state_of(&t, out), KMIP_STATE_PRE_ACTIVE);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_login_ticket_is_its_makers),
        cmocka_unit_test(tickets_end),
        cmocka_unit_test(values_that_are_none),
        cmocka_unit_test(they_are_bounded),
        cmocka_unit_test(rights_row_by_row),
        cmocka_unit_test(a_holder_acts_for_the_maker_and_no_further),
        cmocka_unit_test(others_objects_can_not_be_delegated),
        cmocka_unit_test(a_revoked_maker_has_no_tickets),
        cmocka_unit_test(usage_limits_count),
        cmocka_unit_test(other_credentials),
        cmocka_unit_test(what_was_put_off_is_not_delegated),
        cmocka_unit_test(undoing_a_batch_undoes_tickets),
        cmocka_unit_test(a_stream_goes_on_with_the_ticket_that_began_it),
        cmocka_unit_test(placeholders_and_wrapping_keep_to_the_rights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
