#include "engine_talk.h"

#include <stdio.h>

#include "kmip/schema.h"

void
talk_open_with(struct talk *talk, const struct engine_config *config)
{
    *talk = (struct talk){.arena = KS_ARENA(512 << 20), .version = KMIP_V2_1};
    rig_open(&talk->rig, config, false);
    talk->who = &talk->rig.client;
}

void
talk_open(struct talk *talk)
{
    talk_open_with(talk, NULL);
}

void
talk_close(struct talk *talk)
{
    rig_close(&talk->rig);
    ks_arena_done(&talk->arena);
}

#define NEW(talk, type) ((type *)ks_arena_alloc(&(talk)->arena, sizeof(type)))

const struct kmip_response_message *
talk_batch(struct talk *talk, const struct talk_item *items, size_t n)
{
    const struct kmip_version_number number = kmip_version_number(talk->version);
    struct kmip_protocol_version version = {.protocol_version_major = number.major,
                                            .protocol_version_minor = number.minor};
    struct kmip_request_header header = {
        .protocol_version = &version,
        .maximum_response_size = talk->max_response,
        .has_maximum_response_size = talk->max_response != 0,
        .batch_error_continuation_option = talk->option,
        .has_batch_error_continuation_option = talk->option != 0,
        .asynchronous_indicator = talk->asynchronous,
        .has_asynchronous_indicator = talk->asynchronous != 0,
        .authentication = talk->authentication,
        .client_correlation_value = ks_span_str(talk->correlation),
        .has_client_correlation_value = talk->correlation != NULL,
        .batch_count = (int32_t)n,
    };
    struct kmip_request_batch_item **list = ks_arena_array(&talk->arena, n, sizeof(*list));
    struct kmip_request_message message = {.request_header = &header, .batch_item = list, .n_batch_item = n};
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(8 << 20);
    for (size_t i = 0; i < n; i++) {
        list[i] = NEW(talk, struct kmip_request_batch_item);
        list[i]->operation = items[i].operation;
        list[i]->payload = ks_arena_alloc(&talk->arena, kmip_operation_find(items[i].operation)->request->size);
        memcpy(list[i]->payload, items[i].payload, kmip_operation_find(items[i].operation)->request->size);
        uint8_t *id = ks_arena_alloc(&talk->arena, 4);
        ks_put_be32(id, (uint32_t)i + 7);
        list[i]->unique_batch_item_id = KS_SPAN(id, 4);
        list[i]->has_unique_batch_item_id = n > 1;
    }
    if (kmip_request_encode(&message, &bytes, &diag) != 0)
        fail_msg("request: %s", ks_diag_text(&diag));
    const struct ks_span answer = rig_ask(&talk->rig, talk->who, ks_buf_span(&bytes));
    if (answer.len == 0)
        return talk->response = NULL;
    struct ks_span copy;
    assert_int_equal(ks_arena_span(&talk->arena, answer, &copy), 0);
    struct kmip_response_message *response;
    if (kmip_response_decode(copy, &kmip_limits_default, &talk->arena, &response, &diag) != 0)
        fail_msg("response: %s", ks_diag_text(&diag));
    return talk->response = response;
}

const struct kmip_response_batch_item *
talk_ask(struct talk *talk, uint32_t operation, const void *payload)
{
    const struct talk_item item = {operation, payload};
    const struct kmip_response_message *response = talk_batch(talk, &item, 1);
    assert_non_null(response);
    assert_int_equal(response->n_batch_item, 1);
    return response->batch_item[0];
}

const void *
talk_do(struct talk *talk, uint32_t operation, const void *payload)
{
    const struct kmip_response_batch_item *item = talk_ask(talk, operation, payload);
    if (item->result_status != KMIP_RESULT_STATUS_SUCCESS)
        fail_msg("%s: %s: %.*s", kmip_operation_find(operation)->name,
                 kmip_enum_name(KMIP_TAG_RESULT_REASON, item->result_reason), (int)item->result_message.len,
                 (const char *)item->result_message.data);
    return item->payload;
}

void
talk_refused(struct talk *talk, uint32_t operation, const void *payload, uint32_t reason)
{
    const struct kmip_response_batch_item *item = talk_ask(talk, operation, payload);
    if (item->result_status != KMIP_RESULT_STATUS_OPERATION_FAILED || item->result_reason != reason)
        fail_msg("%s: status %u, %s (%.*s) where %s is wanted", kmip_operation_find(operation)->name,
                 (unsigned)item->result_status, kmip_enum_name(KMIP_TAG_RESULT_REASON, item->result_reason),
                 (int)item->result_message.len, (const char *)item->result_message.data,
                 kmip_enum_name(KMIP_TAG_RESULT_REASON, reason));
    assert_true(item->result_message.len > 10);
}

void
put_number(struct talk *talk, struct kmip_attrs *attrs, uint32_t tag, int64_t value)
{
    const struct kmip_attr_rule *rule = kmip_attr_rule_find(tag);
    struct kmip_item *item = kmip_item_new(&talk->arena, tag, (enum kmip_type)rule->type);
    switch (rule->type) {
    case KMIP_TYPE_INTEGER:
        item->i32 = (int32_t)value;
        break;
    case KMIP_TYPE_BOOLEAN:
        item->b = value != 0;
        break;
    case KMIP_TYPE_ENUMERATION:
    case KMIP_TYPE_INTERVAL:
        item->u32 = (uint32_t)value;
        break;
    default:
        item->i64 = value;
    }
    attrs->present = true;
    assert_non_null(kmip_attrs_add(&talk->arena, attrs, tag, item));
}

