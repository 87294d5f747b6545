#include "cli/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

int
sink_open(struct cli *cli, struct sink *sink, const char *path)
{
    if (path == NULL || strcmp(path, "-") == 0)
        return 0;
    const int n = snprintf(sink->temporary, sizeof(sink->temporary), "%s.XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof(sink->temporary))
        return cli_fail(cli, KS_E_LIMIT, "%.100s...: the name is too long", path);
    sink->fd = mkostemp(sink->temporary, O_CLOEXEC); /* 0600 */
    if (sink->fd < 0)
        return cli_fail(cli, KS_E_IO, "%s: %s", path, strerror(errno));
    sink->path = path;
    return 0;
}

int
sink_write(struct cli *cli, struct sink *sink, struct ks_span data)
{
    const int fd = sink->path != NULL ? sink->fd : STDOUT_FILENO;
    if (data.len == 0 || ks_write_all(fd, data.data, data.len) == 0)
        return 0;
    return cli_fail(cli, KS_E_IO, "%s: %s", sink->path != NULL ? sink->path : "standard output", strerror(errno));
}

int
sink_commit(struct cli *cli, struct sink *sink)
{
    struct ks_diag diag = {0};
    if (sink->path == NULL)
        return 0;
    if (fsync(sink->fd) != 0 || rename(sink->temporary, sink->path) != 0)
        return cli_fail(cli, KS_E_IO, "%s: %s", sink->path, strerror(errno));
    (void)close(sink->fd);
    sink->fd = -1;
    return ks_fsync_parent(sink->path, &diag) == 0 ? 0 : cli_fail_diag(cli, &diag);
}

void
sink_done(struct sink *sink)
{
    if (sink->fd < 0)
        return;
    (void)close(sink->fd);
    (void)unlink(sink->temporary);
    sink->fd = -1;
}
