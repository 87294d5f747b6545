#include "server/vault/committer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "store/state.h"

enum {
    GROUP_JOBS = 8192,
    GROUP_BYTES = 8 << 20, /* of records; one job may be larger */
    LINES_MAX = 64 << 20,  /* finished lines of a group, in memory and in the store's transaction */
    NOTE_RECORDS = 4096,   /* records without a change, after which the store notes where the audit log is */
    IDLE_MS = 1000,
    SYNC_MS = 1000, /* with a lazy log: after so long the next group is synced, however few records wait */
};

struct committer {
    struct store *store;
    struct keyring *keyring;
    /* The thread's, and committer_reset's while the thread is held off. */
    struct state *state;
    struct audit_log *audit;
    struct ks_buf lines;
    const struct store_change **changes;
    struct ks_span *records;
    size_t changes_room, records_room;
    int64_t synced_ms;
    bool idle_due; /* something was written since the last idle moment */

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;  /* jobs, or the end */
    pthread_cond_t quiet; /* the thread has nothing in hand */
    int fd;
    /* Under lock: */
    struct commit_job *queue, **queue_end;
    struct commit_job *done, **done_end;
    bool working, stop;
    int failed; /* KS_E_*: everything gets this, until committer_reset */
};

/* Start */

/* Store and audit log vouch for each other. */
static int
check_together(const struct committer *c, struct ks_diag *diag)
{
    struct state_mark mark;
    state_mark(c->state, &mark);
    if (mark.seq != 0)
        KS_TRY(audit_log_check(c->audit, mark.seq, mark.hash, diag));
    struct audit_head head;
    audit_log_head(c->audit, &head);
    const uint64_t number = state_number(c->state);
    if (head.commit > number)
        return ks_fail(
            diag, KS_E_CORRUPT,
            "%s is at commit %llu, but the audit log knows of commit %llu (record %llu): an older copy of the "
            "store was put back",
            store_path(c->store), (unsigned long long)number, (unsigned long long)head.commit,
            (unsigned long long)head.seq);
    if (head.seq != 0 && head.commit < number)
        return ks_fail(
            diag, KS_E_CORRUPT,
            "%s is at commit %llu, but the audit log ends at commit %llu (record %llu): its end was cut off, "
            "or an older copy was put back",
            store_path(c->store), (unsigned long long)number, (unsigned long long)head.commit,
            (unsigned long long)head.seq);
    return 0;
}

static int
open_both(struct committer *c, const char *audit_dir, struct ks_diag *diag)
{
    KS_TRY(state_open(c->store, c->keyring, &c->state, diag));
    struct state_mark mark;
    state_mark(c->state, &mark);
    KS_TRY(audit_log_open(audit_dir, mark.seq == 0, state_lines(c->state), &c->audit, diag));
    return check_together(c, diag);
}

/* A group */

static int
grow(void **array, size_t *room, size_t n, size_t size)
{
    if (n <= *room)
        return 0;
    void *larger = calloc(n + n / 2, size);
    if (larger == NULL)
        return KS_E_NOMEM;
    free(*array);
    *array = larger;
    *room = n + n / 2;
    return 0;
}

struct group {
    size_t n_changes, n_records;
};

static int
gather(struct committer *c, const struct commit_job *first, struct group *ret)
{
    struct group g = {0};
    for (const struct commit_job *job = first; job != NULL; job = job->next) {
        g.n_changes += job->n_changes;
        g.n_records += job->n_records;
    }
    KS_TRY(grow((void **)&c->changes, &c->changes_room, g.n_changes, sizeof(struct store_change *)));
    KS_TRY(grow((void **)&c->records, &c->records_room, g.n_records + 1, sizeof(*c->records)));
    size_t change = 0;
    size_t record = 0;
    for (const struct commit_job *job = first; job != NULL; job = job->next) {
        for (size_t i = 0; i < job->n_changes; i++)
            c->changes[change++] = &job->changes[i];
        for (size_t i = 0; i < job->n_records; i++)
            c->records[record++] = job->records[i];
    }
    /* A change without any record still leaves the number of its commit in the trail: the next start looks for it. */
    if (g.n_changes > 0 && g.n_records == 0)
        c->records[g.n_records++] = KS_LIT("\"event\":\"commit\",\"actor\":\"system\"");
    *ret = g;
    return 0;
}

