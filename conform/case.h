/*
 * Published test cases: one XML file each, requests and the answers expected to them (KMIP Profiles; KMIP Test Cases).
 * What does not fit into KMIP's XML stands in comments: [Client-B] says who sends what follows, [Server-to-Client] that
 * the server does.
 */
#pragma once

#include "conform/tree.h"

struct conform_step {
    struct ks_span request; /* XML, with placeholders */
    struct tree *request_tree, *expected;
    char client; /* 'A' unless the case says otherwise */
    bool to_client;
};

struct conform_case {
    char name[64], family[16], version[8];
    enum kmip_version number;
    struct conform_step *step;
    size_t n_steps;
    const char *cannot; /* why it cannot be run; NULL: it can */
    struct ks_arena arena;
};

/* KS_E_NOT_FOUND, KS_E_IO, KS_E_MALFORMED, KS_E_LIMIT, KS_E_NOMEM; diag says what is wrong, not the path. */
int conform_case_load(const char *path, struct conform_case **ret, struct ks_diag *diag) KS_MUST_CHECK;
void conform_case_free(struct conform_case *c); /* accepts NULL */
static inline void
conform_case_freep(struct conform_case **c)
{
    conform_case_free(*c);
}
