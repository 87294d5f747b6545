/*
 * The lease of the key encryption key, kept by a worker: each third of it the helper asks the KMS. What it says is in
 * shared memory, with the policy that follows from it.
 *
 * A server that runs needs no key from the KMS: what is asked is whether it may go on. An answer that the key is
 * withdrawn counts at once; no answer counts after a time of grace, since whoever can cut a cable could stop the
 * database otherwise.
 */
#include "tde/guard/guard.h"

#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>

#include "access/xlog.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/wait_event.h"

#include "tde/bundle.h"

/* The server looks it up by this name. */
PGDLLEXPORT void keystead_lease_main(Datum arg);

enum { ASK_MIN_S = 1, ASK_MAX_S = 10, REPEAT_S = 600, SHOWN_STATE = 1024 };

struct guard_lease *guard_lease;

static char helper[PATH_MAX];
static int64 term_s; /* of the lease that the KMS gave; 0: it sets no end */
static int lease_s, grace_s, on_withdrawn, on_unreachable;
static char *shown_state; /* the setting has no value of its own: show_state makes it */
static shmem_startup_hook_type next_startup;
#if PG_VERSION_NUM >= 150000
static shmem_request_hook_type next_request;
#endif

static const struct config_enum_entry policies[] = {
    {"warn", GUARD_WARN, false},
    {"read-only", GUARD_READ_ONLY, false},
    {"refuse-sessions", GUARD_REFUSE_SESSIONS, false},
    {"stop", GUARD_STOP, false},
    {NULL, 0, false},
};
static const char *const key_words[] = {
    [GUARD_KEY_UNASKED] = "not asked yet", [GUARD_KEY_INTERNAL] = "internal",   [GUARD_KEY_ACTIVE] = "active",
    [GUARD_KEY_WITHDRAWN] = "withdrawn",   [GUARD_KEY_UNKNOWN] = "unreachable",
};

/* ---- Shared memory ---- */

static void
request(void)
{
#if PG_VERSION_NUM >= 150000
    if (next_request != NULL)
        next_request();
#endif
    RequestAddinShmemSpace(MAXALIGN(sizeof(*guard_lease)));
}

/* When the KMS answered last, as far as is known: at the start, or when the helper wrote its note later than that. */
static TimestampTz
known_contact(void)
{
    char path[MAXPGPATH];
    struct stat st;
    snprintf(path, sizeof(path), "%s/keystead/contact", DataDir);
    if (stat(path, &st) != 0)
        return PgStartTime;
    const TimestampTz written = time_t_to_timestamptz(st.st_mtime), now = GetCurrentTimestamp();
    return written > PgStartTime && written <= now ? written : PgStartTime;
}

static void
startup(void)
{
    bool found;
    if (next_startup != NULL)
        next_startup();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    guard_lease = ShmemInitStruct("keystead_guard", sizeof(*guard_lease), &found);
    if (!found) {
        memset(guard_lease, 0, sizeof(*guard_lease));
        pg_atomic_init_u32(&guard_lease->policy, GUARD_WARN);
        SpinLockInit(&guard_lease->lock);
        guard_lease->contact = known_contact();
    }
    LWLockRelease(AddinShmemInitLock);
}

void
guard_lease_line(char ret[GUARD_LINE])
{
    SpinLockAcquire(&guard_lease->lock);
    memcpy(ret, guard_lease->line, GUARD_LINE);
    SpinLockRelease(&guard_lease->lock);
}

/* SHOW keystead.key_state */
static const char *
show_state(void)
{
    static char text[SHOWN_STATE];
    struct guard_lease now;
    char contact[MAXDATELEN + 1], until[MAXDATELEN + 1];
    if (guard_lease == NULL)
        return "no server";
    SpinLockAcquire(&guard_lease->lock);
    memcpy(&now, guard_lease, sizeof(now));
    SpinLockRelease(&guard_lease->lock);
    strlcpy(contact, timestamptz_to_str(now.contact), sizeof(contact));
    strlcpy(until, now.until != 0 ? timestamptz_to_str(now.until) : "-", sizeof(until));
    snprintf(text, sizeof(text), "%s; in force: %s; last contact: %s; lease until: %s; %s", key_words[now.key],
             policies[guard_policy()].name, contact, until, now.line);
    return text;
}

