/*
 * Compares the answer that a case expects with the one that came (KMIP Profiles, "Permitted Test Case Variations":
 * conform/vary.def).
 */
#pragma once

#include "conform/tree.h"

struct difference {
    struct difference *next;
    const char *path, *expected, *got;
};

/* A value that a placeholder, or a literal that only the server could know, stands for. */
struct binding {
    struct ks_span var;         /* name of the placeholder; empty: a literal */
    struct ks_span object;      /* literal: the object that the answer was about, */
    const struct tree *literal; /* and the value in the case */
    const struct kmip_item *value;
};

/* Objects of the server's making; kept for all cases of a run. */
struct provenance {
    struct ks_buf generated, derived; /* identifiers, each ending in a newline */
};
void provenance_done(struct provenance *p);

/* What is known while one case runs. Everything lives in the arena. */
struct memory {
    struct ks_arena *arena;
    struct provenance *provenance;
    enum kmip_version version;
    int64_t started, now, tolerance; /* seconds, on the server's clock */
    struct binding *bound;
    size_t n_bound, cap_bound;
    const struct tree **request, **answer; /* so far, as sent and as received */
    size_t n_requests, n_answers, cap_requests, cap_answers;
};
int memory_request(struct memory *m, const struct tree *request) KS_MUST_CHECK;
int memory_answer(struct memory *m, const struct tree *answer) KS_MUST_CHECK;
const struct kmip_item *memory_find(const struct memory *m, struct ks_span var); /* NULL: no value */
int memory_keep(struct memory *m, const struct binding *b) KS_MUST_CHECK;        /* copies it */
int memory_bind(struct memory *m, struct ks_span var, const struct kmip_item *value) KS_MUST_CHECK;
/* The value that came last under a tag in any answer; NULL: none. */
const struct kmip_item *memory_last(const struct memory *m, uint32_t tag);

/* The differences between two Response Messages; NULL: none. Placeholders are bound on the way. */
int compare_answers(struct memory *m, const struct tree *request, const struct tree *expected,
                    const struct tree *actual, struct difference **ret) KS_MUST_CHECK;
