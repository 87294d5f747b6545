/*
 * The row "state": 0x01 | length of the seal (4 bytes) | seal | audit lines.
 * Sealed: number (8) | audit seq (8) | audit hash (32) | for each table: rows (8) | sum (16, most significant first).
 */
#include "store/state.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    FORMAT = 1,
    HEAD_LEN = 5,
    TAG_LEN = 16,
    CLEAR_LEN = 8 + 8 + 32 + STORE_TABLE_COUNT * 24,
    CLEAR_MAX = 256,
    STATE_MAX = 80 << 20,
    ROW_MAX = 64 << 20,
};
#define STATE_ROW KS_LIT("state")
#define STATE_CONTEXT KS_LIT("keystead state row, format 1")

struct sum {
    uint64_t rows;
    uint64_t high, low;
};

struct body {
    uint64_t number;
    struct state_mark mark;
    struct sum sum[STORE_TABLE_COUNT];
};

struct entry { /* a change, and its place in the order of changes */
    const struct store_change *change;
    size_t order;
};

struct state {
    struct store *store;
    struct keyring *keyring;
    struct body body;
    struct ks_buf lines;
    /* Room for a commit, kept from one to the next. */
    struct entry *entries;
    struct store_change *changes;
    uint8_t (*tags)[TAG_LEN];
    size_t room;
    struct ks_buf row, old, old_tag;
};

static const char *const table_texts[STORE_TABLE_COUNT] = {"object", "system", "instance"};

/* Both halves of a row's HMAC. */
struct row_mac {
    uint8_t tag[TAG_LEN];
    uint64_t high, low;
};

static int
mac_row(struct keyring *keyring, enum store_table table, struct ks_span key, struct ks_span value, struct row_mac *ret)
{
    uint8_t head[5];
    head[0] = (uint8_t)table;
    ks_put_be32(head + 1, (uint32_t)key.len);
    const struct ks_span parts[] = {KS_SPAN(head, sizeof(head)), key, value};
    uint8_t mac[32] = {0};
    KS_TRY(keyring_mac_parts(keyring, KEYRING_STATE, parts, KS_ARRAY_LEN(parts), mac));
    memcpy(ret->tag, mac, TAG_LEN);
    ret->high = ks_be64(mac + TAG_LEN);
    ret->low = ks_be64(mac + TAG_LEN + 8);
    ks_wipe(mac, sizeof(mac));
    return 0;
}

static void
add_row(struct sum *sum, const struct row_mac *mac)
{
    sum->rows++;
    const bool carry = __builtin_add_overflow(sum->low, mac->low, &sum->low);
    sum->high += mac->high + carry;
}

static void
subtract_row(struct sum *sum, const struct row_mac *mac)
{
    sum->rows--;
    const bool borrow = __builtin_sub_overflow(sum->low, mac->low, &sum->low);
    sum->high -= mac->high + borrow;
}

/* A key for a message: what is not printable becomes '?'. */
struct key_text {
    char s[80];
};

static struct key_text
key_text(struct ks_span key)
{
    struct key_text t;
    size_t n = key.len < sizeof(t.s) - 1 ? key.len : sizeof(t.s) - 1;
    for (size_t i = 0; i < n; i++)
        t.s[i] = (char)(key.data[i] > ' ' && key.data[i] < 0x7f ? key.data[i] : '?');
    t.s[n] = '\0';
    return t;
}

static int
changed_row(const struct store *store, enum store_table table, struct ks_span key, struct ks_diag *diag)
{
    return ks_fail(diag, KS_E_CORRUPT,
                   "%s: %s row %s is not what was committed: it was edited, or holds what belongs to another row; "
                   "restore a backup",
                   store_path(store), table_texts[table], key_text(key).s);
}

static int
check_row(const struct state *state, enum store_table table, struct ks_span key, struct ks_span value,
          struct ks_span tag, struct row_mac *ret, struct ks_diag *diag)
{
    struct row_mac mac = {0};
    const int rc = mac_row(state->keyring, table, key, value, &mac);
    if (rc != 0)
        return ks_fail(diag, rc, "%s: checking %s row %s: %s", store_path(state->store), table_texts[table],
                       key_text(key).s, ks_err_text(rc));
    if (tag.len != TAG_LEN || !ks_equal_secret(tag.data, mac.tag, TAG_LEN))
        return changed_row(state->store, table, key, diag);
    *ret = mac;
    return 0;
}

