/*
 * An open file of an encrypted class, and what reading, writing and cutting it mean.
 *
 * The functions have the results and the errno of the system calls that they stand for. Sizes are those on the disk.
 * Short writes end at blocks: what was written of a block in part is taken back, so that the caller can go on or
 * report.
 */
#pragma once

#include <stdatomic.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "tde/classify.h"
#include "tde/crypt.h"
#include "tde/keys.h"

struct tde_file;

/* fd is open for reading and writing, or for reading alone. flags: those of open. NULL and errno. */
struct tde_file *tde_file_new(int fd, enum tde_class class, const char *identity, int flags);
/* The same with the keys of one of the data directories that this process knows. */
struct tde_file *tde_file_new_of(unsigned root, int fd, enum tde_class class, const char *identity, int flags);
/* The same with the key of the next generation, for a rotation. */
struct tde_file *tde_file_new_next(int fd, enum tde_class class, const char *identity, int flags);
void tde_file_hold(struct tde_file *file);
void tde_file_put(struct tde_file *file); /* the last one frees it; descriptors are not closed here */

bool tde_file_is(const struct tde_file *file, int fd); /* is that descriptor still this file? */
enum tde_class tde_file_class(const struct tde_file *file);

ssize_t tde_file_pread(struct tde_file *file, int fd, void *buf, size_t n, off_t offset);
ssize_t tde_file_pwrite(struct tde_file *file, int fd, const void *buf, size_t n, off_t offset);
/* Several buffers by one system call where it can be. */
ssize_t tde_file_preadv(struct tde_file *file, int fd, const struct iovec *iov, int count, off_t offset);
ssize_t tde_file_pwritev(struct tde_file *file, int fd, const struct iovec *iov, int count, off_t offset);
ssize_t tde_file_read(struct tde_file *file, int fd, void *buf, size_t n);        /* at the file's position */
ssize_t tde_file_write(struct tde_file *file, int fd, const void *buf, size_t n); /* there, or at the end (O_APPEND) */
off_t tde_file_seek(struct tde_file *file, int fd, off_t offset, int whence);
int tde_file_truncate(struct tde_file *file, int fd, off_t size);
int tde_file_extend(struct tde_file *file, int fd, off_t size); /* with zeros; for posix_fallocate's result: errno */

/* From one identity to the other, in place, from the start; most bytes at most (-1: all). Synced. 0, or -1 and errno.
 */
int tde_file_convert(int fd, struct tde_file *from, struct tde_file *to, off_t most);
