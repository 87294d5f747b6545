/*
 * Ranges of bytes of a file to ranges of bytes. Pure: no files, no state but the key's.
 *
 * A file is XTS data units of its class's size, numbered from 0, of blocks of 16 bytes. Ranges begin and end at blocks,
 * wherever that is within a unit. What is behind the last whole block, the tail, has no block to be encrypted in: it is
 * combined with a stream that comes of its position and of the ciphertext of the block in front of it, so that the
 * same stream is met again only where both are the same.
 *
 * Zeros: a block that is all zeros on the disk is zeros (holes, and what ftruncate and posix_fallocate add). Whole
 * aligned pieces of zeros, as long as the class says, are written as zeros.
 */
#pragma once

#include "base/mem.h"
#include "crypto/xts.h"

enum { TDE_BLOCK = KS_XTS_BLOCK, TDE_UNIT_MAX = 8192 };

struct tde_shape {
    uint32_t unit; /* bytes of a data unit: a multiple of TDE_BLOCK, at most TDE_UNIT_MAX */
    uint32_t zero; /* so many aligned zeros stay zeros; unit is a multiple of it, or it is unit */
};

/* offset and len are multiples of TDE_BLOCK. ret may not overlap in. KS_E_CRYPTO. */
int tde_encrypt(struct ks_xts *xts, const struct tde_shape *shape, uint64_t offset, const uint8_t *in, size_t len,
                uint8_t *ret) KS_MUST_CHECK;

/* In place. */
int tde_decrypt(struct ks_xts *xts, const struct tde_shape *shape, uint64_t offset, uint8_t *data,
                size_t len) KS_MUST_CHECK;

/*
 * The tail of len < TDE_BLOCK bytes, there or back, in place. offset: of its first byte. before: the block of
 * ciphertext in front of it, NULL where offset is 0.
 */
int tde_tail(struct ks_xts *xts, uint64_t offset, const uint8_t *before, uint8_t *data, size_t len) KS_MUST_CHECK;

bool tde_all_zero(const uint8_t *data, size_t len);
