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

/* Revocation */

/* While a path is verified; the one thing that is the path's and not libcrypto's. */
struct judging {
    int64_t at;
    STACK_OF(X509_CRL) * crls;
    bool undetermined; /* a list can not be relied on */
};

/* When the certificate of that entry was worth nothing any more: since it was known to be bad, if the list says. */
static int
is_revoked_at(X509_REVOKED *entry, time_t when)
{
    ASN1_GENERALIZEDTIME *since = X509_REVOKED_get_ext_d2i(entry, NID_invalidity_date, NULL, NULL);
    const ASN1_TIME *listed = X509_REVOKED_get0_revocationDate(entry);
    const int known = since != NULL ? X509_cmp_time(since, &when) : 1;
    const int revoked = X509_cmp_time(listed, &when);
    ASN1_GENERALIZEDTIME_free(since);
    return known <= 0 || revoked <= 0; /* one that cannot be read (0) counts as past */
}

/* A certificate that was revoked after the time in question was good then. libcrypto does not always say by which list:
 * any of the issuer will do. */
static bool
was_revoked(X509_STORE_CTX *ctx, const struct judging *judging)
{
    X509 *cert = X509_STORE_CTX_get_current_cert(ctx);
    bool later = false;
    for (int i = 0; cert != NULL && i < sk_X509_CRL_num(judging->crls); i++) {
        X509_CRL *crl = sk_X509_CRL_value(judging->crls, i);
        X509_REVOKED *entry = NULL;
        if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_issuer_name(cert)) != 0 ||
            X509_CRL_get0_by_cert(crl, &entry, cert) != 1)
            continue;
        if (is_revoked_at(entry, (time_t)judging->at))
            return true;
        later = true;
    }
    return !later;
}

/* libcrypto's question what to do about an error: 1 goes on. */
static int
on_error(int ok, X509_STORE_CTX *ctx)
{
    struct judging *judging = X509_STORE_CTX_get_app_data(ctx);
    if (ok == 1)
        return 1;
    switch (X509_STORE_CTX_get_error(ctx)) {
    case X509_V_ERR_UNABLE_TO_GET_CRL: /* the issuer has none */
    case X509_V_ERR_CRL_NOT_YET_VALID: /* newer than the time in question: the dates of its entries tell */
        break;
    case X509_V_ERR_CERT_REVOKED:
        if (was_revoked(ctx, judging))
            return 0;
        break;
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
    case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
    case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
        judging->undetermined = true;
        break;
    default:
        return 0;
    }
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

/* The whole */

static void
borrowed_freep(STACK_OF(X509) * *certs)
{
    sk_X509_free(*certs);
}

/* Those of both, owned by neither. */
static int
all_anchors(const struct ks_trust *trust, STACK_OF(X509) * more, STACK_OF(X509) * *ret, struct ks_diag *diag)
{
    KS_CLEANUP(borrowed_freep) STACK_OF(X509) *all = sk_X509_dup(more);
    for (int i = 0; all != NULL && trust != NULL && i < sk_X509_num(trust->anchors); i++)
        if (sk_X509_push(all, sk_X509_value(trust->anchors, i)) <= 0)
            return no_memory(diag);
    if (all == NULL)
        return no_memory(diag);
    *ret = all;
    all = NULL; /* transferred */
    return 0;
}

static int
set_up(X509_STORE_CTX *ctx, const struct ks_cert_path *path, STACK_OF(X509) * trusted, struct judging *judging,
       struct ks_diag *diag)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_POLICY_CHECK;
    if (path->trust != NULL && sk_X509_CRL_num(path->trust->crls) != 0) {
        X509_STORE_CTX_set0_crls(ctx, path->trust->crls);
        flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
    }
    X509_STORE_CTX_set0_trusted_stack(ctx, trusted);
    X509_STORE_CTX_set_verify_cb(ctx, on_error);
    if (X509_STORE_CTX_set_app_data(ctx, judging) != 1 || X509_VERIFY_PARAM_set_flags(param, flags) != 1 ||
        (path->tls_client && X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT) != 1))
        return no_memory(diag);
    X509_VERIFY_PARAM_set_time(param, (time_t)path->at);
    X509_VERIFY_PARAM_set_depth(param, DEPTH_MOST);
    X509_VERIFY_PARAM_set_auth_level(param, 1); /* 80 bits: no MD5, no RSA below 1024 */
    return 0;
}

