#include "server/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "server/control.h"
#include "server/listen.h"
#include "server/net/notifier.h"
#include "server/net/worker.h"
#include "server/sandbox.h"
#include "server/vault/vault.h"

enum {
    PROCESSES_MAX = 200,
    PEM_MAX = 1 << 20,
    BACK_OFF_FIRST_MS = 100,
    BACK_OFF_MAX_MS = 10000,
    STEADY_MS = 60000,    /* a worker that lived so long is restarted without delay */
    KILL_AFTER_MS = 2000, /* beyond the time that a worker gives itself */
    VAULT_STOP_MS = 15000,
};

/* A configuration in force, and the sockets that go with it. Workers belong to the one that they were started with. */
struct generation {
    unsigned number;
    struct server_config config;
    struct listeners listeners;
    size_t n_workers;
};

struct process {
    pid_t pid; /* 0: none */
    int said;  /* a pipe: "ready" comes through it; -1 after that */
    unsigned generation;
    unsigned number; /* of the worker, from 1 */
    bool ready, draining;
    int64_t started_ms, restart_ms, back_off_ms;
};

/* One, where there are addresses to send to. */
struct notifier_process {
    pid_t pid;                                   /* 0: none */
    int64_t started_ms, restart_ms, back_off_ms; /* restart_ms: 0 none */
};

struct supervisor {
    const struct supervisor_options *options;
    struct generation *current, *next;
    unsigned generations;
    struct process processes[PROCESSES_MAX];
    pid_t vault;
    struct notifier_process notifier;
    int control, signals;
    bool sealed, reload_again;
    int status; /* -1: running */
};

/* Children */

/* What a child must not inherit: blocked signals, and a say in what only the supervisor decides. */
static void
reset_signals(void)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
close_all_but(const int *keep, size_t n)
{
    int from = 3;
    for (;;) { /* the smallest that is kept and not yet passed */
        int next = -1;
        for (size_t i = 0; i < n; i++)
            if (keep[i] >= from && (next < 0 || keep[i] < next))
                next = keep[i];
        (void)close_range((unsigned)from, next < 0 ? ~0U : (unsigned)next - 1, 0);
        if (next < 0)
            return;
        from = next + 1;
    }
}

static _Noreturn void
vault_main(struct supervisor *s, pid_t parent, int control)
{
    reset_signals();
    (void)signal(SIGTERM, SIG_IGN); /* a service manager tells all processes at once; the vault ends last */
    if (sandbox_follow_parent(parent) != 0)
        _exit(70);
    close_all_but(&control, 1);
    ks_log_init("vault", (enum ks_log_level)server_config_log_level(&s->current->config));
    _exit(vault_run(&(struct vault_settings){
        .config = &s->current->config, .control = control, .passphrase_file = s->options->passphrase_file}));
}

static int
read_pem(const struct server_config *config, const char *name, bool private, struct ks_buf *ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf path = KS_BUF(8192);
    const int rc = server_config_path(config, name, &path);
    if (rc != 0)
        return ks_fail(diag, rc, "%s: %s", name, ks_err_text(rc));
    const char *file = (const char *)path.data;
    return private ? ks_file_read_private(file, ret, diag) : ks_file_read(file, ret, diag);
}

static int
make_worker(const struct generation *g, int vault, struct net_worker **ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf certificate = KS_BUF(PEM_MAX), key = KS_BUF(PEM_MAX), ca = KS_BUF(PEM_MAX);
    KS_TRY(read_pem(&g->config, g->config.tls_certificate, false, &certificate, diag));
    KS_TRY(read_pem(&g->config, g->config.tls_key, true, &key, diag));
    KS_TRY(read_pem(&g->config, g->config.tls_ca, false, &ca, diag));
    const struct net_settings settings = {
        .config = &g->config,
        .n_workers = g->n_workers,
        .listeners = g->listeners.fds,
        .https = g->listeners.https,
        .n_listeners = g->listeners.n,
        .vault = vault,
        .certificate = ks_buf_span(&certificate),
        .key = ks_buf_span(&key),
        .ca = ks_buf_span(&ca),
    };
    return net_worker_new(&settings, ret, diag);
}

