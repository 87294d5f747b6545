#include "tde/classify.h"

#include <ctype.h>
#include <string.h>

#include "base/attr.h"

const struct tde_class_row tde_classes[TDE_CLASSES] = {
#define RAW TDE_RAW
#define FIXED TDE_FIXED
#define ONE_WRITER TDE_ONE_WRITER
#define LOCKED TDE_LOCKED
#define READ_AHEAD TDE_READ_AHEAD
#define TDE_CLASS(id, name, key, unit, zero, flags, text) {name, text, TDE_KEY_##key, unit, zero, flags},
#include "tde/classify.def"
#undef TDE_CLASS
};

const struct tde_file_row tde_file_rows[] = {
#define TDE_FILE(class, first, last, where, pattern, text) {TDE_##class, first, last, TDE_##where, pattern, text},
#include "tde/classify.def"
#undef TDE_FILE
};
const size_t tde_file_rows_count = KS_ARRAY_LEN(tde_file_rows);

enum { PATTERN_MAX = 160 };

/* The identity as it grows; taken back to len when a branch of the pattern comes to nothing. */
struct found {
    char *text;
    size_t len;
    bool on, full;
};

static void
take(struct found *f, const char *s, size_t n)
{
    if (!f->on)
        return;
    if (f->len + n >= TDE_IDENTITY_MAX) {
        f->full = true;
        return;
    }
    memcpy(f->text + f->len, s, n);
    f->len += n;
}

static size_t
digits(const char *s)
{
    return strspn(s, "0123456789");
}

static size_t
one_of(const char *s, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strncmp(s, *words, strlen(*words)) == 0)
            return strlen(*words);
    return 0;
}

static size_t
relation(const char *s)
{
    static const char *const forks[] = {"_fsm", "_vm", "_init", NULL};
    const char *p = s;
    if (*p == 't' && digits(p + 1) > 0 && p[1 + digits(p + 1)] == '_')
        p += 2 + digits(p + 1);
    if (digits(p) == 0)
        return 0;
    p += digits(p);
    p += one_of(p, forks);
    if (*p == '.' && digits(p + 1) > 0)
        p += 1 + digits(p + 1);
    return (size_t)(p - s);
}

/* How many characters a token takes; 0: it does not match. All are greedy: what follows them is never of their kind. */
static size_t
token(char kind, const char *s)
{
    static const char capitals[] = "0123456789ABCDEF";
    size_t n;
    switch (kind) {
    case 'd':
        return digits(s);
    case 'h':
        return strspn(s, "0123456789abcdefABCDEF");
    case 'W':
        n = strspn(s, capitals);
        return n >= 24 ? 24 : 0;
    case 'S':
        n = strspn(s, capitals);
        return n >= 40 ? 40 : 0;
    case 'r':
        return relation(s);
    case 's':
        return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");
    case 'n':
        return strcspn(s, "/");
    default: /* '*' */
        return strlen(s);
    }
}

static bool match(const char *p, const char *s, struct found *f);

/* p is behind a '[': each alternative in front of what follows the ']', then that alone. */
static bool
match_perhaps(const char *p, const char *s, struct found *f)
{
    const char *end = strchr(p, ']');
    if (end == NULL)
        return false;
    const size_t rest = strlen(end + 1);
    const struct found before = *f;
    while (p < end) {
        const size_t n = strcspn(p, "|]");
        char way[PATTERN_MAX];
        if (n + rest >= sizeof(way))
            return false;
        memcpy(way, p, n);
        memcpy(way + n, end + 1, rest + 1);
        if (match(way, s, f))
            return true;
        *f = before;
        p += n + 1;
    }
    return match(end + 1, s, f);
}

static bool
match(const char *p, const char *s, struct found *f)
{
    for (; *p != '\0'; p++) {
        if (*p == '[')
            return match_perhaps(p + 1, s, f);
        if (*p == '(') {
            f->on = true;
            if (f->len > 0)
                take(f, "/", 1);
        } else if (*p == ')') {
            f->on = false;
        } else if (*p == '%') {
            const size_t n = token(*++p, s);
            if (n == 0)
                return false;
            take(f, s, n);
            s += n;
        } else {
            if (*p != *s)
                return false;
            take(f, s++, 1);
        }
    }
    return *s == '\0';
}

static bool
try_row(const struct tde_file_row *row, int major, const char *path, struct tde_what *ret)
{
    if (major != 0 && (major < row->first || major > row->last))
        return false;
    struct found f = {.text = ret->identity};
    if (!match(row->pattern, path, &f) || f.full)
        return false;
    ret->identity[f.len] = '\0';
    ret->class = row->class;
    ret->row = row;
    ret->root = 0;
    return true;
}

void
tde_classify(int major, const char *path, struct tde_what *ret)
{
    const char *last = strrchr(path, '/');
    last = last != NULL ? last + 1 : path;
    for (size_t i = 0; i < tde_file_rows_count; i++) {
        const struct tde_file_row *row = &tde_file_rows[i];
        if (row->where != TDE_TABLESPACE && try_row(row, major, row->where == TDE_ANYWHERE ? last : path, ret))
            return;
    }
    *ret = (struct tde_what){.class = TDE_UNKNOWN};
}

void
tde_classify_outside(int major, const char *path, bool tablespaces, struct tde_what *ret)
{
    const char *last = strrchr(path, '/');
    last = last != NULL ? last + 1 : path;
    const char *space = strstr(path, "/PG_");
    for (size_t i = 0; i < tde_file_rows_count; i++) {
        const struct tde_file_row *row = &tde_file_rows[i];
        if (row->where == TDE_ANYWHERE && try_row(row, major, last, ret))
            return;
        if (row->where == TDE_TABLESPACE && tablespaces && space != NULL && try_row(row, major, space + 1, ret))
            return;
    }
    *ret = (struct tde_what){.class = TDE_CLEAR};
}
