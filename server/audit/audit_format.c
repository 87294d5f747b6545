/*
 * The members of a record, in a fixed order. What is empty is left out. What is long is cut, and says so: clients
 * choose names and correlation values, and none must be able to make a record that the log cannot take.
 */
#include "server/audit/audit.h"

#include "base/text.h"

/* A member's name, with the comma before it: every member but the first, "event". */
#define NAME(text) KS_LIT(",\"" text "\":")

enum { VALUE_MAX = 1024, LIST_MAX = 8192 }; /* bytes */

/* The beginning of text up to max bytes; a character is not cut in two. */
static struct ks_span
cut(struct ks_span text, size_t max)
{
    if (text.len <= max)
        return text;
    size_t len = max;
    while (len > max - 4 && (text.data[len] & 0xc0) == 0x80)
        len--;
    return KS_SPAN(text.data, len);
}

static void
add_span(struct ks_buf *buf, struct ks_span name, struct ks_span value)
{
    if (value.len == 0)
        return;
    ks_buf_add_span(buf, name);
    const struct ks_span shown = cut(value, VALUE_MAX);
    ks_json_add_string(buf, shown);
    if (shown.len < value.len) { /* inside the string: before its closing quote */
        buf->len -= buf->err == 0;
        ks_buf_addf(buf, "... (%zu bytes)\"", value.len);
    }
}

static void
add_text(struct ks_buf *buf, struct ks_span name, const char *value)
{
    if (value != NULL)
        add_span(buf, name, ks_span_str(value));
}

static void
add_int(struct ks_buf *buf, struct ks_span name, int value)
{
    ks_buf_add_span(buf, name);
    ks_dec_add(buf, value);
}

static void
add_who(struct ks_buf *buf, const struct audit_event *e)
{
    const struct identity *who = e->who;
    if (who == NULL) {
        add_text(buf, NAME("actor"), "system");
        add_text(buf, NAME("role"), e->role);
        return;
    }
    /* The registry's name is ours; a certificate's is what its issuer made of it, for want of the other. */
    add_span(buf, NAME("actor"), e->client.len != 0 ? e->client : who->name.len != 0 ? who->name : KS_LIT("unknown"));
    add_text(buf, NAME("role"), e->role);
    if (e->acts_for.len != 0)
        add_span(buf, NAME("acts_for"), e->acts_for);
    ks_buf_add_span(buf, NAME("authenticated"));
    ks_buf_add_str(buf, who->authenticated ? "true" : "false");
    if (who->authenticated) {
        ks_buf_add_span(buf, NAME("fingerprint"));
        ks_buf_add_u8(buf, '"');
        ks_hex_add(buf, who->fingerprint, sizeof(who->fingerprint));
        ks_buf_add_u8(buf, '"');
    }
    add_span(buf, NAME("subject"), who->subject);
    add_span(buf, NAME("serial"), who->serial);
    add_span(buf, NAME("address"), who->address);
    add_span(buf, NAME("tls"), who->tls);
}

/* Names separated by blanks, as a list. */
static void
add_list(struct ks_buf *buf, struct ks_span name, struct ks_span names)
{
    if (names.len == 0)
        return;
    ks_buf_add_span(buf, name);
    names = cut(names, LIST_MAX); /* our own names: that many attributes are not in one request of a sane client */
    char separator = '[';
    for (size_t at = 0; at < names.len;) {
        const uint8_t *blank = memchr(names.data + at, ' ', names.len - at);
        const size_t len = blank != NULL ? (size_t)(blank - names.data) - at : names.len - at;
        if (len > 0) {
            ks_buf_add_u8(buf, (uint8_t)separator);
            ks_json_add_string(buf, KS_SPAN(names.data + at, len));
            separator = ',';
        }
        at += len + 1;
    }
    ks_buf_add_str(buf, separator == '[' ? "[]" : "]");
}

static void
add_members(struct ks_buf *buf, const struct audit_event *e)
{
    ks_buf_add_span(buf, KS_LIT("\"event\":"));
    ks_json_add_string(buf, e->event);
    add_who(buf, e);
    add_text(buf, NAME("operation"), e->operation);
    add_text(buf, NAME("version"), e->version);
    if (e->batch_item >= 0)
        add_int(buf, NAME("batch_item"), e->batch_item);
    add_span(buf, NAME("object"), e->object);
    add_text(buf, NAME("object_type"), e->object_type);
    add_span(buf, NAME("name"), e->name);
    add_text(buf, NAME("algorithm"), e->algorithm);
    if (e->length != 0)
        add_int(buf, NAME("length"), e->length);
    add_text(buf, NAME("state_before"), e->state_before);
    add_text(buf, NAME("state_after"), e->state_after);
    add_list(buf, NAME("attributes"), e->attributes);
    add_text(buf, NAME("form"), e->form);
    add_text(buf, NAME("status"), e->status);
    add_text(buf, NAME("reason"), e->reason);
    add_span(buf, NAME("message"), e->message);
    add_span(buf, NAME("client_correlation"), e->client_correlation);
    add_span(buf, NAME("server_correlation"), e->server_correlation);
}

int
audit_event_format(const struct audit_event *event, struct ks_buf *buf)
{
    if (event->event.len == 0)
        return KS_E_INVALID;
    add_members(buf, event);
    return buf->err;
}
