/* crypto/cert.h */
#include "tests/unit/crypto_test.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/cert.h"
#include "crypto/crypto.h"
#include "crypto/keygen.h"

#define BUF KS_CLEANUP(ks_buf_done) struct ks_buf
enum { DER = 1 << 16, YEAR = 365 * 86400 };
static const int64_t now = 1795503600; /* 2026-11-24 */

static const char *const server_names[] = {"localhost", "db1.example", "*.kms.example", "127.0.0.1", "2001:db8::7"};
static const struct ks_cert_spec ca_spec = {
    .common_name = "Keystead CA", .organization = "Example", .not_before = now, .not_after = now + 10LL * YEAR};
static const struct ks_cert_spec server_spec = {.common_name = "kms \xc3\xa9 1",
                                                .organization = "Example, Inc.",
                                                .names = server_names,
                                                .n_names = KS_ARRAY_LEN(server_names),
                                                .not_before = now,
                                                .not_after = now + YEAR,
                                                .server_auth = true,
                                                .client_auth = true};

static struct ks_pkey *
new_key(uint32_t algorithm, uint32_t curve)
{
    struct ks_pkey *key = NULL;
    assert_int_equal(ks_keygen_pair(&(struct ks_keypair_params){.algorithm = algorithm, .curve = curve}, &key, NULL),
                     0);
    return key;
}

static struct ks_pkey *
new_p256(void)
{
    return new_key(KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, KMIP_RECOMMENDED_CURVE_P_256);
}

static void
write_file(const char *dir, const char *name, struct ks_span bytes)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.data, 1, bytes.len, f), bytes.len);
    assert_int_equal(fclose(f), 0);
}

/* Runs a shell command in dir and gives its exit status. */
static int
run(const char *dir, const char *command)
{
    char line[1024];
    snprintf(line, sizeof(line), "cd %s && { %s; } >out 2>&1", dir, command);
    const int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
issued_certificates_say_what_was_asked(void **state)
{
    (void)state;
    TEST_ARENA(arena);
    KS_PKEY *ca_key = new_p256();
    KS_PKEY *key = new_p256();
    BUF ca = KS_BUF(DER);
    BUF cert = KS_BUF(DER);
    assert_int_equal(ks_cert_ca(ca_key, &ca_spec, &ca, NULL), 0);
    assert_int_equal(ks_cert_issue(ks_buf_span(&ca), ca_key, key, &server_spec, &cert, NULL), 0);
    assert_int_equal(ks_cert_signed_by(ks_buf_span(&cert), ks_buf_span(&ca), NULL), 0);
    assert_int_equal(ks_cert_signed_by(ks_buf_span(&ca), ks_buf_span(&ca), NULL), 0);
    assert_int_equal(ks_cert_signed_by(ks_buf_span(&ca), ks_buf_span(&cert), NULL), KS_E_INTEGRITY);

    struct ks_cert_info info;
    assert_int_equal(ks_cert_parse(ks_buf_span(&cert), &arena, &info, NULL), 0);
    assert_string_equal(info.subject, "CN=kms \xc3\xa9 1,O=Example\\, Inc.");
    assert_string_equal(info.issuer, "CN=Keystead CA,O=Example");
    assert_string_equal(info.common_name, "kms \xc3\xa9 1");
    assert_int_equal(info.n_names, 5);
    static const char *const expected[] = {"DNS:localhost", "DNS:db1.example", "DNS:*.kms.example", "IP:127.0.0.1",
                                           "IP:2001:db8::7"};
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(info.names[i], expected[i]);
    assert_true(info.not_before == now && info.not_after == now + YEAR);
    assert_false(info.is_ca);
    assert_int_equal(info.key.curve, KMIP_RECOMMENDED_CURVE_P_256);
    assert_int_equal(info.signature, KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA256);
    assert_true(strlen(info.serial) > 20 && strlen(info.serial) <= 40);
    KS_PKEY *same = NULL;
    assert_int_equal(ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_X_509, false, 0, 0, info.public_key, &same, NULL), 0);
    assert_true(ks_pkey_same_public(same, key));
    uint8_t fingerprint[32];
    assert_int_equal(ks_cert_fingerprint(ks_buf_span(&cert), fingerprint), 0);
    assert_memory_equal(fingerprint, info.fingerprint, 32);

    struct ks_cert_info ca_info;
    assert_int_equal(ks_cert_parse(ks_buf_span(&ca), &arena, &ca_info, NULL), 0);
    assert_true(ca_info.is_ca);
    assert_string_equal(ca_info.subject, ca_info.issuer);
    assert_true(ks_span_equal(ca_info.subject_der, info.issuer_der));
    assert_false(ks_span_equal(ca_info.serial_der, info.serial_der));
    assert_int_equal(ca_info.n_names, 0);
    assert_int_equal(ERR_peek_error(), 0);
}

