/* Reading certificates and requests (crypto/cert.h). */
#include <arpa/inet.h>
#include <keystead/kmip.h>
#include <openssl/err.h>
#include <stdio.h>
#include <time.h>

#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/x509.h"

enum { CERT_MAX = 1 << 16, NAMES_MAX = 1000, TEXT_MAX = 1 << 16 };

static int
no_memory(struct ks_diag *diag)
{
    return ks_ossl_fail(diag, KS_E_NOMEM, "no memory for what a certificate says");
}

int
ks_x509_parse(struct ks_span der, X509 **ret, struct ks_diag *diag)
{
    if (der.len == 0 || der.len > CERT_MAX)
        return ks_fail(diag, der.len == 0 ? KS_E_MALFORMED : KS_E_LIMIT, "a certificate of %zu bytes", der.len);
    const unsigned char *at = der.data;
    KS_CLEANUP(X509_freep) X509 *cert = d2i_X509(NULL, &at, (long)der.len);
    if (cert == NULL)
        return ks_ossl_fail(diag, KS_E_MALFORMED, "this is no X.509 certificate");
    if (at != der.data + der.len)
        return ks_fail(diag, KS_E_MALFORMED, "%td bytes behind the end of the certificate", der.data + der.len - at);
    *ret = cert;
    cert = NULL; /* transferred */
    return 0;
}

int
ks_cert_request_key(struct ks_span request, struct ks_pkey **ret, struct ks_diag *diag)
{
    if (request.len == 0 || request.len > CERT_MAX)
        return ks_fail(diag, request.len == 0 ? KS_E_MALFORMED : KS_E_LIMIT, "a certificate request of %zu bytes",
                       request.len);
    const unsigned char *at = request.data;
    KS_CLEANUP(X509_REQ_freep) X509_REQ *parsed = d2i_X509_REQ(NULL, &at, (long)request.len);
    if (parsed == NULL)
        return ks_ossl_fail(diag, KS_E_MALFORMED, "this is no certificate request (PKCS#10)");
    if (at != request.data + request.len)
        return ks_fail(diag, KS_E_MALFORMED, "%td bytes behind the end of the certificate request",
                       request.data + request.len - at);
    EVP_PKEY *pkey = X509_REQ_get_pubkey(parsed);
    if (pkey == NULL)
        return ks_ossl_fail(diag, KS_E_UNSUPPORTED, "the key in the certificate request");
    if (X509_REQ_verify(parsed, pkey) != 1) {
        EVP_PKEY_free(pkey);
        return ks_ossl_fail(diag, KS_E_INTEGRITY, "the signature of the certificate request does not verify");
    }
    return ks_pkey_take(pkey, false, ret, diag);
}

int
ks_cert_signed_by(struct ks_span cert, struct ks_span ca, struct ks_diag *diag)
{
    KS_CLEANUP(X509_freep) X509 *subject = NULL;
    KS_CLEANUP(X509_freep) X509 *issuer = NULL;
    KS_TRY(ks_x509_parse(cert, &subject, diag));
    KS_TRY(ks_x509_parse(ca, &issuer, diag));
    EVP_PKEY *key = X509_get0_pubkey(issuer);
    if (X509_check_issued(issuer, subject) != X509_V_OK || key == NULL || X509_verify(subject, key) != 1)
        return ks_ossl_fail(diag, KS_E_INTEGRITY, "the certificate was not issued by that CA");
    return 0;
}

int
ks_cert_fingerprint(struct ks_span der, uint8_t ret[32])
{
    return ks_sha256(&der, 1, ret);
}

static int
copy_text(struct ks_arena *arena, const void *text, size_t len, char **ret, struct ks_diag *diag)
{
    char *copy = ks_arena_dup(arena, text, len);
    if (copy == NULL)
        return no_memory(diag);
    *ret = copy;
    return 0;
}

