/*
 * Fills the store of an instance whose server is not running with AES keys, named "bench-<number>" and each with a
 * vendor attribute x-serial "<number>", through the engine and the committer as a server would, without a network.
 *
 *     bench_fill INSTANCE COUNT
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "kmip/kmip.h"
#include "server/engine/ctx.h"
#include "server/vault/committer.h"
#include "server/vault/rootkey.h"

enum { BATCH = 200, REPLIES = 8 };

static void
must(int rc, const char *what, struct ks_diag *diag)
{
    if (rc == 0)
        return;
    fprintf(stderr, "bench_fill: %s: %s\n", what,
            diag != NULL && diag->code != 0 ? ks_diag_text(diag) : ks_err_text(rc));
    exit(1);
}

static void
put(struct ks_arena *arena, struct kmip_attrs *attrs, uint32_t tag, struct kmip_item *item)
{
    if (item == NULL || kmip_attrs_add(arena, attrs, tag, item) == NULL)
        must(KS_E_NOMEM, "attribute", NULL);
    attrs->present = true;
}

static struct kmip_item *
number_item(struct ks_arena *arena, uint32_t tag, enum kmip_type type, uint32_t value)
{
    struct kmip_item *item = kmip_item_new(arena, tag, type);
    if (item != NULL)
        item->u32 = value;
    return item;
}

static struct kmip_item *
text_item(struct ks_arena *arena, uint32_t tag, const char *before, unsigned long number)
{
    char text[64];
    struct kmip_item *item = kmip_item_new(arena, tag, KMIP_TYPE_TEXT_STRING);
    const int n = snprintf(text, sizeof(text), "%s%lu", before, number);
    if (item != NULL && n > 0)
        must(ks_arena_span(arena, KS_SPAN(text, n), &item->s), "text", NULL);
    return item;
}

static void
put_names(struct ks_arena *arena, struct kmip_attrs *attrs, unsigned long number)
{
    struct kmip_item *name = kmip_item_new(arena, KMIP_TAG_NAME, KMIP_TYPE_STRUCTURE);
    struct kmip_item *value = text_item(arena, KMIP_TAG_NAME_VALUE, "bench-", number);
    struct kmip_item *type =
        number_item(arena, KMIP_TAG_NAME_TYPE, KMIP_TYPE_ENUMERATION, KMIP_NAME_TYPE_UNINTERPRETED_TEXT_STRING);
    if (name == NULL || value == NULL || type == NULL)
        must(KS_E_NOMEM, "name", NULL);
    kmip_item_append(name, value);
    kmip_item_append(name, type);
    put(arena, attrs, KMIP_TAG_NAME, name);
    put(arena, attrs, KMIP_TAG_ATTRIBUTE, text_item(arena, KMIP_TAG_ATTRIBUTE_VALUE, "", number));
    attrs->last->vendor = KS_LIT("x");
    attrs->last->name = KS_LIT("serial");
}

static void
make_request(struct ks_arena *arena, unsigned long from, unsigned long n, struct ks_buf *ret)
{
    struct kmip_protocol_version version = {.protocol_version_major = 2, .protocol_version_minor = 1};
    struct kmip_request_header header = {.protocol_version = &version, .batch_count = (int32_t)n};
    static struct kmip_request_batch_item items[BATCH], *all[BATCH];
    static struct kmip_create_request creates[BATCH];
    const struct kmip_request_message message = {.request_header = &header, .batch_item = all, .n_batch_item = n};
    for (unsigned long i = 0; i < n; i++) {
        creates[i] = (struct kmip_create_request){.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY};
        struct kmip_attrs *attrs = &creates[i].attributes;
        put(arena, attrs, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM,
            number_item(arena, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_TYPE_ENUMERATION,
                        KMIP_CRYPTOGRAPHIC_ALGORITHM_AES));
        put(arena, attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH,
            number_item(arena, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, KMIP_TYPE_INTEGER, 256));
        put(arena, attrs, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK,
            number_item(arena, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_TYPE_INTEGER,
                        KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT));
        put_names(arena, attrs, from + i);
        items[i] = (struct kmip_request_batch_item){.operation = KMIP_OPERATION_CREATE,
                                                    .payload = &creates[i],
                                                    .unique_batch_item_id = KS_LIT("i"),
                                                    .has_unique_batch_item_id = true};
        all[i] = &items[i];
    }
    ks_buf_reset(ret);
    must(kmip_request_encode(&message, ret, NULL), "request", NULL);
}

/* Result Status of an item other than Success. */
static bool
failed(const struct ks_buf *response)
{
    static const uint8_t status[] = {0x42, 0x00, 0x7f, 0x05, 0, 0, 0, 4, 0, 0, 0, 1};
    return response->len == 0 || memmem(response->data, response->len, status, sizeof(status)) != NULL;
}

