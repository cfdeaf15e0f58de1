/* Where the repository is, and opening it. The passphrase is passphrase.c's. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/environment.h"
#include "os/file.h"
#include "store/limited.h"

enum { LOCATION_MAX_BYTES = 64 << 10 };

char *cli_default_repository(void)
{
    return environment_xdg("XDG_DATA_HOME", "~/.local/share", "clawback/repository");
}

/* A file that holds the location, alone. */
static int location_from_file(const char *path, char **out, struct err *err)
{
    struct buf text;
    buf_init(&text, LOCATION_MAX_BYTES);
    int rc = os_read_file(path, &text, err);
    if (rc < 0) {
        err_wrap(err, "repository file");
    } else {
        const char *start = buf_cstr(&text) + strspn(buf_cstr(&text), " \t\r\n");
        size_t len = strcspn(start, "\r\n");
        if (len == 0) {
            rc = err_set(err, ERR_USAGE, "repository file '%s' is empty", path);
        } else {
            char *location = mem_strndup(start, len);
            *out = os_path_expand_home(location);
            free(location);
        }
    }
    buf_release(&text);
    return rc;
}

int cli_repository(struct cli *cli, char **out, struct err *err)
{
    static const struct {
        const char *location, *file;
    } VARIABLES[] = {{"CLAWBACK_REPOSITORY", "CLAWBACK_REPOSITORY_FILE"},
                     {"RESTIC_REPOSITORY", "RESTIC_REPOSITORY_FILE"}};
    if (cli->repository != NULL && cli->repository_file != NULL)
        return err_set(err, ERR_USAGE, "--repo and --repository-file exclude each other");
    if (cli->repository != NULL && *cli->repository == '\0')
        return err_set(err, ERR_USAGE, "option '--repo' is empty");
    if (cli->repository_file != NULL)
        return location_from_file(cli->repository_file, out, err);
    if (cli->repository != NULL) {
        *out = mem_strdup(cli->repository);
        return 0;
    }
    for (size_t i = 0; i < sizeof VARIABLES / sizeof *VARIABLES; i++) {
        const char *location = environment_get(VARIABLES[i].location), *file = environment_get(VARIABLES[i].file);
        if (location != NULL) {
            *out = os_path_expand_home(location);
            return 0;
        }
        if (file != NULL)
            return location_from_file(file, out, err);
    }
    cli->default_repository = true;
    *out = cli_default_repository();
    return 0;
}

/* Below restic's own directory we keep to one of ours. */
char *cli_cache_dir(const struct cli *cli)
{
    if (cli->no_cache)
        return NULL;
    if (cli->cache_dir != NULL)
        return os_path_absolute(cli->cache_dir);
    if (environment_get("CLAWBACK_CACHE_DIR") != NULL)
        return os_path_expand_home(environment_get("CLAWBACK_CACHE_DIR"));
    if (environment_get("RESTIC_CACHE_DIR") != NULL)
        return os_path_join(environment_get("RESTIC_CACHE_DIR"), "clawback");
    return environment_xdg("XDG_CACHE_HOME", "~/.cache", "clawback");
}

static enum repo_compression compression(const struct cli *cli)
{
    static const char *const NAMES[] = {[REPO_COMPRESSION_AUTO] = "auto",
                                        [REPO_COMPRESSION_OFF] = "off",
                                        [REPO_COMPRESSION_FASTEST] = "fastest",
                                        [REPO_COMPRESSION_BETTER] = "better",
                                        [REPO_COMPRESSION_MAX] = "max"};
    for (size_t i = 0; cli->compression != NULL && i < sizeof NAMES / sizeof *NAMES; i++)
        if (strcmp(NAMES[i], cli->compression) == 0)
            return (enum repo_compression)i;
    return REPO_COMPRESSION_AUTO;
}

