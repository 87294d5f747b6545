/* Making certificates and requests (crypto/cert.h). */
#include <keystead/kmip.h>
#include <openssl/err.h>

#include "base/text.h"
#include "crypto/random.h"
#include "crypto/x509.h"

enum { LARGE_CURVE = 384, SERIAL_BYTES = 20, HOST_MAX = 253, LABEL_MAX = 63, RSA_LEAST = 2048, VERSION_3 = 2 };

static int
no_memory(struct ks_diag *diag)
{
    return ks_ossl_fail(diag, KS_E_NOMEM, "no memory for a certificate");
}

/* The digest that a key signs with: SHA-256, SHA-384 on larger curves, or the scheme's own where there is no choice. */
static const EVP_MD *
digest_for(const struct ks_pkey *key)
{
    const bool edwards = key->info.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519 ||
                         key->info.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ED448;
    if (edwards || key->pq != NULL)
        return NULL;
    return ks_ossl_md(key->curve != NULL && key->info.bits >= LARGE_CURVE ? KS_OSSL_MD_SHA2_384 : KS_OSSL_MD_SHA2_256);
}

int
ks_x509_check_signer(const struct ks_pkey *key, struct ks_diag *diag)
{
    if (!key->info.is_private)
        return ks_fail(diag, KS_E_INVALID, "signing a certificate or request needs the private key");
    const bool agreement =
        key->curve != NULL && key->curve->group == NULL && key->info.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC;
    const bool kem = key->pq != NULL && key->pq->kind == KS_PQ_KEM;
    if (agreement || kem || ks_pkey_is_ffc(key))
        return ks_fail(diag, KS_E_INVALID, "a key of type %s cannot sign", ks_pkey_text(key));
    return 0;
}

int
ks_x509_add_name(X509_NAME *name, int nid, const char *what, const char *text, struct ks_diag *diag)
{
    const size_t len = strlen(text);
    if (len == 0 || len > 256 || !ks_utf8_valid(KS_SPAN(text, len)))
        return ks_fail(diag, KS_E_INVALID, "certificate: the %s is empty, too long or not UTF-8", what);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return ks_fail(diag, KS_E_INVALID, "certificate: a control character in the %s", what);
    if (X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, (const unsigned char *)text, (int)len, -1, 0) != 1)
        return ks_ossl_fail(diag, KS_E_INVALID, "certificate: the %s \"%s\" (64 characters at most)", what, text);
    return 0;
}

static int
set_subject(X509_NAME *name, const struct ks_cert_spec *spec, struct ks_diag *diag)
{
    if (spec->common_name == NULL)
        return ks_fail(diag, KS_E_INVALID, "certificate: the common name is missing");
    if (spec->organization != NULL)
        KS_TRY(ks_x509_add_name(name, NID_organizationName, "organization", spec->organization, diag));
    return ks_x509_add_name(name, NID_commonName, "common name", spec->common_name, diag);
}

int
ks_x509_set_serial(X509 *cert, struct ks_diag *diag)
{
    uint8_t b[SERIAL_BYTES];
    if (ks_random(b, sizeof(b)) != 0)
        return ks_fail(diag, KS_E_CRYPTO, "no random bytes from OpenSSL for a serial number");
    b[0] &= 0x7f; /* positive in 20 bytes (RFC 5280, 4.1.2.2) */
    KS_CLEANUP(BN_clear_freep) BIGNUM *n = BN_bin2bn(b, sizeof(b), NULL);
    if (n == NULL || BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) == NULL)
        return no_memory(diag);
    return 0;
}

int
ks_x509_set_validity(X509 *cert, int64_t not_before, int64_t not_after, struct ks_diag *diag)
{
    char text[KS_TIME_TEXT_LEN];
    if (not_before >= not_after || ks_time_format(not_before, text) != 0 || ks_time_format(not_after, text) != 0)
        return ks_fail(diag, KS_E_INVALID, "certificate: the validity period is empty or not within years 1 to 9999");
    if (ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)not_before) == NULL ||
        ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)not_after) == NULL)
        return ks_ossl_fail(diag, KS_E_INVALID, "certificate: the validity period");
    return 0;
}

