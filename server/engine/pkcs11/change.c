/* PKCS#11 functions that change, copy and destroy objects. */
#include "server/engine/message.h"
#include "server/engine/pkcs11/template.h"
#include "server/engine/profile.h"
#include "server/engine/suspend.h"

/* The object of a handle, for a session that may change it. */
static uint32_t
take_object(struct p11 *p, uint64_t handle, struct kmip_uid *ret_uid, struct p11_facts *ret)
{
    if (!p11_uid(p, handle, ret_uid))
        return CKR(OBJECT_HANDLE_INVALID);
    P11_TRY(p11_attributes(p, ret_uid, ret));
    return ret->of_session || p->session->read_write ? CKR(OK) : CKR(SESSION_READ_ONLY);
}

/* In PKCS#11 an object in use can be destroyed; in KMIP it is revoked first. Both, or nothing. */
uint32_t
p11_destroy_object(struct p11 *p)
{
    struct kmip_uid uid;
    struct p11_facts facts;
    void *response;
    const uint64_t handle = ks_cursor_be64(&p->in);
    P11_END(p);
    P11_TRY(take_object(p, handle, &uid, &facts));
    const struct kmip_destroy_request destroy = {.unique_identifier = uid};
    struct kmip_revocation_reason reason = {.revocation_reason_code =
                                                KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION};
    const struct kmip_revoke_request revoke = {.unique_identifier = uid, .revocation_reason = &reason};
    const struct tx mark = p->ctx->tx;
    uint32_t code = p11_ask(p, KMIP_OPERATION_DESTROY, &destroy, &response);
    if (code == CKR(ACTION_PROHIBITED)) {
        code = p11_ask(p, KMIP_OPERATION_REVOKE, &revoke, &response);
        if (code == CKR(OK))
            code = p11_ask(p, KMIP_OPERATION_DESTROY, &destroy, &response);
    }
    /* What a session had and destroyed nobody asks after. */
    struct object *object = facts.of_session ? p11_object_find(p->app, uid.text) : NULL;
    if (code == CKR(OK) && object != NULL) {
        const int rc = tx_delete(p->ctx, object);
        code = rc == 0 ? CKR(OK) : p11_fail(p, rc);
    }
    if (code != CKR(OK))
        tx_rollback(p->ctx, &mark);
    return code;
}

/* C_SetAttributeValue */

/* What stands in an object for an attribute of a template; NULL: nothing. */
static const struct kmip_attr *
present(const struct p11_facts *facts, const struct kmip_attr *which)
{
    for (const struct kmip_attr *a = facts->attrs->first; a != NULL; a = a->next)
        if (a->value != NULL && attr_same(a, which->tag, which->vendor, which->name))
            return a;
    return NULL;
}

/* An attribute with one value, as a request carries it. */
static uint32_t
alone(struct p11 *p, const struct kmip_attr *attr, struct kmip_attrs *ret)
{
    struct kmip_attr *copy = kmip_attrs_add(p->ctx->arena, ret, attr->tag, attr->value);
    if (copy == NULL)
        return p11_fail(p, KS_E_NOMEM);
    copy->vendor = attr->vendor;
    copy->name = attr->name;
    ret->present = true;
    return CKR(OK);
}

/* Label and identifier: there is one of them, or none. */
static uint32_t
change_text(struct p11 *p, const struct kmip_uid *uid, const struct kmip_attr *before, const struct kmip_attr *after)
{
    void *response;
    struct kmip_attrs old = {0}, new = {0};
    if (before != NULL)
        P11_TRY(alone(p, before, &old));
    if (after != NULL)
        P11_TRY(alone(p, after, &new));
    const struct kmip_add_attribute_request add = {.unique_identifier = *uid, .new_attribute = new};
    const struct kmip_modify_attribute_request modify = {
        .unique_identifier = *uid, .current_attribute = old, .new_attribute = new};
    const struct kmip_delete_attribute_request delete = {.unique_identifier = *uid, .current_attribute = old};
    if (before == NULL && after == NULL)
        return CKR(OK);
    if (before == NULL)
        return p11_ask(p, KMIP_OPERATION_ADD_ATTRIBUTE, &add, &response);
    if (after == NULL)
        return p11_ask(p, KMIP_OPERATION_DELETE_ATTRIBUTE, &delete, &response);
    return p11_ask(p, KMIP_OPERATION_MODIFY_ATTRIBUTE, &modify, &response);
}

