/*
 * An engine on standard input and output: TTLV requests in, TTLV answers out, as the administrator of a fresh instance
 * that is gone at the end. With --records the audit records go to standard error. For debugging with other people's
 * codecs.
 */
#include <stdio.h>

#include "engine_rig.h"

static bool
read_exactly(uint8_t *to, size_t n)
{
    return fread(to, 1, n, stdin) == n;
}

int
main(int argc, char **argv)
{
    struct rig rig;
    const bool records = argc > 1 && strcmp(argv[1], "--records") == 0;
    rig_open(&rig, NULL, true);
    for (;;) {
        static uint8_t request[1 << 20];
        if (!read_exactly(request, 8))
            break;
        const uint32_t len = ks_be32(request + 4);
        if (len > sizeof(request) - 8 || !read_exactly(request + 8, len))
            break;
        const struct ks_span answer = rig_ask(&rig, &rig.admin, KS_SPAN(request, len + 8));
        if (answer.len == 0 || fwrite(answer.data, 1, answer.len, stdout) != answer.len || fflush(stdout) != 0)
            break;
        for (size_t i = 0; records && i < rig.reply.job.n_records; i++)
            fprintf(stderr, "%.*s\n", (int)rig.reply.job.records[i].len, (const char *)rig.reply.job.records[i].data);
    }
    rig_close(&rig);
    return 0;
}
