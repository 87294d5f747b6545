/* Certificates that somebody asks for (crypto/cert.h: ks_cert_certify). */
#include <keystead/kmip.h>
#include <openssl/err.h>
#include <openssl/objects.h>

#include "crypto/x509.h"

enum { RSA_LEAST = 2048, NAMES_MOST = 1000, URI_MOST = 2048, VERSION_3 = 2, REQUEST_MOST = 1 << 16 };

static inline void
extensions_freep(STACK_OF(X509_EXTENSION) * *extensions)
{
    sk_X509_EXTENSION_pop_free(*extensions, X509_EXTENSION_free);
}

static int
no_memory(struct ks_diag *diag)
{
    return ks_ossl_fail(diag, KS_E_NOMEM, "no memory for a certificate");
}

/* Subject and alternative names that are wished for, from wherever they are. */
struct wishes {
    X509_NAME *subject;
    GENERAL_NAMES *names;
};

static void
wishes_done(struct wishes *w)
{
    X509_NAME_free(w->subject);
    GENERAL_NAMES_free(w->names);
}

static int
wishes_of_request(struct ks_span der, struct wishes *w, struct ks_diag *diag)
{
    if (der.len > REQUEST_MOST)
        return ks_fail(diag, KS_E_LIMIT, "a certificate request of %zu bytes", der.len);
    const unsigned char *at = der.data;
    KS_CLEANUP(X509_REQ_freep) X509_REQ *request = d2i_X509_REQ(NULL, &at, (long)der.len);
    if (request == NULL)
        return ks_ossl_fail(diag, KS_E_MALFORMED, "this is no certificate request (PKCS#10)");
    w->subject = X509_NAME_dup(X509_REQ_get_subject_name(request));
    KS_CLEANUP(extensions_freep) STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(request);
    if (extensions != NULL)
        w->names = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
    ERR_clear_error(); /* of extensions that are not there */
    return w->subject != NULL ? 0 : no_memory(diag);
}

static int
wishes_of_certificate(struct ks_span der, struct wishes *w, struct ks_diag *diag)
{
    KS_CLEANUP(X509_freep) X509 *cert = NULL;
    KS_TRY(ks_x509_parse(der, &cert, diag));
    w->subject = X509_NAME_dup(X509_get_subject_name(cert));
    w->names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    ERR_clear_error();
    return w->subject != NULL ? 0 : no_memory(diag);
}

static int
wishes_of_parts(const struct ks_cert_wish *what, struct wishes *w, struct ks_diag *diag)
{
    w->subject = X509_NAME_new();
    if (w->subject == NULL)
        return no_memory(diag);
    for (size_t i = 0; i < what->n_subject; i++) {
        const int nid = OBJ_txt2nid(what->subject[i].type);
        if (nid == NID_undef)
            return ks_fail(diag, KS_E_INVALID, "certificate: no part of a name is called %s", what->subject[i].type);
        KS_TRY(ks_x509_add_name(w->subject, nid, what->subject[i].type, what->subject[i].value, diag));
    }
    return 0;
}

/* Whether an alternative name is one that may stand in a certificate of ours. */
static bool
is_fit(const GENERAL_NAME *name)
{
    char text[256];
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    if (type != GEN_DNS && type != GEN_IPADD && type != GEN_EMAIL && type != GEN_URI)
        return false;
    const uint8_t *data = ASN1_STRING_get0_data(value);
    const size_t len = (size_t)ASN1_STRING_length(value);
    if (type == GEN_IPADD)
        return len == 4 || len == 16;
    for (size_t i = 0; i < len; i++)
        if (data[i] <= 0x20 || data[i] >= 0x7f)
            return false;
    if (type != GEN_DNS)
        return len != 0 && len <= URI_MOST;
    if (len >= sizeof(text))
        return false;
    if (len != 0)
        memcpy(text, data, len);
    text[len] = '\0';
    return ks_x509_is_dns_name(text);
}

static int
add_names(X509 *cert, struct wishes *w, struct ks_diag *diag)
{
    const int n = w->names != NULL ? sk_GENERAL_NAME_num(w->names) : 0;
    if (n > NAMES_MOST)
        return ks_fail(diag, KS_E_LIMIT, "a certificate request with %d alternative names; %d at most", n, NAMES_MOST);
    for (int i = n - 1; i >= 0; i--)
        if (!is_fit(sk_GENERAL_NAME_value(w->names, i)))
            GENERAL_NAME_free(sk_GENERAL_NAME_delete(w->names, i));
    const bool some = w->names != NULL && sk_GENERAL_NAME_num(w->names) > 0;
    const bool anonymous = X509_NAME_entry_count(w->subject) == 0;
    if (anonymous && !some)
        return ks_fail(diag, KS_E_INVALID, "certificate: neither a subject nor an alternative name is asked for");
    /* Critical where it is the only name (RFC 5280, 4.2.1.6). */
    if (some && X509_add1_ext_i2d(cert, NID_subject_alt_name, w->names, anonymous, X509V3_ADD_DEFAULT) != 1)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "certificate: the alternative names");
    return 0;
}

