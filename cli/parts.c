#include "cli/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/command.h"
#include "cli/output.h"

enum { PART = 256 * 1024 };

static void
close_file(const int *fd)
{
    if (*fd > STDERR_FILENO)
        (void)close(*fd);
}

/* Fills the buffer with the next part; fewer bytes than PART: that was the end. */
static int
read_part(struct cli *cli, int fd, const char *path, struct ks_buf *ret)
{
    ks_buf_reset(ret);
    if (ks_buf_reserve(ret, PART) != 0)
        return cli_fail(cli, ret->err, "%s: %s", path, ks_err_text(ret->err));
    while (ret->len < PART) {
        const ssize_t n = read(fd, ret->data + ret->len, PART - ret->len);
        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cli_fail(cli, KS_E_IO, "%s: %s", path, strerror(errno));
        ret->len += (size_t)n;
    }
    return 0;
}

int
parts_run(struct cli *cli, part_fn *fn, struct ks_crypto *params, const char *path, struct ks_crypto_result **ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf now = KS_BUF(PART);
    KS_CLEANUP(ks_buf_done) struct ks_buf next = KS_BUF(PART);
    KS_CLEANUP(parts_result_freep) struct ks_crypto_result *result = NULL;
    const bool standard = strcmp(path, "-") == 0;
    if (standard && isatty(STDIN_FILENO))
        fputs("keystead: reading from the terminal; end with Ctrl-D\n", stderr);
    KS_CLEANUP(close_file) const int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return cli_fail(cli, errno == ENOENT ? KS_E_NOT_FOUND : KS_E_IO, "%s: %s", path, strerror(errno));
    KS_TRY(read_part(cli, fd, path, &now));
    for (bool first = true;; first = false) {
        ks_buf_reset(&next);
        if (now.len == PART)
            KS_TRY(read_part(cli, fd, path, &next));
        const bool last = next.len == 0;
        struct ks_crypto_result *answer;
        params->data = (struct ks_bytes){now.data, now.len};
        params->init = first && !last;
        params->final = !first && last;
        params->correlation = result != NULL ? result->correlation : (struct ks_bytes){NULL, 0};
        KS_TRY(fn(cli->client, &cli->call, params, &answer, &cli->error));
        ks_crypto_result_free(result);
        result = answer;
        if (last)
            break;
        if (result->correlation.len == 0)
            return cli_fail(cli, KS_E_UNSUPPORTED,
                            "the server does not take data in parts, and %s has more than %d KiB", path, PART / 1024);
        const struct ks_buf swap = now;
        now = next;
        next = swap;
    }
    *ret = result;
    result = NULL; /* transferred */
    return 0;
}

int
parts_write(struct cli *cli, struct ks_span bytes)
{
    const char *out = cli_value(cli, "out");
    if (out != NULL)
        return cli_write(cli, out, bytes);
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(4 << 20);
    (void)ks_hex_add(&text, bytes.data, bytes.len);
    if (ks_buf_add_u8(&text, '\n') != 0)
        return cli_fail(cli, text.err, "%s", ks_err_text(text.err));
    return cli_write(cli, NULL, ks_buf_span(&text));
}
