/*
 * What a request's header shows to be a user (KMIP 2.1: 9.11), compared with what the server keeps of that user: the
 * credentials that the user's Credential Links lead to (op/system.c).
 *
 *   shown               compared with
 *   Password            Password Credential, Hashed Password Credential
 *   Hashed Password     the same; its Time Stamp is good once, and grows
 *   One Time Password   One Time Password Credential: HOTP up to OTP_AHEAD counters ahead, TOTP one interval to either
 *                       side; good once. A Password beside it has to be right as well.
 */
#pragma once

#include "server/engine/ctx.h"

enum proof_kind { PROOF_PASSWORD, PROOF_HASHED, PROOF_OTP };

enum { OTP_AHEAD = 20, PROOF_CLOCK_S = 300 /* that a Time Stamp may be ahead */ };

struct proof {
    enum proof_kind kind;
    struct ks_span username, password; /* password: empty where there is none */
    struct ks_span otp;
    int64_t time_us;
    uint32_t hash;
    struct ks_span hashed;

    bool comparable; /* the user has something to compare it with */
    bool fits;
    struct object *once;   /* the credential that it may not be shown for again, or NULL */
    int64_t next;          /* the first counter, step or time that is good from now on */
    struct ks_span answer; /* Server Hashed Password, of a Hashed Password */
};

/* Adds what the user's credentials say to comparable and fits; changes nothing. */
int proof_compare(struct ctx *ctx, const struct object *user, struct proof *proof) KS_MUST_CHECK;

/* After it fitted: it fits no more. */
int proof_spend(struct ctx *ctx, const struct proof *proof) KS_MUST_CHECK;

/* The material of credentials whose kinds have more than a password to it: the TTLV of their structure. */
int proof_keep(struct ctx *ctx, const struct kmip_schema *schema, const void *credential,
               struct rev *draft) KS_MUST_CHECK;
/* And back. */
int proof_kept(struct ctx *ctx, const struct object *object, const struct kmip_schema *schema,
               void **ret) KS_MUST_CHECK;

/* The facts of a One Time Password Credential, checked. */
struct otp_facts {
    bool timed;
    uint32_t hash;
    struct ks_span seed;
    unsigned digits;
    int64_t interval; /* seconds */
    int64_t counter;  /* HOTP: the first that is good */
};
int proof_otp_facts(struct ctx *ctx, const struct kmip_otp_credential *from, struct otp_facts *ret) KS_MUST_CHECK;
