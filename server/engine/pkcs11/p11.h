/*
 * One call of a PKCS#11 function: what the functions work with. Parameters are marshalled as the KMIP Profiles say
 * ("PKCS#11 Encoding"): a CK_BYTE is a byte; CK_ULONG, handles and flags are eight, big-endian; lengths and counts are
 * four, and stand before what they count. An output of variable length is asked for by a byte (whether there is a
 * buffer) and the buffer's length, and answered by a byte (whether the value follows), its length, and the value.
 *
 * The functions touch no object themselves: they ask the operations of KMIP (p11_ask), so the checks are the same.
 */
#pragma once

#include "server/engine/op/op.h"

/* CKR_*, by the names of KMIP's enumeration. */
#define CKR(name) ((uint32_t)KMIP_PKCS_11_RETURN_CODE_##name)
enum { P11_SLOT = 1 };
/* No return code: the parameters are not what the function takes. */
#define P11_CODEC UINT32_MAX

struct p11 {
    struct ctx *ctx;
    struct p11_app *app;
    struct p11_session *session;
    struct p11_terms terms; /* of what is asked for next */
    struct ks_cursor in;
    struct ks_buf *out;
    bool introduce; /* the answer carries the application's value */
    int rc;         /* KS_E_*: the server's own failure, whatever the return code */
};

/* A function reads all of its parameters, then asks P11_END; only after that it does anything. */
#define P11_END(p)                                                                                                     \
    do {                                                                                                               \
        if ((p)->in.err != 0 || ks_cursor_left(&(p)->in) != 0)                                                         \
            return P11_CODEC;                                                                                          \
    } while (0)

/* Leaves with the return code of a call, unless it is OK. */
#define P11_TRY(call)                                                                                                  \
    do {                                                                                                               \
        const uint32_t p11_code_ = (call);                                                                             \
        if (p11_code_ != CKR(OK))                                                                                      \
            return p11_code_;                                                                                          \
    } while (0)

typedef uint32_t p11_function(struct p11 *p);

struct p11_space {
    bool given;
    size_t len;
};
struct p11_space p11_take_space(struct p11 *p);
struct ks_span p11_take_bytes(struct p11 *p);

void p11_put_u8(struct p11 *p, uint8_t value);
void p11_put_u32(struct p11 *p, uint32_t value);
void p11_put_u64(struct p11 *p, uint64_t value);
void p11_put_text(struct p11 *p, const char *text, size_t len); /* padded with blanks */
/* A value of variable length into the space that there is: OK, or BUFFER_TOO_SMALL with the length alone. */
uint32_t p11_put_output(struct p11 *p, const struct p11_space *space, struct ks_span value);
/* The same for `count` numbers; lengths count numbers. */
uint32_t p11_put_numbers(struct p11 *p, const struct p11_space *space, const uint64_t *numbers, size_t count);

/* Asks an operation of KMIP. What it refuses is a return code; nothing of it is left then. */
uint32_t p11_ask(struct p11 *p, uint32_t operation, const void *request, void **ret);
/* The same for work that is no operation of KMIP's: under the right to one, and as it to tickets. */
uint32_t p11_ask_own(struct p11 *p, uint32_t operation, op_handler *run, const void *request, void **ret);
/* The server's own failure. */
uint32_t p11_fail(struct p11 *p, int rc);
/* The identifier of an object by its handle, as requests carry it; false: none. */
bool p11_uid(const struct p11 *p, uint64_t handle, struct kmip_uid *ret);

/* Mechanisms */
enum p11_parameter {
    P11_PARAMETER_NO,
    P11_PARAMETER_IV,
    P11_PARAMETER_CTR,
    P11_PARAMETER_GCM,
    P11_PARAMETER_OAEP,
    P11_PARAMETER_PSS,
    P11_PARAMETER_PSS_DIGEST,
    P11_PARAMETER_EDDSA,
    P11_PARAMETER_ECDH,
    P11_PARAMETER_DATA,
    P11_PARAMETER_IV_DATA,
    P11_PARAMETER_HKDF
};
enum {
    CKF_ENCRYPT = 0x100,
    CKF_DECRYPT = 0x200,
    CKF_DIGEST = 0x400,
    CKF_SIGN = 0x800,
    CKF_SIGN_RECOVER = 0x1000,
    CKF_VERIFY = 0x2000,
    CKF_VERIFY_RECOVER = 0x4000,
    CKF_GENERATE = 0x8000,
    CKF_GENERATE_KEY_PAIR = 0x10000,
    CKF_WRAP = 0x20000,
    CKF_UNWRAP = 0x40000,
    CKF_DERIVE = 0x80000,
};
struct p11_mechanism {
    uint64_t value;
    uint32_t operation; /* KMIP */
    enum p11_parameter parameter;
    uint32_t least, most, flags;
    uint32_t method, algorithm, mode, padding, signature, hash;
};
/* A mechanism for what the flag says, and its parameter's bytes, from the input. False: MECHANISM_INVALID. */
bool p11_take_mechanism(struct p11 *p, uint32_t flag, const struct p11_mechanism **ret, struct ks_span *ret_parameter);

/* A mechanism's parameter in KMIP's words. */
struct p11_parameters {
    struct kmip_cryptographic_parameters kmip;
    struct ks_span iv, aad, salt, data;
    size_t tag_len;
    struct p11_agreement agreement;
};
/* False: MECHANISM_PARAM_INVALID. */
bool p11_parameters_of(const struct p11_mechanism *m, struct ks_span parameter, struct p11_parameters *ret);

#define P11(FUNCTION, name, NEEDS) p11_function p11_##name;
#define P11_NOT(FUNCTION, reason)
#include "server/engine/pkcs11/functions.def"
#undef P11
#undef P11_NOT
