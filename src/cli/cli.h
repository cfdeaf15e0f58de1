/*
 * What every command gets: the global options, and the few ways in which commands talk to people and programs.
 *
 * Results go to standard output, everything else to standard error. With --json every line on standard output is one
 * JSON document (restic's shapes, `message_type`), errors too (on standard error, message_type "exit_error" or
 * "error").
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <jansson.h>
#include "base/err.h"
#include "cli/command.h"
#include "repo/lock.h"
#include "repo/repo.h"

struct cli {
    /* global options */
    const char *repository; /* -r, --repo; then CLAWBACK_REPOSITORY, RESTIC_REPOSITORY, …, then the default */
    const char *repository_file;
    const char *passphrase_file;    /* -p, --password-file */
    const char *passphrase_command; /* --password-command */
    const char *passphrase;         /* itself, where a variable of its own had it (cli/from_repo.c); else NULL */
    const char *cache_dir;
    const char *compression;                           /* off, fastest, auto, better, max */
    uint64_t pack_size_bytes, limit_read, limit_write; /* bytes a second for the limits */
    int64_t cpus;
    uint64_t retry_lock_ms;
    bool json, quiet, no_cache, no_lock, no_color, help;
    int64_t verbose;
    /* state */
    bool default_repository;             /* cli_repository() took the default */
    bool color_out, color_err, terminal; /* terminal: standard error is one, and neither --quiet nor --json was given */
    bool journal_out, journal_err;       /* systemd's journal reads it: lines that matter say how much */
    const struct command *command;
};
extern const struct option CLI_GLOBAL_OPTIONS[];

/* The whole program but what belongs to the process (umask, signals): parses, runs the command, returns the exit
 * status. */
int cli_main(int argc, char **argv);

/* The default repository's path (XDG_DATA_HOME) and passphrase file (XDG_CONFIG_HOME). The caller frees them. */
char *cli_default_repository(void);
char *cli_default_passphrase_file(void);

/* Where caches are kept, from --no-cache, --cache-dir, the environment or XDG; NULL: nowhere. The caller frees it. */
char *cli_cache_dir(const struct cli *cli);
/* The repository's location from option, environment or default; the caller frees it. */
int cli_repository(struct cli *cli, char **out, struct err *err);
/* The passphrase from file, command, environment, systemd credentials, the default file, or a prompt on the terminal;
 * the caller wipes and frees it. `confirm`: asked twice when it is prompted for. */
int cli_passphrase(struct cli *cli, bool confirm, char **out, struct err *err);
/* A new passphrase for a key: from this file ("-": standard input), or when it is NULL prompted for twice. As above
 * otherwise. */
int cli_new_passphrase(struct cli *cli, const char *file, char **out, struct err *err);
/* Makes a strong passphrase of 32 characters (158 bits) and writes it, durably, mode 0600, into the file, which must
 * not exist (ERR_EXISTS). The caller wipes and frees *out. */
int cli_generate_passphrase(const char *file, char **out, struct err *err);
/* What it takes to open the repository, gathered before anything slow begins: where it is (and that it is there), its
 * passphrase, cache and options. Zeroed: nothing. */
struct cli_access {
    struct store *store;
    char *passphrase, *cache_dir;
    struct repo_options options;
};
/* ERR_NO_REPOSITORY before anybody is asked for a passphrase. */
int cli_access_prepare(struct cli *cli, struct cli_access *out, struct err *err);
/* Derives the key and opens; uses the access up, whatever it returns. */
int cli_access_open(struct cli_access *access, struct repo **out, struct err *err);
void cli_access_release(struct cli_access *access);
/* The store at the repository's location, nothing opened yet. */
int cli_open_store(struct cli *cli, struct store **out, struct err *err);
/* Opens the repository (no index, no lock). */
int cli_open_repo(struct cli *cli, struct repo **out, struct err *err);

enum cli_lock { CLI_LOCK_NONE, CLI_LOCK_SHARED, CLI_LOCK_EXCLUSIVE };
/* Opens, locks (unless --no-lock and not exclusive) and, if asked, loads the index. On failure nothing is left open. */
int cli_open_locked(struct cli *cli, enum cli_lock kind, bool with_index, struct repo **repo, struct lock **lock,
                    struct err *err);
