/* PKCS#11 functions about the library, its one slot and token, and sessions. */
#include "server/engine/message.h"
#include "server/engine/pkcs11/p11.h"

enum {
    PROFILE_VERSION = 1,
    CKF_TOKEN_PRESENT = 1,
    CKF_RNG = 1,
    CKF_USER_PIN_INITIALIZED = 8,
    CKF_PROTECTED_AUTHENTICATION_PATH = 0x100,
    CKF_TOKEN_INITIALIZED = 0x400,
    CKF_RW_SESSION = 2,
    CKF_SERIAL_SESSION = 4,
    CKS_RO_PUBLIC = 0,
    CKS_RO_USER = 1,
    CKS_RW_PUBLIC = 2,
    CKS_RW_USER = 3,
    CKU_SO = 0,
    CKU_USER = 1,
};
#define UNAVAILABLE UINT64_MAX
#define MANUFACTURER "Keystead"

/* The library */

uint32_t
p11_initialize(struct p11 *p)
{
    uint8_t value[PKCS11_VALUE];
    const bool has = ks_cursor_left(&p->in) != 0;
    const uint8_t version = has ? ks_cursor_u8(&p->in) : PROFILE_VERSION;
    P11_END(p);
    if (version != PROFILE_VERSION)
        return CKR(ARGUMENTS_BAD);
    int rc = engine_random(p->ctx->engine, value, sizeof(value));
    if (rc == 0)
        rc = p11_app_new(&p->ctx->engine->pkcs11, p->ctx->who, value, p->ctx->now, &p->app);
    if (rc != 0)
        return p11_fail(p, rc);
    p->introduce = true;
    return CKR(OK);
}

uint32_t
p11_finalize(struct p11 *p)
{
    if (ks_cursor_left(&p->in) != 0) /* pReserved */
        (void)ks_cursor_u8(&p->in);
    P11_END(p);
    p11_app_free(&p->ctx->engine->pkcs11, p->app);
    p->app = NULL;
    return CKR(OK);
}

uint32_t
p11_get_info(struct p11 *p)
{
    P11_END(p);
    p11_put_u8(p, 3); /* the version of PKCS#11 whose functions are counted */
    p11_put_u8(p, 0);
    p11_put_text(p, MANUFACTURER, 32);
    p11_put_u64(p, 0);
    p11_put_text(p, "Keystead key manager", 32);
    p11_put_u8(p, 1);
    p11_put_u8(p, 0);
    return CKR(OK);
}

/* The slot */

uint32_t
p11_get_slot_list(struct p11 *p)
{
    static const uint64_t slots[] = {P11_SLOT};
    (void)ks_cursor_u8(&p->in); /* tokenPresent: it always is */
    const struct p11_space space = p11_take_space(p);
    P11_END(p);
    return p11_put_numbers(p, &space, slots, KS_ARRAY_LEN(slots));
}

uint32_t
p11_get_slot_info(struct p11 *p)
{
    const uint64_t slot = ks_cursor_be64(&p->in);
    P11_END(p);
    if (slot != P11_SLOT)
        return CKR(SLOT_ID_INVALID);
    p11_put_text(p, "The keys of this client", 64);
    p11_put_text(p, MANUFACTURER, 32);
    p11_put_u64(p, CKF_TOKEN_PRESENT);
    p11_put_u8(p, 1);
    p11_put_u8(p, 0);
    p11_put_u8(p, 1);
    p11_put_u8(p, 0);
    return CKR(OK);
}

static void
count_sessions(const struct p11_app *app, uint64_t *ret_all, uint64_t *ret_read_write)
{
    *ret_all = *ret_read_write = 0;
    for (size_t i = 0; i < PKCS11_SESSIONS; i++)
        if (app->sessions[i].handle != 0) {
            (*ret_all)++;
            *ret_read_write += app->sessions[i].read_write;
        }
}

