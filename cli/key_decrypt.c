/* keystead key decrypt */
#include "cli/command.h"
#include "cli/envelope.h"
#include "cli/key.h"
#include "cli/segments.h"

static void
result_freep(struct ks_cipher_result **result)
{
    ks_cipher_result_free(*result);
}

enum { GCM_TAG_BYTES = 16, TEXT_MAX = 32 << 20 };

static int
decrypt_segments(struct cli *cli, struct source *source, char uid[KS_UID_SIZE])
{
    const char *aad = cli_value(cli, "aad");
    struct ks_crypto_params crypto = {.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM, .tag_length = GCM_TAG_BYTES};
    if (cli->n_args > 0)
        KS_TRY(key_find(cli, 0, uid));
    else if (uid[0] == '\0')
        return cli_fail(cli, KS_E_MALFORMED, "%s does not say which key it was encrypted with: name it", source->path);
    KS_TRY(key_algorithm(cli, uid, &crypto.cryptographic_algorithm));
    const struct segments with = {uid, &crypto, aad != NULL ? ks_span_str(aad) : KS_SPAN_NONE, cli_value(cli, "out")};
    return segments_decrypt(cli, &with, source);
}

static int
run(struct cli *cli)
{
    char uid[KS_UID_SIZE];
    struct ks_diag diag = {0};
    const char *in = cli_value(cli, "in");
    const char *aad = cli_value(cli, "aad");
    KS_CLEANUP(envelope_done) struct envelope envelope = ENVELOPE;
    KS_CLEANUP(source_done) struct source source = SOURCE(in != NULL ? in : "-", TEXT_MAX + 1);
    KS_TRY(source_open(cli, &source));
    if (segments_begin(ks_buf_span(&source.head), uid))
        return decrypt_segments(cli, &source, uid);
    if (source.head.len > TEXT_MAX)
        return cli_fail(cli, KS_E_LIMIT, "%s: this was not written by `keystead key encrypt`", source.path);
    if (envelope_read(ks_buf_span(&source.head), &envelope, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    if (cli->n_args > 0)
        KS_TRY(key_find(cli, 0, uid));
    else
        memcpy(uid, envelope.key, sizeof(uid));
    struct ks_crypto_params crypto = {.block_cipher_mode = envelope.mode, .tag_length = (int32_t)envelope.tag.len};
    if (envelope.mode == KMIP_BLOCK_CIPHER_MODE_CBC)
        crypto.padding_method = KMIP_PADDING_METHOD_PKCS5;
    KS_TRY(key_algorithm(cli, uid, &crypto.cryptographic_algorithm));
    const struct ks_cipher params = {.uid = uid,
                                     .crypto = &crypto,
                                     .data = {envelope.data.data, envelope.data.len},
                                     .iv = {envelope.iv.data, envelope.iv.len},
                                     .tag = {envelope.tag.data, envelope.tag.len},
                                     .aad = {(const uint8_t *)aad, aad != NULL ? strlen(aad) : 0}};
    KS_CLEANUP(result_freep) struct ks_cipher_result *result = NULL;
    KS_TRY(ks_client_decrypt(cli->client, &cli->call, &params, &result, &cli->error));
    return cli_write(cli, cli_value(cli, "out"), KS_SPAN(result->data.data, result->data.len));
}

static const struct cli_option options[] = {
    {"in", CLI_FILE, "FILE", "what `keystead key encrypt` wrote (default: standard input)"},
    {"out", CLI_FILE, "FILE", "where to (default: standard output); nobody but you can read it"},
    {"aad", CLI_TEXT, "TEXT", "the additional data that it was encrypted with"},
};

const struct cli_command cli_key_decrypt = {
    .name = "key decrypt",
    .args = "[KEY]",
    .max_args = 1,
    .connects = true,
    .summary = "decrypt what `keystead key encrypt` wrote",
    .details = "KEY is needed only where another key than the one named in the data is to be used. --out appears\n"
               "only when all of it was decrypted; standard output may have got a part before an error.",
    .examples = "  keystead key decrypt --in invoice.enc --out invoice.pdf\n"
                "  keystead key decrypt --in note.enc --aad customer-17\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
