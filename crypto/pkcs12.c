#include "crypto/pkcs12.h"

#include <openssl/err.h>
#include <openssl/pkcs12.h>

#include "crypto/x509.h"

enum { PASSWORD_MOST = 1024, CONTAINER_MOST = 1 << 20 };

static inline void
certs_freep(STACK_OF(X509) * *certs)
{
    sk_X509_pop_free(*certs, X509_free);
}

/* The password as text that ends in NUL; in memory that is wiped. */
static int
password_text(struct ks_span password, struct ks_buf *ret, struct ks_diag *diag)
{
    if (password.len == 0 || password.len > PASSWORD_MOST || memchr(password.data, 0, password.len) != NULL)
        return ks_fail(diag, KS_E_INVALID, "PKCS#12: a password has 1 to %d bytes and no NUL", PASSWORD_MOST);
    ks_buf_add_span(ret, password);
    return ks_buf_add_u8(ret, 0) == 0 ? 0 : ks_fail(diag, ret->err, "PKCS#12: no memory for the password");
}

int
ks_pkcs12_make(const struct ks_pkey *key, const struct ks_span *certs, size_t n_certs, const char *friendly,
               struct ks_span password, struct ks_buf *ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(PASSWORD_MOST + 1);
    KS_CLEANUP(X509_freep) X509 *own = NULL;
    KS_CLEANUP(certs_freep) STACK_OF(X509) *others = sk_X509_new_null();
    KS_TRY(password_text(password, &text, diag));
    if (others == NULL)
        return ks_ossl_fail(diag, KS_E_NOMEM, "PKCS#12");
    for (size_t i = 0; i < n_certs; i++) {
        X509 *cert = NULL;
        KS_TRY(ks_x509_parse(certs[i], &cert, diag));
        if (i == 0) {
            own = cert;
        } else if (sk_X509_push(others, cert) <= 0) {
            X509_free(cert);
            return ks_ossl_fail(diag, KS_E_NOMEM, "PKCS#12");
        }
    }
    if (own != NULL && X509_check_private_key(own, key->pkey) != 1)
        return ks_ossl_fail(diag, KS_E_INVALID, "PKCS#12: the certificate is not one of the private key");
    KS_CLEANUP(PKCS12_freep)
    PKCS12 *container = PKCS12_create((const char *)text.data, friendly, key->pkey, own, others, NID_aes_256_cbc,
                                      NID_aes_256_cbc, PKCS12_DEFAULT_ITER, PKCS12_DEFAULT_ITER, 0);
    if (container == NULL)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "PKCS#12: making the container");
    unsigned char *der = NULL;
    const int len = i2d_PKCS12(container, &der);
    if (len <= 0)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "PKCS#12: writing the container");
    const int rc = ks_buf_add(ret, der, (size_t)len);
    OPENSSL_free(der);
    return rc == 0 ? 0 : ks_fail(diag, rc, "no room for a PKCS#12 container of %d bytes", len);
}

/* ---- Reading ---- */

/*
 * A container says itself how much work opening it is, so all that it asks for is counted before it is done: one for
 * each iteration of a key derivation, for each block of its output.
 */
struct opening {
    const char *password;
    int64_t left; /* iterations */
    EVP_PKEY *pkey;
    struct ks_diag *diag;
};

static int
spend(struct opening *o, int64_t iterations)
{
    if (iterations < 1)
        return ks_fail(o->diag, KS_E_MALFORMED, "the PKCS#12 container has a count of iterations that is none");
    if (iterations > o->left)
        return ks_fail(o->diag, KS_E_LIMIT,
                       "the PKCS#12 container asks for more than %d iterations of key derivation; export it anew with "
                       "fewer",
                       KS_PKCS12_ITERATIONS_MOST);
    o->left -= iterations;
    return 0;
}

/* From 1 to the most, or one more than that. */
static int64_t
bounded(const ASN1_INTEGER *number)
{
    int64_t n = 0;
    if (number == NULL)
        return 1;
    if (ASN1_INTEGER_get_int64(&n, number) != 1 || n > KS_PKCS12_ITERATIONS_MOST)
        return ASN1_STRING_type(number) == V_ASN1_NEG_INTEGER ? 0 : (int64_t)KS_PKCS12_ITERATIONS_MOST + 1;
    return n;
}

