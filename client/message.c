#include "client/message.h"

#include <stdio.h>
#include <string.h>

#include "client/error.h"
#include "kmip/schema.h"

/* What a Result Reason means for the caller. */
static const struct {
    uint32_t reason;
    int code;
    const char *hint;
} refusals[] = {
    {KMIP_RESULT_REASON_ITEM_NOT_FOUND, KS_E_NOT_FOUND, "check the name or identifier"},
    {KMIP_RESULT_REASON_OBJECT_NOT_FOUND, KS_E_NOT_FOUND, "check the name or identifier"},
    {KMIP_RESULT_REASON_ATTRIBUTE_NOT_FOUND, KS_E_NOT_FOUND, NULL},
    {KMIP_RESULT_REASON_ATTRIBUTE_INSTANCE_NOT_FOUND, KS_E_NOT_FOUND, NULL},
    {KMIP_RESULT_REASON_WRAPPING_OBJECT_NOT_FOUND, KS_E_NOT_FOUND, "check the wrapping key"},
    {KMIP_RESULT_REASON_PERMISSION_DENIED, KS_E_DENIED, NULL}, /* up to 2.0 a wrong state is this too */
    {KMIP_RESULT_REASON_NOT_AUTHORISED, KS_E_DENIED, "ask an administrator of the server"},
    {KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL, KS_E_DENIED, "is this client enrolled, and not revoked?"},
    {KMIP_RESULT_REASON_OBJECT_ALREADY_EXISTS, KS_E_EXISTS, "choose another name"},
    {KMIP_RESULT_REASON_NON_UNIQUE_NAME_ATTRIBUTE, KS_E_EXISTS, "choose another name"},
    {KMIP_RESULT_REASON_OPERATION_NOT_SUPPORTED, KS_E_UNSUPPORTED, NULL},
    {KMIP_RESULT_REASON_FEATURE_NOT_SUPPORTED, KS_E_UNSUPPORTED, NULL},
    {KMIP_RESULT_REASON_OPERATION_CANCELED_BY_REQUESTER, KS_E_CANCELLED, NULL},
    {KMIP_RESULT_REASON_INVALID_ASYNCHRONOUS_CORRELATION_VALUE, KS_E_NOT_FOUND,
     "a result is given once, and kept for a while only"},
    {KMIP_RESULT_REASON_RESPONSE_TOO_LARGE, KS_E_LIMIT, "ask for less, or raise max_response"},
};

/* A sealed Keystead has no reason of its own to give, since KMIP has none: a Message Extension says it. */
static bool
says_sealed(const struct kmip_response_batch_item *item)
{
    for (size_t i = 0; i < item->n_message_extension; i++) {
        const struct kmip_message_extension *extension = item->message_extension[i];
        const struct kmip_item *sealed = ks_span_is(extension->vendor_identification, KMIP_VENDOR_KEYSTEAD)
                                             ? kmip_item_child(extension->vendor_extension, KMIP_TAG_SERVER_SEALED)
                                             : NULL;
        if (sealed != NULL && sealed->type == KMIP_TYPE_BOOLEAN && sealed->b)
            return true;
    }
    return false;
}

static int
refusal_code(uint32_t reason)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(refusals); i++)
        if (refusals[i].reason == reason)
            return refusals[i].code;
    return KS_E_KMIP;
}

/* Text from a stranger for a message of one line: control characters become spaces, and there is an end to it. */
static void
quote(struct ks_span text, char *ret, size_t size)
{
    size_t n = 0;
    for (; n < text.len && n + 1 < size; n++)
        ret[n] = (char)(text.data[n] < ' ' || text.data[n] == 0x7f ? ' ' : text.data[n]);
    while (n > 0 && n < text.len && ((uint8_t)ret[n - 1] & 0xc0) == 0x80)
        n--; /* cut off in the middle of a character, maybe: leave out its beginning too */
    if (n > 0 && n < text.len && ((uint8_t)ret[n - 1] & 0x80) != 0)
        n--;
    ret[n] = '\0';
}

