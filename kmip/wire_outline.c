/* The outline: a message as a person wants to read it. Secrets are left out unless asked for. */
#include "kmip/wire.h"

#include "base/text.h"
#include "kmip/schema.h"

static int
line(struct kmip_text_writer *w, uint32_t tag)
{
    const char *name = kmip_tag_xml_name(tag);
    ks_buf_addf(w->out, "%*s", (int)(2 * w->base.depth), "");
    return name != NULL ? ks_buf_add_str(w->out, name) : ks_buf_addf(w->out, "0x%06X", tag);
}

/*
 * A secret structure that has rows of its own hides what they say, and what they do not know; one without rows hides
 * everything.
 */
static bool
is_hidden(const struct kmip_text_writer *w, uint32_t tag)
{
    const unsigned depth = w->base.depth;
    return w->hides[depth] == KMIP_HIDES_ALL ||
           (w->hides[depth] == KMIP_HIDES_UNKNOWN && !kmip_tag_has_field(w->tag[depth], tag));
}

static int
outline_begin(struct kmip_writer *base, uint32_t tag)
{
    struct kmip_text_writer *w = (struct kmip_text_writer *)base;
    if (base->depth >= KMIP_DEPTH_MAX)
        return ks_fail(base->diag, KS_E_LIMIT, "structures nest more than %d deep", KMIP_DEPTH_MAX);
    line(w, tag);
    enum kmip_hides hides = KMIP_HIDES_SECRETS;
    if (is_hidden(w, tag))
        hides = KMIP_HIDES_ALL;
    else if (kmip_tag_is_secret(tag))
        hides = kmip_tag_has_field(tag, 0) ? KMIP_HIDES_UNKNOWN : KMIP_HIDES_ALL;
    base->depth++;
    w->hides[base->depth] = (uint8_t)hides;
    w->tag[base->depth] = tag;
    w->value_tag[base->depth] = 0;
    return ks_buf_add_u8(w->out, '\n');
}

/* Text comes quoted; long byte strings are cut, as the other encodings have them whole. */
static int
add_value(struct kmip_text_writer *w, const struct kmip_item *item, uint32_t value_tag)
{
    enum { SHOWN = 64 };
    const char *name;
    switch (item->type) {
    case KMIP_TYPE_ENUMERATION: /* our own extensions by name, too */
        name = kmip_enum_xml_name(value_tag, item->u32);
        return name != NULL ? ks_buf_add_str(w->out, name) : kmip_value_format(item, value_tag, ' ', w->out);
    case KMIP_TYPE_TEXT_STRING:
    case KMIP_TYPE_IDENTIFIER:
    case KMIP_TYPE_REFERENCE:
    case KMIP_TYPE_NAME_REFERENCE:
        return ks_json_add_string(w->out, item->s);
    case KMIP_TYPE_BYTE_STRING:
    case KMIP_TYPE_BIG_INTEGER:
        if (item->s.len > SHOWN) {
            ks_hex_add(w->out, item->s.data, SHOWN);
            return ks_buf_addf(w->out, "... (%zu bytes)", item->s.len);
        }
        return kmip_value_format(item, value_tag, ' ', w->out);
    case KMIP_TYPE_INTERVAL:
        return ks_buf_addf(w->out, "%u s", item->u32);
    default:
        return kmip_value_format(item, value_tag, ' ', w->out);
    }
}

static bool
is_string(const struct kmip_item *item)
{
    return item->type == KMIP_TYPE_TEXT_STRING || item->type == KMIP_TYPE_BYTE_STRING ||
           item->type == KMIP_TYPE_BIG_INTEGER || item->type == KMIP_TYPE_IDENTIFIER ||
           item->type == KMIP_TYPE_REFERENCE || item->type == KMIP_TYPE_NAME_REFERENCE;
}

static int
outline_leaf(struct kmip_writer *base, const struct kmip_item *item)
{
    struct kmip_text_writer *w = (struct kmip_text_writer *)base;
    if (item->tag == KMIP_TAG_ATTRIBUTE_NAME && item->type == KMIP_TYPE_TEXT_STRING &&
        kmip_tag_find(item->s, &w->value_tag[base->depth]) != 0)
        w->value_tag[base->depth] = 0;
    line(w, item->tag);
    ks_buf_add_str(w->out, ": ");
    const bool secret = item->secret || is_hidden(w, item->tag) || kmip_tag_is_secret(item->tag);
    if (!secret || w->show_secrets)
        add_value(w, item, kmip_value_tag(item->tag, w->value_tag[base->depth]));
    else if (is_string(item))
        ks_buf_addf(w->out, "(secret, %zu bytes)", item->s.len);
    else
        ks_buf_add_str(w->out, "(secret)");
    return ks_buf_add_u8(w->out, '\n');
}

static int
outline_end(struct kmip_writer *base)
{
    base->depth--;
    return ((struct kmip_text_writer *)base)->out->err;
}

void
kmip_outline_writer_init(struct kmip_text_writer *w, struct ks_buf *out, bool show_secrets, struct ks_diag *diag)
{
    *w = (struct kmip_text_writer){
        .base = {outline_begin, outline_leaf, outline_end, diag, 0}, .out = out, .show_secrets = show_secrets};
}
