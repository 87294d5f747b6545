/*
 * What leaves by the replication protocol. Base backups are read past the layer: they are ciphertext, unless the client
 * asks for one in the clear and a permit says so. WAL cannot be streamed as ciphertext, since the protocol sends parts
 * of it that are no blocks: it goes to clients alone that say that they encrypt it.
 */
#pragma once

#include "tde/process.h"

/* Defines the settings, and takes the state's `sends` over. */
void guard_backup_init(struct tde_state *state);
