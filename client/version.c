/*
 * Which version to speak: Discover Versions (1.4: 4.26; 2.1: 6.1.16).
 *
 * The question itself has to be asked in some version. 1.1, the oldest that knows it, is understood by every server of
 * 1.1 to 2.1; if it is refused, the newest that we speak is tried. A server that knows neither speaks 1.0.
 */
#include "client/client.h"

#include "client/error.h"
#include "client/message.h"

static int
ask(struct ks_client *client, struct conn *conn, enum kmip_version in, const struct client_wait *wait,
    struct ks_arena *arena, struct ks_buf *answer, struct client_op *op, struct ks_error *error)
{
    const enum kmip_version oldest = client->config->oldest;
    const enum kmip_version newest = client->config->newest;
    struct kmip_discover_versions_request request = {.n_protocol_version = newest - oldest + 1};
    request.protocol_version = ks_arena_array(arena, request.n_protocol_version, sizeof(void *));
    struct kmip_protocol_version *ours = ks_arena_array(arena, request.n_protocol_version, sizeof(*ours));
    if (request.protocol_version == NULL || ours == NULL)
        return client_fail(error, KS_E_NOMEM, "out of memory");
    for (size_t i = 0; i < request.n_protocol_version; i++) { /* best first */
        const struct kmip_version_number number = kmip_version_number((enum kmip_version)(newest - i));
        ours[i] = (struct kmip_protocol_version){.protocol_version_major = number.major,
                                                 .protocol_version_minor = number.minor};
        request.protocol_version[i] = &ours[i];
    }
    *op = (struct client_op){.operation = KMIP_OPERATION_DISCOVER_VERSIONS, .request = &request};
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(4096);
    KS_TRY(message_encode(op, 1, in, (size_t)client->config->max_response, KS_SPAN_NONE, arena, &bytes, error));
    bool processed; /* of no interest: asking twice does no harm */
    KS_TRY(conn_exchange(conn, ks_buf_span(&bytes), (size_t)client->config->max_response, wait, answer, &processed,
                         error));
    return message_decode(ks_buf_span(answer), op, 1, arena, error);
}

/* The best of the server's list that is in our range. The list is ranked, but not every server ranks it. */
static bool
choose(const struct ks_client *client, const struct kmip_discover_versions_response *response, enum kmip_version *ret)
{
    bool found = false;
    for (size_t i = 0; i < response->n_protocol_version; i++) {
        const struct kmip_protocol_version *theirs = response->protocol_version[i];
        enum kmip_version version;
        if (kmip_version_find(theirs->protocol_version_major, theirs->protocol_version_minor, &version) != 0 ||
            version < client->config->oldest || version > client->config->newest || (found && version <= *ret))
            continue;
        *ret = version;
        found = true;
    }
    return found;
}

static bool
means_unknown(const struct client_op *op)
{
    return op->reason == KMIP_RESULT_REASON_OPERATION_NOT_SUPPORTED ||
           op->reason == KMIP_RESULT_REASON_INVALID_MESSAGE || op->reason == KMIP_RESULT_REASON_INVALID_FIELD ||
           op->reason == KMIP_RESULT_REASON_UNSUPPORTED_PROTOCOL_VERSION ||
           op->reason == KMIP_RESULT_REASON_GENERAL_FAILURE;
}

int
client_negotiate(struct ks_client *client, struct conn *conn, const struct client_wait *wait, enum kmip_version *ret,
                 bool *ret_sure, struct ks_error *error)
{
    const enum kmip_version newest = client->config->newest;
    if (newest == client->config->oldest) {
        *ret = newest; /* nothing to agree on */
        *ret_sure = true;
        return 0;
    }
    const enum kmip_version tries[] = {KMIP_V1_1, newest};
    for (size_t i = 0; i < KS_ARRAY_LEN(tries) && tries[i] >= KMIP_V1_1; i++) {
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
        KS_CLEANUP(ks_buf_done) struct ks_buf answer = KS_BUF(1 << 16);
        struct client_op op;
        KS_TRY(ask(client, conn, tries[i], wait, &arena, &answer, &op, error));
        if (op.code == 0) {
            if (!choose(client, op.response, ret))
                return client_fail(error, KS_E_UNSUPPORTED,
                                   "server and client have no version of KMIP in common; widen `versions`");
            *ret_sure = true;
            return 0;
        }
        if (op.reason == KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL) /* some servers hear nothing more then */
            return message_refuse(&op, "not let in", error);
        if (!means_unknown(&op) || op.code == KS_E_SEALED) {
            /* Refused for another reason, which the call itself will hear: the server does understand this version. */
            *ret = tries[i] < client->config->oldest ? client->config->oldest : tries[i];
            *ret_sure = false;
            return 0;
        }
    }
    if (client->config->oldest > KMIP_V1_0)
        return client_fail(error, KS_E_UNSUPPORTED,
                           "the server speaks KMIP 1.0 alone, which `versions` does not allow");
    *ret = KMIP_V1_0;
    *ret_sure = true;
    return 0;
}
