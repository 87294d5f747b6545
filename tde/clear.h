/*
 * Looks through an encrypted cluster, stopped or running, for what is in the clear: without any key, by what plaintext
 * looks like. Ciphertext looks like none of it: one in 10^10 of the shortest pieces, and no whole one.
 *
 *   * a page of a relation with a page's header (its version, its flags, its three positions in their order)
 *   * a page of the write-ahead log with that one's (its magic, its flags, an address that is one of a page)
 *   * in all encrypted files: a piece with far fewer different bytes than random ones have, as texts, numbers and
 *     structures do
 *
 * Pieces of zeros are holes and room that was reserved. What it does not see: plaintext that looks random itself, as
 * compressed values in temporary files do, and whatever a class in the clear has in it.
 */
#pragma once

#include "base/mem.h"
#include "tde/classify.h"

struct tde_clear_class {
    uint64_t files, bytes, zeros; /* zeros: bytes of it that are holes and reserved room */
    uint64_t clear_files, clear_pieces;
};

struct tde_clear_finding {
    enum tde_class class;
    const char *path, *what; /* "page header", "WAL page header", "readable bytes"; of a file the first */
    uint64_t offset, pieces; /* of the first; how many */
};

enum { TDE_CLEAR_FINDINGS = 1000 }; /* more are counted, and not named */

struct tde_clear {
    const char *data;
    int major;
    uint32_t catalog; /* folders of other servers in the same tablespace are passed by */
    void (*progress)(void *arg, uint64_t bytes, uint64_t all);
    void *arg;
    struct tde_clear_class classes[TDE_CLASSES];
    uint64_t all; /* bytes that are to be read */
    struct tde_clear_finding *findings;
    size_t n_findings;
    struct ks_buf files;   /* paths, each with its NUL */
    struct ks_buf unknown; /* the same: files that the classifier does not know */
    size_t n_unknown;
};

/* Files that are gone before they are read are none. KS_E_IO, KS_E_LIMIT. */
int tde_clear_scan(struct tde_clear *clear, struct ks_diag *diag) KS_MUST_CHECK;
void tde_clear_done(struct tde_clear *clear);

/* One piece, for tests: NULL, or what it looks like. */
const char *tde_clear_piece(enum tde_class class, const uint8_t *data, size_t len);
