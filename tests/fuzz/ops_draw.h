/* What the bytes of an input of fuzz_ops.c decide: values, attributes and payloads, by the rows of kmip/spec. */
#pragma once

#include "fuzz.h"
#include "kmip/schema.h"

enum { POOL = 48, POOL_BYTES = 1024, SAME_MOST = 6, DEPTH_MAX = 6, ATTRIBUTES_MAX = 6, KIT_KEYS = 12 };

/* Values that answers gave, by what they are. The oldest give way. */
struct pool {
    size_t n, next;
    struct value {
        uint32_t tag;
        size_t len;
        uint8_t b[POOL_BYTES];
    } v[POOL];
};
void pool_add(struct pool *pool, uint32_t tag, struct ks_span s);

/* What takes too long to make for each input: certificates, a request for one, keys in several formats. */
struct kit {
    struct ks_buf ca, certificate, request, keys[KIT_KEYS];
    size_t n_keys;
};
#define KIT_PASSPHRASE KS_LIT("open sesame") /* with which the rig unseals */

struct feed {
    const uint8_t *data;
    size_t len, pos;
    enum kmip_version version;
    size_t item;     /* of the batch, from 0 */
    uint32_t sparse; /* from 1: what can be left out mostly is */
    struct ks_arena *arena;
    const struct kit *kit;
    int64_t now_us;
    bool by_pkcs11; /* the story is one of PKCS#11 calls for the most part */
    bool for_two;   /* what was drawn last takes two administrators */
    bool for_admin; /* what was drawn last is an administrator's to ask for */
    struct pool uids, values, texts;
    struct pool mine; /* objects that whoever asks has now */
};

/* Below n; 0 where the input is at its end. */
uint32_t draw(struct feed *f, uint32_t n);
/* A copy in the arena; zeros there. */
struct ks_span keep(struct feed *f, struct ks_span s);
void *fresh(struct feed *f, size_t size);

struct ks_span draw_uid_text(struct feed *f);
void draw_struct(struct feed *f, const struct kmip_schema *schema, void *to, unsigned depth);

void add_number(struct feed *f, struct kmip_attrs *attrs, uint32_t tag, uint8_t type, uint32_t number);
/* The one attribute of one's own that there is: x-purpose. */
void add_custom(struct feed *f, struct kmip_attrs *attrs);
void add_date(struct feed *f, struct kmip_attrs *attrs, uint32_t tag, int64_t seconds);
