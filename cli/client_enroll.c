/* keystead client enroll: a token becomes a key, a certificate and a configuration. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/output.h"
#include "crypto/cert.h"
#include "crypto/keygen.h"

enum { PATH_SIZE = 4096, TOKEN_MAX = 4096 };

static const char *const files[] = {"client.key", "client.pem", "ca.pem", "client.conf"};
enum { KEY_FILE, CERT_FILE, CA_FILE, CONF_FILE };

static void
freep(char **text)
{
    free(*text);
}

static void
result_freep(struct ks_enroll_result **result)
{
    ks_enroll_result_free(*result);
}

static int
path_of(struct cli *cli, const char *folder, const char *name, char ret[PATH_SIZE])
{
    if ((size_t)snprintf(ret, PATH_SIZE, "%s/%s", folder, name) >= PATH_SIZE)
        return cli_fail(cli, KS_E_INVALID, "the path %s is too long", folder);
    return 0;
}

/* The folder and those above it; only the last ones that are missing are made, for the user alone. */
static int
make_folder(struct cli *cli, const char *folder)
{
    char path[PATH_SIZE];
    if ((size_t)snprintf(path, sizeof(path), "%s", folder) >= sizeof(path))
        return cli_fail(cli, KS_E_INVALID, "the path %s is too long", folder);
    for (char *p = path + 1;; p++) {
        const char was = *p;
        if (was != '/' && was != '\0')
            continue;
        *p = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return cli_fail(cli, KS_E_IO, "cannot make the folder %s: %s", path, strerror(errno));
        if (was == '\0')
            return 0;
        *p = was;
    }
}

/* A token works once: whatever could fail on this machine is found out before it is used. */
static int
check_folder(struct cli *cli, const char *folder)
{
    KS_TRY(make_folder(cli, folder));
    for (size_t i = 0; i < KS_ARRAY_LEN(files); i++) {
        char path[PATH_SIZE];
        KS_TRY(path_of(cli, folder, files[i], path));
        if (access(path, F_OK) == 0)
            return cli_fail(cli, KS_E_EXISTS, "%s is there already; choose another folder with --out, or move it away",
                            path);
    }
    return 0;
}

static int
write_file(struct cli *cli, const char *folder, size_t file, struct ks_span data, mode_t mode)
{
    char path[PATH_SIZE];
    struct ks_diag diag = {0};
    KS_TRY(path_of(cli, folder, files[file], path));
    return ks_file_create(path, data, mode, &diag) == 0 ? 0 : cli_fail_diag(cli, &diag);
}

