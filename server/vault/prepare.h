/*
 * Threads that do what takes long and needs no state of the engine: engine_prepare. Tasks are done in any order;
 * whoever submits keeps the order that matters (that of one connection).
 */
#pragma once

#include "server/engine/engine.h"

struct prepare_pool;

struct prepare_task {
    struct prepare_task *next;
    struct ks_buf request; /* TTLV; belongs to the task */
    struct engine_prepared
        *prepared; /* what is to be done, NULL: what the request describes; and the result, NULL: none */
    void *owner;   /* NULL: an asynchronous request, by `id`, or the rotation's */
    bool rotation;
    uint8_t id[ENGINE_ASYNC_ID];
};

int prepare_pool_new(size_t n_threads, struct prepare_pool **ret) KS_MUST_CHECK;
void prepare_pool_free(struct prepare_pool *pool); /* waits for what is being done; what is not begun is freed undone */
void prepare_submit(struct prepare_pool *pool, struct prepare_task *task);
int prepare_fd(const struct prepare_pool *pool);                   /* readable when tasks are done */
struct prepare_task *prepare_take_done(struct prepare_pool *pool); /* a list, or NULL; clears the fd */
void prepare_task_free(struct prepare_task *task);