int cli_open_store(struct cli *cli, struct store **out, struct err *err)
{
    char *location;
    if (cli_repository(cli, &location, err) < 0)
        return -1;
    int rc = store_open(out, location, err);
    free(location);
    if (rc == 0)
        *out = store_limited_new(*out, cli->limit_write);
    return rc;
}

/* Tells a repository that is not there from one that cannot be looked at. */
static int check_repository(struct cli *cli, struct store *store, struct err *err)
{
    uint64_t bytes;
    struct err why = {0};
    if (store_size(store, STORE_CONFIG, "", &bytes, &why) == 0)
        return 0;
    if (why.code == ERR_NOT_FOUND || why.code == ERR_NO_REPOSITORY)
        return err_set(err, ERR_NO_REPOSITORY, "there is no repository at '%s'%s", store->location,
                       cli->default_repository ? " (the default place)" : "");
    *err = why;
    return err_wrap(err, "cannot open repository '%s'", store->location);
}

int cli_access_prepare(struct cli *cli, struct cli_access *out, struct err *err)
{
    *out = (struct cli_access){0};
    if (cli_open_store(cli, &out->store, err) < 0)
        return -1;
    int rc = check_repository(cli, out->store, err);
    if (rc == 0 && cli->passphrase != NULL)
        out->passphrase = mem_strdup(cli->passphrase);
    else if (rc == 0)
        rc = cli_passphrase(cli, false, &out->passphrase, err);
    if (rc < 0) {
        cli_access_release(out);
        return -1;
    }
    out->cache_dir = cli_cache_dir(cli);
    out->options = (struct repo_options){.cache_dir = out->cache_dir,
                                         .compression = compression(cli),
                                         .pack_target_bytes = (uint32_t)cli->pack_size_bytes,
                                         .threads = (unsigned)cli->cpus};
    return 0;
}

void cli_access_release(struct cli_access *access)
{
    mem_wipe_string(access->passphrase);
    free(access->cache_dir);
    if (access->store != NULL)
        store_free(access->store);
    *access = (struct cli_access){0};
}

int cli_access_open(struct cli_access *access, struct repo **out, struct err *err)
{
    struct store *store = access->store;
    access->store = NULL; /* repo_open takes it over */
    char *location = mem_strdup(store->location);
    int rc = repo_open(out, store, access->passphrase, &access->options, err);
    if (rc < 0 && strstr(err->message, location) == NULL)
        err_wrap(err, "cannot open repository '%s'", location);
    free(location);
    cli_access_release(access);
    return rc;
}

int cli_open_repo(struct cli *cli, struct repo **out, struct err *err)
{
    struct cli_access access;
    if (cli_access_prepare(cli, &access, err) < 0)
        return -1;
    return cli_access_open(&access, out, err);
}

/* Takes the lock; its waiting time passes while the index loads. */
static int lock_and_load(struct cli *cli, enum cli_lock kind, bool with_index, struct repo *repo, struct lock **lock,
                         struct err *err)
{
    bool wanted = kind == CLI_LOCK_EXCLUSIVE || (kind == CLI_LOCK_SHARED && !cli->no_lock);
    if (wanted && lock_begin(lock, repo, kind == CLI_LOCK_EXCLUSIVE, cli->retry_lock_ms, err) < 0) {
        if (err->code == ERR_PERMISSION && kind == CLI_LOCK_SHARED)
            err_wrap(err, "cannot lock the repository (--no-lock reads it without)");
        return -1;
    }
    if (with_index && repo_load_index(repo, NULL, err) < 0)
        return -1;
    return wanted ? lock_confirm(*lock, err) : 0;
}

int cli_open_locked(struct cli *cli, enum cli_lock kind, bool with_index, struct repo **repo, struct lock **lock,
                    struct err *err)
{
    *lock = NULL;
    if (cli_open_repo(cli, repo, err) < 0)
        return -1;
    if (lock_and_load(cli, kind, with_index, *repo, lock, err) == 0)
        return 0;
    lock_release(*lock);
    *lock = NULL;
    repo_free(*repo);
    *repo = NULL;
    return -1;
}