static int
commit_group(struct committer *c, const struct commit_job *first)
{
    struct group g;
    KS_TRY(gather(c, first, &g));
    if (g.n_records == 0)
        return 0;
    const uint64_t number = state_number(c->state) + (g.n_changes > 0 ? 1 : 0);
    ks_buf_reset(&c->lines);
    KS_TRY(audit_log_prepare(c->audit, c->records, g.n_records, number, ks_clock_us(), &c->lines));
    c->idle_due = true;
    if (g.n_changes > 0) {
        /* The store will vouch for all records up to now: with a lazy log they have to be there first. */
        const int synced = audit_log_sync(c->audit, NULL);
        if (synced != 0) {
            audit_log_abandon(c->audit);
            return synced;
        }
        struct audit_head head;
        audit_log_prepared(c->audit, &head);
        struct state_mark mark = {.seq = head.seq};
        memcpy(mark.hash, head.hash, sizeof(mark.hash));
        const int rc = state_commit(c->state, c->changes, g.n_changes, &mark, ks_buf_span(&c->lines), NULL);
        if (rc != 0) {
            audit_log_abandon(c->audit);
            return rc;
        }
    }
    return audit_log_write(c->audit, ks_buf_span(&c->lines), NULL);
}

/* The store remembers how far the audit log has come. */
static int
note(struct committer *c, uint64_t at_least)
{
    struct state_mark mark;
    state_mark(c->state, &mark);
    struct audit_head head;
    audit_log_head(c->audit, &head);
    if (head.seq - mark.seq < at_least)
        return 0;
    KS_TRY(audit_log_sync(c->audit, NULL));
    mark.seq = head.seq;
    memcpy(mark.hash, head.hash, sizeof(mark.hash));
    return state_note(c->state, &mark, NULL);
}

/* Records that keep coming one by one leave no idle moment: they are synced all the same. */
static int
sync_in_time(struct committer *c)
{
    const int64_t now = ks_monotonic_ms();
    if (now - c->synced_ms < SYNC_MS)
        return 0;
    c->synced_ms = now;
    return audit_log_sync(c->audit, NULL);
}

/* The thread */

/* Takes the first jobs of the queue, as many as make a group. */
static struct commit_job *
take_group(struct committer *c)
{
    struct commit_job *first = c->queue;
    struct commit_job *last = NULL;
    size_t bytes = 0;
    for (size_t n = 0; c->queue != NULL && n < GROUP_JOBS; n++) {
        for (size_t i = 0; i < c->queue->n_records; i++)
            bytes += c->queue->records[i].len;
        if (last != NULL && bytes > GROUP_BYTES)
            break;
        last = c->queue;
        c->queue = last->next;
    }
    if (c->queue == NULL)
        c->queue_end = &c->queue;
    if (last != NULL)
        last->next = NULL;
    return first;
}

static void
hand_back(struct committer *c, struct commit_job *first, int rc)
{
    const bool was_empty = c->done == NULL;
    *c->done_end = first;
    for (struct commit_job *job = first; job != NULL; job = job->next) {
        job->rc = rc;
        c->done_end = &job->next;
    }
    const uint64_t one = 1;
    if (was_empty) /* an eventfd takes it: its count is far from its end */
        while (write(c->fd, &one, sizeof(one)) < 0 && errno == EINTR)
            continue;
}

/* Waits for jobs; false: it is time for what is left for idle moments. */
static bool
wait_for_work(struct committer *c)
{
    if (!c->idle_due || c->failed != 0) {
        (void)pthread_cond_wait(&c->work, &c->lock);
        return true;
    }
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_MS / 1000;
    return pthread_cond_timedwait(&c->work, &c->lock, &until) != ETIMEDOUT;
}

static int
idle(struct committer *c)
{
    c->idle_due = false;
    KS_TRY(note(c, 1));
    const int rc = store_idle(c->store, NULL);
    (void)rc; /* only an early checkpoint: nothing is lost without it */
    return 0;
}

/* Outside the lock: nobody else touches state and audit while c->working. */
static void
work_on(struct committer *c, struct commit_job *group)
{
    c->working = true;
    int rc = c->failed;
    (void)pthread_mutex_unlock(&c->lock);
    if (rc == 0)
        rc = group != NULL ? commit_group(c, group) : idle(c);
    (void)pthread_mutex_lock(&c->lock);
    if (group != NULL)
        hand_back(c, group, rc);
    if (rc == 0 && group != NULL) {
        (void)pthread_mutex_unlock(&c->lock);
        rc = note(c, NOTE_RECORDS);
        rc = rc != 0 ? rc : sync_in_time(c);
        (void)pthread_mutex_lock(&c->lock);
    }
    c->working = false;
    if (rc != 0)
        c->failed = rc;
    if (c->queue == NULL)
        (void)pthread_cond_broadcast(&c->quiet);
}