/* RFC 2253 text; whatever is not printable is escaped, UTF-8 stays. */
static int
name_text(const X509_NAME *name, struct ks_arena *arena, char **ret, struct ks_diag *diag)
{
    KS_CLEANUP(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());
    const unsigned long flags = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
    if (bio == NULL)
        return no_memory(diag);
    if (X509_NAME_print_ex(bio, name, 0, flags) < 0)
        return ks_ossl_fail(diag, KS_E_MALFORMED, "a name in the certificate");
    char *text = NULL;
    const long len = BIO_get_mem_data(bio, &text);
    return copy_text(arena, text, len > 0 ? (size_t)len : 0, ret, diag);
}

static int
common_name(const X509_NAME *name, struct ks_arena *arena, char **ret, struct ks_diag *diag)
{
    int last = -1;
    for (int i = X509_NAME_get_index_by_NID(name, NID_commonName, -1); i >= 0;
         i = X509_NAME_get_index_by_NID(name, NID_commonName, i))
        last = i;
    if (last < 0)
        return copy_text(arena, "", 0, ret, diag);
    unsigned char *utf8 = NULL;
    const int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, last)));
    if (len < 0)
        return ks_ossl_fail(diag, KS_E_MALFORMED, "the certificate's common name");
    int rc;
    /* "admin\0.example" must not be taken for "admin". */
    if (memchr(utf8, 0, (size_t)len) != NULL)
        rc = ks_fail(diag, KS_E_MALFORMED, "a NUL in the certificate's common name");
    else
        rc = copy_text(arena, utf8, (size_t)len, ret, diag);
    OPENSSL_free(utf8);
    return rc;
}

/* "DNS:..." and so on; NULL in *ret for kinds that are left out. */
static int
alternative_name(const GENERAL_NAME *name, struct ks_arena *arena, char **ret, struct ks_diag *diag)
{
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    const char *kind = type == GEN_DNS     ? "DNS:"
                       : type == GEN_URI   ? "URI:"
                       : type == GEN_EMAIL ? "email:"
                       : type == GEN_IPADD ? "IP:"
                                           : NULL;
    *ret = NULL;
    if (kind == NULL)
        return 0;
    const uint8_t *data = ASN1_STRING_get0_data(value);
    const size_t len = (size_t)ASN1_STRING_length(value);
    char address[INET6_ADDRSTRLEN] = "";
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(TEXT_MAX);
    ks_buf_add_str(&text, kind);
    if (type == GEN_IPADD) {
        if ((len != 4 && len != 16) || inet_ntop(len == 4 ? AF_INET : AF_INET6, data, address, sizeof(address)) == NULL)
            return ks_fail(diag, KS_E_MALFORMED, "an IP address of %zu bytes in the certificate", len);
        ks_buf_add_str(&text, address);
    } else {
        for (size_t i = 0; i < len; i++)
            if (data[i] <= 0x20 || data[i] >= 0x7f)
                return ks_fail(diag, KS_E_MALFORMED, "an alternative name in the certificate has byte %#x in it",
                               data[i]);
        ks_buf_add(&text, data, len);
    }
    if (text.err != 0)
        return ks_fail(diag, text.err, "an alternative name of %zu bytes in the certificate", len);
    return copy_text(arena, text.data, text.len, ret, diag);
}

static int
alternative_names(const X509 *cert, struct ks_arena *arena, struct ks_cert_info *info, struct ks_diag *diag)
{
    int critical = -1;
    KS_CLEANUP(GENERAL_NAMES_freep)
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);
    if (names == NULL && critical == -1)
        return 0;
    const int n = names != NULL ? sk_GENERAL_NAME_num(names) : -1;
    if (n < 0 || n > NAMES_MAX)
        return ks_ossl_fail(diag, KS_E_MALFORMED, "the certificate's alternative names");
    info->names = ks_arena_array(arena, (size_t)n, sizeof(*info->names));
    if (info->names == NULL)
        return no_memory(diag);
    for (int i = 0; i < n; i++) {
        KS_TRY(alternative_name(sk_GENERAL_NAME_value(names, i), arena, &info->names[info->n_names], diag));
        info->n_names += info->names[info->n_names] != NULL;
    }
    return 0;
}

