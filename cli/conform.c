/* keystead conform: runs the published test cases against any KMIP server. */
#include <dirent.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "client/config.h"
#include "conform/carry.h"

enum { MAX_CASES = 16384, MAX_ROWS = 64, MAX_VERSIONS = 16, VERDICTS = 4 };

/* What is counted of a family (a row) in a version (a column). */
struct tally {
    char family[MAX_ROWS][16], version[MAX_VERSIONS][8];
    unsigned n[MAX_ROWS][MAX_VERSIONS][VERDICTS];
    size_t n_families, n_versions;
    unsigned total[VERDICTS];
};

struct paths {
    char **v;
    size_t n;
};

static void
paths_done(struct paths *paths)
{
    for (size_t i = 0; i < paths->n; i++)
        free(paths->v[i]);
    free(paths->v);
}

static size_t
find_or_add(char (*names)[16], size_t *n, size_t most, const char *name)
{
    for (size_t i = 0; i < *n; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    if (*n == most)
        return most - 1;
    snprintf(names[*n], 16, "%s", name);
    return (*n)++;
}

static void
count(struct tally *tally, const struct conform_case *c, enum conform_verdict verdict)
{
    const size_t row = find_or_add(tally->family, &tally->n_families, MAX_ROWS, c->family);
    size_t column = 0;
    while (column < tally->n_versions && strcmp(tally->version[column], c->version) != 0)
        column++;
    if (column == tally->n_versions && tally->n_versions < MAX_VERSIONS - 1)
        snprintf(tally->version[tally->n_versions++], sizeof(tally->version[0]), "%s", c->version);
    tally->n[row][column][verdict]++;
    tally->total[verdict]++;
}

/* ---- Which cases ---- */

/* "M-2" before "M-10", and a folder's files together. */
static int
natural(const char *a, const char *b)
{
    while (*a != '\0' && *b != '\0') {
        if (*a >= '0' && *a <= '9' && *b >= '0' && *b <= '9') {
            const size_t n = strspn(a, "0123456789"), m = strspn(b, "0123456789");
            const int c = n != m ? (n < m ? -1 : 1) : strncmp(a, b, n);
            if (c != 0)
                return c;
            a += n;
            b += m;
        } else if (*a != *b) {
            return *a < *b ? -1 : 1;
        } else {
            a++;
            b++;
        }
    }
    return *a == *b ? 0 : *a == '\0' ? -1 : 1;
}

static int
by_name(const void *a, const void *b)
{
    return natural(*(char *const *)a, *(char *const *)b);
}

static bool
is_wanted(const struct cli *cli, const char *name)
{
    bool wanted = cli->n_args == 1;
    char pattern[256];
    for (size_t i = 1; i < cli->n_args && !wanted; i++) {
        snprintf(pattern, sizeof(pattern), "%s.xml", cli->args[i]);
        wanted = fnmatch(pattern, name, 0) == 0 || fnmatch(cli->args[i], name, 0) == 0;
    }
    return wanted;
}

static int
find_cases(struct cli *cli, const char *folder, unsigned depth, struct paths *paths)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return cli_fail(cli, KS_E_NOT_FOUND, "cannot open the folder %s", folder);
    int rc = 0;
    for (const struct dirent *e; rc == 0 && (e = readdir(dir)) != NULL;) {
        struct stat st;
        char *path = NULL;
        if (e->d_name[0] == '.')
            continue;
        if (asprintf(&path, "%s/%s", folder, e->d_name) < 0) {
            rc = KS_E_NOMEM;
        } else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode) && depth < 4) {
            rc = find_cases(cli, path, depth + 1, paths);
        } else if (fnmatch("*.xml", e->d_name, 0) == 0 && is_wanted(cli, e->d_name) && paths->n < MAX_CASES) {
            paths->v[paths->n++] = path;
            path = NULL;
        }
        free(path);
    }
    (void)closedir(dir);
    return rc;
}

