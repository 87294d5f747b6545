#include "server/engine/pkcs11/session.h"

#include <stdlib.h>

struct p11_object {
    struct object object;
    uint64_t session;         /* its serial */
    struct object_list *home; /* the list that it is in; NULL: none */
};

static struct p11_object *
of(struct object *object)
{
    return (struct p11_object *)object; /* it is the first member */
}

static void
enter(struct object_list *list, struct object *object)
{
    object->all = (struct object_link){.older = list->newest};
    *(list->newest != NULL ? &list->newest->all.newer : &list->oldest) = object;
    list->newest = object;
    list->n++;
    of(object)->home = list;
}

static void
leave(struct object *object)
{
    struct object_list *list = of(object)->home;
    struct object *older = object->all.older, *newer = object->all.newer;
    if (list == NULL)
        return;
    *(older != NULL ? &older->all.newer : &list->oldest) = newer;
    *(newer != NULL ? &newer->all.older : &list->newest) = older;
    list->n--;
    of(object)->home = NULL;
}

bool
p11_makes(const struct p11_terms *terms, uint32_t object_type)
{
    return terms != NULL && object_type < 32 && (terms->makes >> object_type & 1) != 0;
}

static size_t
count(const struct pkcs11 *all, const uint8_t fingerprint[32])
{
    size_t n = 0;
    for (const struct p11_app *app = all->first; app != NULL; app = app->next)
        for (size_t i = 0; i < PKCS11_SESSIONS && p11_app_is_own(app, fingerprint); i++)
            n += app->sessions[i].objects.n;
    return n;
}

int
p11_object_new(struct pkcs11 *all, const struct p11_terms *terms, struct object **ret)
{
    if (all->n_objects >= PKCS11_OBJECTS || count(all, terms->app->fingerprint) >= PKCS11_CLIENT_OBJECTS)
        return KS_E_LIMIT;
    struct p11_object *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return KS_E_NOMEM;
    made->session = terms->session->serial;
    made->object.of_session = true;
    *ret = &made->object;
    return 0;
}

static struct object_list *
list_of(struct pkcs11 *all, uint64_t serial)
{
    for (struct p11_app *app = all->first; app != NULL; app = app->next)
        for (size_t i = 0; i < PKCS11_SESSIONS; i++)
            if (app->sessions[i].serial == serial)
                return &app->sessions[i].objects;
    return &all->dying;
}

void
p11_object_set(struct pkcs11 *all, struct object *object, struct rev *rev)
{
    object->rev = rev;
    if (rev == NULL) {
        all->n_objects -= of(object)->home != NULL;
        leave(object);
        return;
    }
    objects_describe(object, rev);
    if (of(object)->home != NULL)
        return;
    enter(list_of(all, of(object)->session), object);
    all->n_objects++;
}

struct object *
p11_object_next(const struct p11_app *app, size_t *session, const struct object *after)
{
    struct object *next = after != NULL ? after->all.newer : app->sessions[*session].objects.oldest;
    while (next == NULL && ++*session < PKCS11_SESSIONS)
        next = app->sessions[*session].objects.oldest;
    return next;
}

struct object *
p11_object_find(const struct p11_app *app, struct ks_span uid)
{
    size_t session = 0;
    struct object *o = p11_object_next(app, &session, NULL);
    while (o != NULL && !ks_span_equal(object_uid(o), uid))
        o = p11_object_next(app, &session, o);
    return o;
}

void
p11_objects_leave(struct pkcs11 *all, struct p11_session *session)
{
    for (struct object *o; (o = session->objects.oldest) != NULL;) {
        leave(o);
        enter(&all->dying, o);
    }
}

void
p11_objects_bury(struct pkcs11 *all)
{
    struct object *o = all->dying.oldest;
    all->dying = (struct object_list){0};
    while (o != NULL) {
        struct object *next = o->all.newer;
        all->n_objects--;
        rev_free(o->rev);
        free(o);
        o = next;
    }
}
