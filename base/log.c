#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    char who[32];
    enum ks_log_level level;
    bool journal;
} state = {.level = KS_LOG_INFO};

/* Whether standard error is the journal, which takes the urgency from the beginning of a line (sd-daemon(3)). */
static bool
to_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM"); /* "DEVICE:INODE" */
    struct stat st;
    char is[64];
    if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
        return false;
    snprintf(is, sizeof(is), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return strcmp(stream, is) == 0;
}

void
ks_log_init(const char *who, enum ks_log_level level)
{
    snprintf(state.who, sizeof(state.who), "%s", who != NULL ? who : "");
    state.level = level;
    state.journal = to_journal();
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
    int n = state.journal ? snprintf(line, sizeof(line), "<%d>", (int)level) : 0;
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
