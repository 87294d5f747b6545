/* The operation PKCS#11: the state of every function, here and in docs/kmip.md. */
#include "pkcs11_call.h"

#include <stdio.h>

static const struct {
    uint32_t function;
    const char *says; /* in the document */
} rows[] = {
#define P11(FUNCTION, name, NEEDS) {KMIP_PKCS_11_FUNCTION_##FUNCTION, "offered"},
#define P11_NOT(FUNCTION, reason) {KMIP_PKCS_11_FUNCTION_##FUNCTION, reason},
#include "server/engine/pkcs11/functions.def"
#undef P11
#undef P11_NOT
};

/* The functions are numbered from 1 without a gap. */
static const char *
name_of(uint32_t function)
{
    return kmip_enum_name(KMIP_TAG_PKCS_11_FUNCTION, function);
}

static const char *
row_of(uint32_t function)
{
    const char *says = NULL;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        if (rows[i].function == function) {
            assert_null(says); /* one row each */
            says = rows[i].says;
        }
    return says;
}

static void
test_every_function_has_a_row(void **state)
{
    uint32_t n = 0;
    (void)state;
    while (name_of(n + 1) != NULL)
        if (row_of(++n) == NULL)
            fail_msg("%s has no row in functions.def", name_of(n));
    assert_int_equal(n, KS_ARRAY_LEN(rows));
    assert_int_equal(n, KMIP_PKCS_11_FUNCTION_C_MESSAGEVERIFYFINAL);
}

/* What a row says is what the engine does, with no parameters at all: another answer, or that these are none. */
static void
test_rows_are_true(void **state)
{
    struct state *s = *state;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        const bool offered = strcmp(rows[i].says, "offered") == 0;
        initialize(&s->c); /* one of them ends the application */
        const struct kmip_pkcs_11_request r = request_of(&s->c, rows[i].function);
        const struct kmip_response_batch_item *a = talk_ask(&s->talk, KMIP_OPERATION_PKCS_11, &r);
        const bool answers = a->result_status == KMIP_RESULT_STATUS_SUCCESS;
        if (!answers)
            assert_int_equal(a->result_reason, KMIP_RESULT_REASON_PKCS_11_CODEC_ERROR);
        const struct kmip_pkcs_11_response *payload = a->payload;
        const bool refused = answers && payload->pkcs_11_return_code == KMIP_PKCS_11_RETURN_CODE_FUNCTION_NOT_SUPPORTED;
        if (refused == offered)
            fail_msg("%s: the row says \"%s\"", name_of(rows[i].function), rows[i].says);
    }
}

/* Rows of the table in the document: names between commas, then what is said of them. */
static void
take_line(char *line, bool *said)
{
    char *end = NULL;
    char *cell = strtok_r(line, "|", &end), *says = strtok_r(NULL, "|", &end);
    assert_non_null(cell);
    assert_non_null(says);
    says[strcspn(says, "\n")] = '\0';
    while (*says == ' ')
        says++;
    for (size_t n = strlen(says); n != 0 && says[n - 1] == ' ';)
        says[--n] = '\0';
    for (char *name = strtok_r(cell, " ,", &end); name != NULL; name = strtok_r(NULL, " ,", &end)) {
        uint32_t f = 1;
        while (name_of(f) != NULL && strcmp(name_of(f), name) != 0)
            f++;
        if (name_of(f) == NULL || said[f])
            fail_msg("docs/kmip.md: %s is no function, or is there twice", name);
        said[f] = true;
        if (strcmp(row_of(f), says) != 0)
            fail_msg("docs/kmip.md says of %s \"%s\", functions.def \"%s\"", name, says, row_of(f));
    }
}

static void
test_the_document_says_the_same(void **state)
{
    (void)state;
    const char *source = getenv("KEYSTEAD_SOURCE");
    bool said[KS_ARRAY_LEN(rows) + 1] = {false};
    char path[4096], *line = NULL;
    size_t room = 0;
    if (source == NULL) {
        print_message("KEYSTEAD_SOURCE does not say where the source is\n");
        skip();
    }
    assert_true((size_t)snprintf(path, sizeof(path), "%s/docs/kmip.md", source) < sizeof(path));
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (getline(&line, &room, file) >= 0)
        if (strncmp(line, "| C_", 4) == 0)
            take_line(line, said);
    free(line);
    assert_int_equal(fclose(file), 0);
    for (uint32_t f = 1; f <= KS_ARRAY_LEN(rows); f++)
        if (!said[f])
            fail_msg("docs/kmip.md does not say whether %s is offered", name_of(f));
}

static void
test_a_name_may_be_said(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    u64(c, s->session);
    u64(c, 1);
    bytes(c, "", 0);
    bytes(c, "nobody", 6);
    GIVES(c, C_LOGINUSER, PIN_INCORRECT);
    u64(c, s->session);
    u64(c, 1);
    bytes(c, "", 0);
    bytes(c, "", 0);
    GIVES(c, C_LOGINUSER, OK);
    u64(c, 1);
    GIVES(c, C_WAITFORSLOTEVENT, NO_EVENT);
    u64(c, 0);
    GIVES(c, C_WAITFORSLOTEVENT, FUNCTION_NOT_SUPPORTED);
    u64(c, s->session);
    GIVES(c, C_CANCELFUNCTION, FUNCTION_NOT_PARALLEL);
}

/* One list, each mechanism once, and something to say of each. */
static void
test_mechanisms_are_listed(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    uint64_t values[128];
    u64(c, 1);
    space(c, true, KS_ARRAY_LEN(values));
    GIVES(c, C_GETMECHANISMLIST, OK);
    assert_int_equal(ks_cursor_u8(&c->out), 1);
    const uint32_t n = ks_cursor_be32(&c->out);
    assert_in_range(n, 30, KS_ARRAY_LEN(values));
    for (uint32_t i = 0; i < n; i++)
        values[i] = ks_cursor_be64(&c->out);
    nothing_left(c);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < i; j++)
            assert_int_not_equal(values[i], values[j]);
        u64(c, 1);
        u64(c, values[i]);
        GIVES(c, C_GETMECHANISMINFO, OK);
        const uint64_t least = ks_cursor_be64(&c->out), most = ks_cursor_be64(&c->out);
        assert_true(least <= most);
        assert_int_not_equal(ks_cursor_be64(&c->out), 0);
        nothing_left(c);
    }
    /* What does several things says all of them: RSA encrypts, signs, gives back what it signed, and wraps. */
    u64(c, 1);
    u64(c, 1);
    GIVES(c, C_GETMECHANISMINFO, OK);
    (void)ks_cursor_take(&c->out, 16);
    assert_int_equal(ks_cursor_be64(&c->out), 0x100 | 0x200 | 0x800 | 0x1000 | 0x2000 | 0x4000 | 0x20000 | 0x40000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_function_has_a_row),
        cmocka_unit_test_setup_teardown(test_rows_are_true, set_up, tear_down),
        cmocka_unit_test(test_the_document_says_the_same),
        cmocka_unit_test_setup_teardown(test_a_name_may_be_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mechanisms_are_listed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
