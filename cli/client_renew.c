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

/* What comes of it: a key in files->new_key, and its certificate. */
struct renewal {
    struct ks_pkey *key;
    struct ks_buf certificate; /* PEM, with those between it and its authority where they were given */
    char uid[KS_UID_SIZE];     /* of what the server answered with */
};

static void
renewal_done(struct renewal *r)
{
    ks_pkey_free(r->key);
    ks_buf_done(&r->certificate);
}

static int
keep_key(struct cli *cli, const struct renewal *r, const char *path)
{
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf pem = KS_BUF(PEM_MAX);
    if (ks_pem_encode_key(r->key, &pem, &diag) != 0 || ks_file_write(path, ks_buf_span(&pem), 0600, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    return 0;
}

static int
check_certificate(struct cli *cli, struct ks_span der, const struct ks_pkey *key, const char *whose)
{
    struct ks_diag diag = {0};
    struct ks_cert_info info;
    KS_PKEY *theirs = NULL;
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
    if (ks_cert_parse(der, &arena, &info, &diag) != 0 ||
        ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_X_509, false, 0, 0, info.public_key, &theirs, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    if (!ks_pkey_same_public(key, theirs))
        return cli_fail(cli, KS_E_INTEGRITY, "%s certificate is for another key", whose);
    return 0;
}

/* The certificate of that name on the server, if it is one for the key. */
static int
fetch(struct cli *cli, const char *uid, struct renewal *r)
{
    struct ks_diag diag = {0};
    KS_CLEANUP(object_freep) struct ks_object *object = NULL;
    KS_TRY(ks_client_get(cli->client, &cli->call, &(struct ks_get){.uid = uid}, &object, &cli->error));
    const struct ks_span der = KS_SPAN(object->material.data, object->material.len);
    KS_TRY(check_certificate(cli, der, r->key, "the server's"));
    return ks_pem_encode(KS_PEM_CERT, der, &r->certificate, &diag) == 0 ? 0 : cli_fail_diag(cli, &diag);
}

/* The key is made here; its request is certified. */
static int
by_request(struct cli *cli, const struct files *files, struct renewal *r)
{
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(PEM_MAX);
    const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
                                             .curve = KMIP_RECOMMENDED_CURVE_P_256};
    if (ks_keygen_pair(&params, &r->key, &diag) != 0 ||
        ks_cert_request(r->key, "keystead client", &request, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    KS_TRY(keep_key(cli, r, files->new_key));
    const struct ks_re_provision asked = {.request = {request.data, request.len}};
    KS_TRY(ks_client_re_provision(cli->client, &cli->call, &asked, r->uid, &cli->error));
    return fetch(cli, r->uid, r);
}

/* Key and certificate come from elsewhere. */
static int
by_certificate(struct cli *cli, const struct files *files, struct renewal *r)
{
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf key = KS_BUF(PEM_MAX);
    KS_CLEANUP(ks_buf_done) struct ks_buf der = KS_BUF(PEM_MAX);
    const char *certificate = cli_value(cli, "certificate"), *key_file = cli_value(cli, "key");
    if (certificate == NULL || key_file == NULL)
        return cli_fail(cli, KS_E_INVALID, "--certificate and --key belong together");
    if (ks_file_read_private(key_file, &key, &diag) != 0 || ks_pem_decode_key(ks_buf_span(&key), &r->key, &diag) != 0 ||
        ks_file_read(certificate, &r->certificate, &diag) != 0 ||
        ks_pem_decode(KS_PEM_CERT, ks_buf_span(&r->certificate), &der, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    KS_TRY(check_certificate(cli, ks_buf_span(&der), r->key, "the"));
    KS_TRY(keep_key(cli, r, files->new_key));
    const struct ks_re_provision asked = {.certificate = {der.data, der.len}};
    return ks_client_re_provision(cli->client, &cli->call, &asked, r->uid, &cli->error);
}

static void
attributes_freep(struct ks_attributes **attributes)
{
    ks_attributes_free(*attributes);
}

/* The value of a Link of that type; NULL: none. */
static const char *
linked(const struct ks_attributes *attributes, uint32_t type)
{
    for (size_t i = 0; i < attributes->n; i++) {
        const struct ks_value *v = &attributes->v[i].value;
        const char *to = NULL;
        bool is = false;
        for (size_t k = 0; v->tag == KMIP_TAG_LINK && v->type == KMIP_TYPE_STRUCTURE && k < v->n_fields; k++) {
            const struct ks_value *field = &v->fields[k];
            if (field->tag == KMIP_TAG_LINK_TYPE)
                is = field->enumeration == type;
            else if (field->tag == KMIP_TAG_LINKED_OBJECT_IDENTIFIER && field->type == KMIP_TYPE_TEXT_STRING)
                to = (const char *)field->bytes.data;
        }
        if (is && to != NULL)
            return to;
    }
    return NULL;
}

/* The server makes both. */
static int
by_server(struct cli *cli, const struct files *files, struct renewal *r)
{
    static const struct ks_attribute_name link = {.tag = KMIP_TAG_LINK};
    struct ks_diag diag = {0};
    KS_CLEANUP(object_freep) struct ks_object *key = NULL;
    KS_CLEANUP(attributes_freep) struct ks_attributes *links = NULL;
    KS_TRY(ks_client_re_provision(cli->client, &cli->call, &(struct ks_re_provision){.request = {0}}, r->uid,
                                  &cli->error));
    const struct ks_get get = {.uid = r->uid, .key_format = KMIP_KEY_FORMAT_TYPE_PKCS_8};
    KS_TRY(ks_client_get(cli->client, &cli->call, &get, &key, &cli->error));
    if (ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_PKCS_8, true, 0, 0, KS_SPAN(key->material.data, key->material.len), &r->key,
                      &diag) != 0)
        return cli_fail_diag(cli, &diag);
    KS_TRY(ks_client_get_attributes(cli->client, &cli->call, r->uid, &link, 1, &links, &cli->error));
    const char *certificate = linked(links, KMIP_LINK_TYPE_CERTIFICATE_LINK);
    if (certificate == NULL)
        return cli_fail(cli, KS_E_NOT_FOUND, "the key that the server made has no Certificate Link");
    KS_TRY(fetch(cli, certificate, r));
    return keep_key(cli, r, files->new_key);
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
report(struct cli *cli, const struct files *files, const struct renewal *r)
{
    const bool copy = cli_flag(cli, "server-key");
    if (!cli->json) {
        printf("Renewed %s and its key. The old certificate is good until the new one is first used.\n",
               files->certificate);
        if (copy)
            printf("The server has a copy of the key, %s: revoke and destroy it when the new one works.\n", r->uid);
        return 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "certificate", files->certificate);
    if (copy)
        json_text(&json, "key", r->uid);
    json_close(&json, '}');
    return output_json(&json);
}

static int
run(struct cli *cli)
{
    struct files files;
    KS_CLEANUP(renewal_done) struct renewal renewal = {.certificate = KS_BUF(PEM_MAX)};
    bool begun = false;
    const bool brought = cli_value(cli, "certificate") != NULL || cli_value(cli, "key") != NULL;
    if (brought && cli_flag(cli, "server-key"))
        return cli_fail(cli, KS_E_INVALID, "either the server makes the key, or you bring one");
    KS_TRY(find_files(cli, &files));
    int rc = brought                       ? by_certificate(cli, &files, &renewal)
             : cli_flag(cli, "server-key") ? by_server(cli, &files, &renewal)
                                           : by_request(cli, &files, &renewal);
    if (rc == 0)
        rc = replace(cli, &files, ks_buf_span(&renewal.certificate), &begun);
    if (rc != 0 && !begun)
        (void)unlink(files.new_key);
    return rc != 0 ? rc : report(cli, &files, &renewal);
}

static const struct cli_option options[] = {
    {"certificate", CLI_FILE, "FILE", "a certificate from elsewhere, PEM, of an authority that the server knows"},
    {"key", CLI_FILE, "FILE", "its private key, PEM, readable by you alone"},
    {"server-key", CLI_FLAG, NULL, "let the server make the key"},
};

const struct cli_command cli_client_renew = {
    .name = "client renew",
    .args = "",
    .connects = true,
    .summary = "a new key and certificate for this client itself",
    .details = "The key is made here and stays here, unless you say otherwise. client.key and client.pem beside the\n"
               "configuration are replaced; client.conf stays. The old certificate is good until the new one is first\n"
               "used. A key that the server makes is one that the server has: for machines that can make none.",
    .examples = "  keystead client renew\n"
                "  keystead client renew --config /etc/keystead/client.conf\n"
                "  keystead client renew --certificate ours.pem --key ours.key\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