static _Noreturn void
worker_main(const struct generation *g, unsigned number, pid_t parent, int vault, int say)
{
    char who[32];
    struct ks_diag diag = {0};
    struct net_worker *worker = NULL;
    int keep[LISTENERS_MAX + 2] = {vault, say};
    reset_signals();
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC); /* standard input may be the terminal, or a passphrase */
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        _exit(70);
    for (size_t i = 0; i < g->listeners.n; i++)
        keep[2 + i] = g->listeners.fds[i];
    close_all_but(keep, 2 + g->listeners.n);
    (void)snprintf(who, sizeof(who), "net %u", number);
    ks_log_init(who, (enum ks_log_level)server_config_log_level(&g->config));

    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    int rc = make_worker(g, vault, &worker, &diag);
    rc = rc != 0 ? rc : sandbox_net(g->config.server_user, g->config.dir, parent, &diag);
    if (rc != 0) {
        if (diag.code != 0)
            ks_log_error("%s", ks_diag_text(&diag));
        _exit(ks_err_exit_status(rc));
    }
    if (write(say, "r", 1) != 1)
        _exit(70);
    (void)close(say);
    rc = net_worker_run(worker);
    if (rc != 0 && rc != KS_E_CLOSED)
        ks_log_error("ends: %s", ks_err_text(rc));
    net_worker_free(worker);
    _exit(rc == 0 ? 0 : ks_err_exit_status(rc));
}

static int
make_notifier(const struct generation *g, struct notifier_address *addresses, int vault, struct notifier **ret,
              struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf certificate = KS_BUF(PEM_MAX), key = KS_BUF(PEM_MAX), ca = KS_BUF(PEM_MAX);
    const struct config_list *list = &g->config.server_listeners;
    KS_TRY(read_pem(&g->config, g->config.tls_certificate, false, &certificate, diag));
    KS_TRY(read_pem(&g->config, g->config.tls_key, true, &key, diag));
    KS_TRY(read_pem(&g->config, g->config.tls_ca, false, &ca, diag));
    for (size_t i = 0; i < list->n; i++) {
        addresses[i].text = list->v[i];
        KS_TRY(listen_parse(list->v[i], &addresses[i].address, &addresses[i].len, diag));
    }
    const struct notifier_settings settings = {
        .addresses = addresses,
        .n_addresses = list->n,
        .min_version = g->config.tls_min_version,
        .vault = vault,
        .certificate = ks_buf_span(&certificate),
        .key = ks_buf_span(&key),
        .ca = ks_buf_span(&ca),
    };
    return notifier_new(&settings, ret, diag);
}

static _Noreturn void
notifier_main(const struct generation *g, pid_t parent, int vault)
{
    struct ks_diag diag = {0};
    struct notifier *notifier = NULL;
    reset_signals();
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        _exit(70);
    close_all_but(&vault, 1);
    ks_log_init("notifier", (enum ks_log_level)server_config_log_level(&g->config));
    struct notifier_address *addresses = calloc(g->config.server_listeners.n, sizeof(*addresses));
    int rc = addresses != NULL ? make_notifier(g, addresses, vault, &notifier, &diag) : KS_E_NOMEM;
    rc = rc != 0 ? rc : sandbox_notifier(g->config.server_user, g->config.dir, parent, &diag);
    if (rc != 0) {
        ks_log_error("%s", diag.code != 0 ? ks_diag_text(&diag) : ks_err_text(rc));
        _exit(ks_err_exit_status(rc));
    }
    rc = notifier_run(notifier);
    notifier_free(notifier);
    free(addresses);
    _exit(rc == KS_E_CLOSED ? 0 : ks_err_exit_status(rc));
}

static int
start_vault(struct supervisor *s)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return KS_E_IO;
    const pid_t self = getpid(), pid = fork();
    if (pid == 0)
        vault_main(s, self, pair[1]);
    (void)close(pair[1]);
    s->control = pair[0];
    s->vault = pid;
    return pid > 0 ? 0 : KS_E_NOMEM;
}

