#include "conform/case.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/text.h"

enum { CASE_MAX_BYTES = 8 << 20, CASE_MEMORY = 256 << 20, STEPS_MAX = 4096 };

static const struct erratum {
    const char *name;
    size_t step;
    enum { REQUEST, ANSWER } message;
    const char *printed, *right;
} errata[] = {
#define ERRATUM(name, step, message, printed, right, why) {name, step, message, printed, right},
#include "conform/errata.def"
#undef ERRATUM
};

/* What a case's name begins with, the longer ones first where one begins another. */
static const char *const families[] = {"AKLC", "SKLC", "SKFF", "CS-BC", "CS-AC", "CS-RNG", "OMOS",   "SASED",
                                       "TL",   "AX",   "BL",   "QS",    "TC",    "PKCS11", "MSGENC", "SUITEB"};

static void
find_family(struct conform_case *c)
{
    snprintf(c->family, sizeof(c->family), "OTHER");
    for (size_t i = 0; i < KS_ARRAY_LEN(families); i++) {
        const size_t len = strlen(families[i]);
        if (strncasecmp(c->name, families[i], len) == 0 && (c->name[len] == '-' || c->name[len] == '_'))
            snprintf(c->family, sizeof(c->family), "%s", families[i]);
    }
}

/* Some files are not UTF-8 but Windows-1252, in comments and texts: one byte becomes the character of Latin-1. */
static int
as_utf8(struct ks_span in, struct ks_buf *ret)
{
    const bool valid = ks_utf8_valid(in);
    for (size_t i = 0; i < in.len; i++) {
        if (valid || in.data[i] < 0x80) {
            ks_buf_add_u8(ret, in.data[i]);
        } else {
            ks_buf_add_u8(ret, (uint8_t)(0xC0 | in.data[i] >> 6));
            ks_buf_add_u8(ret, (uint8_t)(0x80 | (in.data[i] & 0x3F)));
        }
    }
    return ret->err;
}

/* The file in the order in which it is read. */
struct reading {
    struct conform_case *c;
    const char *p, *end;
    char client;
    bool to_client;
    struct ks_diag *diag;
};

static void
read_marks(struct reading *r, const char *from, const char *to)
{
    for (const char *p = from; p < to && (p = memchr(p, '[', (size_t)(to - p))) != NULL; p++) {
        const size_t left = (size_t)(to - p);
        if (left > 9 && memcmp(p, "[Client-", 8) == 0 && isupper((unsigned char)p[8]) && p[9] == ']')
            r->client = p[8];
        else if (left >= 18 && memcmp(p, "[Server-to-Client]", 18) == 0)
            r->to_client = true;
        else if (left >= 18 && memcmp(p, "[Client-to-Server]", 18) == 0)
            r->to_client = false;
    }
}

/* The next message, and the comments before it; false: there is none. */
static bool
next_message(struct reading *r, bool *ret_request, struct ks_span *ret)
{
    const size_t left = (size_t)(r->end - r->p);
    const char *const request = memmem(r->p, left, "<RequestMessage", 15);
    const char *const answer = memmem(r->p, left, "<ResponseMessage", 16);
    if (request == NULL && answer == NULL)
        return false;
    const bool is_request = answer == NULL || (request != NULL && request < answer);
    const char *const begin = is_request ? request : answer;
    const char *const close = is_request ? "</RequestMessage" : "</ResponseMessage";
    const char *end = memmem(begin, (size_t)(r->end - begin), close, strlen(close));
    end = end != NULL ? memchr(end, '>', (size_t)(r->end - end)) : NULL;
    if (end == NULL)
        return false;
    read_marks(r, r->p, begin);
    *ret_request = is_request;
    *ret = KS_SPAN(begin, (size_t)(end + 1 - begin));
    r->p = end + 1;
    return true;
}

static int
corrected(struct conform_case *c, size_t step, int message, struct ks_span xml, struct ks_span *ret)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(errata); i++) {
        const struct erratum *const e = &errata[i];
        const char *const at = memmem(xml.data, xml.len, e->printed, strlen(e->printed));
        if (strcmp(e->name, c->name) != 0 || e->step != step || (int)e->message != message || at == NULL)
            continue;
        KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(CASE_MAX_BYTES);
        const size_t before = (size_t)(at - (const char *)xml.data), behind = before + strlen(e->printed);
        ks_buf_add(&out, xml.data, before);
        ks_buf_add_str(&out, e->right);
        ks_buf_add(&out, xml.data + behind, xml.len - behind);
        KS_TRY(out.err);
        return ks_arena_span(&c->arena, ks_buf_span(&out), ret);
    }
    return ks_arena_span(&c->arena, xml, ret);
}

static uint32_t
operation_of(const struct tree *message, size_t index)
{
    for (size_t i = 0; i < message->n; i++) {
        const struct tree *const t = message->child[i];
        if (t->item.tag == KMIP_TAG_BATCH_ITEM && index-- == 0) {
            const struct tree *const op = tree_child(t, KMIP_TAG_OPERATION);
            return op != NULL && op->item.type == KMIP_TYPE_ENUMERATION ? op->item.u32 : 0;
        }
    }
    return UINT32_MAX; /* no such item */
}

static bool
same_operations(const struct tree *a, const struct tree *b)
{
    for (size_t i = 0;; i++) {
        const uint32_t one = operation_of(a, i), other = operation_of(b, i);
        if (one != other)
            return false;
        if (one == UINT32_MAX)
            return true;
    }
}