/* OpenSSL's command line, another reader, verifies the chain with names and purposes, and reads the keys. */
static void
another_tool_accepts_them(void **state)
{
    (void)state;
    char dir[] = "/tmp/keystead-cert-XXXXXX";
    assert_non_null(mkdtemp(dir));
    const uint32_t curves[] = {KMIP_RECOMMENDED_CURVE_P_256, KMIP_RECOMMENDED_CURVE_P_384, 0};
    const bool there = run(dir, "openssl version") == 0;
    if (there) {
        for (size_t i = 0; i < KS_ARRAY_LEN(curves); i++) {
            KS_PKEY *ca_key = curves[i] != 0 ? new_key(KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, curves[i])
                                             : new_key(KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519, 0);
            KS_PKEY *key = new_p256();
            BUF ca = KS_BUF(DER);
            BUF cert = KS_BUF(DER);
            BUF request = KS_BUF(DER);
            struct ks_buf pem[4] = {KS_BUF(DER), KS_BUF(DER), KS_BUF(DER), KS_BUF(DER)};
            assert_int_equal(ks_cert_ca(ca_key, &ca_spec, &ca, NULL), 0);
            assert_int_equal(ks_cert_issue(ks_buf_span(&ca), ca_key, key, &server_spec, &cert, NULL), 0);
            assert_int_equal(ks_cert_request(key, "client one", &request, NULL), 0);
            assert_int_equal(ks_pem_encode(KS_PEM_CERT, ks_buf_span(&ca), &pem[0], NULL), 0);
            assert_int_equal(ks_pem_encode(KS_PEM_CERT, ks_buf_span(&cert), &pem[1], NULL), 0);
            assert_int_equal(ks_pem_encode(KS_PEM_REQUEST, ks_buf_span(&request), &pem[2], NULL), 0);
            assert_int_equal(ks_pem_encode_key(key, &pem[3], NULL), 0);
            write_file(dir, "ca.pem", ks_buf_span(&pem[0]));
            write_file(dir, "cert.pem", ks_buf_span(&pem[1]));
            write_file(dir, "request.pem", ks_buf_span(&pem[2]));
            write_file(dir, "key.pem", ks_buf_span(&pem[3]));
            static const char *const commands[] = {
                "openssl verify -x509_strict -attime 1795600000 -CAfile ca.pem -purpose sslserver -verify_hostname "
                "db1.example cert.pem",
                "openssl verify -x509_strict -attime 1795600000 -CAfile ca.pem -purpose sslclient -verify_ip "
                "2001:db8::7 cert.pem",
                "! openssl verify -attime 1795600000 -CAfile ca.pem -verify_hostname other.example cert.pem",
                "! openssl verify -attime 1895600000 -CAfile ca.pem cert.pem",
                "openssl req -in request.pem -noout -verify -subject | grep -Eq 'CN ?= ?client one'",
                "openssl pkey -in key.pem -check -noout",
            };
            for (size_t k = 0; k < KS_ARRAY_LEN(commands); k++)
                if (run(dir, commands[k]) != 0)
                    fail_msg("curve %u: %s", curves[i], commands[k]);
            for (size_t k = 0; k < 4; k++)
                ks_buf_done(&pem[k]);
        }
    }
    char rm[64];
    snprintf(rm, sizeof(rm), "rm -r %s", dir);
    assert_int_equal(system(rm), 0);
    if (!there) {
        print_message("no openssl command here: not compared with it\n");
        skip();
    }
}

static void
a_request_gives_its_key_and_nothing_else(void **state)
{
    (void)state;
    KS_PKEY *key = new_p256();
    KS_PKEY *got = NULL;
    BUF request = KS_BUF(DER);
    assert_int_equal(ks_cert_request(key, "client", &request, NULL), 0);
    assert_int_equal(ks_cert_request_key(ks_buf_span(&request), &got, NULL), 0);
    assert_true(ks_pkey_same_public(got, key));
    struct ks_pkey_info info;
    ks_pkey_info(got, &info);
    assert_false(info.is_private);

    struct ks_pkey *none = NULL;
    struct ks_diag diag = {0};
    /* "client" in the subject changed: the signature does not fit any more. */
    uint8_t *at = memmem(request.data, request.len, "client", 6);
    assert_non_null(at);
    *at = 'C';
    assert_int_equal(ks_cert_request_key(ks_buf_span(&request), &none, &diag), KS_E_INTEGRITY);
    assert_non_null(strstr(diag.message, "signature"));
    *at = 'c';
    for (size_t len = 0; len < request.len; len += 11)
        assert_int_equal(ks_cert_request_key(KS_SPAN(request.data, len), &none, NULL), KS_E_MALFORMED);
    assert_int_equal(ks_buf_add_u8(&request, 0), 0);
    assert_int_equal(ks_cert_request_key(ks_buf_span(&request), &none, NULL), KS_E_MALFORMED);
    assert_null(none);
    KS_PKEY *public = NULL;
    assert_int_equal(ks_pkey_public(key, &public, NULL), 0);
    assert_int_equal(ks_cert_request(public, "client", &request, NULL), KS_E_INVALID);
    assert_int_equal(ERR_peek_error(), 0);
}