int
message_refuse(const struct client_op *op, const char *what, struct ks_error *error)
{
    char text[300];
    quote(op->text, text, sizeof(text));
    const char *name = kmip_enum_name(KMIP_TAG_RESULT_REASON, op->reason);
    const char *hint = NULL;
    for (size_t i = 0; i < KS_ARRAY_LEN(refusals) && hint == NULL && text[0] == '\0'; i++)
        if (refusals[i].reason == op->reason)
            hint = refusals[i].hint; /* a server that says more knows better */
    error->answered = true;
    error->result_status = op->status;
    error->result_reason = op->reason;
    error->operation = op->operation;
    if (op->code == KS_E_SEALED)
        return client_fail(error, op->code,
                           "%s: the server is sealed; an administrator unseals it with: keystead unseal", what);
    return client_fail(error, op->code, "%s: %s%s%s%s%s", what, name != NULL ? name : "refused by the server",
                       text[0] != '\0' ? ": " : "", text, hint != NULL ? "; " : "", hint != NULL ? hint : "");
}

/* ---- Encoding ---- */

/* Whether another row for the same member exists in the version. */
static bool
has_form(const struct kmip_schema *schema, const struct kmip_field *field, enum kmip_version version)
{
    for (size_t i = 0; i < schema->n_fields; i++)
        if (schema->fields[i].at == field->at && kmip_field_in(&schema->fields[i], version))
            return true;
    return false;
}

/* Whether the member holds anything. */
static bool
is_present(const struct kmip_field *field, const uint8_t *base)
{
    const void *member = base + field->at;
    switch ((enum kmip_kind)field->kind) {
    case KMIP_KIND_GROUP:
        return true;
    case KMIP_KIND_UID:
        if (field->card == KMIP_CARD_ONE || field->card == KMIP_CARD_OPT)
            return ((const struct kmip_uid *)member)->type != 0;
        break;
    case KMIP_KIND_ATTRS_T:
    case KMIP_KIND_ATTRS_1:
    case KMIP_KIND_ATTRS_2:
        return ((const struct kmip_attrs *)member)->n > 0;
    case KMIP_KIND_REFS_1:
    case KMIP_KIND_REFS_2:
        return ((const struct kmip_attr_refs *)member)->n > 0;
    case KMIP_KIND_STRUCT:
    case KMIP_KIND_ITEM:
        if (field->card == KMIP_CARD_ONE || field->card == KMIP_CARD_OPT)
            return *(const void *const *)member != NULL;
        break;
    default:
        break;
    }
    if (field->count_at == KMIP_FIELD_NO_COUNT)
        return true; /* a required scalar */
    if (field->card == KMIP_CARD_MANY || field->card == KMIP_CARD_SOME)
        return *(const size_t *)(const void *)(base + field->count_at) > 0;
    return *(const bool *)(base + field->count_at);
}

static int
refuse_missing(const char *what, enum kmip_version version, struct ks_error *error)
{
    const struct kmip_version_number number = kmip_version_number(version);
    return client_fail(error, KS_E_UNSUPPORTED,
                       "%s does not exist in KMIP %d.%d, which is what this server and client have in common", what,
                       number.major, number.minor);
}

static int
check_attributes(const struct kmip_attrs *attrs, enum kmip_version version, struct ks_error *error)
{
    for (const struct kmip_attr *attr = attrs->first; attr != NULL; attr = attr->next) {
        const struct kmip_attr_rule *rule = kmip_attr_rule_find(attr->tag);
        if (attr->tag == KMIP_TAG_ATTRIBUTE || (rule != NULL && rule->since <= version && version <= rule->until))
            continue;
        char what[100];
        const char *name = kmip_tag_name(attr->tag);
        snprintf(what, sizeof(what), "the attribute %s", name != NULL ? name : "that is asked for");
        return refuse_missing(what, version, error);
    }
    return 0;
}

/* The encoder leaves out what a version does not know; here such a request is refused instead. */
static int
check_fits(const struct kmip_schema *schema, const void *from, enum kmip_version version, struct ks_error *error)
{
    const uint8_t *base = from;
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct kmip_field *field = &schema->fields[i];
        const void *member = base + field->at;
        if (!is_present(field, base))
            continue;
        if (!has_form(schema, field, version)) {
            const char *name = kmip_tag_name(field->tag);
            return refuse_missing(name != NULL ? name : field->member, version, error);
        }
        if (field->kind == KMIP_KIND_GROUP)
            KS_TRY(check_fits(field->sub, member, version, error));
        else if (field->kind == KMIP_KIND_STRUCT && (field->card == KMIP_CARD_ONE || field->card == KMIP_CARD_OPT))
            KS_TRY(check_fits(field->sub, *(const void *const *)member, version, error));
        else if (field->kind == KMIP_KIND_ATTRS_T || field->kind == KMIP_KIND_ATTRS_1 ||
                 field->kind == KMIP_KIND_ATTRS_2)
            KS_TRY(check_attributes(member, version, error));
    }
    return 0;
}

