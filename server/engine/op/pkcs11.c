/* PKCS#11 (KMIP 2.1: 6.1.37; Profiles: PKCS#11): function calls of another interface to the same keys. */
#include "server/engine/message.h"
#include "server/engine/pkcs11/p11.h"

enum needs { NEEDS_NOTHING, NEEDS_APP, NEEDS_SESSION };
enum { OUTPUT_MAX = 1 << 20 };

static const struct {
    uint32_t function;
    p11_function *run;
    enum needs needs;
} functions[] = {
#define P11(FUNCTION, name, NEEDS) {KMIP_PKCS_11_FUNCTION_##FUNCTION, p11_##name, NEEDS_##NEEDS},
#define P11_NOT(FUNCTION, reason)
#include "server/engine/pkcs11/functions.def"
#undef P11
#undef P11_NOT
};

/* Parameters */

struct p11_space
p11_take_space(struct p11 *p)
{
    struct p11_space space;
    space.given = ks_cursor_u8(&p->in) != 0;
    space.len = ks_cursor_be32(&p->in);
    return space;
}

struct ks_span
p11_take_bytes(struct p11 *p)
{
    const uint32_t len = ks_cursor_be32(&p->in);
    return ks_cursor_take(&p->in, len);
}

void
p11_put_u8(struct p11 *p, uint8_t value)
{
    (void)ks_buf_add_u8(p->out, value);
}

void
p11_put_u32(struct p11 *p, uint32_t value)
{
    (void)ks_buf_add_be32(p->out, value);
}

void
p11_put_u64(struct p11 *p, uint64_t value)
{
    (void)ks_buf_add_be64(p->out, value);
}

void
p11_put_text(struct p11 *p, const char *text, size_t len)
{
    for (size_t i = 0, n = strlen(text); i < len; i++)
        p11_put_u8(p, i < n ? (uint8_t)text[i] : ' ');
}

static uint32_t
put_length(struct p11 *p, const struct p11_space *space, size_t len)
{
    const bool fits = len <= space->len;
    p11_put_u8(p, space->given && fits);
    p11_put_u32(p, (uint32_t)len);
    return space->given && !fits ? CKR(BUFFER_TOO_SMALL) : CKR(OK);
}

uint32_t
p11_put_output(struct p11 *p, const struct p11_space *space, struct ks_span value)
{
    const uint32_t result = put_length(p, space, value.len);
    if (space->given && result == CKR(OK))
        (void)ks_buf_add_span(p->out, value);
    return result;
}

uint32_t
p11_put_numbers(struct p11 *p, const struct p11_space *space, const uint64_t *numbers, size_t count)
{
    const uint32_t result = put_length(p, space, count);
    for (size_t i = 0; space->given && result == CKR(OK) && i < count; i++)
        p11_put_u64(p, numbers[i]);
    return result;
}

/* Asking KMIP */

/* What each reason of a refusal is called here; what is not listed is FUNCTION_FAILED. */
static const struct {
    uint32_t reason, code;
} codes[] = {
#define CODE(REASON, CODE)                                                                                             \
    {                                                                                                                  \
        KMIP_RESULT_REASON_##REASON, KMIP_PKCS_11_RETURN_CODE_##CODE                                                   \
    }
    CODE(ITEM_NOT_FOUND, OBJECT_HANDLE_INVALID),
    CODE(OBJECT_NOT_FOUND, OBJECT_HANDLE_INVALID),
    CODE(OBJECT_DESTROYED, OBJECT_HANDLE_INVALID),
    CODE(OBJECT_ARCHIVED, ACTION_PROHIBITED),
    CODE(PERMISSION_DENIED, ACTION_PROHIBITED),
    CODE(NOT_AUTHORIZED, ACTION_PROHIBITED),
    CODE(WRONG_KEY_LIFECYCLE_STATE, ACTION_PROHIBITED),
    CODE(INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK, KEY_FUNCTION_NOT_PERMITTED),
    CODE(USAGE_LIMIT_EXCEEDED, ACTION_PROHIBITED),
    CODE(SENSITIVE, ATTRIBUTE_SENSITIVE),
    CODE(NOT_EXTRACTABLE, ATTRIBUTE_SENSITIVE),
    CODE(BAD_CRYPTOGRAPHIC_PARAMETERS, MECHANISM_PARAM_INVALID),
    CODE(UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS, MECHANISM_PARAM_INVALID),
    CODE(CRYPTOGRAPHIC_FAILURE, FUNCTION_FAILED),
    CODE(INVALID_ATTRIBUTE_VALUE, ATTRIBUTE_VALUE_INVALID),
    CODE(NON_UNIQUE_NAME_ATTRIBUTE, ATTRIBUTE_VALUE_INVALID),
    CODE(CONSTRAINT_VIOLATION, ATTRIBUTE_VALUE_INVALID),
    CODE(INVALID_FIELD, ARGUMENTS_BAD),
    CODE(INVALID_DATA_TYPE, ARGUMENTS_BAD),
    CODE(MISSING_DATA, TEMPLATE_INCOMPLETE),
    CODE(OPERATION_NOT_SUPPORTED, FUNCTION_NOT_SUPPORTED),
    CODE(FEATURE_NOT_SUPPORTED, FUNCTION_NOT_SUPPORTED),
    CODE(SERVER_LIMIT_EXCEEDED, DEVICE_MEMORY),
#undef CODE
};

uint32_t
p11_ask(struct p11 *p, uint32_t operation, const void *request, void **ret)
{
    return p11_ask_own(p, operation, NULL, request, ret);
}

