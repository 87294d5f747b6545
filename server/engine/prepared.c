/* Work that takes long, outside of the engine's thread. */
#include "server/engine/prepared.h"

#include <stdlib.h>

#include "crypto/kdf.h"
#include "crypto/keygen.h"
#include "server/engine/async.h"
#include "server/engine/ctx.h"
#include "server/engine/message.h"

/* An Operation item of TTLV that says Create Key Pair. */
static const uint8_t slow_operation[] = {0x42, 0x00, 0x5C, 0x05, 0, 0, 0, 4, 0, 0, 0, KMIP_OPERATION_CREATE_KEY_PAIR};

/* Whether the header has an Asynchronous Indicator that allows an answer later: then the key is made later too. */
static bool
can_wait(struct ks_span request)
{
    struct ks_cursor c = KS_CURSOR(request);
    ks_cursor_take(&c, 8); /* Request Message */
    const uint32_t header = ks_cursor_be32(&c), length = ks_cursor_be32(&c);
    const struct ks_span body = ks_cursor_take(&c, length);
    if (c.err != 0 || header >> 8 != KMIP_TAG_REQUEST_HEADER)
        return false;
    for (c = KS_CURSOR(body); ks_cursor_left(&c) >= 16;) {
        const uint32_t tag = ks_cursor_be32(&c), len = ks_cursor_be32(&c);
        const struct ks_span value = ks_cursor_take(&c, len + (-len & 7U));
        if (c.err != 0)
            return false;
        if (tag >> 8 != KMIP_TAG_ASYNCHRONOUS_INDICATOR || value.len < 8)
            continue;
        return (tag & 0xff) == KMIP_TYPE_BOOLEAN ? value.data[7] != 0
                                                 : ks_be32(value.data) != KMIP_ASYNCHRONOUS_INDICATOR_PROHIBITED;
    }
    return false;
}

bool
engine_is_slow(struct ks_span request)
{
    return request.len != 0 && memmem(request.data, request.len, slow_operation, sizeof(slow_operation)) != NULL &&
           !can_wait(request);
}

static int64_t
number_in(const struct kmip_attrs *attrs, uint32_t tag)
{
    const enum core_id id = core_find(tag);
    int64_t v = 0;
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next)
        if (a->tag == tag && core_from_item(id, a->value, &v) == 0)
            return v;
    return 0;
}

/* The length of the RSA key that the item wants to be made, 0 for the default; negative: it wants none. */
static int64_t
slow_bits(const struct kmip_request_batch_item *item)
{
    if (item->operation != KMIP_OPERATION_CREATE_KEY_PAIR || item->payload == NULL)
        return -1;
    const struct kmip_create_key_pair_request *r = item->payload;
    const struct kmip_attrs *const places[] = {&r->common_attributes, &r->private_attributes, &r->public_attributes};
    int64_t algorithm = 0, bits = 0;
    for (size_t i = 0; i < KS_ARRAY_LEN(places); i++) {
        if (algorithm == 0)
            algorithm = number_in(places[i], KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM);
        if (bits == 0)
            bits = number_in(places[i], KMIP_TAG_CRYPTOGRAPHIC_LENGTH);
    }
    return algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA ? bits : -1;
}

bool
engine_item_is_slow(const struct kmip_request_batch_item *item)
{
    return slow_bits(item) >= 0;
}

static void
work_done(struct prepared_work *work)
{
    ks_pkey_free(work->key);
    ks_buf_done(&work->secret);
    ks_buf_done(&work->salt);
    ks_buf_done(&work->out);
    *work = (struct prepared_work){0};
}

static int
pbkdf2(struct prepared_work *work)
{
    KS_TRY(ks_buf_reserve(&work->out, work->len));
    KS_TRY(ks_kdf_pbkdf2(work->hash, ks_buf_span(&work->secret), ks_buf_span(&work->salt), work->iterations,
                         work->out.data, work->len, &work->diag));
    work->out.len = work->len;
    return 0;
}