/* Whether a comma-separated list names it; no list names all. */
static bool
is_listed(const char *list, const char *name)
{
    const size_t len = strlen(name);
    for (const char *p = list; p != NULL; p = strchr(p, ',')) {
        p += *p == ',';
        if (strncasecmp(p, name, len) == 0 && (p[len] == ',' || p[len] == '\0'))
            return true;
    }
    return list == NULL;
}

/* ---- What is printed ---- */

static void
print_case(const struct cli *cli, const struct conform_case *c, const struct conform_result *r)
{
    if (r->verdict == CONFORM_PASS && !cli_flag(cli, "verbose"))
        return;
    printf("%-5s %s %s", conform_verdict_name(r->verdict), c->version, c->name);
    const struct conform_finding *f = r->first;
    for (size_t n = 0; f != NULL && (n == 0 || cli_flag(cli, "verbose")); f = f->next, n++) {
        printf("\n      step %zu (%s) %s: expected ", f->step, f->operation, f->path);
        output_safe(stdout, f->expected);
        printf(", got ");
        output_safe(stdout, f->got);
    }
    if (r->reason != NULL) {
        printf("\n      ");
        output_safe(stdout, r->reason);
    }
    putchar('\n');
    (void)fflush(stdout);
}

static void
add_json(struct json *json, const struct conform_case *c, const struct conform_result *r)
{
    json_open(json, NULL, '{');
    json_text(json, "name", c->name);
    json_text(json, "version", c->version);
    json_text(json, "family", c->family);
    json_text(json, "verdict", conform_verdict_name(r->verdict));
    json_text(json, "reason", r->reason);
    json_open(json, "differences", '[');
    for (const struct conform_finding *f = r->first; f != NULL; f = f->next) {
        json_open(json, NULL, '{');
        json_number(json, "step", (int64_t)f->step);
        json_text(json, "operation", f->operation);
        json_text(json, "path", f->path);
        json_text(json, "expected", f->expected);
        json_text(json, "got", f->got);
        json_close(json, '}');
    }
    json_close(json, ']');
    json_close(json, '}');
}

static int
print_tally(const struct tally *t)
{
    const char *columns[MAX_VERSIONS + 1] = {"Family"};
    for (size_t i = 0; i < t->n_versions; i++)
        columns[i + 1] = t->version[i];
    KS_CLEANUP(table_done) struct table table = {columns, t->n_versions + 1, KS_BUF(1 << 20), 0};
    for (size_t row = 0; row < t->n_families; row++) {
        table_add(&table, t->family[row]);
        for (size_t column = 0; column < t->n_versions; column++) {
            const unsigned *n = t->n[row][column];
            char cell[64];
            snprintf(cell, sizeof(cell), "%u/%u", n[CONFORM_PASS],
                     n[CONFORM_PASS] + n[CONFORM_FAIL] + n[CONFORM_ERROR]);
            table_add(&table, n[0] + n[1] + n[2] + n[3] == 0 ? NULL : cell);
        }
    }
    printf("\nCases that pass, of those that were run:\n\n");
    KS_TRY(table_print(&table));
    printf("\n%u passed, %u failed, %u without an answer that could be read, %u skipped\n", t->total[CONFORM_PASS],
           t->total[CONFORM_FAIL], t->total[CONFORM_ERROR], t->total[CONFORM_SKIP]);
    return output_flush();
}

/* ---- The run ---- */

static int
run_one(struct cli *cli, struct conform_run *run, const char *path, struct tally *tally, struct json *json)
{
    KS_CLEANUP(conform_case_freep) struct conform_case *c = NULL;
    struct ks_diag diag = {0};
    if (conform_case_load(path, &c, &diag) != 0) {
        fprintf(stderr, "keystead conform: %s: %s\n", path, ks_diag_text(&diag));
        return 0;
    }
    if (!is_listed(cli_value(cli, "version"), c->version) || !is_listed(cli_value(cli, "family"), c->family))
        return 0;
    struct conform_result result;
    const int rc = conform_run_case(run, c, &result);
    if (rc == 0) {
        count(tally, c, result.verdict);
        if (cli->json)
            add_json(json, c, &result);
        else
            print_case(cli, c, &result);
    }
    conform_result_done(&result);
    return rc == 0 ? 0 : cli_fail(cli, rc, "%s: %s", c->name, ks_err_text(rc));
}

