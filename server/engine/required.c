#include "server/engine/required.h"

static const struct {
    uint32_t operation, object_type;
    enum core_id id;
    enum kmip_version since, until;
} rows[] = {
/* clang-format off */
#define REQUIRED(operation, object_type, id, since, until)                                                             \
    {KMIP_OPERATION_##operation, KMIP_OBJECT_TYPE_##object_type, CORE_##id, KMIP_##since, KMIP_##until},
#include "server/engine/required.def"
#undef REQUIRED
    /* clang-format on */
};

int
required_check(struct ctx *ctx, uint32_t operation, const struct rev *draft)
{
    const int64_t type = core_get(&draft->core, CORE_OBJECT_TYPE);
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        if (rows[i].operation != operation || rows[i].object_type != type || ctx->version < rows[i].since ||
            ctx->version > rows[i].until || core_has(&draft->core, rows[i].id))
            continue;
        if (rows[i].id == CORE_ALGORITHM && draft->wrapping != NULL)
            continue;
        return engine_fail(ctx, operation == KMIP_OPERATION_CREATE_KEY_PAIR ? COND_PAIR_MISSING : COND_MISSING,
                           "the request has no %s", kmip_tag_name(core_rows[rows[i].id].tag));
    }
    return 0;
}
