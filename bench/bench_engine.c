/*
 * What the engine costs: nanoseconds from the bytes of a request to the bytes of the answer, its changes sealed and its
 * audit record formatted, without network, store and sync. Lines of JSON.
 *
 *     bench_engine [rounds [what]]   each request (or Get, Encrypt, Create) `rounds` times (100000), best of five
 * passes valgrind --tool=callgrind build/bench/bench_engine 1000 Get  instructions
 */
#include <stdio.h>
#include <time.h>

#include "engine_rig.h"

enum { PASSES = 5 };

static void
must(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "bench_engine: %s: %s\n", what, ks_err_text(rc));
    exit(1);
}

static void
make_request(uint32_t operation, void *payload, struct ks_buf *ret)
{
    struct kmip_protocol_version version = {.protocol_version_major = 2, .protocol_version_minor = 1};
    struct kmip_request_header header = {.protocol_version = &version, .batch_count = 1};
    struct kmip_request_batch_item item = {.operation = operation, .payload = payload}, *items = &item;
    const struct kmip_request_message message = {.request_header = &header, .batch_item = &items, .n_batch_item = 1};
    ks_buf_reset(ret);
    must(kmip_request_encode(&message, ret, NULL), "request");
}

static int64_t
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void
measure(struct rig *rig, const char *only, const char *name, struct ks_span request, long rounds)
{
    if (strncmp(name, only, strlen(only)) != 0)
        return;
    int64_t best = INT64_MAX;
    for (int pass = 0; pass < PASSES; pass++) {
        const int64_t from = now_ns();
        for (long i = 0; i < rounds; i++)
            engine_handle(rig->engine, &rig->client, request, &rig->reply);
        const int64_t took = now_ns() - from;
        best = took < best ? took : best;
    }
    struct kmip_response_message *response;
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
    must(kmip_response_decode(ks_buf_span(&rig->reply.response), &kmip_limits_default, &arena, &response, NULL),
         "response");
    if (response->batch_item[0]->result_status != KMIP_RESULT_STATUS_SUCCESS) {
        fprintf(stderr, "bench_engine: %s: %.*s\n", name, (int)response->batch_item[0]->result_message.len,
                (const char *)response->batch_item[0]->result_message.data);
        exit(1);
    }
    printf("{\"bench\":\"engine\",\"what\":\"%s\",\"ns\":%.0f,\"rounds\":%ld}\n", name, (double)best / (double)rounds,
           rounds);
}

static void
put_number(struct ks_arena *arena, struct kmip_attrs *attrs, uint32_t tag, enum kmip_type type, uint32_t value)
{
    struct kmip_item *item = kmip_item_new(arena, tag, type);
    if (item == NULL || kmip_attrs_add(arena, attrs, tag, item) == NULL)
        must(KS_E_NOMEM, "attribute");
    item->u32 = value;
    attrs->present = true;
}

int
main(int argc, char **argv)
{
    struct rig rig;
    const long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    const char *only = argc > 2 ? argv[2] : "";
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
    KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(1 << 20);
    if (rounds <= 0) {
        fputs("usage: bench_engine [rounds [what]]\n", stderr);
        return 64;
    }
    rig_open(&rig, NULL, true);
    struct kmip_create_request create = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY};
    put_number(&arena, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_TYPE_ENUMERATION,
               KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(&arena, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, KMIP_TYPE_INTEGER, 256);
    put_number(&arena, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_TYPE_INTEGER,
               KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT);
    make_request(KMIP_OPERATION_CREATE, &create, &request);
    engine_handle(rig.engine, &rig.client, ks_buf_span(&request), &rig.reply);
    struct kmip_response_message *response;
    struct ks_span answer;
    must(ks_arena_span(&arena, ks_buf_span(&rig.reply.response), &answer), "answer");
    must(kmip_response_decode(answer, &kmip_limits_default, &arena, &response, NULL), "answer");
    const struct kmip_create_response *made = response->batch_item[0]->payload;

    struct kmip_activate_request activate = {.unique_identifier = made->unique_identifier};
    make_request(KMIP_OPERATION_ACTIVATE, &activate, &request);
    engine_handle(rig.engine, &rig.client, ks_buf_span(&request), &rig.reply);

    struct kmip_get_request get = {.unique_identifier = made->unique_identifier};
    make_request(KMIP_OPERATION_GET, &get, &request);
    measure(&rig, only, "Get", ks_buf_span(&request), rounds);

    static const uint8_t data[1024];
    struct kmip_cryptographic_parameters gcm = {.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM,
                                                .has_block_cipher_mode = true};
    struct kmip_encrypt_request encrypt = {.unique_identifier = made->unique_identifier,
                                           .cryptographic_parameters = &gcm,
                                           .data = KS_SPAN(data, sizeof(data)),
                                           .has_data = true};
    make_request(KMIP_OPERATION_ENCRYPT, &encrypt, &request);
    measure(&rig, only, "Encrypt 1 KiB", ks_buf_span(&request), rounds);

    make_request(KMIP_OPERATION_CREATE, &create, &request);
    measure(&rig, only, "Create", ks_buf_span(&request), rounds > 20000 ? 20000 : rounds);
    rig_close(&rig);
    return 0;
}