/* value is a constant of this file: OpenSSL's little language never sees a stranger's text. */
int
ks_x509_add_extension(X509 *cert, X509 *issuer, int nid, const char *value, struct ks_diag *diag)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    const bool ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok ? 0 : ks_ossl_fail(diag, KS_E_CRYPTO, "certificate: extension %s", OBJ_nid2sn(nid));
}

/* Not isalnum(): no locale has a say in it. */
static bool
is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* A DNS name as it may stand in a certificate: letters, digits, - and _ in labels; the first may be "*". */
bool
ks_x509_is_dns_name(const char *name)
{
    const size_t len = strlen(name);
    if (len == 0 || len > HOST_MAX)
        return false;
    const char *label = name[0] == '*' && name[1] == '.' ? name + 2 : name;
    while (true) {
        size_t n = 0;
        while (is_host_char(label[n]))
            n++;
        if (n == 0 || n > LABEL_MAX || label[0] == '-' || label[n - 1] == '-')
            return false;
        if (label[n] == '\0')
            return true;
        if (label[n] != '.')
            return false;
        label += n + 1;
    }
}

static int
add_alternative_name(GENERAL_NAMES *names, const char *text, struct ks_diag *diag)
{
    ASN1_STRING *value = a2i_IPADDRESS(text);
    const int type = value != NULL ? GEN_IPADD : GEN_DNS;
    ERR_clear_error(); /* of what was no address */
    if (value == NULL) {
        if (!ks_x509_is_dns_name(text))
            return ks_fail(diag, KS_E_INVALID, "certificate: \"%.100s\" is neither an IP address nor a DNS name", text);
        value = ASN1_IA5STRING_new();
        if (value == NULL || ASN1_STRING_set(value, text, (int)strlen(text)) != 1) {
            ASN1_STRING_free(value);
            return no_memory(diag);
        }
    }
    GENERAL_NAME *name = GENERAL_NAME_new();
    if (name == NULL) {
        ASN1_STRING_free(value);
        return no_memory(diag);
    }
    GENERAL_NAME_set0_value(name, type, value);
    if (sk_GENERAL_NAME_push(names, name) <= 0) {
        GENERAL_NAME_free(name);
        return no_memory(diag);
    }
    return 0;
}

static int
add_alternative_names(X509 *cert, const struct ks_cert_spec *spec, struct ks_diag *diag)
{
    if (spec->n_names == 0)
        return 0;
    KS_CLEANUP(GENERAL_NAMES_freep) GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    if (names == NULL)
        return no_memory(diag);
    for (size_t i = 0; i < spec->n_names; i++)
        KS_TRY(add_alternative_name(names, spec->names[i], diag));
    if (X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "certificate: alternative names");
    return 0;
}

static const char *
extended_usage(const struct ks_cert_spec *spec)
{
    if (spec->server_auth && spec->client_auth)
        return "serverAuth,clientAuth";
    if (spec->server_auth)
        return "serverAuth";
    return spec->client_auth ? "clientAuth" : NULL;
}

/* All but extensions, issuer and signature. */
static int
start(const struct ks_pkey *subject_key, const struct ks_cert_spec *spec, X509 **ret, struct ks_diag *diag)
{
    if (ks_pkey_is_ffc(subject_key))
        return ks_fail(diag, KS_E_INVALID, "certificate: keys of type %s are not certified", ks_pkey_text(subject_key));
    if (ks_pkey_is_rsa(subject_key) && subject_key->info.bits < RSA_LEAST)
        return ks_fail(diag, KS_E_INVALID, "certificate: an RSA key of %u bits is too short; %d at least",
                       subject_key->info.bits, RSA_LEAST);
    KS_CLEANUP(X509_freep) X509 *cert = X509_new();
    if (cert == NULL || X509_set_version(cert, VERSION_3) != 1)
        return no_memory(diag);
    KS_TRY(ks_x509_set_serial(cert, diag));
    KS_TRY(ks_x509_set_validity(cert, spec->not_before, spec->not_after, diag));
    KS_TRY(set_subject(X509_get_subject_name(cert), spec, diag));
    if (X509_set_pubkey(cert, subject_key->pkey) != 1)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "certificate: setting the public key");
    *ret = cert;
    cert = NULL; /* transferred */
    return 0;
}