static int
write_certificate(struct cli *cli, const char *folder, size_t file, struct ks_bytes der)
{
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf pem = KS_BUF(65536);
    if (ks_pem_encode(KS_PEM_CERT, KS_SPAN(der.data, der.len), &pem, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    return write_file(cli, folder, file, ks_buf_span(&pem), 0644);
}

static int
make_key(struct cli *cli, const char *folder, struct ks_pkey **ret, struct ks_buf *request)
{
    struct ks_diag diag = {0};
    KS_PKEY *key = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf pem = KS_BUF(65536);
    const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
                                             .curve = KMIP_RECOMMENDED_CURVE_P_256};
    if (ks_keygen_pair(&params, &key, &diag) != 0 || ks_pem_encode_key(key, &pem, &diag) != 0 ||
        ks_cert_request(key, "keystead client", request, &diag) != 0) /* the name is the token's, not ours to choose */
        return cli_fail_diag(cli, &diag);
    KS_TRY(write_file(cli, folder, KEY_FILE, ks_buf_span(&pem), 0600));
    *ret = key;
    key = NULL;
    return 0;
}

/* The certificate must be for our key and from the CA that comes with it: else it is of no use. */
static int
check_certificate(struct cli *cli, const struct ks_enroll_result *result, const struct ks_pkey *key)
{
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
    struct ks_cert_info info;
    KS_PKEY *theirs = NULL;
    const struct ks_span certificate = KS_SPAN(result->certificate.data, result->certificate.len);
    if (ks_cert_parse(certificate, &arena, &info, &diag) != 0 ||
        ks_cert_signed_by(certificate, KS_SPAN(result->ca.data, result->ca.len), &diag) != 0 ||
        ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_X_509, false, 0, 0, info.public_key, &theirs, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    if (!ks_pkey_same_public(key, theirs))
        return cli_fail(cli, KS_E_INTEGRITY, "the server's certificate is for another key; report this");
    return 0;
}

static int
write_config(struct cli *cli, const char *folder)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(8192);
    const char *name = cli_value(cli, "server-name");
    (void)ks_buf_addf(&text,
                      "# Written by keystead client enroll. File names are relative to this folder.\n"
                      "# More servers, for failover, are more lines like the first.\n"
                      "server = %s\nca = %s\ncertificate = %s\nkey = %s\n",
                      cli_value(cli, "server"), files[CA_FILE], files[CERT_FILE], files[KEY_FILE]);
    if (name != NULL)
        (void)ks_buf_addf(&text, "server_name = %s\n", name);
    return text.err != 0 ? text.err : write_file(cli, folder, CONF_FILE, ks_buf_span(&text), 0644);
}

static int
report(struct cli *cli, const char *folder, const char *name)
{
    char path[PATH_SIZE];
    KS_TRY(path_of(cli, folder, files[CONF_FILE], path));
    if (!cli->json) {
        printf("Enrolled as %s. Try: keystead status --config %s\n", name, path);
        return 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "client", name);
    json_text(&json, "config", path);
    json_close(&json, '}');
    return output_json(&json);
}

/*
 * The token is a secret until it is used, and arguments can be seen by everybody on the machine: a file, standard input
 * or the environment hide it. Whoever names a file means the file; the argument comes before the environment.
 */
static int
find_token(struct cli *cli, struct ks_buf *ret)
{
    struct ks_diag diag = {0};
    const char *file = cli_value(cli, "token-file"), *given = cli->n_args != 0 ? cli->args[0] : NULL;
    if (file != NULL && given != NULL)
        return cli_fail(cli, KS_E_INVALID, "give the token once: as TOKEN or by --token-file");
    if (given != NULL && strcmp(given, "-") == 0)
        file = given;
    if (file == NULL && given == NULL)
        given = getenv("KEYSTEAD_TOKEN");
    if (file == NULL && given == NULL)
        return cli_fail(cli, KS_E_INVALID,
                        "give the token: by --token-file FILE, - for standard input, KEYSTEAD_TOKEN, or as TOKEN");
    if (file == NULL)
        return ks_buf_add_str(ret, given);
    const bool standard = strcmp(file, "-") == 0;
    if ((standard ? command_read(file, ret, &diag) : ks_file_read_private(file, ret, &diag)) != 0)
        return cli_fail_diag(cli, &diag);
    while (ret->len > 0 && (ret->data[ret->len - 1] == '\n' || ret->data[ret->len - 1] == '\r'))
        ret->len--;
    if (ret->len == 0 || memchr(ret->data, '\0', ret->len) != NULL)
        return cli_fail(cli, KS_E_INVALID, "%s: a token is one line of text", file);
    return 0;
}

static int
enroll(struct cli *cli, const char *folder, const char *token, const struct ks_pkey *key, struct ks_span request)
{
    const struct ks_enroll params = {.token = token,
                                     .server = cli_value(cli, "server"),
                                     .server_name = cli_value(cli, "server-name"),
                                     .request = {request.data, request.len}};
    KS_CLEANUP(result_freep) struct ks_enroll_result *result = NULL;
    KS_TRY(ks_client_enroll(&params, &cli->call, &result, &cli->error));
    KS_TRY(check_certificate(cli, result, key));
    KS_TRY(write_certificate(cli, folder, CERT_FILE, result->certificate));
    KS_TRY(write_certificate(cli, folder, CA_FILE, result->ca));
    KS_TRY(write_config(cli, folder));
    return report(cli, folder, result->name);
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(freep) char *fallback = cli_default_folder();
    const char *folder = cli_value(cli, "out") != NULL ? cli_value(cli, "out") : fallback;
    if (folder == NULL)
        return cli_fail(cli, KS_E_INVALID, "say where to write with --out DIR");
    if (cli_value(cli, "server") == NULL)
        return cli_fail(cli, KS_E_INVALID, "say which server with --server HOST:PORT");
    KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(65536);
    KS_CLEANUP(ks_buf_done) struct ks_buf token = KS_BUF(TOKEN_MAX);
    KS_PKEY *key = NULL;
    KS_TRY(find_token(cli, &token));
    const char *text = ks_buf_cstr(&token);
    if (text == NULL)
        return KS_E_NOMEM;
    KS_TRY(check_folder(cli, folder));
    KS_TRY(make_key(cli, folder, &key, &request));
    const int rc = enroll(cli, folder, text, key, ks_buf_span(&request));
    if (rc != 0 && !cli->error.maybe_done) { /* nothing came of this key; a certificate for it may exist otherwise */
        char path[PATH_SIZE];
        if (path_of(cli, folder, files[KEY_FILE], path) == 0)
            (void)unlink(path);
    }
    return rc;
}

static const struct cli_option options[] = {
    {"token-file", CLI_FILE, "FILE", "the token, one line, in a file that you alone can read"},
    {"server", CLI_TEXT, "HOST:PORT", "the server (port 5696 if none is given)"},
    {"server-name", CLI_TEXT, "NAME", "name in the server's certificate, if it is not HOST"},
    {"out", CLI_FOLDER, "DIR", "where to write (default ~/.config/keystead)"},
};

const struct cli_command cli_client_enroll = {
    .name = "client enroll",
    .args = "[TOKEN] --server HOST:PORT",
    .min_args = 0,
    .max_args = 1,
    .summary = "turn a token into key, certificate and configuration",
    .details =
        "The key is made here and stays here. The token names the server's certificate authority: no other server\n"
        "is believed. Writes client.key, client.pem, ca.pem and client.conf.\n"
        "\n"
        "An argument can be seen by everybody on this machine while the command runs. --token-file, standard input "
        "(-)\n"
        "or the environment variable KEYSTEAD_TOKEN hide the token.",
    .examples = "  keystead client enroll --token-file token --server kms.example.org\n"
                "  KEYSTEAD_TOKEN=ks1-... keystead client enroll --server kms.example.org\n"
                "  ssh kms keystead client token create db1 | keystead client enroll - --server kms.example.org\n"
                "  keystead client enroll ks1-... --server 192.0.2.10:5696 --out /etc/keystead\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
