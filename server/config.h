/*
 * The server's configuration: DIR/keystead.conf in libconfuse's syntax. Keys, defaults, bounds and comments are the
 * rows of server/config.def, and so are the members of struct server_config: <section>_<key>.
 *
 *     KS_CLEANUP(server_config_done) struct server_config config = {0};
 *     KS_TRY(server_config_load("/var/lib/keystead", &config, diag));
 */
#pragma once

#include "base/mem.h"

struct config_list {
    char **v;
    size_t n;
};

struct server_config {
    char *dir; /* the instance's folder, absolute */
#define CONFIG_SECTION(section, comment)
#define CONFIG_LIST(section, key, def, comment) struct config_list section##_##key;
#define CONFIG_TEXT(section, key, def, allowed, comment) char *section##_##key;
#define CONFIG_INT(section, key, def, min, max, comment) int64_t section##_##key;
#include "server/config.def"
#undef CONFIG_SECTION
#undef CONFIG_LIST
#undef CONFIG_TEXT
#undef CONFIG_INT
};

/* Reads dir/keystead.conf. KS_E_CONFIG: diag names the file, the line, what is wrong and what is known. */
int server_config_load(const char *dir, struct server_config *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* The same from text; `path` is what errors call it. */
int server_config_parse(const char *dir, const char *path, struct ks_span text, struct server_config *ret,
                        struct ks_diag *diag) KS_MUST_CHECK;

void server_config_done(struct server_config *config);

/*
 * Appends a complete keystead.conf with comments: defaults are commented out, and `set` ("section.key", value) rows
 * stand in force. KS_E_INVALID: no such key.
 */
struct server_config_set {
    const char *key, *value;
};
int server_config_write(const struct server_config_set *set, size_t n, struct ks_buf *ret,
                        struct ks_diag *diag) KS_MUST_CHECK;

/* Appends the path of a file that the configuration names, NUL-terminated and counted without the NUL. */
int server_config_path(const struct server_config *config, const char *name, struct ks_buf *ret) KS_MUST_CHECK;

/* KS_LOG_* of log.level. */
int server_config_log_level(const struct server_config *config);