/* The Unique Batch Item ID of an item: its number. */
static struct ks_span
item_id(struct ks_arena *arena, size_t i)
{
    const uint8_t id[2] = {(uint8_t)(i >> 8), (uint8_t)i};
    const void *copy = ks_arena_dup(arena, id, sizeof(id));
    return copy != NULL ? KS_SPAN(copy, sizeof(id)) : KS_SPAN_NONE;
}

static int
check_operation(const struct client_op *op, enum kmip_version version, struct ks_error *error)
{
    const struct kmip_operation *operation = kmip_operation_find(op->operation);
    if (operation == NULL)
        return client_fail(error, KS_E_INVALID, "there is no KMIP operation 0x%08x", op->operation);
    error->operation = op->operation;
    if (version < operation->since || version > operation->until)
        return refuse_missing(operation->name, version, error);
    return check_fits(operation->request, op->request, version, error);
}

/* The header's Authentication with a ticket in it. */
static int
show_ticket(struct ks_span value, enum kmip_version version, struct ks_arena *arena, struct kmip_authentication **ret,
            struct ks_error *error)
{
    struct kmip_ticket ticket = {.ticket_type = KMIP_TICKET_TYPE_LOGIN, .ticket_value = value};
    const struct kmip_ticket_credential shown = {.ticket = &ticket};
    if (version < KMIP_V2_0)
        return refuse_missing("a ticket", version, error);
    struct kmip_authentication *authentication = ks_arena_alloc(arena, sizeof(*authentication));
    struct kmip_credential *credential = ks_arena_alloc(arena, sizeof(*credential));
    struct kmip_credential **credentials = ks_arena_array(arena, 1, sizeof(void *));
    if (authentication == NULL || credential == NULL || credentials == NULL)
        return client_fail(error, KS_E_NOMEM, "out of memory");
    credential->credential_type = KMIP_CREDENTIAL_TYPE_TICKET;
    const int rc =
        kmip_item_encode(&kmip_schema_ticket_credential, version, &shown, arena, &credential->credential_value);
    if (rc != 0)
        return client_fail(error, rc, "the ticket: %s", ks_err_text(rc));
    credentials[0] = credential;
    *authentication = (struct kmip_authentication){.credential = credentials, .n_credential = 1};
    *ret = authentication;
    return 0;
}

int
message_encode(const struct client_op *ops, size_t n_ops, enum kmip_version version, size_t max_response,
               struct ks_span ticket, struct ks_arena *arena, struct ks_buf *ret, struct ks_error *error)
{
    const struct kmip_version_number number = kmip_version_number(version);
    struct kmip_protocol_version protocol = {.protocol_version_major = number.major,
                                             .protocol_version_minor = number.minor};
    struct kmip_request_header header = {.protocol_version = &protocol,
                                         .has_maximum_response_size = true,
                                         .maximum_response_size = (int32_t)max_response,
                                         .batch_count = (int32_t)n_ops};
    struct kmip_request_message message = {.request_header = &header, .n_batch_item = n_ops};
    message.batch_item = ks_arena_array(arena, n_ops, sizeof(void *));
    struct kmip_request_batch_item *items = ks_arena_array(arena, n_ops, sizeof(*items));
    if (message.batch_item == NULL || items == NULL)
        return client_fail(error, KS_E_NOMEM, "out of memory");
    if (ticket.len != 0)
        KS_TRY(show_ticket(ticket, version, arena, &header.authentication, error));
    for (size_t i = 0; i < n_ops; i++) {
        KS_TRY(check_operation(&ops[i], version, error));
        if (ops[i].put_off && version < KMIP_V2_0)
            header.has_asynchronous = header.asynchronous = true;
        if (ops[i].put_off && version >= KMIP_V2_0) {
            header.has_asynchronous_indicator = true;
            header.asynchronous_indicator = KMIP_ASYNCHRONOUS_INDICATOR_MANDATORY;
        }
        void *payload;
        memcpy(&payload, &ops[i].request, sizeof(payload)); /* the encoder does not write, whatever its type says */
        items[i] = (struct kmip_request_batch_item){.operation = ops[i].operation, .payload = payload};
        if (n_ops > 1) {
            items[i].has_unique_batch_item_id = true;
            items[i].unique_batch_item_id = item_id(arena, i);
            header.has_batch_order_option = header.batch_order_option = true;
        }
        message.batch_item[i] = &items[i];
    }
    struct ks_diag diag = {0};
    const int rc = kmip_request_encode(&message, ret, &diag);
    return rc == 0 ? 0 : client_fail_diag(error, &diag, rc, "cannot encode the request");
}

