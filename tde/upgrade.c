/* pg_upgrade, between two data directories. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tde/arguments.h"
#include "tde/hooks.h"
#include "tde/keys.h"

enum { PART = 65536 };

static int
copy_bytes(int from, int to)
{
    static uint8_t bytes[PART];
    ssize_t n;
    while ((n = read(from, bytes, sizeof(bytes))) > 0)
        if (write(to, bytes, (size_t)n) != n) {
            n = -1;
            break;
        }
    ks_wipe(bytes, sizeof(bytes));
    return n == 0 ? fsync(to) : -1;
}

/* By the functions of this library: read by the one's keys, written by the other's. */
static int
copy_file(const char *from, const char *to)
{
    const int in = open(from, O_RDONLY | O_CLOEXEC);
    const int out = in >= 0 ? open(to, O_WRONLY | O_TRUNC | O_CLOEXEC) : -1;
    const int rc = out >= 0 ? copy_bytes(in, out) : -1, e = errno;
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    errno = e;
    return rc;
}

/* One entry of the folder: folders of transaction status have files alone. */
static int
copy_entry(const char *from, const char *to, const char *name)
{
    char a[TDE_PATH_MAX], b[TDE_PATH_MAX];
    struct stat st;
    if ((size_t)snprintf(a, sizeof(a), "%s/%s", from, name) >= sizeof(a) ||
        (size_t)snprintf(b, sizeof(b), "%s/%s", to, name) >= sizeof(b)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (lstat(a, &st) != 0)
        return -1;
    if (S_ISREG(st.st_mode))
        return copy_file(a, b);
    errno = EINVAL;
    return -1;
}

static int
copy_folder(const char *from, const char *to)
{
    DIR *dir = opendir(from);
    if (dir == NULL)
        return -1;
    int rc = 0;
    const struct dirent *entry;
    while (rc == 0 && (errno = 0, entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = copy_entry(from, to, entry->d_name);
    const int e = errno;
    closedir(dir);
    errno = e;
    return rc == 0 && e == 0 ? 0 : -1;
}

int
tde_upgrade_copied(const char *command)
{
    char from[TDE_PATH_MAX], to[TDE_PATH_MAX];
    if (!tde_active() || *tde_root_of(1) == '\0' || tde_keys_same())
        return 0;
    const int copies = tde_pair_copies(command, from, to, sizeof(from));
    if (copies == 0)
        return 0;
    if (copies > 0 && copy_folder(from, to) == 0)
        return 0;
    const int e = copies < 0 ? ENOTSUP : errno;
    dprintf(STDERR_FILENO, "keystead: what this copied is not under the keys of \"%s\": %s: %s\n", tde_root(), command,
            strerror(e));
    errno = e;
    return -1;
}
