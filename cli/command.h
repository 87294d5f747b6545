/* The commands of keystead: one file each, a row each in cli/main.c. */
#pragma once

#include <getopt.h>

#include "base/err.h"
#include "base/mem.h"

/*
 * Runs a command: argv[0] is its name, as in main. Returns the exit status: 0, 64 for wrong usage, and otherwise that
 * of the KS_E_* code (base/err.def).
 */
typedef int command_fn(int argc, char **argv);

command_fn cmd_audit;
command_fn cmd_help;
command_fn cmd_init;
command_fn cmd_server;
command_fn cmd_ttlv;
command_fn cli_main; /* commands that are tables: cli/cli.h */

extern const struct option audit_show_options[], audit_verify_options[], init_options[], server_options[],
    ttlv_options[];

struct command {
    const char *group; /* heading in the overview */
    const char *name, *help;
    command_fn *run;
    /* For completion, of commands that getopt_long takes apart: what may stand behind the name, and the options. */
    const char *words;
    const struct option *options[2];
};
extern const struct command command_table[];
extern const size_t command_table_n;

/* NULL: there is none of that name. */
const struct command *command_find(const char *name);

enum { EXIT_USAGE = 64 };

/* "keystead COMMAND: message" on standard error; returns the exit status of the code that diag has. */
int command_failed(const char *command, struct ks_diag *diag);

/* The same for a message without a diag. What a terminal would obey is not passed on. */
int command_report(const char *command, int code, const char *message);

/* Where help is; returns EXIT_USAGE. For wrong usage that somebody else described, as getopt does. */
int command_try_help(const char *command);

/* As ks_file_read; where "-" is a terminal it says what it waits for. */
int command_read(const char *path, struct ks_buf *buf, struct ks_diag *diag) KS_MUST_CHECK;

/* "keystead COMMAND: message" and where help is; returns EXIT_USAGE. */
int command_usage(const char *command, const char *fmt, ...) KS_PRINTF(2, 3);
