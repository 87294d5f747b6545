/* Key derivation: subkeys from a key (SP 800-108, HKDF) and keys from a passphrase (scrypt, PBKDF2). */
#pragma once

#include "base/mem.h"

/*
 * SP 800-108 KDF in counter mode with HMAC-SHA256, 32-bit counter before the fixed input:
 * [i] || label || 0x00 || context || [L, 32 bits]. What derives the subkeys from the master key: one label per
 * purpose. len at least 1.
 */
int ks_kdf_subkey(struct ks_span key, struct ks_span label, struct ks_span context, uint8_t *ret, size_t len,
                  struct ks_diag *diag) KS_MUST_CHECK;

/* The same PRF and counter over fixed input that the caller made (KMIP Derivation Method NIST800-108-C). */
int ks_kdf_counter(uint32_t hash, struct ks_span key, struct ks_span fixed_input, uint8_t *ret, size_t len,
                   struct ks_diag *diag) KS_MUST_CHECK;

/*
 * scrypt (RFC 7914). n is a power of two above 1; memory is about 128 * n * r bytes. Parameters that need more
 * than max_memory bytes are refused with KS_E_LIMIT: they may come from a file that somebody edited. The header
 * names parameters for interactive use on a server's start: KS_SCRYPT_N and so on, 128 MiB, about half a second.
 */
enum { KS_SCRYPT_N = 1 << 17, KS_SCRYPT_R = 8, KS_SCRYPT_P = 1 };
int ks_kdf_scrypt(struct ks_span passphrase, struct ks_span salt, uint64_t n, uint32_t r, uint32_t p,
                  uint64_t max_memory, uint8_t *ret, size_t len, struct ks_diag *diag) KS_MUST_CHECK;

/* HKDF, extract and expand (RFC 5869); len at most 255 times the hash. salt and info may be empty. */
int ks_kdf_hkdf(uint32_t hash, struct ks_span key, struct ks_span salt, struct ks_span info, uint8_t *ret, size_t len,
                struct ks_diag *diag) KS_MUST_CHECK;

/*
 * ANSI X9.63 (SEC 1, 3.6.1): hash over secret, counter of 32 bits and info, block by block. What becomes of an agreed
 * secret; info may be empty. KS_E_UNSUPPORTED: the hash.
 */
int ks_kdf_x963(uint32_t hash, struct ks_span secret, struct ks_span info, uint8_t *ret, size_t len,
                struct ks_diag *diag) KS_MUST_CHECK;

/* PBKDF2 (RFC 8018); iterations at least 1. The caller bounds them: the time grows with iterations times len. */
int ks_kdf_pbkdf2(uint32_t hash, struct ks_span passphrase, struct ks_span salt, uint32_t iterations, uint8_t *ret,
                  size_t len, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * SP 800-108 in any of its modes over fixed input that the caller made (usually label || 0x00 || context; nothing is
 * appended to it), the counter of 32 bits in front of it:
 *   counter          K(i) = PRF(key, [i] || fixed)
 *   feedback         K(i) = PRF(key, K(i-1) || [i] || fixed), K(0) = iv
 *   double pipeline  K(i) = PRF(key, A(i) || [i] || fixed), A(0) = fixed, A(i) = PRF(key, A(i-1))
 * The PRF is HMAC with the hash, or CMAC with AES where hash is 0. iv: feedback alone, may be empty there.
 * KS_E_INVALID: an empty key, one that AES does not have, an iv where none is taken.
 */
enum ks_kdf108 { KS_KDF108_COUNTER, KS_KDF108_FEEDBACK, KS_KDF108_DOUBLE_PIPELINE };
int ks_kdf_108(enum ks_kdf108 mode, uint32_t hash, struct ks_span key, struct ks_span iv, struct ks_span fixed,
               uint8_t *ret, size_t len, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * The signing key of AWS Signature Version 4, 32 bytes: HMAC-SHA256 over date (YYYYMMDD), region, service and
 * "aws4_request", one keyed with the other, the first with "AWS4" and the secret access key.
 */
int ks_kdf_aws4(struct ks_span secret, struct ks_span date, struct ks_span region, struct ks_span service,
                uint8_t ret[32], struct ks_diag *diag) KS_MUST_CHECK;