/* DER that libcrypto allocated, into the arena. */
static int
take_der(unsigned char *der, int len, struct ks_arena *arena, struct ks_span *ret, struct ks_diag *diag)
{
    if (len <= 0)
        return no_memory(diag);
    const int rc = ks_arena_span(arena, KS_SPAN(der, (size_t)len), ret);
    OPENSSL_free(der);
    return rc == 0 ? 0 : no_memory(diag);
}

/* Alternative names of the subject or the issuer as they stand in the certificate. */
static int
names_der(const X509 *cert, int nid, struct ks_arena *arena, struct ks_span **ret, size_t *ret_n, struct ks_diag *diag)
{
    int critical = -1;
    KS_CLEANUP(GENERAL_NAMES_freep) GENERAL_NAMES *names = X509_get_ext_d2i(cert, nid, &critical, NULL);
    if (names == NULL && critical == -1)
        return 0;
    const int n = names != NULL ? sk_GENERAL_NAME_num(names) : -1;
    if (n < 0 || n > NAMES_MAX)
        return ks_ossl_fail(diag, KS_E_MALFORMED, "the certificate's alternative names");
    struct ks_span *spans = ks_arena_array(arena, (size_t)n, sizeof(*spans));
    if (spans == NULL)
        return no_memory(diag);
    for (int i = 0; i < n; i++) {
        unsigned char *der = NULL;
        const int len = i2d_GENERAL_NAME(sk_GENERAL_NAME_value(names, i), &der);
        KS_TRY(take_der(der, len, arena, &spans[i], diag));
    }
    *ret = spans;
    *ret_n = (size_t)n;
    return 0;
}

static int
to_seconds(const ASN1_TIME *time, int64_t *ret, struct ks_diag *diag)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return ks_ossl_fail(diag, KS_E_MALFORMED, "a date in the certificate");
    *ret = timegm(&tm);
    return 0;
}

static int
serial(const X509 *cert, struct ks_arena *arena, struct ks_cert_info *info, struct ks_diag *diag)
{
    const ASN1_INTEGER *number = X509_get0_serialNumber(cert);
    const size_t len = (size_t)ASN1_STRING_length(number); /* the magnitude */
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(TEXT_MAX);
    if (ASN1_STRING_type(number) == V_ASN1_NEG_INTEGER)
        ks_buf_add_str(&text, "-");
    ks_hex_add(&text, ASN1_STRING_get0_data(number), len);
    if (text.err != 0)
        return ks_fail(diag, text.err, "a serial number of %zu bytes in the certificate", len);
    KS_TRY(copy_text(arena, text.data, text.len, &info->serial, diag));
    unsigned char *der = NULL;
    const int der_len = i2d_ASN1_INTEGER(number, &der);
    return take_der(der, der_len, arena, &info->serial_der, diag);
}

static void
key_info(const X509 *cert, struct ks_cert_info *info)
{
    EVP_PKEY *pkey = X509_get0_pubkey(cert);
    KS_PKEY *key = NULL;
    if (pkey != NULL && EVP_PKEY_up_ref(pkey) == 1 && ks_pkey_take(pkey, false, &key, NULL) == 0)
        ks_pkey_info(key, &info->key);
    ERR_clear_error(); /* of a kind of key that is not offered */
}

