/* What handlers share: failing, finding objects, the fixed order of checks, what goes into the audit record. */
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "kmip/schema.h"
#include "server/engine/ctx.h"
#include "server/engine/suspend.h"

/* The columns of the reason tables. */
enum { R_1_0, R_1_4, R_2_0, R_2_1, R_3_0, R_COLUMNS };

static const uint32_t reasons[COND_COUNT][R_COLUMNS] = {
#define KMIP_REASON(NAME, r10, r14, r20, r21, r30)                                                                     \
    [COND_##NAME] = {KMIP_RESULT_REASON_##r10, KMIP_RESULT_REASON_##r14, KMIP_RESULT_REASON_##r20,                     \
                     KMIP_RESULT_REASON_##r21, KMIP_RESULT_REASON_##r30},
#include "kmip/spec/reasons.def"
#include "server/engine/reasons.def"
#undef KMIP_REASON
};

/* Reasons that came between 1.0 and 1.4. */
static const struct {
    enum condition condition;
    enum kmip_version since;
    uint32_t reason;
} later[] = {
#define KMIP_REASON_SINCE(NAME, SINCE, r) {COND_##NAME, KMIP_##SINCE, KMIP_RESULT_REASON_##r},
#include "server/engine/reasons_1.def"
#undef KMIP_REASON_SINCE
};

static const uint8_t column[KMIP_VERSION_COUNT] = {
    [KMIP_V1_4] = R_1_4,
    [KMIP_V2_0] = R_2_0,
    [KMIP_V2_1] = R_2_1,
    [KMIP_V3_0] = R_3_0,
};

uint32_t
condition_reason(enum condition condition, enum kmip_version version)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(later) && version < KMIP_V1_4; i++)
        if (later[i].condition == condition && later[i].since <= version)
            return later[i].reason;
    return reasons[condition][column[version]];
}

static const char out_of_memory[] = "the server is out of memory; try again later";

void
engine_say(struct ctx *ctx, enum condition condition, const char *fmt, ...)
{
    char text[512];
    if (ctx->failed)
        return;
    va_list args;
    va_start(args, fmt);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): started just above */
    const int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    const size_t len = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    /* What was quoted may have been cut in the middle of a character. */
    for (size_t i = 0; i < len && !ks_utf8_valid(KS_SPAN((const uint8_t *)text, len)); i++)
        if ((text[i] & 0x80) != 0)
            text[i] = '?';
    const char *message = ks_arena_dup(ctx->arena, text, len);
    ctx->failed = true;
    ctx->failed_sealed = condition == COND_SEALED;
    ctx->reason = condition_reason(condition, ctx->version);
    ctx->message = message != NULL ? message : out_of_memory;
}

struct kmip_uid
uid_text(struct ks_span text)
{
    return (struct kmip_uid){.type = KMIP_TYPE_TEXT_STRING, .text = text};
}

struct kmip_uid
uid_of(const struct object *object)
{
    return uid_text(object_uid(object));
}

/* From 0, or back from the item that asks: -1 is the last before it. */
static int
uid_at(struct ctx *ctx, int32_t position, struct ks_span *ret)
{
    const int64_t at = position < 0 ? (int64_t)ctx->n_results + position : position;
    if (at < 0 || at >= (int64_t)ctx->n_results)
        return engine_fail(ctx, COND_UNKNOWN_OBJECT,
                           "the answers to the items before this one hold %zu Unique Identifiers, and none at position "
                           "%d",
                           ctx->n_results, (int)position);
    *ret = ctx->results[at];
    return 0;
}

/* What its values point to lives as long as the request. */
static int
add_result(struct ctx *ctx, const struct kmip_uid *uid)
{
    enum { FIRST = 16 };
    if (uid->text.len == 0)
        return 0;
    const bool full = ctx->n_results == 0 || (ctx->n_results >= FIRST && (ctx->n_results & (ctx->n_results - 1)) == 0);
    if (full) {
        const size_t cap = ctx->n_results == 0 ? FIRST : 2 * ctx->n_results;
        struct ks_span *v = ks_arena_array(ctx->arena, cap, sizeof(*v));
        if (v == NULL)
            return KS_E_NOMEM;
        if (ctx->n_results != 0)
            memcpy(v, ctx->results, ctx->n_results * sizeof(*v));
        ctx->results = v;
    }
    KS_TRY(ks_arena_span(ctx->arena, uid->text, &ctx->results[ctx->n_results]));
    ctx->n_results++;
    return 0;
}