/* ---- What follows from it ---- */

static TimestampTz
after(TimestampTz from, int64 seconds)
{
    return from + seconds * USECS_PER_SEC;
}

static bool
grace_is_over(TimestampTz now)
{
    return now >= after(guard_lease->contact, grace_s);
}

static enum guard_policy
policy_now(TimestampTz now)
{
    switch (guard_lease->key) {
    case GUARD_KEY_WITHDRAWN:
        return (enum guard_policy)on_withdrawn;
    case GUARD_KEY_UNKNOWN: /* what was withdrawn stays so, or cutting the cable would give it back */
        return (enum guard_policy)Max(guard_lease->withdrawn ? on_withdrawn : (int)GUARD_WARN,
                                      grace_is_over(now) ? on_unreachable : (int)GUARD_WARN);
    default:
        return GUARD_WARN;
    }
}

static void
say(TimestampTz now)
{
    const char *policy = policies[guard_policy()].name;
    char until[MAXDATELEN + 1];
    switch (guard_lease->key) {
    case GUARD_KEY_INTERNAL:
        ereport(LOG, (errmsg("the keys of this cluster are wrapped by no KMS: there is no lease to keep")));
        break;
    case GUARD_KEY_ACTIVE:
        ereport(LOG, (errmsg("the key of this cluster is active and leased: %s", guard_lease->line)));
        break;
    case GUARD_KEY_WITHDRAWN:
        ereport(WARNING, (errmsg("the key of this cluster is withdrawn: %s", guard_lease->line),
                          errdetail("In force: %s (keystead.on_key_withdrawn).", policy),
                          errhint("It ends by itself when the KMS says that the key is active.")));
        break;
    default:
        strlcpy(until, timestamptz_to_str(after(guard_lease->contact, grace_s)), sizeof(until));
        ereport(
            WARNING,
            (errmsg("the lease of this cluster's key cannot be renewed: %s", guard_lease->line),
             guard_lease->withdrawn
                 ? errdetail("The KMS has withdrawn the key before. In force: %s (keystead.on_key_withdrawn).", policy)
             : grace_is_over(now)
                 ? errdetail("The time of grace is over. In force: %s (keystead.on_kms_unreachable).", policy)
                 : errdetail("From %s on: %s (keystead.kms_grace, keystead.on_kms_unreachable).", until,
                             policies[on_unreachable].name)));
        break;
    }
}

/* Puts the policy in force, and into the log what is new, or has been so for long. */
static void
judge(enum guard_key before, bool other_line)
{
    static TimestampTz said;
    static bool stopping;
    const TimestampTz now = GetCurrentTimestamp();
    const enum guard_policy policy = policy_now(now), old = guard_policy();
    const enum guard_key key = guard_lease->key;
    pg_atomic_write_u32(&guard_lease->policy, (uint32)policy);
    const bool lasting = (key == GUARD_KEY_WITHDRAWN || key == GUARD_KEY_UNKNOWN) && now >= after(said, REPEAT_S);
    if (key != before || policy != old || (key == GUARD_KEY_WITHDRAWN && other_line) || lasting) {
        said = now;
        say(now);
    }
    if (policy != GUARD_STOP || stopping)
        return;
    stopping = true;
    ereport(LOG,
            (errmsg("the server is stopped: its key is not to be used any more"),
             errdetail("A checkpoint is made, and the keys go with the processes. A start is refused until the KMS "
                       "says that the key is active.")));
    if (kill(PostmasterPid, SIGINT) != 0) { /* as pg_ctl stop -m fast */
        const char *why = strerror(errno);
        ereport(LOG, (errmsg("the server cannot be stopped: %s", why)));
    }
}

