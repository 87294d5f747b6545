#include "pkcs11_call.h"

void
start(struct call *c)
{
    ks_buf_reset(&c->in);
}

void
u8(struct call *c, uint8_t v)
{
    assert_int_equal(ks_buf_add_u8(&c->in, v), 0);
}

void
u32(struct call *c, uint32_t v)
{
    assert_int_equal(ks_buf_add_be32(&c->in, v), 0);
}

void
u64(struct call *c, uint64_t v)
{
    assert_int_equal(ks_buf_add_be64(&c->in, v), 0);
}

void
bytes(struct call *c, const void *data, size_t len)
{
    u32(c, (uint32_t)len);
    assert_int_equal(ks_buf_add(&c->in, data, len), 0);
}

void
space(struct call *c, bool given, uint32_t len)
{
    u8(c, given);
    u32(c, len);
}

void
bool_attr(struct call *c, uint64_t type, bool v)
{
    u64(c, type);
    u8(c, 1);
    u8(c, 1);
    u8(c, v);
}

void
number_attr(struct call *c, uint64_t type, uint64_t v)
{
    u64(c, type);
    u8(c, 1);
    u8(c, 1);
    u64(c, v);
}

void
bytes_attr(struct call *c, uint64_t type, const void *data, size_t len)
{
    u64(c, type);
    u8(c, 1);
    u8(c, 1);
    bytes(c, data, len);
}

void
asked_attr(struct call *c, uint64_t type)
{
    u64(c, type);
    u8(c, 0);
    u8(c, 0);
}

struct kmip_pkcs_11_request
request_of(struct call *c, uint32_t function)
{
    struct kmip_pkcs_11_request r = {.pkcs_11_function = function,
                                     .correlation_value = c->value,
                                     .has_correlation_value = c->value.len != 0,
                                     .has_pkcs_11_input_parameters = c->in.len != 0};
    assert_int_equal(ks_arena_span(&c->talk->arena, ks_buf_span(&c->in), &r.pkcs_11_input_parameters), 0);
    return r;
}

const struct kmip_pkcs_11_response *
call(struct call *c, uint32_t function)
{
    const struct kmip_pkcs_11_request r = request_of(c, function);
    const struct kmip_pkcs_11_response *a = talk_do(c->talk, KMIP_OPERATION_PKCS_11, &r);
    assert_int_equal(a->pkcs_11_function, function);
    c->code = a->pkcs_11_return_code;
    c->out = KS_CURSOR(a->pkcs_11_output_parameters);
    start(c);
    return a;
}

void
call_gives_at(struct call *c, uint32_t function, uint32_t code, int line)
{
    (void)call(c, function);
    if (c->code != code)
        fail_msg("line %d: %s: %s, expected %s", line, kmip_enum_name(KMIP_TAG_PKCS_11_FUNCTION, function),
                 kmip_enum_name(KMIP_TAG_PKCS_11_RETURN_CODE, c->code),
                 kmip_enum_name(KMIP_TAG_PKCS_11_RETURN_CODE, code));
}

void
nothing_left(const struct call *c)
{
    assert_int_equal(c->out.err, 0);
    assert_int_equal(ks_cursor_left(&c->out), 0);
}

void
initialize(struct call *c)
{
    c->value = KS_SPAN_NONE;
    u8(c, 1);
    const struct kmip_pkcs_11_response *a = call(c, KMIP_PKCS_11_FUNCTION_C_INITIALIZE);
    assert_int_equal(c->code, 0);
    assert_true(a->has_correlation_value);
    c->value = a->correlation_value;
    assert_false(a->has_pkcs_11_output_parameters);
}

uint64_t
open_session(struct call *c, uint64_t flags)
{
    u64(c, 1);
    u64(c, flags);
    GIVES(c, C_OPENSESSION, OK);
    const uint64_t session = ks_cursor_be64(&c->out);
    nothing_left(c);
    assert_true(session != 0);
    return session;
}

static int
set_up_with(void **state, const struct engine_config *config)
{
    struct state *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    talk_open_with(&s->talk, config);
    s->talk.version = KMIP_V2_1;
    s->c = (struct call){.talk = &s->talk, .in = KS_BUF(1 << 20)};
    initialize(&s->c);
    s->session = open_session(&s->c, 6);
    *state = s;
    return 0;
}

int
set_up(void **state)
{
    const struct engine_config config = {0};
    return set_up_with(state, &config);
}

int
set_up_compat(void **state)
{
    const struct engine_config config = {.profile = PROFILE_COMPAT};
    return set_up_with(state, &config);
}

int
tear_down(void **state)
{
    struct state *s = *state;
    ks_buf_done(&s->c.in);
    talk_close(&s->talk);
    free(s);
    return 0;
}
