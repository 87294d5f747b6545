#include "cli/segments.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/output.h"
#include "cli/sink.h"
#include "crypto/random.h"

enum { FILE_ID = 16, IV = 12, TAG = 16, FRAME = 1 + 4 + IV + TAG, LINE_MAX = 1024, AAD_MAX = 1 << 16 };

static void
result_freep(struct ks_cipher_result **result)
{
    ks_cipher_result_free(*result);
}

static void
json_freep(json_t **json)
{
    json_decref(*json);
}

/* The line as JSON of this version, and how long it is with its end; NULL: it is none. */
static json_t *
read_line(struct ks_span head, size_t *ret_len)
{
    const size_t most = head.len < LINE_MAX ? head.len : LINE_MAX;
    const uint8_t *end = most != 0 ? memchr(head.data, '\n', most) : NULL;
    json_error_t error;
    if (end == NULL)
        return NULL;
    json_t *line = json_loadb((const char *)head.data, (size_t)(end - head.data), JSON_REJECT_DUPLICATES, &error);
    const json_t *version = json_object_get(line, "keystead");
    if (!json_is_integer(version) || json_integer_value(version) != 2) {
        json_decref(line);
        return NULL;
    }
    *ret_len = (size_t)(end - head.data) + 1;
    return line;
}

bool
segments_begin(struct ks_span head, char ret_key[KS_UID_SIZE])
{
    size_t len;
    KS_CLEANUP(json_freep) json_t *line = read_line(head, &len);
    const char *key = json_string_value(json_object_get(line, "key"));
    if (line == NULL)
        return false;
    snprintf(ret_key, KS_UID_SIZE, "%s", key != NULL && strlen(key) < KS_UID_SIZE ? key : "");
    return true;
}

/* One pass over a file. */
struct pass {
    struct cli *cli;
    const struct segments *with;
    struct source *in;
    struct sink sink;
    uint8_t file[FILE_ID];
    uint64_t number, bytes;
    bool shows; /* progress */
    bool begun; /* to show it */
    struct ks_buf aad;
};

static void
pass_done(struct pass *pass)
{
    if (pass->begun)
        fputs("\r\033[K", stderr);
    sink_done(&pass->sink);
    ks_buf_done(&pass->aad);
}

static void
show(struct pass *pass, size_t more)
{
    pass->bytes += more;
    if (!pass->shows)
        return;
    fprintf(stderr, "\r%s: %llu MiB", pass->in->path, (unsigned long long)(pass->bytes >> 20));
    (void)fflush(stderr);
    pass->begun = true;
}

/* The additional data of the segment that is next. */
static int
bind(struct pass *pass, bool last, struct ks_bytes *ret)
{
    uint8_t number[8];
    ks_buf_reset(&pass->aad);
    ks_put_be32(number, (uint32_t)(pass->number >> 32));
    ks_put_be32(number + 4, (uint32_t)pass->number);
    (void)ks_buf_add(&pass->aad, "keystead segment", 16);
    (void)ks_buf_add(&pass->aad, pass->file, sizeof(pass->file));
    (void)ks_buf_add(&pass->aad, number, sizeof(number));
    (void)ks_buf_add_u8(&pass->aad, last);
    if (ks_buf_add_span(&pass->aad, pass->with->aad) != 0)
        return cli_fail(pass->cli, pass->aad.err, "--aad: %s", ks_err_text(pass->aad.err));
    *ret = (struct ks_bytes){pass->aad.data, pass->aad.len};
    return 0;
}

static int
begin(struct pass *pass)
{
    pass->shows = pass->with->out != NULL && isatty(STDERR_FILENO) != 0;
    return sink_open(pass->cli, &pass->sink, pass->with->out);
}

/* Encrypting */

static int
write_line(struct pass *pass)
{
    KS_CLEANUP(json_done) struct json json = JSON;
    if (ks_random(pass->file, sizeof(pass->file)) != 0)
        return cli_fail(pass->cli, KS_E_CRYPTO, "no random numbers");
    json_open(&json, NULL, '{');
    json_number(&json, "keystead", 2);
    json_text(&json, "key", pass->with->uid);
    json_text(&json, "mode", "GCM");
    json_hex(&json, "file", pass->file, sizeof(pass->file));
    json_close(&json, '}');
    (void)ks_buf_add_u8(&json.buf, '\n');
    if (json.buf.err != 0)
        return cli_fail(pass->cli, json.buf.err, "%s", ks_err_text(json.buf.err));
    return sink_write(pass->cli, &pass->sink, ks_buf_span(&json.buf));
}

static int
encrypt_one(struct pass *pass, struct ks_span plain, bool last)
{
    struct cli *cli = pass->cli;
    uint8_t frame[FRAME] = {last};
    struct ks_cipher params = {.uid = pass->with->uid, .crypto = pass->with->crypto, .data = {plain.data, plain.len}};
    KS_CLEANUP(result_freep) struct ks_cipher_result *result = NULL;
    KS_TRY(bind(pass, last, &params.aad));
    KS_TRY(ks_client_encrypt(cli->client, &cli->call, &params, &result, &cli->error));
    if (result->iv.len != IV || result->tag.len != TAG || result->data.len != plain.len)
        return cli_fail(cli, KS_E_MALFORMED, "the server's IV, tag or data is not as long as AES-GCM makes it");
    ks_put_be32(frame + 1, (uint32_t)plain.len);
    memcpy(frame + 5, result->iv.data, IV);
    memcpy(frame + 5 + IV, result->tag.data, TAG);
    KS_TRY(sink_write(cli, &pass->sink, KS_SPAN(frame, sizeof(frame))));
    KS_TRY(sink_write(cli, &pass->sink, KS_SPAN(result->data.data, result->data.len)));
    pass->number++;
    show(pass, plain.len);
    return 0;
}

