/*
 * A sequence of TTLV requests against an engine. The first byte of the input says who asks: a client, the administrator
 * or nobody, and whether they take turns. Every request gets an answer that can be read, one audit record for each
 * item, and no crash. Random numbers are predictable, so that later requests of an input can name objects that earlier
 * ones have made.
 */
#include "engine_rig.h"
#include "fuzz.h"

static struct rig rig;

static void
close_rig(void)
{
    rig_close(&rig);
}

static void
start(void)
{
    static bool open;
    if (!open) {
        rig_open(&rig, NULL, false);
        (void)atexit(close_rig);
        open = true;
    }
    rig.predictable = true;
    rig.drawn = 0;
    rig.now_us = (int64_t)RIG_START_S * 1000000;
    rig_restart(&rig); /* nothing of the input before was committed */
}

static void
check_answer(const struct identity *who)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(FUZZ_MEMORY);
    struct kmip_response_message *response;
    struct ks_diag diag = {0};
    if (rig.reply.response.len == 0) {
        FUZZ_ASSERT(rig.reply.drop);
        return;
    }
    FUZZ_ASSERT(
        kmip_response_decode(ks_buf_span(&rig.reply.response), &kmip_limits_default, &arena, &response, &diag) == 0);
    FUZZ_ASSERT(response->n_batch_item >= 1 && rig.reply.job.n_records >= response->n_batch_item);
    for (size_t i = 0; i < response->n_batch_item; i++) {
        const struct kmip_response_batch_item *item = response->batch_item[i];
        FUZZ_ASSERT(item->has_result_reason == (item->result_status == KMIP_RESULT_STATUS_OPERATION_FAILED));
        FUZZ_ASSERT(who->authenticated || item->result_status != KMIP_RESULT_STATUS_SUCCESS ||
                    item->operation == (uint32_t)KMIP_OPERATION_ENROLL);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct identity *const turns[] = {&rig.client, &rig.admin, &rig.client, &rig.nobody};
    size_t at = 1, turn = size != 0 ? data[0] & 127 : 0;
    const size_t step = size != 0 ? data[0] >> 7 : 0;
    start();
    while (size >= 9 && at <= size - 8) {
        const size_t len = ks_be32(data + at + 4);
        const struct ks_span request = KS_SPAN(data + at, len <= size - at - 8 ? len + 8 : size - at);
        const struct identity *who = turns[turn % KS_ARRAY_LEN(turns)];
        turn += step;
        at += request.len;
        if (engine_is_slow(request)) /* a key pair takes longer than a fuzzer has */
            continue;
        engine_handle(rig.engine, who, request, &rig.reply);
        check_answer(who);
        rig.now_us += 1000000;
        (void)engine_tick(rig.engine, &rig.reply);
    }
    return 0;
}
