/* Certify, Re-certify and Validate: what a certificate says, under whose authority, who may, and what a chain is worth.
 */
#include "engine_talk.h"

#include "crypto/cert.h"
#include "crypto/keyformat.h"

static const char *
linked(struct talk *t, const char *id, uint32_t type)
{
    const struct kmip_get_attributes_request r = {.unique_identifier = uid(id)};
    const struct kmip_get_attributes_response *all = talk_do(t, KMIP_OPERATION_GET_ATTRIBUTES, &r);
    for (const struct kmip_attr *a = all->attributes.first; a != NULL; a = a->next)
        if (a->tag == KMIP_TAG_LINK && kmip_item_child(a->value, KMIP_TAG_LINK_TYPE)->u32 == type) {
            const struct kmip_uid to = {.type = KMIP_TYPE_TEXT_STRING,
                                        .text = kmip_item_child(a->value, KMIP_TAG_LINKED_OBJECT_IDENTIFIER)->s};
            return uid_string(t, &to);
        }
    return "";
}

static const char *
named(struct talk *t, const char *name)
{
    struct kmip_locate_request r = {.attributes = {.present = true}};
    put_name(t, &r.attributes, name);
    const struct kmip_locate_response *found = talk_do(t, KMIP_OPERATION_LOCATE, &r);
    return found->n_unique_identifier == 1 ? uid_string(t, &found->unique_identifier[0]) : "";
}

static struct ks_span
certificate_of(struct talk *t, const char *id)
{
    const struct kmip_get_request r = {.unique_identifier = uid(id)};
    const struct kmip_get_response *got = talk_do(t, KMIP_OPERATION_GET, &r);
    return got->object.certificate->certificate_value;
}

static struct ks_cert_info
info_of(struct talk *t, const char *id)
{
    struct ks_cert_info info;
    assert_int_equal(ks_cert_parse(certificate_of(t, id), &t->arena, &info, NULL), 0);
    return info;
}

/* A key pair of the server's: the identifiers of both. */
static void
make_pair(struct talk *t, const char *name, const char **ret_private, const char **ret_public)
{
    struct kmip_create_key_pair_request r = {.common_attributes = {.present = true},
                                             .public_attributes = {.present = true}};
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC);
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN);
    put_name(t, &r.public_attributes, name);
    const struct kmip_create_key_pair_response *made = talk_do(t, KMIP_OPERATION_CREATE_KEY_PAIR, &r);
    *ret_private = uid_string(t, &made->private_key_unique_identifier);
    *ret_public = uid_string(t, &made->public_key_unique_identifier);
}

static struct ks_span
request_for(struct talk *t, struct ks_pkey **ret_key, const char *common_name)
{
    const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
                                             .curve = KMIP_RECOMMENDED_CURVE_P_256};
    KS_CLEANUP(ks_buf_done) struct ks_buf der = KS_BUF(4096);
    struct ks_span kept;
    assert_int_equal(ks_keygen_pair(&params, ret_key, NULL), 0);
    assert_int_equal(ks_cert_request(*ret_key, common_name, &der, NULL), 0);
    assert_int_equal(ks_arena_span(&t->arena, ks_buf_span(&der), &kept), 0);
    return kept;
}

static const char *
certify(struct talk *t, const struct kmip_certify_request *r)
{
    const struct kmip_certify_response *made = talk_do(t, KMIP_OPERATION_CERTIFY, r);
    return uid_string(t, &made->unique_identifier);
}

static uint32_t
validate(struct talk *t, const char *const *ids, size_t n, int64_t at)
{
    struct kmip_uid uids[4];
    for (size_t i = 0; i < n; i++)
        uids[i] = uid(ids[i]);
    const struct kmip_validate_request r = {
        .unique_identifier = uids, .n_unique_identifier = n, .validity_date = at, .has_validity_date = at != 0};
    const struct kmip_validate_response *found = talk_do(t, KMIP_OPERATION_VALIDATE, &r);
    return found->validity_indicator;
}

