/* Finds a command in the table, takes its options apart, connects if it needs that, and runs it. */
#include "cli/cli.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/output.h"

/* What every command that connects takes too, and where its value goes. */
static const struct {
    struct cli_option option;
    size_t at;
} client_options[] = {
    {{"config", CLI_FILE, "FILE", "client configuration (default: see below)"}, offsetof(struct cli, config)},
    {{"dir", CLI_FOLDER, "DIR", "an instance's folder: connect as its administrator"}, offsetof(struct cli, dir)},
    {{"server", CLI_TEXT, "HOST:PORT", "this server rather than the configured ones"}, offsetof(struct cli, server)},
    {{"timeout", CLI_TEXT, "TIME", "for the whole request: 500ms, 10s, 2m (default 30s)"},
     offsetof(struct cli, timeout)},
    {{"ticket", CLI_FILE, "FILE", "show the ticket in FILE (keystead ticket)"}, offsetof(struct cli, ticket)},
};

const struct cli_option *
cli_client_option(size_t i)
{
    return i < KS_ARRAY_LEN(client_options) ? &client_options[i].option : NULL;
}

const char *
cli_value(const struct cli *cli, const char *option)
{
    for (size_t i = 0; i < cli->command->n_options; i++)
        if (strcmp(cli->command->options[i].name, option) == 0)
            return cli->values[i];
    fprintf(stderr, "keystead: %s has no option --%s\n", cli->command->name, option);
    abort();
}

int
cli_fail(struct cli *cli, int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): started just above */
    vsnprintf(cli->error.message, sizeof(cli->error.message), fmt, args);
    va_end(args);
    cli->error.code = code;
    return code;
}

int
cli_fail_diag(struct cli *cli, struct ks_diag *diag)
{
    return cli_fail(cli, diag->code, "%s", ks_diag_text(diag));
}

/* ---- Help ---- */

static void
print_option(const struct cli_option *option)
{
    char left[200];
    if (option->kind == CLI_FLAG)
        snprintf(left, sizeof(left), "--%s", option->name);
    else
        snprintf(left, sizeof(left), "--%s %s", option->name, option->value);
    printf("  %-26s %s%s\n", left, strlen(left) > 26 ? "\n                             " : "", option->help);
}

static int
print_help(const struct cli_command *command)
{
    printf("Usage: keystead %s%s%s [OPTION]...\n%c%s.\n", command->name, command->args[0] != '\0' ? " " : "",
           command->args, toupper((unsigned char)command->summary[0]), command->summary + 1);
    if (command->details != NULL)
        printf("\n%s\n", command->details);
    printf("\nOptions:\n");
    for (size_t i = 0; i < command->n_options; i++)
        print_option(&command->options[i]);
    print_option(&(struct cli_option){"json", CLI_FLAG, NULL, "print JSON for programs"});
    if (command->connects) {
        for (size_t i = 0; i < KS_ARRAY_LEN(client_options); i++)
            print_option(&client_options[i].option);
        printf("\nThe configuration is --config, else --dir, else $KEYSTEAD_CONFIG, else $KEYSTEAD_DIR, else\n"
               "~/.config/keystead/client.conf.\n");
    }
    printf("\nExamples:\n%s", command->examples);
    return output_flush() == 0 ? 0 : ks_err_exit_status(KS_E_IO);
}

static bool
in_group(const struct cli_command *command, const char *group, size_t len)
{
    return strncmp(command->name, group, len) == 0 && (command->name[len] == ' ' || command->name[len] == '\0');
}

