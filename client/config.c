#include "client/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "client/alloc.h"
#include "client/error.h"

enum setting_kind { TEXT, PATH, SERVERS, SERVER_LIST, VERSIONS, MS, COUNT };

struct setting {
    const char *name;
    enum setting_kind kind;
    size_t at; /* offset in struct ks_client_config, of text and numbers */
    int64_t fallback, least, most;
};

#define AT_TEXT(member) offsetof(struct ks_client_config, member)
#define AT_PATH(member) offsetof(struct ks_client_config, member)
#define AT_MS(member) offsetof(struct ks_client_config, member)
#define AT_COUNT(member) offsetof(struct ks_client_config, member)
#define AT_SERVERS(member) 0
#define AT_SERVER_LIST(member) 0
#define AT_VERSIONS(member) 0

static const struct setting settings[] = {
#define KS_CLIENT_SETTING(name, KIND, member, fallback, least, most)                                                   \
    {(name), KIND, AT_##KIND(member), (fallback), (least), (most)},
#include "client/config.def"
#undef KS_CLIENT_SETTING
};

static const struct {
    int32_t major, minor;
    enum kmip_version version;
} versions[] = {
#define KMIP_VERSION(name, major, minor) {(major), (minor), KMIP_##name},
#include <keystead/spec/versions.def>
#undef KMIP_VERSION
};

static char **
text_at(struct ks_client_config *config, const struct setting *setting)
{
    return (char **)(void *)((char *)config + setting->at);
}

static int64_t *
number_at(struct ks_client_config *config, const struct setting *setting)
{
    return (int64_t *)(void *)((char *)config + setting->at);
}

int
ks_client_config_new(struct ks_client_config **ret)
{
    struct ks_client_config *config = client_alloc(sizeof(*config));
    if (config == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < KS_ARRAY_LEN(settings); i++)
        if (settings[i].kind == MS || settings[i].kind == COUNT)
            *number_at(config, &settings[i]) = settings[i].fallback;
    config->oldest = KMIP_V1_0;
    config->newest = KMIP_V2_1;
    *ret = config;
    return 0;
}

void
ks_client_config_free(struct ks_client_config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < KS_ARRAY_LEN(settings); i++)
        if (settings[i].kind == TEXT || settings[i].kind == PATH)
            free(*text_at(config, &settings[i]));
    free(config);
}

static void
config_freep(struct ks_client_config **config)
{
    ks_client_config_free(*config);
}

int
client_config_copy(const struct ks_client_config *from, struct ks_client_config **ret)
{
    KS_CLEANUP(config_freep) struct ks_client_config *copy = client_alloc(sizeof(*copy));
    if (copy == NULL)
        return KS_E_NOMEM;
    *copy = *from;
    for (size_t i = 0; i < KS_ARRAY_LEN(settings); i++)
        if (settings[i].kind == TEXT || settings[i].kind == PATH)
            *text_at(copy, &settings[i]) = NULL; /* else a failure below would free the original's */
    for (size_t i = 0; i < KS_ARRAY_LEN(settings); i++) {
        if (settings[i].kind != TEXT && settings[i].kind != PATH)
            continue;
        const char *text;
        memcpy(&text, (const char *)from + settings[i].at, sizeof(text));
        if (text != NULL && (*text_at(copy, &settings[i]) = strdup(text)) == NULL)
            return KS_E_NOMEM;
    }
    *ret = copy;
    copy = NULL;
    return 0;
}

static bool
host_is_sound(struct ks_span host)
{
    for (size_t i = 0; i < host.len; i++)
        if (host.data[i] <= ' ' || host.data[i] >= 0x7f || strchr("/\\\"'[]@", host.data[i]) != NULL)
            return false;
    return host.len > 0;
}

