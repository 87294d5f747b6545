/* keystead pg status --scan: what of a cluster is in the clear. */
#pragma once

#include "cli/output.h"
#include "cli/pg.h"
#include "tde/clear.h"

/* With a bar at a terminal. *ret is to be freed by tde_clear_done, however it ends; ret->data points to data. */
int pg_scan(struct cli *cli, const char *data, struct tde_clear *ret) KS_MUST_CHECK;

void pg_scan_json(struct json *json, const struct tde_clear *scan); /* "scan": {...} */
int pg_scan_print(const struct tde_clear *scan) KS_MUST_CHECK;

/* 0, or KS_E_INTEGRITY: a file that is to be encrypted is not. */
int pg_scan_verdict(struct cli *cli, const struct tde_clear *scan) KS_MUST_CHECK;