static void
a_managed_key_is_certified(void **unused)
{
    (void)unused;
    struct talk t;
    const char *private, *public;
    talk_open(&t);
    make_pair(&t, "web", &private, &public);
    struct kmip_certify_request r = {.unique_identifier = uid(public), .attributes = {.present = true}};
    put_number(&t, &r.attributes, KMIP_TAG_CERTIFICATE_TYPE, KMIP_CERTIFICATE_TYPE_X_509);
    put_text(&t, &r.attributes, KMIP_TAG_CERTIFICATE_SUBJECT_CN, "web.example");
    put_text(&t, &r.attributes, KMIP_TAG_CERTIFICATE_SUBJECT_O, "Example");
    put_number(&t, &r.attributes, KMIP_TAG_ACTIVATION_DATE, RIG_START_S + 10);
    put_number(&t, &r.attributes, KMIP_TAG_DEACTIVATION_DATE, RIG_START_S + 1000);
    const char *id = certify(&t, &r);
    const struct ks_cert_info info = info_of(&t, id);
    assert_string_equal(info.subject, "O=Example,CN=web.example");
    assert_string_equal(info.issuer, "CN=Keystead issuing CA,O=app");
    assert_int_equal(info.not_before, RIG_START_S + 10);
    assert_int_equal(info.not_after, RIG_START_S + 1000);
    assert_false(info.is_ca);
    assert_string_equal(linked(&t, id, KMIP_LINK_TYPE_PUBLIC_KEY_LINK), public);
    assert_string_equal(linked(&t, public, KMIP_LINK_TYPE_CERTIFICATE_LINK), id);
    assert_int_equal(attribute(&t, id, KMIP_TAG_DIGITAL_SIGNATURE_ALGORITHM)->u32,
                     KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA384);
    assert_int_equal(attribute(&t, id, KMIP_TAG_CERTIFICATE_LENGTH)->i32, certificate_of(&t, id).len);

    /* The authority is the client's, and its key stays here. */
    const char *ca = named(&t, "issuing-ca"), *key = named(&t, "issuing-ca key");
    assert_true(info_of(&t, ca).is_ca);
    assert_int_equal(ks_cert_signed_by(certificate_of(&t, id), certificate_of(&t, ca), NULL), 0);
    const struct kmip_get_request get = {.unique_identifier = uid(key)};
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_SENSITIVE);
    /* It is made once. */
    struct kmip_certify_request again = {.unique_identifier = uid(public), .attributes = {.present = true}};
    const char *second = certify(&t, &again);
    assert_string_equal(info_of(&t, second).common_name, "web");
    assert_int_equal(ks_cert_signed_by(certificate_of(&t, second), certificate_of(&t, ca), NULL), 0);

    /* Another client has another. */
    const char *their_private, *their_public;
    t.who = &t.rig.admin;
    make_pair(&t, "theirs", &their_private, &their_public);
    r.unique_identifier = uid(public);
    talk_refused(&t, KMIP_OPERATION_CERTIFY, &r, KMIP_RESULT_REASON_PERMISSION_DENIED);
    again.unique_identifier = uid(their_public);
    const char *theirs = certify(&t, &again);
    assert_string_equal(info_of(&t, theirs).issuer, "CN=Keystead issuing CA,O=admin");
    talk_close(&t);
}

