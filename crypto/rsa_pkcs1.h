/*
 * Inside crypto/ only: RSA decryption with PKCS#1 v1.5 padding that tells nobody whether the padding was right.
 *
 * OpenSSL before 3.2 answers that, which is Bleichenbacher's oracle. Here what is wrongly padded decrypts to another
 * message, random in length and bytes, but the same each time for the same key and ciphertext: the implicit rejection
 * of draft-irtf-cfrg-rsa-guidance (section 7), as OpenSSL has it from 3.2. RSA, HMAC and SHA-256 are libcrypto's; what
 * is done here is to look at the padding and to choose, both without branches.
 */
#pragma once

#include "crypto/pkey.h"

/* Appends a message. KS_E_INTEGRITY: the ciphertext is not as long as the modulus, or not below it. */
int ks_rsa_pkcs1_decrypt(const struct ks_pkey *key, struct ks_span ciphertext, struct ks_buf *ret,
                         struct ks_diag *diag) KS_MUST_CHECK;
