#include "server/control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union ancillary {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

int
control_send(int control, enum control_type type, int fd)
{
    char byte = (char)type;
    struct iovec iov = {&byte, 1};
    union ancillary extra = {0};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        msg.msg_control = extra.bytes;
        msg.msg_controllen = sizeof(extra.bytes);
        struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    }
    ssize_t n;
    do
        n = sendmsg(control, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == 1 ? 0 : KS_E_CLOSED;
}

int
control_receive(int control, enum control_type *ret_type, int *ret_fd)
{
    char byte = 0;
    struct iovec iov = {&byte, 1};
    union ancillary extra = {0};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = extra.bytes, .msg_controllen = sizeof(extra.bytes)};
    ssize_t n;
    do
        n = recvmsg(control, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return KS_E_CLOSED;
    int fd = -1;
    const struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
    if (head != NULL && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(head), sizeof(fd));
    if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        if (fd >= 0)
            (void)close(fd);
        return KS_E_MALFORMED;
    }
    *ret_type = (enum control_type)(unsigned char)byte;
    *ret_fd = fd;
    return 0;
}
