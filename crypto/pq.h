/*
 * Post-quantum algorithms: ML-KEM, ML-DSA and SLH-DSA (FIPS 203 to 205; the names of KMIP 3.0). Their keys are struct
 * ks_pkey like any other: made by ks_keygen_pair, read and written as PKCS#8, X.509 (SubjectPublicKeyInfo) and Raw
 * (FIPS's own encodings; a private key may also come as the seed that it is made of), signed with by ks_sign. ML-KEM
 * keys are made, read and written alone.
 *
 * Whether they are there is a question for run time: OpenSSL has them since 3.5, in its default provider.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Whether a KMIP Cryptographic Algorithm is one of these, there or not. */
bool ks_pq_is(uint32_t algorithm);

/* 0: it is there, or none of these algorithms. KS_E_UNSUPPORTED: this OpenSSL does not have it, and which one has. */
int ks_pq_check(uint32_t algorithm, struct ks_diag *diag) KS_MUST_CHECK;

/* Bits of security: 128, 192, 256; 0 for other algorithms. */
uint32_t ks_pq_strength(uint32_t algorithm);

/* Whether it signs. */
bool ks_pq_signs(uint32_t algorithm);

/* Whether signing takes a large part of a second (SLH-DSA with small signatures), as making a key takes long too. */
bool ks_pq_is_slow(uint32_t algorithm);
