/* Calls of PKCS#11 through KMIP in a test: parameters are put together, the answer is taken apart. */
#pragma once

#include "engine_talk.h"

struct call {
    struct talk *talk;
    struct ks_buf in;
    struct ks_span value; /* Correlation Value */
    struct ks_cursor out;
    uint32_t code;
};

struct state {
    struct talk talk;
    struct call c;
    uint64_t session;
};

void start(struct call *c);
void u8(struct call *c, uint8_t v);
void u32(struct call *c, uint32_t v);
void u64(struct call *c, uint64_t v);
void bytes(struct call *c, const void *data, size_t len);
void space(struct call *c, bool given, uint32_t len);
void bool_attr(struct call *c, uint64_t type, bool v);
void number_attr(struct call *c, uint64_t type, uint64_t v);
void bytes_attr(struct call *c, uint64_t type, const void *data, size_t len);
void asked_attr(struct call *c, uint64_t type);
struct kmip_pkcs_11_request request_of(struct call *c, uint32_t function);
const struct kmip_pkcs_11_response *call(struct call *c, uint32_t function);
void call_gives_at(struct call *c, uint32_t function, uint32_t code, int line);
void nothing_left(const struct call *c);
void initialize(struct call *c);
uint64_t open_session(struct call *c, uint64_t flags);
int set_up(void **state);
int set_up_compat(void **state); /* with everything that there is allowed */
int tear_down(void **state);

#define call_gives(c, function, code) call_gives_at(c, function, code, __LINE__)
#define GIVES(c, function, code) call_gives(c, KMIP_PKCS_11_FUNCTION_##function, KMIP_PKCS_11_RETURN_CODE_##code)
