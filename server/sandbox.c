#include "server/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* A name that this kernel or libseccomp does not know is skipped: it cannot be called either. */
static const char *const net_allowed[] = {
    /* connections and the loop */
    "accept4",
    "recvfrom",
    "recvmsg",
    "sendto",
    "sendmsg",
    "read",
    "write",
    "readv",
    "writev",
    "shutdown",
    "close",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_ctl",
    "getsockopt",
    "getpeername",
    "getsockname",
    "poll",
    "ppoll",
    /* memory, locks, time, random numbers */
    "munmap",
    "mremap",
    "madvise",
    "brk",
    "futex",
    "clock_gettime",
    "gettimeofday",
    "time",
    "clock_nanosleep",
    "nanosleep",
    "sched_yield",
    "getrandom",
    "getcpu",
    /* itself */
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "restart_syscall",
    "getpid",
    "gettid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getrusage",
    "set_robust_list",
    "rseq",
    "exit",
    "exit_group",
};

/* The notifier also makes connections, over IP alone. */
static const char *const notifier_allowed[] = {"connect", "setsockopt"};
static const char *const notifier_spared[] = {"socket", "connect"};

/* What only a program that is no longer ours would call: the process ends at once. */
static const char *const net_fatal[] = {
    "execve",
    "execveat",
    "fork",
    "vfork",
    "clone",
    "clone3",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "socket",
    "connect",
    "bind",
    "listen",
    "socketpair",
    "kill",
    "tkill",
    "init_module",
    "finit_module",
    "bpf",
    "keyctl",
    "mount",
    "unshare",
    "setns",
    "pivot_root",
    "chroot",
    "io_uring_setup",
    "perf_event_open",
    "userfaultfd",
};

static const char *const vault_denied[] = {
    "execve",
    "execveat",
    "fork",
    "vfork",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_open",
    "pidfd_getfd",
    "process_madvise",
    "kcmp",
    "open_by_handle_at",
    "socket",
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "init_module",
    "finit_module",
    "bpf",
    "keyctl",
    "add_key",
    "request_key",
    "mount",
    "umount2",
    "unshare",
    "setns",
    "pivot_root",
    "chroot",
    "io_uring_setup",
    "perf_event_open",
    "userfaultfd",
    "kexec_load",
    "memfd_create",
    "personality",
};

int
sandbox_follow_parent(int parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return KS_E_INTERNAL;
    return getppid() == parent ? 0 : KS_E_CLOSED; /* it may have died before the call */
}

int
sandbox_all(struct ks_diag *diag)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return ks_fail_errno(diag, KS_E_INTERNAL, errno, "sandbox: privileges cannot be given up");
    return 0;
}

/* Into a folder that no longer has a name and in which nothing can be made. */
static int
enter_empty_folder(const char *dir, struct ks_diag *diag)
{
    char path[PATH_MAX];
    const int n = snprintf(path, sizeof(path), "%s/empty-XXXXXX", dir);
    if (n < 0 || (size_t)n >= sizeof(path) || mkdtemp(path) == NULL)
        return ks_fail_errno(diag, KS_E_IO, errno, "sandbox: no folder can be made in %s", dir);
    const int entered = chdir(path);
    if (rmdir(path) != 0 || entered != 0 || chroot(".") != 0 || chdir("/") != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "sandbox: cannot change into an empty folder");
    return 0;
}

static int
change_user(const char *user, const char *dir, struct ks_diag *diag)
{
    if (geteuid() != 0)
        return 0;
    errno = 0;
    const struct passwd *entry = getpwnam(user);
    if (entry == NULL || entry->pw_uid == 0)
        return ks_fail(diag, KS_E_CONFIG, "server.user: \"%s\" is %s; name an unprivileged user", user,
                       entry == NULL ? "not a user of this machine" : "root");
    const uid_t uid = entry->pw_uid;
    const gid_t gid = entry->pw_gid;
    KS_TRY(enter_empty_folder(dir, diag));
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return ks_fail_errno(diag, KS_E_DENIED, errno, "sandbox: cannot become the user \"%s\"", user);
    if (setuid(0) == 0)
        return ks_fail(diag, KS_E_INTERNAL, "sandbox: root could be regained");
    return 0;
}

