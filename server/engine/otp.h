/* One-time passwords: HOTP (RFC 4226) and, with the time in steps as its counter, TOTP (RFC 6238). */
#pragma once

#include "base/mem.h"

enum { OTP_DIGITS_LEAST = 6, OTP_DIGITS_MOST = 9 };

/* The password as a number of so many digits. hash: KMIP Hashing Algorithm. KS_E_UNSUPPORTED: not offered. */
int otp_value(uint32_t hash, struct ks_span seed, uint64_t counter, unsigned digits, uint32_t *ret) KS_MUST_CHECK;

/* Whether the text is that number with all its digits; in the same time wherever it differs. */
bool otp_is(struct ks_span text, uint32_t value, unsigned digits);
