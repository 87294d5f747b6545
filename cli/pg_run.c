#include "cli/pg_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/pg.h"

/* In the child. */
static void
become(struct cli *cli, const char *const argv[], const struct pg_run *how, int output)
{
    int to = output >= 0 ? output : cli->json ? STDERR_FILENO : -1;
    if (how->quiet && output < 0)
        to = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (to >= 0)
        (void)dup2(to, STDOUT_FILENO);
    if (how->bundle < 0)
        (void)unsetenv("LD_PRELOAD");
    else if (pg_layer_environment(cli, how->bundle, how->root) != 0) {
        fprintf(stderr, "keystead %s: %s\n", cli->command->name, cli->error.message);
        _exit(127);
    }
    if (how->clear && setenv(TDE_ENV_CLEAR, "1", 1) != 0)
        _exit(127);
    char *const *args; /* execv changes none of them, and says so nowhere */
    memcpy(&args, &argv, sizeof(args));
    (void)execv(argv[0], args);
    fprintf(stderr, "keystead %s: %s: %s\n", cli->command->name, argv[0], strerror(errno));
    _exit(127);
}

static int
read_all(int fd, struct ks_buf *ret)
{
    uint8_t piece[4096];
    for (;;) {
        const ssize_t n = read(fd, piece, sizeof(piece));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? 0 : -1;
        if (ks_buf_add(ret, piece, (size_t)n) != 0)
            return -1;
    }
}

int
pg_run(struct cli *cli, const char *const argv[], const struct pg_run *how, struct ks_buf *ret_output)
{
    int ends[2] = {-1, -1};
    if (ret_output != NULL && pipe2(ends, O_CLOEXEC) != 0)
        return cli_fail(cli, KS_E_IO, "cannot run %s: %s", argv[0], strerror(errno));
    (void)fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0)
        become(cli, argv, how, ends[1]);
    ks_closep(&ends[1]);
    const int err = errno;
    const int got = pid > 0 && ret_output != NULL ? read_all(ends[0], ret_output) : 0;
    ks_closep(&ends[0]);
    if (pid < 0)
        return cli_fail(cli, KS_E_IO, "cannot run %s: %s", argv[0], strerror(err));
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return cli_fail(cli, KS_E_IO, "cannot wait for %s: %s", argv[0], strerror(errno));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return cli_fail(cli, KS_E_CLOSED, "%s failed (%s %d)", argv[0], WIFEXITED(status) ? "status" : "signal",
                        WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return got == 0 ? 0 : cli_fail(cli, KS_E_IO, "what %s said cannot be read", argv[0]);
}
