#include "server/engine/otp.h"

#include "crypto/hash.h"

int
otp_value(uint32_t hash, struct ks_span seed, uint64_t counter, unsigned digits, uint32_t *ret)
{
    uint8_t moving[8], mac[KS_HASH_MAX];
    const size_t len = ks_hash_len(hash);
    if (len < 20)
        return KS_E_UNSUPPORTED;
    if (digits < OTP_DIGITS_LEAST || digits > OTP_DIGITS_MOST || seed.len == 0)
        return KS_E_INVALID;
    ks_put_be64(moving, counter);
    KS_TRY(ks_hmac(hash, seed, KS_SPAN(moving, sizeof(moving)), mac, NULL));
    /* RFC 4226, 5.3: the last four bits say where 31 bits are taken from. */
    uint32_t value = ks_be32(mac + (mac[len - 1] & 0x0f)) & 0x7fffffff;
    ks_wipe(mac, sizeof(mac));
    uint32_t modulus = 1;
    for (unsigned i = 0; i < digits; i++)
        modulus *= 10;
    *ret = value % modulus;
    return 0;
}

bool
otp_is(struct ks_span text, uint32_t value, unsigned digits)
{
    uint8_t wanted[OTP_DIGITS_MOST];
    if (digits > OTP_DIGITS_MOST || text.len != digits)
        return false;
    for (unsigned i = digits; i-- > 0; value /= 10)
        wanted[i] = (uint8_t)('0' + value % 10);
    const bool same = ks_equal_secret(wanted, text.data, digits);
    ks_wipe(wanted, sizeof(wanted));
    return same;
}