static int
start_worker(struct supervisor *s, const struct generation *g, struct process *p)
{
    int pair[2] = {-1, -1}, say[2] = {-1, -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return KS_E_IO;
    if (pipe2(say, O_CLOEXEC) != 0) {
        (void)close(pair[0]);
        (void)close(pair[1]);
        return KS_E_IO;
    }
    const pid_t self = getpid(), pid = fork();
    if (pid == 0)
        worker_main(g, p->number, self, pair[1], say[1]);
    (void)close(pair[1]);
    (void)close(say[1]);
    int rc = pid > 0 ? control_send(s->control, CONTROL_WORKER, pair[0]) : KS_E_NOMEM;
    (void)close(pair[0]);
    if (pid < 0) {
        (void)close(say[0]);
        return rc;
    }
    p->pid = pid;
    p->said = say[0];
    p->generation = g->number;
    p->ready = p->draining = false;
    p->started_ms = ks_monotonic_ms();
    p->restart_ms = 0;
    return rc;
}

/* Only where the configuration has addresses to send to. */
static void
start_notifier(struct supervisor *s)
{
    struct notifier_process *p = &s->notifier;
    int pair[2];
    p->restart_ms = 0;
    if (s->current->config.server_listeners.n == 0)
        return;
    p->started_ms = ks_monotonic_ms();
    p->back_off_ms = p->back_off_ms != 0 ? p->back_off_ms : BACK_OFF_FIRST_MS;
    p->restart_ms = p->started_ms + p->back_off_ms;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return;
    const pid_t self = getpid(), pid = fork();
    if (pid == 0)
        notifier_main(s->current, self, pair[1]);
    (void)close(pair[1]);
    if (pid > 0 && control_send(s->control, CONTROL_NOTIFIER, pair[0]) == 0) {
        p->pid = pid;
        p->restart_ms = 0;
    }
    (void)close(pair[0]);
}

static void
signal_workers(struct supervisor *s, int sig, bool (*which)(const struct supervisor *, const struct process *))
{
    for (size_t i = 0; i < PROCESSES_MAX; i++)
        if (s->processes[i].pid > 0 && which(s, &s->processes[i]))
            (void)kill(s->processes[i].pid, sig);
}

static bool
any(const struct supervisor *s, const struct process *p)
{
    (void)s;
    (void)p;
    return true;
}

static bool
of_next(const struct supervisor *s, const struct process *p)
{
    return s->next != NULL && p->generation == s->next->number;
}

static bool
of_current(const struct supervisor *s, const struct process *p)
{
    return p->generation == s->current->number && !p->draining;
}

static size_t
count(const struct supervisor *s, bool (*which)(const struct supervisor *, const struct process *), bool only_ready)
{
    size_t n = 0;
    for (size_t i = 0; i < PROCESSES_MAX; i++)
        n += s->processes[i].pid > 0 && which(s, &s->processes[i]) && (!only_ready || s->processes[i].ready);
    return n;
}

/* Generations */

static void
generation_free(struct generation *g)
{
    if (g == NULL)
        return;
    listeners_close(&g->listeners);
    server_config_done(&g->config);
    free(g);
}

/* Whoever can write to the folder can put another root key, store or certificate there. */
static int
check_folder(const char *dir, struct ks_diag *diag)
{
    struct stat st;
    if (stat(dir, &st) != 0)
        return 0; /* loading the configuration says what is wrong */
    const unsigned mode = st.st_mode & 07777;
    if ((mode & (S_IWGRP | S_IWOTH)) != 0)
        return ks_fail(diag, KS_E_DENIED, "%s can be changed by others (mode %04o); run: chmod 700 %s", dir, mode, dir);
    if ((mode & (S_IRWXG | S_IRWXO)) != 0)
        ks_log_warning("%s can be read by others (mode %04o); run: chmod 700 %s", dir, mode, dir);
    return 0;
}

static int
generation_new(struct supervisor *s, struct generation **ret, struct ks_diag *diag)
{
    struct generation *g = calloc(1, sizeof(*g));
    if (g == NULL)
        return ks_fail(diag, KS_E_NOMEM, "%s", ks_err_text(KS_E_NOMEM));
    int rc = server_config_load(s->options->dir, &g->config, diag);
    if (rc == 0)
        rc = listeners_open(&g->config.server_listen, &g->config.server_listen_https,
                            s->current != NULL ? &s->current->listeners : NULL, &g->listeners, diag);
    if (rc != 0) {
        generation_free(g);
        return rc;
    }
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    g->n_workers = g->config.server_workers != 0 ? (size_t)g->config.server_workers : cores > 0 ? (size_t)cores : 1;
    if (g->n_workers > 64)
        g->n_workers = 64;
    g->number = ++s->generations;
    *ret = g;
    return 0;
}

static int
start_workers(struct supervisor *s, const struct generation *g)
{
    if (g == NULL)
        return KS_E_INTERNAL;
    size_t n = 0;
    for (size_t i = 0; i < PROCESSES_MAX && n < g->n_workers; i++) {
        struct process *p = &s->processes[i];
        if (p->pid != 0 || p->restart_ms != 0)
            continue;
        p->number = (unsigned)++n;
        p->back_off_ms = BACK_OFF_FIRST_MS;
        KS_TRY(start_worker(s, g, p));
    }
    return n == g->n_workers ? 0 : KS_E_LIMIT;
}

static void abandon_reload(struct supervisor *s);

static void
reload(struct supervisor *s)
{
    struct ks_diag diag = {0};
    if (s->next != NULL) {
        s->reload_again = true;
        return;
    }
    if (generation_new(s, &s->next, &diag) != 0) {
        ks_log_error("reload: %s; what was in force stays in force", ks_diag_text(&diag));
        return;
    }
    ks_log_notice("reload: starting fresh network processes");
    if (start_workers(s, s->next) != 0)
        abandon_reload(s); /* at once: if none was started there is none whose end would end the reload */
}

static void
end_reload(struct supervisor *s)
{
    if (s->reload_again && s->status < 0) {
        s->reload_again = false;
        reload(s);
    }
}

static void
abandon_reload(struct supervisor *s)
{
    ks_log_error("reload: the new network processes do not start; what was in force stays in force");
    signal_workers(s, SIGKILL, of_next);
    generation_free(s->next);
    s->next = NULL;
    end_reload(s);
}

/* With fresh certificates, and the addresses of the new configuration. */
static void
renew_notifier(struct supervisor *s)
{
    s->notifier.restart_ms = ks_monotonic_ms();
    if (s->notifier.pid > 0)
        (void)kill(s->notifier.pid, SIGTERM);
}

static void
switch_generation(struct supervisor *s)
{
    signal_workers(s, SIGUSR1, of_current);
    for (size_t i = 0; i < PROCESSES_MAX; i++) {
        struct process *p = &s->processes[i];
        if (p->generation != s->current->number)
            continue;
        p->draining = true;
        p->restart_ms = 0;
    }
    generation_free(s->current);
    s->current = s->next;
    s->next = NULL;
    renew_notifier(s);
    ks_log_init(NULL, (enum ks_log_level)server_config_log_level(&s->current->config));
    if (control_send(s->control, CONTROL_RELOAD, -1) != 0)
        return; /* the vault's end is noticed elsewhere */
    ks_log_notice("reloaded: fresh network processes serve, the old ones finish what they have");
    end_reload(s);
}

/* Ends of children */

static void
describe(int status, char *text, size_t len)
{
    if (WIFSIGNALED(status))
        (void)snprintf(text, len, "ended by signal %d%s", WTERMSIG(status),
                       WTERMSIG(status) == SIGSYS ? " (a system call that it must not make)" : "");
    else
        (void)snprintf(text, len, "ended with status %d", WEXITSTATUS(status));
}

static void
worker_ended(struct supervisor *s, struct process *p, int status)
{
    char how[80];
    describe(status, how, sizeof(how));
    ks_closep(&p->said);
    p->pid = 0;
    const bool starting = !p->ready;
    if (s->next != NULL && p->generation == s->next->number) {
        ks_log_error("net %u %s while starting", p->number, how);
        abandon_reload(s);
        return;
    }
    if (s->status >= 0 || p->draining || p->generation != s->current->number)
        return;
    const int64_t now = ks_monotonic_ms();
    if (!starting && now - p->started_ms > STEADY_MS)
        p->back_off_ms = BACK_OFF_FIRST_MS;
    ks_log_error("net %u %s; it is started again in %lld ms", p->number, how, (long long)p->back_off_ms);
    p->restart_ms = now + p->back_off_ms;
    p->back_off_ms = p->back_off_ms * 2 < BACK_OFF_MAX_MS ? p->back_off_ms * 2 : BACK_OFF_MAX_MS;
}

static void
notifier_ended(struct supervisor *s, int status)
{
    struct notifier_process *p = &s->notifier;
    char how[80];
    describe(status, how, sizeof(how));
    p->pid = 0;
    if (s->status >= 0)
        return;
    const int64_t now = ks_monotonic_ms();
    if (p->back_off_ms == 0 || now - p->started_ms > STEADY_MS)
        p->back_off_ms = BACK_OFF_FIRST_MS;
    if (p->restart_ms == 0) { /* else it was told to end */
        ks_log_error("the notifier %s; it is started again in %lld ms", how, (long long)p->back_off_ms);
        p->restart_ms = now + p->back_off_ms;
        p->back_off_ms = p->back_off_ms * 2 < BACK_OFF_MAX_MS ? p->back_off_ms * 2 : BACK_OFF_MAX_MS;
    }
}

static void
vault_ended(struct supervisor *s, int status)
{
    char how[80];
    describe(status, how, sizeof(how));
    s->vault = 0;
    if (s->status >= 0)
        return;
    ks_log_error("the vault %s: nothing can be served without it", how);
    s->status = WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 70;
    signal_workers(s, SIGKILL, any);
}

static void
reap(struct supervisor *s)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == s->vault) {
            vault_ended(s, status);
            continue;
        }
        if (pid == s->notifier.pid) {
            notifier_ended(s, status);
            continue;
        }
        for (size_t i = 0; i < PROCESSES_MAX; i++)
            if (s->processes[i].pid == pid) {
                worker_ended(s, &s->processes[i], status);
                break;
            }
    }
}

