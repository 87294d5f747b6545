/* keystead audit: verifies and shows the audit trail, from its files alone. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/output.h"
#include "server/audit/audit.h"
#include "server/audit/line.h"

static const char help[] =
    "Usage: keystead audit verify [OPTION]... [DIR]\n"
    "       keystead audit show [OPTION]... [DIR]\n"
    "Verifies or shows the audit trail, from its files alone: no server is asked, none need run.\n"
    "\n"
    "DIR is the instance's folder or its audit folder; by default $KEYSTEAD_DIR.\n"
    "\n"
    "  -d, --dir=DIR         the same as DIR\n"
    "  -j, --json            print JSON: verify its result, show the records as they are, one a line\n"
    "      --help            show this\n"
    "verify:\n"
    "  -H, --head=SEQ:HASH   this record, noted elsewhere before, must be there: shows that the end was not cut off "
    "and\n"
    "                        that the whole was not written anew, which nothing in the files can\n"
    "show:\n"
    "  -n, --last=N          the last N records (20); 0: all\n"
    "  -f, --follow          go on with new records as they come\n"
    "  -o, --object=ID       only records of this object, by identifier or name\n"
    "  -c, --client=NAME     only records of this client\n"
    "  -w, --operation=NAME  only records of this operation or event: Create, Get, start, ...\n"
    "  -x, --failed          only what did not succeed\n"
    "      --since=TIME      only records from then on: 2026-11-24, 2026-11-24T06:57 (UTC)\n"
    "      --until=TIME      only records up to then; a day means all of it\n"
    "\n"
    "Ends with 0, with 76 if the trail is damaged or was changed, with 64 for wrong usage.\n"
    "\n"
    "Examples:\n"
    "  keystead audit verify /var/lib/keystead\n"
    "  keystead audit verify --head 1789:6d0c...\n"
    "  keystead audit show --last 50 --client database-1\n"
    "  keystead audit show --last 0 --since 2026-11-24 --failed\n";

struct options {
    const char *dir;
    bool json, follow;
    bool failed;
    const char *object, *client, *operation, *since, *until; /* NULL: all */
    int64_t last;
    struct audit_head head; /* seq 0: none given */
};

/* The audit folder of what was named. */
static int
find_folder(const char *named, char ret[PATH_MAX], struct ks_diag *diag)
{
    if (named == NULL)
        named = getenv("KEYSTEAD_DIR");
    if (named == NULL || *named == '\0')
        return ks_fail(diag, KS_E_INVALID, "name the instance's folder, or set KEYSTEAD_DIR");
    struct stat st;
    char below[PATH_MAX];
    if ((size_t)snprintf(below, sizeof(below), "%s/audit", named) >= sizeof(below))
        return ks_fail(diag, KS_E_INVALID, "%s: the path is too long", named);
    const bool has_folder = stat(below, &st) == 0 && S_ISDIR(st.st_mode);
    snprintf(ret, PATH_MAX, "%s", has_folder ? below : named);
    return 0;
}

/* verify */

static void
time_text(int64_t us, char text[KS_TIME_TEXT_LEN])
{
    if (ks_time_format_us(us, text) != 0)
        snprintf(text, KS_TIME_TEXT_LEN, "?");
}

