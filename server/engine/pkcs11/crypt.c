/* PKCS#11 functions that compute: Encrypt, Decrypt, Digest, Sign and Verify, whole and in parts. */
#include "server/engine/pkcs11/template.h"

/* Signatures of ECDSA are r and s, as long as the curve's order each, in PKCS#11, and a SEQUENCE of both in KMIP. */

static bool
der_length(struct ks_cursor *c, size_t *ret)
{
    const uint8_t first = ks_cursor_u8(c);
    *ret = first == 0x81 ? ks_cursor_u8(c) : first;
    return c->err == 0 && (first < 0x80 || first == 0x81) && *ret <= ks_cursor_left(c);
}

static bool
der_integer(struct ks_cursor *c, uint8_t *ret, size_t len)
{
    size_t n = 0;
    if (ks_cursor_u8(c) != 2 || !der_length(c, &n))
        return false;
    struct ks_span v = ks_cursor_take(c, n);
    while (v.len != 0 && v.data[0] == 0)
        v = KS_SPAN(v.data + 1, v.len - 1);
    if (v.len > len)
        return false;
    memset(ret, 0, len - v.len);
    if (v.len != 0)
        memcpy(ret + len - v.len, v.data, v.len);
    return true;
}

static uint32_t
from_der(struct p11 *p, struct ks_span der, size_t len, struct ks_span *ret)
{
    struct ks_cursor c = KS_CURSOR(der);
    size_t n = 0;
    uint8_t *out = ks_arena_alloc(p->ctx->arena, 2 * len);
    if (out == NULL)
        return p11_fail(p, KS_E_NOMEM);
    if (ks_cursor_u8(&c) != 0x30 || !der_length(&c, &n) || n != ks_cursor_left(&c) || !der_integer(&c, out, len) ||
        !der_integer(&c, out + len, len) || c.err != 0 || ks_cursor_left(&c) != 0)
        return CKR(FUNCTION_FAILED);
    *ret = KS_SPAN(out, 2 * len);
    return CKR(OK);
}

static void
add_integer(struct ks_buf *out, struct ks_span v)
{
    while (v.len > 1 && v.data[0] == 0)
        v = KS_SPAN(v.data + 1, v.len - 1);
    const bool sign = (v.data[0] & 0x80) != 0;
    (void)ks_buf_add_u8(out, 2);
    (void)ks_buf_add_u8(out, (uint8_t)(v.len + sign));
    if (sign)
        (void)ks_buf_add_u8(out, 0);
    (void)ks_buf_add_span(out, v);
}

static uint32_t
to_der(struct p11 *p, struct ks_span raw, size_t len, struct ks_span *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf body = KS_BUF(256), der = KS_BUF(256);
    if (raw.len != 2 * len || len == 0)
        return CKR(SIGNATURE_LEN_RANGE);
    add_integer(&body, KS_SPAN(raw.data, len));
    add_integer(&body, KS_SPAN(raw.data + len, len));
    (void)ks_buf_add_u8(&der, 0x30);
    if (body.len > 127)
        (void)ks_buf_add_u8(&der, 0x81);
    (void)ks_buf_add_u8(&der, (uint8_t)body.len);
    (void)ks_buf_add_span(&der, ks_buf_span(&body));
    const int rc = body.err != 0  ? body.err
                   : der.err != 0 ? der.err
                                  : ks_arena_span(p->ctx->arena, ks_buf_span(&der), ret);
    return rc == 0 ? CKR(OK) : p11_fail(p, rc);
}

/* Beginning */

static const struct {
    uint32_t flag;
    enum p11_attr usage;
} kinds[P11_JOBS] = {
    [P11_ENCRYPT] = {CKF_ENCRYPT, CKA_ENCRYPT},
    [P11_DECRYPT] = {CKF_DECRYPT, CKA_DECRYPT},
    [P11_DIGEST] = {CKF_DIGEST, CKA_COUNT},
    [P11_SIGN] = {CKF_SIGN, CKA_SIGN},
    [P11_VERIFY] = {CKF_VERIFY, CKA_VERIFY},
    [P11_SIGN_RECOVER] = {CKF_SIGN_RECOVER, CKA_SIGN},
    [P11_VERIFY_RECOVER] = {CKF_VERIFY_RECOVER, CKA_VERIFY},
};

