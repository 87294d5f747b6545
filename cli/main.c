/* keystead: finds the command and runs it. Rows stand in the order of the overview, a group together. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/output.h"

const struct command command_table[] = {
    {"Server", "init", "make a server's instance: certificates, root key, store", cmd_init, "", {init_options}},
    {"Server", "server", "run an instance's server", cmd_server, "", {server_options}},
    {"Server", "status", "show whether the server answers, and how it is", cli_main, NULL, {0}},
    {"Server", "ping", "ask whether the server answers this client", cli_main, NULL, {0}},
    {"Server", "query", "show what the server can do: versions, operations", cli_main, NULL, {0}},
    {"Server", "constraint", "what new objects must have", cli_main, NULL, {0}},
    {"Server", "default", "what new objects get where nothing is said", cli_main, NULL, {0}},
    {"Server", "unseal", "give the server the passphrase of its store", cli_main, NULL, {0}},
    {"Keys", "key", "create, use, rotate, revoke and destroy keys", cli_main, NULL, {0}},
    {"Keys", "cert", "issue, renew and validate certificates", cli_main, NULL, {0}},
    {"Keys", "suspend", "withdraw a key for a time", cli_main, NULL, {0}},
    {"Keys", "resume", "give a suspended key back: two administrators", cli_main, NULL, {0}},
    {"Keys", "hash", "have the server hash a file", cli_main, NULL, {0}},
    {"Keys", "random", "get random bytes from the server", cli_main, NULL, {0}},
    {"Keys", "seed", "add bytes to what the server's random numbers come of", cli_main, NULL, {0}},
    {"Keys", "request", "what the server was asked to do later", cli_main, NULL, {0}},
    {"PostgreSQL", "pg", "encrypted clusters", cli_main, NULL, {0}},
    {"Clients", "client", "let machines and people in, and out", cli_main, NULL, {0}},
    {"Clients", "ticket", "tickets, for oneself and for others", cli_main, NULL, {0}},
    {"Clients", "user", "users of KMIP 3.0", cli_main, NULL, {0}},
    {"Clients", "group", "groups of users", cli_main, NULL, {0}},
    {"Clients", "credential", "what users are known by", cli_main, NULL, {0}},
    {"Audit", "log", "put a line into the server's audit trail", cli_main, NULL, {0}},
    {"Audit",
     "audit",
     "show and verify the audit trail, from its files alone",
     cmd_audit,
     "show verify",
     {audit_show_options, audit_verify_options}},
    {"Tools", "ttlv", "show or convert KMIP messages in TTLV, JSON and XML", cmd_ttlv, "", {ttlv_options}},
    {"Tools", "conform", "run the published KMIP test cases against a server", cli_main, NULL, {0}},
    {"Tools", "interop", "mark where a test begins and ends", cli_main, NULL, {0}},
    {"Tools", "pkcs11", "call a function of PKCS#11 on the server", cli_main, NULL, {0}},
    {"Tools", "completion", "print the script that completes commands in a shell", cli_main, NULL, {0}},
    {"Tools", "help", "this; 'help COMMAND', 'help exit-codes'", cmd_help, "exit-codes", {0}},
};
const size_t command_table_n = KS_ARRAY_LEN(command_table);

int
command_report(const char *command, int code, const char *message)
{
    fprintf(stderr, "keystead %s: ", command);
    output_safe(stderr, message);
    fputc('\n', stderr);
    return ks_err_exit_status(code);
}

int
command_failed(const char *command, struct ks_diag *diag)
{
    return command_report(command, diag->code, ks_diag_text(diag));
}

int
command_try_help(const char *command)
{
    fprintf(stderr, "Try 'keystead %s --help'.\n", command);
    return EXIT_USAGE;
}

int
command_usage(const char *command, const char *fmt, ...)
{
    char message[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args); /* NOLINT(clang-analyzer-valist.Uninitialized): started above */
    va_end(args);
    (void)command_report(command, KS_E_INVALID, message);
    return command_try_help(command);
}

int
command_read(const char *path, struct ks_buf *buf, struct ks_diag *diag)
{
    if (strcmp(path, "-") == 0 && isatty(STDIN_FILENO) == 1)
        fprintf(stderr, "Reading from the terminal; end with Ctrl-D at the beginning of a line.\n");
    return ks_file_read(path, buf, diag);
}

int
main(int argc, char **argv)
{
    static char help[] = "help";
    static char getopt_name[64];
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        printf("keystead %s\n", KEYSTEAD_VERSION);
        return 0;
    }
    if (argc < 2)
        return cmd_help(0, NULL);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        argv[1] = help;
    const struct command *command = command_find(argv[1]);
    if (command == NULL) {
        fprintf(stderr, "keystead: there is no command '");
        output_safe(stderr, argv[1]);
        fprintf(stderr, "'.\nTry 'keystead help'.\n");
        return EXIT_USAGE;
    }
    if (command->run != cli_main) { /* getopt_long begins its messages with it */
        snprintf(getopt_name, sizeof(getopt_name), "keystead %s", command->name);
        argv[1] = getopt_name;
    }
    return command->run(argc - 1, argv + 1);
}
