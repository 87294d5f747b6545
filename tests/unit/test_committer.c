/* server/vault/committer.h: groups, order, failure, and what a start notices of store and audit log. */
#include "tests/unit/instance_test.h"

#include "server/audit/audit.h"
#include "server/vault/committer.h"
#include "store/keyring.h"

struct instance {
    struct store *store;
    struct keyring *keyring;
    struct committer *c;
};

static void
create(const struct scratch *s)
{
    struct store *store;
    assert_int_equal(store_create(s->store, NULL), 0);
    assert_int_equal(store_open(s->store, &store, NULL), 0);
    assert_int_equal(keyring_create(store, &test_root, NULL), 0);
    store_close(store);
}

static void
stop(struct instance *i)
{
    committer_free(i->c);
    keyring_free(i->keyring);
    store_close(i->store);
    *i = (struct instance){0};
}

static int
start(const struct scratch *s, struct instance *i, struct ks_diag *diag)
{
    *i = (struct instance){0};
    int rc = store_open(s->store, &i->store, diag);
    if (rc == 0)
        rc = keyring_open(i->store, &test_root, &i->keyring, diag);
    if (rc == 0)
        rc = committer_new(i->store, i->keyring, s->audit, &i->c, diag);
    if (rc != 0)
        stop(i);
    return rc;
}

static void
must_start(const struct scratch *s, struct instance *i)
{
    struct ks_diag diag = {0};
    if (start(s, i, &diag) != 0)
        fail_msg("%s", ks_diag_text(&diag));
}

static void
refused(const struct scratch *s, const char *part)
{
    struct instance i;
    struct ks_diag diag = {0};
    const int rc = start(s, &i, &diag);
    if (rc == 0)
        fail_msg("started, but ought to have said \"%s\"", part);
    assert_int_equal(rc, KS_E_CORRUPT);
    assert_contains(ks_diag_text(&diag), part);
}

/* One job after the other; returns the result of the last. */
static struct commit_job *
wait_done(struct committer *c)
{
    struct commit_job *done;
    while ((done = committer_take_done(c)) == NULL) {
        struct pollfd fd = {committer_fd(c), POLLIN, 0};
        assert_true(poll(&fd, 1, 10000) == 1);
    }
    return done;
}

static int
do_job(struct committer *c, const struct store_change *changes, size_t n, const char *record)
{
    const struct ks_span span = ks_span_str(record);
    struct commit_job job = {
        .changes = changes, .n_changes = n, .records = &span, .n_records = record != NULL ? 1 : 0, .rc = 1};
    committer_submit(c, &job, &job);
    assert_ptr_equal(wait_done(c), &job);
    assert_null(job.next);
    return job.rc;
}

static int
put(struct instance *i, const char *key, const char *value)
{
    const struct store_change change = {.table = STORE_OBJECT, .key = ks_span_str(key), .value = ks_span_str(value)};
    return do_job(i->c, &change, 1, "\"event\":\"put\"");
}

static void
must_put(struct instance *i, const char *key, const char *value)
{
    assert_int_equal(put(i, key, value), 0);
}

static void
assert_row(struct instance *i, const char *key, const char *value)
{
    BUF got = KS_BUF(4096);
    const int rc = store_get(i->store, STORE_OBJECT, ks_span_str(key), &got, NULL);
    if (value == NULL) {
        assert_int_equal(rc, KS_E_NOT_FOUND);
    } else {
        assert_int_equal(rc, 0);
        assert_true(ks_span_is(ks_buf_span(&got), value));
    }
}

static struct audit_summary
verify(const struct scratch *s)
{
    struct audit_summary sum;
    struct ks_diag diag = {0};
    if (audit_verify(s->audit, NULL, &sum, &diag) != 0)
        fail_msg("%s", ks_diag_text(&diag));
    return sum;
}

static void
jobs_last(void **state)
{
    (void)state;
    SCRATCH(s);
    create(&s);
    struct instance i;
    must_start(&s, &i);
    must_put(&i, "a", "1");
    must_put(&i, "b", "2");
    assert_int_equal(do_job(i.c, NULL, 0, "\"event\":\"read\""), 0);
    assert_int_equal(do_job(i.c, NULL, 0, NULL), 0); /* nothing to do is done */
    must_put(&i, "a", "3");
    const struct store_change gone = {.table = STORE_OBJECT, .is_delete = true, .key = KS_LIT("b")};
    assert_int_equal(do_job(i.c, &gone, 1, NULL), 0); /* gets a record of the server's own */
    stop(&i);
    const struct audit_summary sum = verify(&s);
    assert_int_equal(sum.records, 5);
    assert_int_equal(sum.head.commit, 5); /* 1 is the keyring's */
    must_start(&s, &i);
    assert_row(&i, "a", "3");
    assert_row(&i, "b", NULL);
    must_put(&i, "c", "4");
    stop(&i);
    assert_int_equal(verify(&s).records, 6);
}

