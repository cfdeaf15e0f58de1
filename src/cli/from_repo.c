#include "cli/from_repo.h"

#include <stdlib.h>
#include "cli/environment.h"
#include "os/file.h"

/* The first of the two that is set; the caller frees it. */
static char *variable(const char *ours, const char *theirs)
{
    const char *value = environment_get(ours) != NULL ? environment_get(ours) : environment_get(theirs);
    return value != NULL ? os_path_expand_home(value) : NULL;
}

bool from_repo_is_given(const struct from_repo *from)
{
    static const char *const VARIABLES[] = {"CLAWBACK_FROM_REPOSITORY", "CLAWBACK_FROM_REPOSITORY_FILE",
                                            "RESTIC_FROM_REPOSITORY", "RESTIC_FROM_REPOSITORY_FILE"};
    bool given = from->repository != NULL || from->repository_file != NULL;
    for (size_t i = 0; i < sizeof VARIABLES / sizeof *VARIABLES; i++)
        given |= environment_get(VARIABLES[i]) != NULL;
    return given;
}

/* What variables said; options go before all of them. */
struct variables {
    char *repository, *repository_file, *passphrase_file;
};

static void take_location(struct cli *as, const struct from_repo *from, struct variables *v)
{
    as->repository = from->repository;
    as->repository_file = from->repository_file;
    if (from->repository != NULL || from->repository_file != NULL)
        return;
    v->repository = variable("CLAWBACK_FROM_REPOSITORY", "RESTIC_FROM_REPOSITORY");
    if (v->repository == NULL)
        v->repository_file = variable("CLAWBACK_FROM_REPOSITORY_FILE", "RESTIC_FROM_REPOSITORY_FILE");
    as->repository = v->repository;
    as->repository_file = v->repository_file;
}

/* Without a word about it the passphrase comes from where the other repository's does. */
static void take_passphrase(struct cli *as, const struct from_repo *from, struct variables *v)
{
    static const char *const NAMES[][3] = {
        {"CLAWBACK_FROM_PASSPHRASE", "CLAWBACK_FROM_PASSPHRASE_FILE", "CLAWBACK_FROM_PASSPHRASE_COMMAND"},
        {"RESTIC_FROM_PASSWORD", "RESTIC_FROM_PASSWORD_FILE", "RESTIC_FROM_PASSWORD_COMMAND"},
    };
    if (from->passphrase_file != NULL || from->passphrase_command != NULL) {
        as->passphrase_file = from->passphrase_file;
        as->passphrase_command = from->passphrase_command;
        return;
    }
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        const char *text = environment_get(NAMES[i][0]), *command = environment_get(NAMES[i][2]);
        v->passphrase_file = variable(NAMES[i][1], "");
        if (text == NULL && command == NULL && v->passphrase_file == NULL)
            continue;
        as->passphrase = text;
        as->passphrase_file = text == NULL ? v->passphrase_file : NULL;
        as->passphrase_command = text == NULL && v->passphrase_file == NULL ? command : NULL;
        return;
    }
}

int from_repo_open(struct cli *cli, const struct from_repo *from, bool with_index, struct repo **repo,
                   struct lock **lock, struct err *err)
{
    struct cli as = *cli;
    struct variables v = {0};
    if (!from_repo_is_given(from))
        return err_set(err, ERR_USAGE, "nothing says which repository to copy from: give --from-repo");
    take_location(&as, from, &v);
    take_passphrase(&as, from, &v);
    as.limit_write = 0; /* it is for the repository that is written */
    int rc = cli_open_locked(&as, CLI_LOCK_SHARED, with_index, repo, lock, err);
    if (rc != 0)
        err_wrap(err, "the repository to copy from");
    free(v.repository);
    free(v.repository_file);
    free(v.passphrase_file);
    return rc;
}
