/*
 * A KMIP message as a tree of items, for comparing what a case expects with what a server sent.
 *
 * The messages of published cases are XML with placeholders: value="$UNIQUE_IDENTIFIER_0", value="$NOW-3600". A tree
 * that was read from such a message knows where they stand; everywhere else its values are typed, as the codec has
 * them.
 */
#pragma once

#include "kmip/kmip.h"

struct tree {
    struct kmip_item item; /* tag, type and, of a leaf, the value; `first` and `next` are not used */
    struct ks_span var;    /* placeholder without the $; empty: none */
    int64_t offset;        /* seconds, of $NOW */
    struct tree *parent;
    size_t n;
    struct tree **child;
};

enum { TREE_MAX_BYTES = 4 << 20 };

/* "$NAME", "$NAME+5": false if the text is none. */
bool tree_var(struct ks_span text, struct ks_span *ret_name, int64_t *ret_offset);

/*
 * What stands for a placeholder while a message is read or sent: appends text for XML (unescaped) to ret. type is that
 * of the element ("TextString"); tag the element's name. Returns 0 or a KS_E_* code, KS_E_NOT_FOUND: it has no value.
 */
struct tree_fill {
    int (*fill)(struct tree_fill *fill, struct ks_span name, int64_t offset, struct ks_span tag, struct ks_span type,
                struct ks_buf *ret);
    struct ks_span missing; /* the placeholder without value, after KS_E_NOT_FOUND */
};

/* The XML of a message with its placeholders filled, appended to ret. */
int tree_fill_xml(struct ks_span xml, struct tree_fill *fill, struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* A message with placeholders. Everything lives in the arena. KS_E_MALFORMED, KS_E_LIMIT, KS_E_NOMEM. */
int tree_read_case(struct ks_span xml, struct ks_arena *arena, struct tree **ret, struct ks_diag *diag) KS_MUST_CHECK;

/* A message as it was sent or received. */
int tree_read(enum kmip_encoding encoding, struct ks_span bytes, struct ks_arena *arena, struct tree **ret,
              struct ks_diag *diag) KS_MUST_CHECK;

/* The first child with that tag; NULL: none, or t is NULL. */
struct tree *tree_child(const struct tree *t, uint32_t tag);
static inline bool
tree_is_leaf(const struct tree *t)
{
    return t->item.type != KMIP_TYPE_STRUCTURE;
}
static inline bool
tree_has_text(const struct tree *t)
{
    return kmip_item_has_span(&t->item);
}

/* Whether two leaves have the same type and value. */
bool tree_same_value(const struct kmip_item *a, const struct kmip_item *b);

/* The next item in document order below root, `t` being the last one; NULL: there is none. */
struct tree *tree_next(const struct tree *root, const struct tree *t);

/*
 * The tag that says what an item is: its own, or, of a 1.x Attribute, that of the attribute it holds (Attribute itself
 * if that is a vendor's); an Attribute Value is named by its Attribute.
 */
uint32_t tree_label(const struct tree *t);
