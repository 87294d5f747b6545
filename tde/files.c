#include "tde/files.h"

#include <errno.h>

_Atomic(struct tde_file *) tde_files[TDE_FILES_MAX];

static _Atomic int highest = -1; /* no descriptor above it was ever ours */

struct tde_file *
tde_files_verified(int fd)
{
    struct tde_file *f = tde_files_at(fd);
    if (f == NULL || tde_file_is(f, fd))
        return f;
    tde_files_drop(fd);
    return NULL;
}

int
tde_files_put(int fd, struct tde_file *file)
{
    if ((unsigned)fd >= TDE_FILES_MAX) {
        tde_file_put(file);
        errno = EMFILE;
        return -1;
    }
    int top = atomic_load(&highest);
    while (fd > top && !atomic_compare_exchange_weak(&highest, &top, fd))
        ;
    tde_file_put(atomic_exchange(&tde_files[fd], file));
    return 0;
}

void
tde_files_drop(int fd)
{
    if (tde_files_at(fd) != NULL)
        tde_file_put(atomic_exchange(&tde_files[fd], NULL));
}

void
tde_files_drop_range(unsigned first, unsigned last)
{
    const int top = atomic_load(&highest);
    for (unsigned fd = first; top >= 0 && fd <= last && fd <= (unsigned)top; fd++)
        tde_files_drop((int)fd);
}

int
tde_files_dup(int from, int to)
{
    struct tde_file *f = tde_files_at(from);
    if (f == NULL) {
        tde_files_drop(to);
        return 0;
    }
    if (from == to)
        return 0;
    tde_file_hold(f);
    return tde_files_put(to, f);
}
