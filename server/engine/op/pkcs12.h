/* A private key and the chain of its certificates as a PKCS#12 container (KMIP 2.1: 6.1.19). */
#pragma once

#include "server/engine/op/op.h"

/*
 * Of the private key, its PKCS#12 Password Link and the certificates that its links lead to. material: what is kept of
 * the key, replaced by the container.
 */
int pkcs12_make(struct ctx *ctx, const struct object *object, struct material *material) KS_MUST_CHECK;