static int
add_names(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const int number = seccomp_syscall_resolve_name(names[i]);
        if (number == __NR_SCMP_ERROR)
            continue;
        const int rc = seccomp_rule_add(filter, action, number, 0);
        if (rc != 0 && rc != -EDOM)
            return rc;
    }
    return 0;
}

static int
load(scmp_filter_ctx filter, int rc, struct ks_diag *diag)
{
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    if (rc != 0)
        return ks_fail_errno(diag, KS_E_INTERNAL, -rc, "sandbox: the system call filter cannot be installed");
    return 0;
}

/* Memory may be mapped and protected, but never made executable. */
static int
allow_memory(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp not_executable[] = {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)};
    int rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, not_executable);
    if (rc == 0)
        rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, not_executable);
    return rc;
}

static int
add_fatal(scmp_filter_ctx filter, bool connects)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(net_fatal); i++) {
        bool spared = false;
        for (size_t k = 0; connects && k < KS_ARRAY_LEN(notifier_spared); k++)
            spared = spared || strcmp(net_fatal[i], notifier_spared[k]) == 0;
        const int rc = spared ? 0 : add_names(filter, SCMP_ACT_KILL_PROCESS, &net_fatal[i], 1);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int
allow_connections(scmp_filter_ctx filter)
{
    static const unsigned families[] = {AF_INET, AF_INET6};
    int rc = add_names(filter, SCMP_ACT_ALLOW, notifier_allowed, KS_ARRAY_LEN(notifier_allowed));
    for (size_t i = 0; rc == 0 && i < KS_ARRAY_LEN(families); i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, families[i]));
    return rc;
}

static int
confine(const char *user, const char *dir, int parent, bool connects, struct ks_diag *diag)
{
    KS_TRY(change_user(user, dir, diag));
    KS_TRY(sandbox_all(diag));
    KS_TRY(sandbox_follow_parent(parent));
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return ks_fail(diag, KS_E_NOMEM, "sandbox: %s", ks_err_text(KS_E_NOMEM));
    int rc = add_names(filter, SCMP_ACT_ALLOW, net_allowed, KS_ARRAY_LEN(net_allowed));
    if (rc == 0)
        rc = add_fatal(filter, connects);
    if (rc == 0 && connects)
        rc = allow_connections(filter);
    if (rc == 0)
        rc = allow_memory(filter);
    return load(filter, rc, diag);
}

int
sandbox_net(const char *user, const char *dir, int parent, struct ks_diag *diag)
{
    return confine(user, dir, parent, false, diag);
}

int
sandbox_notifier(const char *user, const char *dir, int parent, struct ks_diag *diag)
{
    return confine(user, dir, parent, true, diag);
}

int
sandbox_vault(bool *ret_locked, struct ks_diag *diag)
{
    KS_TRY(sandbox_all(diag));
    /* Under a limit, locking what comes later would make allocations fail at some later time: all or nothing. */
    struct rlimit limit;
    const bool may = geteuid() == 0 || (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY);
    const bool locked = may && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
    if (ret_locked != NULL)
        *ret_locked = locked;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL)
        return ks_fail(diag, KS_E_NOMEM, "sandbox: %s", ks_err_text(KS_E_NOMEM));
    int rc = add_names(filter, SCMP_ACT_ERRNO(EPERM), vault_denied, KS_ARRAY_LEN(vault_denied));
    /* Threads, but no processes. glibc takes ENOSYS of clone3, whose flags a filter cannot see, as "use clone". */
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    return load(filter, rc, diag);
}
