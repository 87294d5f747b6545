/*
 * AES key wrap for interchange (KMIP Key Wrapping Data): RFC 3394 and RFC 5649, SP 800-38F. What is stored at rest
 * is sealed instead (crypto/seal.h): OpenSSL 3.0's key wrap is ten times slower and binds no context.
 */
#pragma once

#include "base/mem.h"

enum ks_keywrap {
    KS_KEYWRAP_RFC3394, /* KMIP NISTKeyWrap: plaintext a multiple of 8 bytes, at least 16 */
    KS_KEYWRAP_RFC5649, /* KMIP AESKeyWrapPadding: plaintext of 1 byte and more */
};

/* Appends the wrapped form: 8 bytes more than the plaintext rounded up to 8. kek: 16, 24 or 32 bytes. */
int ks_keywrap(enum ks_keywrap how, struct ks_span kek, struct ks_span plaintext, struct ks_buf *ret,
               struct ks_diag *diag) KS_MUST_CHECK;

/* Appends the plaintext. KS_E_INTEGRITY: another key, or changed bytes. KS_E_INVALID: an impossible length. */
int ks_keyunwrap(enum ks_keywrap how, struct ks_span kek, struct ks_span wrapped, struct ks_buf *ret,
                 struct ks_diag *diag) KS_MUST_CHECK;
