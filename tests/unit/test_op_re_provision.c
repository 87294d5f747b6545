/* Re-Provision: a client's next certificate, by a request, by a certificate, and with a key that the server makes. */
#include "engine_talk.h"

#include "pki.h"

enum { MASK = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT };

static struct ks_span
certificate_request(struct talk *t)
{
    KS_PKEY *key = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf csr = KS_BUF(8192);
    const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
                                             .curve = KMIP_RECOMMENDED_CURVE_P_256};
    struct ks_span copy;
    assert_int_equal(ks_keygen_pair(&params, &key, NULL), 0);
    assert_int_equal(ks_cert_request(key, "whatever", &csr, NULL), 0);
    assert_int_equal(ks_arena_span(&t->arena, ks_buf_span(&csr), &copy), 0);
    return copy;
}

/* What was asked for, as the identity that has the new certificate. */
static struct identity
renew(struct talk *t, const struct identity *who)
{
    struct kmip_certificate_request csr = {.certificate_request_type = KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10,
                                           .certificate_request_value = certificate_request(t)};
    struct kmip_re_provision_request r = {0};
    struct identity renewed = {.authenticated = true, .name = KS_LIT("app")};
    struct ks_cert_info info;
    assert_int_equal(
        kmip_item_encode(&kmip_schema_certificate_request, KMIP_V2_1, &csr, &t->arena, &r.certificate_request), 0);
    t->who = who;
    const struct kmip_re_provision_response *got = talk_do(t, KMIP_OPERATION_RE_PROVISION, &r);
    const struct kmip_get_request get = {.unique_identifier = got->unique_identifier};
    const struct kmip_get_response *object = talk_do(t, KMIP_OPERATION_GET, &get);
    const struct ks_span der = object->object.certificate->certificate_value;
    assert_int_equal(ks_cert_signed_by(der, ks_buf_span(&t->rig.ca), NULL), 0);
    assert_int_equal(ks_cert_parse(der, &t->arena, &info, NULL), 0);
    assert_string_equal(info.common_name, "app"); /* whatever the request says */
    memcpy(renewed.fingerprint, info.fingerprint, 32);
    return renewed;
}

static void
a_client_renews_its_certificate(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.version = KMIP_V2_1;
    t.who = &t.rig.client;
    const char *id = make_key(&t, "mine", MASK);
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    const struct kmip_client_list_request list = {0};
    const struct identity lost = renew(&t, &t.rig.client);
    const struct identity next = renew(&t, &t.rig.client);
    /* One that was never used is gone with the next; the old one is good until then, after a restart too. */
    t.who = &lost;
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
    assert_int_equal(rig_reload(&t.rig, NULL), 0);
    t.who = &t.rig.client;
    talk_do(&t, KMIP_OPERATION_GET, &get);
    /* The same client, with no more rights; on record; the old certificate is worth nothing from here on. */
    t.who = &next;
    talk_do(&t, KMIP_OPERATION_GET, &get);
    assert_non_null(strstr(records(&t), "certificate-renewed"));
    talk_do(&t, KMIP_OPERATION_GET, &get);
    assert_null(strstr(records(&t), "certificate-renewed"));
    talk_refused(&t, KMIP_OPERATION_CLIENT_LIST, &list, KMIP_RESULT_REASON_PERMISSION_DENIED);
    for (unsigned i = 0; i < 2; i++) {
        t.who = &t.rig.client;
        talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
        t.who = &next;
        talk_do(&t, KMIP_OPERATION_GET, &get);
        assert_int_equal(rig_reload(&t.rig, NULL), 0);
    }
    /* Revoked is revoked: neither the one in use nor one that waits opens anything. */
    const struct identity waiting = renew(&t, &next);
    const struct kmip_client_revoke_request revocation = {.client_name = KS_LIT("app")};
    t.who = &t.rig.admin;
    talk_do(&t, KMIP_OPERATION_CLIENT_REVOKE, &revocation);
    for (unsigned i = 0; i < 2; i++) {
        t.who = &waiting;
        talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
        t.who = &next;
        talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
        assert_int_equal(rig_reload(&t.rig, NULL), 0);
    }
    talk_close(&t);
}

static struct kmip_item *
request_item(struct talk *t, struct ks_span bytes)
{
    const struct kmip_certificate_request csr = {.certificate_request_type = KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10,
                                                 .certificate_request_value = bytes};
    struct kmip_item *item;
    assert_int_equal(kmip_item_encode(&kmip_schema_certificate_request, KMIP_V2_1, &csr, &t->arena, &item), 0);
    return item;
}

