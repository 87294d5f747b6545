/*
 * Hashes and HMACs by KMIP Hashing Algorithm: SHA-1, the SHA-2 and the SHA-3 family. MD2, MD4, Tiger and Whirlpool are
 * not offered (KS_E_UNSUPPORTED). SHA-1 is there for HMAC, OAEP and old peers; whether a policy allows it is the
 * caller's decision. MD5 and RIPEMD-160 are weak: ks_hash, struct ks_hash_stream and ks_hmac know them, for a caller
 * whose policy allows that; to everything else they are not offered.
 */
#pragma once

#include "base/mem.h"

enum { KS_HASH_MAX = 64, KS_SHA256 = 32 };

/* Bytes of output; 0 where the algorithm is not offered. */
size_t ks_hash_len(uint32_t hash);

/* Whether it is one of the weak ones. */
bool ks_hash_is_weak(uint32_t hash);

/* "SHA-256" and so on; NULL where it is not offered. */
const char *ks_hash_name(uint32_t hash);

/* KMIP Hashing Algorithm of a KMIP Cryptographic Algorithm HMAC-...; 0 where it is none that is offered. */
uint32_t ks_hash_of_hmac(uint32_t algorithm);

/* The other way round; 0 where KMIP has no HMAC with it. */
uint32_t ks_hmac_of_hash(uint32_t hash);

/* One shot; ret holds ks_hash_len(hash) bytes (KS_HASH_MAX always suffices). */
int ks_hash(uint32_t hash, struct ks_span data, uint8_t *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* Any hash over what comes in parts. final ends it; ret holds ks_hash_len bytes. Not for two threads at once. */
struct ks_hash_stream;
int ks_hash_stream_new(uint32_t hash, struct ks_hash_stream **ret, struct ks_diag *diag) KS_MUST_CHECK;
int ks_hash_stream_update(struct ks_hash_stream *stream, struct ks_span data, struct ks_diag *diag) KS_MUST_CHECK;
int ks_hash_stream_final(struct ks_hash_stream *stream, uint8_t *ret, size_t *ret_len,
                         struct ks_diag *diag) KS_MUST_CHECK;
void ks_hash_stream_free(struct ks_hash_stream *stream); /* accepts NULL */

/* SHA-256 over the concatenation of n spans (a hash chain: previous digest, record). */
int ks_sha256(const struct ks_span *parts, size_t n, uint8_t ret[KS_SHA256]) KS_MUST_CHECK;

/*
 * Incremental SHA-256. The object is reusable: _final starts the next message. Not for two threads at once.
 *
 *     struct ks_sha256_ctx *ctx;
 *     KS_TRY(ks_sha256_new(&ctx));
 *     KS_TRY(ks_sha256_update(ctx, head)); KS_TRY(ks_sha256_update(ctx, body));
 *     KS_TRY(ks_sha256_final(ctx, digest));
 *     ks_sha256_free(ctx);
 */
struct ks_sha256_ctx;
int ks_sha256_new(struct ks_sha256_ctx **ret) KS_MUST_CHECK;
int ks_sha256_update(struct ks_sha256_ctx *ctx, struct ks_span data) KS_MUST_CHECK;
int ks_sha256_final(struct ks_sha256_ctx *ctx, uint8_t ret[KS_SHA256]) KS_MUST_CHECK;
/* The digest of what came so far; the message goes on. */
int ks_sha256_peek(struct ks_sha256_ctx *ctx, uint8_t ret[KS_SHA256]) KS_MUST_CHECK;
void ks_sha256_free(struct ks_sha256_ctx *ctx);

/* HMAC (RFC 2104) one shot; ret holds ks_hash_len(hash) bytes. Keys of any length but 0. */
int ks_hmac(uint32_t hash, struct ks_span key, struct ks_span data, uint8_t *ret, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * A keyed HMAC for many messages (name index, audit MAC): half the price of ks_hmac. Not for two threads at once.
 * The key is wiped with the object.
 */
struct ks_hmac_key;
int ks_hmac_key_new(uint32_t hash, struct ks_span key, struct ks_hmac_key **ret, struct ks_diag *diag) KS_MUST_CHECK;
/* Over the concatenation of n spans. */
int ks_hmac_key_sum(struct ks_hmac_key *key, const struct ks_span *parts, size_t n, uint8_t *ret) KS_MUST_CHECK;
void ks_hmac_key_free(struct ks_hmac_key *key);

/*
 * SipHash-2-4 of 64 bits, keyed: for tables in memory whose entries clients choose, so that nobody can make them
 * collide. No authenticator for anything that is stored. Not for two threads at once.
 */
enum { KS_SIPHASH_KEY = 16 };
struct ks_siphash_key;
int ks_siphash_key_new(const uint8_t key[KS_SIPHASH_KEY], struct ks_siphash_key **ret) KS_MUST_CHECK;
/* Over the concatenation of n spans. */
int ks_siphash_sum(struct ks_siphash_key *key, const struct ks_span *parts, size_t n, uint64_t *ret) KS_MUST_CHECK;
void ks_siphash_key_free(struct ks_siphash_key *key); /* wipes; accepts NULL */
