/* Keys for the tests of the encryption layer: a bundle whose keys are 1, 2 and 3 over and over, in a sealed memfd. */
#pragma once

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tde/bundle.h"

static inline int
tde_rig_memfd(int seals)
{
    struct tde_bundle b = {.size = sizeof(b), .count = 3, .epoch = 1};
    memcpy(b.magic, TDE_BUNDLE_MAGIC, sizeof(b.magic));
    for (uint32_t i = 0; i < b.count; i++) {
        b.keys[i] = (struct tde_bundle_key){.purpose = i + 1, .generation = 1, .state = TDE_KEY_ACTIVE};
        memset(b.keys[i].id, (int)i + 1, sizeof(b.keys[i].id));
        memset(b.keys[i].key, (int)i + 1, sizeof(b.keys[i].key));
    }
    const int fd = memfd_create("keystead", MFD_ALLOW_SEALING);
    if (fd < 0 || pwrite(fd, &b, sizeof(b), 0) != (ssize_t)sizeof(b) || fcntl(fd, F_ADD_SEALS, seals) != 0)
        return -1;
    return fd;
}

#define TDE_RIG_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
