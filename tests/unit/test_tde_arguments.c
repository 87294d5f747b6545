/* Command lines of PostgreSQL's programs, as the layer reads them; which of two data directories a path is in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "tde/arguments.h"

enum { WORDS = 12 };

/* Words with one space between them; a "~" in them is a space. */
static int
split(const char *line, char room[512], const char *ret[WORDS])
{
    int n = 0;
    snprintf(room, 512, "%s", line);
    for (char *save, *word = strtok_r(room, " ", &save); word != NULL && n < WORDS - 1;
         word = strtok_r(NULL, " ", &save)) {
        for (char *p = word; *p != '\0'; p++)
            *p = *p == '~' ? ' ' : *p;
        ret[n++] = word;
    }
    ret[n] = NULL;
    return n;
}

static void
same(const char *got, const char *expected)
{
    if (expected == NULL)
        assert_null(got);
    else
        assert_string_equal(got, expected);
}

static void
test_folders(void **state)
{
    (void)state;
    static const struct {
        const char *line, *first, *second;
    } cases[] = {
        {"pg_upgrade -d /old -D /new", "/new", "/old"},
        {"pg_upgrade -d/old -D/new -b /b -B /c", "/new", "/old"},
        {"pg_upgrade -rd /old -krD /new", "/new", "/old"},
        {"pg_upgrade --old-datadir=/old --new-datadir /new", "/new", "/old"},
        {"pg_upgrade --old-d=/old --new-data /new", "/new", "/old"},
        {"pg_upgrade --old-b /old --new-bindir=/new", NULL, NULL},
        {"pg_upgrade -d /one -d /old -D /new", "/new", "/old"},
        {"pg_upgrade -o -d~/no -O -D~/no -d /old -D /new", "/new", "/old"},
        {"pg_upgrade --old-options -d/no --new-options -D/no -d /old", NULL, "/old"},
        {"pg_upgrade -U Dd -p 1 -j 2", NULL, NULL},
        {"pg_rewind -D /new --source-pgdata /old", "/new", "/old"},
        {"pg_rewind -nPD /new --source-p=/old", "/new", "/old"},
        {"pg_rewind --target-pgdata=/new --source-server=host=x", "/new", NULL},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        char room[512];
        const char *argv[WORDS];
        const int argc = split(cases[i].line, room, argv);
        const struct tde_pair *pair = tde_pair_of(argv[0]);
        assert_non_null(pair);
        same(tde_option_last(&pair->options, argc, argv, &pair->first), cases[i].first);
        same(tde_option_last(&pair->options, argc, argv, &pair->second), cases[i].second);
    }
    assert_null(tde_pair_of("pg_basebackup"));
}

static void
test_sharing(void **state)
{
    (void)state;
    static const struct {
        const char *line, *other_keys, *same_keys;
    } cases[] = {
        {"pg_upgrade -d /old -D /new", NULL, NULL},
        {"pg_upgrade --check --copy -c -d /old", NULL, NULL},
        {"pg_upgrade -k", "--link", NULL},
        {"pg_upgrade -ck", "--link", NULL},
        {"pg_upgrade --lin -d /old", "--link", NULL},
        {"pg_upgrade -d k -o -k -U k", NULL, NULL},
        {"pg_upgrade --clone", "--clone", "--clone"},
        {"pg_upgrade --copy-file-range", "--copy-file-range", "--copy-file-range"},
        {"pg_upgrade --swap --link", "--link", "--swap"},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        char room[512];
        const char *argv[WORDS];
        const int argc = split(cases[i].line, room, argv);
        same(tde_pair_shares(tde_pair_of("pg_upgrade"), argc, argv, false), cases[i].other_keys);
        same(tde_pair_shares(tde_pair_of("pg_upgrade"), argc, argv, true), cases[i].same_keys);
    }
    char room[512];
    const char *argv[WORDS];
    const int argc = split("pg_rewind -k --link", room, argv);
    assert_null(tde_pair_shares(tde_pair_of("pg_rewind"), argc, argv, false));
}

static void
test_copies(void **state)
{
    (void)state;
    static const struct {
        const char *command;
        int result;
    } cases[] = {
        {"cp -Rf \"/o d/pg_xact\" \"/new/pg_xact\" >> \"/new/log\" 2>&1", 1},
        {"cp -Rf \"/o d/pg_xact\" \"/new/pg_xact\"", 1},
        {"\"/bin/pg_dump\" --schema-only", 0},
        {"cpio", 0},
        {"", 0},
        {"cp -a \"/o d/pg_xact\" \"/new/pg_xact\"", -1},
        {"cp -Rf /old/pg_xact /new/pg_xact", -1},
        {"cp -Rf \"/old/pg_xact\"", -1},
        {"cp -Rf \"/o d/pg_xact\" \"/new/pg_xact", -1},
        {"cp -Rf \"/o d/pg_xact\" \"/new/pg_xact\"more", -1},
        {"cp -Rf \"/a/longer/path/than/there/is/room/for/it\" \"/new\"", -1},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        char from[32] = "", to[32] = "";
        assert_int_equal(tde_pair_copies(cases[i].command, from, to, sizeof(from)), cases[i].result);
        if (cases[i].result != 1)
            continue;
        assert_string_equal(from, "/o d/pg_xact");
        assert_string_equal(to, "/new/pg_xact");
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