void
cli_print_group(const char *group, FILE *to)
{
    for (size_t i = 0; i < cli_n_commands; i++)
        if (in_group(cli_commands[i], group, strlen(group)) && !cli_commands[i]->hidden)
            fprintf(to, "  %-22s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
}

static int
print_group(const char *group, FILE *to)
{
    fprintf(to, "Usage: keystead %s COMMAND [OPTION]... [ARGUMENT]...\n\nCommands:\n", group);
    cli_print_group(group, to);
    fprintf(to, "\n'keystead %s COMMAND --help' says more.\n", group);
    return to == stdout && output_flush() != 0 ? ks_err_exit_status(KS_E_IO) : 0;
}

/* ---- Parsing ---- */

/* Where the value of an option goes; NULL: there is no such option. */
static const char **
slot(struct cli *cli, const char *name, size_t len, enum cli_kind *ret_kind)
{
    const struct cli_command *command = cli->command;
    for (size_t i = 0; i < command->n_options; i++) {
        if (strlen(command->options[i].name) == len && strncmp(command->options[i].name, name, len) == 0) {
            *ret_kind = command->options[i].kind;
            return &cli->values[i];
        }
    }
    for (size_t i = 0; command->connects && i < KS_ARRAY_LEN(client_options); i++) {
        const struct cli_option *option = &client_options[i].option;
        if (strlen(option->name) == len && strncmp(option->name, name, len) == 0) {
            *ret_kind = option->kind;
            return (const char **)(void *)((char *)cli + client_options[i].at);
        }
    }
    return NULL;
}

/* One option, which may take argv[*i + 1] as its value. 0 or an exit status. */
static int
parse_option(struct cli *cli, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2;
    const size_t len = strcspn(name, "=");
    const char *value = name[len] == '=' ? name + len + 1 : NULL;
    enum cli_kind kind = CLI_FLAG;
    const char *json = NULL;
    const char **at = len == 4 && strncmp(name, "json", len) == 0 ? &json : slot(cli, name, len, &kind);
    if (at == NULL)
        return command_usage(cli->command->name, "there is no option --%.*s", (int)len, name);
    if (*at != NULL)
        return command_usage(cli->command->name, "--%.*s stands twice", (int)len, name);
    if (kind == CLI_FLAG) {
        if (value != NULL)
            return command_usage(cli->command->name, "--%.*s takes no value", (int)len, name);
        *at = "";
        cli->json = cli->json || json != NULL;
        return 0;
    }
    if (value == NULL) {
        if (*i + 1 >= argc)
            return command_usage(cli->command->name, "--%.*s needs a value", (int)len, name);
        value = argv[++*i];
    }
    *at = value;
    return 0;
}

/* 0 or an exit status; *ret_help: only help is wanted. argv begins behind the command's name. */
static int
parse(struct cli *cli, int argc, char **argv, bool *ret_help)
{
    bool options_end = false;
    for (int i = 0; i < argc; i++) {
        if (!options_end && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            *ret_help = true;
            return 0;
        }
        if (!options_end && strcmp(argv[i], "--") == 0) {
            options_end = true;
        } else if (!options_end && strncmp(argv[i], "--", 2) == 0) {
            const int status = parse_option(cli, argc, argv, &i);
            if (status != 0)
                return status;
        } else if (!options_end && argv[i][0] == '-' && argv[i][1] != '\0') {
            return command_usage(cli->command->name, "there is no option %s", argv[i]);
        } else if (cli->n_args == cli->command->max_args) {
            return command_usage(cli->command->name, "'%s' is one argument too many", argv[i]);
        } else {
            cli->args[cli->n_args++] = argv[i];
        }
    }
    if (cli->n_args < cli->command->min_args)
        return command_usage(cli->command->name, "expected: %s", cli->command->args);
    return 0;
}

int
cli_number(struct cli *cli, const char *option, int64_t least, int64_t most, int64_t fallback, int64_t *ret)
{
    const char *text = cli_value(cli, option);
    if (text == NULL) {
        *ret = fallback;
        return 0;
    }
    if (ks_parse_i64(ks_span_str(text), least, most, ret) != 0)
        return cli_fail(cli, KS_E_INVALID, "--%s: '%s' is no number from %lld to %lld", option, text, (long long)least,
                        (long long)most);
    return 0;
}

int
cli_duration(struct cli *cli, const char *option, int64_t fallback_s, int64_t *ret_s)
{
    static const struct {
        const char *unit;
        int64_t seconds;
    } units[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    const char *text = cli_value(cli, option);
    if (text == NULL) {
        *ret_s = fallback_s;
        return 0;
    }
    const size_t digits = strspn(text, "0123456789");
    int64_t n;
    for (size_t i = 0; i < KS_ARRAY_LEN(units); i++) {
        if (strcmp(text + digits, units[i].unit) == 0 &&
            ks_parse_i64(KS_SPAN(text, digits), 1, INT32_MAX / units[i].seconds, &n) == 0) {
            *ret_s = n * units[i].seconds;
            return 0;
        }
    }
    return cli_fail(cli, KS_E_INVALID, "--%s: '%s' is no duration; write 90s, 15m, 1h or 30d", option, text);
}

/* ---- Connecting ---- */

static void
config_freep(struct ks_client_config **config)
{
    ks_client_config_free(*config);
}

static void
freep(char **text)
{
    free(*text);
}

int
cli_read_ticket(struct cli *cli, const char *path, struct ks_buf *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(8192);
    struct ks_diag diag = {0};
    const bool standard = strcmp(path, "-") == 0;
    if ((standard ? command_read(path, &text, &diag) : ks_file_read_private(path, &text, &diag)) != 0)
        return cli_fail_diag(cli, &diag);
    if (ks_hex_decode(ks_buf_span(&text), ret) != 0 || ret->len == 0)
        return cli_fail(cli, KS_E_MALFORMED, "%s holds no ticket; write one with: keystead ticket create --out FILE",
                        path);
    return 0;
}

static int
connect_client(struct cli *cli)
{
    KS_CLEANUP(config_freep) struct ks_client_config *config = NULL;
    KS_CLEANUP(freep) char *path = cli_config_path(cli);
    if (path == NULL)
        return cli_fail(cli, KS_E_CONFIG, "no client configuration: give --config or --dir");
    if (ks_client_config_new(&config) != 0)
        return cli_fail(cli, KS_E_NOMEM, "out of memory");
    int rc = ks_client_config_load(config, path, &cli->error);
    if (rc == KS_E_NOT_FOUND)
        return cli_fail(cli, rc,
                        "there is no client configuration %s; give --dir DIR or --config FILE, or enrol with: "
                        "keystead client enroll TOKEN --server HOST:PORT",
                        path);
    KS_TRY(rc);
    if (cli->server != NULL)
        KS_TRY(ks_client_config_set(config, "servers", cli->server, &cli->error));
    if (cli->timeout != NULL)
        KS_TRY(ks_client_config_set(config, "request_timeout", cli->timeout, &cli->error));
    if (cli->command->draft)
        KS_TRY(ks_client_config_set(config, "versions", "3.0", &cli->error));
    if (cli->ticket != NULL) {
        KS_TRY(cli_read_ticket(cli, cli->ticket, &cli->shown));
        cli->call.ticket = (struct ks_bytes){cli->shown.data, cli->shown.len};
    }
    return ks_client_new(config, &cli->client, &cli->error);
}

/* ---- Output ---- */

int
cli_write(struct cli *cli, const char *path, struct ks_span data)
{
    struct ks_diag diag = {0};
    if (path != NULL && strcmp(path, "-") != 0)
        return ks_file_write(path, data, 0600, &diag) == 0 ? 0 : cli_fail_diag(cli, &diag);
    if (fwrite(data.data, 1, data.len, stdout) != data.len || output_flush() != 0)
        return cli_fail(cli, KS_E_IO, "cannot write to standard output");
    return 0;
}

int
cli_confirm(struct cli *cli, const char *question)
{
    if (isatty(STDIN_FILENO) != 1)
        return cli_fail(cli, KS_E_DENIED, "nobody is there to confirm this; if you are sure, say --yes");
    fprintf(stderr, "%s [y/N] ", question);
    char answer[16] = "";
    if (fgets(answer, sizeof(answer), stdin) == NULL || (answer[0] != 'y' && answer[0] != 'Y'))
        return cli_fail(cli, KS_E_CANCELLED, "nothing was done");
    return 0;
}

/* ---- Running ---- */

static int
run(struct cli *cli)
{
    int rc = cli->command->connects ? connect_client(cli) : 0;
    if (rc == 0)
        rc = cli->command->run(cli);
    ks_client_free(cli->client);
    ks_buf_done(&cli->shown);
    if (cli->command->draft && cli->error.result_reason == KMIP_RESULT_REASON_UNSUPPORTED_PROTOCOL_VERSION)
        rc = cli_fail(
            cli, KS_E_UNSUPPORTED,
            "this is of KMIP 3.0, a draft, which the server does not speak (a Keystead: kmip { version_3_0 })");
    if (rc == 0 && output_flush() != 0)
        rc = cli_fail(cli, KS_E_IO, "cannot write to standard output");
    if (rc != 0)
        return command_report(cli->command->name, rc,
                              cli->error.message[0] != '\0' ? cli->error.message : ks_err_text(rc));
    return 0;
}

/* The command with the most words that argv begins with; *ret_words is how many. */
static const struct cli_command *
find(int argc, char **argv, int *ret_words)
{
    const struct cli_command *found = NULL;
    *ret_words = 0;
    for (size_t i = 0; i < cli_n_commands; i++) {
        const char *name = cli_commands[i]->name;
        int words = 0;
        while (words < argc) {
            const size_t len = strlen(argv[words]);
            if (strncmp(name, argv[words], len) != 0 || (name[len] != ' ' && name[len] != '\0'))
                break;
            words++;
            if (name[len] == '\0') {
                if (words > *ret_words) {
                    found = cli_commands[i];
                    *ret_words = words;
                }
                break;
            }
            name += len + 1;
        }
    }
    return found;
}

/* No command: help about the group that argv is, "client" or "client token", or what is wrong with it. */
static int
no_command(int argc, char **argv)
{
    char words[128];
    size_t len = 0;
    int n = 0;
    for (; n < argc && argv[n][0] != '-'; n++) {
        const int more = snprintf(words + len, sizeof(words) - len, "%s%s", n > 0 ? " " : "", argv[n]);
        if (more < 0 || (size_t)more >= sizeof(words) - len)
            break;
        len += (size_t)more;
    }
    const bool help = n < argc && (strcmp(argv[n], "--help") == 0 || strcmp(argv[n], "-h") == 0);
    bool known = false;
    for (size_t i = 0; i < cli_n_commands; i++)
        known = known || in_group(cli_commands[i], words, len);
    if (!known || (n < argc && !help))
        return command_usage(argv[0], "there is no command '%s'", n < argc && known ? argv[n] : words);
    const int status = print_group(words, help ? stdout : stderr);
    return help ? status : EXIT_USAGE;
}

int
cli_main(int argc, char **argv)
{
    int words = 0;
    bool help = false;
    struct cli cli = {.command = find(argc, argv, &words), .shown = KS_BUF(4096)};
    if (cli.command == NULL)
        return no_command(argc, argv);
    const int status = parse(&cli, argc - words, argv + words, &help);
    if (help)
        return print_help(cli.command);
    return status != 0 ? status : run(&cli);
}
