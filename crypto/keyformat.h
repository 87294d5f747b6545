/*
 * Asymmetric keys as objects, and their formats.
 *
 *     struct ks_pkey *key;
 *     KS_TRY(ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_PKCS_1, true, 0, 0, bytes, &key, diag));
 *     KS_TRY(ks_pkey_check(key, diag));
 *     KS_TRY(ks_pkey_export(key, KMIP_KEY_FORMAT_TYPE_PKCS_8, true, &out, diag));
 *     ks_pkey_free(key);
 *
 * Formats (KMIP Key Format Type): PKCS#1 (RSA private and public), PKCS#8 (private, unencrypted), ECPrivateKey
 * (RFC 5915, private), X.509 (SubjectPublicKeyInfo, public), Raw (RFC 8032 and RFC 7748 keys; NIST curve: the
 * scalar, the uncompressed point; post-quantum keys: crypto/pq.h). The transparent ones are components: ks_pkey_rsa,
 * ks_pkey_ec and back.
 */
#pragma once

#include "base/mem.h"

struct ks_pkey;
void ks_pkey_free(struct ks_pkey *key); /* wipes; accepts NULL */
static inline void
ks_pkey_freep(struct ks_pkey **key)
{
    ks_pkey_free(*key);
    *key = NULL;
}
/* Another handle of the same key: freed like the first, and the key lives until both are. KS_E_NOMEM. */
int ks_pkey_share(const struct ks_pkey *key, struct ks_pkey **ret) KS_MUST_CHECK;

#define KS_PKEY KS_CLEANUP(ks_pkey_freep) struct ks_pkey

struct ks_pkey_info {
    /* KMIP Cryptographic Algorithm: RSA, EC, Ed25519, Ed448, DSA, DH, those of crypto/pq.h; EC for X25519 and X448 too
     */
    uint32_t algorithm;
    uint32_t curve; /* KMIP Recommended Curve; 0 for keys that are on none and curves that KMIP does not number */
    uint32_t bits;  /* RSA modulus, DSA and DH prime, EC group order; X25519 and Ed25519 256, X448 448, Ed448 456;
                       post-quantum: the public key */
    uint32_t exponent_bits; /* of an RSA key's public exponent; else 0 */
    bool is_private;
};
void ks_pkey_info(const struct ks_pkey *key, struct ks_pkey_info *ret);

/*
 * Parses one key and nothing behind it. algorithm and curve are needed for Raw only and 0 elsewhere; given, they
 * must fit what was parsed (EC, ECDSA and ECDH fit any curve key). Structure is checked, consistency is not:
 * call ks_pkey_check for keys that come from outside.
 * KS_E_MALFORMED, KS_E_UNSUPPORTED (format or algorithm), KS_E_INVALID (not what algorithm and curve say).
 */
int ks_pkey_parse(uint32_t format, bool is_private, uint32_t algorithm, uint32_t curve, struct ks_span bytes,
                  struct ks_pkey **ret, struct ks_diag *diag) KS_MUST_CHECK;

/* Appends the private or the public half in a format. A private key gives both halves, a public one only its own. */
int ks_pkey_export(const struct ks_pkey *key, uint32_t format, bool is_private, struct ks_buf *ret,
                   struct ks_diag *diag) KS_MUST_CHECK;

/* The format in which Get returns a key when none is asked for: PKCS#1 for RSA, PKCS#8 and X.509 otherwise. */
uint32_t ks_pkey_default_format(const struct ks_pkey *key, bool is_private);

/*
 * Whether the key is sound: RSA primes, exponents and CRT fit the modulus, EC point on its curve and belonging to
 * the scalar, and so on. KS_E_INVALID says that it is not. RSA private keys of 4096 bits take some 0.1 s.
 */
int ks_pkey_check(const struct ks_pkey *key, struct ks_diag *diag) KS_MUST_CHECK;

/* Whether both have the same public half: does this private key belong to that public key? */
bool ks_pkey_same_public(const struct ks_pkey *a, const struct ks_pkey *b);

/* A key with the public half alone. */
int ks_pkey_public(const struct ks_pkey *key, struct ks_pkey **ret, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * RSA components, unsigned big-endian without leading zeros. Absent: empty. A public key has n and e.
 * Making a private key takes n, e, and one of d, both primes, dp and dq (KMIP 1.4: 2.1.7.4); what is missing is
 * computed. One without e is taken if d and its primes are there, and else KS_E_UNSUPPORTED: it may be a good key.
 */
struct ks_rsa_parts {
    struct ks_span n, e, d, p, q, dp, dq, qi;
};
int ks_pkey_rsa(const struct ks_pkey *key, struct ks_arena *arena, struct ks_rsa_parts *ret,
                struct ks_diag *diag) KS_MUST_CHECK;
int ks_pkey_from_rsa(const struct ks_rsa_parts *parts, struct ks_pkey **ret, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * EC components: d is the scalar (as long as the group order; empty in a public key), q the point (0x04 x y;
 * compressed points are taken too). A private key without q gets it computed. For X25519, X448 and the Edwards
 * curves d and q are the RFC's byte strings.
 */
struct ks_ec_parts {
    uint32_t algorithm; /* 0 or EC; Ed25519, Ed448 */
    uint32_t curve;
    struct ks_span d, q;
};
int ks_pkey_ec(const struct ks_pkey *key, struct ks_arena *arena, struct ks_ec_parts *ret,
               struct ks_diag *diag) KS_MUST_CHECK;
int ks_pkey_from_ec(const struct ks_ec_parts *parts, struct ks_pkey **ret, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * DSA and DH components, unsigned big-endian without leading zeros. x: private (empty in a public key), y: public
 * (computed where it is missing). DH has q or not. KS_E_INVALID: not 1 < x < p, y < p and so on, or p above 8192 bits.
 */
struct ks_ffc_parts {
    uint32_t algorithm; /* DSA or DH */
    struct ks_span p, q, g, x, y;
};
int ks_pkey_ffc(const struct ks_pkey *key, struct ks_arena *arena, struct ks_ffc_parts *ret,
                struct ks_diag *diag) KS_MUST_CHECK;
int ks_pkey_from_ffc(const struct ks_ffc_parts *parts, struct ks_pkey **ret, struct ks_diag *diag) KS_MUST_CHECK;

/* How the point of a public key on a curve of type EC is written (X9.62; KMIP Key Compression Type). */
enum ks_point_form { KS_POINT_UNCOMPRESSED, KS_POINT_COMPRESSED, KS_POINT_HYBRID };

/* The public half in X.509 or Raw format with its point in that form. KS_E_UNSUPPORTED: a key that has no point. */
int ks_pkey_export_point(const struct ks_pkey *key, uint32_t format, enum ks_point_form form, struct ks_buf *ret,
                         struct ks_diag *diag) KS_MUST_CHECK;

/* The uncompressed point of the parts in that form, in the arena. KS_E_UNSUPPORTED: no point of this kind. */
int ks_point_write(const struct ks_ec_parts *parts, enum ks_point_form form, struct ks_arena *arena,
                   struct ks_span *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* Bits of a KMIP Recommended Curve that is offered; 0 for others. */
uint32_t ks_curve_bits(uint32_t curve);

/* The curve that a length alone means: NIST's P-224, P-256, P-384 or P-521; 0: none. */
uint32_t ks_curve_of_length(uint32_t bits);