static void
wrong_wishes_are_refused(void **state)
{
    (void)state;
    KS_PKEY *ca_key = new_p256();
    KS_PKEY *key = new_p256();
    KS_PKEY *x25519 = new_key(KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, KMIP_RECOMMENDED_CURVE_CURVE25519);
    BUF ca = KS_BUF(DER);
    BUF cert = KS_BUF(DER);
    assert_int_equal(ks_cert_ca(ca_key, &ca_spec, &ca, NULL), 0);
    const struct ks_span ca_der = ks_buf_span(&ca);
    assert_int_equal(ks_cert_issue(ca_der, key, key, &server_spec, &cert, NULL), KS_E_INVALID); /* not the CA's key */
    assert_int_equal(ks_cert_ca(x25519, &ca_spec, &cert, NULL), KS_E_INVALID);
    static const char *const bad_names[] = {
        "",   "a b", "x..y",        "-x.example", "x-.example", "a.*.example",
        ".x", "x.",  "256.1.1.1/8", "foo\n",      "URI:x",      "x\xc3\xa9.example"};
    for (size_t i = 0; i < KS_ARRAY_LEN(bad_names); i++) {
        struct ks_cert_spec spec = server_spec;
        spec.names = &bad_names[i];
        spec.n_names = 1;
        struct ks_diag diag = {0};
        assert_int_equal(ks_cert_issue(ca_der, ca_key, key, &spec, &cert, &diag), KS_E_INVALID);
        assert_non_null(strstr(diag.message, "neither an IP address nor a DNS name"));
    }
    static const char *const bad_cn[] = {NULL, "", "a\nb", "\xff",
                                         "0123456789012345678901234567890123456789012345678901234567890123456789"};
    for (size_t i = 0; i < KS_ARRAY_LEN(bad_cn); i++) {
        struct ks_cert_spec spec = server_spec;
        spec.common_name = bad_cn[i];
        assert_int_equal(ks_cert_issue(ca_der, ca_key, key, &spec, &cert, NULL), KS_E_INVALID);
    }
    struct ks_cert_spec spec = server_spec;
    spec.not_after = spec.not_before;
    assert_int_equal(ks_cert_issue(ca_der, ca_key, key, &spec, &cert, NULL), KS_E_INVALID);
    spec.not_after = INT64_MAX;
    assert_int_equal(ks_cert_issue(ca_der, ca_key, key, &spec, &cert, NULL), KS_E_INVALID);
    assert_int_equal(cert.len, 0);

    /* A certificate that is no CA issues nothing. */
    assert_int_equal(ks_cert_issue(ca_der, ca_key, key, &server_spec, &cert, NULL), 0);
    BUF third = KS_BUF(DER);
    assert_int_equal(ks_cert_issue(ks_buf_span(&cert), key, key, &server_spec, &third, NULL), KS_E_INVALID);
    assert_int_equal(ERR_peek_error(), 0);
}

static void
parse_changed(struct ks_buf *cert, const char *text, char by, int rc)
{
    TEST_ARENA(arena);
    uint8_t *at = memmem(cert->data, cert->len, text, strlen(text));
    assert_non_null(at);
    at += strlen(text) / 2;
    const uint8_t old = *at;
    *at = (uint8_t)by;
    struct ks_cert_info info = {.n_names = 77};
    assert_int_equal(ks_cert_parse(ks_buf_span(cert), &arena, &info, NULL), rc);
    if (rc != 0)
        assert_int_equal(info.n_names, 77);
    *at = old;
}

