#include "server/config.h"

#include <confuse.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"

enum { FILE_MAX = 65536 };

/* libconfuse takes the end of the file inside a section for its end. A key of ours behind the text finds that out. */
#define END_KEY "keystead_end"

enum row_kind { ROW_SECTION, ROW_LIST, ROW_TEXT, ROW_INT };

struct row {
    enum row_kind kind;
    const char *section, *key;
    const char *text;    /* default of LIST and TEXT */
    const char *allowed; /* TEXT */
    int64_t number, min, max;
    size_t offset;
    const char *comment;
};

static const struct row rows[] = {
#define MEMBER(section, key) offsetof(struct server_config, section##_##key)
#define CONFIG_SECTION(section_, comment_) {ROW_SECTION, #section_, NULL, .comment = (comment_)},
#define CONFIG_LIST(section_, key_, def, comment_)                                                                     \
    {ROW_LIST, #section_, #key_, .text = (def), .offset = MEMBER(section_, key_), .comment = (comment_)},
#define CONFIG_TEXT(section_, key_, def, allowed_, comment_)                                                           \
    {ROW_TEXT,                                                                                                         \
     #section_,                                                                                                        \
     #key_,                                                                                                            \
     .text = (def),                                                                                                    \
     .allowed = (allowed_),                                                                                            \
     .offset = MEMBER(section_, key_),                                                                                 \
     .comment = (comment_)},
#define CONFIG_INT(section_, key_, def, min_, max_, comment_)                                                          \
    {ROW_INT,                                                                                                          \
     #section_,                                                                                                        \
     #key_,                                                                                                            \
     .number = (def),                                                                                                  \
     .min = (min_),                                                                                                    \
     .max = (max_),                                                                                                    \
     .offset = MEMBER(section_, key_),                                                                                 \
     .comment = (comment_)},
#include "server/config.def"
};

/* libconfuse reports through a function without an argument of ours: where the report goes while a parse runs. */
struct report {
    const char *path;
    struct ks_diag *diag;
};
static _Thread_local struct report report;

static void
known_keys(const cfg_t *cfg, char *text, size_t len)
{
    size_t at = 0;
    text[0] = '\0';
    for (const cfg_opt_t *opt = cfg->opts; opt->name != NULL && at < len; opt++) {
        if (strcmp(opt->name, END_KEY) == 0)
            continue;
        const int n = snprintf(text + at, len - at, "%s%s", at == 0 ? "" : ", ", opt->name);
        at += n > 0 ? (size_t)n : 0;
    }
}

static void KS_PRINTF(2, 0) on_error(cfg_t *cfg, const char *fmt, va_list args)
{
    char text[160], known[256];
    (void)vsnprintf(text, sizeof(text), fmt, args);
    if (strstr(text, END_KEY) != NULL) {
        (void)ks_fail(report.diag, KS_E_CONFIG, "%s: the section \"%s\" is not closed by }", report.path, cfg->name);
        return;
    }
    if (strncmp(text, "no such option", strlen("no such option")) == 0) {
        known_keys(cfg, known, sizeof(known));
        (void)ks_fail(report.diag, KS_E_CONFIG, "%s, line %d: %s; known here: %s", report.path, cfg->line, text, known);
        return;
    }
    (void)ks_fail(report.diag, KS_E_CONFIG, "%s, line %d: %s", report.path, cfg->line, text);
}

static bool
is_allowed(const char *allowed, const char *value)
{
    const size_t len = strlen(value);
    for (const char *p = allowed; p != NULL; p = strchr(p, '|')) {
        p += *p == '|' ? 1 : 0;
        if (strncmp(p, value, len) == 0 && (p[len] == '|' || p[len] == '\0'))
            return true;
    }
    return false;
}

static int
take_list(cfg_t *section, const struct row *row, struct config_list *ret, const char *path, struct ks_diag *diag)
{
    const unsigned n = cfg_size(section, row->key);
    if (n == 0 && strcmp(row->text, "{}") == 0)
        return 0;
    if (n == 0)
        return ks_fail(diag, KS_E_CONFIG, "%s: %s.%s is empty", path, row->section, row->key);
    ret->v = calloc(n, sizeof(*ret->v));
    if (ret->v == NULL)
        return ks_fail(diag, KS_E_NOMEM, "%s: %s", path, ks_err_text(KS_E_NOMEM));
    for (unsigned i = 0; i < n; i++) {
        const char *value = cfg_getnstr(section, row->key, i);
        ret->v[i] = strdup(value != NULL ? value : "");
        if (ret->v[i] == NULL)
            return ks_fail(diag, KS_E_NOMEM, "%s: %s", path, ks_err_text(KS_E_NOMEM));
        ret->n++;
    }
    return 0;
}

static int
take_row(cfg_t *cfg, const struct row *row, struct server_config *config, const char *path, struct ks_diag *diag)
{
    cfg_t *section = cfg_getsec(cfg, row->section);
    void *member = (char *)config + row->offset;
    switch (row->kind) {
    case ROW_SECTION:
        return 0;
    case ROW_LIST:
        return take_list(section, row, member, path, diag);
    case ROW_INT: {
        const int64_t value = cfg_getint(section, row->key);
        if (value < row->min || value > row->max)
            return ks_fail(diag, KS_E_CONFIG, "%s: %s.%s is %lld; allowed: %lld to %lld", path, row->section, row->key,
                           (long long)value, (long long)row->min, (long long)row->max);
        *(int64_t *)member = value;
        return 0;
    }
    case ROW_TEXT: {
        const char *value = cfg_getstr(section, row->key);
        if (value == NULL)
            value = "";
        if (row->allowed != NULL && !is_allowed(row->allowed, value))
            return ks_fail(diag, KS_E_CONFIG, "%s: %s.%s is \"%s\"; allowed: %s", path, row->section, row->key, value,
                           row->allowed);
        char *copy = strdup(value);
        if (copy == NULL)
            return ks_fail(diag, KS_E_NOMEM, "%s: %s", path, ks_err_text(KS_E_NOMEM));
        *(char **)member = copy;
        return 0;
    }
    }
    return KS_E_INTERNAL;
}

/* Options for libconfuse out of the rows: `top` has a section for each, whose keys stand one after the other in `keys`.
 */
static void
make_options(cfg_opt_t top[KS_ARRAY_LEN(rows) + 2], cfg_opt_t keys[2 * KS_ARRAY_LEN(rows)])
{
    size_t n_top = 0, n_keys = 0;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        switch (row->kind) {
        case ROW_SECTION:
            if (n_keys != 0)
                keys[n_keys++] = (cfg_opt_t)CFG_END();
            top[n_top++] = (cfg_opt_t)CFG_SEC(row->section, &keys[n_keys], CFGF_NONE);
            break;
        case ROW_LIST:
            keys[n_keys] = (cfg_opt_t)CFG_STR_LIST(row->key, NULL, CFGF_NONE);
            /* libconfuse copies it, and yet wants it writable */
            memcpy(&keys[n_keys++].def.parsed, &row->text, sizeof(row->text));
            break;
        case ROW_TEXT:
            keys[n_keys++] = (cfg_opt_t)CFG_STR(row->key, row->text, CFGF_NONE);
            break;
        case ROW_INT:
            keys[n_keys++] = (cfg_opt_t)CFG_INT(row->key, row->number, CFGF_NONE);
            break;
        }
    }
    keys[n_keys] = (cfg_opt_t)CFG_END();
    top[n_top++] = (cfg_opt_t)CFG_INT(END_KEY, 0, CFGF_NONE);
    top[n_top] = (cfg_opt_t)CFG_END();
}