static int
set(struct cli *cli, struct ks_client_config *config, const char *name, const char *value)
{
    return value != NULL ? ks_client_config_set(config, name, value, &cli->error) : 0;
}

/* The configuration of client A, or of another letter: "B=CERTIFICATE,KEY". */
static int
configure(struct cli *cli, const char *certificate, const char *key, struct ks_client_config **ret)
{
    struct ks_client_config *config = NULL;
    if (ks_client_config_new(&config) != 0)
        return cli_fail(cli, KS_E_NOMEM, "out of memory");
    const char *const from = cli_value(cli, "config");
    int rc = from != NULL ? ks_client_config_load(config, from, &cli->error) : 0;
    if (rc == 0)
        rc = set(cli, config, "servers", cli->args[0]);
    if (rc == 0)
        rc = set(cli, config, "ca", cli_value(cli, "ca"));
    if (rc == 0)
        rc = set(cli, config, "certificate", certificate);
    if (rc == 0)
        rc = set(cli, config, "key", key);
    if (rc == 0)
        rc = set(cli, config, "server_name", cli_value(cli, "server-name"));
    if (rc != 0) {
        ks_client_config_free(config);
        return rc;
    }
    *ret = config;
    return 0;
}

static int
configure_other(struct cli *cli, const char *option, size_t letter, struct ks_client_config **configs)
{
    const char *const files = cli_value(cli, option);
    if (files == NULL)
        return 0;
    const char *const comma = strchr(files, ',');
    if (comma == NULL)
        return cli_fail(cli, KS_E_INVALID, "--%s: write CERTIFICATE,KEY", option);
    char *certificate = strndup(files, (size_t)(comma - files));
    if (certificate == NULL)
        return cli_fail(cli, KS_E_NOMEM, "out of memory");
    const int rc = configure(cli, certificate, comma + 1, &configs[letter]);
    free(certificate);
    return rc;
}

static int
run_all(struct cli *cli, struct carry *carry, const struct paths *paths)
{
    struct tally *tally = calloc(1, sizeof(*tally));
    KS_CLEANUP(json_done) struct json json = JSON;
    struct conform_run run = {.exchange = &carry->base, .provenance = {KS_BUF(64 << 20), KS_BUF(64 << 20)}};
    if (tally == NULL)
        return cli_fail(cli, KS_E_NOMEM, "out of memory");
    int rc = cli_number(cli, "date-tolerance", 0, 86400, 30, &run.tolerance);
    run.started = ks_clock_us() / 1000000;
    json_open(&json, NULL, '{');
    json_text(&json, "server", cli->args[0]);
    json_open(&json, "cases", '[');
    for (size_t i = 0; rc == 0 && i < paths->n; i++) {
        if (isatty(STDERR_FILENO) != 0)
            fprintf(stderr, "\r%zu of %zu\r", i + 1, paths->n);
        rc = run_one(cli, &run, paths->v[i], tally, &json);
    }
    json_close(&json, ']');
    json_close(&json, '}');
    if (rc == 0)
        rc = cli->json ? output_json(&json) : print_tally(tally);
    if (rc == 0 && tally->total[CONFORM_FAIL] + tally->total[CONFORM_ERROR] != 0)
        rc = cli_fail(cli, KS_E_KMIP, "%u of %u cases do not pass",
                      tally->total[CONFORM_FAIL] + tally->total[CONFORM_ERROR],
                      tally->total[CONFORM_FAIL] + tally->total[CONFORM_ERROR] + tally->total[CONFORM_PASS]);
    conform_run_done(&run);
    free(tally);
    return rc;
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(paths_done) struct paths paths = {calloc(MAX_CASES, sizeof(char *)), 0};
    struct ks_client_config *configs[CARRY_CLIENTS] = {NULL};
    struct carry carry;
    carry_init(&carry);
    carry.https_port = cli_value(cli, "https-port");
    if (paths.v == NULL)
        return cli_fail(cli, KS_E_NOMEM, "out of memory");
    int rc = cli_duration(cli, "timeout", 10, &carry.timeout_ms);
    carry.timeout_ms *= 1000;
    if (rc == 0)
        rc = find_cases(cli, cli_value(cli, "cases") != NULL ? cli_value(cli, "cases") : ".", 0, &paths);
    if (rc == 0 && paths.n == 0)
        rc = cli_fail(cli, KS_E_NOT_FOUND, "there are no such cases in %s; --cases names their folder",
                      cli_value(cli, "cases") != NULL ? cli_value(cli, "cases") : "this folder");
    if (rc == 0)
        rc = configure(cli, cli_value(cli, "cert"), cli_value(cli, "key"), &configs[0]);
    if (rc == 0)
        rc = configure_other(cli, "client-b", 1, configs);
    if (rc == 0)
        rc = configure_other(cli, "client-c", 2, configs);
    for (size_t i = 0; i < CARRY_CLIENTS; i++)
        carry.config[i] = configs[i];
    qsort(paths.v, paths.n, sizeof(paths.v[0]), by_name);
    if (rc == 0)
        rc = run_all(cli, &carry, &paths);
    carry_done(&carry);
    for (size_t i = 0; i < CARRY_CLIENTS; i++)
        ks_client_config_free(configs[i]);
    return rc;
}