/* The state row */

static int
write_body(struct state *state, const struct body *body, struct ks_span lines)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf clear = KS_BUF(CLEAR_MAX);
    ks_buf_add_be64(&clear, body->number);
    ks_buf_add_be64(&clear, body->mark.seq);
    ks_buf_add(&clear, body->mark.hash, sizeof(body->mark.hash));
    for (int i = 0; i < STORE_TABLE_COUNT; i++) {
        ks_buf_add_be64(&clear, body->sum[i].rows);
        ks_buf_add_be64(&clear, body->sum[i].high);
        ks_buf_add_be64(&clear, body->sum[i].low);
    }
    KS_TRY(clear.err);
    ks_buf_reset(&state->row);
    ks_buf_add_u8(&state->row, FORMAT);
    KS_TRY(ks_buf_add_be32(&state->row, 0));
    KS_TRY(keyring_seal(state->keyring, KEYRING_STATE, STATE_CONTEXT, ks_buf_span(&clear), &state->row));
    KS_TRY(ks_buf_put_be32(&state->row, 1, (uint32_t)(state->row.len - HEAD_LEN)));
    return ks_buf_add_span(&state->row, lines);
}

static int
damaged_state(const struct state *state, const char *what, struct ks_diag *diag)
{
    return ks_fail(diag, KS_E_CORRUPT, "%s: the state row (instance, state) %s; restore a backup",
                   store_path(state->store), what);
}

static int
read_body(struct state *state, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf row = KS_BUF(STATE_MAX);
    const int rc = store_get(state->store, STORE_INSTANCE, STATE_ROW, &row, diag);
    if (rc == KS_E_NOT_FOUND)
        return damaged_state(state, "is missing: it was deleted", diag);
    KS_TRY(rc);
    struct ks_cursor c = KS_CURSOR(ks_buf_span(&row));
    const uint8_t format = ks_cursor_u8(&c);
    const struct ks_span sealed = ks_cursor_take(&c, ks_cursor_be32(&c));
    if (c.err != 0 || format != FORMAT)
        return damaged_state(state, "is of no known format", diag);
    KS_CLEANUP(ks_buf_done) struct ks_buf clear = KS_BUF(CLEAR_MAX);
    const int opened = keyring_open_sealed(state->keyring, KEYRING_STATE, STATE_CONTEXT, sealed, &clear);
    if (opened == KS_E_INTEGRITY)
        return damaged_state(state, "was changed", diag);
    if (opened != 0)
        return ks_fail(diag, opened, "%s: opening the state row: %s", store_path(state->store), ks_err_text(opened));
    if (clear.len != CLEAR_LEN)
        return damaged_state(state, "is of no known format", diag);
    struct ks_cursor b = KS_CURSOR(ks_buf_span(&clear));
    state->body.number = ks_cursor_be64(&b);
    state->body.mark.seq = ks_cursor_be64(&b);
    memcpy(state->body.mark.hash, ks_cursor_take(&b, 32).data, 32);
    for (int i = 0; i < STORE_TABLE_COUNT; i++) {
        state->body.sum[i].rows = ks_cursor_be64(&b);
        state->body.sum[i].high = ks_cursor_be64(&b);
        state->body.sum[i].low = ks_cursor_be64(&b);
    }
    return ks_buf_add_span(&state->lines, ks_cursor_take(&c, ks_cursor_left(&c)));
}

/* Verification */

struct scan {
    const struct state *state;
    enum store_table table;
    struct sum sum;
    struct ks_diag *diag;
};

static bool
is_state_row(enum store_table table, struct ks_span key)
{
    return table == STORE_INSTANCE && ks_span_equal(key, STATE_ROW);
}

static int
add_to_scan(void *arg, struct ks_span key, struct ks_span value, struct ks_span tag)
{
    struct scan *scan = arg;
    if (is_state_row(scan->table, key))
        return 0;
    struct row_mac mac = {0};
    KS_TRY(check_row(scan->state, scan->table, key, value, tag, &mac, scan->diag));
    add_row(&scan->sum, &mac);
    return 0;
}

