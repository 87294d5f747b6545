/*
 * X.509 for an instance: its certificate authority, server and client certificates, requests; and PEM.
 *
 * Certificates travel as DER in struct ks_buf or spans, keys as struct ks_pkey.
 *
 *     KS_PKEY *ca_key = NULL;
 *     KS_TRY(ks_keygen_pair(&(struct ks_keypair_params){.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
 *                           .curve = KMIP_RECOMMENDED_CURVE_P_256}, &ca_key, diag));
 *     KS_TRY(ks_cert_ca(ca_key, &(struct ks_cert_spec){.common_name = "Keystead CA", ...}, &ca_der, diag));
 *     KS_TRY(ks_cert_issue(ks_buf_span(&ca_der), ca_key, server_key, &spec, &server_der, diag));
 */
#pragma once

#include "base/mem.h"
#include "crypto/keyformat.h"

struct ks_cert_spec {
    const char *common_name;  /* UTF-8, 1 to 64 characters */
    const char *organization; /* may be NULL */
    const char *const *names; /* SANs: IP addresses in text form become iPAddress, all else dNSName */
    size_t n_names;
    int64_t not_before, not_after; /* seconds since 1970, UTC */
    bool server_auth, client_auth; /* extended key usages; ignored for a CA */
};

/*
 * A self-signed CA certificate (path length 0, keyCertSign and cRLSign), appended to ret as DER. The serial number
 * is 159 random bits, here and in ks_cert_issue. key is the CA's private key.
 */
int ks_cert_ca(const struct ks_pkey *key, const struct ks_cert_spec *spec, struct ks_buf *ret,
               struct ks_diag *diag) KS_MUST_CHECK;

/*
 * A certificate for subject_key (its public half is enough) signed by the CA. Names and validity come from spec
 * alone. KS_E_INVALID: ca_key is not the key of ca_cert, ca_cert is no CA, or a name is unusable.
 */
