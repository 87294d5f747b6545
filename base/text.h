/* Text: hexadecimal, UTF-8, numbers and dates. All bounded, none locale-dependent. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/mem.h"

/* Appends lower-case hexadecimal digits. */
int ks_hex_add(struct ks_buf *buf, const void *data, size_t len);

/* Decimal digits, without a printf: what stands in every audit record and every answer. Returns their number. */
enum { KS_DEC_TEXT_LEN = 20 };
size_t ks_dec_text(uint64_t value, char text[KS_DEC_TEXT_LEN]);
int ks_dec_add(struct ks_buf *buf, int64_t value);

/* Appends the bytes that an even number of hexadecimal digits names; white space is skipped. KS_E_MALFORMED. */
int ks_hex_decode(struct ks_span text, struct ks_buf *ret) KS_MUST_CHECK;

/* Valid UTF-8 by RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF. */
bool ks_utf8_valid(struct ks_span text);

/* Whole-string decimal numbers (sign allowed) or 0x hexadecimal; KS_E_MALFORMED, or KS_E_LIMIT out of [min, max]. */
int ks_parse_i64(struct ks_span text, int64_t min, int64_t max, int64_t *ret) KS_MUST_CHECK;

/* Seconds since 1970 in UTC as RFC 3339 ("2026-11-24T06:57:42+00:00" or ...Z), and back. Years 0001 to 9999. */
enum { KS_TIME_TEXT_LEN = 40 };
int ks_time_format(int64_t seconds, char text[KS_TIME_TEXT_LEN]) KS_MUST_CHECK;
int ks_time_parse(struct ks_span text, int64_t *ret_seconds) KS_MUST_CHECK;
/* The same with microseconds: "2026-11-24T06:57:42.000123Z". */
int ks_time_format_us(int64_t microseconds, char text[KS_TIME_TEXT_LEN]) KS_MUST_CHECK;

/* Appends text as a JSON string literal, quotes included; control characters and invalid UTF-8 are escaped. */
int ks_json_add_string(struct ks_buf *buf, struct ks_span text);

/* Wall clock in microseconds since 1970; monotonic clock in milliseconds, for deadlines. */
int64_t ks_clock_us(void);
int64_t ks_monotonic_ms(void);
