/* server/audit/audit.h: records, the log, what a crash leaves of it, and replay. */
#define SCRATCH_ROOT "/dev/shm" /* thousands of small files */
#include "tests/unit/instance_test.h"

#include "server/audit/audit.h"

static struct audit_log *
open_log(const struct scratch *s, struct ks_span tail)
{
    struct audit_log *log;
    struct ks_diag diag = {0};
    if (audit_log_open(s->audit, true, tail, &log, &diag) != 0)
        fail_msg("%s", ks_diag_text(&diag));
    return log;
}

/* n records in one group; the lines are appended to lines. */
static void
prepare(struct audit_log *log, size_t n, struct ks_buf *lines)
{
    struct ks_span all[64];
    assert_true(n <= KS_ARRAY_LEN(all));
    for (size_t i = 0; i < n; i++)
        all[i] = KS_LIT("\"event\":\"test\"");
    assert_int_equal(audit_log_prepare(log, all, n, 1, INT64_C(1795503462000123), lines), 0);
}

static void
append(struct audit_log *log, size_t n)
{
    BUF lines = KS_BUF(1 << 20);
    prepare(log, n, &lines);
    assert_int_equal(audit_log_write(log, ks_buf_span(&lines), NULL), 0);
}

static struct audit_summary
verified(const struct scratch *s)
{
    struct audit_summary sum;
    struct ks_diag diag = {0};
    if (audit_verify(s->audit, NULL, &sum, &diag) != 0)
        fail_msg("%s", ks_diag_text(&diag));
    return sum;
}

static void
events_are_json_members(void **state)
{
    (void)state;
    BUF buf = KS_BUF(4096);
    assert_int_equal(ks_buf_add_str(&buf, "before "), 0);
    const struct audit_event least = {.event = KS_LIT("start"), .batch_item = -1};
    assert_int_equal(audit_event_format(&least, &buf), 0);
    assert_string_equal(ks_buf_cstr(&buf), "before \"event\":\"start\",\"actor\":\"system\"");
    ks_buf_reset(&buf);
    const struct identity who = {.authenticated = true,
                                 .fingerprint = {0xab, 1},
                                 .name = KS_LIT("cn"),
                                 .subject = KS_LIT("CN=cn"),
                                 .serial = KS_LIT("0f"),
                                 .address = KS_LIT("192.0.2.7:40122"),
                                 .tls = KS_LIT("TLSv1.3")};
    const struct audit_event e = {.event = KS_LIT("kmip"),
                                  .who = &who,
                                  .client = KS_LIT("database-1"),
                                  .role = "client",
                                  .operation = "Get",
                                  .version = "2.1",
                                  .batch_item = 0,
                                  .object = KS_LIT("uid"),
                                  .object_type = "SymmetricKey",
                                  .name = KS_LIT("a \"name\"\n\xff"),
                                  .algorithm = "AES",
                                  .length = 256,
                                  .state_before = "PreActive",
                                  .state_after = "Active",
                                  .attributes = KS_LIT(" Name  State "),
                                  .form = "plaintext",
                                  .status = "success",
                                  .reason = "none",
                                  .message = KS_LIT("m"),
                                  .client_correlation = KS_LIT("c"),
                                  .server_correlation = KS_LIT("s")};
    assert_int_equal(audit_event_format(&e, &buf), 0);
    assert_string_equal(
        ks_buf_cstr(&buf),
        "\"event\":\"kmip\",\"actor\":\"database-1\",\"role\":\"client\",\"authenticated\":true,"
        "\"fingerprint\":\"ab01000000000000000000000000000000000000000000000000000000000000\",\"subject\":\"CN=cn\","
        "\"serial\":\"0f\",\"address\":\"192.0.2.7:40122\",\"tls\":\"TLSv1.3\",\"operation\":\"Get\","
        "\"version\":\"2.1\",\"batch_item\":0,\"object\":\"uid\",\"object_type\":\"SymmetricKey\","
        "\"name\":\"a \\\"name\\\"\\u000a\\u00ff\",\"algorithm\":\"AES\",\"length\":256,"
        "\"state_before\":\"PreActive\",\"state_after\":\"Active\",\"attributes\":[\"Name\",\"State\"],"
        "\"form\":\"plaintext\",\"status\":\"success\",\"reason\":\"none\",\"message\":\"m\","
        "\"client_correlation\":\"c\",\"server_correlation\":\"s\"");
    ks_buf_reset(&buf);
    const struct identity stranger = {.name = KS_LIT("claimed"), .address = KS_LIT("192.0.2.9:1")};
    const struct audit_event refused = {.event = KS_LIT("kmip"), .who = &stranger, .batch_item = -1};
    assert_int_equal(audit_event_format(&refused, &buf), 0);
    assert_string_equal(ks_buf_cstr(&buf),
                        "\"event\":\"kmip\",\"actor\":\"claimed\",\"authenticated\":false,\"address\":\"192.0.2.9:1\"");
    /* What clients choose is cut: 1 KiB, between characters. */
    static char name[3000];
    memset(name, 'x', sizeof(name));
    memcpy(name + 1022, "\xe2\x82\xac", 3); /* a character over the limit */
    const struct audit_event large = {.event = KS_LIT("kmip"), .batch_item = -1, .name = KS_SPAN(name, sizeof(name))};
    ks_buf_reset(&buf);
    assert_int_equal(audit_event_format(&large, &buf), 0);
    assert_contains(ks_buf_cstr(&buf), "xx... (3000 bytes)\"");
    assert_int_equal(buf.len, strlen("\"event\":\"kmip\",\"actor\":\"system\",\"name\":\"\"") + 1022 +
                                  strlen("... (3000 bytes)"));
    const struct audit_event none = {.batch_item = -1};
    assert_int_equal(audit_event_format(&none, &buf), KS_E_INVALID);
}

