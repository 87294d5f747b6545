/* Facts of an object that are single numbers, by the rows of core.def. */
#include "server/engine/object.h"

const struct core_row core_rows[CORE_COUNT] = {
#define CORE(NAME, TAG, TYPE, FLAGS)                                                                                   \
    [CORE_##NAME] = {.tag = KMIP_TAG_##TAG, .type = KMIP_TYPE_##TYPE, .flags = (FLAGS)},
#include "server/engine/core.def"
#undef CORE
};
_Static_assert(CORE_COUNT <= 64, "presence is a bit in 64");

enum core_id
core_find(uint32_t tag)
{
    unsigned id = 0;
    while (id < CORE_COUNT && core_rows[id].tag != tag)
        id++;
    return (enum core_id)id;
}

struct kmip_item *
core_item(struct ks_arena *arena, const struct core *core, enum core_id id)
{
    struct kmip_item *item = kmip_item_new(arena, core_rows[id].tag, (enum kmip_type)core_rows[id].type);
    if (item == NULL)
        return NULL;
    const int64_t v = core->v[id];
    switch (core_rows[id].type) {
    case KMIP_TYPE_BOOLEAN:
        item->b = v != 0;
        break;
    case KMIP_TYPE_INTEGER:
        item->i32 = (int32_t)v;
        break;
    case KMIP_TYPE_ENUMERATION:
    case KMIP_TYPE_INTERVAL:
        item->u32 = (uint32_t)v;
        break;
    default:
        item->i64 = v;
    }
    return item;
}

int
core_from_item(enum core_id id, const struct kmip_item *item, int64_t *ret)
{
    if (item == NULL || item->type != core_rows[id].type)
        return KS_E_INVALID;
    switch (item->type) {
    case KMIP_TYPE_BOOLEAN:
        *ret = item->b;
        return 0;
    case KMIP_TYPE_INTEGER:
        *ret = item->i32;
        return 0;
    case KMIP_TYPE_ENUMERATION:
    case KMIP_TYPE_INTERVAL:
        *ret = item->u32;
        return 0;
    default:
        *ret = item->i64;
        return 0;
    }
}
