/*
 * What `keystead key encrypt` writes and `keystead key decrypt` reads: one JSON object with all that decryption needs
 * but the key and the additional data.
 *
 *     {"keystead": 1, "key": "0193...", "mode": "GCM", "iv": "...", "tag": "...", "data": "..."}    (hexadecimal)
 */
#pragma once

#include <keystead/client.h>

#include "base/mem.h"

struct envelope {
    char key[KS_UID_SIZE];
    uint32_t mode; /* Block Cipher Mode */
    struct ks_buf iv, tag, data;
};
enum { ENVELOPE_DATA_MAX = 8 << 20 };
#define ENVELOPE                                                                                                       \
    {                                                                                                                  \
        .iv = KS_BUF(1024), .tag = KS_BUF(1024), .data = KS_BUF(ENVELOPE_DATA_MAX)                                     \
    }
void envelope_done(struct envelope *envelope);

int envelope_write(const char *key, uint32_t mode, const struct ks_cipher_result *result,
                   struct ks_buf *ret) KS_MUST_CHECK;
/* KS_E_MALFORMED, KS_E_UNSUPPORTED (a later version), KS_E_LIMIT. */
int envelope_read(struct ks_span text, struct envelope *ret, struct ks_diag *diag) KS_MUST_CHECK;