struct fill {
    struct engine *engine;
    struct committer *committer;
    struct engine_reply replies[REPLIES];
    bool busy[REPLIES];
};

static void
wait_for_some(struct fill *f)
{
    struct pollfd fd = {committer_fd(f->committer), POLLIN, 0};
    (void)poll(&fd, 1, 1000);
    struct commit_job *next;
    for (struct commit_job *job = committer_take_done(f->committer); job != NULL; job = next) {
        next = job->next;
        must(job->rc, "commit", NULL);
        for (size_t i = 0; i < REPLIES; i++)
            if (job == &f->replies[i].job) {
                engine_committed(f->engine, &f->replies[i]);
                f->busy[i] = false;
            }
    }
}

static size_t
free_reply(struct fill *f)
{
    for (;;) {
        for (size_t i = 0; i < REPLIES; i++)
            if (!f->busy[i])
                return i;
        wait_for_some(f);
    }
}

static void
fill(struct fill *f, const struct identity *who, unsigned long count)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(64 << 20);
    KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(16 << 20);
    const unsigned long first = f->engine->objects.all.n; /* numbers go on where the last fill ended */
    for (unsigned long done = 0; done < count;) {
        const unsigned long n = count - done < BATCH ? count - done : BATCH;
        const size_t i = free_reply(f);
        make_request(&arena, first + done, n, &request);
        engine_handle(f->engine, who, ks_buf_span(&request), &f->replies[i]);
        if (failed(&f->replies[i].response))
            must(KS_E_INVALID, "a key was not made", NULL);
        f->busy[i] = true;
        committer_submit(f->committer, &f->replies[i].job, &f->replies[i].job);
        ks_arena_reset(&arena);
        done += n;
    }
    for (size_t i = 0; i < REPLIES; i++)
        while (f->busy[i])
            wait_for_some(f);
}

int
main(int argc, char **argv)
{
    struct ks_diag diag = {0};
    int64_t count;
    char path[3][4096];
    static const char *const names[] = {"root.key", "store.db", "audit"};
    if (argc != 3 || ks_parse_i64(ks_span_str(argv[2]), 1, 100000000, &count) != 0) {
        fputs("usage: bench_fill INSTANCE COUNT\n", stderr);
        return 64;
    }
    for (size_t i = 0; i < 3; i++)
        (void)snprintf(path[i], sizeof(path[i]), "%s/%s", argv[1], names[i]);
    static struct fill f;
    struct store *store;
    struct keyring *keyring;
    KS_KEY32 root;
    must(ks_crypto_init(&diag), "crypto", &diag);
    must(rootkey_file_read(path[0], &root, &diag), "root key", &diag);
    must(store_open(path[1], &store, &diag), "store", &diag);
    must(keyring_open(store, &root, &keyring, &diag), "keyring", &diag);
    must(committer_new(store, keyring, path[2], &f.committer, &diag), "committer", &diag);
    const struct engine_config config = {.node = KS_LIT("bench"), .object_memory = 1 << 30, .batch_us = 60000000};
    must(engine_new(NULL, &config, &f.engine), "engine", NULL);
    must(engine_load(f.engine, keyring, store, &diag), "load", &diag);
    for (size_t i = 0; i < REPLIES; i++)
        must(engine_reply_init(&f.replies[i]), "reply", NULL);
    struct identity who = {.authenticated = true, .name = KS_LIT("bench_fill"), .subject = KS_LIT("CN=bench_fill")};
    for (const struct client *c = f.engine->clients.first; c != NULL; c = c->next)
        if (c->role == IDENTITY_ADMIN)
            memcpy(who.fingerprint, c->fingerprint, sizeof(who.fingerprint));
    fill(&f, &who, (unsigned long)count);
    committer_free(f.committer);
    engine_free(f.engine);
    for (size_t i = 0; i < REPLIES; i++)
        engine_reply_done(&f.replies[i]);
    keyring_free(keyring);
    store_close(store);
    ks_crypto_done();
    return 0;
}
