/* A file through a cryptographic operation: in one request where it fits into one, else in parts. */
#pragma once

#include "cli/cli.h"

typedef int part_fn(struct ks_client *client, const struct ks_call *call, const struct ks_crypto *params,
                    struct ks_crypto_result **ret, struct ks_error *error);

/* path "-": standard input. params holds all but data, correlation, init and final. The last answer. */
int parts_run(struct cli *cli, part_fn *fn, struct ks_crypto *params, const char *path,
              struct ks_crypto_result **ret) KS_MUST_CHECK;

static inline void
parts_result_freep(struct ks_crypto_result **result)
{
    ks_crypto_result_free(*result);
}

/* Hexadecimal and a newline to standard output, or the bytes themselves to --out. */
int parts_write(struct cli *cli, struct ks_span bytes) KS_MUST_CHECK;
