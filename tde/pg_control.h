/* DATA/global/pg_control, as much of it as has been the same in all versions of PostgreSQL. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct tde_control {
    uint32_t catalog;    /* catalog version: part of the names of folders in tablespaces */
    bool stopped;        /* the server, or standby, was shut down cleanly */
    uint64_t checkpoint; /* where the WAL has the last checkpoint */
};

/* KS_E_IO, KS_E_MALFORMED */
int tde_control_read(const char *data, struct tde_control *ret, struct ks_diag *diag) KS_MUST_CHECK;
