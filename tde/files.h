/* Which descriptor of this process is which encrypted file. Looking one up takes no lock. */
#pragma once

#include "tde/file.h"

enum { TDE_FILES_MAX = 65536 }; /* an encrypted file on a higher descriptor is refused (EMFILE) */

extern _Atomic(struct tde_file *) tde_files[TDE_FILES_MAX];

/* The file on this descriptor; NULL: none of ours. */
static inline struct tde_file *
tde_files_at(int fd)
{
    if ((unsigned)fd >= TDE_FILES_MAX)
        return NULL;
    return atomic_load_explicit(&tde_files[fd], memory_order_acquire);
}

/*
 * The same for calls that sockets and pipes are used with too: if libc closed the descriptor behind our back and it is
 * something else now, it is forgotten, and NULL.
 */
struct tde_file *tde_files_verified(int fd);

int tde_files_put(int fd, struct tde_file *file); /* takes the file over; 0, or -1 and EMFILE */
void tde_files_drop(int fd);                      /* before fd is closed or becomes another */
void tde_files_drop_range(unsigned first, unsigned last);
int tde_files_dup(int from, int to); /* both are the same open file now */
