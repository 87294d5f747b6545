#include "cli/cert.h"

#include "cli/command.h"
#include "crypto/cert.h"

enum { FILE_MAX = 1 << 17 };

int
cert_read_request(struct cli *cli, const char *path, struct ks_buf *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(FILE_MAX);
    struct ks_diag diag = {0};
    if (command_read(path, &text, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    const int rc = ks_pem_decode(KS_PEM_REQUEST, ks_buf_span(&text), ret, &diag);
    if (rc == 0)
        return 0;
    if (rc != KS_E_NOT_FOUND)
        return cli_fail_diag(cli, &diag);
    if (ks_buf_add_span(ret, ks_buf_span(&text)) != 0)
        return cli_fail(cli, ret->err, "%s: %s", path, ks_err_text(ret->err));
    return 0;
}

static void
object_freep(struct ks_object **object)
{
    ks_object_free(*object);
}

int
cert_write(struct cli *cli, const char *uid)
{
    const char *out = cli_value(cli, "out");
    KS_CLEANUP(object_freep) struct ks_object *object = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf pem = KS_BUF(FILE_MAX);
    struct ks_diag diag = {0};
    if (out == NULL)
        return 0;
    KS_TRY(ks_client_get(cli->client, &cli->call, &(struct ks_get){.uid = uid}, &object, &cli->error));
    if (ks_pem_encode(KS_PEM_CERT, KS_SPAN(object->material.data, object->material.len), &pem, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    return cli_write(cli, out, ks_buf_span(&pem));
}
