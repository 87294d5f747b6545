/*
 * What the server's processes give up once they are set up. Nothing here can be taken back.
 *
 * All: no core dumps, not traceable or readable by others of the same user, no new privileges.
 * Net worker: as root, another user in an empty folder; system calls from an allow-list: no file is opened, no socket
 * made, no program run, no process signalled.
 * Vault: memory locked; no program run, no socket made, no other process looked at.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"

/* What holds for all of them; the supervisor has no more than this. The others do it themselves. */
int sandbox_all(struct ks_diag *diag) KS_MUST_CHECK;

/* Dies with the parent, whose process number was `parent`. KS_E_CLOSED: it is dead already. */
int sandbox_follow_parent(int parent) KS_MUST_CHECK;

/*
 * user: to change to if this is root. dir: where a folder can be made, which is gone again when this returns. Follows
 * the parent again, since a change of user ends that.
 */
int sandbox_net(const char *user, const char *dir, int parent, struct ks_diag *diag) KS_MUST_CHECK;

/* The same for the notifier, which makes connections: sockets of IPv4 and IPv6 may be made and connected. */
int sandbox_notifier(const char *user, const char *dir, int parent, struct ks_diag *diag) KS_MUST_CHECK;

/* *ret_locked (may be NULL) says whether the memory is locked: limits may not allow it. */
int sandbox_vault(bool *ret_locked, struct ks_diag *diag) KS_MUST_CHECK;
