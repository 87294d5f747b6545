/* The certificates of tests/vectors/pki.def by name, as DER and PEM. */
#pragma once

#include "crypto/cert.h"

static const struct {
    const char *name, *pem;
} pki_rows[] = {
#define PKI(NAME, PEM) {#NAME, PEM},
#include "tests/vectors/pki.def"
#undef PKI
};

static inline struct ks_span
pki_pem(const char *name)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(pki_rows); i++)
        if (strcmp(pki_rows[i].name, name) == 0)
            return ks_span_str(pki_rows[i].pem);
    fail_msg("pki.def has no %s", name);
    return KS_SPAN_NONE;
}

/* Appended to ret, whose room is to be there already if spans of it are in use. */
static inline struct ks_span
pki_der(const char *name, const char *label, struct ks_buf *ret)
{
    const size_t from = ret->len;
    assert_int_equal(ks_pem_decode(label, pki_pem(name), ret, NULL), 0);
    return KS_SPAN(ret->data + from, ret->len - from);
}
