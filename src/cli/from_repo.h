/* A second repository, to read from: the --from-… options and CLAWBACK_FROM_… (RESTIC_FROM_…) variables. */
#pragma once
#include "cli/cli.h"

struct from_repo {
    const char *repository, *repository_file, *passphrase_file, *passphrase_command;
};

#define FROM_REPO_OPTIONS(type, member)                                                                         \
    {.name = "from-repo",                                                                                       \
     .kind = OPTION_STRING,                                                                                     \
     .offset = offsetof(type, member) + offsetof(struct from_repo, repository),                                 \
     .metavar = "REPOSITORY",                                                                                   \
     .group = "The other repository",                                                                           \
     .help = "the repository to copy from ($CLAWBACK_FROM_REPOSITORY)"},                                        \
        {.name = "from-repository-file",                                                                        \
         .kind = OPTION_STRING,                                                                                 \
         .offset = offsetof(type, member) + offsetof(struct from_repo, repository_file),                        \
         .metavar = "FILE",                                                                                     \
         .help = "a file that says where it is"},                                                               \
        {.name = "from-password-file",                                                                          \
         .kind = OPTION_STRING,                                                                                 \
         .offset = offsetof(type, member) + offsetof(struct from_repo, passphrase_file),                        \
         .metavar = "FILE",                                                                                     \
         .help = "a file that holds its passphrase; where nothing says otherwise, both have one"},              \
        {.name = "from-passphrase-file",                                                                        \
         .kind = OPTION_STRING,                                                                                 \
         .offset = offsetof(type, member) + offsetof(struct from_repo, passphrase_file),                        \
         .metavar = "FILE"},                                                                                    \
        {.name = "from-password-command",                                                                       \
         .kind = OPTION_STRING,                                                                                 \
         .offset = offsetof(type, member) + offsetof(struct from_repo, passphrase_command),                     \
         .metavar = "COMMAND",                                                                                  \
         .help = "a command that prints its passphrase; run without a shell"},                                  \
    {                                                                                                           \
        .name = "from-passphrase-command", .kind = OPTION_STRING,                                               \
        .offset = offsetof(type, member) + offsetof(struct from_repo, passphrase_command), .metavar = "COMMAND" \
    }

/* Whether an option or a variable names one. */
bool from_repo_is_given(const struct from_repo *from);
/* As cli_open_locked() does: a shared lock (unless --no-lock), with the index if asked. ERR_USAGE when none is named.
 * What is said goes through `cli`. */
int from_repo_open(struct cli *cli, const struct from_repo *from, bool with_index, struct repo **repo,
                   struct lock **lock, struct err *err);
