#include "tde/keyring_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define NAME "keyring"
#define TEMPORARY "keyring.tmp"
#define PREVIOUS "keyring.prev"

static int
in_data(const char *data, const char *name, char ret[PATH_MAX], struct ks_diag *diag)
{
    if ((size_t)snprintf(ret, PATH_MAX, "%s/keystead%s%s", data, name[0] != '\0' ? "/" : "", name) >= PATH_MAX)
        return ks_fail(diag, KS_E_INVALID, "%s: the path is too long", data);
    return 0;
}

int
tde_keyring_file_read(const char *data, struct ks_buf *ret_bytes, struct tde_keyring **ret, struct ks_diag *diag)
{
    char path[PATH_MAX];
    KS_TRY(in_data(data, NAME, path, diag));
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return ks_fail(diag, KS_E_NOT_FOUND, "%s is not an encrypted data directory: it has no keystead/" NAME, data);
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(TDE_KEYRING_MAX);
    /* Copies of a data directory need not keep the mode, which the directory's own makes up for; what is wrapped and
       authenticated may be read. */
    KS_TRY(ks_file_read_own(path, &bytes, diag));
    TDE_KEYRING_PTR *keyring = NULL;
    struct ks_diag why = {0};
    int rc = tde_keyring_decode(ks_buf_span(&bytes), &keyring, &why);
    if (rc != 0) {
        char previous[PATH_MAX];
        KS_TRY(in_data(data, PREVIOUS, previous, diag));
        return ks_fail(diag, rc, "%s: %s%s", path, why.message,
                       rc == KS_E_UNSUPPORTED        ? ""
                       : access(previous, F_OK) == 0 ? "; the one before it is there: keyring.prev"
                                                     : "; restore it from a backup of this cluster");
    }
    rc = ks_buf_add_span(ret_bytes, ks_buf_span(&bytes));
    if (rc != 0)
        return ks_fail(diag, rc, "%s: %s", path, ks_err_text(rc));
    *ret = keyring;
    keyring = NULL; /* transferred */
    return 0;
}

static int
open_folder(const char *data, int *ret, struct ks_diag *diag)
{
    char path[PATH_MAX];
    KS_TRY(in_data(data, "", path, diag));
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return ks_fail_errno(diag, errno == ENOENT ? KS_E_NOT_FOUND : KS_E_IO, errno, "cannot open %s", path);
    *ret = fd;
    return 0;
}

int
tde_keyring_file_lock(const char *data, int *ret_fd, struct ks_diag *diag)
{
    KS_CLEANUP(ks_closep) int fd = -1;
    KS_TRY(open_folder(data, &fd, diag));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? ks_fail(diag, KS_E_BUSY, "another command is changing the keyring of %s: try again", data)
                   : ks_fail_errno(diag, KS_E_IO, errno, "cannot lock %s/keystead", data);
    *ret_fd = fd;
    fd = -1; /* transferred */
    return 0;
}

static int
sync_folder(int folder, const char *data, struct ks_diag *diag)
{
    return fsync(folder) == 0 ? 0 : ks_fail_errno(diag, KS_E_IO, errno, "cannot sync %s/keystead", data);
}

/* Absent is as good as removed. */
static int
remove_name(int folder, const char *name, const char *data, struct ks_diag *diag)
{
    if (unlinkat(folder, name, 0) != 0 && errno != ENOENT)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot remove %s/keystead/%s", data, name);
    return 0;
}

/* Step 1. */
static int
write_temporary(int folder, const char *data, struct ks_span file, struct ks_diag *diag)
{
    KS_TRY(remove_name(folder, TEMPORARY, data, diag));
    KS_CLEANUP(ks_closep) int fd = openat(folder, TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot create %s/keystead/" TEMPORARY, data);
    int rc = ks_write_all(fd, file.data, file.len);
    if (rc == 0 && fsync(fd) != 0)
        rc = KS_E_IO;
    if (rc == 0)
        return 0;
    const int err = errno;
    (void)unlinkat(folder, TEMPORARY, 0);
    return ks_fail_errno(diag, rc, err, "cannot write %s/keystead/" TEMPORARY, data);
}

/* Steps 2 and 3. Whatever fails, keyring is a whole one; ret_kept: keyring.prev is the old one, not an older crash's.
 */
static int
put_in_place(int folder, const char *data, bool *ret_kept, struct ks_diag *diag)
{
    KS_TRY(remove_name(folder, PREVIOUS, data, diag));
    if (linkat(folder, NAME, folder, PREVIOUS, 0) != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot keep the old keyring as %s/keystead/" PREVIOUS, data);
    *ret_kept = true;
    KS_TRY(sync_folder(folder, data, diag));
    if (renameat(folder, TEMPORARY, folder, NAME) != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot replace %s/keystead/" NAME, data);
    return sync_folder(folder, data, diag);
}

/* Step 4. */
static int
read_back(const char *data, struct ks_span file, tde_keyring_verify_fn *verify, void *arg, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(TDE_KEYRING_MAX);
    TDE_KEYRING_PTR *keyring = NULL;
    KS_TRY(tde_keyring_file_read(data, &bytes, &keyring, diag));
    if (!ks_span_equal(ks_buf_span(&bytes), file))
        return ks_fail(diag, KS_E_IO, "%s/keystead/" NAME " is not what was written", data);
    return verify(ks_buf_span(&bytes), arg, diag);
}

/* The names that a change that failed leaves: the old keyring under its own, nothing beside it. Best effort. */
static void
put_back(int folder, bool kept)
{
    if (kept) {
        (void)renameat(folder, PREVIOUS, folder, NAME); /* two names of one file: then nothing is done */
        (void)unlinkat(folder, PREVIOUS, 0);
    }
    (void)unlinkat(folder, TEMPORARY, 0);
    (void)fsync(folder);
}

int
tde_keyring_file_write(const char *data, struct ks_span file, tde_keyring_verify_fn *verify, void *arg,
                       struct ks_diag *diag)
{
    KS_CLEANUP(ks_closep) int folder = -1;
    KS_TRY(open_folder(data, &folder, diag));
    KS_TRY(write_temporary(folder, data, file, diag));
    bool kept = false;
    int rc = put_in_place(folder, data, &kept, diag);
    if (rc == 0)
        rc = read_back(data, file, verify, arg, diag);
    if (rc != 0) {
        put_back(folder, kept);
        return rc;
    }
    /* The new one is in force: what fails from here on leaves a name too many, no more. */
    (void)unlinkat(folder, PREVIOUS, 0);
    (void)fsync(folder);
    return 0;
}

int
tde_keyring_file_create(const char *data, struct ks_span file, struct ks_diag *diag)
{
    char path[PATH_MAX];
    KS_TRY(in_data(data, "", path, diag));
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot create %s", path);
    KS_TRY(ks_fsync_parent(path, diag));
    KS_CLEANUP(ks_closep) int folder = -1;
    KS_TRY(open_folder(data, &folder, diag));
    KS_TRY(write_temporary(folder, data, file, diag));
    if (linkat(folder, TEMPORARY, folder, NAME, 0) != 0) {
        const int err = errno;
        (void)unlinkat(folder, TEMPORARY, 0);
        return ks_fail_errno(diag, err == EEXIST ? KS_E_EXISTS : KS_E_IO, err, "cannot create %s/" NAME, path);
    }
    KS_TRY(remove_name(folder, TEMPORARY, data, diag));
    return sync_folder(folder, data, diag);
}
