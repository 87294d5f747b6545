/* crypto/cert.h: paths of certificates, trust anchors and lists of what was revoked. */
#include "tests/unit/crypto_test.h"

#include <stdio.h>

#include "crypto/crypto.h"
#include "tests/unit/pki.h"

enum { JANUARY = 1893456000 + 86400 * 10, MARCH = 1900000000, YEAR_2032 = 1956528000 };
static const int64_t year_2040 = 2209032000;

static struct ks_trust *
trust_in(const char *const *anchors, const char *const *crls)
{
    struct ks_trust *trust = NULL;
    struct ks_diag diag = {0};
    assert_int_equal(ks_trust_new(&trust), 0);
    for (; anchors != NULL && *anchors != NULL; anchors++)
        assert_int_equal(ks_trust_add(trust, KS_TRUST_ANCHORS, pki_pem(*anchors), &diag), 0);
    for (; crls != NULL && *crls != NULL; crls++)
        assert_int_equal(ks_trust_add(trust, KS_TRUST_CRLS, pki_pem(*crls), &diag), 0);
    return trust;
}

/* The verdict on a chain, its names apart by blanks. */
static struct ks_cert_verdict
judge(const char *names, const struct ks_trust *trust, int64_t at, bool tls_client)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf ders = KS_BUF(65536);
    struct ks_span chain[8];
    struct ks_cert_path path = {.chain = chain, .trust = trust, .at = at, .tls_client = tls_client};
    struct ks_cert_verdict verdict;
    struct ks_diag diag = {0};
    char text[128], *rest = text;
    assert_int_equal(ks_buf_reserve(&ders, 32768), 0);
    (void)snprintf(text, sizeof(text), "%s", names);
    for (char *name; (name = strsep(&rest, " ")) != NULL;)
        chain[path.n_chain++] = pki_der(name, KS_PEM_CERT, &ders);
    assert_int_equal(ks_cert_validate(&path, &verdict, &diag), 0);
    assert_true(verdict.chain == KS_CHAIN_VALID || diag.message[0] != '\0');
    return verdict;
}

static void
rfc_5280_decides(void **unused)
{
    (void)unused;
    static const struct {
        const char *chain;
        int64_t at;
        enum ks_chain want;
    } rows[] = {
        {"good middle", MARCH, KS_CHAIN_VALID},
        {"middle good", MARCH, KS_CHAIN_VALID}, /* in any order */
        {"root good middle", MARCH, KS_CHAIN_VALID},
        {"middle", MARCH, KS_CHAIN_VALID},
        {"root", MARCH, KS_CHAIN_VALID},
        {"good", MARCH, KS_CHAIN_UNKNOWN},            /* what is between it and the anchor is missing */
        {"other", MARCH, KS_CHAIN_UNKNOWN},           /* self-signed by somebody else */
        {"good middle", year_2040, KS_CHAIN_INVALID}, /* too late */
        {"good middle", 1700000000, KS_CHAIN_INVALID},
        {"good other", MARCH, KS_CHAIN_INVALID},       /* two ends */
        {"outside middle", MARCH, KS_CHAIN_INVALID},   /* name constraints */
        {"below short middle", MARCH, KS_CHAIN_VALID}, /* path length: the last one is no intermediate */
        {"deep below short middle", MARCH, KS_CHAIN_INVALID},
        {"wrong plain", MARCH, KS_CHAIN_INVALID},     /* basic constraints */
        {"unsigned nosign", MARCH, KS_CHAIN_INVALID}, /* key usage */
        {"unpoliced picky", MARCH, KS_CHAIN_INVALID}, /* policies */
    };
    struct ks_trust *trust = trust_in((const char *[]){"root", NULL}, NULL);
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        const struct ks_cert_verdict found = judge(rows[i].chain, trust, rows[i].at, false);
        if (found.chain != rows[i].want)
            fail_msg("%s: %d, not %d", rows[i].chain, (int)found.chain, (int)rows[i].want);
    }
    /* Purposes count where they are asked for. */
    assert_int_equal(judge("client", trust, MARCH, true).chain, KS_CHAIN_VALID);
    assert_int_equal(judge("server middle", trust, MARCH, false).chain, KS_CHAIN_VALID);
    assert_int_equal(judge("server middle", trust, MARCH, true).chain, KS_CHAIN_INVALID);
    ks_trust_free(trust);
    /* An anchor needs not be self-signed (RFC 5280, 6.1.1 d), and is part of the path that is told. */
    trust = trust_in((const char *[]){"middle", NULL}, NULL);
    const struct ks_cert_verdict found = judge("good", trust, MARCH, false);
    assert_int_equal(found.chain, KS_CHAIN_VALID);
    assert_int_equal(found.n_path, 2);
    ks_trust_free(trust);
    assert_int_equal(judge("good middle", NULL, MARCH, false).chain, KS_CHAIN_UNKNOWN);
}

