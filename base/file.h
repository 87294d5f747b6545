/* Whole files: read with a limit, write so that a crash leaves the old or the new one. */
#pragma once

#include <sys/types.h>

#include "base/mem.h"

/* Closes *fd unless it is negative: `KS_CLEANUP(ks_closep) int fd = -1;` */
void ks_closep(int *fd);

/* Appends the file to buf; more than buf's maximum is KS_E_LIMIT. "-" is standard input. */
int ks_file_read(const char *path, struct ks_buf *buf, struct ks_diag *diag) KS_MUST_CHECK;

/* As ks_file_read, but refuses (KS_E_DENIED) a file that group or others can read, or that another user owns. */
int ks_file_read_private(const char *path, struct ks_buf *buf, struct ks_diag *diag) KS_MUST_CHECK;

/* The same for a file that holds no secret, but that nobody else may change: only writing is forbidden to others. */
int ks_file_read_own(const char *path, struct ks_buf *buf, struct ks_diag *diag) KS_MUST_CHECK;

/* Temporary file beside it, fsync, rename, fsync of the folder. An existing file is replaced. */
int ks_file_write(const char *path, struct ks_span data, mode_t mode, struct ks_diag *diag) KS_MUST_CHECK;

/* As ks_file_write, but KS_E_EXISTS if the path is there already. */
int ks_file_create(const char *path, struct ks_span data, mode_t mode, struct ks_diag *diag) KS_MUST_CHECK;

/* Writes all of it, through short writes and EINTR. */
int ks_write_all(int fd, const void *data, size_t len) KS_MUST_CHECK;

/* fsync of the folder that holds path, so that its name lasts. */
int ks_fsync_parent(const char *path, struct ks_diag *diag) KS_MUST_CHECK;