static void
a_request_is_what_counts(void **unused)
{
    (void)unused;
    struct talk t;
    KS_PKEY *key = NULL;
    const char *private, *public;
    talk_open(&t);
    struct kmip_certify_request r = {.certificate_request = request_for(&t, &key, "db.example"),
                                     .has_certificate_request = true,
                                     .attributes = {.present = true}};
    talk_refused(&t, KMIP_OPERATION_CERTIFY, &r, KMIP_RESULT_REASON_MISSING_DATA);
    r.certificate_request_type = KMIP_CERTIFICATE_REQUEST_TYPE_CRMF;
    r.has_certificate_request_type = true;
    talk_refused(&t, KMIP_OPERATION_CERTIFY, &r, KMIP_RESULT_REASON_INVALID_CSR);
    r.certificate_request_type = KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10;
    put_text(&t, &r.attributes, KMIP_TAG_CERTIFICATE_SUBJECT_CN, "other.example");
    const char *id = certify(&t, &r);
    assert_string_equal(info_of(&t, id).subject, "CN=db.example");
    assert_string_equal(linked(&t, id, KMIP_LINK_TYPE_PUBLIC_KEY_LINK), "");
    KS_CLEANUP(ks_buf_done) struct ks_buf spki = KS_BUF(4096);
    assert_int_equal(ks_pkey_export(key, KMIP_KEY_FORMAT_TYPE_X_509, false, &spki, NULL), 0);
    assert_true(ks_span_equal(info_of(&t, id).public_key, ks_buf_span(&spki)));

    KS_CLEANUP(ks_buf_done) struct ks_buf pem = KS_BUF(8192);
    assert_int_equal(ks_pem_encode(KS_PEM_REQUEST, r.certificate_request, &pem, NULL), 0);
    struct kmip_certify_request as_pem = r;
    as_pem.certificate_request = ks_buf_span(&pem);
    as_pem.certificate_request_type = KMIP_CERTIFICATE_REQUEST_TYPE_PEM;
    assert_string_equal(info_of(&t, certify(&t, &as_pem)).subject, "CN=db.example");

    /* A request for one key does not certify another; one that was changed is none. */
    make_pair(&t, "another", &private, &public);
    struct kmip_certify_request mixed = r;
    mixed.unique_identifier = uid(public);
    talk_refused(&t, KMIP_OPERATION_CERTIFY, &mixed, KMIP_RESULT_REASON_INVALID_CSR);
    uint8_t *changed = ks_arena_dup(&t.arena, r.certificate_request.data, r.certificate_request.len);
    changed[r.certificate_request.len - 4] ^= 1;
    struct kmip_certify_request bad = r;
    bad.certificate_request = KS_SPAN(changed, r.certificate_request.len);
    talk_refused(&t, KMIP_OPERATION_CERTIFY, &bad, KMIP_RESULT_REASON_INVALID_CSR);
    /* Nobody becomes an authority by asking, and PGP is another matter. */
    struct kmip_certify_request ca = r;
    ca.attributes = (struct kmip_attrs){.present = true};
    put_number(&t, &ca.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_CERTIFICATE_SIGN);
    talk_refused(&t, KMIP_OPERATION_CERTIFY, &ca, KMIP_RESULT_REASON_PERMISSION_DENIED);
    struct kmip_certify_request pgp = r;
    pgp.attributes = (struct kmip_attrs){.present = true};
    put_number(&t, &pgp.attributes, KMIP_TAG_CERTIFICATE_TYPE, KMIP_CERTIFICATE_TYPE_PGP);
    talk_refused(&t, KMIP_OPERATION_CERTIFY, &pgp, KMIP_RESULT_REASON_FEATURE_NOT_SUPPORTED);
    talk_close(&t);
}

/* A certificate of Certify's is no client of this server, whatever it says. */
static void
what_is_certified_does_not_log_in(void **unused)
{
    (void)unused;
    struct talk t;
    KS_PKEY *key = NULL;
    talk_open(&t);
    struct kmip_certify_request r = {.certificate_request = request_for(&t, &key, "admin"),
                                     .has_certificate_request = true,
                                     .certificate_request_type = KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10,
                                     .has_certificate_request_type = true,
                                     .attributes = {.present = true}};
    const char *id = certify(&t, &r);
    const struct ks_span der = certificate_of(&t, id);
    /* TLS does not take it: the authority of clients has not signed it. Nor does the engine know its fingerprint. */
    assert_int_equal(ks_cert_signed_by(der, ks_buf_span(&t.rig.ca), NULL), KS_E_INTEGRITY);
    struct identity impostor = t.rig.client;
    assert_int_equal(ks_cert_fingerprint(der, impostor.fingerprint), 0);
    t.who = &impostor;
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
    talk_close(&t);
}

