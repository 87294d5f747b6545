/* The layer: where it is, and how a program gets it with the data keys. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/pg.h"

#ifndef KEYSTEAD_LIBDIR
#define KEYSTEAD_LIBDIR "/usr/local/lib"
#endif

/* The folder of this program, if it is one where Keystead was built; else "". */
static void
build_folder(char ret[PATH_MAX])
{
    char path[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);
    ret[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(ret, '/');
    if (slash != NULL)
        *slash = '\0';
    if ((size_t)snprintf(path, sizeof(path), "%s/tde/" TDE_LIBRARY, ret) >= sizeof(path) || access(path, F_OK) != 0)
        ret[0] = '\0';
}

int
pg_layer_path(struct cli *cli, char ret[PATH_MAX])
{
    char build[PATH_MAX];
    build_folder(build);
    const int n = build[0] != '\0' ? snprintf(ret, PATH_MAX, "%s/tde/" TDE_LIBRARY, build)
                                   : snprintf(ret, PATH_MAX, KEYSTEAD_LIBDIR "/keystead/" TDE_LIBRARY);
    if (n < 0 || n >= PATH_MAX || access(ret, R_OK) != 0)
        return cli_fail(cli, KS_E_NOT_FOUND, "the encryption layer is not installed: there is no %s", ret);
    return 0;
}

int
pg_guard_name(struct cli *cli, const char *version, char ret[PATH_MAX])
{
    char build[PATH_MAX];
    build_folder(build);
    const int n = build[0] != '\0' ? snprintf(ret, PATH_MAX, "%s/tde/guard/" TDE_GUARD "-pg%s.so", build, version)
                                   : snprintf(ret, PATH_MAX, TDE_GUARD);
    return n >= 0 && n < PATH_MAX ? 0 : cli_fail(cli, KS_E_INVALID, "the path of " TDE_GUARD " is too long");
}

int
pg_bundle(struct cli *cli, const struct pg_ring *ring, int *ret_fd)
{
    KS_SECRET *bundle = NULL;
    struct ks_diag diag = {0};
    if (ks_secret_new(sizeof(struct tde_bundle), &bundle) != 0)
        return cli_fail(cli, KS_E_NOMEM, "out of memory");
    if (tde_keyring_bundle(ring->keyring, &ring->key, (struct tde_bundle *)(void *)ks_secret_data(bundle), &diag) != 0)
        return cli_fail_diag(cli, &diag);
    KS_CLEANUP(ks_closep) int fd = memfd_create("keystead-tde", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ks_write_all(fd, ks_secret_data(bundle), ks_secret_len(bundle)) != 0 || lseek(fd, 0, SEEK_SET) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        return cli_fail(cli, KS_E_IO, "cannot make a sealed file in memory for the data keys: %s", strerror(errno));
    *ret_fd = fd;
    fd = -1; /* handed over; NOLINT(clang-analyzer-deadcode.DeadStores): the cleanup reads it */
    return 0;
}

int
pg_layer_environment(struct cli *cli, int bundle, const char *root)
{
    char layer[PATH_MAX], number[16];
    KS_CLEANUP(ks_buf_done) struct ks_buf preload = KS_BUF(65536);
    KS_TRY(pg_layer_path(cli, layer));
    const char *other = getenv("LD_PRELOAD");
    if (other != NULL && strstr(other, TDE_LIBRARY) != NULL)
        other = NULL;
    (void)ks_buf_addf(&preload, "%s%s%s", layer, other != NULL && other[0] != '\0' ? ":" : "",
                      other != NULL ? other : "");
    (void)snprintf(number, sizeof(number), "%d", bundle);
    const char *text = ks_buf_cstr(&preload);
    if (text == NULL || setenv("LD_PRELOAD", text, 1) != 0 || setenv(TDE_ENV_FD, number, 1) != 0 ||
        (root != NULL && setenv(TDE_ENV_ROOT, root, 1) != 0) || fcntl(bundle, F_SETFD, 0) != 0)
        return cli_fail(cli, KS_E_NOMEM, "cannot set the environment for the layer");
    return 0;
}

void
pg_version(const char *data, char ret[16])
{
    char path[PATH_MAX];
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(64);
    size_t n = 0;
    if ((size_t)snprintf(path, sizeof(path), "%s/PG_VERSION", data) < sizeof(path) && access(path, R_OK) == 0 &&
        ks_file_read(path, &text, NULL) == 0)
        while (n < text.len && n < 15 && text.data[n] >= '0' && text.data[n] <= '9')
            n++;
    if (n != 0)
        memcpy(ret, text.data, n);
    ret[n] = '\0';
}

static bool
is_program(const char *folder, size_t len, const char *name, char ret[PATH_MAX])
{
    const int n = snprintf(ret, PATH_MAX, "%.*s/%s", (int)len, folder, name);
    return len != 0 && n > 0 && n < PATH_MAX && access(ret, X_OK) == 0;
}

/* Debian's folder of a major version, or of the newest that has the program. */
static bool
in_debian(const char *version, const char *name, char ret[PATH_MAX])
{
    char folder[64];
    if (version != NULL && version[0] != '\0') {
        (void)snprintf(folder, sizeof(folder), "/usr/lib/postgresql/%.8s/bin", version);
        return is_program(folder, strlen(folder), name, ret);
    }
    for (int v = 40; v > 9; v--) {
        (void)snprintf(folder, sizeof(folder), "/usr/lib/postgresql/%d/bin", v);
        if (is_program(folder, strlen(folder), name, ret))
            return true;
    }
    return false;
}

int
pg_program(struct cli *cli, const char *bin, const char *version, const char *name, char ret[PATH_MAX])
{
    if (strchr(name, '/') != NULL) {
        if (strlen(name) < PATH_MAX && access(name, X_OK) == 0) {
            memcpy(ret, name, strlen(name) + 1);
            return 0;
        }
        return cli_fail(cli, KS_E_NOT_FOUND, "%s: %s", name, strerror(errno));
    }
    if (bin != NULL)
        return is_program(bin, strlen(bin), name, ret)
                   ? 0
                   : cli_fail(cli, KS_E_NOT_FOUND, "there is no %s in %s", name, bin);
    /* On Debian what is on PATH is a wrapper in Perl, which hands nothing on. */
    if (in_debian(version, name, ret))
        return 0;
    const char *path = getenv("PATH");
    for (const char *p = path != NULL ? path : ""; *p != '\0';) {
        const size_t len = strcspn(p, ":");
        if (is_program(p, len, name, ret))
            return 0;
        p += len + (p[len] == ':');
    }
    return cli_fail(cli, KS_E_NOT_FOUND, "there is no program %s: name its folder by --bin", name);
}