enum { MANY = 5000 };

/* Jobs come back in order; within a group the last change of a row counts, whichever jobs it came from. */
static void
many_jobs_in_groups(void **state)
{
    (void)state;
    SCRATCH(s);
    create(&s);
    struct instance i;
    must_start(&s, &i);
    static struct commit_job jobs[MANY];
    static struct store_change changes[MANY];
    static char keys[MANY][16], values[MANY][16], texts[MANY][32];
    static struct ks_span records[MANY];
    for (int n = 0; n < MANY; n++) {
        snprintf(keys[n], sizeof(keys[n]), "k%d", n % 700);
        snprintf(values[n], sizeof(values[n]), "v%d", n);
        snprintf(texts[n], sizeof(texts[n]), "\"event\":\"%d\"", n);
        records[n] = ks_span_str(texts[n]);
        changes[n] = (struct store_change){.table = STORE_OBJECT,
                                           .is_delete = n % 7 == 3,
                                           .key = ks_span_str(keys[n]),
                                           .value = ks_span_str(values[n])};
        jobs[n] = (struct commit_job){
            .records = &records[n], .n_records = 1, .changes = &changes[n], .n_changes = n % 3 != 0, .rc = 1};
    }
    for (int n = 0; n < MANY; n += 100) {
        for (int m = n; m < n + 99; m++)
            jobs[m].next = &jobs[m + 1];
        committer_submit(i.c, &jobs[n], &jobs[n + 99]);
    }
    int next = 0;
    while (next < MANY) {
        struct commit_job *following;
        for (struct commit_job *done = wait_done(i.c); done != NULL; done = following) {
            following = done->next;
            assert_ptr_equal(done, &jobs[next++]);
            assert_int_equal(done->rc, 0);
        }
    }
    assert_null(committer_take_done(i.c));
    stop(&i);
    assert_int_equal(verify(&s).records, MANY);
    must_start(&s, &i); /* which verifies the rows against the state */
    for (int k = 0; k < 700; k++) {
        const char *want = NULL;
        for (int n = k; n < MANY; n += 700)
            if (n % 3 != 0)
                want = n % 7 == 3 ? NULL : values[n];
        assert_row(&i, keys[k], want);
    }
    stop(&i);
}

static void
free_finishes_what_was_submitted(void **state)
{
    (void)state;
    SCRATCH(s);
    create(&s);
    struct instance i;
    must_start(&s, &i);
    const struct ks_span record = KS_LIT("\"event\":\"late\"");
    static struct commit_job jobs[50];
    for (size_t n = 0; n < KS_ARRAY_LEN(jobs); n++) {
        jobs[n] = (struct commit_job){.records = &record, .n_records = 1};
        committer_submit(i.c, &jobs[n], &jobs[n]);
    }
    stop(&i);
    assert_int_equal(verify(&s).records, KS_ARRAY_LEN(jobs));
}

/* A start refuses what was changed */

/* Rows a, b, c with two versions of b; stopped. old_* are copies from before the second version. */
static void
make_history(const struct scratch *s, char old_store[128], char old_audit[128])
{
    create(s);
    struct instance i;
    must_start(s, &i);
    must_put(&i, "a", "value of a");
    must_put(&i, "b", "value of b");
    must_put(&i, "c", "value of c");
    stop(&i);
    snprintf(old_store, 128, "%s/old.db", s->dir);
    snprintf(old_audit, 128, "%s/old.jsonl", s->dir);
    copy_file(s->store, old_store);
    copy_file(s->file, old_audit);
    must_start(s, &i);
    must_put(&i, "b", "another b");
    must_put(&i, "d", "value of d");
    stop(&i);
}