static void
what_is_no_request_renews_nothing(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.version = KMIP_V2_1;
    t.who = &t.rig.client;
    const struct kmip_re_provision_request bad = {.certificate_request = request_item(&t, KS_LIT("no request"))};
    assert_int_equal(talk_ask(&t, KMIP_OPERATION_RE_PROVISION, &bad)->result_status,
                     KMIP_RESULT_STATUS_OPERATION_FAILED);
    struct kmip_certificate certificate = {.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
                                           .certificate_value = ks_buf_span(&t.rig.ca)};
    const struct kmip_re_provision_request both = {.certificate_request = request_item(&t, certificate_request(&t)),
                                                   .certificate = &certificate};
    talk_refused(&t, KMIP_OPERATION_RE_PROVISION, &both, KMIP_RESULT_REASON_INVALID_FIELD);
    talk_do(&t, KMIP_OPERATION_PING, &(const struct kmip_ping_request){0});
    talk_close(&t);
}

static const char *
link_of(struct talk *t, const char *id, uint32_t type)
{
    struct kmip_get_attributes_request r = {.unique_identifier = uid(id)};
    const struct kmip_get_attributes_response *got = talk_do(t, KMIP_OPERATION_GET_ATTRIBUTES, &r);
    for (const struct kmip_attr *a = got->attributes.first; a != NULL; a = a->next) {
        const struct kmip_item *kind = a->tag == KMIP_TAG_LINK ? kmip_item_child(a->value, KMIP_TAG_LINK_TYPE) : NULL;
        if (kind != NULL && kind->u32 == type) {
            const struct ks_span to = kmip_item_child(a->value, KMIP_TAG_LINKED_OBJECT_IDENTIFIER)->s;
            return ks_arena_dup(&t->arena, to.data, to.len);
        }
    }
    fail_msg("no link %u", type);
    return NULL;
}

/* No parameters: the key is had by Get, its certificate by the key's link. */
static void
the_server_makes_a_key(struct talk *t)
{
    const struct kmip_re_provision_request none = {0};
    t->version = KMIP_V2_1;
    t->who = &t->rig.client;
    const char *mine = make_key(t, "mine", MASK);
    const struct kmip_re_provision_response *made = talk_do(t, KMIP_OPERATION_RE_PROVISION, &none);
    const char *key_id = uid_string(t, &made->unique_identifier);
    assert_non_null(strstr(records(t), "Re-Provision"));
    assert_non_null(strstr(records(t), "with the certificate"));
    const char *id = link_of(t, key_id, KMIP_LINK_TYPE_CERTIFICATE_LINK);
    const char *public = link_of(t, key_id, KMIP_LINK_TYPE_PUBLIC_KEY_LINK);
    assert_string_equal(link_of(t, public, KMIP_LINK_TYPE_PRIVATE_KEY_LINK), key_id);
    assert_string_equal(link_of(t, id, KMIP_LINK_TYPE_PRIVATE_KEY_LINK), key_id);
    const struct kmip_get_request get = {.unique_identifier = uid(id)},
                                  get_key = {.unique_identifier = uid(key_id),
                                             .key_format_type = KMIP_KEY_FORMAT_TYPE_PKCS_8,
                                             .has_key_format_type = true},
                                  get_mine = {.unique_identifier = uid(mine)};
    const struct kmip_get_response *got = talk_do(t, KMIP_OPERATION_GET, &get);
    const struct ks_span der = got->object.certificate->certificate_value;
    assert_int_equal(ks_cert_signed_by(der, ks_buf_span(&t->rig.ca), NULL), 0);
    struct ks_cert_info info;
    assert_int_equal(ks_cert_parse(der, &t->arena, &info, NULL), 0);
    assert_string_equal(info.common_name, "app");
    /* The key fits the certificate. */
    got = talk_do(t, KMIP_OPERATION_GET, &get_key);
    KS_PKEY *key = NULL, *theirs = NULL;
    const struct kmip_item *material =
        kmip_item_child(got->object.private_key->key_block->key_value, KMIP_TAG_KEY_MATERIAL);
    assert_int_equal(ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_PKCS_8, true, 0, 0, material->s, &key, NULL), 0);
    assert_int_equal(ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_X_509, false, 0, 0, info.public_key, &theirs, NULL), 0);
    assert_true(ks_pkey_same_public(key, theirs));
    /* And opens the door that closes behind the old one. */
    struct identity renewed = {.authenticated = true, .name = KS_LIT("app")};
    memcpy(renewed.fingerprint, info.fingerprint, 32);
    t->who = &renewed;
    talk_do(t, KMIP_OPERATION_GET, &get_mine);
    assert_non_null(strstr(records(t), "certificate-renewed"));
    assert_int_equal(rig_reload(&t->rig, NULL), 0);
    talk_do(t, KMIP_OPERATION_GET, &get_mine);
    t->who = &t->rig.client;
    talk_refused(t, KMIP_OPERATION_GET, &get_mine, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
    /* "SHALL fail if the certificate that represents the client credential has been Revoked". */
    t->who = &renewed; /* cppcheck-suppress autoVariables ; taken back below */
    revoke_key(t, id, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE);
    talk_refused(t, KMIP_OPERATION_RE_PROVISION, &none, KMIP_RESULT_REASON_PERMISSION_DENIED);
    t->who = &t->rig.client;
}

