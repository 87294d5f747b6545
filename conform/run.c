#include "conform/run.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "kmip/wire.h"

enum { RUN_MEMORY = 512 << 20, ANSWER_MAX = 16 << 20 };

static const struct kmip_limits limits = {.bytes = ANSWER_MAX, .depth = 32, .items = 1 << 20, .text = ANSWER_MAX};

enum conform_transport
conform_transport(const struct conform_case *c)
{
    static const struct {
        const char *prefix;
        enum conform_transport transport;
    } by_name[] = {
        {"MSGENC-HTTPS", CONFORM_HTTPS_TTLV}, {"MSGENC-XML", CONFORM_HTTPS_XML}, {"MSGENC-JSON", CONFORM_HTTPS_JSON}};
    for (size_t i = 0; i < KS_ARRAY_LEN(by_name); i++)
        if (strncmp(c->name, by_name[i].prefix, strlen(by_name[i].prefix)) == 0)
            return by_name[i].transport;
    return CONFORM_TTLV;
}

const char *
conform_verdict_name(enum conform_verdict verdict)
{
    static const char *const names[] = {"PASS", "FAIL", "ERROR", "SKIP"};
    return names[verdict];
}

void
conform_result_done(struct conform_result *r)
{
    ks_arena_done(&r->arena);
}

void
conform_run_done(struct conform_run *run)
{
    provenance_done(&run->provenance);
}

/* One case while it runs. */
struct running {
    struct conform_run *run;
    const struct conform_case *c;
    struct conform_result *result;
    struct conform_finding **last;
    struct memory memory;
    struct tree_fill fill;
};

static int64_t
server_now(const struct conform_run *run)
{
    return ks_clock_us() / 1000000 + run->skew;
}

/* ---- Placeholders of requests ---- */

static bool
has_var(const struct tree *message, struct ks_span var)
{
    for (const struct tree *t = message; t != NULL; t = tree_next(message, t))
        if (ks_span_equal(t->var, var))
            return true;
    return false;
}

/* Whether no answer before the request shows the placeholder: a few cases print the value itself there. */
static bool
is_never_shown(const struct conform_case *c, struct ks_span var)
{
    for (size_t i = 0; i < c->n_steps; i++) {
        if (has_var(c->step[i].request_tree, var))
            return true;
        if (c->step[i].expected != NULL && has_var(c->step[i].expected, var))
            return false;
    }
    return false;
}

/* An identifier of the client's choosing; the short form is the digest of the long one. */
static int
add_random(struct running *r, struct ks_span name, struct ks_span type, struct ks_buf *ret, struct ks_diag *diag)
{
    static const char word[] = "SHORT_";
    uint8_t bytes[32];
    const uint8_t *const at = memmem(name.data, name.len, word, sizeof(word) - 1);
    const struct kmip_item *full = NULL;
    if (at != NULL) {
        KS_CLEANUP(ks_buf_done) struct ks_buf longer = KS_BUF(256);
        ks_buf_add(&longer, name.data, (size_t)(at - name.data));
        ks_buf_add(&longer, at + sizeof(word) - 1, name.len - (size_t)(at - name.data) - (sizeof(word) - 1));
        full = memory_find(&r->memory, ks_buf_span(&longer));
    }
    if (full != NULL)
        KS_TRY(ks_sha256(&full->s, 1, bytes));
    else
        KS_TRY(ks_random(bytes, sizeof(bytes)));
    (void)diag;
    if (!ks_span_is(type, "ByteString")) {
        KS_CLEANUP(ks_buf_done) struct ks_buf hex = KS_BUF(64);
        KS_TRY(ks_hex_add(&hex, bytes, 16));
        const char *const h = (const char *)hex.data;
        return ks_buf_addf(ret, "%.8s-%.4s-%.4s-%.4s-%.12s", h, h + 8, h + 12, h + 16, h + 20);
    }
    return ks_hex_add(ret, bytes, sizeof(bytes));
}

static int
keep_text(struct running *r, struct ks_span name, struct ks_span type, const struct ks_buf *text)
{
    struct kmip_item *item =
        kmip_item_new(r->memory.arena, KMIP_TAG_ATTRIBUTE_VALUE,
                      ks_span_is(type, "ByteString") ? KMIP_TYPE_BYTE_STRING : KMIP_TYPE_TEXT_STRING);
    struct ks_span var;
    if (item == NULL)
        return KS_E_NOMEM;
    if (item->type == KMIP_TYPE_BYTE_STRING) {
        KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(256);
        KS_TRY(ks_hex_decode(ks_buf_span(text), &bytes));
        KS_TRY(ks_arena_span(r->memory.arena, ks_buf_span(&bytes), &item->s));
    } else {
        KS_TRY(ks_arena_span(r->memory.arena, ks_buf_span(text), &item->s));
    }
    KS_TRY(ks_arena_span(r->memory.arena, name, &var));
    return memory_bind(&r->memory, var, item);
}

