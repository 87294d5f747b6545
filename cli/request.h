/* What the commands about requests that are carried out later have in common. */
#pragma once

#include "cli/cli.h"

/* Submits it, and prints what names it from then on; nothing but "done" where the server did it at once. */
int request_submit(struct cli *cli, uint32_t operation, const char *uid) KS_MUST_CHECK;

/* The request that args[0] names. */
int request_find(struct cli *cli, struct ks_pending *ret) KS_MUST_CHECK;

/* Its name in a buffer, as text. */
void request_text(const struct ks_pending *pending, struct ks_buf *ret);