/* ---- Decoding ---- */

static int
bad_answer(struct ks_error *error, const char *what)
{
    return client_fail(error, KS_E_MALFORMED, "the server's answer does not fit the request: %s", what);
}

static int
take_item(const struct kmip_response_batch_item *item, struct client_op *op, struct ks_error *error)
{
    op->status = item->result_status;
    op->reason = item->has_result_reason ? item->result_reason : 0;
    op->text = item->has_result_message ? item->result_message : KS_SPAN_NONE;
    const bool polled = op->operation == KMIP_OPERATION_POLL;
    op->answered = item->has_operation ? item->operation : 0;
    if (item->result_status == KMIP_RESULT_STATUS_SUCCESS) {
        if (!item->has_operation || (item->operation != op->operation && !polled))
            return bad_answer(error, "it is about another operation");
        if (item->payload == NULL)
            return bad_answer(error, "it has no payload");
        op->response = item->payload;
        op->code = 0;
        return 0;
    }
    const bool pending = item->result_status == KMIP_RESULT_STATUS_OPERATION_PENDING;
    if (pending && polled) {
        op->pending = ((const struct kmip_poll_request *)op->request)->asynchronous_correlation_value;
        op->code = 0;
        return 0;
    }
    if (pending && op->put_off) {
        if (!item->has_asynchronous_correlation_value || item->asynchronous_correlation_value.len == 0)
            return bad_answer(error, "it is pending, and has no Asynchronous Correlation Value");
        op->pending = item->asynchronous_correlation_value;
        op->code = 0;
        return 0;
    }
    if (pending)
        op->code = client_fail(error, KS_E_UNSUPPORTED, "the server answered later on, though it was not asked to");
    else
        op->code = says_sealed(item) ? KS_E_SEALED : refusal_code(op->reason);
    return 0;
}

/* A message that was not understood at all has one item without an operation: it speaks for all of them. */
static bool
refuses_all(const struct kmip_response_message *message)
{
    return message->n_batch_item == 1 && !message->batch_item[0]->has_operation &&
           message->batch_item[0]->result_status != KMIP_RESULT_STATUS_SUCCESS;
}

int
message_decode(struct ks_span bytes, struct client_op *ops, size_t n_ops, struct ks_arena *arena,
               struct ks_error *error)
{
    struct kmip_response_message *message = NULL;
    struct ks_diag diag = {0};
    const struct kmip_limits limits = {.bytes = bytes.len, .depth = 32, .items = 1 << 20, .text = bytes.len};
    const int rc = kmip_response_decode(bytes, &limits, arena, &message, &diag);
    if (rc != 0)
        return client_fail_diag(error, &diag, rc, "cannot read the server's answer");
    if (refuses_all(message)) {
        for (size_t i = 0; i < n_ops; i++)
            KS_TRY(take_item(message->batch_item[0], &ops[i], error));
        return 0;
    }
    if (message->n_batch_item > n_ops || message->n_batch_item == 0)
        return bad_answer(error, "it has another number of items");
    for (size_t i = 0; i < n_ops; i++) {
        if (i >= message->n_batch_item) { /* the server stopped at the first failure */
            if (ops[i - 1].code == 0)
                return bad_answer(error, "items are missing");
            ops[i].code = KS_E_CANCELLED;
            continue;
        }
        const struct kmip_response_batch_item *item = message->batch_item[i];
        const uint8_t id[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        if (item->has_unique_batch_item_id && n_ops > 1 && !ks_span_equal(item->unique_batch_item_id, KS_SPAN(id, 2)))
            return bad_answer(error, "its items are in another order");
        KS_TRY(take_item(item, &ops[i], error));
    }
    return 0;
}
