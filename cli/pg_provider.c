/* Options that say where a key encryption key is, into a slot of the keyring. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/pg.h"
#include "client/config.h"
#include "crypto/random.h"
#include "tde/wrap_kmip.h"

static const struct {
    const char *option;
    uint32_t provider, source;
    bool is_path;
} internal[] = {
    {"passphrase", TDE_PROVIDER_PASSPHRASE, TDE_SOURCE_PROMPT, false},
    {"passphrase-file", TDE_PROVIDER_PASSPHRASE, TDE_SOURCE_FILE, true},
    {"passphrase-command", TDE_PROVIDER_PASSPHRASE, TDE_SOURCE_COMMAND, false},
    {"key-file", TDE_PROVIDER_KEY_FILE, TDE_SOURCE_NONE, true},
    {"key-command", TDE_PROVIDER_KEY_COMMAND, TDE_SOURCE_NONE, false},
};

static bool
kmip_given(const struct cli *cli)
{
    return cli_flag(cli, "kmip") || cli_flag(cli, "key") || (cli_flag(cli, "create-key") && !cli_flag(cli, "key-file"));
}

static size_t
providers_given(const struct cli *cli)
{
    size_t n = kmip_given(cli) ? 1 : 0;
    for (size_t i = 0; i < KS_ARRAY_LEN(internal); i++)
        n += cli_flag(cli, internal[i].option) ? 1 : 0;
    return n;
}

bool
pg_provider_given(const struct cli *cli)
{
    return providers_given(cli) != 0;
}

static int
set_text(struct cli *cli, const char *what, const char *value, char ret[TDE_TEXT])
{
    if (value == NULL)
        return 0;
    if (strlen(value) >= TDE_TEXT)
        return cli_fail(cli, KS_E_LIMIT, "%s: more than %d bytes", what, TDE_TEXT - 1);
    memcpy(ret, value, strlen(value) + 1);
    return 0;
}

/* A file that is there, absolute: a start has another working directory. */
static int
set_path(struct cli *cli, const char *what, const char *value, char ret[TDE_TEXT])
{
    char path[PATH_MAX];
    if (value == NULL)
        return 0;
    if (realpath(value, path) == NULL)
        return cli_fail(cli, errno == ENOENT ? KS_E_NOT_FOUND : KS_E_IO, "%s: %s: %s", what, value, strerror(errno));
    return set_text(cli, what, path, ret);
}

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

static void
client_freep(struct ks_client **client)
{
    ks_client_free(*client);
}

/* What the client's configuration says and no option does. */
static int
from_config(struct cli *cli, struct tde_slot *slot)
{
    KS_CLEANUP(config_freep) struct ks_client_config *config = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf servers = KS_BUF(TDE_TEXT);
    if (cli_flag(cli, "kmip") && cli_flag(cli, "ca") && cli_flag(cli, "certificate") &&
        cli_flag(cli, "certificate-key"))
        return 0; /* nothing is left to know */
    cli->config = cli_value(cli, "config");
    cli->dir = cli_value(cli, "dir");
    KS_CLEANUP(freep) char *path = cli_config_path(cli);
    if (path == NULL || ks_client_config_new(&config) != 0)
        return cli_fail(cli, KS_E_NOMEM, "out of memory");
    const int rc = ks_client_config_load(config, path, &cli->error);
    if (rc == KS_E_NOT_FOUND)
        return cli_fail(
            cli, rc,
            "there is no client configuration %s: give --kmip, --ca, --certificate and --certificate-key, or "
            "--config FILE, or --dir DIR",
            path);
    KS_TRY(rc);
    for (size_t i = 0; i < config->n_servers; i++)
        (void)ks_buf_addf(&servers, "%s%s", i > 0 ? "," : "", config->servers[i].text);
    const char *text = ks_buf_cstr(&servers);
    if (text == NULL)
        return cli_fail(cli, KS_E_LIMIT, "%s: its servers are too many for a keyring", path);
    KS_TRY(set_text(cli, "servers", text, slot->servers));
    KS_TRY(set_path(cli, "ca", config->ca, slot->ca));
    KS_TRY(set_path(cli, "certificate", config->certificate, slot->certificate));
    KS_TRY(set_path(cli, "key of the certificate", config->key, slot->key));
    return set_text(cli, "server_name", config->server_name, slot->server_name);
}