uint32_t
p11_get_token_info(struct p11 *p)
{
    uint64_t all, read_write;
    const uint64_t slot = ks_cursor_be64(&p->in);
    P11_END(p);
    if (slot != P11_SLOT)
        return CKR(SLOT_ID_INVALID);
    count_sessions(p->app, &all, &read_write);
    p11_put_text(p, p->ctx->engine->node, 32);
    p11_put_text(p, MANUFACTURER, 32);
    p11_put_text(p, "KMIP server", 16);
    p11_put_text(p, "1", 16);
    p11_put_u64(p, CKF_RNG | CKF_USER_PIN_INITIALIZED | CKF_PROTECTED_AUTHENTICATION_PATH | CKF_TOKEN_INITIALIZED);
    p11_put_u64(p, PKCS11_SESSIONS);
    p11_put_u64(p, all);
    p11_put_u64(p, PKCS11_SESSIONS);
    p11_put_u64(p, read_write);
    p11_put_u64(p, 0); /* PINs: the client's certificate is what it is known by */
    p11_put_u64(p, 0);
    for (int i = 0; i < 4; i++) /* memory */
        p11_put_u64(p, UNAVAILABLE);
    p11_put_u8(p, 1);
    p11_put_u8(p, 0);
    p11_put_u8(p, 1);
    p11_put_u8(p, 0);
    p11_put_text(p, "", 16); /* no clock on the token */
    return CKR(OK);
}

/* Sessions */

uint32_t
p11_open_session(struct p11 *p)
{
    const uint64_t slot = ks_cursor_be64(&p->in), flags = ks_cursor_be64(&p->in);
    /* What follows is pApplication and Notify, which mean nothing here: the server calls nobody back. */
    if (p->in.err != 0)
        return P11_CODEC;
    if (slot != P11_SLOT)
        return CKR(SLOT_ID_INVALID);
    if ((flags & CKF_SERIAL_SESSION) == 0)
        return CKR(SESSION_PARALLEL_NOT_SUPPORTED);
    p->session = p11_session_new(&p->ctx->engine->pkcs11, p->app, (flags & CKF_RW_SESSION) != 0);
    if (p->session == NULL)
        return CKR(SESSION_COUNT);
    p11_put_u64(p, p->session->handle);
    return CKR(OK);
}

uint32_t
p11_close_session(struct p11 *p)
{
    P11_END(p);
    p11_session_close(&p->ctx->engine->pkcs11, p->session);
    return CKR(OK);
}

uint32_t
p11_close_all_sessions(struct p11 *p)
{
    const uint64_t slot = ks_cursor_be64(&p->in);
    P11_END(p);
    if (slot != P11_SLOT)
        return CKR(SLOT_ID_INVALID);
    for (size_t i = 0; i < PKCS11_SESSIONS; i++)
        if (p->app->sessions[i].handle != 0)
            p11_session_close(&p->ctx->engine->pkcs11, &p->app->sessions[i]);
    return CKR(OK);
}

uint32_t
p11_get_session_info(struct p11 *p)
{
    P11_END(p);
    const bool write = p->session->read_write, in = p->app->logged_in;
    p11_put_u64(p, P11_SLOT);
    p11_put_u64(p, write ? (in ? CKS_RW_USER : CKS_RW_PUBLIC) : (in ? CKS_RO_USER : CKS_RO_PUBLIC));
    p11_put_u64(p, CKF_SERIAL_SESSION | (write ? CKF_RW_SESSION : 0));
    p11_put_u64(p, 0);
    return CKR(OK);
}

/* Who the client is says its certificate; there is no PIN that could be right. name: empty, or the client's own. */
static uint32_t
log_in(struct p11 *p, uint64_t user, struct ks_span pin, struct ks_span name)
{
    const struct client *client = p->ctx->holder;
    if (name.len != 0 && (client == NULL || !ks_span_is(name, client->name)))
        return CKR(PIN_INCORRECT);
    if (user != CKU_USER)
        return CKR(USER_TYPE_INVALID);
    if (p->app->logged_in)
        return CKR(USER_ALREADY_LOGGED_IN);
    if (pin.len != 0)
        return CKR(PIN_INCORRECT);
    p->app->logged_in = true;
    return CKR(OK);
}

