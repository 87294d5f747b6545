/* Path validation (crypto/cert.h: ks_cert_validate). */
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "crypto/x509.h"

enum { DEPTH_MOST = 32 };

static inline void
certs_freep(STACK_OF(X509) * *certs)
{
    sk_X509_pop_free(*certs, X509_free);
}

static int
no_memory(struct ks_diag *diag)
{
    return ks_ossl_fail(diag, KS_E_NOMEM, "no memory for a chain of certificates");
}

static int
read_all(const struct ks_span *ders, size_t n, STACK_OF(X509) * *ret, struct ks_diag *diag)
{
    KS_CLEANUP(certs_freep) STACK_OF(X509) *all = sk_X509_new_null();
    for (size_t i = 0; i < n && all != NULL; i++) {
        X509 *cert = NULL;
        KS_TRY(ks_x509_parse(ders[i], &cert, diag));
        if (sk_X509_push(all, cert) <= 0) {
            X509_free(cert);
            return no_memory(diag);
        }
    }
    if (all == NULL)
        return no_memory(diag);
    *ret = all;
    all = NULL; /* transferred */
    return 0;
}

/* Whether b's name is that of a's issuer. */
static bool
issued(X509 *b, X509 *a)
{
    return X509_NAME_cmp(X509_get_subject_name(b), X509_get_issuer_name(a)) == 0;
}

/* The one that issued none of the others; NULL: there is not exactly one. */
static X509 *
end_of(STACK_OF(X509) * chain)
{
    X509 *end = NULL;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *cert = sk_X509_value(chain, i);
        bool is_issuer = false;
        for (int k = 0; k < sk_X509_num(chain); k++)
            is_issuer = is_issuer || (k != i && issued(cert, sk_X509_value(chain, k)));
        if (is_issuer)
            continue;
        if (end != NULL)
            return NULL;
        end = cert;
    }
    return end;
}

/* Whether every certificate that was handed in is part of the path that was found. */
static bool
all_used(STACK_OF(X509) * chain, STACK_OF(X509) * path)
{
    for (int i = 0; i < sk_X509_num(chain); i++) {
        bool found = false;
        for (int k = 0; k < sk_X509_num(path) && !found; k++)
            found = X509_cmp(sk_X509_value(chain, i), sk_X509_value(path, k)) == 0;
        if (!found)
            return false;
    }
    return true;
}

/* What leads to no trust anchor is unknown, everything else that is wrong is invalid. */
static enum ks_chain
verdict(int error)
{
    switch (error) {
    case X509_V_OK:
        return KS_CHAIN_VALID;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_UNTRUSTED:
        return KS_CHAIN_UNKNOWN;
    default:
        return KS_CHAIN_INVALID;
    }
}

/* A certificate of the chain that is not valid at that time, whether or not the path comes to it. */
static bool
out_of_date(STACK_OF(X509) * chain, time_t when)
{
    for (int i = 0; i < sk_X509_num(chain); i++) {
        const X509 *cert = sk_X509_value(chain, i);
        if (X509_cmp_time(X509_get0_notBefore(cert), &when) >= 0 || X509_cmp_time(X509_get0_notAfter(cert), &when) <= 0)
            return true;
    }
    return false;
}

int
ks_cert_validate(const struct ks_span *chain, size_t n_chain, const struct ks_span *anchors, size_t n_anchors,
                 int64_t at, enum ks_chain *ret, struct ks_diag *diag)
{
    KS_CLEANUP(certs_freep) STACK_OF(X509) *given = NULL;
    KS_CLEANUP(certs_freep) STACK_OF(X509) *trusted = NULL;
    KS_CLEANUP(X509_STORE_freep) X509_STORE *store = X509_STORE_new();
    KS_CLEANUP(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    KS_TRY(read_all(chain, n_chain, &given, diag));
    KS_TRY(read_all(anchors, n_anchors, &trusted, diag));
    if (store == NULL || ctx == NULL)
        return no_memory(diag);
    X509 *end = end_of(given);
    if (end == NULL) {
        (void)ks_fail(diag, KS_E_INVALID, "the certificates are no chain: none, or several, issued no other");
        *ret = KS_CHAIN_INVALID;
        return 0;
    }
    if (X509_STORE_CTX_init(ctx, store, end, given) != 1)
        return no_memory(diag);
    X509_STORE_CTX_set0_trusted_stack(ctx, trusted);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, (time_t)at);
    X509_VERIFY_PARAM_set_depth(param, DEPTH_MOST);
    X509_VERIFY_PARAM_set_auth_level(param, 1); /* 80 bits: no MD5, no RSA below 1024 */
    const int ok = X509_verify_cert(ctx);
    const int error = ok == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
    ERR_clear_error();
    if (error == X509_V_ERR_OUT_OF_MEM)
        return no_memory(diag);
    enum ks_chain found = verdict(error);
    const char *why = X509_verify_cert_error_string(error);
    if (found != KS_CHAIN_INVALID && out_of_date(given, (time_t)at)) {
        found = KS_CHAIN_INVALID;
        why = "a certificate is not valid at that time";
    }
    if (found == KS_CHAIN_VALID && !all_used(given, X509_STORE_CTX_get0_chain(ctx))) {
        found = KS_CHAIN_INVALID;
        why = "a certificate is not part of the chain";
    }
    if (found != KS_CHAIN_VALID)
        (void)ks_fail(diag, KS_E_INVALID, "%s", why);
    *ret = found;
    return 0;
}