static void
do_work(struct prepared_work *work)
{
    const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, .bits = work->bits};
    if (work->done)
        return;
    work->rc = work->kind == WORK_RSA ? ks_keygen_pair(&params, &work->key, &work->diag) : pbkdf2(work);
    work->done = true;
}

void
engine_prepare_more(struct engine_prepared *prepared)
{
    for (size_t i = 0; i < prepared->n; i++)
        do_work(&prepared->v[i]);
}

struct engine_prepared *
engine_prepare(struct ks_span request)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(16 << 20);
    struct kmip_request_message *message = NULL;
    if (kmip_request_decode(request, &kmip_limits_default, &arena, &message, NULL) != 0)
        return NULL;
    struct engine_prepared *prepared = calloc(1, sizeof(*prepared));
    for (size_t i = 0; prepared != NULL && i < message->n_batch_item && prepared->n < PREPARED_MOST; i++) {
        const int64_t bits = slow_bits(message->batch_item[i]);
        if (bits >= 0)
            prepared->v[prepared->n++] = (struct prepared_work){.kind = WORK_RSA, .bits = (uint32_t)bits};
    }
    if (prepared != NULL && prepared->n == 0) {
        free(prepared);
        return NULL;
    }
    if (prepared != NULL)
        engine_prepare_more(prepared);
    return prepared;
}

void
engine_prepared_free(struct engine_prepared *prepared)
{
    if (prepared == NULL)
        return;
    for (size_t i = 0; i < prepared->n; i++)
        work_done(&prepared->v[i]);
    free(prepared);
}

/* What handlers ask for */

/* Another piece of work in the list of the request. */
static int
add_work(struct ctx *ctx, struct prepared_work **ret)
{
    if (ctx->by_itself)
        return engine_fail(ctx, COND_SERVER_LIMIT, "what this takes was not made beforehand");
    if (ctx->once)
        return engine_fail(
            ctx, COND_SERVER_LIMIT,
            "this takes long, and an item before it in the batch can not be begun anew; send the rest in "
            "another request");
    if (ctx->prepared == NULL) {
        ctx->prepared = calloc(1, sizeof(*ctx->prepared));
        ctx->prepared_own = ctx->prepared != NULL;
    }
    if (ctx->prepared == NULL)
        return KS_E_NOMEM;
    if (ctx->prepared->n == PREPARED_MOST)
        return engine_fail(ctx, COND_SERVER_LIMIT,
                           "a request makes %d RSA key pairs or derivations by PBKDF2 at most; send another",
                           PREPARED_MOST);
    *ret = &ctx->prepared->v[ctx->prepared->n++];
    **ret = (struct prepared_work){
        .secret = KS_BUF(WORK_INPUT_MAX), .salt = KS_BUF(WORK_INPUT_MAX), .out = KS_BUF(WORK_INPUT_MAX)};
    return 0;
}

int
prepared_rsa(struct ctx *ctx, uint32_t bits, struct ks_pkey **ret, struct ks_diag *diag)
{
    struct prepared_work *work;
    for (size_t i = 0; ctx->prepared != NULL && i < ctx->prepared->n; i++) {
        work = &ctx->prepared->v[i];
        if (work->kind != WORK_RSA || !work->done || work->taken || work->bits != bits)
            continue;
        work->taken = true;
        if (work->rc != 0) {
            *diag = work->diag;
            return work->rc;
        }
        /* It stays in the list: if the request is begun anew, it is used again. */
        return ks_pkey_share(work->key, ret);
    }
    if (!ctx->engine->config.prepares)
        return KS_E_NOT_FOUND;
    KS_TRY(add_work(ctx, &work));
    work->kind = WORK_RSA;
    work->bits = bits;
    ctx->wants = true;
    return KS_E_BUSY;
}

