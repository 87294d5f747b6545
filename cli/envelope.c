#include "cli/envelope.h"

#include <jansson.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/output.h"
#include "cli/words.h"

void
envelope_done(struct envelope *envelope)
{
    ks_buf_done(&envelope->iv);
    ks_buf_done(&envelope->tag);
    ks_buf_done(&envelope->data);
}

int
envelope_write(const char *key, uint32_t mode, const struct ks_cipher_result *result, struct ks_buf *ret)
{
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_number(&json, "keystead", 1);
    json_text(&json, "key", key);
    json_text(&json, "mode", words_text(WORDS_BLOCK_CIPHER_MODE, mode));
    json_hex(&json, "iv", result->iv.data, result->iv.len);
    json_hex(&json, "tag", result->tag.data, result->tag.len);
    json_hex(&json, "data", result->data.data, result->data.len);
    json_close(&json, '}');
    (void)ks_buf_add_u8(&json.buf, '\n');
    return json.buf.err != 0 ? json.buf.err : ks_buf_add_span(ret, ks_buf_span(&json.buf));
}

static void
json_freep(json_t **json)
{
    json_decref(*json);
}

static int
take_hex(const json_t *object, const char *name, struct ks_buf *ret, struct ks_diag *diag)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value))
        return ks_fail(diag, KS_E_MALFORMED, "this is no envelope: \"%s\" is missing", name);
    const int rc = ks_hex_decode(KS_SPAN(json_string_value(value), json_string_length(value)), ret);
    return rc == 0 ? 0 : ks_fail(diag, rc, "this is no envelope: \"%s\" is not hexadecimal, or too long", name);
}

int
envelope_read(struct ks_span text, struct envelope *ret, struct ks_diag *diag)
{
    json_error_t error;
    KS_CLEANUP(json_freep)
    json_t *object = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &error);
    const json_t *version = json_object_get(object, "keystead");
    const char *key = json_string_value(json_object_get(object, "key"));
    const char *mode = json_string_value(json_object_get(object, "mode"));
    if (!json_is_integer(version) || key == NULL || mode == NULL || key[0] == '\0' || strlen(key) >= sizeof(ret->key))
        return ks_fail(diag, KS_E_MALFORMED, "this was not written by `keystead key encrypt`");
    if (json_integer_value(version) != 1)
        return ks_fail(diag, KS_E_UNSUPPORTED, "the envelope is of a later version; use a newer keystead");
    if (words_find(WORDS_BLOCK_CIPHER_MODE, mode, &ret->mode) != 0)
        return ks_fail(diag, KS_E_MALFORMED, "this is no envelope: there is no mode \"%.40s\"", mode);
    snprintf(ret->key, sizeof(ret->key), "%s", key);
    KS_TRY(take_hex(object, "iv", &ret->iv, diag));
    KS_TRY(take_hex(object, "tag", &ret->tag, diag));
    return take_hex(object, "data", &ret->data, diag);
}