static void
a_key_can_be_had_from_the_server(void **unused)
{
    (void)unused;
    for (enum profile profile = 0; profile < PROFILE_COUNT; profile++) {
        struct talk t;
        const struct engine_config config = {.node = KS_LIT("node1"), .profile = profile};
        talk_open_with(&t, &config);
        the_server_makes_a_key(&t);
        talk_close(&t);
    }
}

static void
a_certificate_can_be_brought(void **unused)
{
    (void)unused;
    struct talk t;
    KS_CLEANUP(ks_buf_done) struct ks_buf ders = KS_BUF(65536);
    struct ks_trust *trust = NULL;
    talk_open(&t);
    t.version = KMIP_V2_1;
    t.who = &t.rig.client;
    const char *mine = make_key(&t, "mine", MASK);
    const struct kmip_get_request get_mine = {.unique_identifier = uid(mine)};
    assert_int_equal(ks_buf_reserve(&ders, 16384), 0);
    struct kmip_certificate certificate = {.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
                                           .certificate_value = pki_der("client", KS_PEM_CERT, &ders)};
    const struct kmip_re_provision_request own = {.certificate = &certificate};
    /* TLS lets in nobody but the clients of this server's authority: then no other certificate is of use. */
    talk_refused(&t, KMIP_OPERATION_RE_PROVISION, &own, KMIP_RESULT_REASON_INVALID_FIELD);
    assert_int_equal(ks_trust_new(&trust), 0);
    assert_int_equal(ks_trust_add(trust, KS_TRUST_ANCHORS, pki_pem("root"), NULL), 0);
    engine_trust(t.rig.engine, NULL, trust);
    static const char *const bad[] = {"other", "server"};
    for (size_t i = 0; i < 2; i++) {
        certificate.certificate_value = pki_der(bad[i], KS_PEM_CERT, &ders);
        talk_refused(&t, KMIP_OPERATION_RE_PROVISION, &own, KMIP_RESULT_REASON_INVALID_FIELD);
    }
    certificate.certificate_value = KS_LIT("no certificate");
    talk_refused(&t, KMIP_OPERATION_RE_PROVISION, &own, KMIP_RESULT_REASON_INVALID_FIELD);
    certificate.certificate_value = pki_der("client", KS_PEM_CERT, &ders);
    const struct kmip_re_provision_response *made = talk_do(&t, KMIP_OPERATION_RE_PROVISION, &own);
    const char *id = uid_string(&t, &made->unique_identifier);
    /* It waits for its first use, and is nobody else's any more. */
    t.who = &t.rig.admin;
    talk_refused(&t, KMIP_OPERATION_RE_PROVISION, &own, KMIP_RESULT_REASON_INVALID_FIELD);
    t.who = &t.rig.client;
    talk_do(&t, KMIP_OPERATION_GET, &get_mine);
    struct identity brought = {.authenticated = true, .name = KS_LIT("client")};
    assert_int_equal(ks_cert_fingerprint(certificate.certificate_value, brought.fingerprint), 0);
    t.who = &brought;
    talk_do(&t, KMIP_OPERATION_GET, &get_mine);
    assert_non_null(strstr(records(&t), "certificate-renewed"));
    t.who = &t.rig.client;
    talk_refused(&t, KMIP_OPERATION_GET, &get_mine, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
    t.who = &brought;
    assert_int_equal(state_of(&t, id), KMIP_STATE_ACTIVE);
    /* Back to this server's authority, and not with what it issued before. */
    const struct identity next = renew(&t, &brought);
    t.who = &next;
    talk_do(&t, KMIP_OPERATION_GET, &get_mine);
    certificate.certificate_value = ks_buf_span(&t.rig.ca);
    talk_refused(&t, KMIP_OPERATION_RE_PROVISION, &own, KMIP_RESULT_REASON_INVALID_FIELD);
    /* One that was revoked does not come back. */
    revoke_key(&t, id, KMIP_REVOCATION_REASON_CODE_SUPERSEDED);
    certificate.certificate_value = pki_der("client", KS_PEM_CERT, &ders);
    talk_refused(&t, KMIP_OPERATION_RE_PROVISION, &own, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_renews_its_certificate),
        cmocka_unit_test(what_is_no_request_renews_nothing),
        cmocka_unit_test(a_key_can_be_had_from_the_server),
        cmocka_unit_test(a_certificate_can_be_brought),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
