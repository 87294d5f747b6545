/* keystead server: runs an instance's server; server status and server unseal talk to a running one. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include <keystead/client.h>

#include "base/text.h"
#include "cli/command.h"
#include "server/passphrase.h"
#include "server/supervisor.h"

static const char help[] =
    "Usage: keystead server [OPTION]...\n"
    "       keystead server status [--json] [OPTION]...\n"
    "       keystead server unseal [OPTION]...\n"
    "Runs the server of the instance DIR in the foreground, and says \"ready\" on standard output when it serves.\n"
    "\"status\" asks a running server how it is; \"unseal\" gives one its passphrase.\n"
    "\n"
    "  -d, --dir=DIR               the instance's folder (default: the environment variable KEYSTEAD_DIR)\n"
    "  -f, --passphrase-file=FILE  server, unseal: first line of FILE (- is standard input). Without it the server looks\n"
    "                              for the service manager's credential \"keystead-passphrase\", then starts sealed;\n"
    "                              unseal asks at the terminal\n"
    "      --json                  status: print JSON\n"
    "      --help                  show this\n"
    "\n"
    "SIGTERM finishes what is in flight and ends the server. SIGHUP reads configuration and certificates again.\n"
    "Ends with 0; status and unseal with 6 if the server is sealed (still), with 69 if it cannot be reached.\n"
    "\n"
    "Examples:\n"
    "  keystead server --dir /var/lib/keystead\n"
    "  keystead server status --dir /var/lib/keystead --json\n";

enum { EXIT_SEALED = 6 };

struct options {
    const char *dir, *passphrase_file;
    bool json;
};

static int
parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"passphrase-file", required_argument, NULL, 'f'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'H'},
        {NULL, 0, NULL, 0},
    };
    o->dir = getenv("KEYSTEAD_DIR");
    for (int c; (c = getopt_long(argc, argv, "d:f:", options, NULL)) != -1;) {
        switch (c) {
        case 'd':
            o->dir = optarg;
            break;
        case 'f':
            o->passphrase_file = optarg;
            break;
        case 'j':
            o->json = true;
            break;
        case 'H':
            fputs(help, stdout);
            return -1;
        default:
            return EXIT_USAGE;
        }
    }
    if (o->dir == NULL || o->dir[0] == '\0')
        return command_usage("server", "name the instance with --dir, or set KEYSTEAD_DIR");
    return 0;
}

static void
freep_config(struct ks_client_config **config)
{
    ks_client_config_free(*config);
}

static void
freep_client(struct ks_client **client)
{
    ks_client_free(*client);
}

static void
freep_status(struct ks_status **status)
{
    ks_status_free(*status);
}

static int
failed(const struct ks_error *error)
{
    fprintf(stderr, "keystead server: %s\n", error->message);
    return ks_client_exit_status(error->code);
}

static int
connect_to(const struct options *o, struct ks_client **ret, struct ks_error *error)
{
    char path[4096];
    KS_CLEANUP(freep_config) struct ks_client_config *config = NULL;
    (void)snprintf(path, sizeof(path), "%s/client.conf", o->dir);
    KS_TRY(ks_client_config_new(&config));
    KS_TRY(ks_client_config_load(config, path, error));
    return ks_client_new(config, ret, error);
}

static void
print_json(const struct ks_status *status)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(8192);
    (void)ks_buf_add_str(&text, "{\"server\":");
    (void)ks_json_add_string(&text, ks_span_str(status->server));
    (void)ks_buf_add_str(&text, ",\"node\":");
    (void)ks_json_add_string(&text, ks_span_str(status->node));
    (void)ks_buf_add_str(&text, ",\"version\":");
    (void)ks_json_add_string(&text, ks_span_str(status->server_version));
    (void)ks_buf_addf(&text, ",\"sealed\":%s,\"uptime_s\":%u", status->sealed ? "true" : "false", status->uptime_s);
    if (status->objects >= 0)
        (void)ks_buf_addf(&text, ",\"objects\":%lld", (long long)status->objects);
    (void)ks_buf_add_str(&text, "}");
    if (ks_buf_cstr(&text) != NULL)
        puts((const char *)text.data);
}

static int
show_status(const struct options *o)
{
    struct ks_error error = {0};
    KS_CLEANUP(freep_client) struct ks_client *client = NULL;
    KS_CLEANUP(freep_status) struct ks_status *status = NULL;
    int rc = connect_to(o, &client, &error);
    if (rc == 0)
        rc = ks_client_status(client, NULL, &status, &error);
    if (rc != 0)
        return failed(&error);
    if (o->json) {
        print_json(status);
    } else {
        printf("server   %s (%s), Keystead %s\n", status->node, status->server, status->server_version);
        printf("state    %s\n", status->sealed ? "sealed: give the passphrase with `keystead server unseal`" : "serving");
        printf("up for   %u s\n", status->uptime_s);
        if (status->objects >= 0)
            printf("objects  %lld\n", (long long)status->objects);
    }
    return status->sealed ? EXIT_SEALED : 0;
}

static int
unseal(const struct options *o)
{
    struct ks_error error = {0};
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf passphrase = KS_BUF(PASSPHRASE_MAX);
    KS_CLEANUP(freep_client) struct ks_client *client = NULL;
    const int got = o->passphrase_file != NULL ? passphrase_from_file(o->passphrase_file, &passphrase, &diag)
                                               : passphrase_ask("Passphrase of the store: ", false, &passphrase, &diag);
    if (got != 0)
        return command_failed("server", &diag);
    bool sealed = true;
    int rc = connect_to(o, &client, &error);
    if (rc == 0)
        rc = ks_client_unseal(client, NULL, (struct ks_bytes){passphrase.data, passphrase.len}, &sealed, &error);
    if (rc != 0)
        return failed(&error);
    printf("The server is %s.\n", sealed ? "sealed still" : "open");
    return sealed ? EXIT_SEALED : 0;
}

int
cmd_server(int argc, char **argv)
{
    struct options o = {0};
    int (*run)(const struct options *) = NULL;
    if (argc > 1 && strcmp(argv[1], "status") == 0)
        run = show_status;
    else if (argc > 1 && strcmp(argv[1], "unseal") == 0)
        run = unseal;
    const int skip = run != NULL ? 1 : 0;
    const int rc = parse(argc - skip, argv + skip, &o);
    if (rc != 0)
        return rc < 0 ? 0 : rc;
    if (optind != argc - skip)
        return command_usage("server", "there is no '%s'", argv[optind + skip]);
    if (run != NULL)
        return run(&o);
    return supervisor_run(&(struct supervisor_options){.dir = o.dir, .passphrase_file = o.passphrase_file});
}