int
client_address_parse(const char *text, struct client_address *ret, struct ks_error *error)
{
    struct client_address address = {0};
    const size_t len = strlen(text);
    struct ks_span host = KS_SPAN(text, len);
    const char *port = NULL;
    const char *colon = strchr(text, ':');
    if (text[0] == '[') {
        const char *end = strchr(text, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':'))
            return client_fail(error, KS_E_CONFIG, "\"%.200s\" is no server: expected [ADDRESS]:PORT", text);
        host = KS_SPAN(text + 1, end - text - 1);
        port = end[1] == ':' ? end + 2 : NULL;
    } else if (colon != NULL && strchr(colon + 1, ':') == NULL) {
        host = KS_SPAN(text, colon - text);
        port = colon + 1;
    } /* else a name, or a bare IPv6 address */
    int64_t number = CLIENT_DEFAULT_PORT;
    if (port != NULL && ks_parse_i64(ks_span_str(port), 1, 65535, &number) != 0)
        return client_fail(error, KS_E_CONFIG, "\"%.200s\" is no server: the port must be 1 to 65535", text);
    if (!host_is_sound(host) || host.len >= sizeof(address.host))
        return client_fail(error, KS_E_CONFIG, "\"%.200s\" is no server: expected HOST:PORT", text);
    memcpy(address.host, host.data, host.len);
    snprintf(address.port, sizeof(address.port), "%d", (int)number);
    snprintf(address.text, sizeof(address.text), strchr(address.host, ':') != NULL ? "[%s]:%s" : "%s:%s", address.host,
             address.port);
    *ret = address;
    return 0;
}

/* "500ms", "5s", "2m", "1h"; a bare number is seconds. */
static int
parse_duration(const char *value, const struct setting *setting, int64_t *ret, struct ks_error *error)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"", 1000}};
    const size_t digits = strspn(value, "0123456789");
    for (size_t i = 0; i < KS_ARRAY_LEN(units); i++) {
        int64_t n;
        if (strcmp(value + digits, units[i].unit) != 0)
            continue;
        if (ks_parse_i64(KS_SPAN(value, digits), 0, INT64_MAX / 3600000, &n) != 0)
            break;
        n *= units[i].ms;
        if (n < setting->least || n > setting->most)
            return client_fail(error, KS_E_CONFIG, "%s: \"%s\" is out of range (%lld ms to %lld ms)", setting->name,
                               value, (long long)setting->least, (long long)setting->most);
        *ret = n;
        return 0;
    }
    return client_fail(error, KS_E_CONFIG, "%s: \"%.100s\" is no duration; write 500ms, 5s, 2m or 1h", setting->name,
                       value);
}

static bool
parse_version(struct ks_span text, enum kmip_version *ret)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(versions); i++) {
        char name[24];
        snprintf(name, sizeof(name), "%d.%d", versions[i].major, versions[i].minor);
        if (ks_span_is(text, name)) {
            *ret = versions[i].version;
            return true;
        }
    }
    return false;
}

static int
parse_versions(struct ks_client_config *config, const char *value, struct ks_error *error)
{
    const char *dash = strchr(value, '-');
    enum kmip_version oldest;
    enum kmip_version newest;
    if (!parse_version(dash != NULL ? KS_SPAN(value, dash - value) : ks_span_str(value), &oldest) ||
        !parse_version(ks_span_str(dash != NULL ? dash + 1 : value), &newest) || oldest > newest)
        return client_fail(error, KS_E_CONFIG, "versions: \"%.100s\" is no range of KMIP versions; write 1.0-2.1",
                           value);
    config->oldest = oldest;
    config->newest = newest;
    return 0;
}

static int
set_text(char **at, const char *folder, size_t folder_len, const char *value, struct ks_error *error)
{
    char *text = NULL;
    if (folder_len > 0 && value[0] != '/') {
        if (asprintf(&text, "%.*s%s", (int)folder_len, folder, value) < 0)
            text = NULL;
    } else {
        text = strdup(value);
    }
    if (text == NULL)
        return client_fail(error, KS_E_NOMEM, "out of memory");
    free(*at);
    *at = text;
    return 0;
}

static int
add_server(struct ks_client_config *config, const char *value, struct ks_error *error)
{
    if (config->n_servers == CLIENT_MAX_SERVERS)
        return client_fail(error, KS_E_CONFIG, "more than %d servers", CLIENT_MAX_SERVERS);
    KS_TRY(client_address_parse(value, &config->servers[config->n_servers], error));
    config->n_servers++;
    return 0;
}

/* Replaces the servers by those of a list with commas or blanks between them. After a failure there are fewer. */
static int
set_servers(struct ks_client_config *config, const char *value, struct ks_error *error)
{
    config->n_servers = 0;
    for (value += strspn(value, ", \t"); *value != '\0'; value += strspn(value, ", \t")) {
        char one[sizeof(config->servers[0].text)];
        const size_t len = strcspn(value, ", \t");
        if (len >= sizeof(one))
            return client_fail(error, KS_E_CONFIG, "\"%.200s\" is no server: too long", value);
        memcpy(one, value, len);
        one[len] = '\0';
        KS_TRY(add_server(config, one, error));
        value += len;
    }
    return config->n_servers > 0 ? 0 : client_fail(error, KS_E_CONFIG, "servers: the list is empty");
}

