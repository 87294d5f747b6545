/* client/: what configures a client. */
#include "client_calls.h"

static void
write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void
settings_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        int code;
    } cases[] = {
        {"server", "kms.example", 0},
        {"server", "kms.example:5696", 0},
        {"server", "[2001:db8::1]:5696", 0},
        {"server", "2001:db8::1", 0},
        {"server", "kms.example:0", KS_E_CONFIG},
        {"server", "kms.example:65536", KS_E_CONFIG},
        {"server", "kms.example:", KS_E_CONFIG},
        {"server", ":5696", KS_E_CONFIG},
        {"server", "[::1", KS_E_CONFIG},
        {"server", "[::1]5696", KS_E_CONFIG},
        {"server", "https://kms.example", KS_E_CONFIG},
        {"server", "a b", KS_E_CONFIG},
        {"servers", "a:1, b:2 c", 0},
        {"servers", "a:1,b:x", KS_E_CONFIG},
        {"servers", ", ,", KS_E_CONFIG},
        {"request_timeout", "500ms", 0},
        {"request_timeout", "2m", 0},
        {"request_timeout", "7", 0},
        {"request_timeout", "0s", KS_E_CONFIG},
        {"request_timeout", "-1s", KS_E_CONFIG},
        {"request_timeout", "25h", KS_E_CONFIG},
        {"request_timeout", "99999999999999999999s", KS_E_CONFIG},
        {"request_timeout", "soon", KS_E_CONFIG},
        {"versions", "1.4", 0},
        {"versions", "1.0-2.1", 0},
        {"versions", "2.0-1.0", KS_E_CONFIG},
        {"versions", "1.0-3.0", 0},
        {"versions", "1.0-3.1", KS_E_CONFIG},
        {"versions", "1.5", KS_E_CONFIG},
        {"pool_size", "0", 0},
        {"pool_size", "1001", KS_E_CONFIG},
        {"max_response", "1023", KS_E_CONFIG},
        {"max_response", "1k", KS_E_CONFIG},
        {"ca", "", KS_E_CONFIG},
        {"verify", "no", KS_E_CONFIG}, /* there is no such thing */
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        struct ks_client_config *config = NULL;
        struct ks_error error = {0};
        assert_int_equal(ks_client_config_new(&config), 0);
        const int rc = ks_client_config_set(config, cases[i].name, cases[i].value, &error);
        if (rc != cases[i].code)
            fail_msg("%s = \"%s\" gave %d: %s", cases[i].name, cases[i].value, rc, error.message);
        assert_true((rc != 0) == (error.message[0] != '\0'));
        ks_client_config_free(config);
    }
}

static void
files_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        const char *part;
    } cases[] = {
        {"", 0, ""},
        {"# all defaults\n\n   \n", 0, ""},
        {"server = a:1\nserver=\"b:2\" # the other\nca = ca.pem\r\nrequest_timeout = 5s # short\n", 0, ""},
        {"server a:1\n", KS_E_CONFIG, "line 1: expected: name = value"},
        {"\n\nserver = a:x\n", KS_E_CONFIG, "line 3: "},
        {"colour = red\n", KS_E_CONFIG, "no client setting \"colour\""},
        {"ca = \"ca.pem\n", KS_E_CONFIG, "double quote"},
        {"ca = \"ca.pem\" or so\n", KS_E_CONFIG, "double quote"},
        {"ca =\n", KS_E_CONFIG, "empty"},
    };
    char path[128];
    snprintf(path, sizeof(path), "%s/client.conf", world.dir);
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        struct ks_client_config *config = NULL;
        struct ks_error error = {0};
        write_file(path, cases[i].text);
        assert_int_equal(ks_client_config_new(&config), 0);
        assert_int_equal(ks_client_config_load(config, path, &error), cases[i].code);
        assert_message(error, cases[i].part);
        ks_client_config_free(config);
    }
    assert_int_equal(unlink(path), 0);
    struct ks_client_config *config = NULL;
    assert_int_equal(ks_client_config_new(&config), 0);
    assert_int_equal(ks_client_config_load(config, path, NULL), KS_E_NOT_FOUND);
    ks_client_config_free(config);
}

static void
a_client_needs_what_makes_it_safe(void **state)
{
    (void)state;
    static const struct {
        const char *settings[4][2]; /* names; values are files in the world's folder, but for the server */
        int code;
        const char *part;
    } cases[] = {
        {{{"ca", "ca.pem"}}, KS_E_CONFIG, "no server is configured"},
        {{{"server", "a"}}, KS_E_CONFIG, "no server could be trusted"},
        {{{"server", "a"}, {"ca", "missing.pem"}}, KS_E_NOT_FOUND, "missing.pem"},
        {{{"server", "a"}, {"ca", "client.key"}}, KS_E_CONFIG, "no PEM certificate"},
        {{{"server", "a"}, {"ca", "ca.pem"}, {"certificate", "client.pem"}}, KS_E_CONFIG, "together"},
        {{{"server", "a"}, {"ca", "ca.pem"}, {"certificate", "client.pem"}, {"key", "foreign.key"}},
         KS_E_CONFIG,
         "is not the key of"},
        {{{"server", "a"}, {"ca", "ca.pem"}, {"certificate", "client.pem"}, {"key", "client.pem"}},
         KS_E_DENIED,
         "chmod 600"},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        struct ks_client_config *config = NULL;
        struct ks_client *client = NULL;
        struct ks_error error = {0};
        assert_int_equal(ks_client_config_new(&config), 0);
        for (size_t k = 0; k < 4 && cases[i].settings[k][0] != NULL; k++) {
            char value[128];
            const char *const *setting = cases[i].settings[k];
            snprintf(value, sizeof(value), strcmp(setting[0], "server") == 0 ? "%.0s%s" : "%s/%s", world.dir,
                     setting[1]);
            assert_int_equal(ks_client_config_set(config, setting[0], value, &error), 0);
        }
        assert_int_equal(ks_client_new(config, &client, &error), cases[i].code);
        assert_null(client);
        assert_message(error, cases[i].part);
        ks_client_config_free(config);
    }
}

int
main(void)
{
    world_start(&world);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_are_checked),
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(a_client_needs_what_makes_it_safe),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_stop(&world);
    return failed;
}
