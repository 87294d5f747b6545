/* keystead: finds the command and runs it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

const struct command command_table[] = {
    {"key", "create, use, rotate, revoke and destroy keys", cli_main},
    {"client", "let machines and people in, and out", cli_main},
    {"unseal", "give the server the passphrase of its store", cli_main},
    {"status", "show whether the server answers, and how it is", cli_main},
    {"audit", "verify and show the audit trail, from its files alone", cmd_audit},
    {"init", "make a server's instance: certificates, root key, store", cmd_init},
    {"server", "run an instance's server", cmd_server},
    {"ttlv", "show or convert KMIP messages in TTLV, JSON and XML", cmd_ttlv},
    {"completion", "print the script that completes commands in a shell", cli_main},
};
const size_t command_table_n = KS_ARRAY_LEN(command_table);

int
command_failed(const char *command, struct ks_diag *diag)
{
    fprintf(stderr, "keystead %s: %s\n", command, ks_diag_text(diag));
    return ks_err_exit_status(diag->code);
}

int
command_usage(const char *command, const char *fmt, ...)
{
    va_list args;
    fprintf(stderr, "keystead %s: ", command);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args); /* NOLINT(clang-analyzer-valist.Uninitialized): started just above */
    va_end(args);
    fprintf(stderr, "\nTry 'keystead %s --help'.\n", command);
    return EXIT_USAGE;
}

static const struct command *
find_command(const char *name)
{
    for (size_t i = 0; i < command_table_n; i++)
        if (strcmp(command_table[i].name, name) == 0)
            return &command_table[i];
    return NULL;
}

static void
print_help(FILE *to)
{
    fprintf(to, "Usage: keystead COMMAND [OPTION]... [ARGUMENT]...\n"
                "The key manager for PostgreSQL: a KMIP server, its tools and a client.\n\n"
                "Commands:\n");
    for (size_t i = 0; i < command_table_n; i++)
        fprintf(to, "  %-12s %s\n", command_table[i].name, command_table[i].help);
    fprintf(to, "\n'keystead COMMAND --help' says more. 'keystead --version' prints the version.\n");
}

int
main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0) {
        printf("keystead %s\n", KEYSTEAD_VERSION);
        return 0;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || (strcmp(name, "help") == 0 && argc == 2)) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(name, "help") == 0) {
        static char help[] = "--help";
        const struct command *about = find_command(argv[2]);
        char *args[] = {argv[2], help, NULL};
        if (about != NULL)
            return about->run(2, args);
        name = argv[2];
    }
    const struct command *command = find_command(name);
    if (command != NULL)
        return command->run(argc - 1, argv + 1);
    fprintf(stderr, "keystead: there is no command '%s'.\nTry 'keystead --help'.\n", name);
    return EXIT_USAGE;
}