/* Keeps out of other programs' way: nice, idle I/O. For commands that read or rewrite much. */
void cli_be_nice(struct cli *cli);
/* Prints the error (message, then a hint of what to do) the way the output mode wants; returns the exit status. */
int cli_fail(struct cli *cli, const struct err *err);
/* A line for people on standard error, unless --quiet. */
void cli_note(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for what deserves attention: never silenced; "warning: …" or a JSON error line. */
void cli_warn(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for what has failed, while other things go on: "error: …". */
void cli_error(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line for people on standard output; not in JSON mode. */
void cli_print(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One JSON document and a newline on standard output; takes the reference. Strings that are no UTF-8 must go through
 * cli_json_string. */
void cli_json(struct cli *cli, json_t *document);
/* The same on standard error: "error" and "warning" lines. */
void cli_json_error(struct cli *cli, json_t *document);
/* A JSON string of any bytes: invalid UTF-8 becomes U+FFFD. */
json_t *cli_json_string(const char *s, size_t len);
json_t *cli_json_time(const struct timespec *t);
json_t *cli_json_id(const struct id *id);
/* A path as people should see it on a terminal or in a log: control characters and invalid bytes escaped. Into out. */
const char *cli_printable(const char *s, char *out, size_t cap);
/* "1h 02m 03s", "4.2 s"; "78,412". Into out. Amounts of data: base/bytes.h. */
const char *cli_duration(uint64_t ns, char out[32]);
const char *cli_count(uint64_t n, char out[32]);
/* How many columns the UTF-8 text takes on a terminal (wide characters 2, combining ones 0). */
size_t cli_text_columns(const char *text);
/* Shortens the text in place to so many columns, ending it with "…". With keep_end, the beginning goes instead (paths).
 */
void cli_text_cut(char *text, size_t columns, bool keep_end);
/* The width of the terminal behind the stream, or of COLUMNS; 80 where neither is known. */
unsigned cli_columns(FILE *stream);

/* Choosing snapshots: --host, --tag, --path given by many commands. */
struct cli_snapshot_filter {
    struct strlist hosts, tags, paths; /* tags: each a comma-separated list */
};
#define CLI_SNAPSHOT_FILTER_OPTIONS(type, member)                                       \
    {.name = "host",                                                                    \
     .short_name = 'H',                                                                 \
     .kind = OPTION_LIST,                                                               \
     .metavar = "NAME",                                                                 \
     .group = "Which snapshots",                                                        \
     .offset = offsetof(type, member) + offsetof(struct cli_snapshot_filter, hosts),    \
     .help = "only snapshots of this host"},                                            \
        {.name = "tag",                                                                 \
         .kind = OPTION_LIST,                                                           \
         .metavar = "TAG[,TAG…]",                                                       \
         .offset = offsetof(type, member) + offsetof(struct cli_snapshot_filter, tags), \
         .help = "only snapshots that have all these tags; again for others"},          \
    {                                                                                   \
        .name = "path", .kind = OPTION_LIST, .metavar = "PATH",                         \
        .offset = offsetof(type, member) + offsetof(struct cli_snapshot_filter, paths), \
        .help = "only snapshots of this path; again for more, all must be in it"        \
    }
bool cli_snapshot_matches(const struct cli_snapshot_filter *f, const struct snapshot *s);
/* "latest", a hex prefix, either followed by ":/path/below". The newest match of the filter for "latest". On success
 * *out is a copy that the caller releases; *subpath (may be NULL) the part after ':' (borrowed from spec) or NULL. */
int cli_find_snapshot(struct cli *cli, struct repo *r, const char *spec, const struct cli_snapshot_filter *filter,
                      struct snapshot *out, const char **subpath, struct err *err);
/* The IDs that a command's arguments name; the caller frees *out, which is NULL for no arguments. Snapshots that cannot
 * be read have IDs too. */
int cli_find_snapshot_ids(struct cli *cli, struct repo *r, const struct cli_snapshot_filter *filter, int argc,
                          char **argv, struct id **out, struct err *err);
/* cli_snapshot_matches() for the engine; ctx: the filter. */
bool cli_snapshot_match(void *ctx, const struct snapshot *s);

/* One live line on a terminal, redrawn 10 times a second by a thread of its own; elsewhere a line on standard error
 * after 10 seconds, then one a minute; with --quiet nothing. `draw` writes the line's text (no newline) for the given
 * width. cli_progress_stop clears the line; other cli_ output may come in between. */
struct cli_progress;
typedef void cli_progress_draw(void *ctx, char *out, size_t cap, unsigned columns);
struct cli_progress *cli_progress_start(struct cli *cli, cli_progress_draw *draw, void *ctx);
/* In JSON mode: `status` is called once a second (CLAWBACK_PROGRESS_FPS changes that) and its document printed. */
struct cli_progress *cli_progress_start_json(struct cli *cli, cli_progress_draw *draw, json_t *(*status)(void *ctx),
                                             void *ctx);
/* A rate of something that grows: of the last second or so, smoothed. Zeroed but for `sampled_ns`, which is when it
 * began. */
struct cli_rate {
    uint64_t sampled_ns, sampled;
    double per_second; /* 0: not known yet */
};
void cli_rate_sample(struct cli_rate *r, uint64_t now_ns, uint64_t value);
void cli_progress_stop(struct cli_progress *p); /* NULL is nothing */
