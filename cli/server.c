/* keystead server: runs an instance's server. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "server/supervisor.h"

static const char help[] =
    "Usage: keystead server [OPTION]...\n"
    "Runs the server of the instance DIR in the foreground, and says \"ready\" on standard output when it serves.\n"
    "\n"
    "  -d, --dir=DIR               the instance's folder (default: the environment variable KEYSTEAD_DIR)\n"
    "  -f, --passphrase-file=FILE  passphrase of the store: the first line of FILE (- is standard input). Without it: "
    "the\n"
    "                              service manager's credential \"keystead-passphrase\", a question at the terminal, "
    "or\n"
    "                              the server starts sealed and waits for keystead unseal\n"
    "      --help                  show this\n"
    "\n"
    "SIGTERM finishes what is in flight and ends the server. SIGHUP reads configuration and certificates again: fresh\n"
    "processes take over, the old ones finish what they have. Ends with 0 after SIGTERM, else with what was wrong.\n"
    "\n"
    "Examples:\n"
    "  keystead server --dir /var/lib/keystead\n"
    "  KEYSTEAD_DIR=/var/lib/keystead keystead server\n";

struct options {
    const char *dir, *passphrase_file;
};

const struct option server_options[] = {
    {"dir", required_argument, NULL, 'd'},
    {"passphrase-file", required_argument, NULL, 'f'},
    {"help", no_argument, NULL, 'H'},
    {NULL, 0, NULL, 0},
};

static int
parse(int argc, char **argv, struct options *o)
{
    o->dir = getenv("KEYSTEAD_DIR");
    for (int c; (c = getopt_long(argc, argv, "d:f:", server_options, NULL)) != -1;) {
        switch (c) {
        case 'd':
            o->dir = optarg;
            break;
        case 'f':
            o->passphrase_file = optarg;
            break;
        case 'H':
            fputs(help, stdout);
            return -1;
        default: /* getopt_long has said what is wrong */
            return command_try_help("server");
        }
    }
    if (optind != argc)
        return command_usage("server", "there is no '%s'", argv[optind]);
    if (o->dir == NULL || o->dir[0] == '\0')
        return command_usage("server", "name the instance with --dir, or set KEYSTEAD_DIR");
    return 0;
}

int
cmd_server(int argc, char **argv)
{
    struct options o = {0};
    const int rc = parse(argc, argv, &o);
    if (rc != 0)
        return rc < 0 ? 0 : rc;
    return supervisor_run(&(struct supervisor_options){.dir = o.dir, .passphrase_file = o.passphrase_file});
}
