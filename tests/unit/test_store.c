/* store/store.h in SQLite, and store/state.h where the committer's tests do not reach. */
#include "tests/unit/instance_test.h"

#include <sys/wait.h>

#include "store/keyring.h"
#include "store/state.h"
#include "store/store.h"

static struct store *
new_store(const struct scratch *s)
{
    struct store *store;
    assert_int_equal(store_create(s->store, NULL), 0);
    assert_int_equal(store_open(s->store, &store, NULL), 0);
    return store;
}

static struct store_change
row(enum store_table table, const char *key, const char *value)
{
    return (struct store_change){
        .table = table, .is_delete = value == NULL, .key = ks_span_str(key), .value = ks_span_str(value)};
}

static void
assert_get(struct store *store, enum store_table table, struct ks_span key, struct ks_span want)
{
    BUF got = KS_BUF(1 << 20);
    assert_int_equal(ks_buf_add_str(&got, "head"), 0); /* appends */
    assert_int_equal(store_get(store, table, key, &got, NULL), 0);
    assert_true(ks_span_equal(KS_SPAN(got.data + 4, got.len - 4), want));
}

static void
assert_none(struct store *store, enum store_table table, const char *key)
{
    BUF got = KS_BUF(64);
    struct ks_diag diag = {0};
    assert_int_equal(store_get(store, table, ks_span_str(key), &got, &diag), KS_E_NOT_FOUND);
    assert_int_equal(diag.code, 0);
    assert_int_equal(got.len, 0);
}

