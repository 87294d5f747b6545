/*
 * What `keystead key encrypt` writes for a file that is larger than a request: a line of JSON, and segments that are
 * encrypted and authenticated one by one, so that neither side ever holds more than one of them.
 *
 *     {"keystead": 2, "key": "0193...", "mode": "GCM", "file": "<16 bytes, hexadecimal>"}\n
 *     segment 0, segment 1, ... and the last one; nothing behind it
 *
 *     segment:  1 byte   1 for the last segment, else 0
 *               4 bytes  length of the data, big-endian: 1 to 524288; 0 only for the last one
 *              12 bytes  IV, made by the server
 *              16 bytes  tag
 *                        data: AES-GCM
 *     additional data of a segment: "keystead segment" (16 bytes), file (16 bytes, random for each file), number of the
 *               segment from 0 (8 bytes, big-endian), the byte that says whether it is the last one, and what --aad
 * gave
 *
 * A segment that was changed, left out, repeated, moved, cut off or taken from another file does not decrypt.
 */
#pragma once

#include "cli/cli.h"

enum { SEGMENT_DATA = 512 * 1024 };

/* A file or standard input that is read on after some of it is in memory. */
struct source {
    const char *path;
    int fd;             /* -1: not open */
    struct ks_buf head; /* what was read ahead */
    size_t taken;       /* of that */
};
#define SOURCE(name, most)                                                                                             \
    {                                                                                                                  \
        .path = (name), .fd = -1, .head = KS_BUF(most)                                                                 \
    }
/* "-": standard input. Reads ahead until the head is as long as it may be, or the file ends. */
int source_open(struct cli *cli, struct source *source) KS_MUST_CHECK;
void source_done(struct source *source); /* wipes */
/* The next `len` bytes in place of what is in the buffer; fewer: the file ends. */
int source_read(struct cli *cli, struct source *source, size_t len, struct ks_buf *ret) KS_MUST_CHECK;

/* The line of JSON at the beginning; false: there is none of this version, whatever else it may be. */
bool segments_begin(struct ks_span head, char ret_key[KS_UID_SIZE]);

/*
 * All of the source with the key; crypto: algorithm and GCM's lengths. out: a file, which is there only when all of it
 * is; NULL: standard output, on which what came before an error is authentic, and not the whole.
 */
struct segments {
    const char *uid;
    const struct ks_crypto_params *crypto;
    struct ks_span aad;
    const char *out;
};
int segments_encrypt(struct cli *cli, const struct segments *with, struct source *in) KS_MUST_CHECK;
int segments_decrypt(struct cli *cli, const struct segments *with, struct source *in) KS_MUST_CHECK;