static bool
same_derivation(const struct prepared_work *work, const struct prepared_pbkdf2 *p)
{
    return work->kind == WORK_PBKDF2 && work->done && work->hash == p->hash && work->iterations == p->iterations &&
           work->len == p->len && ks_span_equal(ks_buf_span(&work->salt), p->salt) &&
           work->secret.len == p->secret.len &&
           (p->secret.len == 0 || ks_equal_secret(work->secret.data, p->secret.data, p->secret.len));
}

int
prepared_pbkdf2(struct ctx *ctx, const struct prepared_pbkdf2 *p, uint8_t *ret, struct ks_diag *diag)
{
    struct prepared_work *work;
    for (size_t i = 0; ctx->prepared != NULL && i < ctx->prepared->n; i++) {
        work = &ctx->prepared->v[i];
        if (!same_derivation(work, p))
            continue;
        if (work->rc != 0)
            *diag = work->diag;
        else
            memcpy(ret, work->out.data, p->len);
        return work->rc;
    }
    if (!ctx->engine->config.prepares || p->secret.len > WORK_INPUT_MAX || p->salt.len > WORK_INPUT_MAX)
        return KS_E_NOT_FOUND;
    KS_TRY(add_work(ctx, &work));
    work->kind = WORK_PBKDF2;
    work->hash = p->hash;
    work->iterations = p->iterations;
    work->len = p->len;
    if (ks_buf_add_span(&work->secret, p->secret) != 0 || ks_buf_add_span(&work->salt, p->salt) != 0) {
        work_done(work);
        ctx->prepared->n--;
        return KS_E_NOMEM;
    }
    ctx->wants = true;
    return KS_E_BUSY;
}

struct engine_prepared *
prepared_again(struct ctx *ctx)
{
    for (size_t i = 0; i < ctx->prepared->n; i++)
        ctx->prepared->v[i].taken = false;
    ctx->prepared->again = true;
    return ctx->prepared;
}

void
prepared_drop(struct ctx *ctx)
{
    struct engine_prepared *prepared = ctx->prepared;
    ctx->wants = false;
    while (prepared != NULL && prepared->n != 0 && !prepared->v[prepared->n - 1].done)
        work_done(&prepared->v[--prepared->n]);
    if (!ctx->prepared_own)
        return;
    engine_prepared_free(prepared);
    ctx->prepared = NULL;
    ctx->prepared_own = false;
}

/* Rotation by the clock */

void
rotation_done(struct rotation *rotation)
{
    engine_prepared_free(rotation->wanted);
    engine_prepared_free(rotation->ready);
    *rotation = (struct rotation){0};
}

bool
rotation_has(struct engine *engine, uint32_t bits)
{
    struct rotation *r = &engine->rotation;
    for (size_t i = 0; r->ready != NULL && i < r->ready->n; i++)
        if (r->ready->v[i].done && !r->ready->v[i].taken && r->ready->v[i].bits == bits)
            return true;
    if (r->under_way)
        return false;
    if (r->wanted == NULL)
        r->wanted = calloc(1, sizeof(*r->wanted));
    if (r->wanted != NULL && r->wanted->n < PREPARED_MOST)
        r->wanted->v[r->wanted->n++] = (struct prepared_work){.kind = WORK_RSA, .bits = bits};
    return false;
}

struct engine_prepared *
engine_rotation_wanted(struct engine *engine)
{
    struct engine_prepared *wanted = engine->rotation.wanted;
    engine->rotation.wanted = NULL;
    engine->rotation.under_way = engine->rotation.under_way || wanted != NULL;
    return wanted;
}

void
engine_rotation_prepared(struct engine *engine, struct engine_prepared *prepared)
{
    engine_prepared_free(engine->rotation.ready);
    engine->rotation.ready = prepared;
    engine->rotation.ready_s = engine->last_us / 1000000;
    engine->rotation.under_way = false;
}

void
rotation_expire(struct rotation *rotation, int64_t now)
{
    if (rotation->ready == NULL || now - rotation->ready_s < ROTATION_KEEP_S)
        return;
    engine_prepared_free(rotation->ready);
    rotation->ready = NULL;
}