static void
creates_once_and_for_its_owner_alone(void **state)
{
    (void)state;
    SCRATCH(s);
    struct ks_diag diag = {0};
    struct store *store = NULL;
    assert_int_equal(store_open(s.store, &store, &diag), KS_E_NOT_FOUND);
    assert_contains(ks_diag_text(&diag), s.store);
    assert_null(store);
    store = new_store(&s);
    assert_string_equal(store_path(store), s.store);
    const struct store_change change = row(STORE_OBJECT, "a", "1");
    assert_int_equal(store_commit(store, &change, 1, NULL), 0);
    char wal[128];
    snprintf(wal, sizeof(wal), "%s-wal", s.store);
    struct stat st;
    assert_int_equal(stat(s.store, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    store_close(store);
    diag = (struct ks_diag){0};
    assert_int_equal(store_create(s.store, &diag), KS_E_EXISTS);
    assert_int_equal(store_open(s.store, &store, NULL), 0);
    assert_get(store, STORE_OBJECT, KS_LIT("a"), KS_LIT("1"));
    store_close(store);
    store_close(NULL);
    /* A folder that is reached through a symbolic link is as good. */
    char link[80];
    char through[128];
    snprintf(link, sizeof(link), "%s/link", s.dir);
    snprintf(through, sizeof(through), "%s/store.db", link);
    assert_int_equal(symlink(s.dir, link), 0);
    assert_int_equal(store_open(through, &store, NULL), 0);
    store_close(store);
}

static int
collect(void *arg, struct ks_span key, struct ks_span value)
{
    struct ks_buf *buf = arg;
    ks_buf_add_span(buf, key);
    ks_buf_add_u8(buf, '=');
    ks_buf_add_span(buf, value);
    return ks_buf_add_u8(buf, ' ');
}

static int
stop_at_first(void *arg, struct ks_span key, struct ks_span value)
{
    (void)key, (void)value;
    return ++*(int *)arg == 1 ? KS_E_CANCELLED : 0;
}

static void
rows_come_back_in_order(void **state)
{
    (void)state;
    SCRATCH(s);
    struct store *store = new_store(&s);
    const struct store_change first[] = {row(STORE_OBJECT, "b", "2"), row(STORE_OBJECT, "a", "1"),
                                         row(STORE_SYSTEM, "a", "system"), row(STORE_OBJECT, "c", ""),
                                         row(STORE_OBJECT, "ab", "12")};
    assert_int_equal(store_commit(store, first, KS_ARRAY_LEN(first), NULL), 0);
    const struct store_change second[] = {row(STORE_OBJECT, "b", "two"), row(STORE_OBJECT, "a", NULL),
                                          row(STORE_OBJECT, "none", NULL)};
    assert_int_equal(store_commit(store, second, KS_ARRAY_LEN(second), NULL), 0);
    for (int again = 0; again < 2; again++) {
        BUF got = KS_BUF(4096);
        assert_int_equal(store_scan(store, STORE_OBJECT, collect, &got, NULL), 0);
        assert_string_equal(ks_buf_cstr(&got), "ab=12 b=two c= ");
        assert_none(store, STORE_OBJECT, "a");
        assert_get(store, STORE_SYSTEM, KS_LIT("a"), KS_LIT("system"));
        assert_get(store, STORE_OBJECT, KS_LIT("c"), KS_SPAN_NONE);
        int calls = 0;
        assert_int_equal(store_scan(store, STORE_OBJECT, stop_at_first, &calls, NULL), KS_E_CANCELLED);
        assert_int_equal(calls, 1);
        assert_int_equal(store_idle(store, NULL), 0);
        assert_int_equal(store_reopen(store, NULL), 0);
    }
    /* Keys and values are bytes. */
    static uint8_t large[300000];
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (uint8_t)(i * 31);
    const struct store_change bytes = {
        .table = STORE_OBJECT, .key = KS_LIT("\0\xff\0"), .value = KS_SPAN(large, sizeof(large))};
    assert_int_equal(store_commit(store, &bytes, 1, NULL), 0);
    assert_get(store, STORE_OBJECT, bytes.key, bytes.value);
    store_close(store);
}

static size_t
count_in_files(const struct scratch *s, const char *needle)
{
    static const char *const suffixes[] = {"", "-wal"};
    size_t n = 0;
    for (size_t i = 0; i < KS_ARRAY_LEN(suffixes); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s%s", s->store, suffixes[i]);
        /* Not by ks_file_read: closing the database file would drop SQLite's lock on it, in this process too. */
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct ks_buf data = KS_BUF(64 << 20);
            _exit(ks_file_read(path, &data, NULL) == 0 && memmem(data.data, data.len, needle, strlen(needle)) != NULL);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        n += status != 0;
    }
    return n;
}

/* The sealed bytes of what was destroyed are gone from the files, not only from the tables. */
static void
nothing_stays_of_what_was_deleted(void **state)
{
    (void)state;
    SCRATCH(s);
    struct store *store = new_store(&s);
    static char large[20000];
    memset(large, 'x', sizeof(large) - 1);
    memcpy(large + 15000, "needle in pages of its own", 26);
    const struct store_change first[] = {row(STORE_OBJECT, "a", "needle to be replaced"), row(STORE_OBJECT, "b", "1"),
                                         row(STORE_OBJECT, "c", "needle to be deleted"), row(STORE_OBJECT, "d", large)};
    assert_int_equal(store_commit(store, first, KS_ARRAY_LEN(first), NULL), 0);
    assert_int_equal(store_idle(store, NULL), 0);
    assert_int_equal(count_in_files(&s, "needle to be"), 1);
    const struct store_change second[] = {row(STORE_OBJECT, "a", "short"), row(STORE_OBJECT, "c", NULL),
                                          row(STORE_OBJECT, "d", NULL)};
    assert_int_equal(store_commit(store, second, KS_ARRAY_LEN(second), NULL), 0);
    assert_int_equal(store_idle(store, NULL), 0);
    assert_int_equal(count_in_files(&s, "needle"), 0);
    assert_get(store, STORE_OBJECT, KS_LIT("a"), KS_LIT("short"));
    store_close(store);
}

/* A transaction that cannot be is not there in part, and nothing goes on as if it had not been. */
static void
a_failed_commit_leaves_nothing(void **state)
{
    (void)state;
    SCRATCH(s);
    struct store *store = new_store(&s);
    struct store_change changes[] = {row(STORE_OBJECT, "a", "1"), row(STORE_OBJECT, "b", "2")};
    changes[1].table = STORE_TABLE_COUNT;
    struct ks_diag diag = {0};
    assert_int_not_equal(store_commit(store, changes, 2, &diag), 0);
    assert_int_not_equal(diag.code, 0);
    BUF got = KS_BUF(64);
    assert_int_equal(store_get(store, STORE_OBJECT, KS_LIT("a"), &got, NULL), KS_E_CLOSED);
    assert_int_equal(store_commit(store, changes, 1, NULL), KS_E_CLOSED);
    assert_int_equal(store_reopen(store, NULL), 0);
    assert_none(store, STORE_OBJECT, "a");
    assert_int_equal(store_commit(store, changes, 1, NULL), 0);
    assert_get(store, STORE_OBJECT, KS_LIT("a"), KS_LIT("1"));
    store_close(store);
}

static void
another_process_is_told(void **state)
{
    (void)state;
    SCRATCH(s);
    struct store *store = new_store(&s);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store *other;
        struct ks_diag diag = {0};
        const int rc = store_open(s.store, &other, &diag);
        _exit(rc == KS_E_BUSY && strstr(ks_diag_text(&diag), "in use by another process") != NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    store_close(store);
}

static void
other_files_are_refused(void **state)
{
    (void)state;
    SCRATCH(s);
    struct store *store = NULL;
    assert_int_equal(ks_file_write(s.store,
                                   KS_LIT("this is a text file, and long enough to be looked at as one."
                                          "this is a text file, and long enough to be looked at as one."),
                                   0600, NULL),
                     0);
    struct ks_diag diag = {0};
    assert_int_equal(store_open(s.store, &store, &diag), KS_E_CORRUPT);
    assert_int_equal(unlink(s.store), 0);
    assert_int_equal(ks_file_write(s.store, KS_SPAN_NONE, 0600, NULL), 0);
    diag = (struct ks_diag){0};
    assert_int_equal(store_open(s.store, &store, &diag), KS_E_CORRUPT);
    assert_contains(ks_diag_text(&diag), "not a Keystead store");
    assert_int_equal(unlink(s.store), 0);
    store_close(new_store(&s));
    tamper(s.store, "PRAGMA user_version = 2");
    diag = (struct ks_diag){0};
    assert_int_equal(store_open(s.store, &store, &diag), KS_E_UNSUPPORTED);
    assert_contains(ks_diag_text(&diag), "schema version 2");
    assert_int_equal(store_open("", &store, NULL), KS_E_INVALID);
    assert_null(store);
}

/* What would run in another program's hands does not run here. */
static void
triggers_do_not_run(void **state)
{
    (void)state;
    SCRATCH(s);
    store_close(new_store(&s));
    tamper(s.store, "CREATE TRIGGER t AFTER INSERT ON object BEGIN"
                    " INSERT INTO system VALUES (CAST('evil' AS BLOB), X'00', X''); END");
    struct store *store;
    assert_int_equal(store_open(s.store, &store, NULL), 0);
    const struct store_change change = row(STORE_OBJECT, "a", "1");
    assert_int_equal(store_commit(store, &change, 1, NULL), 0);
    assert_none(store, STORE_SYSTEM, "evil");
    store_close(store);
}

/* Pages that are damaged are reported, whatever SQLite finds in them. */
static void
damaged_pages_are_refused(void **state)
{
    (void)state;
    SCRATCH(s);
    struct store *store = new_store(&s);
    static char keys[2000][16];
    static struct store_change changes[2000];
    for (size_t i = 0; i < KS_ARRAY_LEN(keys); i++) {
        snprintf(keys[i], sizeof(keys[i]), "key %06zu", i);
        changes[i] = row(STORE_OBJECT, keys[i], "a value of some length, so that there are a few pages of them");
    }
    assert_int_equal(store_commit(store, changes, KS_ARRAY_LEN(changes), NULL), 0);
    store_close(store);
    struct stat st;
    assert_int_equal(stat(s.store, &st), 0);
    const off_t pages = st.st_size / 4096;
    assert_true(pages > 20);
    FILE *file = fopen(s.store, "r+");
    assert_non_null(file);
    static const uint8_t junk[4096] = {0x77, 0x12, 0x99};
    for (off_t page = 6; page < pages; page += 3) {
        assert_int_equal(fseeko(file, page * 4096, SEEK_SET), 0);
        assert_int_equal(fwrite(junk, sizeof(junk), 1, file), 1);
    }
    assert_int_equal(fclose(file), 0);
    struct ks_diag diag = {0};
    BUF got = KS_BUF(1 << 20);
    int rc = store_open(s.store, &store, &diag);
    if (rc == 0) {
        rc = store_scan(store, STORE_OBJECT, collect, &got, &diag);
        store_close(store);
    }
    assert_int_equal(rc, KS_E_CORRUPT);
    assert_contains(ks_diag_text(&diag), "damaged");
}

/* The state */

static void
the_last_change_of_a_row_counts(void **unused)
{
    (void)unused;
    SCRATCH(s);
    struct store *store = new_store(&s);
    struct keyring *keyring;
    struct state *state;
    assert_int_equal(keyring_create(store, &test_root, NULL), 0);
    assert_int_equal(keyring_open(store, &test_root, &keyring, NULL), 0);
    assert_int_equal(state_open(store, keyring, &state, NULL), 0);
    assert_int_equal(state_number(state), 1);
    const struct store_change rows[] = {row(STORE_OBJECT, "a", "1"),  row(STORE_OBJECT, "b", "1"),
                                        row(STORE_OBJECT, "a", NULL), row(STORE_SYSTEM, "a", "1"),
                                        row(STORE_OBJECT, "b", "2"),  row(STORE_OBJECT, "c", "1"),
                                        row(STORE_OBJECT, "c", NULL), row(STORE_OBJECT, "c", "3")};
    const struct store_change *list[KS_ARRAY_LEN(rows)];
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        list[i] = &rows[i];
    const struct state_mark mark = {.seq = 4, .hash = {7}};
    assert_int_equal(state_commit(state, list, KS_ARRAY_LEN(list), &mark, KS_LIT("lines"), NULL), 0);
    assert_none(store, STORE_OBJECT, "a");
    assert_get(store, STORE_OBJECT, KS_LIT("b"), KS_LIT("2"));
    assert_get(store, STORE_OBJECT, KS_LIT("c"), KS_LIT("3"));
    state_free(state);
    assert_int_equal(state_open(store, keyring, &state, NULL), 0);
    assert_int_equal(state_number(state), 2);
    assert_true(ks_span_is(state_lines(state), "lines"));
    struct state_mark got;
    state_mark(state, &got);
    assert_memory_equal(&got, &mark, sizeof(mark));
    /* A note changes the mark alone. */
    const struct state_mark later = {.seq = 9, .hash = {8}};
    assert_int_equal(state_note(state, &later, NULL), 0);
    state_free(state);
    assert_int_equal(state_open(store, keyring, &state, NULL), 0);
    assert_int_equal(state_number(state), 2);
    assert_int_equal(state_lines(state).len, 0);
    state_mark(state, &got);
    assert_memory_equal(&got, &later, sizeof(later));
    /* The state's own row is nobody else's. */
    const struct store_change own = row(STORE_INSTANCE, "state", "x");
    const struct store_change *one = &own;
    assert_int_equal(state_commit(state, &one, 1, &mark, KS_SPAN_NONE, NULL), KS_E_INVALID);
    state_free(state);
    keyring_free(keyring);
    store_close(store);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creates_once_and_for_its_owner_alone),
        cmocka_unit_test(rows_come_back_in_order),
        cmocka_unit_test(nothing_stays_of_what_was_deleted),
        cmocka_unit_test(a_failed_commit_leaves_nothing),
        cmocka_unit_test(another_process_is_told),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(triggers_do_not_run),
        cmocka_unit_test(damaged_pages_are_refused),
        cmocka_unit_test(the_last_change_of_a_row_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