static void
a_certificate_is_renewed(void **unused)
{
    (void)unused;
    struct talk t;
    const char *private, *public;
    talk_open(&t);
    make_pair(&t, "web", &private, &public);
    struct kmip_certify_request r = {.unique_identifier = uid(public), .attributes = {.present = true}};
    put_name(&t, &r.attributes, "first");
    put_text(&t, &r.attributes, KMIP_TAG_CERTIFICATE_SUBJECT_CN, "web.example");
    put_number(&t, &r.attributes, KMIP_TAG_ACTIVATION_DATE, RIG_START_S);
    put_number(&t, &r.attributes, KMIP_TAG_DEACTIVATION_DATE, RIG_START_S + 1000);
    const char *old = certify(&t, &r);
    t.rig.now_us += 500000000;
    struct kmip_re_certify_request again = {.unique_identifier = uid(old), .offset = 100, .has_offset = true};
    put_name(&t, &again.attributes, "second");
    const struct kmip_re_certify_response *made = talk_do(&t, KMIP_OPERATION_RE_CERTIFY, &again);
    const char *new = uid_string(&t, &made->unique_identifier);
    const struct ks_cert_info a = info_of(&t, old), b = info_of(&t, new);
    assert_string_equal(a.subject, b.subject);
    assert_true(ks_span_equal(a.public_key, b.public_key));
    assert_string_not_equal(a.serial, b.serial);
    assert_int_equal(b.not_before, RIG_START_S + 600);
    assert_int_equal(b.not_after, RIG_START_S + 1600);
    assert_string_equal(named(&t, "first"), new);
    assert_string_equal(named(&t, "second"), new);
    assert_string_equal(linked(&t, old, KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK), new);
    assert_string_equal(linked(&t, new, KMIP_LINK_TYPE_REPLACED_OBJECT_LINK), old);
    assert_string_equal(linked(&t, new, KMIP_LINK_TYPE_PUBLIC_KEY_LINK), public);
    assert_string_equal(linked(&t, public, KMIP_LINK_TYPE_CERTIFICATE_LINK), new);
    talk_refused(&t, KMIP_OPERATION_RE_CERTIFY, &again, KMIP_RESULT_REASON_PERMISSION_DENIED);
    /* The same key pair it has to be. */
    KS_PKEY *other = NULL;
    struct kmip_re_certify_request mixed = {.unique_identifier = uid(new),
                                            .certificate_request = request_for(&t, &other, "web.example"),
                                            .has_certificate_request = true,
                                            .certificate_request_type = KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10,
                                            .has_certificate_request_type = true};
    talk_refused(&t, KMIP_OPERATION_RE_CERTIFY, &mixed, KMIP_RESULT_REASON_INVALID_CSR);
    talk_close(&t);
}