static uint32_t
check_key(struct p11 *p, enum p11_job_kind kind, const struct p11_mechanism *m, const struct kmip_uid *uid,
          struct p11_job *job)
{
    struct p11_facts facts;
    const uint32_t code = p11_attributes(p, uid, &facts);
    if (code != CKR(OK))
        return code == CKR(OBJECT_HANDLE_INVALID) ? CKR(KEY_HANDLE_INVALID) : code;
    /* An HMAC is made with a key for anything that is secret. */
    const bool hmac = m->operation == KMIP_OPERATION_MAC && m->mode == 0;
    uint64_t key_type = 0;
    const bool fits = facts.has_key_type && p11_key_type_of(m->algorithm, &key_type) && facts.key_type == key_type;
    if (hmac ? facts.type != KMIP_OBJECT_TYPE_SYMMETRIC_KEY : !fits)
        return CKR(KEY_TYPE_INCONSISTENT);
    if ((facts.usage & p11_usage_bits(kinds[kind].usage, facts.object_class)) == 0)
        return CKR(KEY_FUNCTION_NOT_PERMITTED);
    memcpy(job->uid, uid->text.data, sizeof(job->uid) - 1);
    job->key_bits = facts.bits;
    return CKR(OK);
}

static uint32_t
begin(struct p11 *p, enum p11_job_kind kind)
{
    const struct p11_mechanism *m;
    struct ks_span parameter;
    struct p11_parameters parsed;
    struct kmip_uid uid;
    struct p11_job *job = &p->session->jobs[kind];
    const bool known = p11_take_mechanism(p, kinds[kind].flag, &m, &parameter);
    const uint64_t handle = kind != P11_DIGEST ? ks_cursor_be64(&p->in) : 0;
    P11_END(p);
    if (job->mechanism != NULL)
        return CKR(OPERATION_ACTIVE);
    if (!known)
        return CKR(MECHANISM_INVALID);
    if (parameter.len > PKCS11_PARAMETER || !p11_parameters_of(m, parameter, &parsed))
        return CKR(MECHANISM_PARAM_INVALID);
    if (kind != P11_DIGEST) {
        if (!p11_uid(p, handle, &uid) || uid.text.len != sizeof(job->uid) - 1)
            return CKR(KEY_HANDLE_INVALID);
        P11_TRY(check_key(p, kind, m, &uid, job));
    }
    job->parameter = KS_BUF(PKCS11_PARAMETER);
    const int rc = ks_buf_add_span(&job->parameter, parameter);
    if (rc != 0) {
        p11_job_end(&p->ctx->engine->pkcs11, job);
        return p11_fail(p, rc);
    }
    job->mechanism = m;
    return CKR(OK);
}

/* Doing it */

static uint32_t
encrypt(struct p11 *p, const struct kmip_uid *uid, struct p11_parameters *k, struct ks_span data, struct ks_span *ret)
{
    const struct kmip_encrypt_request request = {
        .unique_identifier = *uid,
        .cryptographic_parameters = &k->kmip,
        .data = data,
        .has_data = true,
        .iv_counter_nonce = k->iv,
        .has_iv_counter_nonce = k->iv.len != 0,
        .authenticated_encryption_additional_data = k->aad,
        .has_authenticated_encryption_additional_data = k->aad.len != 0,
    };
    void *response;
    P11_TRY(p11_ask(p, KMIP_OPERATION_ENCRYPT, &request, &response));
    const struct kmip_encrypt_response *r = response;
    if (!r->has_authenticated_encryption_tag) {
        *ret = r->data;
        return CKR(OK);
    }
    /* PKCS#11 has the tag behind the data. */
    const struct ks_span tag = r->authenticated_encryption_tag;
    uint8_t *both = ks_arena_alloc(p->ctx->arena, r->data.len + tag.len);
    if (both == NULL)
        return p11_fail(p, KS_E_NOMEM);
    if (r->data.len != 0)
        memcpy(both, r->data.data, r->data.len);
    memcpy(both + r->data.len, tag.data, tag.len);
    *ret = KS_SPAN(both, r->data.len + tag.len);
    return CKR(OK);
}