static int
set(struct ks_client_config *config, const char *name, const char *value, const char *folder, size_t folder_len,
    struct ks_error *error)
{
    const struct setting *setting = NULL;
    for (size_t i = 0; i < KS_ARRAY_LEN(settings) && setting == NULL; i++)
        if (strcmp(settings[i].name, name) == 0)
            setting = &settings[i];
    if (setting == NULL)
        return client_fail(error, KS_E_CONFIG, "there is no client setting \"%.100s\"", name);
    if (value[0] == '\0')
        return client_fail(error, KS_E_CONFIG, "%s: the value is empty", name);
    int64_t number;
    switch (setting->kind) {
    case SERVERS:
        return add_server(config, value, error);
    case SERVER_LIST:
        return set_servers(config, value, error);
    case VERSIONS:
        return parse_versions(config, value, error);
    case TEXT:
        return set_text(text_at(config, setting), NULL, 0, value, error);
    case PATH:
        return set_text(text_at(config, setting), folder, folder_len, value, error);
    case MS:
        KS_TRY(parse_duration(value, setting, &number, error));
        *number_at(config, setting) = number;
        return 0;
    case COUNT:
        if (ks_parse_i64(ks_span_str(value), setting->least, setting->most, &number) != 0)
            return client_fail(error, KS_E_CONFIG, "%s: \"%.100s\" is no number from %lld to %lld", name, value,
                               (long long)setting->least, (long long)setting->most);
        *number_at(config, setting) = number;
        return 0;
    }
    return client_fail(error, KS_E_INTERNAL, "%s: no such kind of setting", name);
}

int
ks_client_config_set(struct ks_client_config *config, const char *name, const char *value, struct ks_error *error)
{
    struct ks_error spare;
    error = client_error_begin(error, &spare);
    return set(config, name, value, NULL, 0, error);
}

/* Cuts white space off both ends, in place. */
static char *
trim(char *text)
{
    text += strspn(text, " \t\r");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL)
        text[--len] = '\0';
    return text;
}

/* One line, which is changed: `name = value`, `name = "value"`, with a comment behind it perhaps. */
static int
read_line(struct ks_client_config *config, char *line, const char *folder, size_t folder_len, struct ks_error *error)
{
    char *name = trim(line);
    if (name[0] == '\0' || name[0] == '#')
        return 0;
    char *equals = strchr(name, '=');
    if (equals == NULL)
        return client_fail(error, KS_E_CONFIG, "expected: name = value");
    *equals = '\0';
    char *value = trim(equals + 1);
    if (value[0] == '"') {
        char *end = strchr(++value, '"');
        if (end == NULL || (trim(end + 1)[0] != '\0' && trim(end + 1)[0] != '#'))
            return client_fail(error, KS_E_CONFIG, "a double quote has no partner");
        *end = '\0';
    } else {
        value[strcspn(value, "#")] = '\0';
        value = trim(value);
    }
    return set(config, trim(name), value, folder, folder_len, error);
}

int
ks_client_config_load(struct ks_client_config *config, const char *path, struct ks_error *error)
{
    struct ks_error spare;
    error = client_error_begin(error, &spare);
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(65536);
    struct ks_diag diag = {0};
    const int rc = ks_file_read(path, &text, &diag);
    if (rc != 0)
        return client_fail_diag(error, &diag, rc, "client configuration");
    if (memchr(text.data, '\0', text.len) != NULL)
        return client_fail(error, KS_E_CONFIG, "%s is no text file", path);
    if (ks_buf_cstr(&text) == NULL)
        return client_fail(error, text.err, "%s: %s", path, ks_err_text(text.err));
    const char *slash = strrchr(path, '/');
    const size_t folder_len = slash != NULL ? (size_t)(slash - path + 1) : 0;
    int number = 1;
    for (char *line = (char *)text.data; line != NULL; number++) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end++ = '\0';
        const int failed = read_line(config, line, path, folder_len, error);
        if (failed != 0) {
            client_error_prefix(error, "%s line %d: ", path, number);
            return failed;
        }
        line = end;
    }
    return 0;
}