/* The form, by hand: printf '\0{"seq":1,...,"prev":"000..."' | sha256sum. */
static void
lines_have_the_documented_form(void **state)
{
    (void)state;
    SCRATCH(s);
    struct audit_log *log = open_log(&s, KS_SPAN_NONE);
    append(log, 2);
    audit_log_close(log);
    BUF file = KS_BUF(4096);
    assert_int_equal(ks_file_read(s.file, &file, NULL), 0);
    assert_string_equal(ks_buf_cstr(&file),
                        "{\"seq\":1,\"ts\":\"2026-11-24T06:57:42.000123Z\",\"event\":\"test\",\"commit\":1,"
                        "\"prev\":\"0000000000000000000000000000000000000000000000000000000000000000\","
                        "\"hash\":\"a0bc17dd7167293ec8b275e79bf38abab18aa32a728ceeb453ae6b699f7876a3\"}\n"
                        "{\"seq\":2,\"ts\":\"2026-11-24T06:57:42.000123Z\",\"event\":\"test\",\"commit\":1,"
                        "\"prev\":\"a0bc17dd7167293ec8b275e79bf38abab18aa32a728ceeb453ae6b699f7876a3\",\"hash\":"
                        "\"a532c4a8cd7e7e109c5d550b8fea48fbe0b27ae8fe493f4b0e0f94512960e387\"}\n");
    struct stat st;
    assert_int_equal(stat(s.file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(s.audit, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

static void
the_chain_runs_on_across_files_and_starts(void **state)
{
    (void)state;
    SCRATCH(s);
    size_t n = 0;
    for (int start = 0; start < 5; start++) {
        struct audit_log *log = open_log(&s, KS_SPAN_NONE);
        audit_log_set_segment(log, 1000);
        for (size_t group = 1; group < 6; group++) {
            append(log, group);
            n += group;
        }
        struct audit_head head;
        audit_log_head(log, &head);
        assert_int_equal(head.seq, n);
        audit_log_close(log);
    }
    const struct audit_summary sum = verified(&s);
    assert_int_equal(sum.records, n);
    assert_int_equal(sum.first_seq, 1);
    assert_int_equal(sum.head.seq, n);
    assert_true(sum.files > 5);
    assert_true(sum.first_us == INT64_C(1795503462000123) && sum.last_us == sum.first_us);
    /* Every record can be looked up. */
    struct audit_log *log = open_log(&s, KS_SPAN_NONE);
    assert_int_equal(audit_log_check(log, n, sum.head.hash, NULL), 0);
    assert_int_equal(audit_log_check(log, n - 1, sum.head.hash, NULL), KS_E_CORRUPT);
    assert_int_equal(audit_log_check(log, 1, sum.head.hash, NULL), KS_E_CORRUPT);
    assert_int_equal(audit_log_check(log, n + 1, sum.head.hash, NULL), KS_E_CORRUPT);
    audit_log_close(log);
}

static void
abandoned_records_leave_no_trace(void **state)
{
    (void)state;
    SCRATCH(s);
    struct audit_log *log = open_log(&s, KS_SPAN_NONE);
    BUF lines = KS_BUF(1 << 20);
    prepare(log, 3, &lines);
    const struct ks_span more = KS_LIT("\"event\":\"too early\"");
    BUF other = KS_BUF(1 << 20);
    assert_int_equal(audit_log_prepare(log, &more, 1, 1, 0, &other), KS_E_BUSY);
    struct audit_head head;
    audit_log_prepared(log, &head);
    assert_int_equal(head.seq, 3);
    audit_log_abandon(log);
    audit_log_prepared(log, &head);
    assert_int_equal(head.seq, 0);
    append(log, 1);
    BUF small = KS_BUF(100);
    assert_int_equal(audit_log_prepare(log, &more, 1, 1, 0, &small), KS_E_LIMIT);
    append(log, 1);
    audit_log_close(log);
    assert_int_equal(verified(&s).records, 2);
}

/* Whatever part of the last group a crash left, with zeroes behind it or not, the next start goes on from whole lines.
 */
static void
a_torn_end_is_cut_off(void **state)
{
    (void)state;
    SCRATCH(s);
    struct audit_log *log = open_log(&s, KS_SPAN_NONE);
    append(log, 2);
    struct stat st;
    assert_int_equal(stat(s.file, &st), 0);
    const off_t good = st.st_size;
    append(log, 2);
    audit_log_close(log);
    BUF whole = KS_BUF(1 << 20);
    assert_int_equal(ks_file_read(s.file, &whole, NULL), 0);
    const uint8_t *third_end = memchr(whole.data + good, '\n', whole.len - (size_t)good);
    assert_non_null(third_end);
    const size_t third = (size_t)(third_end - whole.data) + 1;
    for (size_t len = (size_t)good; len <= whole.len; len += len + 8 < third || len > third + 8 ? 7 : 1) {
        for (int zeroes = 0; zeroes < 2; zeroes++) {
            assert_int_equal(ks_file_write(s.file, KS_SPAN(whole.data, len), 0600, NULL), 0);
            if (zeroes)
                assert_int_equal(truncate(s.file, (off_t)len + 5000), 0);
            log = open_log(&s, KS_SPAN_NONE);
            struct audit_head head;
            audit_log_head(log, &head);
            assert_int_equal(head.seq, len < third ? 2 : len < whole.len ? 3 : 4);
            append(log, 1);
            audit_log_close(log);
            assert_int_equal(verified(&s).records, head.seq + 1);
        }
    }
}

/*
 * Without a sync in between, a power failure can leave later blocks of a file and not earlier ones: a hole reads as
 * zeroes. Nobody was promised what is behind it; the next start goes on before it.
 */
static void
a_hole_and_what_is_behind_it_are_cut_off(void **state)
{
    (void)state;
    SCRATCH(s);
    struct audit_log *log = open_log(&s, KS_SPAN_NONE);
    append(log, 2);
    struct stat st;
    assert_int_equal(stat(s.file, &st), 0);
    const size_t good = (size_t)st.st_size;
    append(log, 20);
    audit_log_close(log);
    BUF whole = KS_BUF(1 << 20), holed = KS_BUF(4 << 20);
    assert_int_equal(ks_file_read(s.file, &whole, NULL), 0);
    const size_t third = (size_t)((const uint8_t *)memchr(whole.data + good, '\n', whole.len - good) - whole.data) + 1;
    static const uint8_t zeroes[3 << 20]; /* longer than any record */
    const size_t lengths[] = {1, 100, 1000, sizeof(zeroes)};
    for (size_t at = good; at < third + 3; at += 31)
        for (size_t i = 0; i < KS_ARRAY_LEN(lengths); i++) {
            const size_t behind = at + (lengths[i] < 2000 ? lengths[i] : 2000);
            ks_buf_reset(&holed);
            ks_buf_add(&holed, whole.data, at);
            ks_buf_add(&holed, zeroes, lengths[i]);
            assert_int_equal(ks_buf_add(&holed, whole.data + behind, whole.len - behind), 0);
            assert_int_equal(ks_file_write(s.file, ks_buf_span(&holed), 0600, NULL), 0);
            log = open_log(&s, KS_SPAN_NONE);
            struct audit_head head;
            audit_log_head(log, &head);
            assert_int_equal(head.seq, at < third ? 2 : 3);
            append(log, 1);
            audit_log_close(log);
            assert_int_equal(verified(&s).records, head.seq + 1);
        }
}

/* What the store has seen was there: that zeroes stand in its place is no power failure, and nothing is touched. */
static void
a_hole_in_what_was_vouched_for_is_refused(void **state)
{
    (void)state;
    SCRATCH(s);
    struct audit_log *log = open_log(&s, KS_SPAN_NONE);
    append(log, 6);
    BUF tail = KS_BUF(1 << 20), before = KS_BUF(1 << 20), after = KS_BUF(1 << 20);
    prepare(log, 2, &tail);
    assert_int_equal(audit_log_write(log, ks_buf_span(&tail), NULL), 0);
    audit_log_close(log);
    assert_int_equal(ks_file_read(s.file, &before, NULL), 0);
    /* In the tail: the store brings it back. */
    memset(before.data + before.len - tail.len + 5, 0, 9);
    assert_int_equal(ks_file_write(s.file, ks_buf_span(&before), 0600, NULL), 0);
    audit_log_close(open_log(&s, ks_buf_span(&tail)));
    assert_int_equal(verified(&s).records, 8);
    memset(before.data + before.len / 3, 0, 9);
    assert_int_equal(ks_file_write(s.file, ks_buf_span(&before), 0600, NULL), 0);
    struct ks_diag diag = {0};
    assert_int_equal(audit_log_open(s.audit, true, ks_buf_span(&tail), &log, &diag), KS_E_CORRUPT);
    assert_contains(ks_diag_text(&diag), "but the store has seen records up to 6");
    assert_int_equal(ks_file_read(s.file, &after, NULL), 0);
    assert_true(ks_span_equal(ks_buf_span(&before), ks_buf_span(&after)));
}

static void
a_damaged_end_is_refused(void **state)
{
    (void)state;
    SCRATCH(s);
    struct audit_log *log = open_log(&s, KS_SPAN_NONE);
    append(log, 3);
    audit_log_close(log);
    BUF whole = KS_BUF(1 << 20);
    assert_int_equal(ks_file_read(s.file, &whole, NULL), 0);
    for (size_t at = 0; at + 1 < whole.len; at++) {
        whole.data[at] ^= 1;
        assert_int_equal(ks_file_write(s.file, ks_buf_span(&whole), 0600, NULL), 0);
        whole.data[at] ^= 1;
        struct ks_diag diag = {0};
        log = NULL;
        assert_int_equal(audit_log_open(s.audit, true, KS_SPAN_NONE, &log, &diag), KS_E_CORRUPT);
        assert_null(log);
        assert_contains(ks_diag_text(&diag), "audit-000001.jsonl:");
    }
}

/* The tail that the store keeps: its records that the files lack are appended; anything else that differs is refused.
 */
static void
the_tail_is_replayed(void **state)
{
    (void)state;
    SCRATCH(s);
    struct audit_log *log = open_log(&s, KS_SPAN_NONE);
    append(log, 2);
    struct stat st;
    assert_int_equal(stat(s.file, &st), 0);
    const off_t good = st.st_size;
    BUF tail = KS_BUF(1 << 20);
    prepare(log, 4, &tail);
    assert_int_equal(audit_log_write(log, ks_buf_span(&tail), NULL), 0);
    audit_log_close(log);
    BUF whole = KS_BUF(1 << 20);
    assert_int_equal(ks_file_read(s.file, &whole, NULL), 0);
    for (size_t len = (size_t)good; len <= whole.len; len += 41) {
        assert_int_equal(truncate(s.file, (off_t)len), 0);
        log = open_log(&s, ks_buf_span(&tail));
        audit_log_close(log);
        BUF again = KS_BUF(1 << 20);
        assert_int_equal(ks_file_read(s.file, &again, NULL), 0);
        assert_true(ks_span_equal(ks_buf_span(&again), ks_buf_span(&whole)));
    }
    struct ks_diag diag = {0};
    /* A record before the tail is gone. */
    assert_int_equal(truncate(s.file, good / 2), 0);
    assert_int_equal(audit_log_open(s.audit, true, ks_buf_span(&tail), &log, &diag), KS_E_CORRUPT);
    assert_contains(ks_diag_text(&diag), "ends with record 1, but the store has seen records up to 2");
    /* Other records are in its place. */
    assert_int_equal(ks_file_write(s.file, KS_SPAN(whole.data, (size_t)good), 0600, NULL), 0);
    log = open_log(&s, KS_SPAN_NONE);
    BUF other = KS_BUF(1 << 20);
    const struct ks_span fragment = KS_LIT("\"event\":\"another\"");
    const struct ks_span fragments[] = {fragment, fragment, fragment, fragment, fragment};
    assert_int_equal(audit_log_prepare(log, fragments, 5, 1, 0, &other), 0);
    assert_int_equal(audit_log_write(log, ks_buf_span(&other), NULL), 0);
    diag = (struct ks_diag){0};
    assert_int_equal(audit_log_replay(log, ks_buf_span(&tail), &diag), KS_E_CORRUPT);
    assert_contains(ks_diag_text(&diag), "record 6 is not the one that the store has seen");
    /* Damaged where it is kept. */
    tail.data[tail.len / 2] ^= 1;
    audit_log_close(log);
    assert_int_equal(truncate(s.file, good), 0);
    diag = (struct ks_diag){0};
    assert_int_equal(audit_log_open(s.audit, true, ks_buf_span(&tail), &log, &diag), KS_E_CORRUPT);
}

static void
a_folder_is_needed(void **state)
{
    (void)state;
    SCRATCH(s);
    struct audit_log *log = NULL;
    struct ks_diag diag = {0};
    assert_int_equal(audit_log_open(s.audit, false, KS_SPAN_NONE, &log, &diag), KS_E_NOT_FOUND);
    assert_int_equal(mkdir(s.audit, 0700), 0);
    diag = (struct ks_diag){0};
    assert_int_equal(audit_log_open(s.audit, false, KS_SPAN_NONE, &log, &diag), KS_E_CORRUPT);
    assert_contains(ks_diag_text(&diag), "no audit files");
    struct audit_summary sum;
    assert_int_equal(audit_verify(s.audit, NULL, &sum, NULL), KS_E_NOT_FOUND);
    audit_log_close(open_log(&s, KS_SPAN_NONE));
    assert_int_equal(verified(&s).records, 0);
    audit_log_close(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_json_members),
        cmocka_unit_test(lines_have_the_documented_form),
        cmocka_unit_test(the_chain_runs_on_across_files_and_starts),
        cmocka_unit_test(abandoned_records_leave_no_trace),
        cmocka_unit_test(a_torn_end_is_cut_off),
        cmocka_unit_test(a_hole_and_what_is_behind_it_are_cut_off),
        cmocka_unit_test(a_hole_in_what_was_vouched_for_is_refused),
        cmocka_unit_test(a_damaged_end_is_refused),
        cmocka_unit_test(the_tail_is_replayed),
        cmocka_unit_test(a_folder_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