static void
chains_are_valid_invalid_or_unknown(void **unused)
{
    (void)unused;
    struct talk t;
    const char *private, *public;
    talk_open(&t);
    make_pair(&t, "web", &private, &public);
    struct kmip_certify_request r = {.unique_identifier = uid(public), .attributes = {.present = true}};
    put_number(&t, &r.attributes, KMIP_TAG_ACTIVATION_DATE, RIG_START_S);
    put_number(&t, &r.attributes, KMIP_TAG_DEACTIVATION_DATE, RIG_START_S + 1000);
    const char *leaf = certify(&t, &r), *ca = named(&t, "issuing-ca");
    t.rig.now_us += 10000000;
    assert_int_equal(validate(&t, (const char *[]){leaf}, 1, 0), KMIP_VALIDITY_INDICATOR_VALID);
    assert_int_equal(validate(&t, (const char *[]){ca, leaf}, 2, 0), KMIP_VALIDITY_INDICATOR_VALID);
    assert_int_equal(validate(&t, (const char *[]){leaf}, 1, RIG_START_S + 2000), KMIP_VALIDITY_INDICATOR_INVALID);
    assert_int_equal(validate(&t, (const char *[]){leaf}, 1, RIG_START_S - 2000), KMIP_VALIDITY_INDICATOR_INVALID);
    /* Two ends are no chain. */
    r.attributes = (struct kmip_attrs){.present = true};
    put_text(&t, &r.attributes, KMIP_TAG_CERTIFICATE_SUBJECT_CN, "second");
    const char *second = certify(&t, &r);
    assert_int_equal(validate(&t, (const char *[]){leaf, second}, 2, 0), KMIP_VALIDITY_INDICATOR_INVALID);

    /* Bytes of a certificate whose issuer this client does not know, and changed ones. */
    const struct ks_span der = certificate_of(&t, leaf);
    struct kmip_certificate given = {.certificate_type = KMIP_CERTIFICATE_TYPE_X_509, .certificate_value = der};
    struct kmip_certificate *list[] = {&given};
    const struct kmip_validate_request bytes = {.certificate = list, .n_certificate = 1};
    const struct kmip_validate_response *found = talk_do(&t, KMIP_OPERATION_VALIDATE, &bytes);
    assert_int_equal(found->validity_indicator, KMIP_VALIDITY_INDICATOR_VALID);
    uint8_t *changed = ks_arena_dup(&t.arena, der.data, der.len);
    changed[der.len - 6] ^= 1;
    given.certificate_value = KS_SPAN(changed, der.len);
    found = talk_do(&t, KMIP_OPERATION_VALIDATE, &bytes);
    assert_int_equal(found->validity_indicator, KMIP_VALIDITY_INDICATOR_INVALID);
    given.certificate_value = der;
    t.who = &t.rig.admin;
    found = talk_do(&t, KMIP_OPERATION_VALIDATE, &bytes);
    assert_int_equal(found->validity_indicator, KMIP_VALIDITY_INDICATOR_UNKNOWN);
    t.who = &t.rig.client;

    /* Revoked: the leaf, then the authority. */
    revoke_key(&t, leaf, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE);
    assert_int_equal(validate(&t, (const char *[]){leaf}, 1, 0), KMIP_VALIDITY_INDICATOR_INVALID);
    assert_int_equal(validate(&t, (const char *[]){second}, 1, 0), KMIP_VALIDITY_INDICATOR_VALID);
    revoke_key(&t, ca, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE);
    assert_int_equal(validate(&t, (const char *[]){second}, 1, 0), KMIP_VALIDITY_INDICATOR_UNKNOWN);
    talk_refused(&t, KMIP_OPERATION_CERTIFY, &r, KMIP_RESULT_REASON_PERMISSION_DENIED);
    /* No certificates at all, and what is none. */
    const struct kmip_validate_request nothing = {.n_certificate = 0};
    talk_refused(&t, KMIP_OPERATION_VALIDATE, &nothing, KMIP_RESULT_REASON_INVALID_MESSAGE);
    struct kmip_uid key = uid(public);
    const struct kmip_validate_request no_certificate = {.unique_identifier = &key, .n_unique_identifier = 1};
    talk_refused(&t, KMIP_OPERATION_VALIDATE, &no_certificate, KMIP_RESULT_REASON_INVALID_OBJECT_TYPE);
    talk_close(&t);
}

