#include "cli/split.h"

static bool
is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool
begins(struct ks_span s, const char *with)
{
    const size_t n = strlen(with);
    return s.len >= n && memcmp(s.data, with, n) == 0;
}

/* The number of bytes up to and with `end`; all where it does not come. */
static size_t
up_to(struct ks_span s, const char *end)
{
    const uint8_t *p = memmem(s.data, s.len, end, strlen(end));
    return p != NULL ? (size_t)(p - s.data) + strlen(end) : s.len;
}

/* The length of the JSON value that s begins with: to the bracket that closes the first. */
static size_t
json_length(struct ks_span s)
{
    size_t open = 0;
    bool string = false;
    for (size_t i = 0; i < s.len; i++) {
        const uint8_t c = s.data[i];
        if (string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                string = false;
        } else if (c == '"') {
            string = true;
        } else if (c == '{' || c == '[') {
            open++;
        } else if ((c == '}' || c == ']') && open != 0 && --open == 0) {
            return i + 1;
        }
    }
    return s.len;
}

/* The length of the tag that s begins with: to the '>' that is not in quotes. */
static size_t
tag_length(struct ks_span s)
{
    uint8_t quote = 0;
    for (size_t i = 0; i < s.len; i++) {
        const uint8_t c = s.data[i];
        if (quote != 0)
            quote = c == quote ? 0 : quote;
        else if (c == '"' || c == '\'')
            quote = c;
        else if (c == '>')
            return i + 1;
    }
    return s.len;
}

static size_t
xml_length(struct ks_span s)
{
    size_t open = 0, i = 0;
    while (i < s.len) {
        const struct ks_span rest = KS_SPAN(s.data + i, s.len - i);
        if (rest.data[0] != '<') {
            i++;
            continue;
        }
        if (begins(rest, "<!--") || begins(rest, "<?")) {
            i += up_to(rest, begins(rest, "<?") ? "?>" : "-->");
            continue;
        }
        const size_t n = tag_length(rest);
        i += n;
        if (begins(rest, "</"))
            open -= open != 0 ? 1 : 0;
        else if (n < 2 || rest.data[n - 2] != '/')
            open++;
        if (open == 0)
            return i;
    }
    return s.len;
}

/* What stands between two messages. */
static size_t
gap(enum kmip_encoding encoding, struct ks_span s)
{
    size_t i = 0;
    for (;;) {
        const struct ks_span rest = KS_SPAN(s.data + i, s.len - i);
        if (rest.len != 0 && is_blank(rest.data[0]))
            i++;
        else if (i == 0 && begins(rest, "\xef\xbb\xbf"))
            i += 3;
        else if (encoding == KMIP_ENCODING_XML && begins(rest, "<!--"))
            i += up_to(rest, "-->");
        else if (encoding == KMIP_ENCODING_XML && begins(rest, "<?"))
            i += up_to(rest, "?>");
        else if (encoding == KMIP_ENCODING_XML && (begins(rest, "<KMIP>") || begins(rest, "</KMIP>")))
            i += up_to(rest, ">");
        else
            return i;
    }
}

int
split_next(enum kmip_encoding encoding, struct ks_span all, size_t *at, const struct kmip_limits *limits,
           struct ks_span *ret, struct ks_diag *diag)
{
    struct ks_span rest = KS_SPAN(all.data + *at, all.len - *at);
    *ret = KS_SPAN(rest.data, 0);
    if (encoding != KMIP_ENCODING_TTLV) {
        const size_t n = gap(encoding, rest);
        rest = KS_SPAN(rest.data + n, rest.len - n);
        *ret = KS_SPAN(rest.data, 0);
        ret->len = encoding == KMIP_ENCODING_JSON ? json_length(rest) : xml_length(rest);
        *at = (size_t)(rest.data - all.data) + ret->len;
        return 0;
    }
    if (rest.len == 0)
        return 0;
    size_t len;
    KS_TRY(kmip_ttlv_length(rest, limits, &len, diag));
    ret->len = len < rest.len ? len : rest.len;
    *at += ret->len;
    return 0;
}
