/* Whose certificates are trusted, as the configuration says it: for Validate, and for clients (TLS). */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "crypto/cert.h"
#include "server/vault/internal.h"

enum { FILE_MAX = 32 << 20, FILES_MOST = 4096, PATH_LEN = 4096 };

static int
add_file(struct ks_trust *trust, enum ks_trust_kind kind, const char *path, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(FILE_MAX);
    struct ks_diag why = {0};
    KS_TRY(ks_file_read(path, &bytes, diag));
    const int rc = ks_trust_add(trust, kind, ks_buf_span(&bytes), &why);
    return rc == 0 ? 0 : ks_fail(diag, KS_E_CONFIG, "%s: %s", path, ks_diag_text(&why));
}

static int
is_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void
entries_done(struct dirent **entries, int n)
{
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
}

/* Every file of a folder, but for those that are hidden. */
static int
add_folder(struct ks_trust *trust, enum ks_trust_kind kind, const char *path, struct ks_diag *diag)
{
    struct dirent **entries = NULL;
    const int n = scandir(path, &entries, is_file, alphasort);
    if (n < 0)
        return ks_fail(diag, KS_E_IO, "%s: the folder cannot be read", path);
    int rc = n <= FILES_MOST ? 0 : ks_fail(diag, KS_E_LIMIT, "%s: more than %d files", path, FILES_MOST);
    for (int i = 0; i < n && rc == 0; i++) {
        char file[PATH_LEN];
        struct stat st;
        if ((size_t)snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name) >= sizeof(file))
            rc = ks_fail(diag, KS_E_CONFIG, "%s: a path is too long", path);
        else if (stat(file, &st) != 0)
            rc = ks_fail(diag, KS_E_IO, "%s: it cannot be read", file);
        else if (S_ISREG(st.st_mode))
            rc = add_file(trust, kind, file, diag);
    }
    entries_done(entries, n);
    return rc;
}

/* A file or a folder that the configuration names; "" is none. */
static int
add(const struct server_config *config, struct ks_trust *trust, enum ks_trust_kind kind, const char *name,
    struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf path = KS_BUF(PATH_LEN);
    struct stat st;
    if (name[0] == '\0')
        return 0;
    const int rc = server_config_path(config, name, &path);
    if (rc != 0)
        return ks_fail(diag, rc, "%s: the path cannot be made", name);
    if (stat((const char *)path.data, &st) == 0 && S_ISDIR(st.st_mode))
        return add_folder(trust, kind, (const char *)path.data, diag);
    return add_file(trust, kind, (const char *)path.data, diag);
}

static void
trust_freep(struct ks_trust **trust)
{
    ks_trust_free(*trust);
}

int
trust_read(struct vault *v, const struct server_config *config, struct ks_diag *diag)
{
    KS_CLEANUP(trust_freep) struct ks_trust *validate = NULL;
    KS_CLEANUP(trust_freep) struct ks_trust *authorities = NULL;
    if (ks_trust_new(&validate) != 0 || ks_trust_new(&authorities) != 0)
        return ks_fail(diag, KS_E_NOMEM, "out of memory");
    KS_TRY(add(config, validate, KS_TRUST_ANCHORS, config->validate_anchors, diag));
    KS_TRY(add(config, validate, KS_TRUST_CRLS, config->validate_crls, diag));
    KS_TRY(add(config, authorities, KS_TRUST_ANCHORS, config->tls_ca, diag));
    engine_trust(v->engine, validate, authorities);
    validate = authorities = NULL; /* taken over */
    return 0;
}
