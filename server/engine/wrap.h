/* Wrapping keys with keys (KMIP 1.4: 2.1.5, 2.1.6). */
#pragma once

#include "server/engine/material.h"

/* Fills the block's Key Value and Key Wrapping Data with the material wrapped as the specification says. */
int wrap_key_block(struct ctx *ctx, const struct object *object, const struct kmip_key_wrapping_specification *how,
                   const struct material *material, struct kmip_key_block *block) KS_MUST_CHECK;

/* Cryptographic Parameters for a use of a key: those of the request, else the key's first attribute of that name, else
 * none. */
int parameters_of(struct ctx *ctx, const struct object *key, const struct kmip_cryptographic_parameters *asked,
                  const struct kmip_cryptographic_parameters **ret) KS_MUST_CHECK;