static int
add_request(struct reading *r, struct ks_span xml)
{
    struct conform_case *const c = r->c;
    if (c->n_steps == STEPS_MAX)
        return ks_fail(r->diag, KS_E_LIMIT, "it has more than %d requests", STEPS_MAX);
    struct conform_step *const s = &c->step[c->n_steps];
    KS_TRY(corrected(c, c->n_steps + 1, REQUEST, xml, &s->request));
    KS_TRY(tree_read_case(s->request, &c->arena, &s->request_tree, r->diag));
    s->client = r->client;
    s->to_client = r->to_client;
    for (size_t i = 0; operation_of(s->request_tree, i) != UINT32_MAX; i++) {
        const uint32_t op = operation_of(s->request_tree, i);
        s->to_client = s->to_client || op == KMIP_OPERATION_NOTIFY || op == KMIP_OPERATION_PUT;
    }
    c->n_steps++;
    return 0;
}

/*
 * The answer belongs to the first request that waits for one and asks for the same operations. Where a case prints two
 * requests and then two answers, the order of the answers is that of the steps.
 */
static int
add_answer(struct reading *r, struct ks_span xml)
{
    struct conform_case *const c = r->c;
    size_t first = 0;
    while (first < c->n_steps && c->step[first].expected != NULL)
        first++;
    if (first == c->n_steps)
        return ks_fail(r->diag, KS_E_MALFORMED, "an answer comes before its request");
    struct ks_span text;
    struct tree *answer;
    KS_TRY(corrected(c, first + 1, ANSWER, xml, &text));
    KS_TRY(tree_read_case(text, &c->arena, &answer, r->diag));
    size_t at = first;
    for (size_t i = first; i < c->n_steps; i++) {
        if (c->step[i].expected == NULL && same_operations(c->step[i].request_tree, answer)) {
            at = i;
            break;
        }
    }
    const struct conform_step step = c->step[at];
    memmove(&c->step[first + 1], &c->step[first], (at - first) * sizeof(step));
    c->step[first] = step;
    c->step[first].expected = answer;
    return 0;
}

static int
find_version(struct conform_case *c, struct ks_diag *diag)
{
    const struct tree *const v =
        tree_child(tree_child(c->step[0].request_tree, KMIP_TAG_REQUEST_HEADER), KMIP_TAG_PROTOCOL_VERSION);
    const struct tree *const major = tree_child(v, KMIP_TAG_PROTOCOL_VERSION_MAJOR);
    const struct tree *const minor = tree_child(v, KMIP_TAG_PROTOCOL_VERSION_MINOR);
    /* The name says the version; headers of a few cases try others. */
    const char *const dash = strrchr(c->name, '-');
    if (dash != NULL && isdigit((unsigned char)dash[1]) && isdigit((unsigned char)dash[2]) && dash[3] == '\0' &&
        kmip_version_find(dash[1] - '0', dash[2] - '0', &c->number) == 0) {
        snprintf(c->version, sizeof(c->version), "%c.%c", dash[1], dash[2]);
        return 0;
    }
    if (major == NULL || minor == NULL || kmip_version_find(major->item.i32, minor->item.i32, &c->number) != 0)
        return ks_fail(diag, KS_E_MALFORMED, "it is of no version of KMIP that is known");
    snprintf(c->version, sizeof(c->version), "%d.%d", major->item.i32, minor->item.i32);
    return 0;
}

static const char *
why_not(const struct conform_case *c)
{
    for (size_t i = 0; i < c->n_steps; i++) {
        if (c->step[i].to_client)
            return "the server sends these requests, to a client that listens";
        if (c->step[i].expected == NULL)
            return "the case shows no answer to one of its requests";
    }
    /* Its file does not say so. */
    return strncmp(c->name, "TC-Q-S2C", 8) == 0 ? "the server sends these requests, to a client that listens" : NULL;
}

int
conform_case_load(const char *path, struct conform_case **ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf raw = KS_BUF(CASE_MAX_BYTES), text = KS_BUF(CASE_MAX_BYTES);
    KS_CLEANUP(conform_case_freep) struct conform_case *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return ks_fail(diag, KS_E_NOMEM, "out of memory");
    c->arena = KS_ARENA(CASE_MEMORY);
    KS_TRY(ks_file_read(path, &raw, diag)); /* NOLINT(clang-analyzer-unix.Malloc): cleaned up */
    KS_TRY(as_utf8(ks_buf_span(&raw), &text));
    const char *const slash = strrchr(path, '/');
    snprintf(c->name, sizeof(c->name), "%s", slash != NULL ? slash + 1 : path);
    char *const dot = strrchr(c->name, '.');
    if (dot != NULL)
        *dot = '\0';
    find_family(c);
    c->step = ks_arena_array(&c->arena, STEPS_MAX, sizeof(*c->step));
    if (c->step == NULL)
        return ks_fail(diag, KS_E_NOMEM, "out of memory");
    struct reading r = {c, (const char *)text.data, (const char *)text.data + text.len, 'A', false, diag};
    bool request;
    for (struct ks_span xml; text.len != 0 && next_message(&r, &request, &xml);)
        KS_TRY(request ? add_request(&r, xml) : add_answer(&r, xml));
    if (c->n_steps == 0)
        return ks_fail(diag, KS_E_MALFORMED, "it has no KMIP requests");
    KS_TRY(find_version(c, diag));
    c->cannot = why_not(c);
    *ret = c;
    c = NULL;
    return 0;
}

void
conform_case_free(struct conform_case *c)
{
    if (c == NULL)
        return;
    ks_arena_done(&c->arena);
    free(c);
}
