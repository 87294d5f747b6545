#include "cli/pg_scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/pg_progress.h"
#include "tde/pg_control.h"

enum { SHOWN = 20 }; /* lines of a list for people; JSON has all that was kept */

static void
show(void *arg, uint64_t bytes, uint64_t all)
{
    pg_progress_show(arg, bytes, all);
}

int
pg_scan(struct cli *cli, const char *data, struct tde_clear *ret)
{
    struct ks_diag diag = {0};
    struct tde_control control = {0};
    char version[16];
    struct pg_progress progress;
    pg_version(data, version);
    *ret =
        (struct tde_clear){.data = data, .major = (int)strtol(version, NULL, 10), .progress = show, .arg = &progress};
    if (tde_control_read(data, &control, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    ret->catalog = control.catalog;
    pg_progress_begin(&progress, cli);
    const int rc = tde_clear_scan(ret, &diag);
    pg_progress_end(&progress);
    return rc == 0 ? 0 : cli_fail_diag(cli, &diag);
}

void
pg_scan_json(struct json *json, const struct tde_clear *scan)
{
    uint64_t clear = 0;
    json_open(json, "scan", '{');
    json_open(json, "classes", '[');
    for (size_t i = 0; i < TDE_CLASSES; i++) {
        const struct tde_clear_class *c = &scan->classes[i];
        if (c->files == 0)
            continue;
        clear += c->clear_files;
        json_open(json, NULL, '{');
        json_text(json, "class", tde_classes[i].name);
        json_bool(json, "encrypted", tde_is_encrypted((enum tde_class)i));
        json_number(json, "files", (int64_t)c->files);
        json_number(json, "bytes", (int64_t)c->bytes);
        json_number(json, "zero_bytes", (int64_t)c->zeros);
        json_number(json, "clear_files", (int64_t)c->clear_files);
        json_number(json, "clear_pieces", (int64_t)c->clear_pieces);
        json_close(json, '}');
    }
    json_close(json, ']');
    json_number(json, "clear_files", (int64_t)clear);
    json_open(json, "clear", '[');
    for (size_t i = 0; i < scan->n_findings; i++) {
        const struct tde_clear_finding *f = &scan->findings[i];
        json_open(json, NULL, '{');
        json_text(json, "path", f->path);
        json_text(json, "class", tde_classes[f->class].name);
        json_text(json, "what", f->what);
        json_number(json, "offset", (int64_t)f->offset);
        json_number(json, "pieces", (int64_t)f->pieces);
        json_close(json, '}');
    }
    json_close(json, ']');
    json_open(json, "unknown", '[');
    const char *path = (const char *)scan->unknown.data;
    for (size_t at = 0; at < scan->unknown.len; at += strlen(path + at) + 1)
        json_text(json, NULL, path + at);
    json_close(json, ']');
    json_close(json, '}');
}

static void
add_number(struct table *table, uint64_t number)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%ju", (uintmax_t)number);
    table_add(table, text);
}

static void
print_unknown(const struct tde_clear *scan)
{
    const char *path = (const char *)scan->unknown.data;
    size_t n = 0;
    if (scan->n_unknown != 0)
        printf("\nNot known to the layer, and so in the clear (docs/tde-files.md):\n");
    for (size_t at = 0; at < scan->unknown.len && n < SHOWN; at += strlen(path + at) + 1, n++) {
        printf("  ");
        output_safe(stdout, path + at);
        printf("\n");
    }
    if (scan->n_unknown > n)
        printf("  ... and %zu more\n", scan->n_unknown - n);
}

int
pg_scan_print(const struct tde_clear *scan)
{
    static const char *const columns[] = {"FILES ARE", "FILES", "MIB", "IN THE CLEAR", "WHAT THEY ARE"};
    KS_CLEANUP(table_done) struct table table = TABLE(columns);
    for (size_t i = 0; i < TDE_CLASSES; i++) {
        const struct tde_clear_class *c = &scan->classes[i];
        if (c->files == 0)
            continue;
        table_add(&table, tde_classes[i].name);
        add_number(&table, c->files);
        add_number(&table, c->bytes >> 20);
        if (tde_is_encrypted((enum tde_class)i))
            add_number(&table, c->clear_files);
        else
            table_add(&table, "by design");
        table_add(&table, i == TDE_CLEAR || i == TDE_UNKNOWN ? NULL : tde_classes[i].text);
    }
    printf("\n");
    KS_TRY(table_print(&table));
    if (scan->n_findings != 0)
        printf("\nIn the clear:\n");
    for (size_t i = 0; i < scan->n_findings && i < SHOWN; i++) {
        const struct tde_clear_finding *f = &scan->findings[i];
        printf("  ");
        output_safe(stdout, f->path);
        printf(": %s at %ju, %ju pieces\n", f->what, (uintmax_t)f->offset, (uintmax_t)f->pieces);
    }
    if (scan->n_findings > SHOWN)
        printf("  ... and more: see --json\n");
    print_unknown(scan);
    return 0;
}

int
pg_scan_verdict(struct cli *cli, const struct tde_clear *scan)
{
    uint64_t clear = 0;
    for (size_t i = 0; i < TDE_CLASSES; i++)
        clear += scan->classes[i].clear_files;
    if (clear == 0)
        return 0;
    return cli_fail(cli, KS_E_INTEGRITY,
                    "%ju files are in the clear that should be encrypted: were they copied here from a cluster that is "
                    "not?",
                    (uintmax_t)clear);
}
