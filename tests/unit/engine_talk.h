/* Talking KMIP with an engine in a test: requests from structs, answers as structs. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine_rig.h"

struct talk {
    struct rig rig;
    struct ks_arena arena; /* requests and answers; lives until talk_close */
    enum kmip_version version;
    const struct identity *who;
    int32_t max_response;                         /* 0: none */
    uint32_t option;                              /* Batch Error Continuation Option; 0: none */
    uint32_t asynchronous;                        /* 2.x Asynchronous Indicator; 0: none */
    struct kmip_authentication *authentication;   /* credentials of the header; NULL: none */
    const char *correlation;                      /* Client Correlation Value; NULL: none */
    const struct kmip_response_message *response; /* the last one, whole */
};

void talk_open(struct talk *talk);
void talk_open_with(struct talk *talk, const struct engine_config *config);
void talk_close(struct talk *talk);

struct talk_item {
    uint32_t operation;
    const void *payload;
};
/* The batch, answered. */
const struct kmip_response_message *talk_batch(struct talk *talk, const struct talk_item *items, size_t n);
/* One item, answered. */
const struct kmip_response_batch_item *talk_ask(struct talk *talk, uint32_t operation, const void *payload);
/* One item that has to succeed: its payload. */
const void *talk_do(struct talk *talk, uint32_t operation, const void *payload);
/* One item that has to fail, with the reason. */
void talk_refused(struct talk *talk, uint32_t operation, const void *payload, uint32_t reason);

/* Attributes; numbers become what their rule says. */
void put_number(struct talk *talk, struct kmip_attrs *attrs, uint32_t tag, int64_t value);
void put_text(struct talk *talk, struct kmip_attrs *attrs, uint32_t tag, const char *text);
void put_name(struct talk *talk, struct kmip_attrs *attrs, const char *name);
void put_vendor(struct talk *talk, struct kmip_attrs *attrs, const char *vendor, const char *name, const char *value);

struct kmip_uid uid(const char *text);
/* A copy that ends in NUL. */
const char *uid_string(struct talk *talk, const struct kmip_uid *from);

/* Shortcuts; all have to succeed. */
const char *make_key(struct talk *talk, const char *name, uint32_t mask); /* AES 256 */
const char *register_key(struct talk *talk, const char *name, uint32_t mask, struct ks_span bytes);
void activate_key(struct talk *talk, const char *id);
void revoke_key(struct talk *talk, const char *id, uint32_t code);
void destroy_key(struct talk *talk, const char *id);
/* An attribute by tag, the first instance; NULL: there is none. */
const struct kmip_item *attribute(struct talk *talk, const char *id, uint32_t tag);
uint32_t state_of(struct talk *talk, const char *id);
/* The key bytes that Get hands out. */
struct ks_span key_bytes(struct talk *talk, const char *id);
/* The records of the last request, one text. */
const char *records(struct talk *talk);
