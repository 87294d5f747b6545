#include "cli/pg_conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/pg.h"
#include "cli/pg_run.h"

#define SETTING "shared_preload_libraries"
#define MARK "# Encrypted by Keystead: "

enum { CONF_MAX = 1 << 20, VALUE_MAX = 4096 };

static size_t
line_length(struct ks_span text)
{
    const uint8_t *end = text.len != 0 ? memchr(text.data, '\n', text.len) : NULL;
    return end != NULL ? (size_t)(end - text.data) + 1 : text.len;
}

/* The value of the setting that a line has, without quotes. false: the line is another one. */
static bool
value_in_line(struct ks_span line, struct ks_span *ret)
{
    static const char blank[] = " \t\r\n";
    size_t at = 0;
    while (at < line.len && strchr(blank, line.data[at]) != NULL)
        at++;
    if (line.len - at <= strlen(SETTING) || strncasecmp((const char *)line.data + at, SETTING, strlen(SETTING)) != 0)
        return false;
    at += strlen(SETTING);
    const size_t behind = at;
    while (at < line.len && (strchr(blank, line.data[at]) != NULL || line.data[at] == '='))
        at++;
    if (at == behind || at == line.len)
        return false;
    const bool quoted = line.data[at] == '\'';
    at += quoted;
    const size_t from = at;
    while (at < line.len && (quoted ? line.data[at] != '\'' : strchr(" \t\r\n#", line.data[at]) == NULL))
        at++;
    *ret = KS_SPAN(line.data + from, at - from);
    return true;
}

/* The value that is in force: the last one. */
static bool
value_in_force(struct ks_span conf, struct ks_span *ret)
{
    bool found = false;
    while (conf.len > 0) {
        const size_t n = line_length(conf);
        found = value_in_line(KS_SPAN(conf.data, n), ret) || found;
        conf = KS_SPAN(conf.data + n, conf.len - n);
    }
    return found;
}

static bool
has_guard(struct ks_span value)
{
    return value.len != 0 && memmem(value.data, value.len, TDE_GUARD, strlen(TDE_GUARD)) != NULL;
}

