#include "server/vault/prepare.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { THREADS_MAX = 8 };

struct prepare_pool {
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    struct prepare_task *todo, **todo_end;
    struct prepare_task *done, **done_end;
    bool stop;
    int fd;
    pthread_t threads[THREADS_MAX];
    size_t n_threads;
};

void
prepare_task_free(struct prepare_task *task)
{
    if (task == NULL)
        return;
    engine_prepared_free(task->prepared);
    ks_buf_done(&task->request);
    free(task);
}

static void *
run(void *arg)
{
    struct prepare_pool *pool = arg;
    (void)pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->todo == NULL && !pool->stop)
            (void)pthread_cond_wait(&pool->wanted, &pool->lock);
        if (pool->stop)
            break;
        struct prepare_task *task = pool->todo;
        pool->todo = task->next;
        if (pool->todo == NULL)
            pool->todo_end = &pool->todo;
        (void)pthread_mutex_unlock(&pool->lock);
        task->next = NULL;
        if (task->prepared != NULL)
            engine_prepare_more(task->prepared);
        else
            task->prepared = engine_prepare(ks_buf_span(&task->request));
        (void)pthread_mutex_lock(&pool->lock);
        *pool->done_end = task;
        pool->done_end = &task->next;
        const uint64_t one = 1;
        if (write(pool->fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
            break; /* cannot be: the counter is read long before it is full */
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

int
prepare_pool_new(size_t n_threads, struct prepare_pool **ret)
{
    struct prepare_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL)
        return KS_E_NOMEM;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->wanted, NULL);
    pool->todo_end = &pool->todo;
    pool->done_end = &pool->done;
    pool->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    while (pool->fd >= 0 && pool->n_threads < n_threads && pool->n_threads < THREADS_MAX &&
           pthread_create(&pool->threads[pool->n_threads], NULL, run, pool) == 0)
        pool->n_threads++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pool->n_threads == 0) {
        prepare_pool_free(pool);
        return KS_E_INTERNAL;
    }
    *ret = pool;
    return 0;
}

static void
free_list(struct prepare_task *task)
{
    for (struct prepare_task *next; task != NULL; task = next) {
        next = task->next;
        prepare_task_free(task);
    }
}

void
prepare_pool_free(struct prepare_pool *pool)
{
    if (pool == NULL)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    (void)pthread_cond_broadcast(&pool->wanted);
    (void)pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->n_threads; i++)
        (void)pthread_join(pool->threads[i], NULL);
    free_list(pool->todo);
    free_list(pool->done);
    if (pool->fd >= 0)
        (void)close(pool->fd);
    (void)pthread_cond_destroy(&pool->wanted);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void
prepare_submit(struct prepare_pool *pool, struct prepare_task *task)
{
    (void)pthread_mutex_lock(&pool->lock);
    task->next = NULL;
    *pool->todo_end = task;
    pool->todo_end = &task->next;
    (void)pthread_cond_signal(&pool->wanted);
    (void)pthread_mutex_unlock(&pool->lock);
}

int
prepare_fd(const struct prepare_pool *pool)
{
    return pool->fd;
}

struct prepare_task *
prepare_take_done(struct prepare_pool *pool)
{
    uint64_t count;
    if (read(pool->fd, &count, sizeof(count)) != (ssize_t)sizeof(count))
        return NULL;
    (void)pthread_mutex_lock(&pool->lock);
    struct prepare_task *list = pool->done;
    pool->done = NULL;
    pool->done_end = &pool->done;
    (void)pthread_mutex_unlock(&pool->lock);
    return list;
}