int
segments_encrypt(struct cli *cli, const struct segments *with, struct source *in)
{
    KS_CLEANUP(pass_done)
    struct pass pass = {.cli = cli, .with = with, .in = in, .sink = SINK, .aad = KS_BUF(AAD_MAX)};
    KS_CLEANUP(ks_buf_done) struct ks_buf now = KS_BUF(SEGMENT_DATA);
    KS_CLEANUP(ks_buf_done) struct ks_buf next = KS_BUF(SEGMENT_DATA);
    KS_TRY(begin(&pass));
    KS_TRY(write_line(&pass));
    KS_TRY(source_read(cli, in, SEGMENT_DATA, &now));
    for (;;) {
        ks_buf_reset(&next);
        if (now.len == SEGMENT_DATA)
            KS_TRY(source_read(cli, in, SEGMENT_DATA, &next));
        const bool last = next.len == 0;
        KS_TRY(encrypt_one(&pass, ks_buf_span(&now), last));
        if (last)
            return sink_commit(cli, &pass.sink);
        const struct ks_buf swap = now;
        now = next;
        next = swap;
    }
}

/* Decrypting */

static int
cut_off(struct pass *pass)
{
    return cli_fail(pass->cli, KS_E_INTEGRITY,
                    "%s ends in the middle, after %llu whole segments: a part of it is missing", pass->in->path,
                    (unsigned long long)pass->number);
}

static int
decrypt_one(struct pass *pass, struct ks_buf *data, bool *ret_last)
{
    struct cli *cli = pass->cli;
    KS_TRY(source_read(cli, pass->in, FRAME, data));
    if (data->len != FRAME)
        return cut_off(pass);
    uint8_t frame[FRAME];
    memcpy(frame, data->data, FRAME);
    const bool last = frame[0] == 1;
    const uint32_t len = ks_be32(frame + 1);
    if (frame[0] > 1 || len > SEGMENT_DATA || (len == 0 && !last))
        return cli_fail(cli, KS_E_INTEGRITY, "%s: segment %llu was changed: no segment begins like this",
                        pass->in->path, (unsigned long long)pass->number);
    KS_TRY(source_read(cli, pass->in, len, data));
    if (data->len != len)
        return cut_off(pass);
    struct ks_cipher params = {.uid = pass->with->uid,
                               .crypto = pass->with->crypto,
                               .data = {data->data, data->len},
                               .iv = {frame + 5, IV},
                               .tag = {frame + 5 + IV, TAG}};
    KS_CLEANUP(result_freep) struct ks_cipher_result *result = NULL;
    KS_TRY(bind(pass, last, &params.aad));
    KS_TRY(ks_client_decrypt(cli->client, &cli->call, &params, &result, &cli->error));
    KS_TRY(sink_write(cli, &pass->sink, KS_SPAN(result->data.data, result->data.len)));
    pass->number++;
    show(pass, len);
    *ret_last = last;
    return 0;
}

static int
take_line(struct pass *pass)
{
    size_t len = 0;
    KS_CLEANUP(json_freep) json_t *line = read_line(ks_buf_span(&pass->in->head), &len);
    const char *mode = json_string_value(json_object_get(line, "mode"));
    const char *file = json_string_value(json_object_get(line, "file"));
    KS_CLEANUP(ks_buf_done) struct ks_buf id = KS_BUF(FILE_ID);
    if (mode == NULL || strcmp(mode, "GCM") != 0 || file == NULL || ks_hex_decode(ks_span_str(file), &id) != 0 ||
        id.len != FILE_ID)
        return cli_fail(pass->cli, KS_E_MALFORMED, "%s: its first line is not as `keystead key encrypt` writes it",
                        pass->in->path);
    memcpy(pass->file, id.data, FILE_ID);
    pass->in->taken = len;
    return 0;
}

int
segments_decrypt(struct cli *cli, const struct segments *with, struct source *in)
{
    KS_CLEANUP(pass_done)
    struct pass pass = {.cli = cli, .with = with, .in = in, .sink = SINK, .aad = KS_BUF(AAD_MAX)};
    KS_CLEANUP(ks_buf_done) struct ks_buf data = KS_BUF(SEGMENT_DATA);
    KS_TRY(take_line(&pass));
    KS_TRY(begin(&pass));
    for (bool last = false; !last;)
        KS_TRY(decrypt_one(&pass, &data, &last));
    KS_TRY(source_read(cli, in, 1, &data));
    if (data.len != 0)
        return cli_fail(cli, KS_E_INTEGRITY, "%s goes on behind its last segment: something was appended", in->path);
    return sink_commit(cli, &pass.sink);
}