static int
fill_request(struct tree_fill *fill, struct ks_span name, int64_t offset, struct ks_span tag, struct ks_span type,
             struct ks_buf *ret)
{
    struct running *const r = (struct running *)((char *)fill - offsetof(struct running, fill));
    struct ks_diag diag = {0};
    uint32_t number;
    if (ks_span_is(name, "NOW")) {
        struct kmip_item now = {.type = KMIP_TYPE_DATE_TIME, .i64 = server_now(r->run) + offset};
        if (ks_span_is(type, "DateTimeExtended")) {
            now.type = KMIP_TYPE_DATE_TIME_EXTENDED;
            now.i64 *= 1000000;
        }
        return kmip_value_format(&now, 0, ' ', ret);
    }
    const struct kmip_item *value = memory_find(&r->memory, name);
    if (value != NULL)
        return kmip_value_format(value, value->tag, ' ', ret);
    if (memmem(name.data, name.len, "_RANDOM", 7) != NULL) {
        KS_TRY(add_random(r, name, type, ret, &diag));
        return keep_text(r, name, type, ret);
    }
    if (is_never_shown(r->c, name) && kmip_tag_find(tag, &number) == 0)
        value = memory_last(&r->memory, number);
    if (value == NULL)
        return KS_E_NOT_FOUND;
    struct ks_span var;
    KS_TRY(ks_arena_span(r->memory.arena, name, &var));
    KS_TRY(memory_bind(&r->memory, var, value));
    return kmip_value_format(value, value->tag, ' ', ret);
}

/* ---- Steps ---- */

static char *
operations_text(struct ks_arena *arena, const struct tree *request)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(1 << 16);
    for (size_t i = 0; i < request->n; i++) {
        const struct tree *const op = request->child[i]->item.tag == KMIP_TAG_BATCH_ITEM
                                          ? tree_child(request->child[i], KMIP_TAG_OPERATION)
                                          : NULL;
        const char *const name = op != NULL ? kmip_enum_name(KMIP_TAG_OPERATION, op->item.u32) : NULL;
        if (name != NULL) {
            ks_buf_add_str(&text, text.len != 0 ? "+" : "");
            ks_buf_add_str(&text, name);
        }
    }
    return ks_arena_dup(arena, text.data, text.len);
}

static int
set_reason(struct running *r, enum conform_verdict verdict, size_t step, const char *operation, const char *why)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(1 << 16);
    ks_buf_addf(&text, "step %zu (%s): %s", step, operation, why);
    r->result->verdict = verdict;
    r->result->reason = ks_arena_dup(&r->result->arena, text.data, text.len);
    return r->result->reason != NULL ? 0 : KS_E_NOMEM;
}

static int
add_findings(struct running *r, size_t step, const char *operation, const struct difference *d)
{
    for (; d != NULL; d = d->next) {
        struct conform_finding *f = ks_arena_alloc(&r->result->arena, sizeof(*f));
        if (f == NULL)
            return KS_E_NOMEM;
        *f = (struct conform_finding){
            .step = step, .operation = operation, .path = d->path, .expected = d->expected, .got = d->got};
        *r->last = f;
        r->last = &f->next;
        r->result->n_findings++;
    }
    return 0;
}

/* A request as it is sent, and remembered. */
static int
make_request(struct running *r, const struct conform_step *s, struct ks_buf *ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf xml = KS_BUF(TREE_MAX_BYTES);
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(64 << 20);
    struct tree *sent;
    KS_TRY(tree_fill_xml(s->request, &r->fill, &xml, diag));
    KS_TRY(kmip_transcode(KMIP_ENCODING_XML, ks_buf_span(&xml), KMIP_ENCODING_TTLV, &limits, &arena, ret, diag));
    KS_TRY(tree_read(KMIP_ENCODING_TTLV, ks_buf_span(ret), r->memory.arena, &sent, diag));
    return memory_request(&r->memory, sent);
}

static void
learn_clock(struct conform_run *run, const struct tree *answer)
{
    const struct tree *const stamp = tree_child(tree_child(answer, KMIP_TAG_RESPONSE_HEADER), KMIP_TAG_TIME_STAMP);
    if (run->skew_known || stamp == NULL || stamp->item.type != KMIP_TYPE_DATE_TIME)
        return;
    const int64_t skew = stamp->item.i64 - ks_clock_us() / 1000000;
    run->skew = skew > 2 || skew < -2 ? skew : 0;
    run->skew_known = true;
}