int
engine_note_results(struct ctx *ctx, const void *response)
{
    const struct kmip_schema *schema = ctx->op != NULL && response != NULL ? ctx->op->response : NULL;
    if (ctx->n_items < 2)
        return 0; /* nobody to ask for them */
    for (size_t f = 0; schema != NULL && f < schema->n_fields; f++) {
        const struct kmip_field *field = &schema->fields[f];
        if (field->kind != KMIP_KIND_UID || field->alt || !kmip_field_in(field, ctx->version))
            continue;
        const void *member = (const uint8_t *)response + field->at;
        const bool many = field->card == KMIP_CARD_MANY || field->card == KMIP_CARD_SOME;
        size_t n = 1;
        const struct kmip_uid *v = member;
        if (many) {
            memcpy(&n, (const uint8_t *)response + field->count_at, sizeof(n));
            memcpy(&v, member, sizeof(void *));
        }
        for (size_t i = 0; i < n; i++)
            KS_TRY(add_result(ctx, &v[i]));
    }
    return 0;
}

int
engine_uid(struct ctx *ctx, const struct kmip_uid *uid, struct ks_span *ret)
{
    uint32_t slot = KMIP_UNIQUE_IDENTIFIER_ID_PLACEHOLDER;
    switch (uid->type) {
    case 0:
        break;
    case KMIP_TYPE_ENUMERATION:
        slot = uid->number;
        break;
    case KMIP_TYPE_INTEGER:
        return uid_at(ctx, (int32_t)uid->number, ret);
    default:
        *ret = uid->text;
        return 0;
    }
    if (slot == 0 || slot >= PLACEHOLDERS)
        return engine_fail(ctx, COND_BAD_FIELD, "the Unique Identifier enumeration has no value 0x%x", (unsigned)slot);
    if (ctx->placeholder[slot].len == 0)
        return engine_fail(
            ctx, slot == KMIP_UNIQUE_IDENTIFIER_ID_PLACEHOLDER && !ctx->found_none ? COND_MISSING : COND_UNKNOWN_OBJECT,
            "the request names no object and no item before it in the batch has set one");
    *ret = ctx->placeholder[slot];
    return 0;
}

static const char *
use_name(const struct ctx *ctx)
{
    return ctx->op != NULL ? ctx->op->name : "this operation";
}

static struct ks_span
printable(struct ks_span s)
{
    return KS_SPAN(s.data, s.len < 64 ? s.len : 64);
}

int
engine_unreadable(struct ctx *ctx, struct ks_span uid)
{
    if (ctx->record != NULL)
        ctx->record->event.object = printable(uid);
    const int rc = ctx->engine->objects.failed;
    if (rc != 0 && rc != KS_E_CORRUPT)
        return rc; /* no memory, or too much for one request, or the store is closed */
    return engine_fail(ctx, COND_INTERNAL,
                       "object %.*s can not be read: its row in the store is damaged or was changed (%s); restore the "
                       "store from a backup",
                       (int)printable(uid).len, (const char *)uid.data, ks_err_text(KS_E_CORRUPT));
}

struct object *
engine_find(struct ctx *ctx, struct ks_span uid)
{
    struct object *own = ctx->p11 != NULL ? p11_object_find(ctx->p11->app, uid) : NULL;
    return own != NULL ? own : objects_find(&ctx->engine->objects, uid);
}