/* The loop */

static void
take_signal(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            reap(s);
        else if (info.ssi_signo == SIGHUP && s->status < 0)
            reload(s);
        else if ((info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) && s->status < 0)
            s->status = 0;
    }
}

static void
take_ready(struct process *p)
{
    char byte;
    const ssize_t n = read(p->said, &byte, 1);
    p->ready = n == 1;
    ks_closep(&p->said); /* without the byte: it is about to be reaped */
}

static void
restart_due(struct supervisor *s)
{
    const int64_t now = ks_monotonic_ms();
    for (size_t i = 0; i < PROCESSES_MAX; i++) {
        struct process *p = &s->processes[i];
        if (p->pid == 0 && p->restart_ms != 0 && p->restart_ms <= now && start_worker(s, s->current, p) != 0)
            p->restart_ms = now + p->back_off_ms;
    }
    if (s->notifier.pid == 0 && s->notifier.restart_ms != 0 && s->notifier.restart_ms <= now)
        start_notifier(s);
}

/* Waits for something to happen, at most for so long, and deals with it. */
static void
step(struct supervisor *s, int timeout_ms)
{
    struct pollfd fds[PROCESSES_MAX + 1] = {{s->signals, POLLIN, 0}};
    struct process *who[PROCESSES_MAX + 1] = {NULL};
    nfds_t n = 1;
    for (size_t i = 0; i < PROCESSES_MAX; i++)
        if (s->processes[i].pid > 0 && s->processes[i].said >= 0) {
            who[n] = &s->processes[i];
            fds[n++] = (struct pollfd){s->processes[i].said, POLLIN, 0};
        }
    if (poll(fds, n, timeout_ms) < 0)
        return;
    for (nfds_t i = 1; i < n; i++)
        if (fds[i].revents != 0)
            take_ready(who[i]);
    take_signal(s);
    if (s->status >= 0)
        return;
    if (s->next != NULL && count(s, of_next, true) == s->next->n_workers)
        switch_generation(s);
    restart_due(s);
}

