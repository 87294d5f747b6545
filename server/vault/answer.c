/* An answer that must not leave as it is: the same message with every item failed. */
#include "kmip/kmip.h"
#include "server/vault/internal.h"

enum { ARENA_MAX = 4 << 20 };

static int
fail_items(struct ks_span response, const char *message, struct ks_buf *ret)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(ARENA_MAX);
    struct kmip_response_message *msg;
    KS_TRY(kmip_response_decode(response, &kmip_limits_default, &arena, &msg, NULL));
    for (size_t i = 0; i < msg->n_batch_item; i++) {
        struct kmip_response_batch_item *item = msg->batch_item[i];
        item->result_status = KMIP_RESULT_STATUS_OPERATION_FAILED;
        item->result_reason = KMIP_RESULT_REASON_GENERAL_FAILURE;
        item->has_result_reason = true;
        item->result_message = ks_span_str(message);
        item->has_result_message = true;
        item->payload = NULL;
        item->n_message_extension = 0;
    }
    return kmip_response_encode(msg, ret, NULL);
}

void
answer_fail(struct ks_buf *response, const char *message)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf failed = KS_BUF(FRAME_BODY_MAX);
    const bool made = fail_items(ks_buf_span(response), message, &failed) == 0;
    ks_buf_reset(response);
    if (made && ks_buf_add_span(response, ks_buf_span(&failed)) != 0)
        ks_buf_reset(response);
}
