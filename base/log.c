#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static struct {
    char who[32];
    enum ks_log_level level;
    bool terminal;
} state = {.level = KS_LOG_INFO};

void
ks_log_init(const char *who, enum ks_log_level level)
{
    snprintf(state.who, sizeof(state.who), "%s", who != NULL ? who : "");
    state.level = level;
    state.terminal = isatty(STDERR_FILENO) == 1;
}

static const char *
level_text(enum ks_log_level level)
{
    switch (level) {
    case KS_LOG_ERROR:
        return "error: ";
    case KS_LOG_WARNING:
        return "warning: ";
    case KS_LOG_DEBUG:
        return "debug: ";
    case KS_LOG_NOTICE:
    case KS_LOG_INFO:
        break;
    }
    return "";
}

void
ks_log(enum ks_log_level level, const char *fmt, ...)
{
    if (level > state.level)
        return;
    /* One write per line: several processes share the descriptor. */
    char line[1400];
    int n = state.terminal ? 0 : snprintf(line, sizeof(line), "<%d>", (int)level);
    n += state.who[0] != '\0'
             ? snprintf(line + n, sizeof(line) - (size_t)n, "keystead[%s]: %s", state.who, level_text(level))
             : snprintf(line + n, sizeof(line) - (size_t)n, "keystead: %s", level_text(level));
    va_list args;
    va_start(args, fmt);
    int more = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, args);
    va_end(args);
    if (more < 0)
        more = 0;
    size_t len = (size_t)n + (size_t)more;
    if (len > sizeof(line) - 2)
        len = sizeof(line) - 2;
    for (size_t i = (size_t)n; i < len; i++) /* text from strangers must not forge lines */
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0)
        return; /* nobody to tell */
}