static uint32_t
decrypt(struct p11 *p, const struct kmip_uid *uid, struct p11_parameters *k, struct ks_span data, struct ks_span *ret)
{
    if (data.len < k->tag_len)
        return CKR(ENCRYPTED_DATA_LEN_RANGE);
    const size_t len = data.len - k->tag_len;
    const struct kmip_decrypt_request request = {
        .unique_identifier = *uid,
        .cryptographic_parameters = &k->kmip,
        .data = KS_SPAN(data.data, len),
        .has_data = true,
        .iv_counter_nonce = k->iv,
        .has_iv_counter_nonce = k->iv.len != 0,
        .authenticated_encryption_additional_data = k->aad,
        .has_authenticated_encryption_additional_data = k->aad.len != 0,
        .authenticated_encryption_tag = KS_SPAN(data.data + len, k->tag_len),
        .has_authenticated_encryption_tag = k->tag_len != 0,
    };
    void *response;
    const uint32_t code = p11_ask(p, KMIP_OPERATION_DECRYPT, &request, &response);
    if (code != CKR(OK))
        return code == CKR(FUNCTION_FAILED) ? CKR(ENCRYPTED_DATA_INVALID) : code;
    *ret = ((const struct kmip_decrypt_response *)response)->data;
    return CKR(OK);
}

static uint32_t
digest(struct p11 *p, struct p11_parameters *k, struct ks_span data, struct ks_span *ret)
{
    const struct kmip_hash_request request = {.cryptographic_parameters = &k->kmip, .data = data, .has_data = true};
    void *response;
    P11_TRY(p11_ask(p, KMIP_OPERATION_HASH, &request, &response));
    *ret = ((const struct kmip_hash_response *)response)->data;
    return CKR(OK);
}

/* A mechanism without a hash of its own takes a digest, or whatever else is to be padded; but EdDSA the message. */
static bool
takes_digest(const struct p11_mechanism *m)
{
    return m->operation == KMIP_OPERATION_SIGN && m->hash == 0 && m->parameter != P11_PARAMETER_EDDSA;
}

static uint32_t
sign(struct p11 *p, const struct p11_job *job, const struct kmip_uid *uid, struct p11_parameters *k,
     struct ks_span data, struct ks_span *ret)
{
    void *response;
    if (job->mechanism->operation == KMIP_OPERATION_MAC) {
        const struct kmip_mac_request request = {
            .unique_identifier = *uid, .cryptographic_parameters = &k->kmip, .data = data, .has_data = true};
        P11_TRY(p11_ask(p, KMIP_OPERATION_MAC, &request, &response));
        *ret = ((const struct kmip_mac_response *)response)->mac_data;
        return CKR(OK);
    }
    const bool digested = takes_digest(job->mechanism);
    const struct kmip_sign_request request = {.unique_identifier = *uid,
                                              .cryptographic_parameters = &k->kmip,
                                              .data = data,
                                              .has_data = !digested,
                                              .digested_data = data,
                                              .has_digested_data = digested};
    P11_TRY(p11_ask(p, KMIP_OPERATION_SIGN, &request, &response));
    *ret = ((const struct kmip_sign_response *)response)->signature_data;
    return job->mechanism->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC
               ? from_der(p, *ret, (job->key_bits + 7) / 8, ret)
               : CKR(OK);
}