static void
changed_rows_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *part;
    } cases[] = {
        {"UPDATE object SET value = CAST('v4lue of b' AS BLOB) WHERE key = CAST('b' AS BLOB)",
         "object row b is not what"},
        {"UPDATE object SET value = (SELECT value FROM object WHERE key = CAST('c' AS BLOB)),"
         " tag = (SELECT tag FROM object WHERE key = CAST('c' AS BLOB)) WHERE key = CAST('a' AS BLOB)",
         "object row a is not what"},
        {"CREATE TEMP TABLE t AS SELECT * FROM object;"
         "UPDATE object SET value = (SELECT value FROM t WHERE t.key = CASE object.key WHEN CAST('a' AS BLOB) THEN"
         " CAST('c' AS BLOB) ELSE CAST('a' AS BLOB) END) WHERE key IN (CAST('a' AS BLOB), CAST('c' AS BLOB))",
         "object row a is not what"},
        {"UPDATE object SET tag = zeroblob(16) WHERE key = CAST('c' AS BLOB)", "object row c is not what"},
        {"UPDATE object SET tag = X'' WHERE key = CAST('c' AS BLOB)", "object row c is not what"},
        {"DELETE FROM object WHERE key = CAST('a' AS BLOB)", "3 object rows, but commit 6 left 4: a row was deleted"},
        {"INSERT INTO system SELECT * FROM object WHERE key = CAST('a' AS BLOB)", "system row a is not what"},
        {"INSERT INTO object SELECT CAST('x' AS BLOB), value, tag FROM object WHERE key = CAST('a' AS BLOB)",
         "object row x is not what"},
        {"ATTACH 'OLD' AS old; REPLACE INTO object SELECT * FROM old.object WHERE key = CAST('b' AS BLOB)",
         "an older version"},
        {"DELETE FROM object WHERE key = CAST('d' AS BLOB);"
         "ATTACH 'OLD' AS old; REPLACE INTO object SELECT * FROM old.object WHERE key = CAST('b' AS BLOB)",
         "a row was deleted"},
        {"DELETE FROM instance WHERE key = CAST('state' AS BLOB)", "state row (instance, state) is missing"},
        {"UPDATE instance SET value = CAST(substr(value, 1, 20) || X'00' || substr(value, 22) AS BLOB)"
         " WHERE key = CAST('state' AS BLOB)",
         "state row (instance, state) was changed"},
        {"UPDATE instance SET value = X'02' WHERE key = CAST('state' AS BLOB)", "no known format"},
        {"ATTACH 'OLD' AS old; REPLACE INTO instance SELECT * FROM old.instance", "rows"},
        {"DELETE FROM instance WHERE key = CAST('master/1' AS BLOB)", "master/1) is missing"},
        {"DROP TABLE object", "no such table"},
        {"PRAGMA application_id = 7", "not a Keystead store"},
    };
    SCRATCH(s);
    char old_store[128];
    char old_audit[128];
    make_history(&s, old_store, old_audit);
    char good[128];
    snprintf(good, sizeof(good), "%s/good.db", s.dir);
    copy_file(s.store, good);
    assert_int_equal(chdir(s.dir), 0); /* ATTACH 'OLD' */
    assert_int_equal(symlink(old_store, "OLD"), 0);
    for (size_t n = 0; n < KS_ARRAY_LEN(cases); n++) {
        copy_file(good, s.store);
        tamper(s.store, cases[n].sql);
        refused(&s, cases[n].part);
    }
    copy_file(good, s.store);
    assert_int_equal(chdir("/"), 0);
    struct instance i;
    must_start(&s, &i);
    assert_row(&i, "b", "another b");
    stop(&i);
}

static void
older_copies_are_refused(void **state)
{
    (void)state;
    SCRATCH(s);
    char old_store[128];
    char old_audit[128];
    make_history(&s, old_store, old_audit);
    char good_store[128];
    char good_audit[128];
    snprintf(good_store, sizeof(good_store), "%s/good.db", s.dir);
    snprintf(good_audit, sizeof(good_audit), "%s/good.jsonl", s.dir);
    copy_file(s.store, good_store);
    copy_file(s.file, good_audit);

    copy_file(old_store, s.store);
    refused(&s, "is at commit 4, but the audit log knows of commit 6 (record 5): an older copy of the store");
    copy_file(good_store, s.store);
    copy_file(old_audit, s.file);
    refused(&s, "ends with record 3, but the store has seen records up to 4");
    /* All of the audit log. */
    assert_int_equal(unlink(s.file), 0);
    refused(&s, "has no audit files");
    assert_int_equal(ks_file_write(s.file, KS_SPAN_NONE, 0600, NULL), 0);
    refused(&s, "ends with record 0");
    /* Both, to the same moment: what nothing here can see; --head does. */
    copy_file(old_store, s.store);
    copy_file(old_audit, s.file);
    struct instance i;
    must_start(&s, &i);
    assert_row(&i, "b", "value of b");
    stop(&i);
    struct audit_summary now;
    copy_file(good_audit, s.file);
    assert_int_equal(audit_verify(s.audit, NULL, &now, NULL), 0);
    copy_file(old_audit, s.file);
    struct ks_diag diag = {0};
    struct audit_summary sum;
    assert_int_equal(audit_verify(s.audit, &now.head, &sum, &diag), KS_E_CORRUPT);
    assert_contains(ks_diag_text(&diag), "the end was cut off");
}

