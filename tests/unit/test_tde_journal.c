/* The journal of a conversion: what it says of a file after each way in which it can end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tde/bundle.h"
#include "tde/convert.h"

static char data[] = "/tmp/ks-journal-XXXXXX";
static char path[128];

static int
make_folder(void **state)
{
    (void)state;
    char folder[64];
    assert_non_null(mkdtemp(data));
    (void)snprintf(folder, sizeof(folder), "%s/keystead", data);
    (void)snprintf(path, sizeof(path), "%s/" TDE_CONVERTING, data);
    return mkdir(folder, 0700);
}

static int
remove_folder(void **state)
{
    (void)state;
    char folder[64];
    (void)snprintf(folder, sizeof(folder), "%s/keystead", data);
    (void)unlink(path);
    return rmdir(folder) != 0 || rmdir(data) != 0 ? -1 : 0;
}

/* As it is, with `more` behind it. */
static void
append(const char *more)
{
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    assert_true(fputs(more, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void
begin(const char *lines)
{
    struct tde_journal journal;
    (void)unlink(path);
    assert_int_equal(tde_journal_read(data, &journal, NULL), 0);
    assert_int_equal(tde_journal_begin(&journal, TDE_CONVERT_ENCRYPT, NULL), 0);
    assert_int_equal(tde_journal_add(&journal, KS_SPAN(lines, strlen(lines)), NULL), 0);
    tde_journal_done(&journal);
}

static void
is_done(const struct tde_journal *journal, const char *file, uint64_t inode, int rc, bool expected)
{
    bool done = !expected;
    assert_int_equal(tde_journal_is_done(journal, file, inode, &done, NULL), rc);
    if (rc == 0)
        assert_int_equal(done, expected);
}

static void
test_which_side(void **state)
{
    (void)state;
    struct tde_journal journal;
    begin("10 20 base/1/2\n11 21 base/1/1\n10 30 base/1/2\n");
    append("12 22 base/1/3"); /* cut off: its file was not renamed */
    assert_int_equal(tde_journal_read(data, &journal, NULL), 0);
    assert_int_equal(journal.direction, TDE_CONVERT_ENCRYPT);
    is_done(&journal, "base/1/2", 10, 0, false);
    is_done(&journal, "base/1/2", 20, 0, true);
    is_done(&journal, "base/1/2", 30, 0, true);
    is_done(&journal, "base/1/2", 21, KS_E_CORRUPT, false);
    is_done(&journal, "base/1/1", 21, 0, true);
    is_done(&journal, "base/1/3", 22, 0, false);
    assert_int_equal(tde_journal_add(&journal, KS_SPAN("12 23 base/1/3\n", 15), NULL), 0);
    tde_journal_done(&journal);
    assert_int_equal(tde_journal_read(data, &journal, NULL), 0);
    is_done(&journal, "base/1/3", 23, 0, true);
    is_done(&journal, "base/1/3", 22, KS_E_CORRUPT, false);
    tde_journal_done(&journal);
}

static void
test_not_begun(void **state)
{
    (void)state;
    struct tde_journal journal;
    (void)unlink(path);
    append("keystead conversion 1 encr");
    assert_int_equal(tde_journal_read(data, &journal, NULL), 0);
    assert_int_equal(journal.direction, TDE_CONVERT_NOTHING);
    tde_journal_done(&journal);
}

static void
test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"x\n", "1 2\n", "1 2 \n", "1  a\n", "99999999999999999999 2 a\n", "\n"};
    struct tde_journal journal;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        begin("10 20 base/1/2\n");
        append(bad[i]);
        assert_int_equal(tde_journal_read(data, &journal, NULL), KS_E_CORRUPT);
        tde_journal_done(&journal);
    }
    (void)unlink(path);
    append("keystead conversion 1 encrypt 1\n"); /* of another inode: a copy */
    assert_int_equal(tde_journal_read(data, &journal, NULL), KS_E_CORRUPT);
    tde_journal_done(&journal);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_side),
        cmocka_unit_test(test_not_begun),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
