/* The table of asynchronous requests, as the engine holds it; what it means is in async.h. */
#pragma once

#include "server/engine/client.h"

enum {
    ASYNC_ID_LEN = 16,
    ASYNC_MOST = 256,            /* in all */
    ASYNC_CLIENT_MOST = 32,      /* of one client, fetched answers not counted */
    ASYNC_REQUEST_MAX = 1 << 20, /* bytes of a request that is put off */
    ASYNC_RESULT_MAX = 1 << 20,  /* bytes of an answer that is kept */
    ASYNC_DELAY_US = 250000,     /* a request is left alone for so long, unless it is polled for */
    ASYNC_KEEP_S = 3600,         /* an answer is kept for so long */
};

enum async_stage { ASYNC_WAITING = 1, ASYNC_SUBMITTED, ASYNC_COMPLETED, ASYNC_FAILED, ASYNC_CANCELED, ASYNC_STOPPED };

/* A request at a stage: never changed once made, replaced as a whole. */
struct async_request {
    uint8_t id[ASYNC_ID_LEN];
    struct client *client;
    enum async_stage stage;
    uint32_t operation;
    int64_t submitted_us, finished_us; /* finished: 0 while it is not */
    uint8_t batch[8];                  /* what was put off of one request has the same */
    uint32_t place;                    /* in the batch */
    bool ordered;                      /* after those before it in the batch */
    bool on_error;                     /* although one before it failed (Continue) */
    bool slow;                         /* a key has to be made first that takes long */
    uint64_t finished_by;              /* the number of the request that carried it out; not kept across restarts */
    struct ks_buf row;                 /* sealed; allocated */
};

struct async {
    struct async_request *v[ASYNC_MOST];
    size_t n;
    uint8_t preparing[ASYNC_ID_LEN]; /* the one for which a key is being made, if is_preparing */
    bool is_preparing;
};
