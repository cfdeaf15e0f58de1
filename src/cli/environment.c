#include "cli/environment.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/options.h"
#include "os/file.h"

const char *environment_get(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

char *environment_xdg(const char *variable, const char *fallback, const char *below)
{
    const char *base = environment_get(variable);
    if (base != NULL && *base == '/') /* the XDG specification: a relative path is to be ignored */
        return os_path_join(base, below);
    char *home = os_path_expand_home(fallback), *path = os_path_join(home, below);
    free(home);
    return path;
}

/* One option from the first of its variables that is set. */
static int apply(struct cli *cli, const char *option, const char *const variables[2], struct err *err)
{
    for (int i = 0; i < 2; i++) {
        const char *value = environment_get(variables[i]);
        if (value != NULL)
            return option_store(option_find(CLI_GLOBAL_OPTIONS, option, strlen(option)), value, cli, variables[i], err);
    }
    return 0;
}

int environment_apply(struct cli *cli, struct err *err)
{
    static const char *const COMPRESSION[] = {"CLAWBACK_COMPRESSION", "RESTIC_COMPRESSION"};
    static const char *const PACK_SIZE[] = {"CLAWBACK_PACK_SIZE", "RESTIC_PACK_SIZE"};
    if (cli->compression == NULL && apply(cli, "compression", COMPRESSION, err) < 0)
        return -1;
    return cli->pack_size_bytes == 0 ? apply(cli, "pack-size", PACK_SIZE, err) : 0;
}