static void
wait_for_workers(struct supervisor *s, int64_t deadline)
{
    while (count(s, any, false) != 0 && ks_monotonic_ms() < deadline)
        step(s, 100);
}

/* Net workers first, so that the vault sees the last of their requests; then the vault. */
static void
stop(struct supervisor *s)
{
    signal_workers(s, SIGTERM, any);
    if (s->notifier.pid > 0)
        (void)kill(s->notifier.pid, SIGTERM);
    wait_for_workers(s, ks_monotonic_ms() + s->current->config.limits_stop_timeout * 1000 + KILL_AFTER_MS);
    if (count(s, any, false) != 0) {
        ks_log_warning("network processes did not end in time; they are killed");
        signal_workers(s, SIGKILL, any);
        wait_for_workers(s, ks_monotonic_ms() + KILL_AFTER_MS);
    }
    if (s->vault <= 0)
        return;
    const int64_t deadline = ks_monotonic_ms() + VAULT_STOP_MS;
    int status = 0;
    pid_t ended = 0;
    if (control_send(s->control, CONTROL_STOP, -1) == 0)
        while ((ended = waitpid(s->vault, &status, WNOHANG)) == 0 && ks_monotonic_ms() < deadline)
            (void)poll(NULL, 0, 10);
    if (ended != s->vault) {
        ks_log_error("the vault did not end in time; it is killed");
        (void)kill(s->vault, SIGKILL);
        (void)waitpid(s->vault, &status, 0);
    }
    if (s->status == 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        s->status = WIFEXITED(status) ? WEXITSTATUS(status) : 70;
    s->vault = 0;
}

static int
block_signals(struct supervisor *s)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGCHLD);
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return KS_E_INTERNAL;
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals >= 0 ? 0 : KS_E_IO;
}

