/*
 * keystead completion: scripts for shells, written from the tables of commands.
 *
 * A command's words are a path: "key", "key create". For each path that is no command yet the script knows the next
 * words; for each command its options, and for each option what its value may be.
 */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/command.h"
#include "cli/output.h"

/* What every command takes beside its own, and those that connect. */
static const struct cli_option everywhere[] = {
    {"json", CLI_FLAG, NULL, "print JSON for programs"},
    {"help", CLI_FLAG, NULL, "show help"},
};

typedef void option_fn(const struct cli_command *command, const struct cli_option *option);

static void
each_option(const struct cli_command *command, option_fn *fn)
{
    for (size_t i = 0; i < command->n_options; i++)
        fn(command, &command->options[i]);
    size_t n = 0;
    for (const struct cli_option *option; command->connects && (option = cli_client_option(n)) != NULL; n++)
        fn(command, option);
    for (size_t i = 0; i < KS_ARRAY_LEN(everywhere); i++)
        fn(command, &everywhere[i]);
}

/* Whether the first `words` words of two names are the same. */
static bool
same_start(const char *a, const char *b, size_t len)
{
    return strncmp(a, b, len) == 0 && (a[len] == ' ' || a[len] == '\0') && (b[len] == ' ' || b[len] == '\0');
}

typedef void path_fn(const char *path, size_t len, size_t first);

/* Each path once: "key", "key create", "client", "client token", ...; first is the first command that has it. */
static void
each_path(path_fn *fn)
{
    for (size_t i = 0; i < cli_n_commands; i++) {
        const char *name = cli_commands[i]->name;
        for (size_t len = strcspn(name, " ");; len += 1 + strcspn(name + len + 1, " ")) {
            size_t first = 0;
            while (!same_start(cli_commands[first]->name, name, len))
                first++;
            if (first == i)
                fn(name, len, i);
            if (name[len] == '\0')
                break;
        }
    }
}

/* The words that may follow a path, separated by blanks. */
static void
print_next_words(const char *path, size_t len)
{
    const char *last = "";
    size_t last_len = 0;
    for (size_t i = 0; i < cli_n_commands; i++) {
        const char *name = cli_commands[i]->name;
        if (cli_commands[i]->hidden || (len > 0 && (!same_start(name, path, len) || name[len] == '\0')))
            continue;
        const char *word = len > 0 ? name + len + 1 : name;
        const size_t n = strcspn(word, " ");
        if (n == last_len && strncmp(word, last, n) == 0)
            continue; /* commands of a group stand together */
        printf("%s%.*s", last_len > 0 ? " " : "", (int)n, word);
        last = word;
        last_len = n;
    }
}

/* Commands that getopt_long takes apart. */
typedef void other_fn(const struct command *command);

static void
each_other_command(other_fn *fn)
{
    for (size_t i = 0; i < command_table_n; i++)
        if (command_table[i].run != cli_main)
            fn(&command_table[i]);
}

static void
print_name(const struct command *command)
{
    printf(" %s", command->name);
}

static void
print_all_names(void)
{
    print_next_words("", 0);
    each_other_command(print_name);
}

/* What may stand behind the name: 'help' is followed by any of the names, too. */
static void
print_words(const struct command *command)
{
    printf("%s", command->words);
    if (command->run == cmd_help) {
        (void)putchar(' ');
        print_all_names();
    }
}

/* "raw|hex|pem" with blanks. */
static void
print_choices(const char *choices)
{
    for (; *choices != '\0'; choices++)
        (void)putchar(*choices == '|' ? ' ' : *choices);
}

/* ---- bash ---- */

static void
bash_path(const char *path, size_t len, size_t first)
{
    (void)first;
    printf("        \" %.*s\") path=\" %.*s\" ;;\n", (int)len, path, (int)len, path);
}

static void
bash_words(const char *path, size_t len, size_t first)
{
    if (cli_commands[first]->name[len] == '\0')
        return; /* a command: its options follow */
    printf("    \" %.*s\") COMPREPLY=($(compgen -W \"", (int)len, path);
    print_next_words(path, len);
    printf("\" -- \"$cur\")) ;;\n");
}

static void
bash_option(const struct cli_command *command, const struct cli_option *option)
{
    (void)command;
    printf("--%s ", option->name);
}

static void
bash_value(const struct cli_command *command, const struct cli_option *option)
{
    switch (option->kind) {
    case CLI_FLAG:
        return;
    case CLI_CHOICE:
        printf("    \" %s --%s\") COMPREPLY=($(compgen -W \"", command->name, option->name);
        print_choices(option->value);
        printf("\" -- \"$cur\")); return ;;\n");
        return;
    case CLI_FILE:
        printf("    \" %s --%s\") COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n", command->name, option->name);
        return;
    case CLI_FOLDER:
        printf("    \" %s --%s\") COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n", command->name, option->name);
        return;
    case CLI_TEXT:
        printf("    \" %s --%s\") return ;;\n", command->name, option->name);
        return;
    }
}

static void
bash_command(const struct cli_command *command)
{
    printf("    \" %s\")\n        if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W \"", command->name);
    each_option(command, bash_option);
    printf("\" -- \"$cur\"))\n");
    if (command->arg_kind == CLI_CHOICE) {
        printf("        else COMPREPLY=($(compgen -W \"");
        print_choices(command->arg_choices);
        printf("\" -- \"$cur\"))\n");
    }
    printf("        fi ;;\n");
}