static void
names_with_a_nul_do_not_parse(void **state)
{
    (void)state;
    TEST_ARENA(arena);
    KS_PKEY *key = new_p256();
    BUF ca = KS_BUF(DER);
    BUF cert = KS_BUF(DER);
    assert_int_equal(ks_cert_ca(key, &ca_spec, &ca, NULL), 0);
    assert_int_equal(ks_cert_issue(ks_buf_span(&ca), key, key, &server_spec, &cert, NULL), 0);
    parse_changed(&cert, "db1.example", '\0', KS_E_MALFORMED);
    parse_changed(&cert, "db1.example", '\n', KS_E_MALFORMED);
    parse_changed(&cert, "db1.example", 'X', 0); /* the signature is not parse's business */
    parse_changed(&cert, "kms \xc3\xa9 1", '\0', KS_E_MALFORMED);
    struct ks_cert_info info;
    for (size_t len = 0; len < cert.len; len += 7)
        assert_int_equal(ks_cert_parse(KS_SPAN(cert.data, len), &arena, &info, NULL), KS_E_MALFORMED);
    assert_int_equal(ks_buf_add_u8(&cert, 0), 0);
    assert_int_equal(ks_cert_parse(ks_buf_span(&cert), &arena, &info, NULL), KS_E_MALFORMED);
    assert_int_equal(ERR_peek_error(), 0);
}

static void
pem_goes_both_ways(void **state)
{
    (void)state;
    BUF text = KS_BUF(DER);
    BUF der = KS_BUF(DER);
    KS_PKEY *key = new_p256();
    KS_PKEY *again = NULL;
    assert_int_equal(ks_buf_add_str(&text, "a comment\n"), 0);
    assert_int_equal(ks_pem_encode(KS_PEM_CERT, KS_LIT("first"), &text, NULL), 0);
    assert_int_equal(ks_pem_encode_key(key, &text, NULL), 0);
    assert_int_equal(ks_pem_encode(KS_PEM_CERT, KS_LIT("second"), &text, NULL), 0);
    assert_int_equal(ks_pem_decode(KS_PEM_CERT, ks_buf_span(&text), &der, NULL), 0);
    assert_true(ks_span_is(ks_buf_span(&der), "first"));
    assert_int_equal(ks_pem_decode_key(ks_buf_span(&text), &again, NULL), 0);
    assert_true(ks_pkey_same_public(key, again));
    struct ks_diag diag = {0};
    assert_int_equal(ks_pem_decode(KS_PEM_REQUEST, ks_buf_span(&text), &der, &diag), KS_E_NOT_FOUND);
    assert_non_null(strstr(diag.message, "BEGIN CERTIFICATE REQUEST"));
    assert_int_equal(ks_pem_decode(KS_PEM_CERT, KS_SPAN_NONE, &der, NULL), KS_E_NOT_FOUND);
    assert_int_equal(
        ks_pem_decode(KS_PEM_CERT, KS_LIT("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"), &der, NULL),
        KS_E_MALFORMED);
    assert_int_equal(ks_pem_decode(KS_PEM_CERT, KS_LIT("-----BEGIN CERTIFICATE-----\nAAAA\n"), &der, NULL),
                     KS_E_MALFORMED);
    assert_int_equal(der.len, 5);
    assert_int_equal(ks_pem_encode(KS_PEM_CERT, KS_SPAN_NONE, &text, NULL), KS_E_INVALID);

    static const char encrypted[] =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    static const char old[] = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: "
                              "AES-256-CBC,00000000000000000000000000000000\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    assert_int_equal(ks_pem_decode_key(ks_span_str(encrypted), &again, NULL), KS_E_UNSUPPORTED);
    assert_int_equal(ks_pem_decode_key(ks_span_str(old), &again, NULL), KS_E_UNSUPPORTED);

    /* What OpenSSL's older commands write: ECPrivateKey behind its parameters. */
    ks_buf_reset(&text);
    ks_buf_reset(&der);
    assert_int_equal(ks_pkey_export(key, KMIP_KEY_FORMAT_TYPE_EC_PRIVATE_KEY, true, &der, NULL), 0);
    assert_int_equal(ks_pem_encode("EC PARAMETERS", KS_LIT("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"), &text, NULL),
                     0);
    assert_int_equal(ks_pem_encode("EC PRIVATE KEY", ks_buf_span(&der), &text, NULL), 0);
    KS_PKEY *old_key = NULL;
    assert_int_equal(ks_pem_decode_key(ks_buf_span(&text), &old_key, NULL), 0);
    assert_true(ks_pkey_same_public(key, old_key));
    assert_int_equal(ERR_peek_error(), 0);
}

static int
done(void **state)
{
    (void)state;
    ks_crypto_done();
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(issued_certificates_say_what_was_asked),
        cmocka_unit_test(another_tool_accepts_them),
        cmocka_unit_test(a_request_gives_its_key_and_nothing_else),
        cmocka_unit_test(wrong_wishes_are_refused),
        cmocka_unit_test(names_with_a_nul_do_not_parse),
        cmocka_unit_test(pem_goes_both_ways),
    };
    return cmocka_run_group_tests_name("crypto/cert", tests, NULL, done);
}