/* Secrecy goes one way: CKA_SENSITIVE to true, CKA_EXTRACTABLE to false. */
static uint32_t
change_flag(struct p11 *p, const struct kmip_uid *uid, const struct p11_facts *facts, const struct kmip_attr *attr)
{
    void *response;
    struct kmip_set_attribute_request request = {.unique_identifier = *uid};
    const struct kmip_attr *now = present(facts, attr);
    const bool secret = attr->value->b == (attr->tag == KMIP_TAG_SENSITIVE);
    if (now != NULL && now->value->b == attr->value->b)
        return CKR(OK);
    if (!secret)
        return CKR(ATTRIBUTE_READ_ONLY);
    P11_TRY(alone(p, attr, &request.new_attribute));
    return p11_ask(p, KMIP_OPERATION_SET_ATTRIBUTE, &request, &response);
}

static uint32_t
change_one(struct p11 *p, const struct kmip_uid *uid, const struct p11_facts *facts, enum p11_attr attr,
           const struct p11_template *t)
{
    struct p11_template *one = CTX_NEW(p->ctx, struct p11_template);
    struct kmip_attrs attrs = {0};
    static const struct kmip_attr name = {.tag = KMIP_TAG_NAME},
                                  id = {.tag = KMIP_TAG_ATTRIBUTE,
                                        .vendor = {(const uint8_t *)P11_VENDOR, sizeof(P11_VENDOR) - 1},
                                        .name = {(const uint8_t *)P11_VENDOR_ID, sizeof(P11_VENDOR_ID) - 1}};
    if (one == NULL)
        return p11_fail(p, KS_E_NOMEM);
    one->order[one->n++] = attr;
    one->v[attr] = t->v[attr];
    P11_TRY(p11_template_attrs(p, one, facts->object_class, false, &attrs));
    switch (attr) {
    case CKA_LABEL:
        return change_text(p, uid, present(facts, &name), attrs.first);
    case CKA_ID:
        return change_text(p, uid, present(facts, &id), attrs.first);
    case CKA_SENSITIVE:
    case CKA_EXTRACTABLE:
        if (facts->object_class != CKO_SECRET_KEY && facts->object_class != CKO_PRIVATE_KEY)
            return CKR(ATTRIBUTE_TYPE_INVALID);
        return change_flag(p, uid, facts, attrs.first);
    default:
        return CKR(ATTRIBUTE_READ_ONLY);
    }
}

uint32_t
p11_set_attribute_value(struct p11 *p)
{
    struct kmip_uid uid;
    struct p11_facts facts;
    struct p11_template *t = CTX_NEW(p->ctx, struct p11_template);
    if (t == NULL)
        return p11_fail(p, KS_E_NOMEM);
    const uint64_t handle = ks_cursor_be64(&p->in);
    P11_TRY(p11_take_template(p, true, t));
    P11_END(p);
    P11_TRY(take_object(p, handle, &uid, &facts));
    const struct tx mark = p->ctx->tx;
    uint32_t code = CKR(OK);
    for (size_t i = 0; i < t->n && code == CKR(OK); i++)
        code = change_one(p, &uid, &facts, t->order[i], t);
    if (code != CKR(OK))
        tx_rollback(p->ctx, &mark); /* all of them, or none */
    return code;
}

/* C_CopyObject */

struct copying {
    struct kmip_uid uid;
    const struct kmip_attrs *changes;
};

