/*
 * Faults in the calls that write and sync: this program's own pwrite, fdatasync, fsync and ftruncate stand before the
 * C library's, for SQLite too. The n-th such call after shim_arm is hit.
 *
 * It also keeps, in a folder of its own, each file as it was when it was last synced: what a power failure is sure to
 * leave.
 */
#pragma once

#include "base/mem.h"

/* FAULT(name, pwrite only, ends the process, goes on until shim_heal) */
#define FAULTS                                                                                                         \
    FAULT(SHORT, true, false, false)      /* half is written, the call says so: no error */                            \
    FAULT(EIO, false, false, false)       /* nothing done */                                                           \
    FAULT(ENOSPC, true, false, false)     /* nothing done */                                                           \
    FAULT(HALF_ENOSPC, true, false, true) /* half is written, then the disk is full */                                 \
    FAULT(DEAD_DISK, false, false, true)  /* EIO from here on */                                                       \
    FAULT(KILL_BEFORE, false, true, false)                                                                             \
    FAULT(KILL_HALF, true, true, false) /* half is written */                                                          \
    FAULT(KILL_AFTER, false, true, false)

enum fault {
#define FAULT(name, writes, ends, lasts) FAULT_##name,
    FAULTS
#undef FAULT
        FAULT_COUNT
};

extern const char *const fault_names[FAULT_COUNT];

/* at: from 1; 0 only counts. shadow: folder for the synced copies, which exists. */
void shim_arm(enum fault fault, size_t at, const char *shadow);
void shim_heal(void); /* what lasts ends */
size_t shim_calls(void);
enum { SHIM_KILLED = 77 }; /* exit status of a process that a fault ended */
