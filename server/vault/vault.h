/*
 * The vault: the process that holds the keys. Frames from the net workers go through the engine, wait for the
 * committer, and go back. One thread owns the engine; the committer has a thread, and what is slow is prepared in two
 * more.
 *
 * States:
 *   sealed   no root key yet: the engine answers Server Status, and Unseal through a hook
 *   open     as usual
 *   failed   a change or an audit record could not be made durable: everything that was under way is answered with
 *            General Failure, the engine forgets what it holds, and nothing is served until store and audit log take
 *            writes again and the engine has loaded from them anew
 */
#pragma once

#include "server/config.h"

struct vault_settings {
    const struct server_config *config; /* kept by reference */
    int control;                        /* the vault's end, see server/control.h; taken over */
    const char *passphrase_file;        /* NULL: none given */
};

/* Runs until told to stop. Returns what the process ends with: 0, or an exit status of an error that was logged. */
int vault_run(const struct vault_settings *settings);