/* Reads folder/name; *ret_mode is 0 if there is none. */
static int
read_conf(struct cli *cli, const char *folder, const char *name, char path[PATH_MAX], struct ks_buf *conf,
          mode_t *ret_mode)
{
    struct ks_diag diag = {0};
    struct stat st;
    *ret_mode = 0;
    if (snprintf(path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
        return cli_fail(cli, KS_E_INVALID, "%s: the path is too long", folder);
    if (stat(path, &st) != 0)
        return errno == ENOENT ? 0 : cli_fail(cli, KS_E_IO, "%s: %s", path, strerror(errno));
    if (ks_file_read(path, conf, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    *ret_mode = st.st_mode & 0777;
    return 0;
}

static int
write_conf(struct cli *cli, const char *path, struct ks_buf *conf, mode_t mode)
{
    struct ks_diag diag = {0};
    if (conf->err != 0)
        return cli_fail(cli, conf->err, "%s: is too large", path);
    return ks_file_write(path, ks_buf_span(conf), mode, &diag) == 0 ? 0 : cli_fail_diag(cli, &diag);
}

static int
add_to(struct cli *cli, const char *folder, const char *name, const char *guard, const char *command, bool must)
{
    char path[PATH_MAX];
    mode_t mode;
    struct ks_span value = KS_SPAN_NONE;
    KS_CLEANUP(ks_buf_done) struct ks_buf conf = KS_BUF(CONF_MAX), new = KS_BUF(CONF_MAX);
    KS_TRY(read_conf(cli, folder, name, path, &conf, &mode));
    if (mode == 0)
        return must ? cli_fail(cli, KS_E_NOT_FOUND,
                               "there is no %s: name its folder by --configuration (Debian: /etc/postgresql/15/main)",
                               path)
                    : 0;
    const bool found = value_in_force(ks_buf_span(&conf), &value);
    if (has_guard(value) || (!found && !must))
        return 0;
    (void)ks_buf_add_span(&new, ks_buf_span(&conf));
    if (conf.len != 0 && conf.data[conf.len - 1] != '\n')
        (void)ks_buf_add_str(&new, "\n");
    (void)ks_buf_addf(&new, MARK "the server does not run without this (keystead %s)\n" SETTING " = '%s%s%.*s'\n",
                      command, guard, value.len != 0 ? "," : "", (int)value.len, (const char *)value.data);
    return write_conf(cli, path, &new, mode);
}

int
pg_conf_add_guard(struct cli *cli, const char *folder, const char *data, const char *command)
{
    char version[16], guard[PATH_MAX];
    pg_version(data, version);
    KS_TRY(pg_guard_name(cli, version, guard));
    KS_TRY(add_to(cli, folder, "postgresql.conf", guard, command, true));
    return add_to(cli, data, "postgresql.auto.conf", guard, command, false);
}

/* The list without the guard, whatever folder it is in. */
static void
without_guard(struct ks_span value, struct ks_buf *ret)
{
    while (value.len > 0) {
        const uint8_t *comma = memchr(value.data, ',', value.len);
        const size_t n = comma != NULL ? (size_t)(comma - value.data) : value.len;
        if (!has_guard(KS_SPAN(value.data, n))) {
            (void)ks_buf_add_str(ret, ret->len != 0 ? "," : "");
            (void)ks_buf_add(ret, value.data, n);
        }
        const size_t used = n + (comma != NULL ? 1 : 0);
        value = KS_SPAN(value.data + used, value.len - used);
    }
}

static int
remove_from(struct cli *cli, const char *folder, const char *name)
{
    char path[PATH_MAX];
    mode_t mode;
    bool changed = false;
    KS_CLEANUP(ks_buf_done) struct ks_buf conf = KS_BUF(CONF_MAX), new = KS_BUF(CONF_MAX);
    KS_TRY(read_conf(cli, folder, name, path, &conf, &mode));
    struct ks_span rest = ks_buf_span(&conf);
    while (rest.len > 0) {
        const size_t n = line_length(rest);
        const struct ks_span line = KS_SPAN(rest.data, n);
        struct ks_span value;
        rest = KS_SPAN(rest.data + n, rest.len - n);
        if (n > strlen(MARK) && memcmp(line.data, MARK, strlen(MARK)) == 0) {
            changed = true;
        } else if (value_in_line(line, &value) && has_guard(value)) {
            KS_CLEANUP(ks_buf_done) struct ks_buf others = KS_BUF(VALUE_MAX);
            without_guard(value, &others);
            if (others.err != 0)
                return cli_fail(cli, others.err, "%s: " SETTING " is too long", path);
            if (others.len != 0)
                (void)ks_buf_addf(&new, SETTING " = '%s'\n", ks_buf_cstr(&others));
            changed = true;
        } else {
            (void)ks_buf_add_span(&new, line);
        }
    }
    return changed ? write_conf(cli, path, &new, mode) : 0;
}

int
pg_conf_remove_guard(struct cli *cli, const char *folder, const char *data)
{
    KS_TRY(remove_from(cli, folder, "postgresql.conf"));
    return remove_from(cli, data, "postgresql.auto.conf");
}

int
pg_conf_guard_in_force(struct cli *cli, const char *folder, const char *data, const char *bin)
{
    char version[16], program[PATH_MAX];
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(VALUE_MAX);
    pg_version(data, version);
    KS_TRY(pg_program(cli, bin, version, "postgres", program));
    const char *argv[] = {program, "-D", folder, "-C", SETTING, NULL};
    if (pg_run(cli, argv, &(struct pg_run){.bundle = -1}, &text) != 0)
        return cli_fail(cli, KS_E_CONFIG, "%s does not read the configuration in %s", program, folder);
    if (!has_guard(ks_buf_span(&text)))
        return cli_fail(cli, KS_E_CONFIG,
                        "a file that %s/postgresql.conf includes sets " SETTING " again: add " TDE_GUARD " there",
                        folder);
    return 0;
}
