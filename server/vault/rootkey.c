#include "server/vault/rootkey.h"

#include "base/file.h"
#include "base/text.h"
#include "crypto/kdf.h"
#include "crypto/random.h"

#define KEY_HEADER "keystead-root-key 1"
#define PASSPHRASE_HEADER "keystead-passphrase 1"

enum { FILE_MAX = 4096, SALT_LEN = 32, R_MAX = 32, P_MAX = 16 };
#define N_MAX (INT64_C(1) << 22)
#define MEMORY_MAX (UINT64_C(1) << 30) /* what a start may take, whoever wrote the parameters */

int
rootkey_file_create(const char *path, struct ks_key32 *ret, struct ks_diag *diag)
{
    KS_KEY32 key;
    if (ks_random_key(key.b, sizeof(key.b)) != 0)
        return ks_fail(diag, KS_E_CRYPTO, "no random bytes for a root key");
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(FILE_MAX);
    ks_buf_add_str(&text, KEY_HEADER "\n");
    ks_hex_add(&text, key.b, sizeof(key.b));
    const int rc = ks_buf_add_str(&text, "\n");
    if (rc != 0)
        return ks_fail(diag, rc, "%s: %s", path, ks_err_text(rc));
    KS_TRY(ks_file_create(path, ks_buf_span(&text), 0600, diag));
    *ret = key;
    return 0;
}

/* The next line without its end; false at the end of the text. */
static bool
next_line(struct ks_span *text, struct ks_span *ret)
{
    if (text->len == 0)
        return false;
    const uint8_t *end = memchr(text->data, '\n', text->len);
    const size_t len = end != NULL ? (size_t)(end - text->data) : text->len;
    *ret = KS_SPAN(text->data, len);
    const size_t used = end != NULL ? len + 1 : len;
    *text = KS_SPAN(text->data + used, text->len - used);
    return true;
}

/* 32 bytes from hexadecimal digits. */
static bool
take_bytes(struct ks_span hex, uint8_t ret[32])
{
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(64);
    if (ks_hex_decode(hex, &bytes) != 0 || bytes.len != 32)
        return false;
    memcpy(ret, bytes.data, 32);
    return true;
}

int
rootkey_file_read(const char *path, struct ks_key32 *ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(FILE_MAX);
    KS_TRY(ks_file_read_private(path, &buf, diag));
    struct ks_span text = ks_buf_span(&buf);
    struct ks_span header;
    struct ks_span hex;
    KS_KEY32 key = {{0}};
    if (!next_line(&text, &header) || !ks_span_is(header, KEY_HEADER) || !next_line(&text, &hex) ||
        !take_bytes(hex, key.b) || text.len != 0)
        return ks_fail(diag, KS_E_MALFORMED,
                       "%s is not a root key file: it has the line '" KEY_HEADER "' and one of 64 hexadecimal digits",
                       path);
    *ret = key;
    return 0;
}

struct params {
    uint64_t n;
    uint32_t r, p;
    uint8_t salt[SALT_LEN];
};

static int
derive(const struct params *params, struct ks_span passphrase, struct ks_key32 *ret, struct ks_diag *diag)
{
    if (passphrase.len == 0)
        return ks_fail(diag, KS_E_INVALID, "the passphrase is empty");
    return ks_kdf_scrypt(passphrase, KS_SPAN(params->salt, SALT_LEN), params->n, params->r, params->p, MEMORY_MAX,
                         ret->b, sizeof(ret->b), diag);
}

int
rootkey_passphrase_create(const char *path, struct ks_span passphrase, struct ks_key32 *ret, struct ks_diag *diag)
{
    struct params params = {.n = KS_SCRYPT_N, .r = KS_SCRYPT_R, .p = KS_SCRYPT_P};
    if (ks_random(params.salt, sizeof(params.salt)) != 0)
        return ks_fail(diag, KS_E_CRYPTO, "no random bytes for a salt");
    KS_KEY32 key;
    KS_TRY(derive(&params, passphrase, &key, diag));
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(FILE_MAX);
    ks_buf_addf(&text, PASSPHRASE_HEADER "\nscrypt n=%llu r=%u p=%u\nsalt ", (unsigned long long)params.n, params.r,
                params.p);
    ks_hex_add(&text, params.salt, sizeof(params.salt));
    const int rc = ks_buf_add_str(&text, "\n");
    if (rc != 0)
        return ks_fail(diag, rc, "%s: %s", path, ks_err_text(rc));
    KS_TRY(ks_file_create(path, ks_buf_span(&text), 0600, diag));
    *ret = key;
    return 0;
}

/* " name=NUMBER" at the beginning of what is left of a line. */
static bool
take_param(struct ks_span *line, const char *name, int64_t min, int64_t max, int64_t *ret)
{
    const struct ks_span want = ks_span_str(name);
    if (line->len < want.len || memcmp(line->data, want.data, want.len) != 0)
        return false;
    size_t end = want.len;
    while (end < line->len && line->data[end] != ' ')
        end++;
    if (ks_parse_i64(KS_SPAN(line->data + want.len, end - want.len), min, max, ret) != 0)
        return false;
    *line = KS_SPAN(line->data + end, line->len - end);
    return true;
}

static bool
parse_params(struct ks_span text, struct params *ret)
{
    struct ks_span line;
    int64_t n;
    int64_t r;
    int64_t p;
    if (!next_line(&text, &line) || !ks_span_is(line, PASSPHRASE_HEADER) || !next_line(&text, &line) ||
        !take_param(&line, "scrypt n=", KS_SCRYPT_N, N_MAX, &n) || !take_param(&line, " r=", KS_SCRYPT_R, R_MAX, &r) ||
        !take_param(&line, " p=", KS_SCRYPT_P, P_MAX, &p) || line.len != 0 || !next_line(&text, &line) ||
        line.len < 5 || memcmp(line.data, "salt ", 5) != 0 || text.len != 0)
        return false;
    struct params out = {.n = (uint64_t)n, .r = (uint32_t)r, .p = (uint32_t)p};
    if (!take_bytes(KS_SPAN(line.data + 5, line.len - 5), out.salt))
        return false;
    *ret = out;
    return true;
}

int
rootkey_passphrase_derive(const char *path, struct ks_span passphrase, struct ks_key32 *ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(FILE_MAX);
    KS_TRY(ks_file_read(path, &buf, diag));
    struct params params;
    if (!parse_params(ks_buf_span(&buf), &params))
        return ks_fail(
            diag, KS_E_MALFORMED,
            "%s does not hold the parameters of a passphrase, or weaker ones than n=%d r=%d p=%d; restore it "
            "from a backup",
            path, KS_SCRYPT_N, KS_SCRYPT_R, KS_SCRYPT_P);
    KS_KEY32 key;
    KS_TRY(derive(&params, passphrase, &key, diag));
    *ret = key;
    return 0;
}