static void
freep_cfg(cfg_t **cfg)
{
    if (*cfg != NULL)
        (void)cfg_free(*cfg);
}

int
server_config_parse(const char *dir, const char *path, struct ks_span text, struct server_config *ret,
                    struct ks_diag *diag)
{
    struct ks_diag own = {0};
    if (diag == NULL)
        diag = &own;
    if (text.len != 0 && memchr(text.data, 0, text.len) != NULL)
        return ks_fail(diag, KS_E_CONFIG, "%s: not a text file", path);
    KS_CLEANUP(ks_buf_done) struct ks_buf copy = KS_BUF(FILE_MAX + 64);
    (void)ks_buf_add_span(&copy, text);
    (void)ks_buf_add_str(&copy, "\n" END_KEY " = 1\n");
    const char *cstr = ks_buf_cstr(&copy);
    if (cstr == NULL)
        return ks_fail(diag, copy.err, "%s: %s", path, ks_err_text(copy.err));

    cfg_opt_t top[KS_ARRAY_LEN(rows) + 2], keys[2 * KS_ARRAY_LEN(rows)];
    make_options(top, keys);
    KS_CLEANUP(freep_cfg) cfg_t *cfg = cfg_init(top, CFGF_NONE);
    if (cfg == NULL)
        return ks_fail(diag, KS_E_NOMEM, "%s: %s", path, ks_err_text(KS_E_NOMEM));
    (void)cfg_set_error_function(cfg, on_error);
    report = (struct report){path, diag};
    const int rc = cfg_parse_buf(cfg, cstr);
    report = (struct report){0};
    if (rc != CFG_SUCCESS)
        return ks_fail(diag, KS_E_CONFIG, "%s: cannot be parsed", path) != 0 ? diag->code : KS_E_CONFIG;

    KS_CLEANUP(server_config_done) struct server_config config = {.dir = strdup(dir)};
    if (config.dir == NULL)
        return ks_fail(diag, KS_E_NOMEM, "%s: %s", path, ks_err_text(KS_E_NOMEM));
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        KS_TRY(take_row(cfg, &rows[i], &config, path, diag)); /* NOLINT(clang-analyzer-unix.Malloc): cleaned up */
    *ret = config;
    config = (struct server_config){0}; /* handed over */
    return 0;
}

