/* Calls of PKCS#11 for the stories of fuzz_ops.c: most are what the function takes, with handles that there may be. */
#pragma once

#include "ops_draw.h"

void draw_pkcs11(struct feed *f, struct kmip_pkcs_11_request *ret);