/* The client's own authority, registered, is named by a Certificate Link. */
static void
an_authority_can_be_brought(void **unused)
{
    (void)unused;
    struct talk t;
    const char *private, *public;
    KS_PKEY *key = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf der = KS_BUF(4096);
    const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
                                             .curve = KMIP_RECOMMENDED_CURVE_P_384};
    talk_open(&t);
    assert_int_equal(ks_keygen_pair(&params, &key, NULL), 0);
    const struct ks_cert_spec spec = {
        .common_name = "House CA", .not_before = RIG_START_S - 10, .not_after = RIG_START_S + 5000};
    assert_int_equal(ks_cert_ca(key, &spec, &der, NULL), 0);
    KS_CLEANUP(ks_buf_done) struct ks_buf pkcs8 = KS_BUF(4096);
    assert_int_equal(ks_pkey_export(key, KMIP_KEY_FORMAT_TYPE_PKCS_8, true, &pkcs8, NULL), 0);

    struct kmip_item *value = kmip_item_new(&t.arena, KMIP_TAG_KEY_VALUE, KMIP_TYPE_STRUCTURE);
    struct kmip_item *bytes = kmip_item_new(&t.arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
    bytes->s = ks_buf_span(&pkcs8);
    kmip_item_append(value, bytes);
    struct kmip_key_block block = {.key_format_type = KMIP_KEY_FORMAT_TYPE_PKCS_8, .key_value = value};
    struct kmip_private_key house_key = {.key_block = &block};
    struct kmip_register_request register_key_request = {.object_type = KMIP_OBJECT_TYPE_PRIVATE_KEY,
                                                         .attributes = {.present = true},
                                                         .object = {.private_key = &house_key}};
    put_number(&t, &register_key_request.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK,
               KMIP_CRYPTOGRAPHIC_USAGE_MASK_CERTIFICATE_SIGN);
    const struct kmip_register_response *made = talk_do(&t, KMIP_OPERATION_REGISTER, &register_key_request);
    const char *key_id = uid_string(&t, &made->unique_identifier);
    struct kmip_certificate house = {.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
                                     .certificate_value = ks_buf_span(&der)};
    struct kmip_register_request register_ca = {.object_type = KMIP_OBJECT_TYPE_CERTIFICATE,
                                                .attributes = {.present = true},
                                                .object = {.certificate = &house}};
    struct kmip_item *link;
    struct kmip_link to = {.link_type = KMIP_LINK_TYPE_PRIVATE_KEY_LINK, .linked_object_identifier = uid(key_id)};
    assert_int_equal(kmip_item_encode(&kmip_schema_link, KMIP_V2_1, &to, &t.arena, &link), 0);
    kmip_attrs_add(&t.arena, &register_ca.attributes, KMIP_TAG_LINK, link);
    made = talk_do(&t, KMIP_OPERATION_REGISTER, &register_ca);
    const char *ca = uid_string(&t, &made->unique_identifier);

    make_pair(&t, "web", &private, &public);
    struct kmip_certify_request r = {.unique_identifier = uid(public), .attributes = {.present = true}};
    to = (struct kmip_link){.link_type = KMIP_LINK_TYPE_CERTIFICATE_LINK, .linked_object_identifier = uid(ca)};
    assert_int_equal(kmip_item_encode(&kmip_schema_link, KMIP_V2_1, &to, &t.arena, &link), 0);
    kmip_attrs_add(&t.arena, &r.attributes, KMIP_TAG_LINK, link);
    /* The key has to be Active. */
    talk_refused(&t, KMIP_OPERATION_CERTIFY, &r, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE);
    activate_key(&t, key_id);
    const char *id = certify(&t, &r);
    const struct ks_cert_info info = info_of(&t, id);
    assert_string_equal(info.issuer, "CN=House CA");
    assert_int_equal(info.not_after, RIG_START_S + 5000); /* nothing outlives its issuer */
    assert_string_equal(named(&t, "issuing-ca"), "");
    assert_string_equal(linked(&t, id, KMIP_LINK_TYPE_CERTIFICATE_LINK), ca);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_managed_key_is_certified),          cmocka_unit_test(a_request_is_what_counts),
        cmocka_unit_test(what_is_certified_does_not_log_in),   cmocka_unit_test(a_certificate_is_renewed),
        cmocka_unit_test(chains_are_valid_invalid_or_unknown), cmocka_unit_test(an_authority_can_be_brought),
    };
    return cmocka_run_group_tests_name("engine: certificates", tests, NULL, NULL);
}
