#include "server/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"

static int
first_line(struct ks_buf *ret, const char *whence, struct ks_diag *diag)
{
    const uint8_t *end = ret->len != 0 ? memchr(ret->data, '\n', ret->len) : NULL;
    if (end != NULL)
        ret->len = (size_t)(end - ret->data);
    if (ret->len != 0 && ret->data[ret->len - 1] == '\r')
        ret->len--;
    if (ret->len == 0)
        return ks_fail(diag, KS_E_INVALID, "%s: the passphrase is empty", whence);
    return 0;
}

int
passphrase_from_file(const char *path, struct ks_buf *ret, struct ks_diag *diag)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    KS_TRY(is_stdin ? ks_file_read(path, ret, diag) : ks_file_read_private(path, ret, diag));
    return first_line(ret, is_stdin ? "standard input" : path, diag);
}

int
passphrase_from_credentials(struct ks_buf *ret, struct ks_diag *diag)
{
    const char *dir = secure_getenv("CREDENTIALS_DIRECTORY");
    if (dir == NULL)
        return KS_E_NOT_FOUND;
    KS_CLEANUP(ks_buf_done) struct ks_buf path = KS_BUF(4096);
    (void)ks_buf_addf(&path, "%s/keystead-passphrase", dir);
    if (ks_buf_cstr(&path) == NULL)
        return ks_fail(diag, path.err, "CREDENTIALS_DIRECTORY: %s", ks_err_text(path.err));
    if (access((const char *)path.data, F_OK) != 0)
        return KS_E_NOT_FOUND;
    KS_TRY(ks_file_read((const char *)path.data, ret, diag));
    return first_line(ret, (const char *)path.data, diag);
}

/* Signals that would leave the terminal without echo are not let through meanwhile: ISIG is off, ^C reads as a
 * character. */
static int
read_hidden(int tty, const char *prompt, struct ks_buf *ret, struct ks_diag *diag)
{
    struct termios before, hidden;
    if (tcgetattr(tty, &before) != 0)
        return ks_fail_errno(diag, KS_E_NOT_FOUND, errno, "no passphrase: there is no terminal to ask at");
    hidden = before;
    hidden.c_lflag &= (tcflag_t) ~(ECHO | ISIG);
    hidden.c_lflag |= ECHONL;
    if (tcsetattr(tty, TCSAFLUSH, &hidden) != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot hide what is typed");
    int rc = ks_write_all(tty, prompt, strlen(prompt));
    for (uint8_t c = 0; rc == 0 && c != '\n';) {
        const ssize_t n = read(tty, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || c == 3 || c == 4)
            rc = ks_fail(diag, KS_E_CANCELLED, "no passphrase was given");
        else if (c != '\n')
            rc = ks_buf_add_u8(ret, c);
    }
    (void)tcsetattr(tty, TCSAFLUSH, &before);
    return rc == 0 ? 0 : ks_fail(diag, rc, "passphrase: %s", ks_err_text(rc));
}

int
passphrase_ask(const char *prompt, bool again, struct ks_buf *ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_closep) int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0)
        return ks_fail(diag, KS_E_NOT_FOUND, "no passphrase: there is no terminal to ask at");
    const size_t start = ret->len;
    KS_TRY(read_hidden(tty, prompt, ret, diag));
    if (ret->len == start)
        return ks_fail(diag, KS_E_INVALID, "the passphrase is empty");
    if (!again)
        return 0;
    KS_CLEANUP(ks_buf_done) struct ks_buf second = KS_BUF(PASSPHRASE_MAX);
    KS_TRY(read_hidden(tty, "The same again: ", &second, diag));
    if (second.len != ret->len - start || !ks_equal_secret(second.data, ret->data + start, second.len))
        return ks_fail(diag, KS_E_INVALID, "the two passphrases differ");
    return 0;
}