int ks_cert_issue(struct ks_span ca_cert, const struct ks_pkey *ca_key, const struct ks_pkey *subject_key,
                  const struct ks_cert_spec *spec, struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* What a certificate that somebody asks for is to say. */
struct ks_cert_part {
    const char *type; /* "CN", "O", "OU", "C", "ST", "L", "emailAddress", "serialNumber", "title", "UID", "DC", ... */
    const char *value;
};
struct ks_cert_wish {
    struct ks_span request;             /* PKCS#10: subject and alternative names are its; empty: there is none */
    struct ks_span certificate;         /* else: subject and alternative names of this one */
    const struct ks_cert_part *subject; /* else: these, in this order */
    size_t n_subject;
    const struct ks_pkey *key; /* to be certified; its public half is enough */
    int64_t not_before, not_after;
    uint32_t
        usage; /* KMIP Cryptographic Usage Mask: what Key Usage says; 0: signatures and, of RSA keys, key transport */
};

/*
 * An end entity's certificate, signed by a CA that is not the instance's own. Of a request the subject is taken, and
 * alternative names that are DNS names, IP addresses, mail addresses or URIs; whatever else it wishes is not. That the
 * request was signed by its key is for the caller to see to (ks_cert_request_key). KS_E_INVALID: as ks_cert_issue, and
 * a subject that is empty without an alternative name.
 */
int ks_cert_certify(struct ks_span ca_cert, const struct ks_pkey *ca_key, const struct ks_cert_wish *what,
                    struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * What paths of certificates are judged by: trust anchors (RFC 5280, 6.1.1 d; self-signed or not), and lists of what
 * was revoked. Add reads PEM, any number of blocks, or DER of one; all of it has to be of that kind, and KS_E_LIMIT
 * keeps the whole of them to ANCHORS and to bytes. Not changed while it is used: a new one takes its place.
 */
struct ks_trust;
enum ks_trust_kind { KS_TRUST_ANCHORS, KS_TRUST_CRLS };
enum { KS_TRUST_ANCHORS_MOST = 2000, KS_TRUST_BYTES_MOST = 64 << 20 };
int ks_trust_new(struct ks_trust **ret) KS_MUST_CHECK;
int ks_trust_add(struct ks_trust *trust, enum ks_trust_kind kind, struct ks_span file,
                 struct ks_diag *diag) KS_MUST_CHECK;
void ks_trust_free(struct ks_trust *trust); /* accepts NULL */
/* How many certificates or lists there are. */
size_t ks_trust_count(const struct ks_trust *trust, enum ks_trust_kind kind);

/*
 * Path validation (RFC 5280, 6): the certificates are one chain, in any order, and all of them have to be part of the
 * path. Signatures, dates, basic constraints, key usage, name constraints and policies count.
 *
 * A certificate whose issuer has a list is revoked at `at` if the list says that it was by then. A list that was to be
 * replaced before `at`, or that can not be verified, leaves the path unknown; an issuer that has none says nothing. At
 * least 80 bits of strength are asked for: no MD5, no RSA below 1024 bits.
 */
struct ks_cert_path {
    const struct ks_span *chain; /* DER */
    size_t n_chain;
    const struct ks_trust *trust;  /* NULL: none */
    const struct ks_span *anchors; /* more that is trusted, DER */
    size_t n_anchors;
    int64_t at;      /* seconds since 1970 */
    bool tls_client; /* extended key usage allows a client of TLS */
};
enum ks_chain { KS_CHAIN_VALID, KS_CHAIN_INVALID, KS_CHAIN_UNKNOWN /* it leads to nothing that is trusted */ };
enum { KS_PATH_MOST = 34 };
struct ks_cert_verdict {
    enum ks_chain chain;
    size_t n_path; /* certificates of the path as far as it was found, the anchor among them: their SHA-256 */
    uint8_t path[KS_PATH_MOST][32];
};
/* The result is 0 whatever the verdict, and what is wrong with a path goes to diag; else KS_E_MALFORMED or KS_E_LIMIT
 * says that something is no certificate. */
int ks_cert_validate(const struct ks_cert_path *path, struct ks_cert_verdict *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* A certificate signing request (PKCS#10, DER) for key with that common name and no extensions. */
int ks_cert_request(const struct ks_pkey *key, const char *common_name, struct ks_buf *ret,
                    struct ks_diag *diag) KS_MUST_CHECK;

/*
 * The public key of a request whose signature verifies (KS_E_INTEGRITY if not). Nothing else is taken from a
 * request: subject and extensions in it are a stranger's wishes.
 */
int ks_cert_request_key(struct ks_span request, struct ks_pkey **ret, struct ks_diag *diag) KS_MUST_CHECK;

struct ks_cert_info {
    char *subject; /* RFC 2253: "CN=admin,O=Example" */
    char *issuer;
    char *common_name; /* the last CN of the subject; "" if there is none */
    char *serial;      /* lower-case hexadecimal, two digits a byte (RFC 5280, 4.1.2.2) */
    char **names;      /* SANs: "DNS:db1.example", "IP:192.0.2.1", "URI:...", "email:..."; others are left out */
    size_t n_names;
    int64_t not_before, not_after;
    uint8_t fingerprint[32]; /* SHA-256 of the DER */
    bool is_ca;
    struct ks_span subject_der, issuer_der, serial_der;   /* for KMIP's certificate attributes */
    struct ks_span *subject_names_der, *issuer_names_der; /* each alternative name as a DER GeneralName, all kinds */
    size_t n_subject_names_der, n_issuer_names_der;
    uint32_t signature;        /* KMIP Digital Signature Algorithm; 0: one that KMIP does not number */
    struct ks_span public_key; /* SubjectPublicKeyInfo, DER */
    struct ks_pkey_info key;   /* algorithm 0: a kind of key that crypto/ does not offer */
};

/* Everything in ret lies in the arena. A NUL inside a name is KS_E_MALFORMED, and so are bytes behind the end. */
int ks_cert_parse(struct ks_span der, struct ks_arena *arena, struct ks_cert_info *ret,
                  struct ks_diag *diag) KS_MUST_CHECK;

/* Whether ca signed cert (signature and issuer name; no dates). KS_E_INTEGRITY. */
int ks_cert_signed_by(struct ks_span cert, struct ks_span ca, struct ks_diag *diag) KS_MUST_CHECK;

/* SHA-256 of the bytes: a certificate's fingerprint. */
int ks_cert_fingerprint(struct ks_span der, uint8_t ret[32]) KS_MUST_CHECK;

/*
 * PEM (RFC 7468). Labels: KS_PEM_CERT, KS_PEM_KEY (PKCS#8, unencrypted), KS_PEM_REQUEST. Decoding takes the first
 * block with that label (text around it is skipped) and appends its DER. KS_E_NOT_FOUND: no such block.
 */
#define KS_PEM_CERT "CERTIFICATE"
#define KS_PEM_KEY "PRIVATE KEY"
#define KS_PEM_REQUEST "CERTIFICATE REQUEST"
int ks_pem_encode(const char *label, struct ks_span der, struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;
int ks_pem_decode(const char *label, struct ks_span pem, struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * A private key to PEM and back. Written as PKCS#8 ("PRIVATE KEY"); read also from "RSA PRIVATE KEY" and
 * "EC PRIVATE KEY". An encrypted one is KS_E_UNSUPPORTED.
 */
int ks_pem_encode_key(const struct ks_pkey *key, struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;
int ks_pem_decode_key(struct ks_span pem, struct ks_pkey **ret, struct ks_diag *diag) KS_MUST_CHECK;
