/*
 * Create User, Create Group and Create Credential (KMIP 3.0, as its enumerations and published cases have them):
 * objects of class System, which administrators make.
 *
 * They have no key material that anyone gets: it is kept sealed and only compared (proof.h). What a user may is in
 * user.h.
 */
#include "crypto/hash.h"
#include "server/engine/certificate.h"
#include "server/engine/device.h"
#include "server/engine/op/op.h"
#include "server/engine/proof.h"

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
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_CREATE_USER, object_uid(object));
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
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_CREATE_GROUP, object_uid(object));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}

/* The password, or the hash of it with the salt behind it. */
static int
take_password(struct ctx *ctx, const struct kmip_password_credential *p, struct rev *draft)
{
    core_set(&draft->core, CORE_OBJECT_TYPE, KMIP_OBJECT_TYPE_PASSWORD_CREDENTIAL);
    if (p != NULL && !p->has_password && p->has_salted_password) {
        if (!p->has_password_salt || !p->has_password_salt_algorithm)
            return engine_fail(ctx, COND_MISSING, "a Salted Password has a Password Salt and its Algorithm");
        if (ks_hash_len(p->password_salt_algorithm) == 0 || ks_hash_is_weak(p->password_salt_algorithm) ||
            p->salted_password.len != ks_hash_len(p->password_salt_algorithm))
            return engine_fail(ctx, COND_BAD_FIELD, "the Salted Password is no hash of that algorithm");
        return proof_keep(ctx, &kmip_schema_password_credential, p, draft);
    }
    if (p == NULL || !p->has_password)
        return engine_fail(ctx, COND_MISSING, "the request has no Password");
    if (p->password.len == 0 || p->password.len > PASSWORD_MOST)
        return engine_fail(ctx, COND_BAD_FIELD, "a password has 1 to %d bytes", PASSWORD_MOST);
    draft->material = p->password;
    draft->new_material = true;
    return 0;
}

/* By what a device says of itself it is looked for: attributes that nobody else sees. */
static int
take_device(struct ctx *ctx, const struct kmip_kept_device_credential *d, struct rev *draft)
{
    size_t n = 0;
    core_set(&draft->core, CORE_OBJECT_TYPE, KMIP_OBJECT_TYPE_DEVICE_CREDENTIAL);
    if (d == NULL)
        return engine_fail(ctx, COND_MISSING, "the request has no Device Credential");
    const struct device_field fields[DEVICE_FIELDS] = DEVICE_FIELDS_OF(d);
    for (size_t i = 0; i < DEVICE_FIELDS; i++) {
        if (!fields[i].has || fields[i].value.len == 0)
            continue;
        struct kmip_item *item = kmip_item_new(ctx->arena, fields[i].tag, KMIP_TYPE_TEXT_STRING);
        if (item == NULL)
            return KS_E_NOMEM;
        item->s = fields[i].value;
        KS_TRY(attr_put(ctx, draft, fields[i].tag, item));
        n++;
    }
    if (n == 0)
        return engine_fail(ctx, COND_MISSING, "a Device Credential has one number or identifier at least");
    return proof_keep(ctx, &kmip_schema_kept_device_credential, d, draft);
}

static int
take_otp(struct ctx *ctx, const struct kmip_otp_credential *otp, struct rev *draft)
{
    struct otp_facts facts;
    core_set(&draft->core, CORE_OBJECT_TYPE, KMIP_OBJECT_TYPE_ONE_TIME_PASSWORD_CREDENTIAL);
    if (otp == NULL)
        return engine_fail(ctx, COND_MISSING, "the request has no OTP Credential");
    KS_TRY(proof_otp_facts(ctx, otp, &facts));
    if (!facts.timed)
        core_set(&draft->core, CORE_PAD_USED, facts.counter);
    return proof_keep(ctx, &kmip_schema_otp_credential, otp, draft);
}

static int
take_hashes(struct ctx *ctx, const struct kmip_kept_hashed_password *h, struct rev *draft)
{
    core_set(&draft->core, CORE_OBJECT_TYPE, KMIP_OBJECT_TYPE_HASHED_PASSWORD_CREDENTIAL);
    if (h == NULL)
        return engine_fail(ctx, COND_MISSING, "the request has no Hashed Password Credential");
    const uint32_t hash = h->has_hashing_algorithm ? h->hashing_algorithm : KMIP_HASHING_ALGORITHM_SHA_256;
    const size_t len = ks_hash_len(hash);
    if (len == 0 || ks_hash_is_weak(hash) || h->hashed_username_password.len != len ||
        h->hashed_password_username.len != len)
        return engine_fail(ctx, COND_BAD_FIELD, "the hashes of user name and password are none of that algorithm");
    return proof_keep(ctx, &kmip_schema_kept_hashed_password, h, draft);
}

/* What the credential is, into the draft: its type and what it is compared with. */
static int
take_credential(struct ctx *ctx, const struct kmip_create_credential_request *r, struct rev *draft)
{
    switch (r->credential_type) {
    case KMIP_CREDENTIAL_TYPE_PASSWORD:
        return take_password(ctx, r->password_credential, draft);
    case KMIP_CREDENTIAL_TYPE_CERTIFICATE:
        if (r->certificate == NULL)
            return engine_fail(ctx, COND_MISSING, "the request has no Certificate");
        core_set(&draft->core, CORE_OBJECT_TYPE, KMIP_OBJECT_TYPE_CERTIFICATE);
        core_set(&draft->core, CORE_CERTIFICATE_TYPE, r->certificate->certificate_type);
        core_set(&draft->core, CORE_CERTIFICATE_LENGTH, (int64_t)r->certificate->certificate_value.len);
        if (r->certificate->certificate_type == KMIP_CERTIFICATE_TYPE_X_509)
            KS_TRY(certificate_facts(ctx, r->certificate->certificate_value, draft));
        return material_put(ctx, draft, MATERIAL_BYTES, r->certificate->certificate_value);
    case KMIP_CREDENTIAL_TYPE_DEVICE:
        return take_device(ctx, r->device_credential, draft);
    case KMIP_CREDENTIAL_TYPE_ONE_TIME_PASSWORD:
        return take_otp(ctx, r->otp_credential, draft);
    case KMIP_CREDENTIAL_TYPE_HASHED_PASSWORD:
        return take_hashes(ctx, r->hashed_password_credential, draft);
    default:
        return engine_fail(
            ctx, COND_NO_SUCH_FEATURE,
            "this server keeps credentials of the types Password, Certificate, Device, One Time Password "
            "and Hashed Password");
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
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_CREATE_CREDENTIAL, object_uid(object));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}
