/*
 * Cryptographic operations in parts (KMIP 1.3 and later; 2.1: section 6): what the server keeps of one between
 * requests.
 *
 * A stream belongs to the client that began it, to one operation and to one key; whoever else names its Correlation
 * Value hears that there is none. The handler asks for the rights to the key, its state and its limits at every part
 * (engine_use). Streams live in memory alone: they end with a restart, with a load of the engine after a failed commit,
 * and STREAM_LIFE_S after their last part. What is left of them is wiped.
 *
 * A stream that a request has gone on with cannot be put back. So if the item or its batch is undone, the stream ends
 * (tx_rollback).
 */
#pragma once

#include "crypto/cipher.h"
#include "crypto/hash.h"
#include "crypto/mac.h"
#include "crypto/sign.h"
#include "kmip/kmip.h"

struct ctx;
struct client;
struct engine;
struct object;

enum {
    STREAM_LIFE_S = 300,         /* after the last part */
    STREAM_MOST = 256,           /* in all */
    STREAM_CLIENT_MOST = 16,     /* of one client */
    STREAM_COLLECT = 512 * 1024, /* bytes that one collects: the answer has to fit into a message */
    STREAM_COLLECT_ALL = 16 << 20,
    STREAM_VALUE = 20 /* bytes of a Correlation Value: the run of the server, and 16 random ones */
};

/* Where in an operation a request stands. */
enum part { PART_WHOLE, PART_FIRST, PART_NEXT, PART_LAST };

struct stream {
    struct stream *next;
    uint8_t value[STREAM_VALUE];
    const struct client *client;
    uint8_t ticket[32]; /* digest of the one that it was begun with; zeros: none */
    uint32_t operation;
    char uid[37];     /* of the key; empty: none */
    char address[64]; /* of the connection that it was begun over; empty: too long */
    int64_t used_s;
    uint64_t request; /* the one that went on with it last, and which of its touches that was */
    size_t touch;

    /* what the handler keeps; all of it is freed and wiped with the stream */
    struct ks_cipher_stream *cipher;
    struct ks_hash_stream *hash;
    struct ks_mac *mac;
    struct ks_buf whole;        /* for what can not be worked on before the end */
    struct ks_buf claim;        /* the signature, MAC or tag to verify */
    struct ks_sign_params sign; /* points to nothing */
    size_t tag_len;
};

/*
 * A Correlation Value that has done its work, by the last part. The next stream of the same operation with the same key
 * over the same connection gets it again, as the published cases expect (TC-STREAM-ENC-1). Only over the same
 * connection: what is sent again because its answer was lost comes over another one, and must not meet a new stream.
 */
struct stream_spent {
    const struct client *client; /* NULL: none */
    uint32_t operation;
    char uid[37], address[64];
    uint8_t value[STREAM_VALUE];
};

enum { STREAM_SPENT = 64 };

struct streams {
    struct stream *first;
    size_t n, n_spent;
    struct stream_spent spent[STREAM_SPENT]; /* a ring */
};

/* What the request's three fields mean together. */
struct part_fields {
    bool has_correlation, init, final;
};
int stream_part(struct ctx *ctx, const struct part_fields *fields, enum part *ret) KS_MUST_CHECK;
/* Of a request's own fields. */
#define PART_FIELDS(r)                                                                                                 \
    (&(const struct part_fields){.has_correlation = (r)->has_correlation_value,                                        \
                                 .init = (r)->has_init_indicator && (r)->init_indicator,                               \
                                 .final = (r)->has_final_indicator && (r)->final_indicator})

/* Data may be absent from a first and from a last part alone. */
int stream_data(struct ctx *ctx, enum part part, bool has_data) KS_MUST_CHECK;

/* The stream of a further part: of this client, this operation. */
int stream_find(struct ctx *ctx, struct ks_span value, struct stream **ret) KS_MUST_CHECK;

/*
 * The key of a part: the one that uid names, or the ID Placeholder; of a further part the stream's, which uid may name
 * again. *ret is set for further parts alone.
 */
int stream_key(struct ctx *ctx, enum part part, const struct kmip_uid *uid, struct ks_span value, struct stream **ret,
               struct object **ret_key) KS_MUST_CHECK;

/* A new one, in the table. key NULL: the operation has none. */
int stream_open(struct ctx *ctx, const struct object *key, struct stream **ret) KS_MUST_CHECK;

/* To be said before a stream is changed: from here on, if the item fails, the stream is lost. */
void stream_touch(struct ctx *ctx, struct stream *stream);

/* More bytes for stream->whole, within the limits. */
int stream_collect(struct ctx *ctx, struct stream *stream, struct ks_span data) KS_MUST_CHECK;

/* Whether all streams together have room for so many more bytes that are collected. */
int stream_room(struct ctx *ctx, size_t more) KS_MUST_CHECK;

/*
 * The answer's Correlation Value, in the arena, after a first or a further part. After the last one the stream is
 * freed; a whole operation has none. To be called last.
 */
int stream_answer(struct ctx *ctx, enum part part, struct stream *stream, struct ks_span *ret_value,
                  bool *ret_has) KS_MUST_CHECK;

/* Ends those with a key: another one has its name. */
void streams_forget(struct engine *engine, const char *uid);
/* Ends those that lapsed; those touched in the request after a mark; all. */
void streams_expire(struct engine *engine, int64_t now_s);
void streams_rollback(struct engine *engine, size_t touches);
void streams_clear(struct streams *streams);