static void
lists_revoke(void **unused)
{
    (void)unused;
    struct ks_trust *trust = trust_in((const char *[]){"root", NULL}, (const char *[]){"middle_crl", NULL});
    assert_int_equal(judge("good middle", trust, MARCH, false).chain, KS_CHAIN_VALID); /* the root has no list */
    assert_int_equal(judge("gone middle", trust, MARCH, false).chain, KS_CHAIN_INVALID);
    assert_int_equal(judge("gone middle", trust, JANUARY, false).chain, KS_CHAIN_VALID); /* it was good then */
    /* A list that is out of date says nothing of those it does not have. */
    assert_int_equal(judge("good middle", trust, YEAR_2032, false).chain, KS_CHAIN_UNKNOWN);
    assert_int_equal(judge("gone middle", trust, YEAR_2032, false).chain, KS_CHAIN_INVALID);
    assert_int_equal(judge("client", trust, YEAR_2032, false).chain, KS_CHAIN_VALID);
    ks_trust_free(trust);
    /* An authority that was revoked takes all below it along. */
    trust = trust_in((const char *[]){"root", NULL}, (const char *[]){"root_crl", NULL});
    assert_int_equal(judge("good middle", trust, MARCH, false).chain, KS_CHAIN_INVALID);
    assert_int_equal(judge("client", trust, MARCH, false).chain, KS_CHAIN_VALID);
    ks_trust_free(trust);
}

static void
files_hold_what_they_are_for(void **unused)
{
    (void)unused;
    struct ks_trust *trust = NULL;
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf both = KS_BUF(65536);
    KS_CLEANUP(ks_buf_done) struct ks_buf der = KS_BUF(65536);
    assert_int_equal(ks_trust_new(&trust), 0);
    assert_int_equal(ks_buf_add_span(&both, pki_pem("root")), 0);
    assert_int_equal(ks_buf_add_span(&both, pki_pem("other")), 0);
    assert_int_equal(ks_trust_add(trust, KS_TRUST_ANCHORS, ks_buf_span(&both), &diag), 0);
    assert_int_equal(ks_trust_add(trust, KS_TRUST_ANCHORS, pki_der("middle", KS_PEM_CERT, &der), &diag), 0);
    assert_int_equal(ks_trust_count(trust, KS_TRUST_ANCHORS), 3);
    ks_buf_reset(&der);
    assert_int_equal(ks_trust_add(trust, KS_TRUST_CRLS, pki_der("root_crl", "X509 CRL", &der), &diag), 0);
    assert_int_equal(ks_trust_count(trust, KS_TRUST_CRLS), 1);
    assert_int_equal(ks_trust_add(trust, KS_TRUST_ANCHORS, pki_pem("root_crl"), &diag), KS_E_INVALID);
    assert_int_equal(ks_trust_add(trust, KS_TRUST_CRLS, pki_pem("root"), &diag), KS_E_INVALID);
    assert_int_equal(ks_trust_add(trust, KS_TRUST_CRLS, KS_LIT("nothing at all"), &diag), KS_E_MALFORMED);
    assert_int_equal(ks_trust_add(trust, KS_TRUST_ANCHORS, KS_LIT("0nothing"), &diag), KS_E_MALFORMED);
    assert_int_equal(ks_trust_add(trust, KS_TRUST_ANCHORS, KS_SPAN_NONE, &diag), KS_E_LIMIT);
    assert_int_equal(ks_trust_count(trust, KS_TRUST_ANCHORS), 3);
    ks_trust_free(trust);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_5280_decides),
        cmocka_unit_test(lists_revoke),
        cmocka_unit_test(files_hold_what_they_are_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
