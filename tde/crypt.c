#include "tde/crypt.h"

enum { TWEAK_TAIL = 0x80 }; /* in the last byte of the tweak: the stream of a tail, not a unit */

static uint64_t
word(const uint8_t *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof(w));
    return w;
}

/* Four words at once, wherever they begin: the compiler makes of it what the machine has. */
typedef uint32_t words __attribute__((vector_size(16)));
typedef uint32_t unaligned_words __attribute__((vector_size(16), aligned(1), may_alias));

enum { STRIDE = 8 * sizeof(words) };

static bool
any_set(words w)
{
    uint64_t half[2];
    memcpy(half, &w, sizeof(half));
    return (half[0] | half[1]) != 0;
}

bool
tde_all_zero(const uint8_t *data, size_t len)
{
    for (; len >= STRIDE; data += STRIDE, len -= STRIDE) { /* most data ends at the first of them */
        const unaligned_words *w = (const unaligned_words *)data;
        if (any_set((w[0] | w[1] | w[2] | w[3]) | (w[4] | w[5] | w[6] | w[7])))
            return false;
    }
    uint8_t rest = 0;
    for (size_t i = 0; i < len; i++)
        rest |= data[i];
    return rest == 0;
}

static bool
zero_block(const uint8_t *p)
{
    return (word(p) | word(p + 8)) == 0;
}

/* Where no word of four bytes is zero, no block is; and of ciphertext next to none are. */
static bool
any_zero_word(const uint8_t *data, size_t len)
{
    words zero[4] = {0};
    for (; len >= STRIDE; data += STRIDE, len -= STRIDE) {
        const unaligned_words *w = (const unaligned_words *)data;
        zero[0] |= (words)(w[0] == 0) | (words)(w[1] == 0);
        zero[1] |= (words)(w[2] == 0) | (words)(w[3] == 0);
        zero[2] |= (words)(w[4] == 0) | (words)(w[5] == 0);
        zero[3] |= (words)(w[6] == 0) | (words)(w[7] == 0);
    }
    for (; len >= TDE_BLOCK; data += TDE_BLOCK, len -= TDE_BLOCK)
        zero[0] |= (words)(*(const unaligned_words *)data == 0);
    return any_set((zero[0] | zero[1]) | (zero[2] | zero[3]));
}

static bool
any_zero_block(const uint8_t *data, size_t len)
{
    if (!any_zero_word(data, len))
        return false;
    for (size_t i = 0; i < len; i += TDE_BLOCK)
        if (zero_block(data + i))
            return true;
    return false;
}

static void
tweak_of(uint64_t number, uint8_t last, uint8_t ret[KS_XTS_BLOCK])
{
    for (int i = 0; i < 8; i++)
        ret[i] = (uint8_t)(number >> (8 * i));
    memset(ret + 8, 0, 8);
    ret[15] = last;
}

/* One unit, from `from` on: XTS has no way to begin in the middle, so what is in front is done over nothing. */
static int
part(struct ks_xts *xts, bool encrypt, uint64_t number, size_t from, const uint8_t *in, size_t len, uint8_t *ret)
{
    uint8_t tweak[KS_XTS_BLOCK], scratch[TDE_UNIT_MAX];
    tweak_of(number, 0, tweak);
    if (from == 0)
        return encrypt ? ks_xts_encrypt(xts, tweak, in, len, ret) : ks_xts_decrypt(xts, tweak, in, len, ret);
    memset(scratch, 0, from);
    memcpy(scratch + from, in, len);
    KS_TRY(encrypt ? ks_xts_encrypt(xts, tweak, scratch, from + len, scratch)
                   : ks_xts_decrypt(xts, tweak, scratch, from + len, scratch));
    memcpy(ret, scratch + from, len);
    return 0;
}

/* Zeros of the plaintext that are to be zeros on the disk. offset: within the unit. */
static void
keep_zeros(const struct tde_shape *shape, size_t offset, const uint8_t *in, size_t len, uint8_t *ret)
{
    size_t at = (shape->zero - offset % shape->zero) % shape->zero;
    for (; at + shape->zero <= len; at += shape->zero)
        if (in[at] == 0 && tde_all_zero(in + at, shape->zero))
            memset(ret + at, 0, shape->zero);
}

int
tde_encrypt(struct ks_xts *xts, const struct tde_shape *shape, uint64_t offset, const uint8_t *in, size_t len,
            uint8_t *ret)
{
    while (len > 0) {
        const size_t from = offset % shape->unit;
        const size_t n = len < shape->unit - from ? len : shape->unit - from;
        size_t work = n;
        if (shape->zero < shape->unit) { /* the rest of a page of WAL: nothing to be done */
            while (work >= shape->zero && (from + work) % shape->zero == 0 &&
                   tde_all_zero(in + work - shape->zero, shape->zero))
                work -= shape->zero;
        } else if (n == shape->unit && tde_all_zero(in, n)) {
            work = 0;
        }
        if (work > 0) {
            KS_TRY(part(xts, true, offset / shape->unit, from, in, work, ret));
            if (shape->zero < shape->unit)
                keep_zeros(shape, from, in, work, ret);
        }
        memset(ret + work, 0, n - work);
        offset += n;
        in += n;
        ret += n;
        len -= n;
    }
    return 0;
}

int
tde_decrypt(struct ks_xts *xts, const struct tde_shape *shape, uint64_t offset, uint8_t *data, size_t len)
{
    while (len > 0) {
        const size_t from = offset % shape->unit;
        const size_t n = len < shape->unit - from ? len : shape->unit - from;
        const uint64_t number = offset / shape->unit;
        if (!any_zero_block(data, n)) {
            KS_TRY(part(xts, false, number, from, data, n, data));
        } else if (!tde_all_zero(data, n)) {
            uint8_t plain[TDE_UNIT_MAX];
            KS_TRY(part(xts, false, number, from, data, n, plain));
            for (size_t i = 0; i < n; i += TDE_BLOCK)
                if (!zero_block(data + i))
                    memcpy(data + i, plain + i, TDE_BLOCK);
        }
        offset += n;
        data += n;
        len -= n;
    }
    return 0;
}

int
tde_tail(struct ks_xts *xts, uint64_t offset, const uint8_t *before, uint8_t *data, size_t len)
{
    static const uint8_t none[KS_XTS_BLOCK];
    uint8_t tweak[KS_XTS_BLOCK], stream[KS_XTS_BLOCK];
    tweak_of(offset / TDE_BLOCK, TWEAK_TAIL, tweak);
    KS_TRY(ks_xts_encrypt(xts, tweak, before != NULL ? before : none, KS_XTS_BLOCK, stream));
    for (size_t i = 0; i < len && i < sizeof(stream); i++)
        data[i] ^= stream[i];
    ks_wipe(stream, sizeof(stream));
    return 0;
}
