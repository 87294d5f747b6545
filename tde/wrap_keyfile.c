/* The key encryption key is in a file: 32 bytes, or 64 hexadecimal digits. */
#include "base/file.h"
#include "base/text.h"
#include "tde/wrap.h"

enum { KEY_FILE_MAX = 256 };

int
tde_key_bytes(struct ks_span text, const char *whence, struct ks_key32 *ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(KEY_FILE_MAX);
    KS_KEY32 key = {0};
    if (text.len == sizeof(key.b)) {
        memcpy(key.b, text.data, sizeof(key.b));
    } else {
        if (ks_hex_decode(text, &bytes) != 0 || bytes.len != sizeof(key.b))
            return ks_fail(diag, KS_E_MALFORMED, "%s is no key of 256 bits: 32 bytes, or 64 hexadecimal digits, are",
                           whence);
        memcpy(key.b, bytes.data, sizeof(key.b));
    }
    *ret = key;
    return 0;
}

int
tde_key_file_kek(struct tde_slot *slot, const struct tde_how *how, bool fresh, struct ks_key32 *ret,
                 struct ks_diag *diag)
{
    (void)how;
    (void)fresh;
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(KEY_FILE_MAX);
    KS_TRY(ks_file_read_private(slot->path, &text, diag));
    return tde_key_bytes(ks_buf_span(&text), slot->path, ret, diag);
}
