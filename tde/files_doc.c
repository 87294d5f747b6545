/*
 * The documentation's table of files, from the rows:
 *
 *     tde_files                    prints docs/tde-files.md
 *     tde_files --check FILE       is FILE that? Exits 1 and says so if not
 *     tde_files --major N          reads paths from standard input, one a line, and prints "class path"
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "tde/classify.h"

static const char *const key_names[TDE_KEYS] = {"none", "relations", "WAL", "the rest", "temporary"};

static const char *
majors(const struct tde_file_row *row, char ret[16])
{
    if (row->first <= 15)
        return "all";
    snprintf(ret, 16, "%d on", row->first);
    return ret;
}

static void
rows_of(FILE *out, bool encrypted)
{
    char text[16];
    for (size_t i = 0; i < tde_file_rows_count; i++) {
        const struct tde_file_row *row = &tde_file_rows[i];
        const struct tde_class_row *class = &tde_classes[row->class];
        if (tde_is_encrypted(row->class) != encrypted)
            continue;
        char pattern[256];
        size_t n = 0;
        for (const char *p = row->pattern; *p != '\0' && n + 3 < sizeof(pattern); p++) {
            if (*p == '(' || *p == ')')
                continue;
            if (*p == '|') /* would end the cell */
                pattern[n++] = '\\';
            pattern[n++] = *p;
        }
        pattern[n] = '\0';
        const char *where = row->where == TDE_ROOT ? "" : row->where == TDE_ANYWHERE ? ".../" : "tablespace/";
        if (encrypted)
            fprintf(out, "| `%s%s` | %s | %s, %u | %s |\n", where, pattern, majors(row, text), key_names[class->key],
                    class->unit, row->text);
        else
            fprintf(out, "| `%s%s` | %s | %s |\n", where, pattern, majors(row, text), row->text);
    }
}

static void
print(FILE *out)
{
    fputs("# Files of an encrypted cluster\n\n"
          "Made from `tde/classify.def` by `build/tde/tde_files`; a test compares them. Paths are relative to the data "
          "directory; `.../` is any\ndirectory. `%d` is a number, `%h` hexadecimal, `%W` the name of a segment of WAL, "
          "`%S` that of a summary, `%r` the file of a relation\n(with its fork and segment), `%s` the name of a slot, "
          "`%n` any name, `%*` the rest of a path; `[...]` may be absent.\n\n"
          "## Encrypted\n\n"
          "| file | PostgreSQL | key, bytes of a unit | what is in it |\n| --- | --- | --- | --- |\n",
          out);
    rows_of(out, true);
    fputs("\n## In the clear\n\n| file | PostgreSQL | what is in it |\n| --- | --- | --- |\n", out);
    rows_of(out, false);
    fputs("\nA file in the data directory that no row knows is in the clear, and the server's log names it when it is "
          "made.\n",
          out);
}

static int
check(const char *path)
{
    char *want = NULL, *have;
    size_t n = 0;
    FILE *out = open_memstream(&want, &n), *in = fopen(path, "r");
    if (out == NULL || in == NULL) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return 2;
    }
    print(out);
    fclose(out);
    have = calloc(1, n + 2);
    const size_t got = have != NULL ? fread(have, 1, n + 1, in) : 0;
    fclose(in);
    const bool same = have != NULL && got == n && memcmp(have, want, n) == 0;
    free(have);
    free(want);
    if (!same)
        fprintf(stderr, "%s is not what the rows say; make it anew: build/tde/tde_files > %s\n", path, path);
    return same ? 0 : 1;
}

static int
classify(int major)
{
    char line[4096];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        struct tde_what what;
        line[strcspn(line, "\n")] = '\0';
        tde_classify(major, line, &what);
        printf("%s %s\n", tde_classes[what.class].name, line);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--check") == 0)
        return check(argv[2]);
    if (argc == 3 && strcmp(argv[1], "--major") == 0)
        return classify((int)strtol(argv[2], NULL, 10));
    print(stdout);
    return 0;
}