static uint32_t
verify(struct p11 *p, const struct p11_job *job, const struct kmip_uid *uid, struct p11_parameters *k,
       struct ks_span data, struct ks_span signature)
{
    void *response;
    uint32_t validity;
    if (job->mechanism->operation == KMIP_OPERATION_MAC) {
        const struct kmip_mac_verify_request request = {.unique_identifier = *uid,
                                                        .cryptographic_parameters = &k->kmip,
                                                        .data = data,
                                                        .has_data = true,
                                                        .mac_data = signature,
                                                        .has_mac_data = true};
        P11_TRY(p11_ask(p, KMIP_OPERATION_MAC_VERIFY, &request, &response));
        validity = ((const struct kmip_mac_verify_response *)response)->validity_indicator;
    } else {
        if (job->mechanism->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC)
            P11_TRY(to_der(p, signature, (job->key_bits + 7) / 8, &signature));
        const bool digested = takes_digest(job->mechanism);
        const struct kmip_signature_verify_request request = {.unique_identifier = *uid,
                                                              .cryptographic_parameters = &k->kmip,
                                                              .data = data,
                                                              .has_data = !digested,
                                                              .digested_data = data,
                                                              .has_digested_data = digested,
                                                              .signature_data = signature,
                                                              .has_signature_data = true};
        P11_TRY(p11_ask(p, KMIP_OPERATION_SIGNATURE_VERIFY, &request, &response));
        validity = ((const struct kmip_signature_verify_response *)response)->validity_indicator;
    }
    return validity == KMIP_VALIDITY_INDICATOR_VALID ? CKR(OK) : CKR(SIGNATURE_INVALID);
}

/* What was signed, out of the signature. */
static uint32_t
recover(struct p11 *p, const struct kmip_uid *uid, struct p11_parameters *k, struct ks_span signature,
        struct ks_span *ret)
{
    void *response;
    const struct kmip_signature_verify_request request = {.unique_identifier = *uid,
                                                          .cryptographic_parameters = &k->kmip,
                                                          .signature_data = signature,
                                                          .has_signature_data = true};
    P11_TRY(p11_ask(p, KMIP_OPERATION_SIGNATURE_VERIFY, &request, &response));
    const struct kmip_signature_verify_response *r = response;
    if (r->validity_indicator != KMIP_VALIDITY_INDICATOR_VALID || !r->has_data)
        return CKR(SIGNATURE_INVALID);
    *ret = r->data;
    return CKR(OK);
}

static uint32_t
carry_out(struct p11 *p, enum p11_job_kind kind, struct p11_job *job, struct ks_span data, struct ks_span signature,
          struct ks_span *ret)
{
    struct p11_parameters k;
    const struct kmip_uid uid = uid_text(KS_SPAN(job->uid, sizeof(job->uid) - 1));
    if (!p11_parameters_of(job->mechanism, ks_buf_span(&job->parameter), &k))
        return CKR(MECHANISM_PARAM_INVALID);
    *ret = KS_SPAN_NONE;
    switch (kind) {
    case P11_ENCRYPT:
        return encrypt(p, &uid, &k, data, ret);
    case P11_DECRYPT:
        return decrypt(p, &uid, &k, data, ret);
    case P11_DIGEST:
        return digest(p, &k, data, ret);
    case P11_VERIFY_RECOVER:
        return recover(p, &uid, &k, data, ret);
    case P11_SIGN:
    case P11_SIGN_RECOVER:
        return sign(p, job, &uid, &k, data, ret);
    case P11_VERIFY:
        return verify(p, job, &uid, &k, data, signature);
    case P11_JOBS:
        break;
    }
    return CKR(GENERAL_ERROR);
}

/* How long an output is at most: for those who ask before they make room. */
static size_t
output_most(const struct p11_job *job, size_t data_len)
{
    enum { HASH_MOST = 64, BLOCK_AND_TAG = 32, ED448 = 114 };
    const struct p11_mechanism *m = job->mechanism;
    if (m->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA)
        return (job->key_bits + 7) / 8;
    if (m->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC)
        return 2 * ((size_t)(job->key_bits + 7) / 8);
    if (m->parameter == P11_PARAMETER_EDDSA)
        return ED448;
    return m->operation == KMIP_OPERATION_ENCRYPT ? data_len + BLOCK_AND_TAG : HASH_MOST;
}

/* The end of a job: with too little room for what comes of it nothing has happened, and it goes on. */
static uint32_t
finish(struct p11 *p, enum p11_job_kind kind, struct ks_span data, const struct p11_space *space)
{
    struct p11_job *job = &p->session->jobs[kind];
    struct ks_span result;
    if (!space->given) {
        p11_put_u8(p, 0);
        p11_put_u32(p, (uint32_t)output_most(job, data.len));
        return CKR(OK);
    }
    const struct tx mark = p->ctx->tx;
    uint32_t code = carry_out(p, kind, job, data, KS_SPAN_NONE, &result);
    if (code == CKR(OK))
        code = p11_put_output(p, space, result);
    if (code == CKR(BUFFER_TOO_SMALL))
        tx_rollback(p->ctx, &mark);
    else
        p11_job_end(&p->ctx->engine->pkcs11, job);
    return code;
}

