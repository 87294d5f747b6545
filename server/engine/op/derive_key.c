/* Derive Key (KMIP 1.4: 4.6; 2.1: 6.1.14, 7.12). */
#include "crypto/agree.h"
#include "crypto/cipher.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/keygen.h"
#include "server/engine/op/op.h"
#include "server/engine/pkcs11/template.h"
#include "server/engine/profile.h"
#include "server/engine/wrap.h"

/*
 * ITERATIONS_MOST: hashes of PBKDF2 for one request, half a second of a thread. Up to ITERATIONS_HERE for one
 * derivation are made in the engine's thread, more in another (prepared.h).
 */
enum { DERIVED_MOST = 8192 /* bytes */, BASES_MOST = 2, ITERATIONS_MOST = 1000000, ITERATIONS_HERE = 10000 };

/* What is derived, and from what. */
struct derivation {
    const struct kmip_derive_key_request *request;
    const struct kmip_cryptographic_parameters *p;
    struct object *base[BASES_MOST]; /* the key first */
    size_t n_bases;
    struct ks_span key;  /* of base[0]; not for Asymmetric Key */
    struct ks_span data; /* Derivation Data, or the Secret Data that is the second base */
    bool has_data;
    uint8_t *ret;
    size_t len;
};

static int
fail_crypto(struct ctx *ctx, int rc, struct ks_diag *diag)
{
    switch (rc) {
    case KS_E_UNSUPPORTED:
        return engine_fail_diag(ctx, COND_PARAMETERS_NOT_OFFERED, diag);
    case KS_E_INVALID:
        return engine_fail_diag(ctx, COND_BAD_PARAMETERS, diag);
    case KS_E_CRYPTO:
        return engine_fail_diag(ctx, COND_CRYPTOGRAPHY, diag);
    default:
        return rc;
    }
}

/* Takes the first bytes of what the method gave. */
static int
take(struct ctx *ctx, struct derivation *d, struct ks_span output)
{
    if (output.len < d->len)
        return engine_fail(ctx, COND_CRYPTOGRAPHY,
                           "the Cryptographic Length is %zu bytes, and this derivation gives %zu; ask for less", d->len,
                           output.len);
    memcpy(d->ret, output.data, d->len);
    return 0;
}

static int
need_data(struct ctx *ctx, const struct derivation *d)
{
    return d->has_data ? 0
                       : engine_fail(ctx, COND_MISSING,
                                     "the derivation takes Derivation Data, or a Secret Data object that has them");
}

/* The hash: of the parameters, else the one that the key's algorithm names, else the default (0: none). */
static int
hash_of(struct ctx *ctx, const struct derivation *d, uint32_t otherwise, uint32_t *ret)
{
    uint32_t hash = d->p->has_hashing_algorithm ? d->p->hashing_algorithm : 0;
    if (hash == 0)
        hash = ks_hash_of_hmac((uint32_t)core_get(&d->base[0]->rev->core, CORE_ALGORITHM));
    if (hash == 0)
        hash = otherwise;
    if (hash == 0)
        return engine_fail(ctx, COND_BAD_PARAMETERS, "neither the request nor key %s says with which Hashing Algorithm",
                           d->base[0]->uid);
    const struct profile_what what = {.hash = hash};
    KS_TRY(profile_check(ctx, PROFILE_PROTECT, &what));
    *ret = hash;
    return 0;
}

