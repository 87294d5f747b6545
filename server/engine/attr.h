/*
 * The attributes of an object: facts (core.def), those put together when asked for, and the list of the rest. Which
 * there are, in which versions, and who may do what with them are rows of kmip/spec/attrs.def.
 */
#pragma once

#include "server/engine/ctx.h"

/* The generator of keys, which is libcrypto's DRBG: SP 800-90A CTR_DRBG with AES-256. */
extern const struct kmip_rng_parameters attr_rng;

/* The Application Namespace in which the server makes Application Data that a client leaves out. */
extern const char attr_namespace[];

enum { ATTR_MOST = 1024 /* instances in one object */ };

/*
 * The attributes of an object that the version of the request knows, all (refs NULL) or those named. Values are
 * borrowed from the object's rev, which lives until the request is answered.
 */
int attr_collect(struct ctx *ctx, const struct object *object, const struct kmip_attr_refs *refs,
                 struct kmip_attrs *ret) KS_MUST_CHECK;

/* The values of one attribute (a vendor one by vendor and name), for filters. */
int attr_values(struct ctx *ctx, const struct object *object, const struct kmip_attr *which,
                struct kmip_attrs *ret) KS_MUST_CHECK;

/* Whether the attribute is put together from others when it is asked for. */
bool attr_is_computed(uint32_t tag);

/* Whether the client, who sees the object, may not know this attribute of it. */
bool attr_is_hidden(const struct ctx *ctx, const struct object *object, uint32_t tag);

/* Whether both are about the same attribute. */
bool attr_same(const struct kmip_attr *a, uint32_t tag, struct ks_span vendor, struct ks_span name);

/* Whether an instance is of the attribute that a request names; 3.0 names Links by their types. */
bool attr_is_asked_for(const struct kmip_attr *a, const struct kmip_attr *which);

/*
 * The attributes that a request gives for a new object, into its draft: templates that they name first, then what they
 * say themselves. Read-only, unknown, misplaced and doubled ones are refused.
 */
int attr_new(struct ctx *ctx, const struct kmip_attrs *attrs, struct rev *draft) KS_MUST_CHECK;

/*
 * The attributes of an object that is imported, into its draft: all that its type can have, those too that otherwise
 * the server sets. Digest and what a certificate says itself are left to be found out again.
 */
int attr_import(struct ctx *ctx, const struct kmip_attrs *attrs, struct rev *draft) KS_MUST_CHECK;

/* What every new object gets where the request was silent; made: the server made the key material itself. */
int attr_defaults(struct ctx *ctx, struct rev *draft, bool made) KS_MUST_CHECK;

/* Consistency of a draft: dates, names that are in use (self: the object itself, or NULL). changing: not a new object.
 */
int attr_check(struct ctx *ctx, const struct client *owner, const struct rev *draft, const struct object *self,
               bool changing) KS_MUST_CHECK;

/* Whether an attribute that an operation changes is one that clients may change at all: before the state of the object
 * is looked at, which is no reason then. */
int attr_is_clients(struct ctx *ctx, const struct kmip_attr *attr) KS_MUST_CHECK;

/* Changes. ret: the attribute as it is after the change, with its index. */
int attr_add(struct ctx *ctx, const struct object *object, struct rev *draft, const struct kmip_attr *attr,
             struct kmip_attr **ret) KS_MUST_CHECK;
int attr_modify(struct ctx *ctx, const struct object *object, struct rev *draft, const struct kmip_attr *attr,
                const struct kmip_attr *current, struct kmip_attr **ret) KS_MUST_CHECK;
/* Adjust Attribute: whether the client may, and the value that came of it. */
int attr_adjustable(struct ctx *ctx, const struct rev *draft, const struct kmip_attr *which) KS_MUST_CHECK;
int attr_adjust(struct ctx *ctx, const struct object *object, struct rev *draft,
                const struct kmip_attr *attr) KS_MUST_CHECK;
int attr_set(struct ctx *ctx, const struct object *object, struct rev *draft,
             const struct kmip_attr *attr) KS_MUST_CHECK;
/* value: only the instance with that value; NULL: by index, or all where it is negative and `all`. ret: what was
 * deleted. */
int attr_delete(struct ctx *ctx, const struct object *object, struct rev *draft, const struct kmip_attr *which,
                bool all, struct kmip_attr **ret) KS_MUST_CHECK;

/* A value appended to a draft's list by the server, with the next index. */
int attr_put(struct ctx *ctx, struct rev *draft, uint32_t tag, struct kmip_item *value) KS_MUST_CHECK;
/* A Link of the type to the object; one of that type that is there is replaced. */
int attr_link(struct ctx *ctx, struct rev *draft, uint32_t type, struct ks_span uid) KS_MUST_CHECK;
/* A Link of the type beside those that are there. An object keeps ATTR_LINKS_MOST of a type: the oldest makes way. */
enum { ATTR_LINKS_MOST = 256 };
int attr_link_add(struct ctx *ctx, struct rev *draft, uint32_t type, struct ks_span uid) KS_MUST_CHECK;
/* The Link Type of a Link; 0: it has none. */
uint32_t attr_link_type(const struct kmip_item *link);
/* Where the (first) Link of that type leads, borrowed from the rev; false: there is none. */
bool attr_linked(const struct rev *rev, uint32_t type, struct ks_span *ret);
/* The Digest of key material in its format. */
int attr_digest(struct ctx *ctx, struct rev *draft, struct ks_span material) KS_MUST_CHECK;
/* One more Digest: of the same key in another format. */
int attr_digest_as(struct ctx *ctx, struct rev *draft, uint32_t format, struct ks_span material) KS_MUST_CHECK;
/* Removes all instances of an attribute from a draft, without traces. */
void attr_drop(struct rev *draft, uint32_t tag);
