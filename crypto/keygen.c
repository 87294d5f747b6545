#include "crypto/keygen.h"

#include <keystead/kmip.h>

#include "crypto/hash.h"
#include "crypto/random.h"

/* Symmetric algorithms: the lengths in bits, the usual one first. 3DES lengths follow below. */
static const struct {
    uint32_t algorithm;
    const char *text;
    uint16_t bits[4];
} rows[] = {
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, "AES", {256, 192, 128}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES, "3DES", {168, 112, 192, 128}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20, "ChaCha20", {256}},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20POLY1305, "ChaCha20-Poly1305", {256}},
};

enum { HMAC_LEAST = 112, HMAC_MOST = 8192, XTS_128 = 256, XTS_256 = 512 };

static bool
is_hmac(uint32_t algorithm)
{
    return ks_hash_of_hmac(algorithm) != 0 && !ks_hash_is_weak(ks_hash_of_hmac(algorithm));
}

/* 3DES keys are counted without (112, 168) or with (128, 192) their parity bits, and stored with them. */
static size_t
bytes_of(uint32_t algorithm, size_t bits)
{
    if (algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES)
        return bits <= 128 ? 16 : 24;
    return bits / 8;
}

int
ks_keygen_length(uint32_t algorithm, size_t bits, unsigned flags, size_t *ret_bytes, struct ks_diag *diag)
{
    bool fits = false;
    const char *text = NULL;
    if (is_hmac(algorithm)) {
        text = "HMAC";
        fits = bits % 8 == 0 && bits >= HMAC_LEAST && bits <= HMAC_MOST;
    } else if (algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_AES && (flags & KS_KEYLEN_XTS) != 0) {
        text = "AES-XTS";
        fits = bits == XTS_128 || bits == XTS_256;
    } else {
        for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
            if (rows[i].algorithm != algorithm)
                continue;
            text = rows[i].text;
            for (size_t k = 0; k < KS_ARRAY_LEN(rows[i].bits); k++)
                fits = fits || (bits != 0 && rows[i].bits[k] == bits);
        }
    }
    if (text == NULL)
        return ks_fail(diag, KS_E_UNSUPPORTED, "cryptographic algorithm %#x is no symmetric algorithm that is offered",
                       algorithm);
    if (!fits)
        return ks_fail(diag, KS_E_INVALID, "%s has no key length of %zu bits", text, bits);
    if (ret_bytes != NULL)
        *ret_bytes = bytes_of(algorithm, bits);
    return 0;
}

static size_t
usual_bits(uint32_t algorithm, unsigned flags)
{
    if (is_hmac(algorithm))
        return ks_hash_len(ks_hash_of_hmac(algorithm)) * 8;
    if (algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_AES && (flags & KS_KEYLEN_XTS) != 0)
        return XTS_256;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        if (rows[i].algorithm == algorithm)
            return rows[i].bits[0];
    return 0;
}

static void
set_odd_parity(uint8_t *key, size_t len)
{
    for (size_t i = 0; i < len; i++)
        key[i] = (uint8_t)((key[i] & 0xfe) | !__builtin_parity(key[i] & 0xfe));
}

/* Keys that are weaker than they look: XTS halves or 3DES parts that are equal. Never seen at random; checked anyway.
 */
static bool
is_degenerate(uint32_t algorithm, unsigned flags, const uint8_t *key, size_t len)
{
    if (algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES)
        return ks_equal_secret(key, key + 8, 8) || (len == 24 && ks_equal_secret(key + 8, key + 16, 8));
    return (flags & KS_KEYLEN_XTS) != 0 && algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_AES &&
           ks_equal_secret(key, key + len / 2, len / 2);
}

int
ks_keygen_symmetric(uint32_t algorithm, size_t bits, unsigned flags, struct ks_secret **ret, struct ks_diag *diag)
{
    size_t len;
    KS_TRY(ks_keygen_length(algorithm, bits != 0 ? bits : usual_bits(algorithm, flags), flags, &len, diag));
    KS_SECRET *secret = NULL;
    int rc = ks_secret_new(len, &secret);
    if (rc != 0)
        return ks_fail(diag, rc, "no memory for a key of %zu bytes", len);
    rc = ks_random_key(ks_secret_data(secret), len);
    if (rc != 0)
        return ks_fail(diag, rc, "no random bytes from OpenSSL for a key");
    if (algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES)
        set_odd_parity(ks_secret_data(secret), len);
    if (is_degenerate(algorithm, flags, ks_secret_data(secret), len))
        return ks_fail(diag, KS_E_CRYPTO, "the random generator made a key of equal parts: do not trust it");
    *ret = secret;
    secret = NULL; /* transferred */
    return 0;
}