/* Of a key's facts those that are the copy's too; what the template says of it counts more. */
static void
copy_facts(const struct core *from, struct core *core)
{
    static const enum core_id same[] = {
        CORE_ALGORITHM,         CORE_LENGTH,
        CORE_USAGE_MASK,        CORE_KEY_FORMAT_TYPE,
        CORE_SENSITIVE,         CORE_EXTRACTABLE,
        CORE_ACTIVATION_DATE,   CORE_PROCESS_START_DATE,
        CORE_PROTECT_STOP_DATE, CORE_DEACTIVATION_DATE,
        CORE_SECRET_DATA_TYPE,  CORE_KEY_COMPRESSION_TYPE,
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(same); i++)
        if (core_has(from, same[i]) && !core_has(core, same[i]))
            core_set(core, same[i], core_get(from, same[i]));
}

static int
copy_attributes(struct ctx *ctx, const struct rev *from, struct rev *draft)
{
    for (const struct kmip_attr *a = from->attrs.first; a != NULL; a = a->next) {
        bool said = a->value == NULL;
        for (const struct kmip_attr *b = draft->attrs.first; b != NULL && !said; b = b->next)
            said = attr_same(b, a->tag, a->vendor, a->name);
        const bool name =
            a->tag == KMIP_TAG_NAME && p11_makes(ctx->p11, (uint32_t)core_get(&draft->core, CORE_OBJECT_TYPE));
        if (said || (!name && a->tag != KMIP_TAG_ATTRIBUTE && a->tag != KMIP_TAG_CRYPTOGRAPHIC_PARAMETERS &&
                     a->tag != KMIP_TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS))
            continue;
        struct kmip_attr *copy = kmip_attrs_add(ctx->arena, &draft->attrs, a->tag, a->value);
        if (copy == NULL)
            return KS_E_NOMEM;
        copy->vendor = a->vendor;
        copy->name = a->name;
        copy->index = a->index;
    }
    return 0;
}

/* A copy lives on its own: it must not be a way around limits on the use of the key, nor around its end. */
static int
check_copyable(struct ctx *ctx, const struct object *from)
{
    const struct core *core = &from->rev->core;
    const int64_t state = core_get(core, CORE_STATE), type = core_get(core, CORE_OBJECT_TYPE);
    if (core_has(core, CORE_USAGE_TOTAL))
        return engine_fail(ctx, COND_NOT_PERMITTED, "object %s has Usage Limits, which a copy would double", from->uid);
    if (core_has(core, CORE_SUSPENSION))
        return suspend_refuse(ctx, from, COND_NOT_PERMITTED);
    if (state != KMIP_STATE_PRE_ACTIVE && state != KMIP_STATE_ACTIVE)
        return engine_fail(ctx, COND_WRONG_STATE, "object %s is past its use: it is not copied", from->uid);
    if (from->rev->wrapping != NULL || from->rev->material.len == 0 ||
        (type != KMIP_OBJECT_TYPE_SYMMETRIC_KEY && type != KMIP_OBJECT_TYPE_SECRET_DATA &&
         type != KMIP_OBJECT_TYPE_PUBLIC_KEY && type != KMIP_OBJECT_TYPE_PRIVATE_KEY))
        return engine_fail(ctx, COND_NOT_PERMITTED, "object %s is no key in the clear: it is not copied", from->uid);
    return 0;
}