/* How the certificate is signed, in KMIP's words. */
static uint32_t
signature_of(const X509 *cert)
{
    static const struct {
        int nid;
        uint32_t algorithm;
    } rows[] = {
        {NID_md2WithRSAEncryption, KMIP_DIGITAL_SIGNATURE_ALGORITHM_MD2_WITH_RSA_ENCRYPTION},
        {NID_md5WithRSAEncryption, KMIP_DIGITAL_SIGNATURE_ALGORITHM_MD5_WITH_RSA_ENCRYPTION},
        {NID_sha1WithRSAEncryption, KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA_1_WITH_RSA_ENCRYPTION},
        {NID_sha224WithRSAEncryption, KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA_224_WITH_RSA_ENCRYPTION},
        {NID_sha256WithRSAEncryption, KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA_256_WITH_RSA_ENCRYPTION},
        {NID_sha384WithRSAEncryption, KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA_384_WITH_RSA_ENCRYPTION},
        {NID_sha512WithRSAEncryption, KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA_512_WITH_RSA_ENCRYPTION},
        {NID_rsassaPss, KMIP_DIGITAL_SIGNATURE_ALGORITHM_RSASSA_PSS},
        {NID_dsaWithSHA1, KMIP_DIGITAL_SIGNATURE_ALGORITHM_DSA_WITH_SHA_1},
        {NID_dsa_with_SHA224, KMIP_DIGITAL_SIGNATURE_ALGORITHM_DSA_WITH_SHA224},
        {NID_dsa_with_SHA256, KMIP_DIGITAL_SIGNATURE_ALGORITHM_DSA_WITH_SHA256},
        {NID_ecdsa_with_SHA1, KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA_1},
        {NID_ecdsa_with_SHA224, KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA224},
        {NID_ecdsa_with_SHA256, KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA256},
        {NID_ecdsa_with_SHA384, KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA384},
        {NID_ecdsa_with_SHA512, KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA512},
        {NID_RSA_SHA3_256, KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA3_256_WITH_RSA_ENCRYPTION},
        {NID_RSA_SHA3_384, KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA3_384_WITH_RSA_ENCRYPTION},
        {NID_RSA_SHA3_512, KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA3_512_WITH_RSA_ENCRYPTION},
    };
    const int nid = X509_get_signature_nid(cert);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].nid == nid)
            return rows[i].algorithm;
    return 0;
}

static int
parse(X509 *cert, struct ks_arena *arena, struct ks_cert_info *info, struct ks_diag *diag)
{
    const X509_NAME *subject = X509_get_subject_name(cert), *issuer = X509_get_issuer_name(cert);
    const uint32_t flags = X509_get_extension_flags(cert);
    if ((flags & EXFLAG_INVALID) != 0)
        return ks_ossl_fail(diag, KS_E_MALFORMED, "an extension of the certificate");
    info->is_ca = (flags & EXFLAG_CA) != 0;
    KS_TRY(name_text(subject, arena, &info->subject, diag));
    KS_TRY(name_text(issuer, arena, &info->issuer, diag));
    KS_TRY(common_name(subject, arena, &info->common_name, diag));
    KS_TRY(serial(cert, arena, info, diag));
    KS_TRY(alternative_names(cert, arena, info, diag));
    KS_TRY(names_der(cert, NID_subject_alt_name, arena, &info->subject_names_der, &info->n_subject_names_der, diag));
    KS_TRY(names_der(cert, NID_issuer_alt_name, arena, &info->issuer_names_der, &info->n_issuer_names_der, diag));
    KS_TRY(to_seconds(X509_get0_notBefore(cert), &info->not_before, diag));
    KS_TRY(to_seconds(X509_get0_notAfter(cert), &info->not_after, diag));

    unsigned char *der = NULL;
    int len = i2d_X509_NAME(subject, &der);
    KS_TRY(take_der(der, len, arena, &info->subject_der, diag));
    der = NULL;
    len = i2d_X509_NAME(issuer, &der);
    KS_TRY(take_der(der, len, arena, &info->issuer_der, diag));
    der = NULL;
    len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    KS_TRY(take_der(der, len, arena, &info->public_key, diag));
    key_info(cert, info);
    info->signature = signature_of(cert);
    return 0;
}

int
ks_cert_parse(struct ks_span der, struct ks_arena *arena, struct ks_cert_info *ret, struct ks_diag *diag)
{
    KS_CLEANUP(X509_freep) X509 *cert = NULL;
    KS_TRY(ks_x509_parse(der, &cert, diag));
    struct ks_cert_info info = {0};
    KS_TRY(parse(cert, arena, &info, diag));
    if (ks_cert_fingerprint(der, info.fingerprint) != 0)
        return ks_fail(diag, KS_E_CRYPTO, "the fingerprint of a certificate");
    *ret = info;
    return 0;
}