int
pg_key_name(struct cli *cli, const struct tde_keyring *keyring, char ret[PG_KEY_NAME])
{
    char cluster[TDE_UUID_TEXT];
    uint8_t own[3];
    if (ks_random(own, sizeof(own)) != 0)
        return cli_fail(cli, KS_E_CRYPTO, "no random bytes for a name");
    tde_uuid_text(keyring->cluster, cluster);
    (void)snprintf(ret, PG_KEY_NAME, "postgresql-%s-%02x%02x%02x", cluster, own[0], own[1], own[2]);
    return 0;
}

/* Neither the key nor anything about it is to leave the KMS, where that is what was chosen. */
static int
create_at_kms(struct cli *cli, struct ks_client *client, const struct tde_keyring *keyring, struct tde_slot *slot,
              const char *name)
{
    char cluster[TDE_UUID_TEXT];
    tde_uuid_text(keyring->cluster, cluster);
    const struct ks_value about[] = {
        {.tag = KMIP_TAG_APPLICATION_NAMESPACE,
         .type = KMIP_TYPE_TEXT_STRING,
         .bytes = {(const uint8_t *)"postgresql-tde", 14}},
        {.tag = KMIP_TAG_APPLICATION_DATA,
         .type = KMIP_TYPE_TEXT_STRING,
         .bytes = {(const uint8_t *)cluster, strlen(cluster)}},
    };
    struct ks_attribute attributes[] = {
        {.value = {.tag = KMIP_TAG_APPLICATION_SPECIFIC_INFORMATION,
                   .type = KMIP_TYPE_STRUCTURE,
                   .fields = about,
                   .n_fields = KS_ARRAY_LEN(about)}},
        {.value = {.tag = KMIP_TAG_EXTRACTABLE, .type = KMIP_TYPE_BOOLEAN, .boolean = false}},
    };
    const struct ks_create params = {
        .object = {.name = name,
                   .algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
                   .length = 256,
                   .usage_mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT,
                   .attributes = attributes,
                   .n_attributes = slot->mode == TDE_KMS_ENCRYPT ? 2 : 1,
                   .activate = true}};
    char uid[KS_UID_SIZE] = "";
    KS_TRY(ks_client_create(client, NULL, &params, uid, &cli->error));
    KS_TRY(set_text(cli, "identifier", uid, slot->uid));
    memset(slot->name, 0, sizeof(slot->name));
    return set_text(cli, "name", name, slot->name);
}

static int
find_at_kms(struct cli *cli, struct ks_client *client, struct tde_slot *slot, const char *ref)
{
    char uid[KS_UID_SIZE];
    const struct ks_attribute_name name = {.tag = KMIP_TAG_NAME};
    struct ks_attributes *attributes = NULL;
    KS_TRY(ks_client_find(client, NULL, ref, uid, &cli->error));
    KS_TRY(set_text(cli, "identifier", uid, slot->uid));
    if (ks_client_get_attributes(client, NULL, uid, &name, 1, &attributes, NULL) != 0)
        return 0; /* its name is for people alone */
    const int rc = set_text(cli, "name", ks_attributes_name(attributes), slot->name);
    ks_attributes_free(attributes);
    return rc;
}

