/*
 * The operational log of programs (not of libraries, and not the audit trail): standard error, one line each.
 * "keystead[net 1]: warning: ..."; where standard error is the journal, with the "<4>" prefixes that it reads.
 */
#pragma once

#include "base/attr.h"

enum ks_log_level { KS_LOG_ERROR = 3, KS_LOG_WARNING = 4, KS_LOG_NOTICE = 5, KS_LOG_INFO = 6, KS_LOG_DEBUG = 7 };

/* Who is speaking ("vault", "net 1"; NULL: the program alone) and the least urgent level that is written. */
void ks_log_init(const char *who, enum ks_log_level level);

void ks_log(enum ks_log_level level, const char *fmt, ...) KS_PRINTF(2, 3);

#define ks_log_error(...) ks_log(KS_LOG_ERROR, __VA_ARGS__)
#define ks_log_warning(...) ks_log(KS_LOG_WARNING, __VA_ARGS__)
#define ks_log_notice(...) ks_log(KS_LOG_NOTICE, __VA_ARGS__)
#define ks_log_info(...) ks_log(KS_LOG_INFO, __VA_ARGS__)
#define ks_log_debug(...) ks_log(KS_LOG_DEBUG, __VA_ARGS__)
