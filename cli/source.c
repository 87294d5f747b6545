/* A file or standard input, read ahead and then on (cli/segments.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/segments.h"

/* Appends until the buffer holds `len` bytes or the file ends. */
static int
read_until(struct cli *cli, const struct source *source, size_t len, struct ks_buf *to)
{
    if (to->len >= len)
        return 0;
    if (ks_buf_reserve(to, len - to->len) != 0)
        return cli_fail(cli, to->err, "%s: %s", source->path, ks_err_text(to->err));
    while (to->len < len) {
        const ssize_t n = read(source->fd, to->data + to->len, len - to->len);
        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cli_fail(cli, KS_E_IO, "%s: %s", source->path, strerror(errno));
        to->len += (size_t)n;
    }
    return 0;
}

int
source_open(struct cli *cli, struct source *source)
{
    const bool standard = strcmp(source->path, "-") == 0;
    if (standard && isatty(STDIN_FILENO) != 0)
        fputs("keystead: reading from the terminal; end with Ctrl-D\n", stderr);
    source->fd = standard ? STDIN_FILENO : open(source->path, O_RDONLY | O_CLOEXEC);
    if (source->fd < 0)
        return cli_fail(cli, errno == ENOENT ? KS_E_NOT_FOUND : KS_E_IO, "%s: %s", source->path, strerror(errno));
    return read_until(cli, source, source->head.max, &source->head);
}

void
source_done(struct source *source)
{
    if (source->fd > STDERR_FILENO)
        (void)close(source->fd);
    source->fd = -1;
    ks_buf_done(&source->head);
}

int
source_read(struct cli *cli, struct source *source, size_t len, struct ks_buf *ret)
{
    const size_t left = source->head.len - source->taken;
    const size_t n = left < len ? left : len;
    ks_buf_reset(ret);
    if (n != 0 && ks_buf_add(ret, source->head.data + source->taken, n) != 0)
        return cli_fail(cli, ret->err, "%s: %s", source->path, ks_err_text(ret->err));
    source->taken += n;
    return read_until(cli, source, len, ret);
}