static const ASN1_OBJECT *
algorithm_of(const X509_ALGOR *algorithm, const ASN1_STRING **ret_parameters)
{
    const ASN1_OBJECT *oid = NULL;
    const void *value = NULL;
    int type = V_ASN1_UNDEF;
    *ret_parameters = NULL;
    if (algorithm != NULL)
        X509_ALGOR_get0(&oid, &type, &value, algorithm);
    if (type == V_ASN1_SEQUENCE)
        *ret_parameters = value;
    return oid;
}

#define PARSE(type, string)                                                                                            \
    d2i_##type(NULL, &(const unsigned char *){ASN1_STRING_get0_data(string)}, ASN1_STRING_length(string))

static int
spend_pbes2(struct opening *o, const ASN1_STRING *parameters)
{
    enum { BLOCKS = 2 }; /* of SHA-1, for a key of 32 bytes */
    const ASN1_STRING *inner;
    KS_CLEANUP(PBE2PARAM_freep) PBE2PARAM *scheme = PARSE(PBE2PARAM, parameters);
    if (scheme == NULL)
        return ks_ossl_fail(o->diag, KS_E_MALFORMED, "PKCS#12: parameters of PBES2");
    const int nid = OBJ_obj2nid(algorithm_of(scheme->keyfunc, &inner));
    if (inner == NULL || nid != NID_id_pbkdf2)
        return ks_fail(o->diag, KS_E_UNSUPPORTED, "PKCS#12: a key derivation that is not PBKDF2");
    KS_CLEANUP(PBKDF2PARAM_freep) PBKDF2PARAM *p = PARSE(PBKDF2PARAM, inner);
    return p != NULL ? spend(o, BLOCKS * bounded(p->iter))
                     : ks_ossl_fail(o->diag, KS_E_MALFORMED, "PKCS#12: parameters of PBKDF2");
}

/* What decrypting with that algorithm takes. */
static int
spend_encryption(struct opening *o, const X509_ALGOR *algorithm)
{
    const ASN1_STRING *parameters;
    const ASN1_OBJECT *oid = algorithm_of(algorithm, &parameters);
    if (oid == NULL || parameters == NULL)
        return ks_fail(o->diag, KS_E_MALFORMED, "PKCS#12: an encryption without parameters");
    if (OBJ_obj2nid(oid) == NID_pbes2)
        return spend_pbes2(o, parameters);
    KS_CLEANUP(PBEPARAM_freep) PBEPARAM *p = PARSE(PBEPARAM, parameters);
    return p != NULL ? spend(o, bounded(p->iter)) : ks_ossl_fail(o->diag, KS_E_MALFORMED, "PKCS#12: parameters of PBE");
}

static int
check_mac(struct opening *o, PKCS12 *container)
{
    const ASN1_INTEGER *iterations = NULL;
    const ASN1_OBJECT *oid = NULL;
    const X509_ALGOR *algorithm = NULL;
    if (PKCS12_mac_present(container) != 1)
        return ks_fail(o->diag, KS_E_UNSUPPORTED, "the PKCS#12 container has no MAC: nothing shows that it is whole");
    PKCS12_get0_mac(NULL, &algorithm, NULL, &iterations, container);
    X509_ALGOR_get0(&oid, NULL, NULL, algorithm);
    if (EVP_get_digestbyobj(oid) == NULL)
        return ks_fail(o->diag, KS_E_UNSUPPORTED, "PKCS#12: a MAC that is no HMAC");
    KS_TRY(spend(o, bounded(iterations)));
    if (PKCS12_verify_mac(container, o->password, -1) != 1)
        return ks_ossl_fail(o->diag, KS_E_INTEGRITY,
                            "the PKCS#12 container does not open: another password, or changed bytes");
    return 0;
}

static int
take_key(struct opening *o, const PKCS8_PRIV_KEY_INFO *info)
{
    if (info == NULL)
        return ks_ossl_fail(o->diag, KS_E_INTEGRITY,
                            "the key in the PKCS#12 container does not open: another password, or changed bytes");
    o->pkey = EVP_PKCS82PKEY(info);
    return o->pkey != NULL ? 0 : ks_ossl_fail(o->diag, KS_E_UNSUPPORTED, "the key in the PKCS#12 container");
}

static int look_into_bags(struct opening *o, const STACK_OF(PKCS12_SAFEBAG) * bags, unsigned depth);