int
server_config_load(const char *dir, struct server_config *ret, struct ks_diag *diag)
{
    char *absolute = realpath(dir, NULL);
    if (absolute == NULL)
        return ks_fail(diag, KS_E_NOT_FOUND, "%s: no such folder; make an instance with: keystead init %s", dir, dir);
    KS_CLEANUP(ks_buf_done) struct ks_buf path = KS_BUF(8192);
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(FILE_MAX);
    (void)ks_buf_addf(&path, "%s/keystead.conf", absolute);
    int rc = ks_buf_cstr(&path) == NULL ? path.err : ks_file_read((const char *)path.data, &text, diag);
    if (rc == 0)
        rc = server_config_parse(absolute, (const char *)path.data, ks_buf_span(&text), ret, diag);
    free(absolute);
    return rc;
}

void
server_config_done(struct server_config *config)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        void *member = (char *)config + rows[i].offset;
        if (rows[i].kind == ROW_TEXT) {
            free(*(char **)member);
        } else if (rows[i].kind == ROW_LIST) {
            struct config_list *list = member;
            for (size_t k = 0; k < list->n; k++)
                free(list->v[k]);
            free(list->v);
        }
    }
    free(config->dir);
    *config = (struct server_config){0};
}

static const char *
find_set(const struct server_config_set *set, size_t n, const struct row *row)
{
    char name[96];
    (void)snprintf(name, sizeof(name), "%s.%s", row->section, row->key);
    for (size_t i = 0; i < n; i++)
        if (strcmp(set[i].key, name) == 0)
            return set[i].value;
    return NULL;
}

/* In libconfuse a backslash and a quote are escaped by a backslash. */
static void
add_quoted(struct ks_buf *buf, const char *text)
{
    (void)ks_buf_add_u8(buf, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            (void)ks_buf_add_u8(buf, '\\');
        (void)ks_buf_add_u8(buf, (uint8_t)*text);
    }
    (void)ks_buf_add_u8(buf, '"');
}

static void
write_row(const struct row *row, const char *value, struct ks_buf *ret)
{
    (void)ks_buf_addf(ret, "    # %s\n    %s%s = ", row->comment, value == NULL ? "#" : "", row->key);
    switch (row->kind) {
    case ROW_LIST:
        (void)ks_buf_add_str(ret, value != NULL ? "{" : row->text);
        if (value != NULL)
            add_quoted(ret, value);
        (void)ks_buf_add_str(ret, value != NULL ? "}" : "");
        break;
    case ROW_TEXT:
        add_quoted(ret, value != NULL ? value : row->text);
        break;
    case ROW_INT:
        if (value != NULL)
            (void)ks_buf_add_str(ret, value);
        else
            (void)ks_buf_addf(ret, "%lld", (long long)row->number);
        break;
    case ROW_SECTION:
        break;
    }
    (void)ks_buf_add_u8(ret, '\n');
}

int
server_config_write(const struct server_config_set *set, size_t n, struct ks_buf *ret, struct ks_diag *diag)
{
    size_t used = 0;
    bool open = false;
    (void)ks_buf_add_str(ret, "# Keystead server. What begins with # shows the default.\n");
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        if (row->kind == ROW_SECTION) {
            (void)ks_buf_addf(ret, "%s\n# %s\n%s {\n", open ? "}\n" : "", row->comment, row->section);
            open = true;
            continue;
        }
        const char *value = find_set(set, n, row);
        used += value != NULL;
        write_row(row, value, ret);
    }
    (void)ks_buf_add_str(ret, "}\n");
    if (ret->err != 0)
        return ks_fail(diag, ret->err, "keystead.conf: %s", ks_err_text(ret->err));
    if (used != n)
        return ks_fail(diag, KS_E_INVALID, "keystead.conf: %zu of the settings given are not known", n - used);
    return 0;
}

int
server_config_path(const struct server_config *config, const char *name, struct ks_buf *ret)
{
    if (name[0] == '/')
        (void)ks_buf_add_str(ret, name);
    else
        (void)ks_buf_addf(ret, "%s/%s", config->dir, name);
    return ks_buf_cstr(ret) == NULL ? ret->err : 0;
}

int
server_config_log_level(const struct server_config *config)
{
    static const struct {
        const char *name;
        int level;
    } levels[] = {
        {"error", KS_LOG_ERROR}, {"warning", KS_LOG_WARNING}, {"notice", KS_LOG_NOTICE}, {"debug", KS_LOG_DEBUG}};
    for (size_t i = 0; i < KS_ARRAY_LEN(levels); i++)
        if (strcmp(levels[i].name, config->log_level) == 0)
            return levels[i].level;
    return KS_LOG_INFO;
}