/* As an operation of the engine: KMIP has none that makes a second object of a key without handing it out. */
static int
copy(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct copying *c = request;
    const struct use use = {.use = USE_GET};
    struct object *from, *made;
    struct rev draft = {0};
    struct material material;
    struct kmip_register_response *response = CTX_NEW(ctx, struct kmip_register_response);
    if (response == NULL)
        return KS_E_NOMEM;
    KS_TRY(engine_object(ctx, &c->uid, &from));
    KS_TRY(engine_use(ctx, from, &use));
    KS_TRY(check_copyable(ctx, from));
    const struct core *core = &from->rev->core;
    core_set(&draft.core, CORE_OBJECT_TYPE, core_get(core, CORE_OBJECT_TYPE));
    KS_TRY(attr_new(ctx, c->changes, &draft));
    copy_facts(core, &draft.core);
    if ((core_get(&draft.core, CORE_USAGE_MASK) & ~core_get(core, CORE_USAGE_MASK)) != 0)
        return engine_fail(ctx, COND_ATTRIBUTE_VALUE, "a copy of object %s can not be for more than that is",
                           from->uid);
    KS_TRY(copy_attributes(ctx, from->rev, &draft));
    KS_TRY(material_open(ctx, from, &material));
    KS_TRY(material_put(ctx, &draft, material.kind, material.bytes));
    KS_TRY(attr_defaults(ctx, &draft, false));
    core_set(&draft.core, CORE_ALWAYS_SENSITIVE,
             core_get(core, CORE_ALWAYS_SENSITIVE) != 0 && core_get(&draft.core, CORE_SENSITIVE) != 0);
    core_set(&draft.core, CORE_NEVER_EXTRACTABLE,
             core_get(core, CORE_NEVER_EXTRACTABLE) != 0 && core_get(&draft.core, CORE_EXTRACTABLE) == 0);
    KS_TRY(attr_check(ctx, ctx->client, &draft, NULL, false));
    (void)state_settle(&draft.core, ctx->now);
    const struct ks_span source = object_uid(from);
    KS_TRY(tx_create(ctx, ctx->client, &draft, &made));
    engine_about(ctx, made);
    engine_note(ctx, "copied from %.*s", (int)source.len, (const char *)source.data);
    response->unique_identifier = uid_of(made);
    *ret_response = response;
    return 0;
}

uint32_t
p11_copy_object(struct p11 *p)
{
    struct p11_facts facts;
    struct copying c;
    void *response;
    struct kmip_attrs changes = {0};
    struct p11_template *t = CTX_NEW(p->ctx, struct p11_template);
    if (t == NULL)
        return p11_fail(p, KS_E_NOMEM);
    const uint64_t handle = ks_cursor_be64(&p->in);
    P11_TRY(p11_take_template(p, true, t));
    P11_END(p);
    if (!p11_uid(p, handle, &c.uid))
        return CKR(OBJECT_HANDLE_INVALID);
    P11_TRY(p11_attributes(p, &c.uid, &facts));
    static const enum p11_attr fixed[] = {CKA_CLASS, CKA_KEY_TYPE, CKA_VALUE_LEN, CKA_MODULUS_BITS, CKA_EC_PARAMS};
    for (size_t i = 0; i < KS_ARRAY_LEN(fixed); i++)
        if (t->v[fixed[i]].given)
            return CKR(ATTRIBUTE_READ_ONLY);
    P11_TRY(p11_no_parts(t));
    const struct p11_value *sensitive = &t->v[CKA_SENSITIVE], *extractable = &t->v[CKA_EXTRACTABLE];
    if ((sensitive->given && sensitive->number == 0 && p11_flag(&facts, KMIP_TAG_SENSITIVE)) ||
        (extractable->given && extractable->number != 0 && !p11_flag(&facts, KMIP_TAG_EXTRACTABLE)))
        return CKR(ATTRIBUTE_READ_ONLY);
    P11_TRY(p11_template_attrs(p, t, facts.object_class, false, &changes));
    /* Without CKA_TOKEN a copy is where the object is. */
    if (t->v[CKA_TOKEN].given || facts.of_session)
        P11_TRY(p11_place(p, t, facts.object_class));
    else if (!p->session->read_write)
        return CKR(SESSION_READ_ONLY);
    c.changes = &changes;
    P11_TRY(p11_ask_own(p, KMIP_OPERATION_REGISTER, copy, &c, &response));
    return p11_put_handle(p, &((const struct kmip_register_response *)response)->unique_identifier);
}