int
ks_x509_sign(X509 *cert, const struct ks_pkey *key, struct ks_buf *ret, struct ks_diag *diag)
{
    if (X509_sign(cert, key->pkey, digest_for(key)) <= 0)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "signing a certificate with a key of type %s", ks_pkey_text(key));
    unsigned char *der = NULL;
    const int len = i2d_X509(cert, &der);
    if (len <= 0)
        return no_memory(diag);
    const int rc = ks_buf_add(ret, der, (size_t)len);
    OPENSSL_free(der);
    return rc == 0 ? 0 : ks_fail(diag, rc, "no room for a certificate of %d bytes", len);
}

int
ks_cert_ca(const struct ks_pkey *key, const struct ks_cert_spec *spec, struct ks_buf *ret, struct ks_diag *diag)
{
    KS_TRY(ks_x509_check_signer(key, diag));
    KS_CLEANUP(X509_freep) X509 *cert = NULL;
    KS_TRY(start(key, spec, &cert, diag));
    if (X509_set_issuer_name(cert, X509_get_subject_name(cert)) != 1)
        return no_memory(diag);
    KS_TRY(ks_x509_add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0", diag));
    KS_TRY(ks_x509_add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign", diag));
    KS_TRY(ks_x509_add_extension(cert, cert, NID_subject_key_identifier, "hash", diag));
    return ks_x509_sign(cert, key, ret, diag);
}

int
ks_cert_issue(struct ks_span ca_cert, const struct ks_pkey *ca_key, const struct ks_pkey *subject_key,
              const struct ks_cert_spec *spec, struct ks_buf *ret, struct ks_diag *diag)
{
    KS_TRY(ks_x509_check_signer(ca_key, diag));
    KS_CLEANUP(X509_freep) X509 *ca = NULL;
    KS_TRY(ks_x509_parse(ca_cert, &ca, diag));
    if (X509_check_private_key(ca, ca_key->pkey) != 1)
        return ks_ossl_fail(diag, KS_E_INVALID, "the key does not belong to the CA certificate");
    if (X509_check_ca(ca) != 1)
        return ks_ossl_fail(diag, KS_E_INVALID, "the issuer's certificate is not a CA's");
    KS_CLEANUP(X509_freep) X509 *cert = NULL;
    KS_TRY(start(subject_key, spec, &cert, diag));
    if (X509_set_issuer_name(cert, X509_get_subject_name(ca)) != 1)
        return no_memory(diag);
    KS_TRY(ks_x509_add_extension(cert, ca, NID_basic_constraints, "critical,CA:FALSE", diag));
    /* RSA key exchange is TLS 1.2's; with all other keys a signature is all there is. */
    const char *usage =
        ks_pkey_is_rsa(subject_key) ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature";
    KS_TRY(ks_x509_add_extension(cert, ca, NID_key_usage, usage, diag));
    if (extended_usage(spec) != NULL)
        KS_TRY(ks_x509_add_extension(cert, ca, NID_ext_key_usage, extended_usage(spec), diag));
    KS_TRY(ks_x509_add_extension(cert, ca, NID_subject_key_identifier, "hash", diag));
    KS_TRY(ks_x509_add_extension(cert, ca, NID_authority_key_identifier, "keyid:always", diag));
    KS_TRY(add_alternative_names(cert, spec, diag));
    return ks_x509_sign(cert, ca_key, ret, diag);
}

int
ks_cert_request(const struct ks_pkey *key, const char *common_name, struct ks_buf *ret, struct ks_diag *diag)
{
    KS_TRY(ks_x509_check_signer(key, diag));
    KS_CLEANUP(X509_REQ_freep) X509_REQ *request = X509_REQ_new();
    if (request == NULL || X509_REQ_set_version(request, 0) != 1)
        return no_memory(diag);
    const struct ks_cert_spec spec = {.common_name = common_name};
    KS_TRY(set_subject(X509_REQ_get_subject_name(request), &spec, diag));
    if (X509_REQ_set_pubkey(request, key->pkey) != 1 || X509_REQ_sign(request, key->pkey, digest_for(key)) <= 0)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "signing a certificate request");
    unsigned char *der = NULL;
    const int len = i2d_X509_REQ(request, &der);
    if (len <= 0)
        return no_memory(diag);
    const int rc = ks_buf_add(ret, der, (size_t)len);
    OPENSSL_free(der);
    return rc == 0 ? 0 : ks_fail(diag, rc, "no room for a request of %d bytes", len);
}
