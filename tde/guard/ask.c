/* The helper, as a child of the lease's worker: it has the code of TLS and KMIP, which the server never does. */
#include "tde/guard/guard.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

extern char **environ;

enum { FIRST_FREE_FD = 3, POLL_MS = 20 };

/* Nothing in, one pipe out, no other descriptor, no blocked or ignored signals. */
static int
spawn(const char *helper, int timeout_s, int out, pid_t *ret)
{
    char seconds[16];
    char *const argv[] = {(char[]){"keystead"},
                          (char[]){"pg"},
                          (char[]){"lease"},
                          (char[]){"--data"},
                          DataDir,
                          (char[]){"--timeout"},
                          seconds,
                          NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    snprintf(seconds, sizeof(seconds), "%ds", timeout_s);
    sigemptyset(&none);
    sigfillset(&all);
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0)
        return rc;
    rc = posix_spawnattr_init(&attr);
    if (rc == 0) {
        if ((rc = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)) == 0 &&
            (rc = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO)) == 0 &&
            (rc = posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO)) == 0 &&
            (rc = posix_spawn_file_actions_addclosefrom_np(&actions, FIRST_FREE_FD)) == 0 &&
            (rc = posix_spawnattr_setsigdefault(&attr, &all)) == 0 &&
            (rc = posix_spawnattr_setsigmask(&attr, &none)) == 0 &&
            (rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK)) == 0)
            rc = posix_spawn(ret, helper, &actions, &attr, argv, environ);
        posix_spawnattr_destroy(&attr);
    }
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* Waits for the pipe (fd) or, with -1, for a moment. false: the worker is to end, or the time is over. */
static bool
wait_for(int fd, TimestampTz end)
{
    const long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);
    if (left <= 0 || ShutdownRequestPending)
        return false;
    const int events = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH | (fd >= 0 ? WL_SOCKET_READABLE : 0);
    const int woken = WaitLatchOrSocket(MyLatch, events, fd >= 0 ? fd : PGINVALID_SOCKET,
                                        fd >= 0 ? left : Min(left, POLL_MS), PG_WAIT_EXTENSION);
    if (woken & WL_LATCH_SET)
        ResetLatch(MyLatch);
    return !ShutdownRequestPending;
}

/* All that it prints, of which the first line is kept. false: no end of it in time. */
static bool
read_line(int fd, TimestampTz end, char ret[GUARD_LINE])
{
    char text[4 * GUARD_LINE];
    size_t n = 0;
    while (wait_for(fd, end)) {
        const ssize_t got = read(fd, text + n, sizeof(text) - 1 - n); /* not blocking */
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got <= 0 || (n += (size_t)got) == sizeof(text) - 1) {
            text[n] = '\0';
            text[strcspn(text, "\n")] = '\0';
            strlcpy(ret, text, GUARD_LINE);
            return got == 0;
        }
    }
    return false;
}

/* Its exit status; it is killed when the time is over. */
static int
reap(pid_t pid, bool wait, TimestampTz end)
{
    int status = 0;
    while (wait) {
        const pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        if ((got < 0 && errno != EINTR) || !wait_for(-1, end))
            break;
    }
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return -1;
}

int
guard_ask(const char *helper, int timeout_s, char ret_line[GUARD_LINE])
{
    int ends[2];
    pid_t pid = -1;
    /* It ends by itself a second after its time; one that does not is killed. */
    const TimestampTz end = GetCurrentTimestamp() + ((int64)timeout_s + 2) * USECS_PER_SEC;
    ret_line[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) != 0) {
        snprintf(ret_line, GUARD_LINE, "no pipe for the key helper: %s", strerror(errno));
        return -1;
    }
    int rc = fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0 ? errno : spawn(helper, timeout_s, ends[1], &pid);
    (void)close(ends[1]);
    if (rc != 0) {
        (void)close(ends[0]);
        snprintf(ret_line, GUARD_LINE, "the key helper %s cannot be run: %s", helper, strerror(rc));
        return -1;
    }
    const bool whole = read_line(ends[0], end, ret_line);
    (void)close(ends[0]);
    const int status = reap(pid, whole, end);
    if (status < 0 && ret_line[0] == '\0')
        snprintf(ret_line, GUARD_LINE, "the KMS did not answer within %d s", timeout_s);
    return status;
}