static int
by_pbkdf2(struct ctx *ctx, struct derivation *d)
{
    const struct kmip_derivation_parameters *p = d->request->derivation_parameters;
    struct ks_diag diag = {0};
    uint32_t hash;
    if (d->has_data)
        return engine_fail(ctx, COND_BAD_MESSAGE,
                           "PBKDF2 derives from what object %s holds: send no Derivation Data beside it",
                           d->base[0]->uid);
    if (!p->has_salt || !p->has_iteration_count)
        return engine_fail(ctx, COND_MISSING, "PBKDF2 takes a Salt and an Iteration Count");
    KS_TRY(hash_of(ctx, d, KMIP_HASHING_ALGORITHM_SHA_1, &hash));
    const size_t block = ks_hash_len(hash);
    if (block == 0)
        return engine_fail(ctx, COND_PARAMETERS_NOT_OFFERED, "that Hashing Algorithm is not offered");
    if (p->iteration_count < 1)
        return engine_fail(ctx, COND_BAD_FIELD, "the Iteration Count is %d; it is at least 1", p->iteration_count);
    const uint64_t work = (uint64_t)p->iteration_count * ((d->len + block - 1) / block);
    if (work > ITERATIONS_MOST - ctx->iterations)
        return engine_fail(ctx, COND_SERVER_LIMIT,
                           "PBKDF2 would take %llu iterations; a request has %d: derive less at a time",
                           (unsigned long long)work, ITERATIONS_MOST);
    ctx->iterations += (size_t)work;
    int rc = KS_E_NOT_FOUND;
    if (work > ITERATIONS_HERE) {
        const struct prepared_pbkdf2 what = {
            .hash = hash, .iterations = (uint32_t)p->iteration_count, .secret = d->key, .salt = p->salt, .len = d->len};
        rc = prepared_pbkdf2(ctx, &what, d->ret, &diag);
    }
    if (rc == KS_E_NOT_FOUND)
        rc = ks_kdf_pbkdf2(hash, d->key, p->salt, (uint32_t)p->iteration_count, d->ret, d->len, &diag);
    return rc != 0 ? fail_crypto(ctx, rc, &diag) : 0;
}

/* Over the derivation key or the derivation data: there always is a key, and data besides would be ambiguous. */
static int
by_hash(struct ctx *ctx, struct derivation *d)
{
    struct ks_diag diag = {0};
    uint8_t out[KS_HASH_MAX];
    uint32_t hash;
    if (d->has_data)
        return engine_fail(ctx, COND_BAD_MESSAGE, "HASH is over object %s: send no Derivation Data beside it",
                           d->base[0]->uid);
    KS_TRY(hash_of(ctx, d, 0, &hash));
    int rc = ks_hash(hash, d->key, out, &diag);
    rc = rc != 0 ? fail_crypto(ctx, rc, &diag) : take(ctx, d, KS_SPAN(out, ks_hash_len(hash)));
    ks_wipe(out, sizeof(out));
    return rc;
}

static int
by_hmac(struct ctx *ctx, struct derivation *d)
{
    struct ks_diag diag = {0};
    uint8_t out[KS_HASH_MAX];
    /* What the key itself says counts before the parameters. */
    uint32_t hash = ks_hash_of_hmac((uint32_t)core_get(&d->base[0]->rev->core, CORE_ALGORITHM));
    KS_TRY(need_data(ctx, d));
    if (hash == 0)
        KS_TRY(hash_of(ctx, d, 0, &hash));
    const struct profile_what what = {.hash = hash};
    KS_TRY(profile_check(ctx, PROFILE_PROTECT, &what));
    int rc = ks_hmac(hash, d->key, d->data, out, &diag);
    rc = rc != 0 ? fail_crypto(ctx, rc, &diag) : take(ctx, d, KS_SPAN(out, ks_hash_len(hash)));
    ks_wipe(out, sizeof(out));
    return rc;
}