/* Key Usage: bits of RFC 5280, 4.2.1.3, by KMIP's mask and by what the kind of key can do. */
static int
add_usage(X509 *cert, const struct ks_cert_wish *what, struct ks_diag *diag)
{
    enum { SIGN = 0, COMMIT = 1, ENCIPHER_KEY = 2, ENCIPHER_DATA = 3, AGREE = 4 };
    static const struct {
        uint32_t mask;
        int bit;
    } rows[] = {
        {KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN | KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY, SIGN},
        {KMIP_CRYPTOGRAPHIC_USAGE_MASK_CONTENT_COMMITMENT, COMMIT},
        {KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY | KMIP_CRYPTOGRAPHIC_USAGE_MASK_UNWRAP_KEY, ENCIPHER_KEY},
        {KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT, ENCIPHER_DATA},
        {KMIP_CRYPTOGRAPHIC_USAGE_MASK_KEY_AGREEMENT, AGREE},
    };
    const struct ks_pkey *key = what->key;
    const bool rsa = key->info.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA;
    const bool agree_only =
        key->curve != NULL && key->curve->group == NULL && key->info.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC;
    const bool kem = key->pq != NULL && key->pq->kind == KS_PQ_KEM; /* RFC 9935: keyEncipherment and nothing else */
    ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
    bool ok = bits != NULL, some = false;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows) && ok; i++) {
        const bool enciphers = rows[i].bit == ENCIPHER_KEY || rows[i].bit == ENCIPHER_DATA;
        if ((what->usage & rows[i].mask) == 0 || (enciphers && !rsa) || (agree_only && rows[i].bit != AGREE) || kem)
            continue;
        some = true;
        ok = ASN1_BIT_STRING_set_bit(bits, rows[i].bit, 1) == 1;
    }
    if (ok && !some) {
        ok = ASN1_BIT_STRING_set_bit(bits, agree_only ? AGREE : kem ? ENCIPHER_KEY : SIGN, 1) == 1;
        if (ok && rsa)
            ok = ASN1_BIT_STRING_set_bit(bits, ENCIPHER_KEY, 1) == 1;
    }
    ok = ok && X509_add1_ext_i2d(cert, NID_key_usage, bits, 1, X509V3_ADD_DEFAULT) == 1;
    ASN1_BIT_STRING_free(bits);
    return ok ? 0 : ks_ossl_fail(diag, KS_E_CRYPTO, "certificate: the key usage");
}

static int
check_ca(X509 *ca, const struct ks_pkey *ca_key, const struct ks_cert_wish *what, struct ks_diag *diag)
{
    KS_TRY(ks_x509_check_signer(ca_key, diag));
    if (X509_check_private_key(ca, ca_key->pkey) != 1)
        return ks_ossl_fail(diag, KS_E_INVALID, "the key does not belong to the CA certificate");
    if (X509_check_ca(ca) != 1 || (X509_get_key_usage(ca) & KU_KEY_CERT_SIGN) == 0)
        return ks_ossl_fail(diag, KS_E_INVALID, "the issuer's certificate is not a CA's");
    if (ks_pkey_is_ffc(what->key))
        return ks_fail(diag, KS_E_INVALID, "keys of type %s are not certified", ks_pkey_text(what->key));
    if (what->key->info.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA && what->key->info.bits < RSA_LEAST)
        return ks_fail(diag, KS_E_INVALID, "RSA keys of less than %d bits are not certified", RSA_LEAST);
    return 0;
}

int
ks_cert_certify(struct ks_span ca_cert, const struct ks_pkey *ca_key, const struct ks_cert_wish *what,
                struct ks_buf *ret, struct ks_diag *diag)
{
    KS_CLEANUP(X509_freep) X509 *ca = NULL;
    KS_CLEANUP(X509_freep) X509 *cert = X509_new();
    KS_CLEANUP(wishes_done) struct wishes w = {0};
    KS_TRY(ks_x509_parse(ca_cert, &ca, diag));
    KS_TRY(check_ca(ca, ca_key, what, diag));
    KS_TRY(what->request.len != 0       ? wishes_of_request(what->request, &w, diag)
           : what->certificate.len != 0 ? wishes_of_certificate(what->certificate, &w, diag)
                                        : wishes_of_parts(what, &w, diag));
    if (cert == NULL || X509_set_version(cert, VERSION_3) != 1 || X509_set_subject_name(cert, w.subject) != 1 ||
        X509_set_issuer_name(cert, X509_get_subject_name(ca)) != 1)
        return no_memory(diag);
    KS_TRY(ks_x509_set_serial(cert, diag));
    KS_TRY(ks_x509_set_validity(cert, what->not_before, what->not_after, diag));
    if (X509_set_pubkey(cert, what->key->pkey) != 1)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "certificate: setting the public key");
    KS_TRY(ks_x509_add_extension(cert, ca, NID_basic_constraints, "critical,CA:FALSE", diag));
    KS_TRY(add_usage(cert, what, diag));
    KS_TRY(ks_x509_add_extension(cert, ca, NID_subject_key_identifier, "hash", diag));
    KS_TRY(ks_x509_add_extension(cert, ca, NID_authority_key_identifier, "keyid", diag));
    KS_TRY(add_names(cert, &w, diag));
    return ks_x509_sign(cert, ca_key, ret, diag);
}