/* ---- The worker ---- */

/* "keystead pg lease: withdrawn: ..." and "active 60 the key ...": without what is for programs. */
static const char *
for_people(const char *line, uint32 *ret_seconds)
{
    static const char name[] = "keystead pg lease: ";
    char *end;
    *ret_seconds = 0;
    if (strncmp(line, name, sizeof(name) - 1) == 0)
        return line + sizeof(name) - 1;
    const char *blank = strchr(line, ' ');
    if (blank == NULL)
        return line;
    const unsigned long seconds = strtoul(blank, &end, 10);
    if (end == blank || *end != ' ')
        return line;
    *ret_seconds = seconds < UINT32_MAX ? (uint32)seconds : 0;
    return end + 1;
}

/* Seconds: ours, or the KMS's own if that is shorter. */
static int64
lease(void)
{
    return term_s != 0 ? Min(term_s, (int64)lease_s) : lease_s;
}

static void
ask(void)
{
    char line[GUARD_LINE];
    uint32 seconds;
    const enum guard_key before = guard_lease->key;
    const int status = guard_ask(helper, Max(ASK_MIN_S, Min((int)(lease() / 3), ASK_MAX_S)), line);
    if (ShutdownRequestPending)
        return;
    const char *text = for_people(line, &seconds);
    const TimestampTz now = GetCurrentTimestamp();
    const bool other_line = strncmp(text, guard_lease->line, GUARD_LINE) != 0;
    SpinLockAcquire(&guard_lease->lock);
    guard_lease->key = status == GUARD_STATUS_WITHDRAWN     ? GUARD_KEY_WITHDRAWN
                       : status != GUARD_STATUS_ACTIVE      ? GUARD_KEY_UNKNOWN
                       : strncmp(line, "internal ", 9) == 0 ? GUARD_KEY_INTERNAL
                                                            : GUARD_KEY_ACTIVE;
    if (guard_lease->key != GUARD_KEY_UNKNOWN) {
        guard_lease->contact = now;
        guard_lease->withdrawn = guard_lease->key == GUARD_KEY_WITHDRAWN;
        term_s = guard_lease->key == GUARD_KEY_ACTIVE && seconds != 0 ? (int64)seconds : 0;
    }
    if (guard_lease->key == GUARD_KEY_ACTIVE)
        guard_lease->until = after(now, lease());
    else if (guard_lease->key != GUARD_KEY_UNKNOWN)
        guard_lease->until = 0;
    strlcpy(guard_lease->line, text, GUARD_LINE);
    SpinLockRelease(&guard_lease->lock);
    judge(before, other_line);
}

/* Without a KMS there is nobody to ask, until the keyring is another one. */
static bool
is_idle(void)
{
    static struct timespec seen;
    char path[MAXPGPATH];
    struct stat st;
    snprintf(path, sizeof(path), "%s/" TDE_KEYRING, DataDir);
    if (stat(path, &st) != 0)
        return false;
    const bool same = seen.tv_sec == st.st_mtim.tv_sec && seen.tv_nsec == st.st_mtim.tv_nsec;
    seen = st.st_mtim;
    return same && guard_lease->key == GUARD_KEY_INTERNAL;
}

void
keystead_lease_main(Datum arg)
{
    (void)arg;
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
    pqsignal(SIGCHLD, SIG_DFL);
    BackgroundWorkerUnblockSignals();
    while (!ShutdownRequestPending) {
        if (!is_idle())
            ask();
        const TimestampTz next = GetCurrentTimestamp() + lease() * USECS_PER_SEC / 3;
        for (;;) {
            const long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next);
            if (left <= 0 || ShutdownRequestPending)
                break;
            (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left, PG_WAIT_EXTENSION);
            ResetLatch(MyLatch);
            if (!ConfigReloadPending)
                continue;
            ConfigReloadPending = false;
            ProcessConfigFile(PGC_SIGHUP);
            judge(guard_lease->key, false);
            break; /* a reload is a way to have it asked now */
        }
    }
    proc_exit(1); /* and is started again, if only this one was to end */
}