uint32_t
p11_ask_own(struct p11 *p, uint32_t operation, op_handler *run, const void *request, void **ret)
{
    struct ctx *ctx = p->ctx;
    const struct tx mark = ctx->tx;
    p->terms.app = p->app;
    p->terms.session = p->session;
    ctx->p11 = &p->terms;
    const int rc = engine_run(ctx, operation, run, request, ret);
    ctx->p11 = NULL;
    if (rc == 0)
        return CKR(OK);
    tx_rollback(ctx, &mark);
    if (!ctx->failed)
        return p11_fail(p, rc);
    ctx->failed = false; /* the item answers with a return code */
    ctx->refusal = NULL;
    for (size_t i = 0; i < KS_ARRAY_LEN(codes); i++)
        if (codes[i].reason == ctx->reason)
            return codes[i].code;
    return CKR(FUNCTION_FAILED);
}

uint32_t
p11_fail(struct p11 *p, int rc)
{
    if (rc == KS_E_LIMIT)
        return CKR(DEVICE_MEMORY);
    p->rc = rc;
    return CKR(GENERAL_ERROR);
}

bool
p11_uid(const struct p11 *p, uint64_t handle, struct kmip_uid *ret)
{
    const char *uid = p11_handle_uid(p->app, handle);
    if (uid == NULL)
        return false;
    *ret = uid_text(KS_SPAN(uid, strlen(uid)));
    return true;
}

/* The operation */

static uint32_t
call(struct p11 *p, uint32_t function, struct ks_span value)
{
    size_t i = 0;
    while (i < KS_ARRAY_LEN(functions) && functions[i].function != function)
        i++;
    if (i == KS_ARRAY_LEN(functions))
        return CKR(FUNCTION_NOT_SUPPORTED);
    if (functions[i].needs != NEEDS_NOTHING) {
        p->app = p11_app_find(&p->ctx->engine->pkcs11, p->ctx->who, value, p->ctx->now);
        if (p->app == NULL)
            return CKR(CRYPTOKI_NOT_INITIALIZED);
    }
    if (functions[i].needs == NEEDS_SESSION) {
        p->session = p11_session_find(p->app, ks_cursor_be64(&p->in));
        if (p->in.err != 0)
            return P11_CODEC;
        if (p->session == NULL)
            return CKR(SESSION_HANDLE_INVALID);
    }
    return functions[i].run(p);
}

static int
answer(struct p11 *p, const struct kmip_pkcs_11_request *r, uint32_t code, struct kmip_pkcs_11_response *response)
{
    struct ctx *ctx = p->ctx;
    const char *name = kmip_enum_name(KMIP_TAG_PKCS_11_FUNCTION, r->pkcs_11_function);
    const char *said = kmip_enum_name(KMIP_TAG_PKCS_11_RETURN_CODE, code);
    response->pkcs_11_function = r->pkcs_11_function;
    response->pkcs_11_interface = r->pkcs_11_interface;
    response->has_pkcs_11_interface = r->has_pkcs_11_interface;
    response->pkcs_11_return_code = code;
    /* As the published cases have it: C_Initialize hands the value out; from 3.0 every answer repeats it. */
    if (p->introduce) {
        KS_TRY(ks_arena_span(ctx->arena, KS_SPAN(p->app->value, PKCS11_VALUE), &response->correlation_value));
    } else {
        response->correlation_value = r->correlation_value;
    }
    response->has_correlation_value = p->introduce || (r->has_correlation_value && ctx->version >= KMIP_V3_0);
    if (p->out->err != 0)
        return p->out->err;
    if (p->out->len != 0)
        KS_TRY(ks_arena_span(ctx->arena, ks_buf_span(p->out), &response->pkcs_11_output_parameters));
    response->has_pkcs_11_output_parameters = p->out->len != 0;
    /* Some values may have been handed out although others could not be had: then it is no failure to the auditor. */
    ctx->declined = code != CKR(OK) && (ctx->record == NULL || ctx->record->event.form == NULL);
    engine_note(ctx, "%s%s%s", name, code != CKR(OK) ? ": " : "", code != CKR(OK) ? said : "");
    return 0;
}

int
op_pkcs_11(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_pkcs_11_request *r = request;
    OP_RESPONSE(ctx, kmip_pkcs_11_response, response);
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(OUTPUT_MAX);
    struct p11 p = {.ctx = ctx, .in = KS_CURSOR(r->pkcs_11_input_parameters), .out = &out};
    if (r->has_pkcs_11_interface && !ks_span_is(r->pkcs_11_interface, "PKCS 11"))
        return engine_fail(ctx, COND_PKCS11_INTERFACE, "the one PKCS#11 interface that is offered is \"PKCS 11\"");
    if (kmip_enum_name(KMIP_TAG_PKCS_11_FUNCTION, r->pkcs_11_function) == NULL)
        return engine_fail(ctx, COND_PKCS11_FUNCTION, "PKCS#11 has no function of the number %u",
                           (unsigned)r->pkcs_11_function);
    const uint32_t code = call(&p, r->pkcs_11_function, r->has_correlation_value ? r->correlation_value : KS_SPAN_NONE);
    if (p.rc != 0)
        return p.rc;
    if (code == P11_CODEC)
        return engine_fail(ctx, COND_PKCS11_CODEC,
                           "the input parameters are not those of %s, or not encoded as the "
                           "PKCS#11 profile says",
                           kmip_enum_name(KMIP_TAG_PKCS_11_FUNCTION, r->pkcs_11_function));
    KS_TRY(answer(&p, r, code, response));
    *ret_response = response;
    return 0;
}
