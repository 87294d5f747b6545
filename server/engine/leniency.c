#include "server/engine/leniency.h"

#include "server/engine/attr.h"

typedef int mend(struct ctx *ctx, void *payload);

/* The data of a Decrypt in a mode with an IV and no IV: its first block is the IV. */
static int
mend_iv_in_front(struct ctx *ctx, void *payload)
{
    struct kmip_decrypt_request *r = payload;
    const struct kmip_cryptographic_parameters *p = r->cryptographic_parameters;
    (void)ctx;
    if (r->has_iv_counter_nonce || p == NULL || !p->has_block_cipher_mode ||
        p->block_cipher_mode == KMIP_BLOCK_CIPHER_MODE_ECB || p->block_cipher_mode == KMIP_BLOCK_CIPHER_MODE_GCM ||
        p->block_cipher_mode == KMIP_BLOCK_CIPHER_MODE_CCM)
        return 0;
    const bool small =
        p->has_cryptographic_algorithm && p->cryptographic_algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES;
    const size_t block = small ? 8 : 16;
    if (r->data.len <= block)
        return 0;
    r->iv_counter_nonce = KS_SPAN(r->data.data, block);
    r->has_iv_counter_nonce = true;
    r->data = KS_SPAN(r->data.data + block, r->data.len - block);
    return 0;
}

static int
mend_locate_template(struct ctx *ctx, void *payload)
{
    struct kmip_locate_request *r = payload;
    for (const struct kmip_attr *a = r->misplaced_attributes.first; a != NULL; a = a->next) {
        struct kmip_attr *copy = kmip_attrs_add(ctx->arena, &r->attributes, a->tag, a->value);
        if (copy == NULL)
            return KS_E_NOMEM;
        copy->vendor = a->vendor;
        copy->name = a->name;
        copy->index = a->index;
    }
    r->attributes.present = true;
    r->misplaced_attributes = (struct kmip_attrs){0};
    return 0;
}

/* Activation is now, unless the request says when it is. */
static int
activate(struct ctx *ctx, struct kmip_attrs *attrs)
{
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next)
        if (a->tag == KMIP_TAG_ACTIVATION_DATE)
            return 0;
    struct kmip_item *now = kmip_item_new(ctx->arena, KMIP_TAG_ACTIVATION_DATE, KMIP_TYPE_DATE_TIME);
    if (now == NULL)
        return KS_E_NOMEM;
    now->i64 = ctx->now;
    struct kmip_attr *made = kmip_attrs_add(ctx->arena, attrs, KMIP_TAG_ACTIVATION_DATE, now);
    if (made == NULL)
        return KS_E_NOMEM;
    made->index = -1;
    attrs->present = true;
    return 0;
}

static int
mend_activate_new_key(struct ctx *ctx, void *payload)
{
    return activate(ctx, &((struct kmip_create_request *)payload)->attributes);
}

static int
mend_activate_new_pair(struct ctx *ctx, void *payload)
{
    return activate(ctx, &((struct kmip_create_key_pair_request *)payload)->common_attributes);
}

/* Only what has a life that begins with an activation, in the version of the request. */
static int
mend_activate_new_object(struct ctx *ctx, void *payload)
{
    struct kmip_register_request *r = payload;
    const struct kmip_attr_rule *rule = kmip_attr_rule_find(KMIP_TAG_ACTIVATION_DATE);
    if (r->object_type == KMIP_OBJECT_TYPE_TEMPLATE || !kmip_attr_applies(rule, ctx->version, r->object_type))
        return 0;
    return activate(ctx, &r->attributes);
}

#define mend_IV_IN_FRONT mend_iv_in_front
#define mend_LOCATE_TEMPLATE mend_locate_template
#define mend_ACTIVATE_NEW_KEY mend_activate_new_key
#define mend_ACTIVATE_NEW_PAIR mend_activate_new_pair
#define mend_ACTIVATE_NEW_OBJECT mend_activate_new_object

static const struct {
    const char *name;
    uint32_t operation;
    mend *mend;
} rows[] = {
#define LENIENCY(NAME, text, OPERATION, forgives, client) {text, KMIP_OPERATION_##OPERATION, mend_##NAME},
#include "server/engine/leniency.def"
#undef LENIENCY
};
_Static_assert(KS_ARRAY_LEN(rows) <= 32, "a set of leniencies is a word of 32 bits");

int
leniency_find(struct ks_span list, uint32_t *ret)
{
    uint32_t set = 0;
    while (list.len != 0) {
        const uint8_t *comma = memchr(list.data, ',', list.len);
        const size_t n = comma != NULL ? (size_t)(comma - list.data) : list.len;
        uint32_t named = 0;
        for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
            if (ks_span_is(KS_SPAN(list.data, n), rows[i].name))
                named |= UINT32_C(1) << i;
        if (named == 0)
            return KS_E_NOT_FOUND;
        set |= named;
        const size_t step = comma != NULL ? n + 1 : n;
        list = KS_SPAN(list.data + step, list.len - step);
    }
    *ret = set;
    return 0;
}

int
leniency_list(struct ks_arena *arena, uint32_t set, struct ks_span *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(1024);
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        if ((set >> i & 1) == 0 || (i != 0 && strcmp(rows[i].name, rows[i - 1].name) == 0))
            continue;
        if (text.len != 0)
            ks_buf_add_u8(&text, ',');
        ks_buf_add_str(&text, rows[i].name);
    }
    KS_TRY(text.err);
    return ks_arena_span(arena, ks_buf_span(&text), ret);
}

int
leniency_apply(struct ctx *ctx, uint32_t operation, void *payload)
{
    const uint32_t set = ctx->client != NULL ? ctx->client->leniency : 0;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        if (rows[i].operation == operation && (set >> i & 1) != 0)
            KS_TRY(rows[i].mend(ctx, payload));
    return 0;
}