static int
print_verified(const char *dir, const struct audit_summary *sum, bool json, struct ks_diag *diag)
{
    char first[KS_TIME_TEXT_LEN];
    char last[KS_TIME_TEXT_LEN];
    time_text(sum->first_us, first);
    time_text(sum->last_us, last);
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(65536);
    const unsigned long long seq = sum->head.seq;
    if (json) {
        ks_buf_addf(&out, "{\"ok\":true,\"dir\":");
        ks_json_add_string(&out, ks_span_str(dir));
        ks_buf_addf(&out, ",\"files\":%zu,\"records\":%llu,\"first_seq\":%llu,\"last_seq\":%llu", sum->files,
                    (unsigned long long)sum->records, (unsigned long long)sum->first_seq, seq);
        if (sum->records > 0)
            ks_buf_addf(&out, ",\"first_ts\":\"%s\",\"last_ts\":\"%s\"", first, last);
        ks_buf_addf(&out,
                    ",\"commit\":%llu,\"unfinished_bytes\":%zu,\"head\":\"%llu:", (unsigned long long)sum->head.commit,
                    sum->unfinished, seq);
        ks_hex_add(&out, sum->head.hash, sizeof(sum->head.hash));
        ks_buf_add_str(&out, "\"}\n");
    } else {
        ks_buf_addf(&out, "%s: %llu record%s in %zu file%s, unbroken\n", dir, (unsigned long long)sum->records,
                    sum->records == 1 ? "" : "s", sum->files, sum->files == 1 ? "" : "s");
        if (sum->records > 0)
            ks_buf_addf(&out, "from  %s\nto    %s\n", first, last);
        ks_buf_addf(&out, "head  %llu:", seq);
        ks_hex_add(&out, sum->head.hash, sizeof(sum->head.hash));
        ks_buf_add_str(&out, "\n");
        if (sum->unfinished > 0)
            ks_buf_addf(&out,
                        "note  the last %zu bytes are a record without an end: being written, or left by a crash; the "
                        "server had not answered it\n",
                        sum->unfinished);
    }
    if (out.err != 0 || ks_write_all(STDOUT_FILENO, out.data, out.len) != 0)
        return ks_fail(diag, KS_E_IO, "cannot write to standard output");
    return 0;
}

static int
verify(const struct options *o, const char *dir, struct ks_diag *diag)
{
    struct audit_summary sum;
    KS_TRY(audit_verify(dir, o->head.seq != 0 ? &o->head : NULL, &sum, diag));
    return print_verified(dir, &sum, o->json, diag);
}

/* show */

struct show {
    const struct options *o;
    bool colour;
    size_t skip;    /* matching records that are not to be printed */
    size_t matched; /* counting, when print is false */
    size_t shown;
    bool print;
    struct ks_buf out;
};

static const char *
text_of(const json_t *record, const char *name)
{
    const char *s = json_string_value(json_object_get(record, name));
    return s != NULL ? s : "";
}

/* Padded, never cut: the end of a name is what tells it from another. Records hold what strangers sent. */
static void
add_safe(struct ks_buf *out, const char *s, size_t width)
{
    for (size_t n = output_add_safe(out, s); n < width; n++)
        ks_buf_add_u8(out, ' ');
}

/* "2026-11-24" means all of that day, as does a minute or a second. */
static int
compare_time(const char *ts, const char *moment)
{
    return strncmp(ts, moment, strlen(moment));
}

static bool
matches(const struct options *o, const json_t *record)
{
    if (o->object != NULL && strcmp(o->object, text_of(record, "object")) != 0 &&
        strcmp(o->object, text_of(record, "name")) != 0)
        return false;
    const char *what = *text_of(record, "operation") != '\0' ? text_of(record, "operation") : text_of(record, "event");
    const char *ts = text_of(record, "ts");
    return (o->client == NULL || strcmp(o->client, text_of(record, "actor")) == 0) &&
           (o->operation == NULL || strcasecmp(o->operation, what) == 0) &&
           (!o->failed || strcmp(text_of(record, "status"), "success") != 0) &&
           (o->since == NULL || compare_time(ts, o->since) >= 0) &&
           (o->until == NULL || compare_time(ts, o->until) <= 0);
}

static bool
is_filtered(const struct options *o)
{
    return o->object != NULL || o->client != NULL || o->operation != NULL || o->failed || o->since != NULL ||
           o->until != NULL;
}

static void
add_details(struct ks_buf *out, const json_t *record)
{
    static const char *const names[] = {"reason", "form", "message"};
    const char *before = text_of(record, "state_before");
    const char *after = text_of(record, "state_after");
    if (*after != '\0') {
        ks_buf_add_u8(out, ' ');
        add_safe(out, before, 0);
        ks_buf_add_str(out, *before != '\0' ? "->" : "");
        add_safe(out, after, 0);
    }
    for (size_t i = 0; i < KS_ARRAY_LEN(names); i++) {
        const char *text = text_of(record, names[i]);
        if (*text != '\0') {
            ks_buf_add_u8(out, ' ');
            add_safe(out, text, 0);
        }
    }
}

