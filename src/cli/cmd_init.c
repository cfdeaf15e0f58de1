#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/from_repo.h"

struct init_options {
    bool generate_passphrase, copy_chunker_params;
    struct from_repo from;
    const char *version;
};

static const struct option OPTIONS[] = {
    {.name = "generate-passphrase",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct init_options, generate_passphrase),
     .help =
         "make a strong passphrase and write it into --password-file, or the default passphrase file; never over one "
         "that is there"},
    {.name = "repository-version",
     .kind = OPTION_STRING,
     .offset = offsetof(struct init_options, version),
     .metavar = "VERSION",
     .help = "1, 2, latest or stable (2 is the default; 1 has no compression)"},
    {.name = "copy-chunker-params",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct init_options, copy_chunker_params),
     .help = "cut files as the repository of --from-repo does, so that backups here share data with copies from there"},
    FROM_REPO_OPTIONS(struct init_options, from),
    OPTION_END,
};

static int parse_version(const char *text, unsigned *out, struct err *err)
{
    *out = 2;
    if (text == NULL || strcmp(text, "2") == 0 || strcmp(text, "latest") == 0 || strcmp(text, "stable") == 0)
        return 0;
    *out = 1;
    return strcmp(text, "1") == 0
               ? 0
               : err_set(err, ERR_USAGE, "repository version '%s' is none of 1, 2, latest, stable", text);
}

/* The passphrase, made or asked for. *file: where it was made (the caller's), else NULL. */
static int get_passphrase(struct cli *cli, bool generate, char **out, char **file, struct err *err)
{
    *file = NULL;
    if (!generate)
        return cli_passphrase(cli, true, out, err);
    if (cli->passphrase_command != NULL)
        return err_set(err, ERR_USAGE, "--generate-passphrase and --password-command exclude each other");
    char *path = cli->passphrase_file != NULL ? mem_strdup(cli->passphrase_file) : cli_default_passphrase_file();
    if (access(path, F_OK) == 0) {
        err_set(err, ERR_EXISTS,
                "passphrase file '%s' is there already; without --generate-passphrase it is used as it is", path);
        free(path);
        return -1;
    }
    if (cli_generate_passphrase(path, out, err) < 0) {
        free(path);
        return -1;
    }
    *file = path;
    return 0;
}

/* 0: a random one. */
static int get_polynomial(struct cli *cli, const struct init_options *o, uint64_t *out, struct err *err)
{
    struct repo *from;
    struct lock *lock;
    *out = 0;
    if (!o->copy_chunker_params)
        return o->from.repository == NULL && o->from.repository_file == NULL
                   ? 0
                   : err_set(err, ERR_USAGE, "--from-repo does nothing without --copy-chunker-params");
    if (from_repo_open(cli, &o->from, false, &from, &lock, err) != 0)
        return -1;
    *out = from->config.polynomial;
    lock_release(lock);
    repo_free(from);
    return 0;
}

/* Makes it, then opens it: a repository that does not open is none. */
static int create(struct store **store, const char *passphrase, unsigned version, uint64_t polynomial, struct id *id,
                  struct err *err)
{
    if (repo_init(*store, passphrase, version, polynomial, err) < 0)
        return -1;
    struct repo *repo;
    struct repo_options plain = {0};
    struct store *taken = *store;
    *store = NULL; /* repo_open takes it over */
    if (repo_open(&repo, taken, passphrase, &plain, err) < 0)
        return err_wrap(err, "the new repository does not open");
    *id = repo->config.id;
    repo_free(repo);
    return 0;
}

static void report(struct cli *cli, const struct id *id, const char *location, const char *made_file)
{
    if (cli->json) {
        json_t *line = json_pack("{s:s, s:o, s:o}", "message_type", "initialized", "id", cli_json_id(id), "repository",
                                 cli_json_string(location, strlen(location)));
        if (made_file != NULL)
            json_object_set_new(line, "passphrase_file", cli_json_string(made_file, strlen(made_file)));
        cli_json(cli, line);
        return;
    }
    if (cli->quiet)
        return;
    char short_id[ID_SHORT_CHARS + 1];
    cli_print(cli, "made repository %s at '%s'", id_to_short(id, short_id), location);
    if (made_file != NULL)
        cli_print(cli,
                  "its passphrase is in '%s'\n"
                  "Keep a copy of the passphrase somewhere off this machine: without it nobody can read the backups.",
                  made_file);
}

static int init(struct cli *cli, const struct init_options *o, struct err *err)
{
    unsigned version;
    struct store *store = NULL;
    char *passphrase = NULL, *made_file = NULL, *location = NULL;
    uint64_t bytes, polynomial;
    struct id id;
    int rc = -1;
    if (parse_version(o->version, &version, err) < 0 || cli_open_store(cli, &store, err) < 0)
        return -1;
    location = mem_strdup(store->location);
    /* Asked first, so that nobody types a passphrase, or gets one made, for nothing. */
    if (store_size(store, STORE_CONFIG, "", &bytes, NULL) == 0) {
        err_set(err, ERR_EXISTS, "there is a repository at '%s' already", location);
        goto out;
    }
    if (get_polynomial(cli, o, &polynomial, err) < 0 ||
        get_passphrase(cli, o->generate_passphrase, &passphrase, &made_file, err) < 0)
        goto out;
    rc = create(&store, passphrase, version, polynomial, &id, err);
    if (rc == 0)
        report(cli, &id, location, made_file);
    else if (made_file != NULL && store != NULL && store_size(store, STORE_CONFIG, "", &bytes, NULL) < 0)
        unlink(made_file); /* no repository was made with it */
out:
    mem_wipe_string(passphrase);
    free(made_file);
    free(location);
    if (store != NULL)
        store_free(store);
    return rc;
}

static int run_init(struct cli *cli, void *options, int argc, char **argv)
{
    struct err err = {0};
    if (argc > 0)
        err_set(&err, ERR_USAGE, "'init' takes no arguments, but '%s' was given; the repository's place goes to --repo",
                argv[0]);
    else if (init(cli, options, &err) == 0)
        return 0;
    if (err.code == ERR_NO_SPACE)
        err_advise(&err, "make room there, or choose another place with --repo");
    return cli_fail(cli, &err);
}

static const struct command_example EXAMPLES[] = {
    {"clawback init --generate-passphrase", "the default repository, with a new passphrase in the default file"},
    {"clawback -r /mnt/usb/backups init", "one on another disk; the passphrase is asked for"},
    {NULL, NULL},
};

const struct command cmd_init = {
    .name = "init",
    .arguments = "",
    .summary = "Make a repository",
    .description = "The repository is always encrypted; whoever has the passphrase can read it, and without it nobody "
                   "can. It comes from "
                   "--password-file, --password-command, the environment or the default passphrase file; where there "
                   "is none, it is "
                   "asked for on the terminal.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct init_options),
    .examples = EXAMPLES,
    .group = "Repository",
    .run = run_init,
};