/* The vault's word comes after it has read the root key, which may wait for a person at a terminal. */
static void
wait_for_vault(struct supervisor *s)
{
    while (s->status < 0) {
        struct pollfd fds[2] = {{s->control, POLLIN, 0}, {s->signals, POLLIN, 0}};
        if (poll(fds, 2, -1) < 0)
            continue;
        enum control_type type;
        int fd = -1;
        if ((fds[0].revents & POLLIN) != 0 && control_receive(s->control, &type, &fd) == 0) {
            ks_closep(&fd);
            s->sealed = type == CONTROL_SEALED;
            return;
        }
        take_signal(s);
    }
}

static void
announce(const struct supervisor *s)
{
    const struct generation *g = s->current;
    printf("keystead: ready%s", s->sealed ? ", but sealed (the log says why)" : "");
    for (size_t i = 0; i < g->listeners.n; i++) { /* those of a kind stand together */
        const bool first = i == 0 || g->listeners.https[i] != g->listeners.https[i - 1];
        printf("%s %s", !first ? "," : g->listeners.https[i] ? ", HTTPS on" : ": KMIP on", g->listeners.names[i]);
    }
    printf("; %zu network process%s\n", g->n_workers, g->n_workers == 1 ? "" : "es");
    (void)fflush(stdout);
}

static void
run(struct supervisor *s)
{
    wait_for_vault(s);
    if (s->status >= 0)
        return;
    if (start_workers(s, s->current) != 0) {
        ks_log_error("network processes cannot be started");
        s->status = 70;
        return;
    }
    while (s->status < 0 && count(s, of_current, true) < s->current->n_workers) {
        step(s, 100);
        for (size_t i = 0; i < PROCESSES_MAX && s->status < 0; i++)
            if (s->processes[i].restart_ms != 0) /* a first start that fails is an error, not a case for another try */
                s->status = 78;
    }
    if (s->status >= 0)
        return;
    start_notifier(s);
    announce(s);
    while (s->status < 0)
        step(s, 250);
}

int
supervisor_run(const struct supervisor_options *options)
{
    struct supervisor s = {.options = options, .control = -1, .signals = -1, .status = -1};
    struct ks_diag diag = {0};
    for (size_t i = 0; i < PROCESSES_MAX; i++)
        s.processes[i].said = -1;
    ks_log_init(NULL, KS_LOG_INFO);
    int rc = sandbox_all(&diag); /* before any key is read, also by a child that is being set up */
    if (rc == 0)
        rc = check_folder(options->dir, &diag);
    if (rc == 0)
        rc = generation_new(&s, &s.current, &diag);
    if (rc != 0) {
        ks_log_error("%s", ks_diag_text(&diag));
        return ks_err_exit_status(rc);
    }
    ks_log_init(NULL, (enum ks_log_level)server_config_log_level(&s.current->config));
    rc = block_signals(&s);
    if (rc == 0)
        rc = start_vault(&s);
    if (rc != 0) {
        ks_log_error("cannot start: %s", ks_err_text(rc));
        s.status = ks_err_exit_status(rc);
    } else {
        run(&s);
        stop(&s);
    }
    generation_free(s.next);
    generation_free(s.current);
    ks_closep(&s.control);
    ks_closep(&s.signals);
    return s.status;
}
