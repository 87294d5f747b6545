/*
 * Create User, Create Group and Create Credential (KMIP 3.0, as its enumerations and published cases have them):
 * objects of class System, which administrators make.
 *
 * They have no key material that anyone gets: a password is kept sealed and only compared (credential.c). A user says
 * whose name a credential of a request's header is; rights come of the certificate, so a user has none.
 */
#include "server/engine/certificate.h"
#include "server/engine/op/op.h"

enum { PASSWORD_MOST = 1024 };

static int
make(struct ctx *ctx, const struct kmip_attrs *attrs, struct rev *draft, struct object **ret)
{
    KS_TRY(attr_new(ctx, attrs, draft));
    core_set(&draft->core, CORE_SENSITIVE, true);
    core_set(&draft->core, CORE_EXTRACTABLE, false);
    return op_new_object(ctx, ctx->client, draft, false, ret);
}

/* Whom a Credential Link leads to has to be there, and a credential. */
static int
check_links(struct ctx *ctx, const struct kmip_attrs *attrs)
{
    size_t n = 0;
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next) {
        if (a->tag != KMIP_TAG_CREDENTIAL_LINK || a->value == NULL)
            continue;
        const struct kmip_uid uid = uid_text(a->value->s);
        struct object *to;
        KS_TRY(engine_object(ctx, &uid, &to));
        const uint32_t type = object_type(to);
        if ((type < KMIP_OBJECT_TYPE_PASSWORD_CREDENTIAL || type > KMIP_OBJECT_TYPE_HASHED_PASSWORD_CREDENTIAL) &&
            type != KMIP_OBJECT_TYPE_CERTIFICATE)
            return engine_fail(ctx, COND_OBJECT_KIND, "object %s is no credential", to->uid);
        n++;
    }
    if (n == 0)
        return engine_fail(ctx, COND_MISSING, "a user has one Credential Link at least");
    return 0;
}

static bool
has_name(const struct kmip_attrs *attrs)
{
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next)
        if (a->tag == KMIP_TAG_NAME)
            return true;
    return false;
}

int
op_create_user(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_create_user_request *r = request;
    struct rev draft = {0};
    struct object *object;
    OP_RESPONSE(ctx, kmip_create_user_response, response);
    if (!has_name(&r->attributes))
        return engine_fail(ctx, COND_MISSING, "a user has a Name");
    KS_TRY(check_links(ctx, &r->attributes));
    core_set(&draft.core, CORE_OBJECT_TYPE, KMIP_OBJECT_TYPE_USER);
    KS_TRY(make(ctx, &r->attributes, &draft, &object));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}

int
op_create_group(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_create_group_request *r = request;
    struct rev draft = {0};
    struct object *object;
    OP_RESPONSE(ctx, kmip_create_group_response, response);
    if (!has_name(&r->attributes))
        return engine_fail(ctx, COND_MISSING, "a group has a Name");
    core_set(&draft.core, CORE_OBJECT_TYPE, KMIP_OBJECT_TYPE_GROUP);
    KS_TRY(make(ctx, &r->attributes, &draft, &object));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}

/* What the credential is, into the draft: its type and what it is compared with. */
static int
take_credential(struct ctx *ctx, const struct kmip_create_credential_request *r, struct rev *draft)
{
    switch (r->credential_type) {
    case KMIP_CREDENTIAL_TYPE_PASSWORD:
        if (r->password_credential == NULL || !r->password_credential->has_password)
            return engine_fail(ctx, COND_MISSING, "the request has no Password");
        if (r->password_credential->password.len == 0 || r->password_credential->password.len > PASSWORD_MOST)
            return engine_fail(ctx, COND_BAD_FIELD, "a password has 1 to %d bytes", PASSWORD_MOST);
        core_set(&draft->core, CORE_OBJECT_TYPE, KMIP_OBJECT_TYPE_PASSWORD_CREDENTIAL);
        draft->material = r->password_credential->password;
        draft->new_material = true;
        return 0;
    case KMIP_CREDENTIAL_TYPE_CERTIFICATE:
        if (r->certificate == NULL)
            return engine_fail(ctx, COND_MISSING, "the request has no Certificate");
        core_set(&draft->core, CORE_OBJECT_TYPE, KMIP_OBJECT_TYPE_CERTIFICATE);
        core_set(&draft->core, CORE_CERTIFICATE_TYPE, r->certificate->certificate_type);
        core_set(&draft->core, CORE_CERTIFICATE_LENGTH, (int64_t)r->certificate->certificate_value.len);
        if (r->certificate->certificate_type == KMIP_CERTIFICATE_TYPE_X_509)
            KS_TRY(certificate_facts(ctx, r->certificate->certificate_value, draft));
        return material_put(ctx, draft, MATERIAL_BYTES, r->certificate->certificate_value);
    default:
        return engine_fail(ctx, COND_NO_SUCH_FEATURE,
                           "this server keeps credentials of the types Password and "
                           "Certificate");
    }
}

int
op_create_credential(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_create_credential_request *r = request;
    struct rev draft = {0};
    struct object *object;
    OP_RESPONSE(ctx, kmip_create_credential_response, response);
    KS_TRY(take_credential(ctx, r, &draft));
    KS_TRY(make(ctx, &r->attributes, &draft, &object));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}
