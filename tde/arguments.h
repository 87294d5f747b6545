/* Command lines of PostgreSQL's programs, as far as the layer has to understand them. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The value of an option in any of its forms: -D dir, -Ddir, --pgdata dir, --pgdata=dir; NULL: arg is another one. */
const char *tde_option_value(const char *option, const char *arg, const char *next);

bool tde_option_among(int argc, const char *const *argv, const char *const *words, size_t n);

/*
 * An option of a program. getopt_long takes the beginning of a long name for the whole, if no other one begins so:
 * shortest is how many characters that takes, with the dashes.
 */
struct tde_option {
    char letter;      /* 0: none */
    const char *name; /* --long */
    size_t shortest;
};

struct tde_options {
    const char *letters; /* options of one letter that have a value, since those that have none may stand before it */
    const char *const *values; /* long options whose value may begin with a dash, up to NULL; NULL: there are none */
};

/* The last value of it that is given; NULL: it is not. */
const char *tde_option_last(const struct tde_options *all, int argc, const char *const *argv,
                            const struct tde_option *option);

/* An option without a value is given, in any of its forms. */
bool tde_option_given(const struct tde_options *all, int argc, const char *const *argv,
                      const struct tde_option *option);

/* ---- pg_upgrade and pg_rewind: two data directories ---- */

struct tde_pair {
    const char *program;
    struct tde_options options;
    struct tde_option first, second; /* what is written, what is read */
    const char *first_variable, *second_variable;
    bool second_must; /* without a second one it does nothing */
    /* Ways of it that share or move files instead of reading and writing them. */
    struct {
        struct tde_option option;
        bool with_same_keys; /* good where both have the same keys */
    } sharing[4];
};

const struct tde_pair *tde_pair_of(const char *program); /* NULL: it is none of them */

/* The option by which this command line shares files, where it must not; NULL: it does not. */
const char *tde_pair_shares(const struct tde_pair *pair, int argc, const char *const *argv, bool same_keys);

/*
 * The two folders of a command that pg_upgrade gives the shell, cp -Rf "FROM" "TO" >> ...; of size bytes each. 1: it is
 * that; 0: it is another command; -1: it copies, but not in this way.
 */
int tde_pair_copies(const char *command, char *ret_from, char *ret_to, size_t size);
