/* keystead help: the overview, help about a command, and what exit statuses mean. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/command.h"
#include "cli/output.h"

const struct command *
command_find(const char *name)
{
    for (size_t i = 0; i < command_table_n; i++)
        if (strcmp(command_table[i].name, name) == 0)
            return &command_table[i];
    return NULL;
}

static void
print_overview(FILE *to)
{
    fprintf(to, "Usage: keystead COMMAND [OPTION]... [ARGUMENT]...\n"
                "The key manager for PostgreSQL: a KMIP server, its tools and a client.\n");
    const char *group = "";
    for (size_t i = 0; i < command_table_n; i++) {
        const struct command *command = &command_table[i];
        if (strcmp(command->group, group) != 0)
            fprintf(to, "\n%s:\n", command->group);
        group = command->group;
        if (command->run == cli_main)
            cli_print_group(command->name, to);
        else
            fprintf(to, "  %-22s %s\n", command->name, command->help);
    }
    fprintf(to, "\n'keystead COMMAND --help' says more. 'keystead --version' prints the version.\n"
                "KEYSTEAD_DIR names the instance for every command, KEYSTEAD_CONFIG a client.\n");
}

/* The statuses of the codes (base/err.h) in words; docs/cli.md has the same table. */
static const struct {
    int status;
    const char *meaning;
} statuses[] = {
    {0, "done"},
    {1, "the server refused (state, usage, parameters)"},
    {3, "no such object or file, or none that you may see"},
    {4, "the name is taken, or the file is there already"},
    {5, "not permitted"},
    {6, "the server is sealed"},
    {64, "wrong usage"},
    {65, "data that makes no sense"},
    {69, "no server could be reached, or it cannot do this"},
    {70, "a fault in the program: report it"},
    {71, "out of memory"},
    {74, "a file cannot be read or written"},
    {75, "no answer in time, in use by another, or interrupted: try again"},
    {76, "a certificate did not convince, or data was changed"},
    {78, "the configuration is wrong"},
};

static int
print_statuses(void)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(statuses); i++)
        printf("%3d  %s\n", statuses[i].status, statuses[i].meaning);
    return output_flush() == 0 ? 0 : ks_err_exit_status(KS_E_IO);
}

/* argc 0: keystead was started without a command. */
int
cmd_help(int argc, char **argv)
{
    static char option[] = "--help";
    enum { WORDS_MAX = 8 };
    if (argc < 2 || strcmp(argv[1], option) == 0 || strcmp(argv[1], "help") == 0) {
        print_overview(argc == 0 ? stderr : stdout);
        return argc == 0 ? EXIT_USAGE : 0;
    }
    if (strcmp(argv[1], "exit-codes") == 0)
        return print_statuses();
    const struct command *command = command_find(argv[1]);
    if (command == NULL)
        return command_usage("help", "there is no command '%s'", argv[1]);
    if (argc > WORDS_MAX)
        return command_usage("help", "'%s' is one argument too many", argv[WORDS_MAX]);
    /* "help key create" is "key create --help"; getopt's commands have one page for all. */
    char *words[WORDS_MAX + 1] = {NULL};
    int n = 0;
    while (n + 1 < argc && (n == 0 || command->run == cli_main)) {
        words[n] = argv[n + 1];
        n++;
    }
    words[n++] = option;
    return command->run(n, words);
}
