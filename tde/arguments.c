#include "tde/arguments.h"

#include <string.h>

#include "base/attr.h"

static const char *const upgrade_values[] = {"--old-options", "--new-options", NULL};

static const struct tde_pair pairs[] = {
    {
        .program = "pg_upgrade",
        .options = {"bBdDjoOpPsU", upgrade_values},
        .first = {'D', "--new-datadir", 7},
        .second = {'d', "--old-datadir", 7},
        .first_variable = "PGDATANEW",
        .second_variable = "PGDATAOLD",
        .second_must = true,
        .sharing =
            {
                {{'k', "--link", 3}, true},
                {{0, "--clone", 4}, false},
                {{0, "--copy-file-range", 7}, false},
                {{0, "--swap", 4}, false},
            },
    },
    {
        .program = "pg_rewind",
        .options = {"D", NULL},
        .first = {'D', "--target-pgdata", 3},
        .second = {0, "--source-pgdata", 10},
    },
};

const struct tde_pair *
tde_pair_of(const char *program)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(pairs); i++)
        if (strcmp(pairs[i].program, program) == 0)
            return &pairs[i];
    return NULL;
}

const char *
tde_option_value(const char *option, const char *arg, const char *next)
{
    const size_t n = strlen(option);
    if (strncmp(arg, option, n) != 0)
        return NULL;
    if (arg[n] == '\0')
        return next;
    if (option[1] != '-')
        return arg + n;
    return arg[n] == '=' ? arg + n + 1 : NULL;
}

bool
tde_option_among(int argc, const char *const *argv, const char *const *words, size_t n)
{
    for (int i = 1; i < argc; i++)
        for (size_t w = 0; w < n; w++)
            if (strcmp(argv[i], words[w]) == 0)
                return true;
    return false;
}

static bool
is_long(const char *arg, const struct tde_option *option)
{
    const size_t n = strcspn(arg, "=");
    return n >= option->shortest && n <= strlen(option->name) && strncmp(arg, option->name, n) == 0;
}

static bool
is_one_of(const char *arg, const char *const *words)
{
    for (; words != NULL && *words != NULL; words++)
        if (strcmp(arg, *words) == 0)
            return true;
    return false;
}

/* Walks the command line: true if the option is given. ret_value: its last value, where it has one; may be NULL. */
static bool
walk(const struct tde_options *all, int argc, const char *const *argv, const struct tde_option *option,
     const char **ret_value)
{
    bool given = false;
    const char *value = NULL;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *next = i + 1 < argc ? argv[i + 1] : "";
        if (arg[0] != '-' || strcmp(arg, "--") == 0)
            continue;
        if (arg[1] == '-') {
            const char *equals = strchr(arg, '=');
            if (is_long(arg, option)) {
                given = true;
                value = equals != NULL ? equals + 1 : next;
            } else if (equals == NULL) {
                i += is_one_of(arg, all->values);
            }
            continue;
        }
        for (arg++; *arg != '\0'; arg++) {
            const bool ours = option->letter != 0 && *arg == option->letter;
            given = given || ours;
            if (strchr(all->letters, *arg) == NULL)
                continue;
            if (ours)
                value = arg[1] != '\0' ? arg + 1 : next;
            i += arg[1] == '\0'; /* its value is a word of its own */
            break;
        }
    }
    if (ret_value != NULL)
        *ret_value = value;
    return given;
}

const char *
tde_option_last(const struct tde_options *all, int argc, const char *const *argv, const struct tde_option *option)
{
    const char *value;
    return walk(all, argc, argv, option, &value) ? value : NULL;
}

bool
tde_option_given(const struct tde_options *all, int argc, const char *const *argv, const struct tde_option *option)
{
    return walk(all, argc, argv, option, NULL);
}

const char *
tde_pair_shares(const struct tde_pair *pair, int argc, const char *const *argv, bool same_keys)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(pair->sharing) && pair->sharing[i].option.name != NULL; i++)
        if (!(pair->sharing[i].with_same_keys && same_keys) &&
            tde_option_given(&pair->options, argc, argv, &pair->sharing[i].option))
            return pair->sharing[i].option.name;
    return NULL;
}

/* What is between quotes, at *at, which then is behind it; false: there is none, or it is longer. */
static bool
quoted(const char **at, char *ret, size_t size)
{
    if (**at != '"')
        return false;
    const char *from = *at + 1, *end = strchr(from, '"');
    if (end == NULL || (size_t)(end - from) >= size)
        return false;
    memcpy(ret, from, (size_t)(end - from));
    ret[end - from] = '\0';
    *at = end + 1;
    return true;
}

int
tde_pair_copies(const char *command, char *ret_from, char *ret_to, size_t size)
{
    static const char copy[] = "cp -Rf ";
    command += strspn(command, " ");
    if (strncmp(command, "cp ", 3) != 0)
        return 0;
    if (strncmp(command, copy, sizeof(copy) - 1) != 0)
        return -1;
    const char *at = command + sizeof(copy) - 1;
    if (!quoted(&at, ret_from, size) || *at++ != ' ' || !quoted(&at, ret_to, size))
        return -1;
    return *at == '\0' || *at == ' ' ? 1 : -1;
}
