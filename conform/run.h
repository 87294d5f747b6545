/*
 * Runs a case against a server and judges its answers. How messages travel is the caller's.
 */
#pragma once

#include "conform/case.h"
#include "conform/compare.h"

enum conform_transport { CONFORM_TTLV, CONFORM_HTTPS_TTLV, CONFORM_HTTPS_XML, CONFORM_HTTPS_JSON };

/* How a case travels: by its name (MSGENC-HTTPS, MSGENC-XML, MSGENC-JSON), all others as TTLV over TLS. */
enum conform_transport conform_transport(const struct conform_case *c);

struct conform_exchange {
    /*
     * Sends a request as that client (a letter) and appends the answer, both in TTLV. A KS_E_* code, and diag says what
     * went wrong: there is no usable answer.
     */
    int (*exchange)(struct conform_exchange *x, char client, enum conform_transport transport, struct ks_span request,
                    struct ks_buf *ret, struct ks_diag *diag);
    /* The case is over: connections are closed. */
    void (*close)(struct conform_exchange *x);
};

enum conform_verdict { CONFORM_PASS, CONFORM_FAIL, CONFORM_ERROR, CONFORM_SKIP };
const char *conform_verdict_name(enum conform_verdict verdict); /* "PASS" */

struct conform_finding {
    struct conform_finding *next;
    size_t step;           /* from 1 */
    const char *operation; /* "Create+Get"; static or in the arena */
    const char *path, *expected, *got;
};

struct conform_result {
    enum conform_verdict verdict;
    const char *reason; /* of ERROR and SKIP; of FAIL that could not go on; else NULL. In the arena */
    struct conform_finding *first;
    size_t n_findings;
    struct ks_arena arena;
};
void conform_result_done(struct conform_result *r);

struct conform_run {
    struct conform_exchange *exchange;
    struct provenance provenance;
    int64_t tolerance; /* seconds, for dates */
    int64_t started;   /* seconds, this machine's clock */
    int64_t skew;      /* of the server's clock; learnt from its first answer */
    bool skew_known;
};
void conform_run_done(struct conform_run *run);

/* KS_E_NOMEM; whatever else happens is in the result, which the caller ends with conform_result_done. */
int conform_run_case(struct conform_run *run, const struct conform_case *c, struct conform_result *ret) KS_MUST_CHECK;