static const struct cli_option options[] = {
    {"cases", CLI_FOLDER, "FOLDER", "folder of the cases, *.xml; subfolders too (default: this folder)"},
    {"version", CLI_TEXT, "VERSIONS", "only cases of these versions of KMIP: 1.4,2.1"},
    {"family", CLI_TEXT, "FAMILIES", "only these families: SKLC,TC"},
    {"config", CLI_FILE, "FILE", "a client's configuration, in place of the four below"},
    {"ca", CLI_FILE, "FILE", "PEM of the authority that the server's certificate comes from"},
    {"cert", CLI_FILE, "FILE", "PEM of the client's certificate"},
    {"key", CLI_FILE, "FILE", "PEM of its private key"},
    {"server-name", CLI_TEXT, "NAME", "name in the server's certificate, if it is not HOST"},
    {"client-b", CLI_TEXT, "CERT,KEY", "certificate and key of the second client, in cases that have one"},
    {"client-c", CLI_TEXT, "CERT,KEY", "and of the third"},
    {"https-port", CLI_TEXT, "PORT", "port of KMIP over HTTPS, for cases that need it"},
    {"date-tolerance", CLI_TEXT, "SECONDS", "how far dates may be off (default 30)"},
    {"timeout", CLI_TEXT, "DURATION", "for one message (default 10s)"},
    {"verbose", CLI_FLAG, NULL, "all differences, and the cases that pass"},
};

const struct cli_command cli_conform = {
    .name = "conform",
    .args = "HOST[:PORT] [CASE]...",
    .min_args = 1,
    .max_args = CLI_MAX_ARGS,
    .arg_kind = CLI_TEXT,
    .summary = "run the published KMIP test cases against a server",
    .details =
        "Runs the test cases that OASIS publishes with the KMIP Profiles and the KMIP Test Cases, in XML, against any\n"
        "KMIP server and says where its answers differ. What may differ is what the Profiles permit. CASE is a name "
        "or\n"
        "a pattern. Cases leave objects behind where they fail, and some build on others: use an empty server that\n"
        "holds nothing of value. Some cases can not be run, since the server would have to call the client.",
    .examples = "  keystead conform kms.example.com --cases kmip-cases --ca ca.pem --cert me.pem --key me.key\n"
                "  keystead conform localhost --cases kmip-cases --config client.conf --version 2.1 --family SKLC,BL\n"
                "  keystead conform localhost --cases kmip-cases --config client.conf 'TC-SJ-*' --verbose\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