static int
by_encrypt(struct ctx *ctx, struct derivation *d)
{
    const struct kmip_derivation_parameters *p = d->request->derivation_parameters;
    struct ks_diag diag = {0};
    struct ks_cipher_tag tag = {0};
    struct profile_what what = profile_key(d->base[0]);
    KS_TRY(need_data(ctx, d));
    if (object_type(d->base[0]) != KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
        return engine_fail(ctx, COND_OBJECT_KIND, "ENCRYPT takes a symmetric key, which object %s is not",
                           d->base[0]->uid);
    if (d->p->has_cryptographic_algorithm && d->p->cryptographic_algorithm != what.algorithm)
        return engine_fail(ctx, COND_BAD_PARAMETERS, "the parameters name another algorithm than that of key %s",
                           d->base[0]->uid);
    struct ks_cipher_params params = {.algorithm = what.algorithm,
                                      .mode = d->p->has_block_cipher_mode ? d->p->block_cipher_mode : 0,
                                      .padding = d->p->has_padding_method ? d->p->padding_method : 0,
                                      .iv = p->has_initialization_vector ? p->initialization_vector : KS_SPAN_NONE};
    if (params.mode == 0 && params.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_AES)
        return engine_fail(ctx, COND_BAD_PARAMETERS,
                           "neither the request nor key %s says which Block Cipher Mode to use", d->base[0]->uid);
    what.mode = params.mode;
    KS_TRY(profile_check(ctx, PROFILE_PROTECT, &what));
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(d->data.len + 64);
    const int rc = ks_cipher_encrypt(&params, d->key, d->data, &out, &tag, &diag);
    return rc != 0 ? fail_crypto(ctx, rc, &diag) : take(ctx, d, ks_buf_span(&out));
}

/* The PRF is CMAC where the mode says so, else HMAC. */
static int
by_108(struct ctx *ctx, struct derivation *d)
{
    const struct kmip_derivation_parameters *p = d->request->derivation_parameters;
    struct ks_diag diag = {0};
    uint32_t hash = 0;
    const enum ks_kdf108 mode =
        d->request->derivation_method == KMIP_DERIVATION_METHOD_NIST800_108_C   ? KS_KDF108_COUNTER
        : d->request->derivation_method == KMIP_DERIVATION_METHOD_NIST800_108_F ? KS_KDF108_FEEDBACK
                                                                                : KS_KDF108_DOUBLE_PIPELINE;
    KS_TRY(need_data(ctx, d));
    if (!d->p->has_block_cipher_mode || d->p->block_cipher_mode != KMIP_BLOCK_CIPHER_MODE_CMAC)
        KS_TRY(hash_of(ctx, d, 0, &hash));
    else if (core_get(&d->base[0]->rev->core, CORE_ALGORITHM) != KMIP_CRYPTOGRAPHIC_ALGORITHM_AES)
        return engine_fail(ctx, COND_PARAMETERS_NOT_OFFERED, "CMAC is offered with AES keys, and key %s is none",
                           d->base[0]->uid);
    const int rc =
        ks_kdf_108(mode, hash, d->key, p->has_initialization_vector ? p->initialization_vector : KS_SPAN_NONE, d->data,
                   d->ret, d->len, &diag);
    return rc != 0 ? fail_crypto(ctx, rc, &diag) : 0;
}

static int
by_hkdf(struct ctx *ctx, struct derivation *d)
{
    const struct kmip_derivation_parameters *p = d->request->derivation_parameters;
    struct ks_diag diag = {0};
    uint32_t hash;
    KS_TRY(hash_of(ctx, d, KMIP_HASHING_ALGORITHM_SHA_256, &hash));
    if (d->len > 255 * ks_hash_len(hash))
        return engine_fail(ctx, COND_CRYPTOGRAPHY, "HKDF gives %zu bytes at most; ask for less",
                           255 * ks_hash_len(hash));
    const int rc = ks_kdf_hkdf(hash, d->key, p->has_salt ? p->salt : KS_SPAN_NONE, d->data, d->ret, d->len, &diag);
    return rc != 0 ? fail_crypto(ctx, rc, &diag) : 0;
}

static int
by_aws4(struct ctx *ctx, struct derivation *d)
{
    enum { DATE, REGION, SERVICE, PARTS };
    const struct kmip_derivation_parameters *p = d->request->derivation_parameters;
    const struct profile_what what = {.hash = KMIP_HASHING_ALGORITHM_SHA_256};
    struct ks_diag diag = {0};
    uint8_t out[KS_SHA256];
    KS_TRY(profile_check(ctx, PROFILE_PROTECT, &what));
    if (p->n_derivation_data != PARTS)
        return engine_fail(ctx, COND_BAD_FIELD,
                           "AWS Signature Version 4 takes three Derivation Data: date, region and service");
    int rc = ks_kdf_aws4(d->key, p->derivation_data[DATE], p->derivation_data[REGION], p->derivation_data[SERVICE], out,
                         &diag);
    rc = rc != 0 ? fail_crypto(ctx, rc, &diag) : take(ctx, d, KS_SPAN(out, sizeof(out)));
    ks_wipe(out, sizeof(out));
    return rc;
}

/* The public key that a call of PKCS#11 says: a point on the curve of the private key. */
static int
parse_peer(struct ctx *ctx, const struct ks_pkey *own, struct ks_span point, struct ks_pkey **ret)
{
    struct ks_pkey_info info;
    ks_pkey_info(own, &info);
    const struct ks_ec_parts parts = {.curve = info.curve, .q = p11_point(point)};
    const int rc = info.curve != 0 && info.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC
                       ? ks_pkey_from_ec(&parts, ret, NULL)
                       : KS_E_INVALID;
    if (rc == 0 || rc == KS_E_NOMEM)
        return rc;
    return engine_fail(ctx, COND_BAD_PARAMETERS, "the public data are no point on the curve of key %s",
                       ctx->used != NULL ? ctx->used->uid : "");
}

/* PKCS#11's agreement: the key is made of the secret by the KDF of ANSI X9.63, or it is the end of the secret. */
static int
by_point(struct ctx *ctx, struct derivation *d)
{
    const struct p11_agreement *a = ctx->p11->agreement;
    const struct profile_what what = profile_key(d->base[0]), hash = {.hash = a->hash};
    struct ks_diag diag = {0};
    KS_PKEY *own = NULL, *peer = NULL;
    if (d->n_bases != 1 || object_type(d->base[0]) != KMIP_OBJECT_TYPE_PRIVATE_KEY)
        return engine_fail(ctx, COND_OBJECT_KIND, "an agreement takes a private key");
    KS_TRY(profile_check(ctx, PROFILE_PROTECT, &what));
    KS_TRY(profile_check(ctx, PROFILE_PROTECT, &hash));
    KS_TRY(parsed_key(ctx, d->base[0], &own));
    KS_TRY(parse_peer(ctx, own, a->peer, &peer));
    KS_CLEANUP(ks_buf_done) struct ks_buf secret = KS_BUF(256);
    int rc = ks_agree(own, peer, &secret, &diag);
    if (rc == 0 && a->hash != 0)
        rc = ks_kdf_x963(a->hash, ks_buf_span(&secret), a->shared, d->ret, d->len, &diag);
    if (rc != 0)
        return fail_crypto(ctx, rc, &diag);
    if (a->hash != 0)
        return 0;
    const size_t skip = secret.len > d->len ? secret.len - d->len : 0;
    return take(ctx, d, KS_SPAN(secret.data + skip, secret.len - skip));
}

/* A private key and somebody's public key, in any order. */
static int
by_agreement(struct ctx *ctx, struct derivation *d)
{
    struct ks_diag diag = {0};
    KS_PKEY *own = NULL, *peer = NULL;
    if (ctx->p11 != NULL && ctx->p11->agreement != NULL)
        return by_point(ctx, d);
    if (d->n_bases != 2 || object_type(d->base[0]) != KMIP_OBJECT_TYPE_PRIVATE_KEY ||
        object_type(d->base[1]) != KMIP_OBJECT_TYPE_PUBLIC_KEY)
        return engine_fail(ctx, COND_OBJECT_KIND, "Asymmetric Key derives from a private key and a public key");
    for (size_t i = 0; i < d->n_bases; i++) {
        const struct profile_what what = profile_key(d->base[i]);
        KS_TRY(profile_check(ctx, PROFILE_PROTECT, &what));
    }
    KS_TRY(parsed_key(ctx, d->base[0], &own));
    KS_TRY(parsed_key(ctx, d->base[1], &peer));
    KS_CLEANUP(ks_buf_done) struct ks_buf secret = KS_BUF(256);
    const int rc = ks_agree(own, peer, &secret, &diag);
    return rc != 0 ? fail_crypto(ctx, rc, &diag) : take(ctx, d, ks_buf_span(&secret));
}

static const struct {
    uint32_t method;
    int (*derive)(struct ctx *ctx, struct derivation *d);
} methods[] = {
    {KMIP_DERIVATION_METHOD_PBKDF2, by_pbkdf2},
    {KMIP_DERIVATION_METHOD_HASH, by_hash},
    {KMIP_DERIVATION_METHOD_HMAC, by_hmac},
    {KMIP_DERIVATION_METHOD_ENCRYPT, by_encrypt},
    {KMIP_DERIVATION_METHOD_NIST800_108_C, by_108},
    {KMIP_DERIVATION_METHOD_NIST800_108_F, by_108},
    {KMIP_DERIVATION_METHOD_NIST800_108_DPI, by_108},
    {KMIP_DERIVATION_METHOD_ASYMMETRIC_KEY, by_agreement},
    {KMIP_DERIVATION_METHOD_AWS_SIGNATURE_VERSION_4, by_aws4},
    {KMIP_DERIVATION_METHOD_HKDF, by_hkdf},
};

/* The objects, each of which has to allow it; a key before Secret Data, a private key before a public one. */
static int
find_bases(struct ctx *ctx, struct derivation *d)
{
    const struct kmip_derive_key_request *r = d->request;
    const struct use use = {
        .use = USE_PROTECT, .mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_DERIVE_KEY, .bytes = (int64_t)d->len};
    if (r->n_unique_identifier > BASES_MOST)
        return engine_fail(ctx, COND_BAD_FIELD, "keys are derived from one or two objects, not from %zu",
                           r->n_unique_identifier);
    for (size_t i = 0; i < r->n_unique_identifier; i++) {
        struct object *base;
        KS_TRY(engine_object(ctx, &r->unique_identifier[i], &base));
        KS_TRY(engine_use(ctx, base, &use));
        if (i != 0 && base == d->base[0])
            return engine_fail(ctx, COND_BAD_FIELD, "object %s is named twice", base->uid);
        const uint32_t type = object_type(base);
        if (!material_is_key(type) || type == KMIP_OBJECT_TYPE_SPLIT_KEY || type == KMIP_OBJECT_TYPE_PGP_KEY)
            return engine_fail(ctx, COND_OBJECT_KIND,
                               "nothing is derived from object %s: it is no key and no secret data", base->uid);
        d->base[d->n_bases++] = base;
    }
    const bool second_first = d->n_bases == 2 && (object_type(d->base[0]) == KMIP_OBJECT_TYPE_SECRET_DATA ||
                                                  object_type(d->base[0]) == KMIP_OBJECT_TYPE_PUBLIC_KEY);
    if (second_first) {
        struct object *first = d->base[0];
        d->base[0] = d->base[1];
        d->base[1] = first;
    }
    return 0;
}

static int
find_data(struct ctx *ctx, struct derivation *d)
{
    const struct kmip_derivation_parameters *p = d->request->derivation_parameters;
    KS_TRY(material_symmetric(ctx, d->base[0], &d->key));
    if (d->n_bases == 2) {
        if (object_type(d->base[1]) != KMIP_OBJECT_TYPE_SECRET_DATA)
            return engine_fail(ctx, COND_OBJECT_KIND,
                               "the second object of this derivation is Secret Data, which object %s is not",
                               d->base[1]->uid);
        if (p->n_derivation_data != 0)
            return engine_fail(ctx, COND_BAD_MESSAGE,
                               "the request has Derivation Data, and names Secret Data object %s", d->base[1]->uid);
        d->has_data = true;
        return material_symmetric(ctx, d->base[1], &d->data);
    }
    KS_CLEANUP(ks_buf_done) struct ks_buf all = KS_BUF(1 << 20);
    for (size_t i = 0; i < p->n_derivation_data; i++)
        KS_TRY(ks_buf_add_span(&all, p->derivation_data[i]));
    d->has_data = p->n_derivation_data != 0;
    return ks_arena_span(ctx->arena, ks_buf_span(&all), &d->data);
}

/* What the new object is to be: its length in bytes, from the attributes. */
static int
derived_length(struct ctx *ctx, const struct core *core, bool secret, size_t *ret)
{
    const int64_t bits = core_get(core, CORE_LENGTH);
    const uint32_t algorithm = (uint32_t)core_get(core, CORE_ALGORITHM);
    struct ks_diag diag = {0};
    if (!core_has(core, CORE_LENGTH) || (!secret && !core_has(core, CORE_ALGORITHM)))
        return engine_fail(ctx, COND_MISSING, "the request has no Cryptographic %s",
                           core_has(core, CORE_LENGTH) ? "Algorithm" : "Length");
    if (bits <= 0 || bits > (int64_t)DERIVED_MOST * 8 || bits % 8 != 0)
        return engine_fail(ctx, COND_AGAINST_POLICY, "%lld bits can not be derived: 8 to %d, in steps of 8",
                           (long long)bits, DERIVED_MOST * 8);
    *ret = (size_t)bits / 8;
    if (secret)
        return 0;
    int rc = ks_keygen_length(algorithm, (size_t)bits, 0, ret, &diag);
    if (rc == KS_E_INVALID && algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_AES)
        rc = ks_keygen_length(algorithm, (size_t)bits, KS_KEYLEN_XTS, ret, NULL);
    if (rc == KS_E_UNSUPPORTED) /* an algorithm of which the server knows no more than that others have it */
        return 0;
    return rc != 0 ? engine_fail_diag(ctx, COND_AGAINST_POLICY, &diag) : 0;
}

static int
derive(struct ctx *ctx, struct derivation *d)
{
    const uint32_t method = d->request->derivation_method;
    size_t i = 0;
    while (i < KS_ARRAY_LEN(methods) && methods[i].method != method)
        i++;
    if (i == KS_ARRAY_LEN(methods))
        return engine_fail(ctx, COND_PARAMETERS_NOT_OFFERED, "Derivation Method 0x%x is not offered", (unsigned)method);
    KS_TRY(find_bases(ctx, d));
    KS_TRY(parameters_of(ctx, d->base[0], d->request->derivation_parameters->cryptographic_parameters, &d->p));
    const struct profile_what what = {.derivation = method};
    KS_TRY(profile_check(ctx, PROFILE_PROTECT, &what));
    if (method != KMIP_DERIVATION_METHOD_ASYMMETRIC_KEY)
        KS_TRY(find_data(ctx, d));
    d->ret = ks_arena_alloc(ctx->arena, d->len);
    return d->ret != NULL ? methods[i].derive(ctx, d) : KS_E_NOMEM;
}

/*
 * What a cipher gives of a secret object's bytes can be turned back by whoever knows the key. So it is no less secret
 * than they are, whatever the request says.
 */
static void
stay_secret(const struct derivation *d, struct rev *draft)
{
    if (d->request->derivation_method != KMIP_DERIVATION_METHOD_ENCRYPT || d->n_bases != 2)
        return;
    const struct core *data = &d->base[1]->rev->core;
    if (core_get(data, CORE_SENSITIVE) != 0)
        core_set(&draft->core, CORE_SENSITIVE, true);
    if (core_has(data, CORE_EXTRACTABLE) && core_get(data, CORE_EXTRACTABLE) == 0)
        core_set(&draft->core, CORE_EXTRACTABLE, false);
}

/* PKCS#11: a key was always secret, and never to be had, only if what it comes of was. */
static int
inherit_history(struct ctx *ctx, const struct derivation *d, struct object *derived)
{
    struct rev draft;
    if (ctx->p11 == NULL)
        return 0;
    KS_TRY(rev_draft(ctx->arena, derived->rev, &draft));
    for (size_t i = 0; i < d->n_bases; i++) {
        const struct core *base = &d->base[i]->rev->core;
        if (core_get(base, CORE_ALWAYS_SENSITIVE) == 0)
            core_set(&draft.core, CORE_ALWAYS_SENSITIVE, false);
        if (core_get(base, CORE_NEVER_EXTRACTABLE) == 0)
            core_set(&draft.core, CORE_NEVER_EXTRACTABLE, false);
    }
    return tx_put(ctx, derived, &draft, false);
}

/* The links of the bases to what was derived, and what it took of their usage limits. */
static int
finish_bases(struct ctx *ctx, const struct derivation *d, const struct object *derived)
{
    const struct use use = {.use = USE_PROTECT, .bytes = (int64_t)d->len};
    for (size_t i = 0; i < d->n_bases; i++) {
        struct rev draft;
        KS_TRY(rev_draft(ctx->arena, d->base[i]->rev, &draft));
        if (!object_outlives(d->base[i], derived))
            KS_TRY(attr_link_add(ctx, &draft, KMIP_LINK_TYPE_DERIVED_KEY_LINK, object_uid(derived)));
        KS_TRY(tx_put(ctx, d->base[i], &draft, true));
        KS_TRY(engine_used(ctx, d->base[i], &use));
    }
    return 0;
}

int
op_derive_key(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_derive_key_request *r = request;
    struct derivation d = {.request = r};
    struct rev draft = {0};
    struct object *object;
    OP_RESPONSE(ctx, kmip_derive_key_response, response);
    const bool secret = r->object_type == KMIP_OBJECT_TYPE_SECRET_DATA;
    if (!secret && r->object_type != KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
        return engine_fail(ctx, COND_OBJECT_KIND, "Derive Key makes symmetric keys and secret data");
    core_set(&draft.core, CORE_OBJECT_TYPE, r->object_type);
    KS_TRY(attr_new(ctx, &r->attributes, &draft));
    KS_TRY(derived_length(ctx, &draft.core, secret, &d.len));
    const struct profile_what what = profile_facts(&draft);
    if (!secret)
        KS_TRY(profile_check(ctx, PROFILE_MAKE, &what));
    KS_TRY(derive(ctx, &d));
    stay_secret(&d, &draft);
    core_set(&draft.core, CORE_KEY_FORMAT_TYPE, secret ? KMIP_KEY_FORMAT_TYPE_OPAQUE : KMIP_KEY_FORMAT_TYPE_RAW);
    if (secret)
        core_set(&draft.core, CORE_SECRET_DATA_TYPE, KMIP_SECRET_DATA_TYPE_SEED);
    for (size_t i = 0; i < d.n_bases; i++)
        if (!d.base[i]->of_session || p11_makes(ctx->p11, r->object_type))
            KS_TRY(attr_link_add(ctx, &draft, KMIP_LINK_TYPE_DERIVATION_BASE_OBJECT_LINK, object_uid(d.base[i])));
    KS_TRY(material_put(ctx, &draft, MATERIAL_BYTES, KS_SPAN(d.ret, d.len)));
    KS_TRY(op_new_object(ctx, ctx->client, &draft, true, &object));
    KS_TRY(inherit_history(ctx, &d, object));
    KS_TRY(finish_bases(ctx, &d, object));
    engine_note(ctx, "derived from %s", d.base[0]->uid);
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_DERIVE_KEY, object_uid(object));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}