/* Whether the step did what a case does at its end to leave the server as it was. */
static bool
is_cleaning_up(const struct tree *request)
{
    static const uint32_t operations[] = {KMIP_OPERATION_REVOKE, KMIP_OPERATION_DEACTIVATE, KMIP_OPERATION_DESTROY,
                                          KMIP_OPERATION_LOGOUT, KMIP_OPERATION_INTEROP};
    for (size_t i = 0; i < request->n; i++) {
        const struct tree *const op = request->child[i]->item.tag == KMIP_TAG_BATCH_ITEM
                                          ? tree_child(request->child[i], KMIP_TAG_OPERATION)
                                          : NULL;
        bool found = request->child[i]->item.tag != KMIP_TAG_BATCH_ITEM;
        for (size_t k = 0; op != NULL && k < KS_ARRAY_LEN(operations); k++)
            found = found || op->item.u32 == operations[k];
        if (!found)
            return false;
    }
    return true;
}

/* After a case that could not go on: its own removals, as far as they can be sent. */
static void
clean_up(struct running *r, size_t from)
{
    for (size_t i = from; i < r->c->n_steps; i++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(ANSWER_MAX), answer = KS_BUF(ANSWER_MAX);
        struct ks_diag diag = {0};
        const struct conform_step *const s = &r->c->step[i];
        if (!is_cleaning_up(s->request_tree) || make_request(r, s, &request, &diag) != 0)
            continue;
        if (r->run->exchange->exchange(r->run->exchange, s->client, conform_transport(r->c), ks_buf_span(&request),
                                       &answer, &diag) != 0)
            return;
    }
}

/* One step. ret_go_on is false if the case cannot. */
static int
run_step(struct running *r, size_t index, bool *ret_go_on)
{
    const struct conform_step *const s = &r->c->step[index];
    KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(ANSWER_MAX), answer = KS_BUF(ANSWER_MAX);
    struct ks_diag diag = {0};
    struct tree *actual;
    struct difference *differences = NULL;
    const char *const operation = operations_text(&r->result->arena, s->request_tree);
    *ret_go_on = false;
    if (operation == NULL)
        return KS_E_NOMEM;
    int rc = make_request(r, s, &request, &diag);
    if (rc == KS_E_NOMEM)
        return rc;
    if (rc != 0) /* a value that an earlier step should have given, or a case that cannot be sent */
        return set_reason(r, r->result->n_findings != 0 ? CONFORM_FAIL : CONFORM_ERROR, index + 1, operation,
                          ks_diag_text(&diag));
    rc = r->run->exchange->exchange(r->run->exchange, s->client, conform_transport(r->c), ks_buf_span(&request),
                                    &answer, &diag);
    if (rc == 0)
        rc = tree_read(KMIP_ENCODING_TTLV, ks_buf_span(&answer), r->memory.arena, &actual, &diag);
    if (rc == KS_E_NOMEM)
        return rc;
    if (rc != 0)
        return set_reason(r, r->result->n_findings != 0 ? CONFORM_FAIL : CONFORM_ERROR, index + 1, operation,
                          ks_diag_text(&diag));
    learn_clock(r->run, actual);
    r->memory.started = r->run->started + r->run->skew;
    r->memory.now = server_now(r->run);
    KS_TRY(compare_answers(&r->memory, r->memory.request[r->memory.n_requests - 1], s->expected, actual, &differences));
    KS_TRY(memory_answer(&r->memory, actual));
    *ret_go_on = true;
    return add_findings(r, index + 1, operation, differences);
}

int
conform_run_case(struct conform_run *run, const struct conform_case *c, struct conform_result *ret)
{
    *ret = (struct conform_result){.verdict = CONFORM_PASS, .arena = KS_ARENA(RUN_MEMORY)};
    if (c->cannot != NULL) {
        ret->verdict = CONFORM_SKIP;
        ret->reason = c->cannot;
        return 0;
    }
    struct running r = {.run = run, .c = c, .result = ret, .last = &ret->first, .fill = {.fill = fill_request}};
    r.memory = (struct memory){
        .arena = &ret->arena, .provenance = &run->provenance, .version = c->number, .tolerance = run->tolerance};
    int rc = 0;
    bool go_on = true;
    size_t i = 0;
    while (rc == 0 && go_on && i < c->n_steps)
        rc = run_step(&r, i++, &go_on);
    if (rc == 0 && !go_on)
        clean_up(&r, i);
    run->exchange->close(run->exchange);
    if (rc == 0 && ret->verdict == CONFORM_PASS && ret->n_findings != 0)
        ret->verdict = CONFORM_FAIL;
    return rc;
}