/* Most records fit into 80 columns: only long names, and reasons, go beyond. */
enum { SEQ_WIDTH = 6, TIME_WIDTH = 19, ACTOR_WIDTH = 10, WHAT_WIDTH = 17, STATUS_WIDTH = 7 };

static void
add_row(struct show *s, const json_t *record)
{
    struct ks_buf *out = &s->out;
    char ts[20];
    snprintf(ts, sizeof(ts), "%s", text_of(record, "ts"));
    if (strlen(ts) > 10 && ts[10] == 'T')
        ts[10] = ' ';
    const char *operation = text_of(record, "operation");
    const char *name = text_of(record, "name");
    const char *status = text_of(record, "status");
    const bool failed = strcmp(status, "failed") == 0;
    ks_buf_addf(out, "%*lld ", SEQ_WIDTH, (long long)json_integer_value(json_object_get(record, "seq")));
    add_safe(out, ts, TIME_WIDTH);
    ks_buf_add_u8(out, ' ');
    add_safe(out, text_of(record, "actor"), ACTOR_WIDTH);
    ks_buf_add_u8(out, ' ');
    add_safe(out, *operation != '\0' ? operation : text_of(record, "event"), WHAT_WIDTH);
    ks_buf_add_u8(out, ' ');
    if (failed && s->colour)
        ks_buf_add_str(out, "\033[31m");
    add_safe(out, status, STATUS_WIDTH);
    if (failed && s->colour)
        ks_buf_add_str(out, "\033[0m");
    ks_buf_add_u8(out, ' ');
    add_safe(out, *name != '\0' ? name : text_of(record, "object"), 0);
    add_details(out, record);
    while (out->len > 0 && out->data[out->len - 1] == ' ')
        out->len--;
    ks_buf_add_u8(out, '\n');
}

static void
add_heading(struct show *s)
{
    ks_buf_addf(&s->out, "%s%*s %-*s %-*s %-*s %-*s %s%s\n", s->colour ? "\033[1m" : "", SEQ_WIDTH, "SEQ", TIME_WIDTH,
                "TIME (UTC)", ACTOR_WIDTH, "WHO", WHAT_WIDTH, "WHAT", STATUS_WIDTH, "RESULT", "OBJECT",
                s->colour ? "\033[0m" : "");
}

static int
flush(struct show *s)
{
    if (s->out.err != 0)
        return s->out.err;
    const int rc = ks_write_all(STDOUT_FILENO, s->out.data, s->out.len);
    ks_buf_reset(&s->out);
    return rc;
}

static int
show_line(void *arg, struct ks_span line, size_t number)
{
    (void)number;
    struct show *s = arg;
    json_t *record = json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES, NULL);
    /* What is no record is shown too, if all are: verify says what is wrong with it. */
    const bool match = record != NULL ? matches(s->o, record) : !is_filtered(s->o);
    int rc = 0;
    if (match && !s->print) {
        s->matched++;
    } else if (match && s->skip > 0) {
        s->skip--;
    } else if (match) {
        s->shown++;
        if (s->o->json) {
            ks_buf_add_span(&s->out, line);
            ks_buf_add_u8(&s->out, '\n');
        } else if (record != NULL) {
            add_row(s, record);
        } else {
            ks_buf_add_str(&s->out, "     ? damaged; see 'keystead audit verify'\n");
        }
        if (s->out.err != 0 || s->out.len > 65536)
            rc = flush(s);
    }
    json_decref(record);
    return rc;
}

/* The file to begin with so that the last N matching records are in it and those behind it; sets what to skip. */
static int
find_begin(struct show *s, const struct audit_files *files, size_t *ret, struct ks_diag *diag)
{
    size_t at = s->o->last == 0 ? 0 : files->n;
    s->print = false;
    s->matched = 0;
    while (at > 0 && s->matched < (size_t)s->o->last) {
        char name[AUDIT_NAME_LEN];
        audit_file_name(files->first + (uint32_t)--at, name);
        uint64_t whole;
        size_t rest;
        KS_TRY(audit_file_walk(files->dir, name, 0, show_line, s, &whole, &rest, diag));
    }
    s->print = true;
    s->skip = s->o->last != 0 && s->matched > (size_t)s->o->last ? s->matched - (size_t)s->o->last : 0;
    *ret = at;
    return 0;
}

