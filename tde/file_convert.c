/* A file from the key of one identity to that of another. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tde/file.h"

enum { PART = 65536 }; /* a multiple of every unit */

static uint32_t
flags(const struct tde_file *f)
{
    return tde_classes[tde_file_class(f)].flags;
}

/* Files with tails: as a whole, for the tail hangs on what is in front of it. They are small. */
static int
convert_whole(int fd, struct tde_file *from, struct tde_file *to, uint8_t *plain, size_t size)
{
    if (tde_file_pread(from, fd, plain, size, 0) != (ssize_t)size || tde_file_truncate(to, fd, 0) != 0)
        return -1;
    return tde_file_pwrite(to, fd, plain, size, 0) == (ssize_t)size ? 0 : -1;
}

static int
convert_parts(int fd, struct tde_file *from, struct tde_file *to, uint8_t *plain, size_t size, off_t most)
{
    for (off_t at = 0; at < most;) {
        const size_t part = (size_t)(most - at) < size ? (size_t)(most - at) : size;
        const ssize_t got = tde_file_pread(from, fd, plain, part, at);
        if (got <= 0)
            return got < 0 ? -1 : 0;
        if (tde_file_pwrite(to, fd, plain, (size_t)got, at) != got)
            return -1;
        at += got;
    }
    return 0;
}

int
tde_file_convert(int fd, struct tde_file *from, struct tde_file *to, off_t most)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -1;
    if (most < 0 || most > st.st_size)
        most = st.st_size;
    if (most == 0)
        return 0;
    const bool whole = (flags(from) & flags(to) & TDE_FIXED) == 0;
    const size_t size = whole ? (size_t)st.st_size : PART;
    uint8_t *plain = malloc(size);
    if (plain == NULL)
        return -1;
    const int rc = whole ? convert_whole(fd, from, to, plain, size) : convert_parts(fd, from, to, plain, size, most);
    ks_wipe(plain, size);
    free(plain);
    return rc != 0 ? rc : fdatasync(fd);
}
