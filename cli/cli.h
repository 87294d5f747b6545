/*
 * Commands that are tables: what a command is called and takes is a const struct cli_command, from which parsing,
 * --help and shell completion come. One file per command; the list of all is in cli/commands.c.
 */
#pragma once

#include <stdio.h>

#include <keystead/client.h>

#include "base/mem.h"

enum { CLI_MAX_OPTIONS = 32, CLI_MAX_ARGS = 256 };

/* What completes an option's value or an argument. */
enum cli_kind { CLI_FLAG, CLI_TEXT, CLI_FILE, CLI_FOLDER, CLI_CHOICE };

struct cli_option {
    const char *name;   /* "algorithm" for --algorithm */
    enum cli_kind kind; /* CLI_FLAG: takes no value */
    const char *value;  /* name of the value in help: "ALGORITHM"; of CLI_CHOICE the values: "raw|hex|pem" */
    const char *help;
};

struct cli;

struct cli_command {
    const char *name; /* "key create" */
    const char *args; /* "NAME", "[KEY]": as in the usage line */
    size_t min_args, max_args;
    enum cli_kind arg_kind; /* of the first argument */
    const char *arg_choices;
    bool hidden;   /* for programs: not in overviews, nor completed */
    bool connects; /* has the options of a client too, and a client */
    bool draft;    /* of KMIP 3.0, and spoken in it whatever the configuration says */
    const char *summary;
    const char *details;  /* paragraphs for --help; NULL: none */
    const char *examples; /* lines, each ending in \n */
    const struct cli_option *options;
    size_t n_options;
    int (*run)(struct cli *cli); /* 0 or a KS_E_* code, with cli->error filled */
};

/* A command while it runs. */
struct cli {
    const struct cli_command *command;
    const char *args[CLI_MAX_ARGS];
    size_t n_args;
    const char *values[CLI_MAX_OPTIONS]; /* of the command's options; "" for a flag that was given, NULL: not given */
    const char *dir, *config, *server, *timeout, *ticket;
    bool json;
    struct ks_client *client; /* if the command connects */
    struct ks_call call;
    struct ks_buf shown; /* the ticket of --ticket; call points to it */
    struct ks_error error;
};

/* All commands. */
extern const struct cli_command *const cli_commands[];
extern const size_t cli_n_commands;

/* The options of every command that connects, from 0; NULL behind the last. */
const struct cli_option *cli_client_option(size_t i);

/* The value of one of the command's own options; NULL: not given. A name that is no option of it ends the program. */
const char *cli_value(const struct cli *cli, const char *option);
static inline bool
cli_flag(const struct cli *cli, const char *option)
{
    return cli_value(cli, option) != NULL;
}

/* Reports: "keystead key create: message". Returns code. */
int cli_fail(struct cli *cli, int code, const char *fmt, ...) KS_PRINTF(3, 4);
int cli_fail_diag(struct cli *cli, struct ks_diag *diag);

/* The commands of a group, one a line with what it does. */
void cli_print_group(const char *group, FILE *to);

/* Runs the command of a group ("key", "client") that argv names: argv[0] is the group. The exit status. */
int cli_main(int argc, char **argv);

/* The client's configuration by --config, --dir, KEYSTEAD_CONFIG, KEYSTEAD_DIR or the default; malloced. NULL: no
 * memory. */
char *cli_config_path(const struct cli *cli);
/* Where enrolment writes by default: ~/.config/keystead; malloced. NULL: no memory, or no home. */
char *cli_default_folder(void);

/* Options that are numbers or durations ("90s", "15m", "1h", "30d"); fallback where not given. */
int cli_number(struct cli *cli, const char *option, int64_t least, int64_t most, int64_t fallback,
               int64_t *ret) KS_MUST_CHECK;
int cli_duration(struct cli *cli, const char *option, int64_t fallback_s, int64_t *ret_s) KS_MUST_CHECK;

/* A ticket as ticket create writes it: hexadecimal, in a file that nobody else can read; "-": standard input. */
int cli_read_ticket(struct cli *cli, const char *path, struct ks_buf *ret) KS_MUST_CHECK;

/*
 * Writes what a command has for its user to --out (mode 0600) or standard output. KS_E_IO and the like.
 */
int cli_write(struct cli *cli, const char *path, struct ks_span data) KS_MUST_CHECK;
/* Asks a question at the terminal; `yes` is true for an answer that begins with y. Without a terminal KS_E_DENIED. */
int cli_confirm(struct cli *cli, const char *question) KS_MUST_CHECK;