/* New lines of the last file, then of the one that follows it. Ends by a signal, or when nobody reads any more. */
static int
follow(struct show *s, const struct audit_files *files, uint32_t number, uint64_t at, struct ks_diag *diag)
{
    for (;;) {
        char name[AUDIT_NAME_LEN];
        char next[AUDIT_NAME_LEN];
        struct stat st;
        audit_file_name(number, name);
        audit_file_name(number + 1, next);
        const bool ended = fstatat(files->dir, next, &st, 0) == 0; /* looked at first: the rest is read after it */
        if (fstatat(files->dir, name, &st, 0) == 0 && (uint64_t)st.st_size < at)
            at = (uint64_t)st.st_size; /* a group that could not be synced was cut back */
        uint64_t whole;
        size_t rest;
        KS_TRY(audit_file_walk(files->dir, name, at, show_line, s, &whole, &rest, diag));
        at += whole;
        if (flush(s) != 0)
            return 0;
        if (ended) {
            number++;
            at = 0;
        } else {
            const struct timespec pause = {.tv_nsec = 200000000};
            (void)nanosleep(&pause, NULL);
        }
    }
}

static void
close_files(struct audit_files *files)
{
    ks_closep(&files->dir);
}

static void
show_done(struct show *s)
{
    ks_buf_done(&s->out);
}

static int
show(const struct options *o, const char *dir, struct ks_diag *diag)
{
    KS_CLEANUP(close_files) struct audit_files files = {.dir = -1};
    KS_TRY(audit_files_open(dir, &files, diag));
    if (files.n == 0)
        return ks_fail(diag, KS_E_NOT_FOUND, "%s has no audit files (audit-000001.jsonl and so on)", dir);
    KS_CLEANUP(show_done) struct show s = {.o = o, .out = KS_BUF(16 << 20)};
    s.colour = isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == NULL;
    size_t begin;
    KS_TRY(find_begin(&s, &files, &begin, diag));
    if (!o->json)
        add_heading(&s);
    uint64_t whole = 0;
    for (size_t i = begin; i < files.n; i++) {
        char name[AUDIT_NAME_LEN];
        audit_file_name(files.first + (uint32_t)i, name);
        size_t rest;
        KS_TRY(audit_file_walk(files.dir, name, 0, show_line, &s, &whole, &rest, diag));
    }
    if (flush(&s) != 0)
        return ks_fail(diag, KS_E_IO, "cannot write to standard output");
    if (s.shown == 0 && is_filtered(o) && !o->follow)
        fprintf(stderr, "keystead audit: no record is like that\n");
    if (o->follow)
        return follow(&s, &files, files.first + (uint32_t)files.n - 1, whole, diag);
    return 0;
}

/* Options */

static bool
parse_head(const char *text, struct audit_head *ret)
{
    const char *colon = strchr(text, ':');
    int64_t seq;
    KS_CLEANUP(ks_buf_done) struct ks_buf hash = KS_BUF(64);
    if (colon == NULL || ks_parse_i64(KS_SPAN(text, (size_t)(colon - text)), 1, INT64_MAX, &seq) != 0 ||
        ks_hex_decode(ks_span_str(colon + 1), &hash) != 0 || hash.len != sizeof(ret->hash))
        return false;
    ret->seq = (uint64_t)seq;
    memcpy(ret->hash, hash.data, sizeof(ret->hash));
    return true;
}

enum { HELP = 256, SINCE, UNTIL };

/* A moment, or as much of the beginning of one as is known: not less than a day. */
static int
take_moment(const char *option, const char *text, const char **ret)
{
    static const char form[] = "2000-01-01T00:00:00Z";
    const size_t len = strlen(text);
    char whole[sizeof(form)];
    int64_t seconds;
    if (len >= 10 && len < sizeof(form)) {
        snprintf(whole, sizeof(whole), "%s%s", text, form + len);
        if (ks_time_parse(ks_span_str(whole), &seconds) == 0) {
            *ret = text;
            return 0;
        }
    }
    return command_usage("audit", "--%s: '%s' is no date; write 2026-11-24 or 2026-11-24T06:57:42", option, text);
}

