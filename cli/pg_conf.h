/* shared_preload_libraries in the configuration of a cluster: the guard is put in, and taken out. */
#pragma once

#include "cli/cli.h"

/*
 * folder: where postgresql.conf is. Puts the guard in front of what is in force there, and in postgresql.auto.conf
 * below data where that has the setting. What has it is left as it is. `command` is named in the comment.
 */
int pg_conf_add_guard(struct cli *cli, const char *folder, const char *data, const char *command) KS_MUST_CHECK;
int pg_conf_remove_guard(struct cli *cli, const char *folder, const char *data) KS_MUST_CHECK;

/* Asks the server itself what is in force (postgres -C), with whatever the configuration includes. bin: or NULL. */
int pg_conf_guard_in_force(struct cli *cli, const char *folder, const char *data, const char *bin) KS_MUST_CHECK;
