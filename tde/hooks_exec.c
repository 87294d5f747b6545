/* Children: those of PostgreSQL's programs that start others of them hand the layer and the keys on (process.h). */
#include "tde/hooks.h"

#include <string.h>

extern char **environ;

enum { ARGS_MAX = 1024 };

/* sh -c COMMAND: the command; else NULL. */
static const char *
shell_command(const char *path, char *const argv[])
{
    const char *name = strrchr(path, '/');
    name = name != NULL ? name + 1 : path;
    if (strcmp(name, "sh") != 0 || argv[0] == NULL || argv[1] == NULL || strcmp(argv[1], "-c") != 0)
        return NULL;
    return argv[2];
}

TDE_HOOK(int, execve, (const char *path, char *const argv[], char *const env[]))
{
    int fds[TDE_ROOTS];
    char **child = tde_process_child(path, shell_command(path, argv), env, fds);
    const int rc = tde_real()->execve(path, argv, child != NULL ? child : env);
    const int e = errno;
    tde_process_child_done(child, fds);
    errno = e;
    return rc;
}

TDE_HOOK(int, execvpe, (const char *path, char *const argv[], char *const env[]))
{
    int fds[TDE_ROOTS];
    char **child = tde_process_child(path, shell_command(path, argv), env, fds);
    const int rc = tde_real()->execvpe(path, argv, child != NULL ? child : env);
    const int e = errno;
    tde_process_child_done(child, fds);
    errno = e;
    return rc;
}

TDE_HOOK(int, execv, (const char *path, char *const argv[]))
{
    return execve(path, argv, environ);
}

TDE_HOOK(int, execvp, (const char *path, char *const argv[]))
{
    return execvpe(path, argv, environ);
}

/* The arguments of execl and its like, behind the first; false: too many. */
static bool
collect(const char *first, va_list args, char *ret[ARGS_MAX])
{
    union {
        const char *from;
        char *to;
    } arg = {.from = first};
    size_t n = 0;
    while (arg.from != NULL && n < ARGS_MAX - 1) {
        ret[n++] = arg.to;
        arg.from = va_arg(args, const char *);
    }
    ret[n] = NULL;
    if (arg.from == NULL)
        return true;
    errno = E2BIG;
    return false;
}

TDE_HOOK(int, execl, (const char *path, const char *arg, ...))
{
    char *argv[ARGS_MAX];
    va_list args;
    va_start(args, arg);
    const bool all = collect(arg, args, argv);
    va_end(args);
    return all ? execve(path, argv, environ) : -1;
}

TDE_HOOK(int, execlp, (const char *path, const char *arg, ...))
{
    char *argv[ARGS_MAX];
    va_list args;
    va_start(args, arg);
    const bool all = collect(arg, args, argv);
    va_end(args);
    return all ? execvpe(path, argv, environ) : -1;
}

TDE_HOOK(int, execle, (const char *path, const char *arg, ...))
{
    char *argv[ARGS_MAX];
    va_list args;
    va_start(args, arg);
    const bool all = collect(arg, args, argv);
    char *const *env = all ? va_arg(args, char *const *) : NULL;
    va_end(args);
    return all ? execve(path, argv, env) : -1;
}

TDE_HOOK(int, posix_spawn,
         (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
          char *const argv[], char *const env[]))
{
    int fds[TDE_ROOTS];
    char **child = tde_process_child(path, shell_command(path, argv), env, fds);
    const int rc = tde_real()->posix_spawn(pid, path, actions, attr, argv, child != NULL ? child : env);
    tde_process_child_done(child, fds);
    return rc;
}

TDE_HOOK(int, posix_spawnp,
         (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
          char *const argv[], char *const env[]))
{
    int fds[TDE_ROOTS];
    char **child = tde_process_child(path, shell_command(path, argv), env, fds);
    const int rc = tde_real()->posix_spawnp(pid, path, actions, attr, argv, child != NULL ? child : env);
    tde_process_child_done(child, fds);
    return rc;
}

TDE_HOOK(int, system, (const char *command))
{
    if (command == NULL)
        return tde_real()->system(command);
    int fds[TDE_ROOTS];
    char **own = environ, **child = tde_process_child("sh", command, environ, fds);
    if (child != NULL)
        environ = child;
    int rc = tde_real()->system(command), e = errno;
    environ = own;
    tde_process_child_done(child, fds);
    if (rc == 0 && tde_upgrade_copied(command) != 0) {
        e = errno;
        rc = -1;
    }
    errno = e;
    return rc;
}

TDE_HOOK(FILE *, popen, (const char *command, const char *mode))
{
    int fds[TDE_ROOTS];
    char **own = environ, **child = tde_process_child("sh", command, environ, fds);
    if (child != NULL)
        environ = child;
    FILE *pipe = tde_real()->popen(command, mode);
    const int e = errno;
    environ = own;
    tde_process_child_done(child, fds);
    errno = e;
    return pipe;
}