/* What an object that is not there is called: the tables of a few operations have a word of their own for it. */
static enum condition
unknown(const struct ctx *ctx)
{
    switch (ctx->op != NULL ? ctx->op->value : 0) {
    case KMIP_OPERATION_GET_ATTRIBUTES:
        return COND_UNKNOWN_OF_ATTRIBUTES;
    case KMIP_OPERATION_ADJUST_ATTRIBUTE:
    case KMIP_OPERATION_CERTIFY:
    case KMIP_OPERATION_CREATE_SPLIT_KEY:
        return COND_UNKNOWN_ITEM;
    default:
        return COND_UNKNOWN_OBJECT;
    }
}

int
engine_object(struct ctx *ctx, const struct kmip_uid *uid, struct object **ret)
{
    struct ks_span text;
    KS_TRY(engine_uid(ctx, uid, &text));
    struct object *object = engine_find(ctx, text);
    if (object == NULL && ctx->engine->objects.failed != 0)
        return engine_unreadable(ctx, text);
    if (object == NULL || (policy_ticket_allows(ctx->client, object) && !policy_may(ctx->client, RIGHT_SEE, object))) {
        if (ctx->record != NULL)
            ctx->record->event.object = printable(text);
        if (object != NULL && policy_is_anothers(ctx->client, object))
            return engine_fail(ctx, COND_NOT_PERMITTED,
                               "object %s is another user's: show the credential of the user who made it", object->uid);
        return engine_fail(ctx, unknown(ctx), "there is no object %.*s, or it is not visible to this client",
                           (int)printable(text).len, (const char *)text.data);
    }
    if (!policy_ticket_allows(ctx->client, object))
        return engine_fail(ctx, COND_NOT_DELEGATED, "the rights of the ticket do not reach %s of object %s",
                           use_name(ctx), object->uid);
    engine_about(ctx, object);
    *ret = object;
    return 0;
}

/* An object that is not active: the extra right beside the one for the use. */
static enum right
extra_right(enum right right)
{
    switch (right) {
    case RIGHT_READ:
        return RIGHT_READ_INACTIVE;
    case RIGHT_PROCESS:
        return RIGHT_PROCESS_INACTIVE;
    default:
        return RIGHT_MANAGE_INACTIVE;
    }
}

/* A Template is no cryptographic object: it is not activated, revoked, checked or leased. */
static int
check_template(struct ctx *ctx, const struct object *object, const struct use *use)
{
    if (object_type(object) != KMIP_OBJECT_TYPE_TEMPLATE)
        return 0;
    switch (use->use) {
    case USE_ACTIVATE:
    case USE_REVOKE:
    case USE_REVOKE_COMPROMISE:
    case USE_CHECK:
        return engine_fail(ctx, use->use == USE_CHECK ? COND_CHECK_UNFIT : COND_TEMPLATE_USE,
                           "object %s is a Template: %s is not for such", object->uid, use_name(ctx));
    default:
        return 0;
    }
}

/* What lies over the state: beside it, so that the object can go back. */
static int
check_suspended(struct ctx *ctx, const struct object *object, const struct core *core, enum state_use use)
{
    switch (state_suspended(core, use)) {
    case 'Y':
        return 0;
    case 'R':
        if (!policy_may(ctx->client, extra_right(state_rows[use].right), object))
            return suspend_refuse(ctx, object, COND_NOT_PERMITTED);
        engine_note(ctx, "while it is suspended");
        return 0;
    case 'K':
        return policy_may(ctx->client, RIGHT_ADMINISTER, NULL) ? 0 : suspend_refuse(ctx, object, COND_NOT_PERMITTED);
    case 'W':
        return suspend_refuse(ctx, object, COND_WRONG_STATE);
    default:
        return suspend_refuse(ctx, object, COND_NOT_PERMITTED);
    }
}