int
pg_provider_create_key(struct cli *cli, const struct tde_keyring *keyring, struct tde_slot *slot, const char *name)
{
    KS_CLEANUP(client_freep) struct ks_client *client = NULL;
    struct ks_diag diag = {0};
    if (tde_kmip_connect(slot, 30000, &client, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    return create_at_kms(cli, client, keyring, slot, name);
}

static int
kmip_mode(struct cli *cli, uint32_t *ret)
{
    static const char *const words[] = {
        [TDE_KMS_ENCRYPT] = "encrypt", [TDE_KMS_WRAPPED_GET] = "wrapped-get", [TDE_KMS_GET] = "get"};
    const char *word = cli_value(cli, "kmip-mode");
    for (uint32_t i = TDE_KMS_ENCRYPT; i < KS_ARRAY_LEN(words); i++) {
        if (strcmp(word != NULL ? word : "encrypt", words[i]) == 0) {
            *ret = i;
            return 0;
        }
    }
    return cli_fail(cli, KS_E_INVALID, "--kmip-mode: '%s' is none of encrypt, wrapped-get, get", word);
}

static int
kmip_slot(struct cli *cli, const struct tde_keyring *keyring, struct tde_slot *slot, const char *name)
{
    const char *ref = cli_value(cli, "key");
    KS_CLEANUP(client_freep) struct ks_client *client = NULL;
    struct ks_diag diag = {0};
    slot->provider = TDE_PROVIDER_KMIP;
    KS_TRY(kmip_mode(cli, &slot->mode));
    if ((slot->mode == TDE_KMS_WRAPPED_GET) != (cli_flag(cli, "transport-key") && cli_flag(cli, "transport-key-file")))
        return cli_fail(cli, KS_E_INVALID,
                        "--transport-key and --transport-key-file belong to --kmip-mode wrapped-get");
    if (ref == NULL && !cli_flag(cli, "create-key"))
        return cli_fail(cli, KS_E_INVALID, "which key is the key encryption key? Give --key NAME|UID, or --create-key");
    KS_TRY(from_config(cli, slot));
    KS_TRY(set_text(cli, "--kmip", cli_value(cli, "kmip"), slot->servers));
    KS_TRY(set_path(cli, "--ca", cli_value(cli, "ca"), slot->ca));
    KS_TRY(set_path(cli, "--certificate", cli_value(cli, "certificate"), slot->certificate));
    KS_TRY(set_path(cli, "--certificate-key", cli_value(cli, "certificate-key"), slot->key));
    KS_TRY(set_text(cli, "--server-name", cli_value(cli, "server-name"), slot->server_name));
    KS_TRY(set_text(cli, "--transport-key", cli_value(cli, "transport-key"), slot->transport_uid));
    KS_TRY(set_path(cli, "--transport-key-file", cli_value(cli, "transport-key-file"), slot->transport_file));
    if (cli_flag(cli, "create-key"))
        return pg_provider_create_key(cli, keyring, slot, ref != NULL ? ref : name);
    if (tde_kmip_connect(slot, 30000, &client, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    return find_at_kms(cli, client, slot, ref);
}

static int
make_key_file(struct cli *cli, const char *path)
{
    KS_KEY32 key;
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(256);
    struct ks_diag diag = {0};
    if (ks_random_key(key.b, sizeof(key.b)) != 0 || ks_hex_add(&text, key.b, sizeof(key.b)) != 0 ||
        ks_buf_add_str(&text, "\n") != 0)
        return cli_fail(cli, KS_E_CRYPTO, "no random bytes for a key");
    return ks_file_create(path, ks_buf_span(&text), 0600, &diag) == 0 ? 0 : cli_fail_diag(cli, &diag);
}

int
pg_provider_slot(struct cli *cli, const struct tde_keyring *keyring, struct tde_slot *slot, const char *name)
{
    const size_t n = providers_given(cli);
    if (n != 1)
        return cli_fail(
            cli, KS_E_INVALID,
            n == 0 ? "where is the key encryption key? Give --kmip HOST:PORT with --key, or --passphrase-file, "
                     "--passphrase-command, --key-file, --key-command or --passphrase"
                   : "several places for the key encryption key are named: one slot has one");
    if (kmip_given(cli))
        return kmip_slot(cli, keyring, slot, name);
    for (size_t i = 0; i < KS_ARRAY_LEN(internal); i++) {
        const char *value = cli_value(cli, internal[i].option);
        if (value == NULL)
            continue;
        slot->provider = internal[i].provider;
        slot->source = internal[i].source;
        if (slot->provider == TDE_PROVIDER_KEY_FILE && cli_flag(cli, "create-key"))
            KS_TRY(make_key_file(cli, value));
        return internal[i].is_path ? set_path(cli, internal[i].option, value, slot->path)
                                   : set_text(cli, internal[i].option, value, slot->path);
    }
    return cli_fail(cli, KS_E_INTERNAL, "no provider");
}
