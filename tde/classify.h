/*
 * From a path to what the file is: its class, and its identity, from which its key is derived. Pure: no files, no
 * state.
 *
 *     struct tde_what what;
 *     tde_classify(15, "base/5/1259_vm", &what);      what.class == TDE_REL, what.identity is "5/1259_vm"
 *
 * The identity is what a file keeps over the renames that PostgreSQL does with it, and what is the same on all nodes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tde/bundle.h"

enum { TDE_IDENTITY_MAX = 256 };

/* Data directories that one process knows: its own, and what pg_upgrade and pg_rewind read from. */
enum { TDE_ROOTS = 2 };

enum tde_class {
#define TDE_CLASS(id, name, key, unit, zero, flags, text) TDE_##id,
#include "tde/classify.def"
#undef TDE_CLASS
    TDE_CLASSES
};

enum {
    TDE_KEY_NONE = 0,
    TDE_KEY_REL = TDE_PURPOSE_REL,
    TDE_KEY_WAL = TDE_PURPOSE_WAL,
    TDE_KEY_MISC = TDE_PURPOSE_MISC,
    TDE_KEY_TEMP, /* drawn at each start */
    TDE_KEYS,
};

enum { /* flags of a class */
       TDE_RAW = 1,
       TDE_FIXED = 2,
       TDE_ONE_WRITER = 4,
       TDE_LOCKED = 8,
       TDE_READ_AHEAD = 16,
};

enum tde_where { TDE_ROOT, TDE_ANYWHERE, TDE_TABLESPACE };

struct tde_class_row {
    const char *name, *text;
    uint32_t key, unit, zero, flags;
};
extern const struct tde_class_row tde_classes[TDE_CLASSES];

struct tde_file_row {
    enum tde_class class;
    int first, last;
    enum tde_where where;
    const char *pattern, *text;
};
extern const struct tde_file_row tde_file_rows[];
extern const size_t tde_file_rows_count;

struct tde_what {
    enum tde_class class;
    const struct tde_file_row *row; /* NULL: TDE_UNKNOWN */
    unsigned root;                  /* whose keys it has: 0, or 1 for the second data directory (root.h sets it) */
    char identity[TDE_IDENTITY_MAX];
};

/* path is relative to the data directory, without "." and ".."; major 0: that is not known, rows of all majors count.
 */
void tde_classify(int major, const char *path, struct tde_what *ret);

/*
 * path is absolute and outside of the data directory. tablespaces: whether paths like .../PG_15_202209061/5/1259 count,
 * which is for tools alone: the server goes through pg_tblspc. What no row knows is TDE_CLEAR here.
 */
void tde_classify_outside(int major, const char *path, bool tablespaces, struct tde_what *ret);

static inline bool tde_is_encrypted(enum tde_class class)
{
    return tde_classes[class].key != TDE_KEY_NONE;
}
