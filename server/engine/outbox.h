/*
 * Notify and Put (KMIP 1.4: 5.1, 5.2; 2.1: 6.2.1, 6.2.2): what the server sends to clients that listen.
 *
 * A client says by Listener Set where it listens, which has to be an address that the configuration allows, and what it
 * wants: Notify when attributes of its objects change, Put when objects are made for it; of what others do (dates that
 * come, rotation, administrators, holders of tickets), or also of what it does itself.
 *
 * What a request changes is compared before it is final (outbox_collect), and what is to be sent is a row of
 * STORE_SYSTEM in the same commit. A row names the object and the attributes, no values: the message is made when it is
 * sent, of what the object is then, by the same checks as Get and Get Attributes of that client. So no key lies in the
 * outbox, an object that has become sensitive or was destroyed meanwhile is not handed out, and changes that come while
 * an earlier one waits are sent as one. The message leaves when its record is on stable storage, like any answer.
 *
 * Each is sent until the listener answers, so a listener may be sent the same twice; after OUTBOX_TRIES failures it is
 * given up, and that is on record.
 */
#pragma once

#include "server/engine/ctx.h"

void outbox_done(struct outbox *outbox);
/* A row of STORE_SYSTEM; others are passed over. Clients are there already. */
int outbox_load(struct engine *engine, struct ks_span key, struct ks_span value, struct ks_diag *diag) KS_MUST_CHECK;

/* For tx_finish: what of the changes has to be sent, in the same job. */
int outbox_collect(struct ctx *ctx) KS_MUST_CHECK;

/* The listener of a client; NULL: it listens no more, and what waits for it is dropped. */
int outbox_listen(struct ctx *ctx, struct client *client, const struct listener *listener) KS_MUST_CHECK;

/* The notice and its row go, with the job. */
int outbox_remove(struct ctx *ctx, struct notice *notice) KS_MUST_CHECK;
struct notice *outbox_find(const struct outbox *outbox, uint64_t id);

/* The attributes that a notice names, in the arena. */
int outbox_attrs(struct ks_arena *arena, const struct notice *notice, struct kmip_attr_refs *ret) KS_MUST_CHECK;
