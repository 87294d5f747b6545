/*
 * Suspended: an object is withdrawn for a time (SP 800-57, 7.3), for which KMIP has no state. It lies over the State,
 * which stays as it is and goes on with its dates: CORE_SUSPENSION is what the checks look at (states.def says what it
 * leaves), and the server's own attributes say the rest to whoever sees the object, in every version (1.x "y-...", 2.x
 * vendor "y"): y-Suspended (the mode, "all" or "protect"), y-Suspended-Since, y-Suspended-By, y-Suspended-Reason.
 *
 * One administrator suspends. Two resume: the first one's Resume is kept as y-Resume-By and y-Resume-Since, and another
 * one's within SUSPEND_AGREED_S does it. Neither KMIP nor a client can set any of these attributes.
 */
#pragma once

#include "server/engine/ctx.h"

enum {
    SUSPEND_REASON_MOST = 160, /* bytes: every refusal says it */
    SUSPEND_AGREED_S = 86400
};

/* "all", "protect"; false: no mode. */
bool suspend_mode(struct ks_span name, enum suspension *ret);

/* Makes the item fail for an object that is suspended: since when, by whom, why and what to do. */
void suspend_say(struct ctx *ctx, const struct object *object, enum condition condition);
#define suspend_refuse(...) (suspend_say(__VA_ARGS__), KS_E_KMIP)

/* The draft is suspended, by the client who asks. What was there of it, agreements too, makes way. */
int suspend_put(struct ctx *ctx, struct rev *draft, enum suspension mode, struct ks_span reason) KS_MUST_CHECK;

/* Not any more, or not yet: what takes the place of a suspended object is not suspended. */
void suspend_drop(struct rev *draft);

/* Who else has agreed that the object is resumed, and still may: an administrator. NULL: nobody. */
const struct client *suspend_agreed(const struct ctx *ctx, const struct rev *rev);

/* The client who asks agrees; an earlier agreement makes way. */
int suspend_agree(struct ctx *ctx, struct rev *draft) KS_MUST_CHECK;
