/* Records of a sealed server on their way into the trail: none twice, whenever a crash comes. */
#include "tests/unit/instance_test.h"

#include <sys/stat.h>

#include "server/audit/audit.h"
#include "server/audit/line.h"
#include "server/vault/sealed.h"

enum { N = 3 };

static void
none_is_taken_twice(void **unused)
{
    (void)unused;
    /* So many were in the trail when the crash came. */
    for (size_t taken = 0; taken <= N; taken++) {
        SCRATCH(s);
        struct audit_log *trail;
        struct sealed_log log = {.fd = -1};
        static const char *const texts[N] = {"\"event\":\"one\"", "\"event\":\"two\"", "\"event\":\"three\""};
        assert_int_equal(audit_log_open(s.audit, true, KS_SPAN_NONE, &trail, NULL), 0);
        for (int i = 0; i < N; i++) {
            const struct ks_span record = ks_span_str(texts[i]);
            assert_int_equal(sealed_log_add(&log, s.audit, &record, 1, 1700000000000000 + i, NULL), 0);
        }
        sealed_log_close(&log);
        BUF text = KS_BUF(SEALED_LOG_MAX);
        BUF lines = KS_BUF(1 << 16);
        BUF last = KS_BUF(AUDIT_LINE_MAX);
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
        struct ks_span *records;
        size_t n;
        assert_int_equal(sealed_log_read(s.audit, &text, &arena, &records, &n, NULL), 0);
        assert_int_equal(n, N);
        assert_int_equal(audit_log_prepare(trail, records, taken, 1, 0, &lines), 0);
        if (taken != 0)
            assert_int_equal(audit_log_write(trail, ks_buf_span(&lines), NULL), 0);
        assert_int_equal(audit_log_last(trail, &last, NULL), 0);
        assert_int_equal(last.len != 0, taken != 0);
        sealed_log_skip(ks_buf_span(&last), &records, &n);
        assert_int_equal(n, N - taken);
        if (n != 0)
            assert_memory_equal(records[0].data, texts[taken], strlen(texts[taken]));
        audit_log_close(trail);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_is_taken_twice),
    };
    return cmocka_run_group_tests_name("sealed_log", tests, NULL, NULL);
}
