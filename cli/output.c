#include "cli/output.h"

/* ---- JSON ---- */

void
json_done(struct json *json)
{
    ks_buf_done(&json->buf);
}

static void
begin(struct json *json, const char *name)
{
    if (json->comma)
        (void)ks_buf_add_str(&json->buf, ", ");
    if (name != NULL) {
        (void)ks_json_add_string(&json->buf, ks_span_str(name));
        (void)ks_buf_add_str(&json->buf, ": ");
    }
    json->comma = true;
}

void
json_open(struct json *json, const char *name, char bracket)
{
    if (name == NULL && json->comma) { /* the next object of an array: a line of its own, for grep and diff */
        (void)ks_buf_add_str(&json->buf, ",\n ");
        json->comma = false;
    }
    begin(json, name);
    (void)ks_buf_add_u8(&json->buf, (uint8_t)bracket);
    json->comma = false;
}

void
json_close(struct json *json, char bracket)
{
    (void)ks_buf_add_u8(&json->buf, (uint8_t)bracket);
    json->comma = true;
}

void
json_text(struct json *json, const char *name, const char *text)
{
    begin(json, name);
    if (text == NULL)
        (void)ks_buf_add_str(&json->buf, "null");
    else
        (void)ks_json_add_string(&json->buf, ks_span_str(text));
}

void
json_number(struct json *json, const char *name, int64_t number)
{
    begin(json, name);
    (void)ks_buf_addf(&json->buf, "%lld", (long long)number);
}

void
json_bool(struct json *json, const char *name, bool value)
{
    begin(json, name);
    (void)ks_buf_add_str(&json->buf, value ? "true" : "false");
}

void
json_hex(struct json *json, const char *name, const void *data, size_t len)
{
    begin(json, name);
    (void)ks_buf_add_u8(&json->buf, '"');
    (void)ks_hex_add(&json->buf, data, len);
    (void)ks_buf_add_u8(&json->buf, '"');
}

void
json_date(struct json *json, const char *name, int64_t seconds)
{
    char text[KS_TIME_TEXT_LEN];
    output_time(seconds, text);
    json_text(json, name, text[0] != '\0' ? text : NULL);
}

int
output_json(struct json *json)
{
    if (ks_buf_add_u8(&json->buf, '\n') != 0)
        return json->buf.err;
    return fwrite(json->buf.data, 1, json->buf.len, stdout) == json->buf.len ? output_flush() : KS_E_IO;
}

/* ---- For people ---- */

void
table_done(struct table *table)
{
    ks_buf_done(&table->cells);
}

/* The bytes of the character at p, and whether a terminal only shows it. */
static size_t
next_char(const uint8_t *p, bool *ret_safe)
{
    const size_t len = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
    uint32_t c = len == 1 ? *p : *p & (0xffU >> (len + 1));
    size_t i = 1;
    for (; i < len && (p[i] & 0xc0) == 0x80; i++)
        c = c << 6 | (p[i] & 0x3fU);
    const bool is_control = c < ' ' || (c >= 0x7f && c < 0xa0);
    const bool turns = (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
    *ret_safe = i == len && !is_control && !turns;
    return i;
}

size_t
output_add_safe(struct ks_buf *out, const char *text)
{
    size_t n = 0;
    bool safe;
    for (const uint8_t *p = (const uint8_t *)text; *p != '\0'; n++) {
        const size_t len = next_char(p, &safe);
        (void)(safe ? ks_buf_add(out, p, len) : ks_buf_add_u8(out, '?'));
        p += len;
    }
    return n;
}

void
output_safe(FILE *to, const char *text)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf safe = KS_BUF(16 << 20);
    (void)output_add_safe(&safe, text);
    (void)fwrite(safe.data, 1, safe.len, to);
}

void
output_time(int64_t seconds, char ret[KS_TIME_TEXT_LEN])
{
    ret[0] = '\0';
    if (ks_time_format(seconds, ret) != 0)
        return;
    char *zone = strstr(ret, "+00:00");
    if (zone != NULL)
        snprintf(zone, 2, "Z");
}

void
table_add(struct table *table, const char *cell)
{
    (void)output_add_safe(&table->cells, cell != NULL && cell[0] != '\0' ? cell : "-");
    (void)ks_buf_add_u8(&table->cells, '\0');
    table->n_cells++;
}

void
table_add_date(struct table *table, int64_t seconds)
{
    char text[KS_TIME_TEXT_LEN];
    output_time(seconds, text);
    text[strcspn(text, "T")] = '\0';
    table_add(table, text);
}

/* Characters rather than bytes, for UTF-8. */
static int
width(const char *text)
{
    int n = 0;
    for (; *text != '\0'; text++)
        if (((unsigned char)*text & 0xc0) != 0x80)
            n++;
    return n;
}

static void
print_cell(const char *text, int columns, bool last)
{
    printf("%s", text);
    for (int n = width(text); n < columns + 2 && !last; n++)
        (void)putchar(' ');
    if (last)
        (void)putchar('\n');
}

int
table_print(struct table *table)
{
    enum { MOST = 16 };
    int widths[MOST] = {0};
    if (table->cells.err != 0 || table->n_columns == 0 || table->n_columns > MOST)
        return table->cells.err != 0 ? table->cells.err : KS_E_INTERNAL;
    for (size_t i = 0; i < table->n_columns; i++)
        widths[i] = width(table->columns[i]);
    const char *cell = (const char *)table->cells.data;
    for (size_t i = 0; i < table->n_cells; i++, cell += strlen(cell) + 1)
        if (width(cell) > widths[i % table->n_columns])
            widths[i % table->n_columns] = width(cell);
    for (size_t i = 0; i < table->n_columns; i++)
        print_cell(table->columns[i], widths[i], i + 1 == table->n_columns);
    cell = (const char *)table->cells.data;
    for (size_t i = 0; i < table->n_cells; i++, cell += strlen(cell) + 1)
        print_cell(cell, widths[i % table->n_columns], (i + 1) % table->n_columns == 0);
    return output_flush();
}

void
output_field(const char *name, const char *value)
{
    printf("%-18s", name);
    if (value != NULL)
        output_safe(stdout, value);
    (void)putchar('\n');
}

int
output_flush(void)
{
    return fflush(stdout) == 0 && ferror(stdout) == 0 ? 0 : KS_E_IO;
}
