#include "postgres/compat.h"

#include "postgres/settings.h"

#include <limits.h>

#include "postgres/kms.h"
#include "utils/builtins.h"

struct ks_settings ks_settings;
uint64_t ks_settings_generation;

static bool
check_file(char **value, void **extra, GucSource source)
{
    (void)extra;
    (void)source;
    if (*value == NULL || (*value)[0] == '\0')
        return true;
    if ((*value)[0] != '/') {
        GUC_check_errdetail("\"%s\" is not an absolute path.", *value);
        GUC_check_errhint("Give the whole path: it is opened by server processes, whose folder is the data directory.");
        return false;
    }
    if (strlen(*value) >= PATH_MAX) {
        GUC_check_errdetail("The path is longer than %d bytes.", PATH_MAX - 1);
        return false;
    }
    return true;
}

static bool
check_servers(char **value, void **extra, GucSource source)
{
    (void)extra;
    (void)source;
    struct ks_error error = {0};
    if (*value == NULL || (*value)[0] == '\0')
        return true;
    if (ks_kms_check_servers(*value, &error) != 0) {
        GUC_check_errdetail("%s", error.message);
        GUC_check_errhint("Write host:port entries with commas between them, like \"kms1.example:5696, kms2.example\"; "
                          "the port is 5696 unless given.");
        return false;
    }
    return true;
}

static void
assign_text(const char *value, void *extra)
{
    (void)value;
    (void)extra;
    ks_settings_generation++;
}

static void
assign_number(int value, void *extra)
{
    (void)value;
    (void)extra;
    ks_settings_generation++;
}

static void
define_text(const char *name, const char *what, const char *more, char **value, GucStringCheckHook check, int flags)
{
    DefineCustomStringVariable(name, what, more, value, "", PGC_SUSET, flags, check, assign_text, NULL);
}

static void
define_number(const char *name, const char *what, const char *more, int *value, int boot, int min, int max, int flags)
{
    DefineCustomIntVariable(name, what, more, value, boot, min, max, PGC_SUSET, flags, NULL, assign_number, NULL);
}

void
ks_settings_define(void)
{
    define_text("keystead.config_file", "Client configuration file that \"keystead client enroll\" wrote.",
                "It names servers, CA, certificate and key; the other settings come before what it says.",
                &ks_settings.config_file, check_file, GUC_SUPERUSER_ONLY);
    define_text("keystead.servers", "Key management servers, in order of preference.",
                "host:port entries with commas between them.", &ks_settings.servers, check_servers, GUC_SUPERUSER_ONLY);
    define_text("keystead.ca_file", "Certificate authority that the server's certificate must come from (PEM).", NULL,
                &ks_settings.ca_file, check_file, GUC_SUPERUSER_ONLY);
    define_text("keystead.certificate_file", "Certificate that this database shows to the server (PEM).", NULL,
                &ks_settings.certificate_file, check_file, GUC_SUPERUSER_ONLY);
    define_text("keystead.key_file", "Private key of keystead.certificate_file (PEM).",
                "Readable by the operating system user of the database server alone.", &ks_settings.key_file,
                check_file, GUC_SUPERUSER_ONLY);
    define_number("keystead.connect_timeout", "Time to establish a connection, TLS included, with one server.", NULL,
                  &ks_settings.connect_timeout_ms, 3000, 10, 600000, GUC_UNIT_MS);
    define_number("keystead.request_timeout", "Time for one request to be answered, connecting included.",
                  "After that the SQL statement fails.", &ks_settings.request_timeout_ms, 10000, 10, 600000,
                  GUC_UNIT_MS);
    define_number("keystead.data_key_cache_ttl", "Time for which a session may use a data key before it asks again.",
                  "What a revocation takes to be felt at the latest. 0 asks for every value.",
                  &ks_settings.data_key_cache_ttl_s, 60, 0, 86400, GUC_UNIT_S);
    ks_guc_prefix_reserved("keystead");
}
