/*
 * The data directory of this process, and where a path that it is given lies in relation to it. pg_upgrade and
 * pg_rewind know a second one, from which they read.
 */
#pragma once

#include "tde/classify.h"

enum { TDE_PATH_MAX = 4096 };

/* An absolute path; the directory need not exist yet. major 0: to be read from PG_VERSION when it is there. */
void tde_root_set(const char *path, bool tablespaces_outside);
void tde_root_tablespaces(void); /* from now on tablespaces are reached by their own paths as well */
const char *tde_root(void);      /* "": none */

/* The second, which exists. plain: it is not encrypted. false: there is none there, or it is the first. */
bool tde_root_second(const char *path, bool plain);
const char *tde_root_of(unsigned which); /* "": none */

void tde_root_cwd_changed(void);
int tde_root_major(void);

/*
 * What a path is, and in which of the two. dirfd as in openat. UNKNOWN only below a data directory. What a plain one
 * has is CLEAR; the row is what it would be otherwise.
 */
void tde_root_classify(int dirfd, const char *path, struct tde_what *ret);

/* The path below the data directory of this process; false: it is elsewhere. */
bool tde_root_relative(int dirfd, const char *path, char ret[TDE_PATH_MAX]);
