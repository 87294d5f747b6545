#include "crypto/ossl.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "crypto/crypto.h"

#undef ks_ossl_fail /* the analyzer's version is for callers */

enum kind { MD, MAC, KDF, CIPHER };

static const struct {
    enum kind kind;
    const char *name;
} rows[KS_OSSL_COUNT] = {
#define FETCH(kind, id, name) {kind, name},
#include "crypto/ossl.def"
#undef FETCH
};

/* Filled at first use, emptied by ks_crypto_done. */
static _Atomic(void *) fetched[KS_OSSL_COUNT];

static void *
fetch(enum ks_ossl id)
{
    switch (rows[id].kind) {
    case MD:
        return EVP_MD_fetch(NULL, rows[id].name, NULL);
    case MAC:
        return EVP_MAC_fetch(NULL, rows[id].name, NULL);
    case KDF:
        return EVP_KDF_fetch(NULL, rows[id].name, NULL);
    case CIPHER:
        return EVP_CIPHER_fetch(NULL, rows[id].name, NULL);
    }
    return NULL;
}

static void
release(enum ks_ossl id, void *p)
{
    switch (rows[id].kind) {
    case MD:
        EVP_MD_free(p);
        break;
    case MAC:
        EVP_MAC_free(p);
        break;
    case KDF:
        EVP_KDF_free(p);
        break;
    case CIPHER:
        EVP_CIPHER_free(p);
        break;
    }
}

static void *
get(enum ks_ossl id)
{
    void *p = atomic_load_explicit(&fetched[id], memory_order_acquire);
    if (p != NULL)
        return p;
    void *mine = fetch(id);
    if (mine == NULL) {
        ERR_clear_error();
        return NULL;
    }
    /* Two threads may fetch at once: the first one stays. */
    if (atomic_compare_exchange_strong(&fetched[id], &p, mine))
        return mine;
    release(id, mine);
    return p;
}

const EVP_MD *
ks_ossl_md(enum ks_ossl id)
{
    return get(id);
}

EVP_MAC *
ks_ossl_mac(enum ks_ossl id)
{
    return get(id);
}

EVP_KDF *
ks_ossl_kdf(enum ks_ossl id)
{
    return get(id);
}

const EVP_CIPHER *
ks_ossl_cipher(enum ks_ossl id)
{
    return get(id);
}

const char *
ks_ossl_name(enum ks_ossl id)
{
    return rows[id].name;
}

int
ks_ossl_fail(struct ks_diag *diag, int code, const char *fmt, ...)
{
    const unsigned long err = ERR_peek_last_error();
    char what[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args); /* NOLINT(clang-analyzer-valist.Uninitialized): started just above */
    va_end(args);
    if (ERR_GET_REASON(err) == ERR_R_MALLOC_FAILURE)
        code = KS_E_NOMEM;
    const char *reason = ERR_reason_error_string(err);
    ks_fail(diag, code, "%s%s%s", what, reason != NULL ? ": " : "", reason != NULL ? reason : "");
    ERR_clear_error();
    return code;
}

int
ks_ossl_undo(struct ks_buf *buf, size_t len, int rc)
{
    if (buf->data != NULL)
        ks_wipe(buf->data + len, buf->cap - len);
    buf->len = len;
    return rc;
}

int
ks_crypto_init(struct ks_diag *diag)
{
    static const enum ks_ossl needed[] = {
        KS_OSSL_MD_SHA2_256, KS_OSSL_MAC_HMAC,           KS_OSSL_KDF_KBKDF,
        KS_OSSL_KDF_SCRYPT,  KS_OSSL_CIPHER_AES_256_GCM, KS_OSSL_CIPHER_AES_256_WRAP_PAD,
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(needed); i++)
        if (get(needed[i]) == NULL)
            return ks_fail(diag, KS_E_CRYPTO,
                           "OpenSSL does not offer %s; check the providers that its configuration file activates",
                           rows[needed[i]].name);
    return 0;
}

void
ks_crypto_done(void)
{
    for (int i = 0; i < KS_OSSL_COUNT; i++) {
        void *p = atomic_exchange(&fetched[i], NULL);
        if (p != NULL)
            release((enum ks_ossl)i, p);
    }
}