static int
check_state(struct ctx *ctx, const struct object *object, const struct use *use)
{
    const struct state_row *row = &state_rows[use->use];
    struct core core = object->rev->core;
    if (state_next_due(&core) <= ctx->now)
        (void)state_settle(&core, ctx->now); /* a transition that is due and not yet carried out */
    enum state_column at = state_column(&core, use->use, ctx->now);
    const char *state = kmip_enum_name(KMIP_TAG_STATE, (uint32_t)core_get(&core, CORE_STATE));
    if (core_has(&core, CORE_SUSPENSION) && at < STATE_DESTROYED)
        KS_TRY(check_suspended(ctx, object, &core, use->use));
    char cell = row->cell[at];
    if (cell == 'O' && ctx->version < KMIP_V2_0) {
        cell = 'A';
    } else if (cell == 'O') {
        /* Archived is no obstacle; the state may be one. */
        core_clear(&core, CORE_ARCHIVE_DATE);
        at = state_column(&core, use->use, ctx->now);
        cell = row->cell[at];
    }
    switch (cell) {
    case 'Y':
        return 0;
    case 'R':
        if (policy_may(ctx->client, extra_right(row->right), object))
            return 0;
        return engine_fail(ctx, COND_NOT_PERMITTED, "%s of object %s in state %s takes a right that this client lacks",
                           use_name(ctx), object->uid, state);
    case 'X':
        return engine_fail(ctx, COND_DESTROYED, "object %s is destroyed: its key material is gone for good",
                           object->uid);
    case 'G':
        return engine_fail(ctx, COND_GONE, "object %s is destroyed: its key material is gone for good", object->uid);
    case 'A':
        return engine_fail(ctx, COND_ARCHIVED, "object %s is archived; recover it first", object->uid);
    case 'D':
        return engine_fail(ctx, COND_NOT_PERMITTED, "%s is not permitted for object %s in state %s", use_name(ctx),
                           object->uid, state);
    default:
        break;
    }
    if (at == STATE_ACTIVE_OUT && use->use == USE_PROCESS)
        return engine_fail(ctx, COND_WRONG_STATE, "object %s is not to be used before its Process Start Date",
                           object->uid);
    if (at == STATE_ACTIVE_OUT && use->use == USE_PROTECT)
        return engine_fail(ctx, COND_WRONG_STATE, "object %s is past its Protect Stop Date; use its replacement",
                           object->uid);
    return engine_fail(ctx, COND_WRONG_STATE, "%s is not possible for object %s in state %s", use_name(ctx),
                       object->uid, state);
}

/* Units of Usage Limits that a use takes: bytes, or one object. */
static int64_t
usage_units(const struct core *core, const struct use *use)
{
    if (use->use != USE_PROTECT || !core_has(core, CORE_USAGE_TOTAL))
        return 0;
    return core_get(core, CORE_USAGE_UNIT) == KMIP_USAGE_LIMITS_UNIT_BYTE ? use->bytes : !use->further;
}

int
engine_use(struct ctx *ctx, struct object *object, const struct use *use)
{
    const struct core *core = &object->rev->core;
    if (!policy_may(ctx->client, state_rows[use->use].right, object))
        return engine_fail(ctx, COND_NOT_PERMITTED, "this client may not %s object %s", use_name(ctx), object->uid);
    KS_TRY(check_template(ctx, object, use));
    KS_TRY(check_state(ctx, object, use));
    ctx->used = object;
    ctx->used_bytes += use->bytes;
    if ((core_get(core, CORE_USAGE_MASK) & use->mask) != use->mask)
        return engine_fail(ctx, COND_USAGE_MASK, "the Cryptographic Usage Mask of object %s does not allow %s",
                           object->uid, use_name(ctx));
    if (usage_units(core, use) > core_get(core, CORE_USAGE_COUNT))
        return engine_fail(ctx, COND_USED_UP, "the Usage Limits of object %s are used up; re-key it", object->uid);
    if ((use->use == USE_GET || use->plaintext || use->wrapped) && object->rev->material.len != 0 &&
        core_get(core, CORE_ALGORITHM) == KMIP_CRYPTOGRAPHIC_ALGORITHM_ONE_TIME_PAD)
        return engine_fail(ctx, COND_NOT_PERMITTED,
                           "object %s is a One Time Pad: it is not handed out, as nobody could tell then which part of "
                           "it is used up; ask this server to encrypt and decrypt with it",
                           object->uid);
    if (use->plaintext && core_get(core, CORE_SENSITIVE) != 0)
        return engine_fail(ctx, COND_SENSITIVE, "object %s is Sensitive: it is handed out wrapped only", object->uid);
    if ((use->plaintext || use->wrapped) && core_has(core, CORE_EXTRACTABLE) && core_get(core, CORE_EXTRACTABLE) == 0)
        return engine_fail(ctx, COND_NOT_EXTRACTABLE, "object %s is not Extractable", object->uid);
    return 0;
}

