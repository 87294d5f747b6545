/* keystead client renew: a new key and a new certificate in place of those of the configuration. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "crypto/cert.h"
#include "crypto/keygen.h"

enum { PATH_SIZE = 4096, PEM_MAX = 65536 };

static void
object_freep(struct ks_object **object)
{
    ks_object_free(*object);
}

static void
freep(char **text)
{
    free(*text);
}

/* The files that client enroll wrote, beside the configuration. */
struct files {
    char key[PATH_SIZE], new_key[PATH_SIZE], certificate[PATH_SIZE];
};

static int
find_files(struct cli *cli, struct files *ret)
{
    KS_CLEANUP(freep) char *config = cli_config_path(cli);
    if (config == NULL)
        return KS_E_NOMEM;
    const char *slash = strrchr(config, '/');
    const int n = slash != NULL ? (int)(slash - config) : 1;
    const char *folder = slash != NULL ? config : ".";
    const struct {
        char *to;
        const char *name;
    } all[] = {{ret->key, "client.key"}, {ret->new_key, "client.key.new"}, {ret->certificate, "client.pem"}};
    for (size_t i = 0; i < KS_ARRAY_LEN(all); i++)
        if ((size_t)snprintf(all[i].to, PATH_SIZE, "%.*s/%s", n, folder, all[i].name) >= PATH_SIZE)
            return cli_fail(cli, KS_E_INVALID, "the path of the configuration is too long");
    if (access(ret->key, R_OK | W_OK) != 0 || access(ret->certificate, R_OK | W_OK) != 0)
        return cli_fail(cli, KS_E_NOT_FOUND,
                        "client.key and client.pem, as client enroll writes them, are not beside %s, or not yours to "
                        "replace",
                        config);
    return 0;
}

static int
make_key(struct cli *cli, const char *path, struct ks_pkey **ret, struct ks_buf *request)
{
    struct ks_diag diag = {0};
    KS_PKEY *key = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf pem = KS_BUF(PEM_MAX);
    const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
                                             .curve = KMIP_RECOMMENDED_CURVE_P_256};
    if (ks_keygen_pair(&params, &key, &diag) != 0 || ks_pem_encode_key(key, &pem, &diag) != 0 ||
        ks_cert_request(key, "keystead client", request, &diag) != 0 ||
        ks_file_write(path, ks_buf_span(&pem), 0600, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    *ret = key;
    key = NULL;
    return 0;
}

/* The certificate, as PEM, if it is one for the key. */
static int
fetch(struct cli *cli, struct ks_bytes request, const struct ks_pkey *key, struct ks_buf *ret)
{
    char uid[KS_UID_SIZE];
    struct ks_diag diag = {0};
    struct ks_cert_info info;
    KS_PKEY *theirs = NULL;
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
    KS_CLEANUP(object_freep) struct ks_object *object = NULL;
    KS_TRY(ks_client_re_provision(cli->client, &cli->call, request, uid, &cli->error));
    KS_TRY(ks_client_get(cli->client, &cli->call, &(struct ks_get){.uid = uid}, &object, &cli->error));
    const struct ks_span der = KS_SPAN(object->material.data, object->material.len);
    if (ks_cert_parse(der, &arena, &info, &diag) != 0 ||
        ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_X_509, false, 0, 0, info.public_key, &theirs, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    if (!ks_pkey_same_public(key, theirs))
        return cli_fail(cli, KS_E_INTEGRITY, "the server's certificate is for another key; report this");
    return ks_pem_encode(KS_PEM_CERT, der, ret, &diag) == 0 ? 0 : cli_fail_diag(cli, &diag);
}

/*
 * Each file is replaced at once, the two of them one after the other. In between the key waits under its new name, so
 * that nothing is lost: the certificate fits it.
 */
static int
replace(struct cli *cli, const struct files *files, struct ks_span certificate, bool *ret_begun)
{
    struct ks_diag diag = {0};
    if (ks_file_write(files->certificate, certificate, 0644, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    *ret_begun = true;
    if (rename(files->new_key, files->key) != 0 || ks_fsync_parent(files->key, &diag) != 0)
        return cli_fail(cli, KS_E_IO, "cannot put %s in place of %s; do that by hand: the new certificate needs it",
                        files->new_key, files->key);
    return 0;
}

static int
run(struct cli *cli)
{
    struct files files;
    KS_PKEY *key = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(PEM_MAX);
    KS_CLEANUP(ks_buf_done) struct ks_buf pem = KS_BUF(PEM_MAX);
    bool begun = false;
    KS_TRY(find_files(cli, &files));
    KS_TRY(make_key(cli, files.new_key, &key, &request));
    int rc = fetch(cli, (struct ks_bytes){request.data, request.len}, key, &pem);
    if (rc == 0)
        rc = replace(cli, &files, ks_buf_span(&pem), &begun);
    if (rc != 0 && !begun)
        (void)unlink(files.new_key);
    KS_TRY(rc);
    if (!cli->json) {
        printf("Renewed %s and its key. The old certificate is good until the new one is first used.\n",
               files.certificate);
        return 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "certificate", files.certificate);
    json_close(&json, '}');
    return output_json(&json);
}

const struct cli_command cli_client_renew = {
    .name = "client renew",
    .args = "",
    .connects = true,
    .summary = "a new key and certificate for this client itself",
    .details = "The key is made here and stays here. client.key and client.pem beside the configuration are replaced;\n"
               "client.conf stays. The old certificate is good until the new one is first used.",
    .examples = "  keystead client renew\n"
                "  keystead client renew --config /etc/keystead/client.conf\n",
    .run = run,
};
