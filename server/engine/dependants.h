/*
 * What cannot be read any more when a key is gone, as its owner has registered it: custom attributes of the key whose
 * names begin with DEPENDANT_NEEDS (1.x "x-keystead-needs-...", 2.x vendor "x"), so that any client of any version can
 * set them, and any server of KMIP keeps them. Their values say in words what it is: a base backup, a range of WAL.
 *
 * Here a key that has some is not destroyed, obliterated or written over, unless two administrators agree: one has set
 * DEPENDANT_DESTROY with the administrator's own name behind it to the code that the refusal names, which is of these
 * dependants and no others; another one asks for the destruction.
 */
#pragma once

#include "server/engine/ctx.h"

#define DEPENDANT_NEEDS "keystead-needs-"
#define DEPENDANT_DESTROY "keystead-destroy-"

/* Before an object's material goes. forced: two administrators may have it (Destroy and Obliterate). */
int dependants_allow(struct ctx *ctx, const struct object *object, bool forced) KS_MUST_CHECK;

/* Whether the client may set, change or delete that attribute: agreements are each administrator's own. */
int dependants_may_agree(struct ctx *ctx, const struct kmip_attr *attr) KS_MUST_CHECK;

/* And of an object that is there: dependants are taken off, or changed, by its owner alone. */
int dependants_may_change(struct ctx *ctx, const struct object *object, const struct kmip_attr *attr) KS_MUST_CHECK;

/* Of a key that takes another one's place: what depends on the old one does not depend on it. */
void dependants_drop(struct rev *draft);