int
engine_used(struct ctx *ctx, struct object *object, const struct use *use)
{
    const int64_t units = usage_units(&object->rev->core, use);
    if (units == 0)
        return 0;
    struct rev draft;
    KS_TRY(rev_draft(ctx->arena, object->rev, &draft));
    core_set(&draft.core, CORE_USAGE_COUNT, core_get(&draft.core, CORE_USAGE_COUNT) - units);
    return tx_put(ctx, object, &draft, true);
}

void
engine_about(struct ctx *ctx, const struct object *object)
{
    struct record *record = ctx->record;
    if (record == NULL)
        return;
    const struct core *core = &object->rev->core;
    struct audit_event *e = &record->event;
    /* Copies: the object may be another one, or gone, when the record is written. */
    char *uid = ks_arena_dup(ctx->arena, object->uid, sizeof(object->uid) - 1);
    const struct ks_span name = rev_name(object->rev);
    char *name_copy = ks_arena_dup(ctx->arena, name.data, name.len);
    e->object = uid != NULL ? KS_SPAN(uid, sizeof(object->uid) - 1) : KS_SPAN_NONE;
    e->name = name_copy != NULL ? KS_SPAN(name_copy, name.len) : KS_SPAN_NONE;
    e->object_type = kmip_enum_xml_name(KMIP_TAG_OBJECT_TYPE, (uint32_t)core_get(core, CORE_OBJECT_TYPE));
    e->algorithm = core_has(core, CORE_ALGORITHM)
                       ? kmip_enum_xml_name(KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, (uint32_t)core_get(core, CORE_ALGORITHM))
                       : NULL;
    e->length = (int)core_get(core, CORE_LENGTH);
    e->state_before = state_name((uint32_t)core_get(core, CORE_STATE));
    e->state_after = NULL;
}

void
engine_note(struct ctx *ctx, const char *fmt, ...)
{
    char text[128];
    va_list args;
    va_start(args, fmt);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): started just above */
    const int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    const size_t len = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    const char *copy = ks_arena_dup(ctx->arena, text, len);
    if (ctx->record != NULL && copy != NULL)
        ctx->record->event.message = KS_SPAN((const uint8_t *)copy, len);
}

void
engine_attribute_named(struct ctx *ctx, uint32_t tag, struct ks_span vendor, struct ks_span name)
{
    struct record *record = ctx->record;
    if (record == NULL || record->event.attributes.len > 1024)
        return;
    const char *known = tag == KMIP_TAG_ATTRIBUTE ? NULL : kmip_tag_xml_name(tag);
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(4096);
    ks_buf_add_span(&text, record->event.attributes);
    if (text.len != 0)
        ks_buf_add_u8(&text, ' ');
    if (known != NULL) {
        ks_buf_add_str(&text, known);
    } else {
        ks_buf_add_span(&text, printable(vendor));
        ks_buf_add_u8(&text, '-');
        ks_buf_add_span(&text, printable(name));
    }
    struct ks_span copy;
    if (text.err == 0 && ks_arena_span(ctx->arena, ks_buf_span(&text), &copy) == 0)
        record->event.attributes = copy;
}

void
engine_result(struct ctx *ctx, uint32_t slot, struct ks_span uid)
{
    struct ks_span copy;
    if (ks_arena_span(ctx->arena, uid, &copy) != 0)
        copy = KS_SPAN_NONE;
    ctx->placeholder[KMIP_UNIQUE_IDENTIFIER_ID_PLACEHOLDER] = copy;
    ctx->found_none = copy.len == 0;
    if (slot < PLACEHOLDERS)
        ctx->placeholder[slot] = copy;
}