/* One option; EXIT_USAGE if its value is wrong. */
static int
take_option(int c, struct options *o)
{
    switch (c) {
    case 'd':
        o->dir = optarg;
        return 0;
    case 'j':
        o->json = true;
        return 0;
    case 'f':
        o->follow = true;
        return 0;
    case 'o':
        o->object = optarg;
        return 0;
    case 'c':
        o->client = optarg;
        return 0;
    case 'w':
        o->operation = optarg;
        return 0;
    case 'x':
        o->failed = true;
        return 0;
    case SINCE:
        return take_moment("since", optarg, &o->since);
    case UNTIL:
        return take_moment("until", optarg, &o->until);
    case 'n':
        if (ks_parse_i64(ks_span_str(optarg), 0, INT32_MAX, &o->last) != 0)
            return command_usage("audit", "--last: '%s' is no number of records", optarg);
        return 0;
    case 'H':
        if (!parse_head(optarg, &o->head))
            return command_usage("audit", "--head: '%s' is not SEQ:HASH, as 'keystead audit verify' prints it", optarg);
        return 0;
    default: /* getopt_long has said what is wrong */
        return command_try_help("audit");
    }
}

static int
run(bool is_verify, const struct options *o)
{
    struct ks_diag diag = {0};
    char dir[PATH_MAX];
    if (find_folder(o->dir, dir, &diag) != 0)
        return command_usage("audit", "%s", ks_diag_text(&diag));
    if ((is_verify ? verify(o, dir, &diag) : show(o, dir, &diag)) == 0)
        return 0;
    if (is_verify && o->json) {
        KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(65536);
        ks_buf_add_str(&out, "{\"ok\":false,\"dir\":");
        ks_json_add_string(&out, ks_span_str(dir));
        ks_buf_add_str(&out, ",\"error\":");
        ks_json_add_string(&out, ks_span_str(ks_diag_text(&diag)));
        if (ks_buf_add_str(&out, "}\n") == 0 && ks_write_all(STDOUT_FILENO, out.data, out.len) == 0)
            return ks_err_exit_status(diag.code);
    }
    return command_failed("audit", &diag);
}

const struct option audit_verify_options[] = {{"dir", required_argument, NULL, 'd'},
                                              {"json", no_argument, NULL, 'j'},
                                              {"head", required_argument, NULL, 'H'},
                                              {"help", no_argument, NULL, HELP},
                                              {0}};

const struct option audit_show_options[] = {
    {"dir", required_argument, NULL, 'd'},       {"json", no_argument, NULL, 'j'},
    {"last", required_argument, NULL, 'n'},      {"follow", no_argument, NULL, 'f'},
    {"object", required_argument, NULL, 'o'},    {"client", required_argument, NULL, 'c'},
    {"operation", required_argument, NULL, 'w'}, {"failed", no_argument, NULL, 'x'},
    {"since", required_argument, NULL, SINCE},   {"until", required_argument, NULL, UNTIL},
    {"help", no_argument, NULL, HELP},           {0}};

int
cmd_audit(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    const bool is_verify = argc > 1 && strcmp(argv[1], "verify") == 0;
    if (!is_verify && !(argc > 1 && strcmp(argv[1], "show") == 0))
        return command_usage("audit", argc > 1 ? "there is no '%s'; say 'show' or 'verify'" : "say 'show' or 'verify'",
                             argv[1]);
    struct options o = {.last = 20};
    optind = 2;
    for (int c; (c = getopt_long(argc, argv, is_verify ? "d:jH:" : "d:jn:fo:c:w:x",
                                 is_verify ? audit_verify_options : audit_show_options, NULL)) != -1;) {
        if (c == HELP) {
            fputs(help, stdout);
            return 0;
        }
        const int rc = take_option(c, &o);
        if (rc != 0)
            return rc;
    }
    if (optind < argc && o.dir == NULL)
        o.dir = argv[optind++];
    if (optind < argc)
        return command_usage("audit", "'%s': one folder only", argv[optind]);
    return run(is_verify, &o);
}
