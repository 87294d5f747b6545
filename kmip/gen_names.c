/*
 * Run at build time: writes the sorted name tables that kmip/registry.c searches, so that the rows need no second,
 * sorted copy and the library no table that it fills in when first used.
 *
 * A name is entry = row * 2 + form, form 0 its specification text, 1 its XML name where that is another.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmip/registry_rows.h"

struct name {
    uint8_t set;
    const char *text;
    uint32_t value;
    unsigned entry;
};

static int
compare(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    if (x->set != y->set)
        return x->set < y->set ? -1 : 1;
    const int c = strcmp(x->text, y->text);
    return c != 0 ? c : (x->entry > y->entry) - (x->entry < y->entry);
}

/* Sorts, drops repetitions and refuses one name for two values. Returns what is left. */
static size_t
sort_names(struct name *names, size_t n)
{
    qsort(names, n, sizeof(names[0]), compare);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && names[kept - 1].set == names[i].set && strcmp(names[kept - 1].text, names[i].text) == 0) {
            if (names[kept - 1].value != names[i].value) {
                fprintf(stderr, "gen_names: \"%s\" names both 0x%" PRIX32 " and 0x%" PRIX32 "\n", names[i].text,
                        names[kept - 1].value, names[i].value);
                exit(1);
            }
            continue;
        }
        names[kept++] = names[i];
    }
    return kept;
}

static void
print_entries(const char *table, const struct name *names, size_t n)
{
    printf("static const uint16_t %s[] = {\n", table);
    for (size_t i = 0; i < n; i++)
        printf("    %u, /* %s */\n", names[i].entry, names[i].text);
    printf("};\n");
}

int
main(void)
{
    static struct name tags[2 * N_TAGS], values[2 * N_VALUES];
    size_t n_tags = 0, n_values = 0;
    for (unsigned i = 0; i < N_TAGS; i++) {
        tags[n_tags++] = (struct name){0, tag_rows[i].text, tag_rows[i].value, 2 * i};
        tags[n_tags++] = (struct name){0, tag_rows[i].xml, tag_rows[i].value, 2 * i + 1};
    }
    for (unsigned i = 0; i < N_VALUES; i++) {
        const struct value_row *row = &value_rows[i];
        values[n_values++] = (struct name){row->set, row->text, row->value, 2 * i};
        values[n_values++] = (struct name){row->set, row->xml, row->value, 2 * i + 1};
    }
    n_tags = sort_names(tags, n_tags);
    n_values = sort_names(values, n_values);

    printf("/* Made by kmip/gen_names.c from include/keystead/spec/. */\n");
    print_entries("tag_names", tags, n_tags);
    print_entries("value_names", values, n_values);
    printf("/* The names of set s are value_names[value_names_at[s]] up to, not including, [s + 1]. */\n");
    printf("static const uint16_t value_names_at[SET_COUNT + 1] = {");
    size_t at = 0;
    for (unsigned set = 0; set <= SET_COUNT; set++) {
        while (at < n_values && values[at].set < set)
            at++;
        printf("%zu, ", at);
    }
    printf("};\n");
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("gen_names");
        return 1;
    }
    return 0;
}
