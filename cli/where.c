/* Where the client's configuration is. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"

char *
cli_default_folder(void)
{
    const char *base = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    char *path = NULL;
    if (base != NULL && base[0] == '/')
        return asprintf(&path, "%s/keystead", base) >= 0 ? path : NULL;
    if (home == NULL || home[0] == '\0')
        return NULL;
    return asprintf(&path, "%s/.config/keystead", home) >= 0 ? path : NULL;
}

static char *
in_folder(const char *folder)
{
    char *path = NULL;
    return asprintf(&path, "%s/client.conf", folder) >= 0 ? path : NULL;
}

char *
cli_config_path(const struct cli *cli)
{
    const char *config = getenv("KEYSTEAD_CONFIG");
    const char *dir = getenv("KEYSTEAD_DIR");
    if (cli->config != NULL)
        return strdup(cli->config);
    if (cli->dir != NULL)
        return in_folder(cli->dir);
    if (config != NULL && config[0] != '\0')
        return strdup(config);
    if (dir != NULL && dir[0] != '\0')
        return in_folder(dir);
    char *folder = cli_default_folder();
    char *path = folder != NULL ? in_folder(folder) : NULL;
    free(folder);
    return path;
}
