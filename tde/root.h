/* The data directory of this process, and where a path that it is given lies in relation to it. */
#pragma once

#include "tde/classify.h"

enum { TDE_PATH_MAX = 4096 };

/* An absolute path; the directory need not exist yet. major 0: to be read from PG_VERSION when it is there. */
void tde_root_set(const char *path, bool tablespaces_outside);
void tde_root_tablespaces(void); /* from now on tablespaces are reached by their own paths as well */
const char *tde_root(void);      /* "": none */
void tde_root_cwd_changed(void);
int tde_root_major(void);

/* What a path is. dirfd as in openat. UNKNOWN only below the data directory. */
void tde_root_classify(int dirfd, const char *path, struct tde_what *ret);

/* The path below the data directory that the last call of tde_root_classify found, for messages. */
bool tde_root_relative(int dirfd, const char *path, char ret[TDE_PATH_MAX]);