uint32_t
p11_login(struct p11 *p)
{
    const uint64_t user = ks_cursor_be64(&p->in);
    const struct ks_span pin = p11_take_bytes(p);
    P11_END(p);
    return log_in(p, user, pin, KS_SPAN_NONE);
}

uint32_t
p11_login_user(struct p11 *p)
{
    const uint64_t user = ks_cursor_be64(&p->in);
    const struct ks_span pin = p11_take_bytes(p), name = p11_take_bytes(p);
    P11_END(p);
    return log_in(p, user, pin, name);
}

/* Of the days when functions went on beside their callers: PKCS#11 has these answer so. */
uint32_t
p11_get_function_status(struct p11 *p)
{
    P11_END(p);
    return CKR(FUNCTION_NOT_PARALLEL);
}

uint32_t
p11_cancel_function(struct p11 *p)
{
    P11_END(p);
    return CKR(FUNCTION_NOT_PARALLEL);
}

/* The token stays where it is: there is never an event, and waiting for one would be for ever. */
uint32_t
p11_wait_for_slot_event(struct p11 *p)
{
    enum { CKF_DONT_BLOCK = 1 };
    const uint64_t flags = ks_cursor_be64(&p->in);
    if (ks_cursor_left(&p->in) != 0) /* pReserved */
        (void)ks_cursor_u8(&p->in);
    P11_END(p);
    return (flags & CKF_DONT_BLOCK) != 0 ? CKR(NO_EVENT) : CKR(FUNCTION_NOT_SUPPORTED);
}

uint32_t
p11_logout(struct p11 *p)
{
    P11_END(p);
    if (!p->app->logged_in)
        return CKR(USER_NOT_LOGGED_IN);
    p->app->logged_in = false;
    return CKR(OK);
}

uint32_t
p11_session_cancel(struct p11 *p)
{
    static const struct {
        enum p11_job_kind kind;
        uint32_t flag;
    } jobs[] = {{P11_ENCRYPT, CKF_ENCRYPT},
                {P11_DECRYPT, CKF_DECRYPT},
                {P11_DIGEST, CKF_DIGEST},
                {P11_SIGN, CKF_SIGN},
                {P11_VERIFY, CKF_VERIFY},
                {P11_SIGN_RECOVER, CKF_SIGN_RECOVER},
                {P11_VERIFY_RECOVER, CKF_VERIFY_RECOVER}};
    enum { CKF_FIND_OBJECTS = 0x40 };
    const uint64_t flags = ks_cursor_be64(&p->in);
    P11_END(p);
    for (size_t i = 0; i < KS_ARRAY_LEN(jobs); i++)
        if ((flags & jobs[i].flag) != 0)
            p11_job_end(&p->ctx->engine->pkcs11, &p->session->jobs[jobs[i].kind]);
    if ((flags & CKF_FIND_OBJECTS) != 0)
        p11_find_end(p->session);
    return CKR(OK);
}

/* Random numbers */

uint32_t
p11_generate_random(struct p11 *p)
{
    const uint32_t len = ks_cursor_be32(&p->in);
    /* Some send the buffer as it is. */
    if (ks_cursor_left(&p->in) == len)
        (void)ks_cursor_take(&p->in, len);
    P11_END(p);
    const struct kmip_rng_retrieve_request request = {.data_length = len <= INT32_MAX ? (int32_t)len : INT32_MAX};
    void *response;
    P11_TRY(p11_ask(p, KMIP_OPERATION_RNG_RETRIEVE, &request, &response));
    const struct ks_span data = ((const struct kmip_rng_retrieve_response *)response)->data;
    p11_put_u32(p, (uint32_t)data.len);
    (void)ks_buf_add_span(p->out, data);
    return CKR(OK);
}

uint32_t
p11_seed_random(struct p11 *p)
{
    const struct kmip_rng_seed_request request = {.data = p11_take_bytes(p)};
    void *response;
    P11_END(p);
    return p11_ask(p, KMIP_OPERATION_RNG_SEED, &request, &response);
}
