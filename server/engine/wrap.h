/* Wrapping keys with keys, and unwrapping (KMIP 1.4: 2.1.5, 2.1.6; 2.1: 3.3, 7.18). */
#pragma once

#include "server/engine/material.h"

/* Fills the block's Key Value and Key Wrapping Data with the material wrapped as the specification says. */
int wrap_key_block(struct ctx *ctx, const struct object *object, const struct kmip_key_wrapping_specification *how,
                   const struct material *material, struct kmip_key_block *block) KS_MUST_CHECK;

/* Whether what is wrapped so can be read by whoever sees it: MACed or signed, and not encrypted. */
bool wrap_is_readable(uint32_t method);

/*
 * The Key Value (as it stands in a Key Block) unwrapped as its Key Wrapping Data says, with keys that this client may
 * use for that. ret_attributes: those that were wrapped with the key.
 */
int unwrap_key_value(struct ctx *ctx, const struct kmip_key_wrapping_data *how, const struct kmip_item *value,
                     struct material *ret, struct kmip_attrs *ret_attributes) KS_MUST_CHECK;

/* The material of an object that was registered wrapped, unwrapped. */
int unwrap_object(struct ctx *ctx, const struct object *object, struct material *ret) KS_MUST_CHECK;

/* Key Material of a Key Value that is a structure. */
int key_value_material(struct ctx *ctx, const struct kmip_item *value, struct material *ret) KS_MUST_CHECK;

/* Cryptographic Parameters for a use of a key: those of the request, else the key's first attribute of that name, else
 * none. */
int parameters_of(struct ctx *ctx, const struct object *key, const struct kmip_cryptographic_parameters *asked,
                  const struct kmip_cryptographic_parameters **ret) KS_MUST_CHECK;
