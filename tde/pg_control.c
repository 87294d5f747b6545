#include "tde/pg_control.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

/* What the structure begins with, in the byte order of the machine. */
struct begin {
    uint64_t system;
    uint32_t version, catalog, state;
    int64_t time;
    uint64_t checkpoint;
};

enum { SHUTDOWNED = 1, SHUTDOWNED_IN_RECOVERY = 2, STATES = 7, CONTROL_MAX = 65536 };

int
tde_control_read(const char *data, struct tde_control *ret, struct ks_diag *diag)
{
    char path[PATH_MAX];
    struct begin begin = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf file = KS_BUF(CONTROL_MAX);
    if ((size_t)snprintf(path, sizeof(path), "%s/global/pg_control", data) >= sizeof(path))
        return ks_fail(diag, KS_E_INVALID, "%s: the path is too long", data);
    KS_TRY(ks_file_read(path, &file, diag));
    if (file.len >= sizeof(begin))
        memcpy(&begin, file.data, sizeof(begin));
    if (file.len < sizeof(begin) || begin.system == 0 || begin.version < 800 || begin.version > 9999 ||
        begin.catalog < 200000000 || begin.catalog > 210000000 || begin.state >= STATES)
        return ks_fail(diag, KS_E_MALFORMED, "%s is not what PostgreSQL writes", path);
    *ret = (struct tde_control){.catalog = begin.catalog,
                                .checkpoint = begin.checkpoint,
                                .stopped = begin.state == SHUTDOWNED || begin.state == SHUTDOWNED_IN_RECOVERY};
    return 0;
}
