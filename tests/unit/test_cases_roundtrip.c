/*
 * Every message of the published KMIP test cases: XML -> TTLV -> JSON -> TTLV -> XML -> TTLV with the same TTLV
 * everywhere, and through the structs of spec/structs.def and back. The cases are not part of the project: they are
 * looked for in $KEYSTEAD_SHARED, else in ../shared beside the source, and without them the test is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "kmip/kmip.h"

static const struct kmip_limits limits = {.bytes = 4 << 20, .depth = 32, .items = 65536, .text = 1 << 20};

/* Messages that do not come out of the structs as they went in, and why that is right. */
static const struct exception {
    const char *version, *name; /* name: NULL for all; else the beginning of the file's name */
    const char *has;            /* only messages whose XML has this; NULL for all */
    const char *reason;
} exceptions[] = {
    {"1.2", "CS-AC-M-3-12", "\"RSA\"", "the printed profile lost the Attribute Name Cryptographic Parameters"},
    {"1.2", "TC-NP-2-12", "KeyFormatType", "its header says 1.0, whose Digest has no Key Format Type"},
};

static const struct exception *
find_exception(const char *version, const char *name, struct ks_span xml)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(exceptions); i++) {
        const struct exception *e = &exceptions[i];
        if (strcmp(e->version, version) == 0 && (e->name == NULL || strncmp(e->name, name, strlen(e->name)) == 0) &&
            (e->has == NULL || memmem(xml.data, xml.len, e->has, strlen(e->has)) != NULL))
            return e;
    }
    return NULL;
}

struct counts {
    unsigned files, messages, failures, exceptions;
    const char *version;
    char name[256];
};

static void
complain(struct counts *c, const char *what, struct ks_diag *diag)
{
    c->failures++;
    fprintf(stderr, "%s/%s message %u: %s: %s\n", c->version, c->name, c->messages, what,
            diag->code != 0 ? ks_diag_text(diag) : "differs");
}

/* $NAME and $NOW+60 become values of their type. Text stays as it is: a $ is fine in a text. */
static void
add_placeholder(struct ks_buf *out, const char *element, size_t len)
{
    if (memmem(element, len, "\"DateTime\"", 10) != NULL)
        ks_buf_add_str(out, "2026-11-24T07:00:00+00:00");
    else if (memmem(element, len, "\"ByteString\"", 12) != NULL)
        ks_buf_add_str(out, "000102030405060708090a0b0c0d0e0f");
    else if (memmem(element, len, "\"TextString\"", 12) != NULL || memmem(element, len, "\"Identifier\"", 12) != NULL ||
             memmem(element, len, "\"Reference\"", 11) != NULL)
        ks_buf_add_str(out, "0194a7b4-6c1f-7000-8000-000000000001");
    else
        ks_buf_add_str(out, "1");
}

static void
fill_placeholders(struct ks_span xml, struct ks_buf *out)
{
    const char *p = (const char *)xml.data, *end = p + xml.len;
    while (p < end) {
        const char *value = memmem(p, (size_t)(end - p), "value=\"$", 8);
        if (value == NULL)
            break;
        const char *element = value;
        while (element > p && *element != '<')
            element--;
        const char *quote = memchr(value + 8, '"', (size_t)(end - value - 8));
        assert_non_null(quote);
        ks_buf_add(out, p, (size_t)(value + 7 - p));
        /* Text such as "$x" that is no placeholder (none so far) would be replaced too, which does no harm here. */
        add_placeholder(out, element, (size_t)(quote - element));
        p = quote;
    }
    ks_buf_add(out, p, (size_t)(end - p));
    assert_int_equal(out->err, 0);
}

static bool
convert(struct counts *c, enum kmip_encoding from, const struct ks_buf *in, enum kmip_encoding to, struct ks_buf *out)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(64 << 20);
    struct ks_diag diag = {0};
    char what[64];
    ks_buf_reset(out);
    if (kmip_transcode(from, ks_buf_span(in), to, &limits, &arena, out, &diag) == 0)
        return true;
    snprintf(what, sizeof(what), "%s to %s", kmip_encoding_name(from), kmip_encoding_name(to));
    complain(c, what, &diag);
    return false;
}

static void
show_difference(struct ks_buf *a, struct ks_buf *b)
{
    static const struct kmip_limits all = {64 << 20, 64, 1 << 20, 64 << 20};
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(64 << 20);
    KS_CLEANUP(ks_buf_done) struct ks_buf x = KS_BUF(64 << 20), y = KS_BUF(64 << 20);
    struct ks_diag diag = {0};
    if (kmip_transcode(KMIP_ENCODING_TTLV, ks_buf_span(a), KMIP_ENCODING_XML, &all, &arena, &x, &diag) != 0 ||
        kmip_transcode(KMIP_ENCODING_TTLV, ks_buf_span(b), KMIP_ENCODING_XML, &all, &arena, &y, &diag) != 0)
        return;
    const char *p = ks_buf_cstr(&x), *q = ks_buf_cstr(&y);
    size_t line = 0;
    for (size_t i = 0; p[i] != '\0' && p[i] == q[i]; i++)
        if (p[i] == '\n')
            line = i + 1;
    fprintf(stderr, "    was  %.*s\n    is   %.*s\n", (int)strcspn(p + line, "\n"), p + line,
            (int)strcspn(q + line, "\n"), q + line);
}

