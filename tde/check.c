#include "tde/check.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "tde/keys.h"
#include "tde/real.h"

enum { VALUE = 32, ROW = TDE_BUNDLE_ID + VALUE, MOST = TDE_BUNDLE_KEYS_MAX * ROW };

static const char magic[8] = {'K', 'S', 'T', 'D', 'E', 'C', 'K', '1'};

static int
row_of(const struct tde_bundle_key *key, uint8_t ret[ROW])
{
    memcpy(ret, key->id, TDE_BUNDLE_ID);
    return tde_keys_check_value(key, ret + TDE_BUNDLE_ID);
}

int
tde_check_of(unsigned which, const char *root, char *why, size_t size)
{
    char path[4200];
    uint8_t text[sizeof(magic) + MOST];
    snprintf(path, sizeof(path), "%s/" TDE_CHECK, root);
    const int fd = tde_real()->open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    const ssize_t n = fd >= 0 ? tde_real()->read(fd, text, sizeof(text)) : -1;
    if (fd >= 0)
        tde_real()->close(fd);
    if (n < (ssize_t)(sizeof(magic) + ROW) || memcmp(text, magic, sizeof(magic)) != 0) {
        snprintf(why, size, "%s: cannot be read, or is not what the encryption layer wrote; nothing was touched", path);
        return KS_E_CORRUPT;
    }
    const struct tde_bundle *bundle = tde_keys_bundle_of(which);
    size_t same = 0;
    for (uint32_t i = 0; i < bundle->count; i++) {
        uint8_t mine[ROW];
        if (bundle->keys[i].state != TDE_KEY_ACTIVE)
            continue;
        KS_TRY(row_of(&bundle->keys[i], mine));
        for (size_t at = sizeof(magic); at + ROW <= (size_t)n; at += ROW)
            if (memcmp(text + at, mine, TDE_BUNDLE_ID) == 0 && ks_equal_secret(text + at, mine, ROW))
                same++;
    }
    if (same == TDE_PURPOSE_MISC)
        return 0;
    snprintf(why, size, "the keys that were handed over are not those of the cluster in \"%s\"; nothing was touched",
             root);
    return KS_E_INTEGRITY;
}

int
tde_check(const char *root, char *why, size_t size)
{
    return tde_check_of(0, root, why, size);
}

int
tde_check_write(const char *root)
{
    char path[4200];
    uint8_t text[sizeof(magic) + MOST];
    const struct tde_bundle *bundle = tde_keys_bundle();
    size_t len = sizeof(magic);
    memcpy(text, magic, sizeof(magic));
    for (uint32_t i = 0; i < bundle->count; i++) {
        if (bundle->keys[i].state != TDE_KEY_ACTIVE)
            continue;
        if (row_of(&bundle->keys[i], text + len) != 0) {
            errno = EIO;
            return -1;
        }
        len += ROW;
    }
    snprintf(path, sizeof(path), "%s/keystead", root);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return -1;
    snprintf(path, sizeof(path), "%s/" TDE_CHECK, root);
    const int fd = tde_real()->open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? 0 : -1;
    const bool good = tde_real()->write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
    tde_real()->close(fd);
    return good ? 0 : -1;
}
