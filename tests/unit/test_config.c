/* keystead.conf: defaults, what the program writes it reads back, and errors that name the line and what is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/log.h"
#include "server/config.h"

static int
parse(const char *text, struct server_config *ret, struct ks_diag *diag)
{
    *ret = (struct server_config){0};
    *diag = (struct ks_diag){0};
    return server_config_parse("/inst", "/inst/keystead.conf", ks_span_str(text), ret, diag);
}

static void
test_defaults(void **state)
{
    (void)state;
    struct ks_diag diag;
    KS_CLEANUP(server_config_done) struct server_config config;
    assert_int_equal(parse("", &config, &diag), 0);
    assert_int_equal(config.server_listen.n, 1);
    assert_string_equal(config.server_listen.v[0], "127.0.0.1:5696");
    assert_int_equal(config.server_listen_https.n, 0);
    assert_string_equal(config.root_key_kind, "file");
    assert_string_equal(config.tls_min_version, "1.2");
    assert_string_equal(config.policy_profile, "fips");
    assert_int_equal(config.limits_connections, 4096);
    assert_int_equal(server_config_log_level(&config), KS_LOG_INFO);

    KS_CLEANUP(ks_buf_done) struct ks_buf path = KS_BUF(256);
    assert_int_equal(server_config_path(&config, config.store_path, &path), 0);
    assert_string_equal((const char *)path.data, "/inst/store.db");
    ks_buf_reset(&path);
    assert_int_equal(server_config_path(&config, "/elsewhere/x", &path), 0);
    assert_string_equal((const char *)path.data, "/elsewhere/x");
}

static void
test_written_is_read(void **state)
{
    (void)state;
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(65536);
    const struct server_config_set set[] = {
        {"server.listen", "[::1]:9999"},
        {"root_key.kind", "passphrase"},
        {"server.name", "a \"quoted\" \\ name"},
        {"limits.in_flight", "7"},
    };
    assert_int_equal(server_config_write(set, KS_ARRAY_LEN(set), &text, &diag), 0);
    KS_CLEANUP(server_config_done) struct server_config config;
    assert_int_equal(parse(ks_buf_cstr(&text), &config, &diag), 0);
    assert_string_equal(config.server_listen.v[0], "[::1]:9999");
    assert_string_equal(config.root_key_kind, "passphrase");
    assert_string_equal(config.server_name, "a \"quoted\" \\ name");
    assert_int_equal(config.limits_in_flight, 7);
    assert_int_equal(config.limits_handshakes, 64);

    const struct server_config_set unknown[] = {{"server.lisen", "x"}};
    assert_int_equal(server_config_write(unknown, 1, &text, &diag), KS_E_INVALID);
}

static void
test_several_addresses(void **state)
{
    (void)state;
    struct ks_diag diag;
    KS_CLEANUP(server_config_done) struct server_config config;
    assert_int_equal(parse("server { listen = {\"10.0.0.1:5696\", \"[::]:5696\"} workers = 3 }", &config, &diag), 0);
    assert_int_equal(config.server_listen.n, 2);
    assert_string_equal(config.server_listen.v[1], "[::]:5696");
    assert_int_equal(config.server_workers, 3);
    server_config_done(&config);
    assert_int_equal(parse("server { listen_https = {\"10.0.0.1:5697\"} }", &config, &diag), 0);
    assert_int_equal(config.server_listen_https.n, 1);
    assert_string_equal(config.server_listen_https.v[0], "10.0.0.1:5697");
    server_config_done(&config);
    assert_int_equal(parse("server { listen_https = {} }", &config, &diag), 0);
    assert_int_equal(config.server_listen_https.n, 0);
}

static void
test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says, *also;
    } cases[] = {
        {"\nserver {\n  lisen = 3\n}\n", "line 3", "known here: listen, listen_https, listeners, workers"},
        {"colour = 1\n", "line 1", "known here: server, root_key"},
        {"limits { connections = many }", "line 1", "connections"},
        {"limits { connections = 0 }", "limits.connections is 0", "1 to 1000000"},
        {"limits { connections = 99999999999999999999 }", "line 1", "connections"},
        {"root_key { kind = tape }", "root_key.kind is \"tape\"", "file|passphrase"},
        {"root_key { kind = pass }", "root_key.kind is \"pass\"", "file|passphrase"},
        {"server { listen = {} }", "server.listen", "empty"},
        {"limits {}\nserver {\n", "\"server\" is not closed", ""},
        {"server { listen = {\"a\"", "keystead.conf", ""},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        struct server_config config;
        struct ks_diag diag;
        if (parse(cases[i].text, &config, &diag) != KS_E_CONFIG)
            fail_msg("accepted: %s", cases[i].text);
        assert_non_null(strstr(ks_diag_text(&diag), "/inst/keystead.conf"));
        if (strstr(diag.text, cases[i].says) == NULL || strstr(diag.text, cases[i].also) == NULL)
            fail_msg("%s: %s", cases[i].text, diag.text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_written_is_read),
        cmocka_unit_test(test_several_addresses),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