static void
through_structs(struct counts *c, bool request, struct ks_buf *ttlv, const struct exception *exception)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(64 << 20);
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(4 << 20);
    struct ks_diag diag = {0};
    struct kmip_request_message *req = NULL;
    struct kmip_response_message *resp = NULL;
    int rc;
    if (request) {
        rc = kmip_request_decode(ks_buf_span(ttlv), &limits, &arena, &req, &diag);
        for (size_t i = 0; rc == 0 && i < req->n_batch_item; i++)
            if (req->batch_item[i]->payload_error != 0)
                rc = ks_fail(&diag, req->batch_item[i]->payload_error, "%.*s",
                             (int)req->batch_item[i]->payload_message.len, req->batch_item[i]->payload_message.data);
        if (rc == 0)
            rc = kmip_request_encode(req, &out, &diag);
    } else {
        rc = kmip_response_decode(ks_buf_span(ttlv), &limits, &arena, &resp, &diag);
        if (rc == 0)
            rc = kmip_response_encode(resp, &out, &diag);
    }
    const bool same = rc == 0 && ks_span_equal(ks_buf_span(ttlv), ks_buf_span(&out));
    if (exception != NULL && !same) {
        c->exceptions++;
        return;
    }
    if (!same)
        complain(c, "through the structs", &diag);
    if (rc == 0 && !same)
        show_difference(ttlv, &out);
}

static void
one_message(struct counts *c, bool request, struct ks_span published)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf xml = KS_BUF(8 << 20);
    KS_CLEANUP(ks_buf_done) struct ks_buf first = KS_BUF(8 << 20);
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(8 << 20);
    KS_CLEANUP(ks_buf_done) struct ks_buf again = KS_BUF(8 << 20);
    struct ks_diag none = {0};
    c->messages++;
    fill_placeholders(published, &xml);
    if (!convert(c, KMIP_ENCODING_XML, &xml, KMIP_ENCODING_TTLV, &first))
        return;
    static const enum kmip_encoding by[] = {KMIP_ENCODING_JSON, KMIP_ENCODING_XML};
    for (size_t i = 0; i < KS_ARRAY_LEN(by); i++) {
        if (!convert(c, KMIP_ENCODING_TTLV, &first, by[i], &text) ||
            !convert(c, by[i], &text, KMIP_ENCODING_TTLV, &again))
            return;
        if (!ks_span_equal(ks_buf_span(&first), ks_buf_span(&again))) {
            complain(c, kmip_encoding_name(by[i]), &none);
            show_difference(&first, &again);
        }
    }
    through_structs(c, request, &first, find_exception(c->version, c->name, published));
}

static void
one_file(struct counts *c, const char *path)
{
    static const char *const ends[] = {"</RequestMessage>", "</ResponseMessage>"};
    KS_CLEANUP(ks_buf_done) struct ks_buf file = KS_BUF(16 << 20);
    struct ks_diag diag = {0};
    if (ks_file_read(path, &file, &diag) != 0)
        fail_msg("%s", ks_diag_text(&diag));
    c->files++;
    const char *p = ks_buf_cstr(&file);
    for (;;) {
        const char *request = strstr(p, "<RequestMessage"), *response = strstr(p, "<ResponseMessage");
        const bool is_request = request != NULL && (response == NULL || request < response);
        const char *from = is_request ? request : response;
        if (from == NULL)
            return;
        const char *to = strstr(from, ends[is_request ? 0 : 1]);
        assert_non_null(to);
        p = to + strlen(ends[is_request ? 0 : 1]);
        one_message(c, is_request, KS_SPAN(from, (size_t)(p - from)));
    }
}

static void
the_published_cases_survive_every_encoding_and_the_structs(void **state)
{
    static const char *const versions[] = {"1.0", "1.1", "1.2", "1.3", "1.4", "2.0", "2.1", "3.0"};
    (void)state;
    const char *shared = getenv("KEYSTEAD_SHARED"), *source = getenv("KEYSTEAD_SOURCE");
    const char *only = getenv("KEYSTEAD_CASE"); /* the beginning of a name, for looking into one */
    char base[4096];
    snprintf(base, sizeof(base), "%s%s",
             shared != NULL   ? shared
             : source != NULL ? source
                              : ".",
             shared != NULL ? "" : "/../shared");
    struct counts c = {0};
    for (size_t v = 0; v < KS_ARRAY_LEN(versions); v++) {
        char path[8192];
        snprintf(path, sizeof(path), "%s/kmip-cases/%s", base, versions[v]);
        DIR *dir = opendir(path);
        if (dir == NULL)
            continue;
        c.version = versions[v];
        for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
            if (strstr(entry->d_name, ".xml") == NULL ||
                (only != NULL && strncmp(entry->d_name, only, strlen(only)) != 0))
                continue;
            snprintf(path, sizeof(path), "%s/kmip-cases/%s/%s", base, versions[v], entry->d_name);
            snprintf(c.name, sizeof(c.name), "%s", entry->d_name);
            one_file(&c, path);
        }
        closedir(dir);
    }
    if (c.files == 0) {
        print_message("skipped: there are no published cases in %s/kmip-cases\n", base);
        skip();
    }
    print_message("%u files, %u messages, %u of them exceptions for the structs\n", c.files, c.messages, c.exceptions);
    assert_int_equal(c.failures, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_cases_survive_every_encoding_and_the_structs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
