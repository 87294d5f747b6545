/* keystead key encrypt: data that is encrypted by the server. */
#include "cli/command.h"
#include "cli/envelope.h"
#include "cli/key.h"
#include "cli/segments.h"

enum { GCM_IV_BITS = 96, GCM_TAG_BYTES = 16 };

static void
result_freep(struct ks_cipher_result **result)
{
    ks_cipher_result_free(*result);
}

static int
run(struct cli *cli)
{
    char uid[KS_UID_SIZE];
    struct ks_crypto_params crypto = {.random_iv = true};
    const char *in = cli_value(cli, "in");
    const char *aad = cli_value(cli, "aad");
    KS_TRY(key_word(cli, "mode", WORDS_BLOCK_CIPHER_MODE, KMIP_BLOCK_CIPHER_MODE_GCM, &crypto.block_cipher_mode));
    const bool gcm = crypto.block_cipher_mode == KMIP_BLOCK_CIPHER_MODE_GCM;
    const size_t whole = gcm ? SEGMENT_DATA : ENVELOPE_DATA_MAX;
    KS_CLEANUP(source_done) struct source source = SOURCE(in != NULL ? in : "-", whole + 1);
    if (gcm) {
        crypto.iv_length = GCM_IV_BITS;
        crypto.tag_length = GCM_TAG_BYTES;
    } else if (aad != NULL) {
        return cli_fail(cli, KS_E_INVALID, "--aad needs a mode that authenticates: gcm");
    } else if (crypto.block_cipher_mode == KMIP_BLOCK_CIPHER_MODE_CBC) {
        crypto.padding_method = KMIP_PADDING_METHOD_PKCS5;
    }
    KS_TRY(key_find(cli, 0, uid));
    KS_TRY(key_algorithm(cli, uid, &crypto.cryptographic_algorithm));
    KS_TRY(source_open(cli, &source));
    const struct ks_span plain = ks_buf_span(&source.head);
    if (plain.len > whole) {
        if (!gcm)
            return cli_fail(cli, KS_E_LIMIT, "%s: more than %d MiB are encrypted with --mode gcm alone", source.path,
                            ENVELOPE_DATA_MAX >> 20);
        const struct segments with = {uid, &crypto, aad != NULL ? ks_span_str(aad) : KS_SPAN_NONE,
                                      cli_value(cli, "out")};
        return segments_encrypt(cli, &with, &source);
    }
    const struct ks_cipher params = {.uid = uid,
                                     .crypto = &crypto,
                                     .data = {plain.data, plain.len},
                                     .aad = {(const uint8_t *)aad, aad != NULL ? strlen(aad) : 0}};
    KS_CLEANUP(result_freep) struct ks_cipher_result *result = NULL;
    KS_TRY(ks_client_encrypt(cli->client, &cli->call, &params, &result, &cli->error));
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(64 << 20);
    KS_TRY(envelope_write(uid, crypto.block_cipher_mode, result, &text));
    return cli_write(cli, cli_value(cli, "out"), ks_buf_span(&text));
}

static const struct cli_option options[] = {
    {"in", CLI_FILE, "FILE", "what to encrypt (default: standard input); of any size"},
    {"out", CLI_FILE, "FILE", "where to (default: standard output)"},
    {"mode", CLI_CHOICE, "gcm|cbc|ctr", "block cipher mode (default gcm, which also notices changes)"},
    {"aad", CLI_TEXT, "TEXT", "is authenticated, not encrypted; decrypting needs the same (gcm)"},
};

const struct cli_command cli_key_encrypt = {
    .name = "key encrypt",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "encrypt data with a key that stays on the server",
    .details = KEY_HINT
    " The result names the key and is what\n`keystead key decrypt` reads: a line of JSON; of more than 512 KiB "
    "a line of JSON and\nbinary segments, each authenticated with its place in the file.",
    .examples = "  keystead key encrypt invoices --in invoice.pdf --out invoice.enc\n"
                "  echo secret | keystead key encrypt invoices --aad customer-17\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
