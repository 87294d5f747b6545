/*
 * Key material: how it is kept and how it travels.
 *
 * Kept it is a byte that says what follows, and the bytes: those of Key Material, TTLV of a Key Material that is a
 * structure (transparent formats), or the Byte String that a wrapped Key Value is.
 */
#pragma once

#include "crypto/keyformat.h"
#include "server/engine/ctx.h"

enum material_kind { MATERIAL_BYTES, MATERIAL_ITEM, MATERIAL_WRAPPED };

struct material {
    enum material_kind kind;
    struct ks_span bytes;
};

/* The material of an object, opened into the arena. */
int material_open(struct ctx *ctx, const struct object *object, struct material *ret) KS_MUST_CHECK;

/* Makes it the material of a draft, with its Digest and Key Value Present's consequence. */
int material_put(struct ctx *ctx, struct rev *draft, enum material_kind kind, struct ks_span bytes) KS_MUST_CHECK;

/*
 * The Key Format Type of an asymmetric key for which nobody asked for one, in the version of the request. It is for
 * what the server makes: what was registered stays in its format, and comes back in it, in the published cases too.
 */
uint32_t material_default_format(const struct ctx *ctx, const struct ks_pkey *key, bool is_private);

/*
 * material_put for an asymmetric key that was read from the material. From 2.0 a key in another format than the default
 * has a Digest in that, too (4.21), and a transparent one in every version: whoever fetches it so can tell that it is
 * the same.
 */
int material_put_key(struct ctx *ctx, struct rev *draft, const struct material *material,
                     const struct ks_pkey *key) KS_MUST_CHECK;

/* The object of a Register request: facts and material into the draft, whose attributes are already there. */
int material_register(struct ctx *ctx, const struct kmip_managed_object *from, struct rev *draft) KS_MUST_CHECK;

/* The same for an object that comes wrapped and is to be unwrapped; ret_attributes: what was wrapped with the key. */
int material_unwrap(struct ctx *ctx, const struct kmip_managed_object *from, struct rev *draft,
                    struct kmip_attrs *ret_attributes) KS_MUST_CHECK;

/* An asymmetric key as an object of crypto/. KS_E_UNSUPPORTED: a format or an algorithm that is not offered. */
int material_pkey(struct ctx *ctx, const struct rev *rev, const struct material *material,
                  struct ks_pkey **ret) KS_MUST_CHECK;
/* The bytes of a symmetric key, in whatever format it is kept. */
int material_symmetric(struct ctx *ctx, const struct object *object, struct ks_span *ret) KS_MUST_CHECK;

/* A key in a format: material in that form. Fails with KEY_FORMAT. */
int material_export(struct ctx *ctx, const struct ks_pkey *key, uint32_t format, bool is_private,
                    struct material *ret) KS_MUST_CHECK;

/* Symmetric keys and secret data (Raw, Opaque, Transparent Symmetric Key) in another of these formats. */
int material_convert_bytes(struct ctx *ctx, const struct object *object, uint32_t format,
                           struct material *material) KS_MUST_CHECK;

/* The public key of an elliptic curve, as it is kept, into a format with its point written as the Key Compression Type
 * says. */
int material_compress(struct ctx *ctx, const struct rev *rev, uint32_t format, uint32_t compression,
                      struct material *material) KS_MUST_CHECK;

/* The Key Value that holds the material; attributes (may be NULL) go into it. */
int material_key_value(struct ctx *ctx, const struct material *material, const struct kmip_attrs *attributes,
                       struct kmip_item **ret) KS_MUST_CHECK;

bool material_is_transparent(uint32_t format);
bool material_is_key(uint32_t object_type); /* has a Key Block */