/* The path as far as it came, for what the caller knows of its certificates. */
static int
note_path(STACK_OF(X509) * path, struct ks_cert_verdict *ret, struct ks_diag *diag)
{
    for (int i = 0; i < sk_X509_num(path) && ret->n_path < KS_PATH_MOST; i++, ret->n_path++)
        if (X509_digest(sk_X509_value(path, i), EVP_sha256(), ret->path[ret->n_path], NULL) != 1)
            return no_memory(diag);
    return 0;
}

static int
judge(X509_STORE_CTX *ctx, const struct ks_cert_path *path, STACK_OF(X509) * given, struct ks_cert_verdict *ret,
      struct ks_diag *diag)
{
    const struct judging *judging = X509_STORE_CTX_get_app_data(ctx);
    const int ok = X509_verify_cert(ctx);
    const int error = X509_STORE_CTX_get_error(ctx) != X509_V_OK ? X509_STORE_CTX_get_error(ctx)
                      : ok == 1                                  ? X509_V_OK
                                                                 : X509_V_ERR_UNSPECIFIED;
    ERR_clear_error();
    if (error == X509_V_ERR_OUT_OF_MEM)
        return no_memory(diag);
    STACK_OF(X509) *found = X509_STORE_CTX_get0_chain(ctx);
    const char *why = X509_verify_cert_error_string(error);
    KS_TRY(note_path(found, ret, diag));
    ret->chain = verdict(error);
    if (ret->chain != KS_CHAIN_INVALID && out_of_date(given, (time_t)path->at)) {
        ret->chain = KS_CHAIN_INVALID;
        why = "a certificate is not valid at that time";
    }
    if (ret->chain == KS_CHAIN_VALID && !all_used(given, found)) {
        ret->chain = KS_CHAIN_INVALID;
        why = "a certificate is not part of the chain";
    }
    if (ret->chain == KS_CHAIN_VALID && judging->undetermined) {
        ret->chain = KS_CHAIN_UNKNOWN;
        why = "a list of revoked certificates is out of date at that time, or can not be verified";
    }
    if (ret->chain != KS_CHAIN_VALID)
        (void)ks_fail(diag, KS_E_INVALID, "%s", why);
    return 0;
}

int
ks_cert_validate(const struct ks_cert_path *path, struct ks_cert_verdict *ret, struct ks_diag *diag)
{
    KS_CLEANUP(certs_freep) STACK_OF(X509) *given = NULL;
    KS_CLEANUP(certs_freep) STACK_OF(X509) *more = NULL;
    KS_CLEANUP(borrowed_freep) STACK_OF(X509) *trusted = NULL;
    KS_CLEANUP(X509_STORE_freep) X509_STORE *store = X509_STORE_new();
    KS_CLEANUP(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    struct judging judging = {.at = path->at, .crls = path->trust != NULL ? path->trust->crls : NULL};
    struct ks_cert_verdict found = {.chain = KS_CHAIN_INVALID};
    KS_TRY(read_all(path->chain, path->n_chain, &given, diag));
    KS_TRY(read_all(path->anchors, path->n_anchors, &more, diag));
    KS_TRY(all_anchors(path->trust, more, &trusted, diag));
    if (store == NULL || ctx == NULL)
        return no_memory(diag);
    X509 *end = end_of(given);
    if (end == NULL) {
        (void)ks_fail(diag, KS_E_INVALID, "the certificates are no chain: none, or several, issued no other");
        *ret = found;
        return 0;
    }
    if (X509_STORE_CTX_init(ctx, store, end, given) != 1)
        return no_memory(diag);
    KS_TRY(set_up(ctx, path, trusted, &judging, diag));
    KS_TRY(judge(ctx, path, given, &found, diag));
    *ret = found;
    return 0;
}