static void
bash_other_path(const struct command *command)
{
    printf("        \" %s\") path=\" %s\" ;;\n", command->name, command->name);
}

static void
bash_other(const struct command *command)
{
    printf("    \" %s\")\n        if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W \"", command->name);
    for (size_t i = 0; i < KS_ARRAY_LEN(command->options); i++)
        for (const struct option *o = command->options[i]; o != NULL && o->name != NULL; o++)
            printf("--%s ", o->name);
    printf("\" -- \"$cur\"))\n        elif ((COMP_CWORD == 2)); then COMPREPLY=($(compgen -W \"");
    print_words(command);
    printf("\" -- \"$cur\"))\n        fi ;;\n");
}

static void
print_bash(void)
{
    printf("_keystead() {\n"
           "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" path='' word i\n"
           "    COMPREPLY=()\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        word=\"$path ${COMP_WORDS[i]}\"\n"
           "        case \"$word\" in\n");
    each_path(bash_path);
    each_other_command(bash_other_path);
    printf("        esac\n"
           "    done\n"
           "    case \"$path ${COMP_WORDS[COMP_CWORD - 1]}\" in\n");
    for (size_t i = 0; i < cli_n_commands; i++)
        each_option(cli_commands[i], bash_value);
    printf("    esac\n"
           "    case \"$path\" in\n"
           "    '') COMPREPLY=($(compgen -W \"");
    print_all_names();
    printf("\" -- \"$cur\")) ;;\n");
    each_path(bash_words);
    for (size_t i = 0; i < cli_n_commands; i++)
        bash_command(cli_commands[i]);
    each_other_command(bash_other);
    printf("    esac\n"
           "}\n"
           "complete -o default -F _keystead keystead\n");
}

/* ---- fish ---- */

/* Text in single quotes. */
static void
fish_quote(const char *text)
{
    (void)putchar('\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            (void)putchar('\\');
        (void)putchar(*text);
    }
    (void)putchar('\'');
}

static void
fish_option(const struct cli_command *command, const struct cli_option *option)
{
    printf("complete -c keystead -n '__keystead_at \"%s\"' -l %s -d ", command->name, option->name);
    fish_quote(option->help);
    if (option->kind != CLI_FLAG)
        printf(option->kind == CLI_FILE || option->kind == CLI_FOLDER ? " -r -F" : " -x");
    if (option->kind == CLI_CHOICE) {
        printf(" -a '");
        print_choices(option->value);
        printf("'");
    }
    printf("\n");
}

static void
fish_words(const char *path, size_t len, size_t first)
{
    if (cli_commands[first]->name[len] == '\0')
        return;
    printf("complete -c keystead -f -n '__keystead_at \"%.*s\"' -a '", (int)len, path);
    print_next_words(path, len);
    printf("'\n");
}

static void
fish_other(const struct command *command)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(command->options); i++)
        for (const struct option *o = command->options[i]; o != NULL && o->name != NULL; o++)
            printf("complete -c keystead -n '__keystead_at \"%s\"' -l %s%s\n", command->name, o->name,
                   o->has_arg == required_argument ? " -r" : "");
    printf("complete -c keystead -n '__keystead_at \"%s\"' -a '", command->name);
    print_words(command);
    printf("'\n");
}

static void
print_fish(void)
{
    printf("# The words on the line that are no options, but for the last one, begin with and end in this path?\n"
           "function __keystead_at\n"
           "    set -l words (commandline -opc | string match -v -- '-*')\n"
           "    set -l path (string split ' ' -- $argv[1])\n"
           "    set -l n (count $path)\n"
           "    test (count $words) -gt $n; and test \"$words[2..(math $n + 1)]\" = \"$argv[1]\"\n"
           "end\n"
           "complete -c keystead -f -n 'test (count (commandline -opc)) -eq 1' -a '");
    print_all_names();
    printf("'\n");
    each_path(fish_words);
    each_other_command(fish_other);
    for (size_t i = 0; i < cli_n_commands; i++) {
        const struct cli_command *command = cli_commands[i];
        each_option(command, fish_option);
        if (command->arg_kind == CLI_CHOICE) {
            printf("complete -c keystead -f -n '__keystead_at \"%s\"' -a '", command->name);
            print_choices(command->arg_choices);
            printf("'\n");
        }
    }
}

static int
run(struct cli *cli)
{
    const char *shell = cli->args[0];
    if (strcmp(shell, "bash") == 0) {
        print_bash();
    } else if (strcmp(shell, "zsh") == 0) {
        printf("autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n");
        print_bash();
    } else if (strcmp(shell, "fish") == 0) {
        print_fish();
    } else {
        return cli_fail(cli, KS_E_INVALID, "'%s' is none of: bash, zsh, fish", shell);
    }
    return 0;
}

const struct cli_command cli_completion = {
    .name = "completion",
    .args = "SHELL",
    .min_args = 1,
    .max_args = 1,
    .arg_kind = CLI_CHOICE,
    .arg_choices = "bash|zsh|fish",
    .summary = "print the script that completes commands in a shell",
    .examples = "  source <(keystead completion bash)\n"
                "  keystead completion fish >~/.config/fish/completions/keystead.fish\n",
    .run = run,
};