/* ---- Settings and registration ---- */

static void
define_settings(void)
{
    DefineCustomIntVariable("keystead.lease", "How long the key of this cluster is used without asking the KMS again.",
                            "It is asked each third of this. A shorter lease of the KMS's own counts instead.",
                            &lease_s, 60, 1, 86400, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
    DefineCustomEnumVariable("keystead.on_key_withdrawn", "What is done when the KMS has withdrawn the key.",
                             "warn, read-only, refuse-sessions (superusers on the local socket are let in), or stop.",
                             &on_withdrawn, GUARD_REFUSE_SESSIONS, policies, PGC_SIGHUP, 0, NULL, NULL, NULL);
    DefineCustomEnumVariable("keystead.on_kms_unreachable",
                             "What is done when no KMS has answered for keystead.kms_grace.", NULL, &on_unreachable,
                             GUARD_REFUSE_SESSIONS, policies, PGC_SIGHUP, 0, NULL, NULL, NULL);
    DefineCustomIntVariable("keystead.kms_grace", "How long no KMS has to answer before something is done.", NULL,
                            &grace_s, 3 * 86400, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
    DefineCustomStringVariable("keystead.key_state", "What the KMS says of the key of this cluster.", NULL,
                               &shown_state, "", PGC_INTERNAL,
                               GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE | GUC_SUPERUSER_ONLY, NULL, NULL, show_state);
}

/* How a process that is to be the worker finds this module: as it was loaded. */
static void
own_path(char *ret, size_t size)
{
    Dl_info info;
    char path[PATH_MAX];
    if (dladdr(&guard_lease, &info) == 0 || info.dli_fname == NULL || realpath(info.dli_fname, path) == NULL)
        ereport(FATAL, (errmsg(TDE_GUARD " does not find its own file")));
    const size_t folder = strlen(pkglib_path);
    const bool installed = strncmp(path, pkglib_path, folder) == 0 && path[folder] == '/';
    const int n = installed ? snprintf(ret, size, "$libdir%s", path + folder) : snprintf(ret, size, "%s", path);
    if (n < 0 || (size_t)n >= size)
        ereport(FATAL, (errcode(ERRCODE_CONFIG_FILE_ERROR), errmsg("the path of \"%s\" is too long", path),
                        errhint("Install it in \"%s\".", pkglib_path)));
}

void
guard_lease_init(const char *helper_path)
{
    BackgroundWorker worker = {.bgw_flags = BGWORKER_SHMEM_ACCESS,
                               .bgw_start_time = BgWorkerStart_PostmasterStart,
                               .bgw_restart_time = 1,
                               .bgw_name = "keystead lease",
                               .bgw_type = "keystead lease",
                               .bgw_function_name = "keystead_lease_main"};
    define_settings();
    if (!IsPostmasterEnvironment)
        return;
    strlcpy(helper, helper_path, sizeof(helper));
    if (max_worker_processes < 1)
        ereport(FATAL, (errcode(ERRCODE_CONFIG_FILE_ERROR),
                        errmsg("max_worker_processes has to be 1 at least: a worker keeps the lease of the key")));
    next_startup = shmem_startup_hook;
    shmem_startup_hook = startup;
#if PG_VERSION_NUM >= 150000
    next_request = shmem_request_hook;
    shmem_request_hook = request;
#else
    request();
#endif
    own_path(worker.bgw_library_name, sizeof(worker.bgw_library_name));
    RegisterBackgroundWorker(&worker);
    guard_enforce_init();
}