static int
look_into_bag(struct opening *o, const PKCS12_SAFEBAG *bag, unsigned depth)
{
    const X509_ALGOR *algorithm = NULL;
    switch (PKCS12_SAFEBAG_get_nid(bag)) {
    case NID_keyBag:
        return take_key(o, PKCS12_SAFEBAG_get0_p8inf(bag));
    case NID_pkcs8ShroudedKeyBag: {
        X509_SIG_get0(PKCS12_SAFEBAG_get0_pkcs8(bag), &algorithm, NULL);
        KS_TRY(spend_encryption(o, algorithm));
        PKCS8_PRIV_KEY_INFO *info = PKCS12_decrypt_skey(bag, o->password, -1);
        const int rc = take_key(o, info);
        PKCS8_PRIV_KEY_INFO_free(info);
        return rc;
    }
    case NID_safeContentsBag:
        return look_into_bags(o, PKCS12_SAFEBAG_get0_safes(bag), depth + 1);
    default:
        return 0; /* certificates and the like */
    }
}

static int
look_into_bags(struct opening *o, const STACK_OF(PKCS12_SAFEBAG) * bags, unsigned depth)
{
    enum { DEPTH_MOST = 4 };
    if (depth > DEPTH_MOST)
        return ks_fail(o->diag, KS_E_LIMIT, "the PKCS#12 container has bags in bags, more than %d deep", DEPTH_MOST);
    for (int i = 0; i < sk_PKCS12_SAFEBAG_num(bags) && o->pkey == NULL; i++)
        KS_TRY(look_into_bag(o, sk_PKCS12_SAFEBAG_value(bags, i), depth));
    return 0;
}

static inline void
bags_freep(STACK_OF(PKCS12_SAFEBAG) * *bags)
{
    sk_PKCS12_SAFEBAG_pop_free(*bags, PKCS12_SAFEBAG_free);
}

static inline void
safes_freep(STACK_OF(PKCS7) * *safes)
{
    sk_PKCS7_pop_free(*safes, PKCS7_free);
}

static int
look_into_safe(struct opening *o, PKCS7 *safe)
{
    KS_CLEANUP(bags_freep) STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
    if (PKCS7_type_is_data(safe)) {
        bags = PKCS12_unpack_p7data(safe);
    } else if (PKCS7_type_is_encrypted(safe)) {
        if (safe->d.encrypted == NULL || safe->d.encrypted->enc_data == NULL)
            return ks_fail(o->diag, KS_E_MALFORMED, "PKCS#12: a part that is encrypted and empty");
        KS_TRY(spend_encryption(o, safe->d.encrypted->enc_data->algorithm));
        bags = PKCS12_unpack_p7encdata(safe, o->password, -1);
    } else {
        return 0;
    }
    return bags != NULL ? look_into_bags(o, bags, 0)
                        : ks_ossl_fail(o->diag, KS_E_INTEGRITY, "a part of the PKCS#12 container does not open");
}

int
ks_pkcs12_key(struct ks_span container, struct ks_span password, struct ks_pkey **ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(PASSWORD_MOST + 1);
    KS_TRY(password_text(password, &text, diag));
    if (container.len == 0 || container.len > CONTAINER_MOST)
        return ks_fail(diag, KS_E_LIMIT, "a PKCS#12 container of %zu bytes", container.len);
    const unsigned char *at = container.data;
    KS_CLEANUP(PKCS12_freep) PKCS12 *parsed = d2i_PKCS12(NULL, &at, (long)container.len);
    if (parsed == NULL || at != container.data + container.len)
        return ks_ossl_fail(diag, KS_E_MALFORMED, "this is no PKCS#12 container");
    struct opening o = {.password = (const char *)text.data, .left = KS_PKCS12_ITERATIONS_MOST, .diag = diag};
    KS_TRY(check_mac(&o, parsed));
    KS_CLEANUP(safes_freep) STACK_OF(PKCS7) *safes = PKCS12_unpack_authsafes(parsed);
    if (safes == NULL)
        return ks_ossl_fail(diag, KS_E_MALFORMED, "the PKCS#12 container has nothing in it");
    for (int i = 0; i < sk_PKCS7_num(safes) && o.pkey == NULL; i++)
        KS_TRY(look_into_safe(&o, sk_PKCS7_value(safes, i)));
    if (o.pkey == NULL)
        return ks_fail(diag, KS_E_NOT_FOUND, "the PKCS#12 container has no private key in it");
    ERR_clear_error();
    return ks_pkey_take(o.pkey, true, ret, diag);
}
