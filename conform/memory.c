/* What the messages of a case have said so far. */
#include "conform/compare.h"

static int
remember(struct ks_arena *arena, const struct tree ***list, size_t *n, size_t *cap, const struct tree *t)
{
    if (*n == *cap) {
        const size_t more = *cap != 0 ? 2 * *cap : 16;
        const struct tree **grown = ks_arena_array(arena, more, sizeof(const struct tree *));
        if (grown == NULL)
            return KS_E_NOMEM;
        for (size_t i = 0; i < *n; i++)
            grown[i] = (*list)[i];
        *list = grown;
        *cap = more;
    }
    (*list)[(*n)++] = t;
    return 0;
}

int
memory_request(struct memory *m, const struct tree *request)
{
    return remember(m->arena, &m->request, &m->n_requests, &m->cap_requests, request);
}

int
memory_answer(struct memory *m, const struct tree *answer)
{
    return remember(m->arena, &m->answer, &m->n_answers, &m->cap_answers, answer);
}

const struct kmip_item *
memory_find(const struct memory *m, struct ks_span var)
{
    for (size_t i = 0; i < m->n_bound; i++)
        if (m->bound[i].var.len != 0 && ks_span_equal(m->bound[i].var, var))
            return m->bound[i].value;
    return NULL;
}

int
memory_keep(struct memory *m, const struct binding *b)
{
    if (m->n_bound == m->cap_bound) {
        const size_t more = m->cap_bound != 0 ? 2 * m->cap_bound : 16;
        struct binding *grown = ks_arena_array(m->arena, more, sizeof(*grown));
        if (grown == NULL)
            return KS_E_NOMEM;
        for (size_t i = 0; i < m->n_bound; i++)
            grown[i] = m->bound[i];
        m->bound = grown;
        m->cap_bound = more;
    }
    m->bound[m->n_bound++] = *b;
    return 0;
}

int
memory_bind(struct memory *m, struct ks_span var, const struct kmip_item *value)
{
    return memory_keep(m, &(struct binding){.var = var, .value = value});
}

const struct kmip_item *
memory_last(const struct memory *m, uint32_t tag)
{
    for (size_t i = m->n_answers; i-- > 0;) {
        const struct kmip_item *found = NULL;
        for (const struct tree *t = m->answer[i]; t != NULL; t = tree_next(m->answer[i], t))
            if (t->item.tag == tag && tree_is_leaf(t))
                found = &t->item;
        if (found != NULL)
            return found;
    }
    return NULL;
}