/* A log that was continued from the same moment elsewhere: consistent in itself, but not what the store has seen. */
static void
another_history_is_refused(void **state)
{
    (void)state;
    SCRATCH(s);
    char old_store[128];
    char old_audit[128];
    make_history(&s, old_store, old_audit);
    char good_store[128];
    snprintf(good_store, sizeof(good_store), "%s/good.db", s.dir);
    copy_file(s.store, good_store);
    copy_file(old_store, s.store);
    copy_file(old_audit, s.file);
    struct instance i;
    must_start(&s, &i);
    must_put(&i, "b", "forked b");
    must_put(&i, "d", "value of d");
    stop(&i);
    copy_file(good_store, s.store);
    refused(&s, "record 5 is not the one that the store has seen");
}

static void
a_row_changed_while_running_is_refused(void **state)
{
    (void)state;
    SCRATCH(s);
    create(&s);
    struct instance i;
    must_start(&s, &i);
    must_put(&i, "a", "1");
    const struct store_change forged = {
        .table = STORE_OBJECT, .key = KS_LIT("a"), .value = KS_LIT("9"), .tag = KS_LIT("0123456789abcdef")};
    assert_int_equal(store_commit(i.store, &forged, 1, NULL), 0); /* past the committer */
    assert_int_equal(put(&i, "a", "2"), KS_E_CORRUPT);
    assert_int_equal(put(&i, "b", "2"), KS_E_CORRUPT); /* everything fails from here on */
    struct ks_diag diag = {0};
    assert_false(committer_reset(i.c, &diag));
    assert_int_equal(diag.code, KS_E_CORRUPT);
    stop(&i);
    refused(&s, "object row a is not what");
}

static void
a_second_process_is_told(void **state)
{
    (void)state;
    SCRATCH(s);
    create(&s);
    struct instance i;
    must_start(&s, &i);
    struct audit_log *log;
    struct ks_diag diag = {0};
    assert_int_equal(audit_log_open(s.audit, false, KS_SPAN_NONE, &log, &diag), KS_E_BUSY);
    assert_contains(ks_diag_text(&diag), "in use by another process");
    stop(&i);
}

/* A store that has seen the log's end knows when only reads are cut off, after a stop. */
static void
cut_off_reads_are_noticed_after_a_stop(void **state)
{
    (void)state;
    SCRATCH(s);
    create(&s);
    struct instance i;
    must_start(&s, &i);
    must_put(&i, "a", "1");
    assert_int_equal(do_job(i.c, NULL, 0, "\"event\":\"read\""), 0);
    struct stat st;
    assert_int_equal(stat(s.file, &st), 0);
    assert_int_equal(do_job(i.c, NULL, 0, "\"event\":\"read\""), 0);
    stop(&i);
    assert_int_equal(truncate(s.file, st.st_size), 0);
    refused(&s, "ends with record 2, but the store has seen record 3");
}

/* Records that are not synced one by one: the store vouches for none that could still be lost, and none is missing. */
static void
records_that_are_synced_with_changes(void **state)
{
    (void)state;
    SCRATCH(s);
    create(&s);
    struct instance i;
    must_start(&s, &i);
    committer_audit_sync(i.c, false);
    for (int n = 0; n < 5; n++)
        assert_int_equal(do_job(i.c, NULL, 0, "\"event\":\"read\""), 0);
    must_put(&i, "a", "1");
    for (int n = 0; n < 3; n++)
        assert_int_equal(do_job(i.c, NULL, 0, "\"event\":\"read\""), 0);
    stop(&i);
    assert_int_equal(verify(&s).head.seq, 9);
    must_start(&s, &i);
    assert_row(&i, "a", "1");
    committer_audit_sync(i.c, false);
    must_put(&i, "a", "2");
    committer_audit_sync(i.c, true);
    must_put(&i, "a", "3");
    stop(&i);
    assert_int_equal(verify(&s).head.seq, 11);
    must_start(&s, &i);
    assert_row(&i, "a", "3");
    stop(&i);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_last),
        cmocka_unit_test(records_that_are_synced_with_changes),
        cmocka_unit_test(many_jobs_in_groups),
        cmocka_unit_test(free_finishes_what_was_submitted),
        cmocka_unit_test(changed_rows_are_refused),
        cmocka_unit_test(older_copies_are_refused),
        cmocka_unit_test(another_history_is_refused),
        cmocka_unit_test(a_row_changed_while_running_is_refused),
        cmocka_unit_test(a_second_process_is_told),
        cmocka_unit_test(cut_off_reads_are_noticed_after_a_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
