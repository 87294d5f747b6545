/*
 * stdio: glibc's streams read and write by calls of their own that nobody can step between. A stream of an encrypted
 * file is made by fopencookie instead, and fileno knows its descriptor.
 */
#include "tde/hooks.h"

#include <string.h>

struct stream {
    struct stream *next;
    FILE *file;
    int fd;
};

static _Atomic(struct stream *) streams; /* as many as are open; threads of PostgreSQL's programs do not open any */

static ssize_t
stream_read(void *cookie, char *buf, size_t n)
{
    return read(((struct stream *)cookie)->fd, buf, n);
}

/* A cookie says that it failed by writing 0 bytes. */
static ssize_t
stream_write(void *cookie, const char *buf, size_t n)
{
    size_t done = 0;
    while (done < n) {
        const ssize_t put = write(((struct stream *)cookie)->fd, buf + done, n - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            break;
        done += (size_t)put;
    }
    return (ssize_t)done;
}

static int
stream_seek(void *cookie, off64_t *offset, int whence)
{
    const off_t at = lseek(((struct stream *)cookie)->fd, *offset, whence);
    if (at < 0)
        return -1;
    *offset = at;
    return 0;
}

static int
stream_close(void *cookie)
{
    struct stream *s = cookie;
    struct stream *first = atomic_load(&streams);
    if (first == s) {
        atomic_store(&streams, s->next);
    } else {
        while (first != NULL && first->next != s)
            first = first->next;
        if (first != NULL)
            first->next = s->next;
    }
    const int rc = close(s->fd);
    free(s);
    return rc;
}

static FILE *
make_stream(int fd, const char *mode)
{
    static const cookie_io_functions_t functions = {stream_read, stream_write, stream_seek, stream_close};
    struct stream *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->fd = fd;
    s->file = fopencookie(s, mode, functions);
    if (s->file == NULL) {
        free(s);
        return NULL;
    }
    s->next = atomic_load(&streams);
    atomic_store(&streams, s);
    return s->file;
}

static bool
open_flags(const char *mode, int *ret)
{
    const bool both = strchr(mode, '+') != NULL;
    int flags = both ? O_RDWR : O_WRONLY;
    switch (mode[0]) {
    case 'r':
        flags = both ? O_RDWR : O_RDONLY;
        break;
    case 'w':
        flags |= O_CREAT | O_TRUNC;
        break;
    case 'a':
        flags |= O_CREAT | O_APPEND;
        break;
    default:
        errno = EINVAL;
        return false;
    }
    if (strchr(mode, 'x') != NULL)
        flags |= O_EXCL;
    if (strchr(mode, 'e') != NULL)
        flags |= O_CLOEXEC;
    *ret = flags;
    return true;
}

/*
 * The file of a replication slot is read through a stream by pg_read_binary_file() alone: the server itself uses
 * descriptors. Who asks for it so carries it to a standby, as Patroni does, and puts it there as it was given, without
 * the layer. So it is given as it is on the disk, which is what belongs onto the disk of any node with the same data
 * keys.
 */
static bool
is_carried(const struct tde_what *what, const char *mode)
{
    static const char folder[] = "pg_replslot/", file[] = "/state";
    const size_t n = strlen(what->identity);
    return strpbrk(mode, "wa+") == NULL && what->class == TDE_STATE && n > strlen(folder) + strlen(file) &&
           strncmp(what->identity, folder, strlen(folder)) == 0 && strcmp(what->identity + n - strlen(file), file) == 0;
}

TDE_HOOK(FILE *, fopen, (const char *path, const char *mode))
{
    struct tde_what what;
    int flags;
    what.class = TDE_CLEAR;
    if (tde_process_streams_raw() || !tde_hook_encrypted(AT_FDCWD, path, &what) || is_carried(&what, mode)) {
        FILE *plain = tde_real()->fopen(path, mode);
        if (plain != NULL && tde_active()) {
            tde_files_drop(tde_real()->fileno(plain));
            if (what.class == TDE_UNKNOWN && mode[0] != 'r')
                tde_process_unknown(path);
        }
        return plain;
    }
    if (!open_flags(mode, &flags))
        return NULL;
    const int fd = tde_hook_open(AT_FDCWD, path, flags, 0666, &what);
    if (fd < 0)
        return NULL;
    FILE *file = make_stream(fd, mode);
    if (file == NULL)
        close(fd);
    return file;
}
TDE_ALIAS(FILE *, fopen64, (const char *path, const char *mode), fopen);

TDE_HOOK(FILE *, freopen, (const char *path, const char *mode, FILE *file))
{
    struct tde_what what;
    if (path != NULL && tde_hook_encrypted(AT_FDCWD, path, &what)) {
        errno = EACCES; /* a stream that is there cannot become one of ours; PostgreSQL does this with logs alone */
        return NULL;
    }
    return tde_real()->freopen(path, mode, file);
}
TDE_ALIAS(FILE *, freopen64, (const char *path, const char *mode, FILE *file), freopen);

TDE_HOOK(FILE *, fdopen, (int fd, const char *mode))
{
    return tde_files_verified(fd) == NULL ? tde_real()->fdopen(fd, mode) : make_stream(fd, mode);
}

TDE_HOOK(int, fileno, (FILE * file))
{
    for (const struct stream *s = atomic_load(&streams); s != NULL; s = s->next)
        if (s->file == file)
            return s->fd;
    return tde_real()->fileno(file);
}
TDE_ALIAS(int, fileno_unlocked, (FILE * file), fileno);
