#include "tde/helper.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "base/err.h"
#include "tde/bundle.h"
#include "tde/real.h"

/* TDE_HELPER, of the build: the path of the keystead command. */
extern char **environ;

/* A file beside the library may name another helper, if nobody but root and this user could have written it. */
void
tde_helper_path(char ret[TDE_HELPER_PATH])
{
    Dl_info info;
    struct stat st;
    char path[TDE_HELPER_PATH], text[TDE_HELPER_PATH] = "";
    snprintf(ret, TDE_HELPER_PATH, "%s", TDE_HELPER);
    if (dladdr((const void *)&tde_real_functions, &info) == 0 || info.dli_fname == NULL)
        return;
    const char *slash = strrchr(info.dli_fname, '/');
    if (slash == NULL || (size_t)snprintf(path, sizeof(path), "%.*s/helper", (int)(slash - info.dli_fname),
                                          info.dli_fname) >= sizeof(path))
        return;
    const int fd = tde_real()->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    ssize_t n = -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_uid == 0 || st.st_uid == geteuid()) &&
        (st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
        n = tde_real()->read(fd, text, sizeof(text) - 1);
    tde_real()->close(fd);
    if (n <= 0 || text[0] != '/')
        return;
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    snprintf(ret, TDE_HELPER_PATH, "%s", text);
}

static int
spawn(const char *path, const char *root, int socket_fd, pid_t *ret)
{
    char *const argv[] = {(char[]){"keystead"}, (char[]){"pg"}, (char[]){"unwrap"},
                          (char[]){"--data"},   strdup(root),   NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGCHLD);
    int rc = argv[4] == NULL ? ENOMEM : posix_spawn_file_actions_init(&actions);
    if (rc != 0) {
        free(argv[4]);
        return rc;
    }
    rc = posix_spawnattr_init(&attr);
    if (rc == 0) {
        rc = posix_spawn_file_actions_adddup2(&actions, socket_fd, TDE_HELPER_FD);
        if (rc == 0 && (rc = posix_spawnattr_setsigdefault(&attr, &defaults)) == 0)
            rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
        if (rc == 0) /* the environment is without the layer already */
            rc = tde_real()->posix_spawn(ret, path, &actions, &attr, argv, environ);
        posix_spawnattr_destroy(&attr);
    }
    posix_spawn_file_actions_destroy(&actions);
    free(argv[4]);
    return rc;
}

static int
receive(int socket_fd)
{
    char byte;
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.room)};
    const time_t end = time(NULL) + TDE_HELPER_SECONDS;
    for (;;) {
        struct pollfd p = {.fd = socket_fd, .events = POLLIN};
        const time_t left = end - time(NULL);
        const int n = left > 0 ? poll(&p, 1, (int)left * 1000) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || recvmsg(socket_fd, &msg, MSG_CMSG_CLOEXEC) <= 0)
            return -1;
        break;
    }
    const struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    int fd = -1;
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    return fd;
}

int
tde_helper_run(const char *root, int *ret_fd, char *why, size_t size)
{
    char path[TDE_HELPER_PATH];
    int pair[2];
    pid_t pid = -1;
    tde_helper_path(path);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        snprintf(why, size, "no socket for the key helper: %s", strerror(errno));
        return KS_E_IO;
    }
    /* The helper's end must not be its descriptor already: then nothing would clear its close-on-exec flag. */
    int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, TDE_HELPER_FD + 1);
    (void)tde_real()->close(pair[1]);
    const int rc = theirs < 0 ? errno : spawn(path, root, theirs, &pid);
    if (theirs >= 0)
        (void)tde_real()->close(theirs);
    if (rc != 0) {
        (void)tde_real()->close(pair[0]);
        snprintf(why, size, "the key helper %s cannot be run: %s", path, strerror(rc));
        return KS_E_IO;
    }
    const int fd = receive(pair[0]);
    (void)tde_real()->close(pair[0]);
    if (fd < 0 && pid > 0)
        (void)kill(pid, SIGTERM);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (fd < 0) {
        snprintf(why, size, "no keys for the encrypted cluster in \"%s\"; nothing was touched", root);
        return KS_E_SEALED;
    }
    *ret_fd = fd;
    return 0;
}