static struct kmip_item *
text_item(struct talk *talk, uint32_t tag, const char *text)
{
    struct kmip_item *item = kmip_item_new(&talk->arena, tag, KMIP_TYPE_TEXT_STRING);
    item->s = ks_span_str(ks_arena_dup(&talk->arena, text, strlen(text)));
    return item;
}

void
put_text(struct talk *talk, struct kmip_attrs *attrs, uint32_t tag, const char *text)
{
    attrs->present = true;
    assert_non_null(kmip_attrs_add(&talk->arena, attrs, tag, text_item(talk, tag, text)));
}

void
put_name(struct talk *talk, struct kmip_attrs *attrs, const char *name)
{
    struct kmip_item *item;
    const struct kmip_name value = {.name_value = ks_span_str(ks_arena_dup(&talk->arena, name, strlen(name))),
                                    .name_type = KMIP_NAME_TYPE_UNINTERPRETED_TEXT_STRING};
    assert_int_equal(kmip_item_encode(&kmip_schema_name, KMIP_V2_1, &value, &talk->arena, &item), 0);
    attrs->present = true;
    assert_non_null(kmip_attrs_add(&talk->arena, attrs, KMIP_TAG_NAME, item));
}

void
put_vendor(struct talk *talk, struct kmip_attrs *attrs, const char *vendor, const char *name, const char *value)
{
    attrs->present = true;
    struct kmip_attr *attr =
        kmip_attrs_add(&talk->arena, attrs, KMIP_TAG_ATTRIBUTE, text_item(talk, KMIP_TAG_ATTRIBUTE_VALUE, value));
    assert_non_null(attr);
    attr->vendor = ks_span_str(vendor);
    attr->name = ks_span_str(name);
}

struct kmip_uid
uid(const char *text)
{
    return (struct kmip_uid){.type = KMIP_TYPE_TEXT_STRING, .text = ks_span_str(text)};
}

const char *
uid_string(struct talk *talk, const struct kmip_uid *from)
{
    return ks_arena_dup(&talk->arena, from->text.data, from->text.len);
}

const char *
make_key(struct talk *talk, const char *name, uint32_t mask)
{
    struct kmip_create_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}};
    put_number(talk, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(talk, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_number(talk, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, mask);
    if (name != NULL)
        put_name(talk, &r.attributes, name);
    const struct kmip_create_response *response = talk_do(talk, KMIP_OPERATION_CREATE, &r);
    return uid_string(talk, &response->unique_identifier);
}

const char *
register_key(struct talk *talk, const char *name, uint32_t mask, struct ks_span bytes)
{
    struct kmip_item *material = kmip_item_new(&talk->arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
    struct kmip_item *value = kmip_item_new(&talk->arena, KMIP_TAG_KEY_VALUE, KMIP_TYPE_STRUCTURE);
    material->s = bytes;
    kmip_item_append(value, material);
    struct kmip_key_block block = {.key_format_type = KMIP_KEY_FORMAT_TYPE_RAW,
                                   .key_value = value,
                                   .cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
                                   .has_cryptographic_algorithm = true,
                                   .cryptographic_length = (int32_t)bytes.len * 8,
                                   .has_cryptographic_length = true};
    struct kmip_symmetric_key key = {.key_block = &block};
    struct kmip_register_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                      .attributes = {.present = true},
                                      .object = {.symmetric_key = &key}};
    put_number(talk, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, mask);
    if (name != NULL)
        put_name(talk, &r.attributes, name);
    const struct kmip_register_response *response = talk_do(talk, KMIP_OPERATION_REGISTER, &r);
    return uid_string(talk, &response->unique_identifier);
}

void
activate_key(struct talk *talk, const char *id)
{
    const struct kmip_activate_request r = {.unique_identifier = uid(id)};
    talk_do(talk, KMIP_OPERATION_ACTIVATE, &r);
}

void
revoke_key(struct talk *talk, const char *id, uint32_t code)
{
    struct kmip_revocation_reason reason = {.revocation_reason_code = code};
    const struct kmip_revoke_request r = {.unique_identifier = uid(id), .revocation_reason = &reason};
    talk_do(talk, KMIP_OPERATION_REVOKE, &r);
}

void
destroy_key(struct talk *talk, const char *id)
{
    const struct kmip_destroy_request r = {.unique_identifier = uid(id)};
    talk_do(talk, KMIP_OPERATION_DESTROY, &r);
}

const struct kmip_item *
attribute(struct talk *talk, const char *id, uint32_t tag)
{
    struct kmip_attr_ref ref = {.tag = tag, .index = -1};
    const struct kmip_get_attributes_request r = {.unique_identifier = uid(id), .attribute_refs = {.n = 1, .v = &ref}};
    const struct kmip_get_attributes_response *response = talk_do(talk, KMIP_OPERATION_GET_ATTRIBUTES, &r);
    return response->attributes.first != NULL ? response->attributes.first->value : NULL;
}

uint32_t
state_of(struct talk *talk, const char *id)
{
    const struct kmip_item *state = attribute(talk, id, KMIP_TAG_STATE);
    assert_non_null(state);
    return state->u32;
}

struct ks_span
key_bytes(struct talk *talk, const char *id)
{
    const struct kmip_get_request r = {.unique_identifier = uid(id)};
    const struct kmip_get_response *response = talk_do(talk, KMIP_OPERATION_GET, &r);
    assert_non_null(response->object.symmetric_key);
    const struct kmip_item *value = response->object.symmetric_key->key_block->key_value;
    return kmip_item_child(value, KMIP_TAG_KEY_MATERIAL)->s;
}

const char *
records(struct talk *talk)
{
    return ks_arena_dup(&talk->arena, talk->rig.reply.audit.data, talk->rig.reply.audit.len);
}