static int
verify_table(const struct state *state, enum store_table table, struct ks_diag *diag)
{
    struct scan scan = {.state = state, .table = table, .diag = diag};
    KS_TRY(store_scan_tagged(state->store, table, add_to_scan, &scan, diag));
    const struct sum *want = &state->body.sum[table];
    if (scan.sum.rows != want->rows)
        return ks_fail(diag, KS_E_CORRUPT,
                       "%s: %llu %s rows, but commit %llu left %llu: a row was %s outside Keystead; restore a backup",
                       store_path(state->store), (unsigned long long)scan.sum.rows, table_texts[table],
                       (unsigned long long)state->body.number, (unsigned long long)want->rows,
                       scan.sum.rows < want->rows ? "deleted" : "added");
    if (scan.sum.high != want->high || scan.sum.low != want->low)
        return ks_fail(
            diag, KS_E_CORRUPT,
            "%s: the %s rows are not those of commit %llu: one was put back to an older version or replaced; "
            "restore a backup",
            store_path(state->store), table_texts[table], (unsigned long long)state->body.number);
    return 0;
}

static int
state_new(struct store *store, struct keyring *keyring, struct state **ret, struct ks_diag *diag)
{
    struct state *state = calloc(1, sizeof(*state));
    if (state == NULL)
        return ks_fail(diag, KS_E_NOMEM, "%s: out of memory", store_path(store));
    state->store = store;
    state->keyring = keyring;
    state->lines = KS_BUF(STATE_MAX);
    state->row = KS_BUF(STATE_MAX);
    state->old = KS_BUF(ROW_MAX);
    state->old_tag = KS_BUF(64);
    *ret = state;
    return 0;
}

void
state_free(struct state *state)
{
    if (state == NULL)
        return;
    ks_buf_done(&state->lines);
    ks_buf_done(&state->row);
    ks_buf_done(&state->old);
    ks_buf_done(&state->old_tag);
    free(state->entries);
    free(state->changes);
    free(state->tags);
    ks_wipe(state, sizeof(*state));
    free(state);
}

static int
load(struct state *state, struct ks_diag *diag)
{
    KS_TRY(read_body(state, diag));
    for (int i = 0; i < STORE_TABLE_COUNT; i++)
        KS_TRY(verify_table(state, i, diag));
    return 0;
}

int
state_open(struct store *store, struct keyring *keyring, struct state **ret, struct ks_diag *diag)
{
    struct state *state = NULL;
    KS_TRY(state_new(store, keyring, &state, diag));
    const int rc = load(state, diag);
    if (rc != 0) {
        state_free(state);
        return rc;
    }
    *ret = state;
    return 0;
}

uint64_t
state_number(const struct state *state)
{
    return state->body.number;
}

void
state_mark(const struct state *state, struct state_mark *ret)
{
    *ret = state->body.mark;
}

struct ks_span
state_lines(const struct state *state)
{
    return ks_buf_span(&state->lines);
}

/* Committing */

static int
make_room(struct state *state, size_t n, struct ks_diag *diag)
{
    if (n <= state->room)
        return 0;
    free(state->entries);
    free(state->changes);
    free(state->tags);
    state->room = 0;
    state->entries = calloc(n, sizeof(*state->entries));
    state->changes = calloc(n + 1, sizeof(*state->changes)); /* + 1: the state row */
    state->tags = calloc(n, sizeof(*state->tags));
    if (state->entries == NULL || state->changes == NULL || state->tags == NULL)
        return ks_fail(diag, KS_E_NOMEM, "%s: out of memory for %zu changes", store_path(state->store), n);
    state->room = n;
    return 0;
}

static int
compare_place(const struct store_change *a, const struct store_change *b)
{
    if (a->table != b->table)
        return a->table < b->table ? -1 : 1;
    const size_t common = a->key.len < b->key.len ? a->key.len : b->key.len;
    const int order = common != 0 ? memcmp(a->key.data, b->key.data, common) : 0;
    if (order != 0)
        return order;
    return (a->key.len > b->key.len) - (a->key.len < b->key.len);
}