static void *
run(void *arg)
{
    struct committer *c = arg;
    (void)pthread_mutex_lock(&c->lock);
    for (;;) {
        while (c->queue == NULL && !c->stop)
            if (!wait_for_work(c) && c->queue == NULL)
                work_on(c, NULL);
        if (c->queue == NULL)
            break;
        work_on(c, take_group(c));
    }
    if (c->failed == 0)
        (void)idle(c); /* the end of the audit log is remembered over a stop */
    (void)pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* Life */

static void
release(struct committer *c)
{
    state_free(c->state);
    audit_log_close(c->audit);
    ks_buf_done(&c->lines);
    free(c->changes);
    free(c->records);
    ks_closep(&c->fd);
    (void)pthread_cond_destroy(&c->work);
    (void)pthread_cond_destroy(&c->quiet);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

static int
init_waiting(struct committer *c)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return KS_E_NOMEM;
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    /* On Linux none of these three allocates: they do not fail. */
    const bool ok = pthread_mutex_init(&c->lock, NULL) == 0 && pthread_cond_init(&c->work, &attr) == 0 &&
                    pthread_cond_init(&c->quiet, NULL) == 0;
    (void)pthread_condattr_destroy(&attr);
    return ok ? 0 : KS_E_NOMEM;
}

int
committer_new(struct store *store, struct keyring *keyring, const char *audit_dir, struct committer **ret,
              struct ks_diag *diag)
{
    struct committer *c = calloc(1, sizeof(*c));
    if (c == NULL || init_waiting(c) != 0) {
        free(c);
        return ks_fail(diag, KS_E_NOMEM, "committer: out of memory");
    }
    c->store = store;
    c->keyring = keyring;
    c->lines = KS_BUF(LINES_MAX);
    c->queue_end = &c->queue;
    c->done_end = &c->done;
    c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = c->fd < 0 ? ks_fail_errno(diag, KS_E_IO, errno, "committer: no eventfd") : open_both(c, audit_dir, diag);
    if (rc == 0 && (errno = pthread_create(&c->thread, NULL, run, c)) != 0)
        rc = ks_fail_errno(diag, KS_E_NOMEM, errno, "committer: no thread");
    if (rc != 0) {
        release(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void
committer_free(struct committer *c)
{
    if (c == NULL)
        return;
    (void)pthread_mutex_lock(&c->lock);
    c->stop = true;
    (void)pthread_cond_signal(&c->work);
    (void)pthread_mutex_unlock(&c->lock);
    (void)pthread_join(c->thread, NULL);
    release(c);
}

void
committer_audit_sync(struct committer *c, bool each)
{
    (void)pthread_mutex_lock(&c->lock);
    while (c->working || c->queue != NULL)
        (void)pthread_cond_wait(&c->quiet, &c->lock);
    audit_log_lazy(c->audit, !each);
    (void)pthread_mutex_unlock(&c->lock);
}

int
committer_last_record(struct committer *c, struct ks_buf *ret, struct ks_diag *diag)
{
    (void)pthread_mutex_lock(&c->lock);
    while (c->working || c->queue != NULL)
        (void)pthread_cond_wait(&c->quiet, &c->lock);
    const int rc = audit_log_last(c->audit, ret, diag);
    (void)pthread_mutex_unlock(&c->lock);
    return rc;
}

uint64_t
committer_hole(struct committer *c)
{
    (void)pthread_mutex_lock(&c->lock);
    const uint64_t hole = audit_log_hole(c->audit);
    (void)pthread_mutex_unlock(&c->lock);
    return hole;
}

void
committer_submit(struct committer *c, struct commit_job *first, struct commit_job *last)
{
    last->next = NULL;
    (void)pthread_mutex_lock(&c->lock);
    const bool was_empty = c->queue == NULL;
    *c->queue_end = first;
    c->queue_end = &last->next;
    if (was_empty)
        (void)pthread_cond_signal(&c->work);
    (void)pthread_mutex_unlock(&c->lock);
}

int
committer_fd(const struct committer *c)
{
    return c->fd;
}

struct commit_job *
committer_take_done(struct committer *c)
{
    (void)pthread_mutex_lock(&c->lock);
    struct commit_job *done = c->done;
    c->done = NULL;
    c->done_end = &c->done;
    uint64_t count;
    if (done != NULL)
        while (read(c->fd, &count, sizeof(count)) < 0 && errno == EINTR)
            continue;
    (void)pthread_mutex_unlock(&c->lock);
    return done;
}

/* Store and audit log from what is on disk: a transaction that failed may be there, and brings its records along. */
static int
recover(struct committer *c, struct ks_diag *diag)
{
    KS_TRY(store_reopen(c->store, diag));
    struct state *state;
    KS_TRY(state_open(c->store, c->keyring, &state, diag));
    state_free(c->state);
    c->state = state;
    KS_TRY(audit_log_replay(c->audit, state_lines(c->state), diag));
    KS_TRY(check_together(c, diag));
    return note(c, 0) == 0 ? 0 : ks_fail(diag, KS_E_IO, "%s still takes no writes", store_path(c->store));
}

bool
committer_reset(struct committer *c, struct ks_diag *diag)
{
    (void)pthread_mutex_lock(&c->lock);
    while (c->working || c->queue != NULL)
        (void)pthread_cond_wait(&c->quiet, &c->lock);
    /* The lock holds the thread off. */
    int rc = 0;
    if (c->failed != 0)
        rc = recover(c, diag);
    if (rc == 0)
        c->failed = 0;
    (void)pthread_mutex_unlock(&c->lock);
    return rc == 0;
}
