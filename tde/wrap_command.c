/*
 * Commands whose standard output is a secret: a key of 64 hexadecimal digits (as cluster_key_command's have it), or a
 * passphrase (tde/wrap_passphrase.c). A command gets no key, no preloaded layer, no input, and a minute.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "tde/wrap.h"

enum { OUTPUT_MAX = 1024, TIME_MS = 60000 };

static void
run_child(const char *command, int out)
{
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        close_range(STDERR_FILENO + 1, ~0U, 0) != 0)
        _exit(127);
    (void)setpgid(0, 0); /* so that the whole of a pipeline can be ended */
    (void)unsetenv("LD_PRELOAD");
    (void)unsetenv(TDE_ENV_FD);
    (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

/* Reads to the end; KS_E_TIMEOUT, KS_E_LIMIT. */
static int
collect(int fd, const char *command, struct ks_buf *ret, struct ks_diag *diag)
{
    const int64_t deadline = ks_monotonic_ms() + TIME_MS;
    for (;;) {
        const int64_t left = deadline - ks_monotonic_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        const int ready = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return ks_fail(diag, KS_E_TIMEOUT, "the command '%s' did not end within %d s", command, TIME_MS / 1000);
        uint8_t chunk[256];
        const ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ks_fail_errno(diag, KS_E_IO, errno, "cannot read from the command '%s'", command);
        const int rc = n > 0 ? ks_buf_add(ret, chunk, (size_t)n) : 0;
        ks_wipe(chunk, sizeof(chunk));
        if (rc != 0)
            return ks_fail(diag, rc, "the command '%s' printed more than %d bytes", command, OUTPUT_MAX);
        if (n == 0)
            return 0;
    }
}

int
tde_command_output(const char *command, struct ks_buf *ret, struct ks_diag *diag)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot run '%s'", command);
    KS_CLEANUP(ks_closep) int in = ends[0];
    KS_CLEANUP(ks_closep) int out = ends[1];
    const pid_t pid = fork();
    if (pid < 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot run '%s'", command);
    if (pid == 0)
        run_child(command, out);
    ks_closep(&out);
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(OUTPUT_MAX);
    const int rc = collect(in, command, &text, diag);
    if (rc != 0) {
        (void)kill(-pid, SIGKILL);
        (void)kill(pid, SIGKILL);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return ks_fail_errno(diag, KS_E_IO, errno, "cannot wait for '%s'", command);
    KS_TRY(rc);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return ks_fail(diag, KS_E_IO, "the command '%s' failed with %s %d", command,
                       WIFEXITED(status) ? "exit status" : "signal",
                       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return ks_buf_add_span(ret, ks_buf_span(&text)) == 0
               ? 0
               : ks_fail(diag, KS_E_LIMIT, "the command '%s' printed too much", command);
}

int
tde_key_command_kek(struct tde_slot *slot, const struct tde_how *how, bool fresh, struct ks_key32 *ret,
                    struct ks_diag *diag)
{
    (void)how;
    (void)fresh;
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(OUTPUT_MAX);
    KS_TRY(tde_command_output(slot->path, &text, diag));
    if (text.len < 64)
        return ks_fail(diag, KS_E_MALFORMED, "the command '%s' printed %zu bytes: 64 hexadecimal digits are expected",
                       slot->path, text.len);
    return tde_key_bytes(ks_buf_span(&text), "what the key command printed", ret, diag);
}