static uint32_t
whole(struct p11 *p, enum p11_job_kind kind)
{
    const struct p11_job *job = &p->session->jobs[kind];
    const struct ks_span data = p11_take_bytes(p);
    const struct p11_space space = p11_take_space(p);
    P11_END(p);
    if (job->mechanism == NULL || job->in_parts)
        return CKR(OPERATION_NOT_INITIALIZED);
    return finish(p, kind, data, &space);
}

/* Parts are collected, and what comes of them comes at the end. */
static uint32_t
part(struct p11 *p, enum p11_job_kind kind, bool has_output)
{
    struct p11_job *job = &p->session->jobs[kind];
    const struct ks_span data = p11_take_bytes(p);
    const struct p11_space space = has_output ? p11_take_space(p) : (struct p11_space){.given = true};
    P11_END(p);
    if (job->mechanism == NULL)
        return CKR(OPERATION_NOT_INITIALIZED);
    if (has_output && !space.given)
        return p11_put_output(p, &space, KS_SPAN_NONE);
    const int rc = p11_job_collect(&p->ctx->engine->pkcs11, job, data);
    job->in_parts = true;
    if (rc != 0) {
        p11_job_end(&p->ctx->engine->pkcs11, job);
        return p11_fail(p, rc);
    }
    return has_output ? p11_put_output(p, &space, KS_SPAN_NONE) : CKR(OK);
}

static uint32_t
last(struct p11 *p, enum p11_job_kind kind)
{
    const struct p11_job *job = &p->session->jobs[kind];
    const struct p11_space space = p11_take_space(p);
    P11_END(p);
    if (job->mechanism == NULL)
        return CKR(OPERATION_NOT_INITIALIZED);
    return finish(p, kind, ks_buf_span(&job->data), &space);
}

static uint32_t
check(struct p11 *p, bool in_parts)
{
    struct p11_job *job = &p->session->jobs[P11_VERIFY];
    struct ks_span none;
    const struct ks_span data = in_parts ? ks_buf_span(&job->data) : p11_take_bytes(p), signature = p11_take_bytes(p);
    P11_END(p);
    if (job->mechanism == NULL || (!in_parts && job->in_parts))
        return CKR(OPERATION_NOT_INITIALIZED);
    const uint32_t code = carry_out(p, P11_VERIFY, job, data, signature, &none);
    p11_job_end(&p->ctx->engine->pkcs11, job);
    return code;
}

/* The functions */

#define P11_JOB(name, kind, has_output)                                                                                \
    uint32_t p11_##name##_init(struct p11 *p)                                                                          \
    {                                                                                                                  \
        return begin(p, kind);                                                                                         \
    }                                                                                                                  \
    uint32_t p11_##name(struct p11 *p)                                                                                 \
    {                                                                                                                  \
        return whole(p, kind);                                                                                         \
    }                                                                                                                  \
    uint32_t p11_##name##_update(struct p11 *p)                                                                        \
    {                                                                                                                  \
        return part(p, kind, has_output);                                                                              \
    }                                                                                                                  \
    uint32_t p11_##name##_final(struct p11 *p)                                                                         \
    {                                                                                                                  \
        return last(p, kind);                                                                                          \
    }
P11_JOB(encrypt, P11_ENCRYPT, true)
P11_JOB(decrypt, P11_DECRYPT, true)
P11_JOB(digest, P11_DIGEST, false)
P11_JOB(sign, P11_SIGN, false)
#undef P11_JOB

uint32_t
p11_verify_init(struct p11 *p)
{
    return begin(p, P11_VERIFY);
}

uint32_t
p11_verify(struct p11 *p)
{
    return check(p, false);
}

uint32_t
p11_verify_update(struct p11 *p)
{
    return part(p, P11_VERIFY, false);
}

