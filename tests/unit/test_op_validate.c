/* Validate: what is trusted, and what is known as revoked. The paths themselves: test_crypto_path.c. */
#include "engine_talk.h"

#include <stdio.h>

#include "pki.h"

enum { VALID = KMIP_VALIDITY_INDICATOR_VALID, INVALID = KMIP_VALIDITY_INDICATOR_INVALID };
enum { UNKNOWN = KMIP_VALIDITY_INDICATOR_UNKNOWN, IN_2029 = 1870000000, IN_2032 = 1960000000 };

static struct ks_span
der_of(struct talk *t, const char *name)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf der = KS_BUF(8192);
    struct ks_span kept;
    assert_int_equal(ks_arena_span(&t->arena, pki_der(name, KS_PEM_CERT, &der), &kept), 0);
    return kept;
}

static const char *
store(struct talk *t, const char *name, const char *group)
{
    struct kmip_certificate certificate = {.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
                                           .certificate_value = der_of(t, name)};
    struct kmip_register_request r = {.object_type = KMIP_OBJECT_TYPE_CERTIFICATE,
                                      .attributes = {.present = true},
                                      .object = {.certificate = &certificate}};
    if (group != NULL)
        put_text(t, &r.attributes, KMIP_TAG_OBJECT_GROUP, group);
    const struct kmip_register_response *made = talk_do(t, KMIP_OPERATION_REGISTER, &r);
    return uid_string(t, &made->unique_identifier);
}

/* The verdict on certificates that are given, names apart by blanks, and on one that is stored (NULL: none). */
static uint32_t
validate(struct talk *t, const char *names, const char *id, int64_t at)
{
    struct kmip_certificate certificates[4], *list[4];
    struct kmip_uid stored = uid(id);
    struct kmip_validate_request r = {.certificate = list,
                                      .unique_identifier = &stored,
                                      .n_unique_identifier = id != NULL,
                                      .validity_date = at,
                                      .has_validity_date = at != 0};
    char text[128], *rest = text;
    (void)snprintf(text, sizeof(text), "%s", names);
    for (char *name; (name = strsep(&rest, " ")) != NULL && name[0] != '\0';) {
        struct kmip_certificate *c = list[r.n_certificate] = &certificates[r.n_certificate];
        *c = (struct kmip_certificate){.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
                                       .certificate_value = der_of(t, name)};
        r.n_certificate++;
    }
    const struct kmip_validate_response *found = talk_do(t, KMIP_OPERATION_VALIDATE, &r);
    return found->validity_indicator;
}

static struct ks_trust *
configured(const char *anchor, const char *crl)
{
    struct ks_trust *trust = NULL;
    assert_int_equal(ks_trust_new(&trust), 0);
    assert_int_equal(ks_trust_add(trust, KS_TRUST_ANCHORS, pki_pem(anchor), NULL), 0);
    if (crl != NULL)
        assert_int_equal(ks_trust_add(trust, KS_TRUST_CRLS, pki_pem(crl), NULL), 0);
    return trust;
}

static void
the_configuration_says_whom_to_trust(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    assert_int_equal(validate(&t, "good middle", NULL, 0), UNKNOWN);
    engine_trust(t.rig.engine, configured("root", NULL), NULL);
    assert_int_equal(validate(&t, "good middle", NULL, 0), VALID);
    assert_int_equal(validate(&t, "gone middle", NULL, 0), VALID);
    assert_int_equal(validate(&t, "outside middle", NULL, 0), INVALID);
    assert_int_equal(validate(&t, "good middle", NULL, 1800000000), INVALID);
    assert_int_equal(validate(&t, "other", NULL, 0), UNKNOWN);
    const char *middle = store(&t, "middle", NULL); /* given in part, stored in part */
    assert_int_equal(validate(&t, "good", middle, 0), VALID);
    assert_int_equal(validate(&t, "good", NULL, 0), UNKNOWN);
    engine_trust(t.rig.engine, configured("root", "middle_crl"), NULL);
    assert_int_equal(validate(&t, "gone", middle, 0), INVALID);
    assert_non_null(strstr(records(&t), "certificate revoked"));
    assert_int_equal(validate(&t, "gone", middle, IN_2029), VALID);
    assert_int_equal(validate(&t, "good", middle, IN_2032), UNKNOWN);
    engine_trust(t.rig.engine, NULL, NULL);
    assert_int_equal(validate(&t, "good middle", NULL, 0), UNKNOWN);
    talk_close(&t);
}

static void
stored_certificates_are_trusted(void **unused)
{
    (void)unused;
    struct talk t;
    struct identity other;
    talk_open(&t);
    rig_add_other(&t.rig, &other);
    /* One's own: what is self-signed, or marked. */
    t.who = &t.rig.client;
    const char *middle = store(&t, "middle", NULL);
    assert_int_equal(validate(&t, "good", middle, 0), UNKNOWN);
    store(&t, "middle", "trust-anchors");
    assert_int_equal(validate(&t, "good", NULL, 0), VALID);
    const char *root = store(&t, "root", NULL);
    assert_int_equal(validate(&t, "client", NULL, 0), VALID);
    /* That is nobody else's; an administrator's marks are everybody's, and no other of his. */
    t.who = &other;
    assert_int_equal(validate(&t, "good middle", NULL, 0), UNKNOWN);
    t.who = &t.rig.admin;
    store(&t, "root", NULL);
    t.who = &other;
    assert_int_equal(validate(&t, "good middle", NULL, 0), UNKNOWN);
    t.who = &t.rig.admin;
    const char *common = store(&t, "root", "trust-anchors");
    t.who = &other;
    assert_int_equal(validate(&t, "good middle", NULL, 0), VALID);
    /* What an administrator revokes is invalid for all; what a client revokes, for that client. */
    t.who = &t.rig.client;
    revoke_key(&t, root, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE);
    assert_int_equal(validate(&t, "good middle", NULL, 0), VALID); /* by the middle, which is an anchor */
    assert_int_equal(validate(&t, "client", NULL, 0), INVALID);
    t.who = &other;
    assert_int_equal(validate(&t, "client", NULL, 0), VALID);
    t.who = &t.rig.admin;
    revoke_key(&t, common, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE);
    const char *good = store(&t, "good", NULL);
    t.who = &other;
    assert_int_equal(validate(&t, "client", NULL, 0), UNKNOWN); /* no anchor is left */
    engine_trust(t.rig.engine, configured("root", NULL), NULL);
    assert_int_equal(validate(&t, "client", NULL, 0), INVALID); /* the anchor was revoked */
    engine_trust(t.rig.engine, configured("middle", NULL), NULL);
    assert_int_equal(validate(&t, "good", NULL, 0), VALID);
    t.who = &t.rig.admin;
    revoke_key(&t, good, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE);
    t.who = &other;
    assert_int_equal(validate(&t, "good", NULL, 0), INVALID);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_configuration_says_whom_to_trust),
        cmocka_unit_test(stored_certificates_are_trusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