static int
compare_entries(const void *va, const void *vb)
{
    const struct entry *a = va;
    const struct entry *b = vb;
    const int order = compare_place(a->change, b->change);
    return order != 0 ? order : (a->order > b->order) - (a->order < b->order);
}

/* Takes the row that a change replaces out of the sum. It is checked first: its stored tag is not to be believed. */
static int
subtract_old(struct state *state, const struct store_change *change, struct sum *sum, struct ks_diag *diag)
{
    ks_buf_reset(&state->old);
    ks_buf_reset(&state->old_tag);
    const int rc = store_get_tagged(state->store, change->table, change->key, &state->old, &state->old_tag, diag);
    if (rc == KS_E_NOT_FOUND)
        return 0;
    KS_TRY(rc);
    struct row_mac mac = {0};
    KS_TRY(check_row(state, change->table, change->key, ks_buf_span(&state->old), ks_buf_span(&state->old_tag), &mac,
                     diag));
    subtract_row(sum, &mac);
    return 0;
}

static int
account(struct state *state, const struct store_change *change, size_t at, struct sum *sums, struct ks_diag *diag)
{
    if ((unsigned)change->table >= STORE_TABLE_COUNT || is_state_row(change->table, change->key))
        return ks_fail(diag, KS_E_INVALID, "%s: a change of a row that is not the caller's", store_path(state->store));
    struct sum *sum = &sums[change->table];
    KS_TRY(subtract_old(state, change, sum, diag));
    state->changes[at] = *change;
    state->changes[at].tag = KS_SPAN_NONE;
    if (change->is_delete)
        return 0;
    struct row_mac mac = {0};
    const int rc = mac_row(state->keyring, change->table, change->key, change->value, &mac);
    if (rc != 0)
        return ks_fail(diag, rc, "%s: HMAC of a row: %s", store_path(state->store), ks_err_text(rc));
    add_row(sum, &mac);
    memcpy(state->tags[at], mac.tag, TAG_LEN);
    state->changes[at].tag = KS_SPAN(state->tags[at], TAG_LEN);
    return 0;
}

static int
put_body(struct state *state, const struct body *body, struct ks_span lines, size_t n, struct ks_diag *diag)
{
    const int rc = write_body(state, body, lines);
    if (rc != 0)
        return ks_fail(diag, rc, "%s: making the state row: %s", store_path(state->store), ks_err_text(rc));
    state->changes[n] =
        (struct store_change){.table = STORE_INSTANCE, .key = STATE_ROW, .value = ks_buf_span(&state->row)};
    KS_TRY(store_commit(state->store, state->changes, n + 1, diag));
    state->body = *body;
    return 0;
}

int
state_commit(struct state *state, const struct store_change *const *changes, size_t n, const struct state_mark *mark,
             struct ks_span lines, struct ks_diag *diag)
{
    KS_TRY(make_room(state, n > 0 ? n : 1, diag));
    for (size_t i = 0; i < n; i++)
        state->entries[i] = (struct entry){changes[i], i};
    if (n > 1)
        qsort(state->entries, n, sizeof(*state->entries), compare_entries);
    struct body body = state->body;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const struct store_change *change = state->entries[i].change;
        if (i + 1 < n && compare_place(change, state->entries[i + 1].change) == 0)
            continue; /* a later change of the same row follows */
        KS_TRY(account(state, change, kept, body.sum, diag));
        kept++;
    }
    body.number++;
    body.mark = *mark;
    return put_body(state, &body, lines, kept, diag);
}

int
state_note(struct state *state, const struct state_mark *mark, struct ks_diag *diag)
{
    KS_TRY(make_room(state, 1, diag));
    struct body body = state->body;
    body.mark = *mark;
    return put_body(state, &body, KS_SPAN_NONE, 0, diag);
}

int
state_create(struct store *store, struct keyring *keyring, const struct store_change *const *changes, size_t n,
             struct ks_diag *diag)
{
    struct state *state = NULL;
    KS_TRY(state_new(store, keyring, &state, diag));
    const struct state_mark none = {0};
    const int rc = state_commit(state, changes, n, &none, KS_SPAN_NONE, diag);
    state_free(state);
    return rc;
}