uint32_t
p11_verify_final(struct p11 *p)
{
    return check(p, true);
}

/* Signatures that give back what they sign are of messages that come whole. */

uint32_t
p11_sign_recover_init(struct p11 *p)
{
    return begin(p, P11_SIGN_RECOVER);
}

uint32_t
p11_sign_recover(struct p11 *p)
{
    return whole(p, P11_SIGN_RECOVER);
}

uint32_t
p11_verify_recover_init(struct p11 *p)
{
    return begin(p, P11_VERIFY_RECOVER);
}

uint32_t
p11_verify_recover(struct p11 *p)
{
    return whole(p, P11_VERIFY_RECOVER);
}

/* One part for two operations: a digest or a signature of what is encrypted. */
static uint32_t
two_parts(struct p11 *p, enum p11_job_kind kind)
{
    struct p11_session *s = p->session;
    struct pkcs11 *all = &p->ctx->engine->pkcs11;
    struct p11_job *both[] = {&s->jobs[kind], &s->jobs[P11_ENCRYPT]};
    const struct ks_span data = p11_take_bytes(p);
    const struct p11_space space = p11_take_space(p);
    P11_END(p);
    if (both[0]->mechanism == NULL || both[1]->mechanism == NULL)
        return CKR(OPERATION_NOT_INITIALIZED);
    int rc = 0;
    for (size_t i = 0; space.given && rc == 0 && i < KS_ARRAY_LEN(both); i++) {
        both[i]->in_parts = true;
        rc = p11_job_collect(all, both[i], data);
    }
    if (rc == 0)
        return p11_put_output(p, &space, KS_SPAN_NONE);
    p11_job_end(all, both[0]);
    p11_job_end(all, both[1]);
    return p11_fail(p, rc);
}

uint32_t
p11_digest_encrypt_update(struct p11 *p)
{
    return two_parts(p, P11_DIGEST);
}

uint32_t
p11_sign_encrypt_update(struct p11 *p)
{
    return two_parts(p, P11_SIGN);
}

/* The bytes of a secret key, for a digest that goes on: under the right to have them, and not handed out. */
static int
key_bytes(struct ctx *ctx, const void *request, void **ret_response)
{
    struct object *object;
    const struct use use = {.use = USE_GET, .plaintext = true};
    struct ks_span *bytes = CTX_NEW(ctx, struct ks_span);
    if (bytes == NULL)
        return KS_E_NOMEM;
    KS_TRY(engine_object(ctx, request, &object));
    KS_TRY(engine_use(ctx, object, &use));
    const uint32_t type = object_type(object);
    if (type != KMIP_OBJECT_TYPE_SYMMETRIC_KEY && type != KMIP_OBJECT_TYPE_SECRET_DATA)
        return engine_fail(ctx, COND_NOT_EXTRACTABLE, "object %s is no secret key", object->uid);
    KS_TRY(material_symmetric(ctx, object, bytes));
    *ret_response = bytes;
    return 0;
}

uint32_t
p11_digest_key(struct p11 *p)
{
    struct kmip_uid uid;
    void *bytes;
    struct p11_job *job = &p->session->jobs[P11_DIGEST];
    const uint64_t handle = ks_cursor_be64(&p->in);
    P11_END(p);
    if (job->mechanism == NULL)
        return CKR(OPERATION_NOT_INITIALIZED);
    if (!p11_uid(p, handle, &uid))
        return CKR(KEY_HANDLE_INVALID);
    const uint32_t code = p11_ask_own(p, KMIP_OPERATION_GET, key_bytes, &uid, &bytes);
    if (code != CKR(OK))
        return code == CKR(ATTRIBUTE_SENSITIVE)     ? CKR(KEY_INDIGESTIBLE)
               : code == CKR(OBJECT_HANDLE_INVALID) ? CKR(KEY_HANDLE_INVALID)
                                                    : code;
    const int rc = p11_job_collect(&p->ctx->engine->pkcs11, job, *(const struct ks_span *)bytes);
    job->in_parts = true;
    if (rc == 0)
        return CKR(OK);
    p11_job_end(&p->ctx->engine->pkcs11, job);
    return p11_fail(p, rc);
}
