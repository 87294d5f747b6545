/* What commands print: JSON, and tables for people. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"

/*
 * JSON built in order. Failures stick to the buffer and are found by output_json.
 *
 *     json_open(&json, NULL, '{');
 *     json_text(&json, "name", "invoices");
 *     json_close(&json, '}');
 */
struct json {
    struct ks_buf buf;
    bool comma;
};
#define JSON                                                                                                           \
    {                                                                                                                  \
        KS_BUF(256 << 20), false                                                                                       \
    }
void json_done(struct json *json);
void json_open(struct json *json, const char *name, char bracket); /* name NULL: in an array, or the outermost */
void json_close(struct json *json, char bracket);
void json_text(struct json *json, const char *name, const char *text); /* text NULL: null */
void json_number(struct json *json, const char *name, int64_t number);
void json_bool(struct json *json, const char *name, bool value);
void json_hex(struct json *json, const char *name, const void *data, size_t len);
void json_date(struct json *json, const char *name, int64_t seconds); /* "2026-11-24T06:57:42Z" */
/* Writes it to standard output, with a newline. */
int output_json(struct json *json) KS_MUST_CHECK;

/* A table: the header, then cells row by row; columns as wide as they must be. Cells are copied. */
struct table {
    const char *const *columns;
    size_t n_columns;
    struct ks_buf cells; /* each ends in a NUL */
    size_t n_cells;
};
#define TABLE(names)                                                                                                   \
    {                                                                                                                  \
        (names), KS_ARRAY_LEN(names), KS_BUF(64 << 20), 0                                                              \
    }
void table_done(struct table *table);
void table_add(struct table *table, const char *cell);     /* NULL: "-". As output_safe has it */
void table_add_date(struct table *table, int64_t seconds); /* "2026-11-24": a line has 80 columns, JSON says more */
int table_print(struct table *table) KS_MUST_CHECK;

/*
 * Text from strangers, for a terminal: control characters, what turns the direction of writing, and what is no UTF-8
 * become '?'. The first appends and returns how many characters that were.
 */
size_t output_add_safe(struct ks_buf *out, const char *text);
void output_safe(FILE *to, const char *text);

/* "2026-11-24T06:57:42Z"; "" if the time has no date. */
void output_time(int64_t seconds, char ret[KS_TIME_TEXT_LEN]);

/* "name: value" for people, one a line, aligned. As output_safe has it. */
void output_field(const char *name, const char *value);

/* Whether all that was printed reached standard output. KS_E_IO. */
int output_flush(void) KS_MUST_CHECK;
