/* keystead credential create, group create, user create: of KMIP 3.0. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/key.h"
#include "crypto/cert.h"

#include <keystead/access.h>

enum { SECRET_MAX = 65536 };

/* A secret in a file that nobody else can read, or from standard input; without the newline of a line of text. */
static int
read_secret(struct cli *cli, const char *path, struct ks_buf *ret)
{
    struct ks_diag diag = {0};
    const bool standard = strcmp(path, "-") == 0;
    if ((standard ? command_read(path, ret, &diag) : ks_file_read_private(path, ret, &diag)) != 0)
        return cli_fail_diag(cli, &diag);
    while (ret->len > 0 && (ret->data[ret->len - 1] == '\n' || ret->data[ret->len - 1] == '\r'))
        ret->len--;
    if (ret->len == 0 || memchr(ret->data, '\0', ret->len) != NULL)
        return cli_fail(cli, KS_E_INVALID, "%s: a secret is one line of text", path);
    return ks_buf_cstr(ret) != NULL ? 0 : ret->err;
}

static int
read_certificate(struct cli *cli, const char *path, struct ks_buf *ret)
{
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf pem = KS_BUF(SECRET_MAX);
    if (command_read(path, &pem, &diag) != 0 || ks_pem_decode(KS_PEM_CERT, ks_buf_span(&pem), ret, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    return 0;
}

static int
create_credential(struct cli *cli)
{
    char uid[KS_UID_SIZE];
    const char *password = cli_value(cli, "password-file");
    const char *certificate = cli_value(cli, "certificate");
    const char *seed = cli_value(cli, "totp-seed-file");
    KS_CLEANUP(ks_buf_done) struct ks_buf secret = KS_BUF(SECRET_MAX);
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(SECRET_MAX);
    struct ks_new_credential params = {.name = cli->n_args > 0 ? cli->args[0] : NULL};
    if ((password != NULL) + (certificate != NULL) + (seed != NULL) != 1)
        return cli_fail(cli, KS_E_INVALID, "say one of --password-file, --certificate and --totp-seed-file");
    if (certificate != NULL) {
        KS_TRY(read_certificate(cli, certificate, &bytes));
        params.type = KMIP_CREDENTIAL_TYPE_CERTIFICATE;
        params.certificate = (struct ks_bytes){bytes.data, bytes.len};
    } else {
        KS_TRY(read_secret(cli, password != NULL ? password : seed, &secret));
        params.type = KMIP_CREDENTIAL_TYPE_PASSWORD;
        params.password = (const char *)secret.data;
    }
    if (seed != NULL) {
        if (ks_hex_decode(ks_span_str(params.password), &bytes) != 0)
            return cli_fail(cli, KS_E_INVALID, "%s: the seed has to be in hexadecimal", seed);
        params.type = KMIP_CREDENTIAL_TYPE_ONE_TIME_PASSWORD;
        params.password = NULL;
        params.otp.algorithm = KMIP_OTP_ALGORITHM_TOTP;
        params.otp.seed = (struct ks_bytes){bytes.data, bytes.len};
        params.otp.interval = 30;
        params.otp.digits = 6;
    }
    KS_TRY(ks_client_create_credential(cli->client, &cli->call, &params, uid, &cli->error));
    return key_report(cli, "Created", uid, params.name);
}

static int
create_group(struct cli *cli)
{
    char uid[KS_UID_SIZE];
    KS_TRY(ks_client_create_group(cli->client, &cli->call, cli->args[0], NULL, 0, uid, &cli->error));
    return key_report(cli, "Created", uid, cli->args[0]);
}

static int
create_user(struct cli *cli)
{
    char uid[KS_UID_SIZE];
    char uids[CLI_MAX_ARGS][KS_UID_SIZE];
    const char *credentials[CLI_MAX_ARGS];
    const char *group = cli_value(cli, "group");
    struct ks_new_user params = {.name = cli->args[0], .credentials = credentials, .groups = &group};
    for (size_t i = 1; i < cli->n_args; i++) {
        KS_TRY(key_find(cli, i, uids[i]));
        credentials[params.n_credentials++] = uids[i];
    }
    params.n_groups = group != NULL;
    KS_TRY(ks_client_create_user(cli->client, &cli->call, &params, uid, &cli->error));
    return key_report(cli, "Created", uid, cli->args[0]);
}

static const struct cli_option credential_options[] = {
    {"password-file", CLI_FILE, "FILE", "a password, in a file that nobody else can read; - is standard input"},
    {"certificate", CLI_FILE, "FILE", "an X.509 certificate, PEM"},
    {"totp-seed-file", CLI_FILE, "FILE", "one-time passwords (TOTP, 30 seconds, 6 digits): the seed in hexadecimal"},
};

const struct cli_command cli_credential_create = {
    .name = "credential create",
    .args = "[NAME]",
    .max_args = 1,
    .connects = true,
    .draft = true,
    .summary = "make what a user is known by",
    .details = "Then make the user: keystead user create. For administrators.",
    .examples = "  keystead credential create ada-password --password-file ada.txt\n",
    .options = credential_options,
    .n_options = KS_ARRAY_LEN(credential_options),
    .run = create_credential,
};

const struct cli_command cli_group_create = {
    .name = "group create",
    .args = "NAME",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .draft = true,
    .summary = "make a group of users",
    .details = "Its members share what is in it: docs/kmip.md. For administrators.",
    .examples = "  keystead group create billing\n",
    .run = create_group,
};

static const struct cli_option user_options[] = {
    {"group", CLI_TEXT, "NAME", "a member of that group"},
};

const struct cli_command cli_user_create = {
    .name = "user create",
    .args = "NAME CREDENTIAL...",
    .min_args = 2,
    .max_args = CLI_MAX_ARGS,
    .connects = true,
    .draft = true,
    .summary = "make a user, who is known by credentials",
    .details = "CREDENTIAL is a name or an identifier, of: keystead credential create. For administrators.",
    .examples = "  keystead user create ada ada-password --group billing\n",
    .options = user_options,
    .n_options = KS_ARRAY_LEN(user_options),
    .run = create_user,
};
