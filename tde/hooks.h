/* Between the hooks: the start of each exported function, and what several of them need. */
#pragma once

#include <errno.h>

#include "base/attr.h"
#include "tde/files.h"
#include "tde/process.h"
#include "tde/real.h"
#include "tde/root.h"

/* A function of libc that this library has too. The compiler is told of it once more, as visible. */
#define TDE_HOOK(type, name, args)                                                                                     \
    KS_PUBLIC type name args;                                                                                          \
    type name args

/* Other names of the same function. */
#define TDE_ALIAS(type, name, args, of)                                                                                \
    KS_PUBLIC type name args;                                                                                          \
    type name args __attribute__((alias(#of)))

/*
 * Opens a file of an encrypted class (what says which) and enters it into the table. flags and mode as in open.
 */
int tde_hook_open(int dirfd, const char *path, int flags, mode_t mode, const struct tde_what *what);

/* Is a path, or where it is to be, of an encrypted class? */
bool tde_hook_encrypted(int dirfd, const char *path, struct tde_what *ret);
