/* keystead init: makes an instance. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "server/instance.h"
#include "server/passphrase.h"

static const char help[] =
    "Usage: keystead init DIR [OPTION]...\n"
    "Makes a key manager's instance in the new folder DIR: configuration, certificate authority, server certificate,\n"
    "first administrator's certificate, root key, store and audit trail. Either all of it is there in the end, or "
    "nothing.\n"
    "\n"
    "  -k, --kmip=ADDRESS:PORT     where it will serve KMIP (default 127.0.0.1:5696)\n"
    "  -w, --https=ADDRESS:PORT    where it will serve KMIP over HTTPS too (default: nowhere)\n"
    "  -s, --san=NAME              a further host name or address for the server's certificate; may be repeated.\n"
    "                              The addresses of --kmip and --https, the host's name, localhost, 127.0.0.1 and ::1\n"
    "                              are in it anyway\n"
    "  -n, --name=NAME             name of this server in the audit trail (default: the host's name)\n"
    "  -P, --profile=PROFILE       which algorithms may be used: fips (default), cnsa2 or compat\n"
    "  -p, --passphrase            ask for a passphrase that opens the store, instead of the file root.key; the\n"
    "                              server then starts sealed until it is given (see keystead server --help)\n"
    "  -f, --passphrase-file=FILE  the same with the first line of FILE (- is standard input)\n"
    "      --help                  show this\n"
    "\n"
    "Examples:\n"
    "  keystead init /var/lib/keystead --kmip 192.0.2.10:5696 --san kms.example.org\n"
    "  keystead init ./try\n";

enum { NAMES_MAX = 32 };

struct options {
    struct instance_settings instance;
    const char *names[NAMES_MAX];
    const char *passphrase_file;
    bool ask;
};

const struct option init_options[] = {
    {"kmip", required_argument, NULL, 'k'},
    {"https", required_argument, NULL, 'w'},
    {"san", required_argument, NULL, 's'},
    {"name", required_argument, NULL, 'n'},
    {"profile", required_argument, NULL, 'P'},
    {"passphrase", no_argument, NULL, 'p'},
    {"passphrase-file", required_argument, NULL, 'f'},
    {"help", no_argument, NULL, 'H'},
    {NULL, 0, NULL, 0},
};

static int
parse(int argc, char **argv, struct options *o)
{
    for (int c; (c = getopt_long(argc, argv, "k:w:s:n:P:pf:", init_options, NULL)) != -1;) {
        switch (c) {
        case 'k':
            o->instance.listen = optarg;
            break;
        case 'w':
            o->instance.listen_https = optarg;
            break;
        case 's':
            if (o->instance.n_names == NAMES_MAX)
                return command_usage("init", "at most %d names", NAMES_MAX);
            o->names[o->instance.n_names++] = optarg;
            break;
        case 'n':
            o->instance.node = optarg;
            break;
        case 'P':
            o->instance.profile = optarg;
            break;
        case 'p':
            o->ask = true;
            break;
        case 'f':
            o->passphrase_file = optarg;
            break;
        case 'H':
            fputs(help, stdout);
            return -1;
        default: /* getopt_long has said what is wrong */
            return command_try_help("init");
        }
    }
    if (optind + 1 != argc)
        return command_usage("init", optind == argc ? "name the folder to make" : "one folder only");
    if (o->ask && o->passphrase_file != NULL)
        return command_usage("init", "--passphrase and --passphrase-file exclude each other");
    o->instance.dir = argv[optind];
    o->instance.names = o->names;
    return 0;
}

static void
explain(const struct options *o)
{
    const char *dir = o->instance.dir;
    const bool sealed = o->instance.passphrase.len != 0;
    const char *https = o->instance.listen_https;
    printf("%s is ready to serve KMIP on %s", dir, o->instance.listen);
    if (https != NULL)
        printf(", and at https://%s/kmip", https);
    printf(".\n\n");
    printf("  start it                  keystead server --dir %s\n", dir);
    if (sealed)
        printf("  give the passphrase       keystead unseal --dir %s\n", dir);
    printf("  look at it                keystead status --dir %s\n", dir);
    printf("  let a client in           keystead client token create NAME --dir %s\n", dir);
    printf("  use another KMIP client   with admin.pem, admin.key and ca.pem in %s\n\n", dir);
    if (sealed)
        printf("Without the passphrase nothing in the store can ever be read again.\n"
               "Nobody can give it back to you.\n");
    else
        printf("%s/root.key opens the store: keep a copy of it in a safe place,\n"
               "apart from copies of the store.\n",
               dir);
}

int
cmd_init(int argc, char **argv)
{
    struct options o = {.instance = {.listen = "127.0.0.1:5696"}};
    KS_CLEANUP(ks_buf_done) struct ks_buf passphrase = KS_BUF(PASSPHRASE_MAX);
    struct ks_diag diag = {0};
    int rc = parse(argc, argv, &o);
    if (rc != 0)
        return rc < 0 ? 0 : rc;
    if (o.ask)
        rc = passphrase_ask("Passphrase for the store: ", true, &passphrase, &diag);
    else if (o.passphrase_file != NULL)
        rc = passphrase_from_file(o.passphrase_file, &passphrase, &diag);
    o.instance.passphrase = ks_buf_span(&passphrase);
    if (rc == 0)
        rc = instance_create(&o.instance, &diag);
    if (rc != 0)
        return command_failed("init", &diag);
    explain(&o);
    return 0;
}
