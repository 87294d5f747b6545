/* The part of keystead pg rotate that writes data anew. */
#pragma once

#include "cli/cli.h"

/* By the options of keystead pg rotate. A cluster that is stopped; resumed when it is run again. */
int pg_rotate_data_keys(struct cli *cli) KS_MUST_CHECK;
