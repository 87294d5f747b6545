/* What the commands about certificates have in common. */
#pragma once

#include "cli/key.h"

/* A certificate request from a file, PEM or DER, as DER. */
int cert_read_request(struct cli *cli, const char *path, struct ks_buf *ret) KS_MUST_CHECK;

/* Fetches the certificate and writes it as PEM to --out, if that is given. */
int cert_write(struct cli *cli, const char *uid) KS_MUST_CHECK;
