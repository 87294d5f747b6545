/* Keys that were made outside the engine's thread. */
#pragma once

#include "crypto/keyformat.h"
#include "server/engine/engine.h"

enum { PREPARED_MOST = ENGINE_WANTED_MOST };

struct prepared_key {
    uint32_t bits;       /* as asked for; 0: the default */
    struct ks_pkey *key; /* NULL: taken */
};

struct engine_prepared {
    size_t n;
    struct prepared_key v[PREPARED_MOST];
};
