/* The supervisor and the vault: small messages over a SOCK_SEQPACKET pair, some with a descriptor. */
#pragma once

#include "base/err.h"

enum control_type {
    /* supervisor -> vault */
    CONTROL_WORKER = 'w',   /* the vault's end of a new net worker's socket pair comes along */
    CONTROL_NOTIFIER = 'n', /* the vault's end of the notifier's socket pair comes along */
    CONTROL_RELOAD = 'h',   /* SIGHUP: read the configuration again, and put it on record */
    CONTROL_STOP = 's',     /* the net workers are gone: finish, put it on record, end */
    /* vault -> supervisor */
    CONTROL_READY = 'r',
    CONTROL_SEALED = 'e', /* ready, but sealed */
};

/* fd: -1, or a descriptor to send along; it stays the caller's. KS_E_CLOSED: the other side is gone. */
int control_send(int control, enum control_type type, int fd) KS_MUST_CHECK;

/* *ret_fd is -1 where none came; else the caller's. Blocks. KS_E_CLOSED, KS_E_MALFORMED. */
int control_receive(int control, enum control_type *ret_type, int *ret_fd) KS_MUST_CHECK;
