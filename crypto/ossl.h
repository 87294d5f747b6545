/*
 * Inside crypto/ only: fetched algorithms, errors of libcrypto, cleanup of its objects.
 */
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base/err.h"
#include "base/mem.h"

enum ks_ossl {
#define FETCH(kind, id, name) KS_OSSL_##kind##_##id,
#include "crypto/ossl.def"
#undef FETCH
    KS_OSSL_COUNT
};

/* The fetched algorithm, or NULL where the provider has none (FIPS) or memory is out; the error queue is clear. */
const EVP_MD *ks_ossl_md(enum ks_ossl id);
EVP_MAC *ks_ossl_mac(enum ks_ossl id);
EVP_KDF *ks_ossl_kdf(enum ks_ossl id);
const EVP_CIPHER *ks_ossl_cipher(enum ks_ossl id);

/* OpenSSL's name of it. */
const char *ks_ossl_name(enum ks_ossl id);

/* As ks_ossl_md for a KMIP Hashing Algorithm; reports KS_E_UNSUPPORTED. */
int ks_ossl_hash(uint32_t hash, const EVP_MD **ret, struct ks_diag *diag) KS_MUST_CHECK;

/* The same, and the weak ones too. */
int ks_ossl_hash_any(uint32_t hash, const EVP_MD **ret, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * Reports a failure of libcrypto as code: the formatted text (which names algorithm and step) and the library's
 * reason. Clears the error queue. Out of memory inside the library becomes KS_E_NOMEM.
 */
int ks_ossl_fail(struct ks_diag *diag, int code, const char *fmt, ...) KS_PRINTF(3, 4);
#ifdef __clang_analyzer__
#define ks_ossl_fail(...) ks_fail_not_zero(ks_ossl_fail(__VA_ARGS__))
#endif

/* Takes back what was appended to buf since it was len long, wiped; returns rc. */
int ks_ossl_undo(struct ks_buf *buf, size_t len, int rc);

/* Parameters of a call, one line each. OSSL_PARAM's pointers are not const, but libcrypto only reads these. */
enum { KS_OSSL_MOST_PARAMS = 12 };
struct ks_ossl_params {
    OSSL_PARAM p[KS_OSSL_MOST_PARAMS + 1];
    size_t n;
};

static inline void *
ks_ossl_unconst(const void *p)
{
    union {
        const void *from;
        void *to;
    } u = {.from = p};
    return u.to;
}

static inline void
ks_ossl_put_text(struct ks_ossl_params *ps, const char *key, const char *value)
{
    ps->p[ps->n++] = OSSL_PARAM_construct_utf8_string(key, ks_ossl_unconst(value), 0);
}

static inline void
ks_ossl_put_bytes(struct ks_ossl_params *ps, const char *key, struct ks_span value)
{
    /* OpenSSL takes a NULL pointer for "not set", also where empty is meant. */
    ps->p[ps->n++] = OSSL_PARAM_construct_octet_string(
        key, ks_ossl_unconst(value.len != 0 ? value.data : (const uint8_t *)""), value.len);
}

static inline void
ks_ossl_put_int(struct ks_ossl_params *ps, const char *key, int *value)
{
    ps->p[ps->n++] = OSSL_PARAM_construct_int(key, value);
}

static inline const OSSL_PARAM *
ks_ossl_params_end(struct ks_ossl_params *ps)
{
    ps->p[ps->n] = OSSL_PARAM_construct_end();
    return ps->p;
}

#define KS_OSSL_CLEANUP(type, fn)                                                                                      \
    static inline void fn##p(type **p)                                                                                 \
    {                                                                                                                  \
        fn(*p);                                                                                                        \
    }
KS_OSSL_CLEANUP(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)
KS_OSSL_CLEANUP(EVP_MD_CTX, EVP_MD_CTX_free)
KS_OSSL_CLEANUP(EVP_MAC_CTX, EVP_MAC_CTX_free)
KS_OSSL_CLEANUP(EVP_KDF_CTX, EVP_KDF_CTX_free)
KS_OSSL_CLEANUP(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
KS_OSSL_CLEANUP(EVP_PKEY, EVP_PKEY_free)
KS_OSSL_CLEANUP(BIO, BIO_free_all)
KS_OSSL_CLEANUP(BIGNUM, BN_clear_free)
KS_OSSL_CLEANUP(BN_CTX, BN_CTX_free)
