/* Looking around and writing a first clawback.yaml. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/bytes.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "os/file.h"
#include "plan/config.h"
#include "plan/secret.h"
#include "run/discover.h"
#include "run/setup.h"

enum { YAML_MAX_BYTES = CONFIG_MAX_BYTES };

struct setup_args {
    struct strlist destinations, paths;
    const char *home, *output;
    bool yes, no_archive, no_push, force, dry_run;
};

static const struct option OPTIONS[] = {
    {.name = "destination",
     .short_name = 'd',
     .kind = OPTION_LIST,
     .offset = offsetof(struct setup_args, destinations),
     .metavar = "PATH",
     .help = "keep backups there; again for more (default: the drives that are mounted)"},
    {.name = "home",
     .kind = OPTION_STRING,
     .offset = offsetof(struct setup_args, home),
     .metavar = "DIR",
     .help = "the agent's home (default: looked for)"},
    {.name = "path",
     .kind = OPTION_LIST,
     .offset = offsetof(struct setup_args, paths),
     .metavar = "PATH",
     .help = "back this up as well; again for more"},
    {.name = "no-archive",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct setup_args, no_archive),
     .help = "no weekly archive file"},
    {.name = "no-push",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct setup_args, no_push),
     .help = "do not push git repositories to their remotes"},
    {.name = "output",
     .short_name = 'o',
     .kind = OPTION_STRING,
     .offset = offsetof(struct setup_args, output),
     .metavar = "FILE",
     .help = "write the configuration there (default: where clawback looks for it)",
     .group = "How"},
    {.name = "yes",
     .short_name = 'y',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct setup_args, yes),
     .help = "ask nothing, take the defaults"},
    {.name = "force",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct setup_args, force),
     .help = "replace a configuration that is there"},
    {.name = "dry-run",
     .short_name = 'n',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct setup_args, dry_run),
     .help = "print the configuration and write nothing"},
    OPTION_END,
};

struct setup {
    struct cli *cli;
    const struct setup_args *args;
    struct discovery found;
    struct setup_choice choice;
    char *output, *passphrase_file;
    bool ask, made_passphrase;
    struct strlist warnings;
};

static void warn(struct setup *s, const char *text)
{
    strlist_add(&s->warnings, text);
    if (!s->cli->json)
        cli_warn(s->cli, "%s", text);
}

/* --- what was found --- */

static void show_server(struct cli *cli, const char *kind, const struct discovered_server *f)
{
    const char *where = f->container != NULL ? f->container : f->socket != NULL ? f->socket : f->url;
    cli_note(cli, "  %-10s %s%s%s%s", kind, f->container != NULL ? "container " : "", where, f->why != NULL ? ": " : "",
             f->why != NULL ? f->why : "");
}

static void show_found(struct setup *s)
{
    const struct discovery *d = &s->found;
    char shown[4096], bytes[24], total[24];
    cli_note(s->cli, "found:");
    for (size_t i = 0; i < d->home.roots.count; i++)
        cli_note(s->cli, "  home       %s", cli_printable(d->home.roots.items[i], shown, sizeof shown));
    for (size_t i = 0; i < d->home.outside.count; i++)
        cli_note(s->cli, "  outside    %s", cli_printable(d->home.outside.items[i], shown, sizeof shown));
    for (size_t i = 0; i < d->repository_count; i++)
        cli_note(s->cli, "  git        %s%s", cli_printable(d->repositories[i].path, shown, sizeof shown),
                 d->repositories[i].remotes.count == 0 ? " (no remote)" : "");
    if (d->sqlite.count > 0)
        cli_note(s->cli, "  SQLite     %zu database%s in these files", d->sqlite.count,
                 d->sqlite.count == 1 ? "" : "s");
    for (size_t i = 0; i < d->postgres.count; i++)
        show_server(s->cli, "PostgreSQL", &d->postgres.items[i]);
    for (size_t i = 0; i < d->redis.count; i++)
        show_server(s->cli, "Redis", &d->redis.items[i]);
    for (size_t i = 0; i < d->place_count; i++)
        cli_note(s->cli, "  drive      %s (%s, %s of %s free%s)", cli_printable(d->places[i].path, shown, sizeof shown),
                 d->places[i].type, bytes_text(d->places[i].free_bytes, bytes),
                 bytes_text(d->places[i].total_bytes, total),
                 d->places[i].writable ? "" : "; this user may not write there");
    if (d->total_bytes > 0)
        cli_note(s->cli, "  disk       %s of %s free where the home is", bytes_text(d->free_bytes, bytes),
                 bytes_text(d->total_bytes, total));
    for (size_t i = 0; i < d->notes.count; i++)
        warn(s, d->notes.items[i]);
    if (d->search_cut)
        warn(s, "a directory is too large to be searched for databases to its end; they are backed up all the same");
}

/* --- where to --- */

/* Comma-separated, as an answer gives them. */
static int add_answers(struct setup *s, const char *text, struct err *err)
{
    int rc = 0;
    while (rc == 0 && *text != '\0') {
        text += strspn(text, ", \t");
        size_t len = strcspn(text, ",");
        while (len > 0 && strchr(" \t", text[len - 1]) != NULL)
            len--;
        if (len > 0) {
            char *path = mem_strndup(text, len);
            rc = setup_add_destination(&s->choice, &s->found, path, err);
            free(path);
        }
        text += len;
        text += strspn(text, " \t");
    }
    return rc;
}

static void drop_destinations(struct setup *s)
{
    bool push = s->choice.push, archive = s->choice.archive;
    setup_choice_release(&s->choice);
    s->choice.push = push;
    s->choice.archive = archive;
}

/* The drive that is there, or a directory of this user's on this disk. The caller frees it. */
static char *preset_destination(const struct setup *s)
{
    for (size_t i = 0; i < s->found.place_count; i++)
        if (s->found.places[i].writable)
            return os_path_join(s->found.places[i].path, "clawback");
    return cli_default_repository();
}

static int ask_destinations(struct setup *s, struct err *err)
{
    char *preset = preset_destination(s);
    int rc;
    do {
        char *answer = NULL;
        rc = cli_ask(s->cli, "Where shall backups be kept (directories, with commas between)?", preset, &answer, err);
        if (rc < 0)
            break;
        struct err why = {0};
        drop_destinations(s);
        if (add_answers(s, answer, &why) < 0) {
            cli_note(s->cli, "%s", why.message);
            drop_destinations(s);
        }
        free(answer);
    } while (s->choice.destination_count == 0);
    free(preset);
    return rc;
}

static int choose_destinations(struct setup *s, struct err *err)
{
    for (size_t i = 0; i < s->args->destinations.count; i++)
        if (setup_add_destination(&s->choice, &s->found, s->args->destinations.items[i], err) < 0)
            return -1;
    if (s->choice.destination_count > 0)
        return 0;
    if (s->ask)
        return ask_destinations(s, err);
    bool drive = s->found.place_count > 0 && s->found.places[0].writable;
    if (!drive && !s->args->yes && !s->args->dry_run)
        return err_set(err, ERR_USAGE,
                       "no drive to keep backups on was found: name a directory with --destination PATH, best on "
                       "another disk (--yes takes one on this disk)");
    char *preset = preset_destination(s);
    int rc = setup_add_destination(&s->choice, &s->found, preset, err);
    free(preset);
    return rc;
}

static void warn_same_disk(struct setup *s)
{
    bool other = false;
    for (size_t i = 0; i < s->choice.destination_count; i++)
        other = other || !s->choice.destinations[i].same_disk;
    if (!other)
        warn(s,
             "all backups go to the disk that the originals are on: they help after a mistake, but not when the disk "
             "dies; add a drive or a NAS under destinations: soon");
}

/* --- the passphrase --- */

static int check_passphrase_place(const struct setup *s, struct err *err)
{
    for (size_t i = 0; i < s->choice.destination_count; i++)
        if (os_path_is_below(s->passphrase_file, s->choice.destinations[i].path))
            return err_set(err, ERR_USAGE,
                           "passphrase file '%s' lies in destination '%s': whoever finds the backups must not find the "
                           "key beside them; choose another --passphrase-file",
                           s->passphrase_file, s->choice.destinations[i].path);
    return 0;
}

static int judge_passphrase(struct setup *s, struct err *err)
{
    const struct secret file = {.kind = SECRET_FILE, .name = s->passphrase_file};
    char *text;
    if (secret_fetch(&file, &text, err) < 0)
        return err_wrap(err, "the passphrase");
    const char *weakness = setup_passphrase_weakness(text);
    if (weakness != NULL) {
        char *line = mem_printf("the passphrase in '%s' is weak: %s", s->passphrase_file, weakness);
        warn(s, line);
        free(line);
    }
    if (secret_file_exposed(s->passphrase_file)) {
        char *line = mem_printf("others can read passphrase file '%s'; run: chmod 600 '%s'", s->passphrase_file,
                                s->passphrase_file);
        warn(s, line);
        free(line);
    }
    mem_wipe_string(text);
    return 0;
}

static int type_passphrase(struct setup *s, struct err *err)
{
    char *text;
    if (cli_new_passphrase(s->cli, NULL, &text, err) < 0)
        return -1;
    char *dir = mem_strdup(s->passphrase_file), *slash = strrchr(dir, '/');
    *slash = '\0';
    int rc = os_make_dirs(*dir != '\0' ? dir : "/", 0700, err);
    if (rc == 0)
        rc = os_write_file_atomic(s->passphrase_file, text, strlen(text), 0600, err);
    mem_wipe_string(text);
    free(dir);
    return rc == 0 ? judge_passphrase(s, err) : rc;
}

static int choose_passphrase(struct setup *s, struct err *err)
{
    bool make = true;
    char *text;
    if (check_passphrase_place(s, err) < 0)
        return -1;
    if (access(s->passphrase_file, F_OK) == 0)
        return judge_passphrase(s, err);
    if (s->args->dry_run)
        return 0;
    if (s->ask && cli_ask_yes(s->cli, "Make a strong passphrase (no: type your own)?", true, &make, err) < 0)
        return -1;
    if (!make)
        return type_passphrase(s, err);
    if (cli_generate_passphrase(s->passphrase_file, &text, err) < 0)
        return -1;
    mem_wipe_string(text);
    s->made_passphrase = true;
    return 0;
}

/* --- the rest of the questions --- */

static bool any_remote(const struct discovery *d)
{
    for (size_t i = 0; i < d->repository_count; i++)
        if (d->repositories[i].remotes.count > 0)
            return true;
    return false;
}

static int choose_rest(struct setup *s, struct err *err)
{
    if (s->ask && s->choice.push && any_remote(&s->found) &&
        cli_ask_yes(s->cli, "Push the git repositories to their remotes with each run, too?", true, &s->choice.push,
                    err) < 0)
        return -1;
    bool files = s->found.home.roots.count + s->found.extra.count > 0;
    return s->ask && s->choice.archive && files
               ? cli_ask_yes(s->cli, "Make a full archive file each week, which gpg and tar alone can open?", true,
                             &s->choice.archive, err)
               : 0;
}

/* --- writing --- */

/* The configuration is read back by the very parser that `run` uses, before anybody relies on it. */
static int check_text(struct setup *s, const struct buf *text, struct err *err)
{
    struct config_report report = {0};
    struct plan *plan = NULL;
    int rc = config_parse((const char *)text->data, text->len, s->output, &plan, &report, err);
    for (size_t i = 0; rc == 0 && i < report.count; i++)
        warn(s, report.items[i].message);
    if (rc < 0)
        err_wrap(err, "the configuration made is not valid; this is a mistake in clawback, please report it");
    plan_free(plan);
    config_report_release(&report);
    return rc;
}

static int write_text(struct setup *s, const struct buf *text, struct err *err)
{
    char *dir = mem_strdup(s->output), *slash = strrchr(dir, '/');
    *(slash == dir ? slash + 1 : slash) = '\0';
    int rc = os_make_dirs(dir, 0700, err);
    if (rc == 0)
        rc = os_write_file_atomic(s->output, text->data, text->len, 0600, err);
    free(dir);
    return rc < 0 ? err_wrap(err, "cannot write the configuration") : 0;
}

static json_t *string_list(const struct strlist *l)
{
    json_t *out = json_array();
    for (size_t i = 0; i < l->count; i++)
        json_array_append_new(out, cli_json_string(l->items[i], strlen(l->items[i])));
    return out;
}

static void report_json(struct setup *s, const struct buf *text)
{
    json_t *destinations = json_array();
    for (size_t i = 0; i < s->choice.destination_count; i++) {
        const struct setup_destination *d = &s->choice.destinations[i];
        json_array_append_new(destinations,
                              json_pack("{s:o, s:o, s:b, s:b}", "name", cli_json_string(d->name, strlen(d->name)),
                                        "path", cli_json_string(d->path, strlen(d->path)), "same_disk", d->same_disk,
                                        "require_mount", d->require_mount));
    }
    cli_json(s->cli,
             json_pack("{s:s, s:o, s:b, s:o, s:b, s:o, s:o, s:o}", "message_type", "setup", "config",
                       cli_json_string(s->output, strlen(s->output)), "written", !s->args->dry_run, "passphrase_file",
                       cli_json_string(s->passphrase_file, strlen(s->passphrase_file)), "passphrase_made",
                       s->made_passphrase, "destinations", destinations, "warnings", string_list(&s->warnings), "text",
                       cli_json_string((const char *)text->data, text->len)));
}

static void say_what_next(struct setup *s, const char *flag)
{
    static const char *const NEXT[][2] = {
        {"doctor", "is everything ready?"},
        {"plan", "what each tier takes, and what it leaves out"},
        {"run --all", "the first backup"},
        {"schedule install", "let it run by itself from now on"},
        {"alerts test", "are you told when it fails? (add a channel first)"},
        {"recovery-kit", "the page to print and keep with the passphrase"},
    };
    cli_print(s->cli, "\nWhat to type next:");
    for (size_t i = 0; i < sizeof NEXT / sizeof *NEXT; i++) {
        char *command = mem_printf("%s%s", NEXT[i][0], flag);
        cli_print(s->cli, "  clawback %-*s  %s", (int)(strlen("schedule install") + strlen(flag)), command, NEXT[i][1]);
        free(command);
    }
}

static void report_text(struct setup *s)
{
    char *usual = config_default_path();
    const char *flag = strcmp(usual, s->output) == 0 ? "" : " --config FILE";
    cli_print(s->cli, "wrote %s", s->output);
    cli_print(s->cli, "%s %s", s->made_passphrase ? "made the passphrase" : "the passphrase is", s->passphrase_file);
    cli_print(s->cli, "\nKeep a copy of the passphrase off this machine, in a password manager or on\n"
                      "paper: without it nobody can read the backups.");
    say_what_next(s, flag);
    free(usual);
}

static int write_and_report(struct setup *s, struct err *err)
{
    struct buf text;
    buf_init(&text, YAML_MAX_BYTES);
    char *user_home = os_path_expand_home("~");
    bool write = true;
    setup_telegram_find(&s->found.home.roots, &s->choice.telegram);
    setup_render(&s->found, &s->choice, user_home, &text);
    int rc =
        text.overflow ? err_set(err, ERR_FAILED, "the configuration would be too large") : check_text(s, &text, err);
    if (rc == 0 && s->ask && !s->args->dry_run) {
        char *question = mem_printf("Write %s?", s->output);
        rc = cli_ask_yes(s->cli, question, true, &write, err);
        free(question);
    }
    if (rc == 0 && !write)
        rc = err_set(err, ERR_INTERRUPTED, "nothing was written");
    if (rc == 0 && !s->args->dry_run)
        rc = write_text(s, &text, err);
    if (rc == 0 && s->cli->json)
        report_json(s, &text);
    else if (rc == 0 && s->args->dry_run)
        fputs(buf_cstr(&text), stdout);
    else if (rc == 0)
        report_text(s);
    free(user_home);
    buf_release(&text);
    return rc;
}

static int prepare(struct setup *s, struct err *err)
{
    s->output = s->args->output != NULL ? os_path_absolute(s->args->output) : config_default_path();
    const char *given = s->cli->passphrase_file;
    if ((given != NULL && strcmp(given, "-") == 0) || s->cli->passphrase_command != NULL)
        return err_set(err, ERR_USAGE, "setup needs the passphrase in a file of its own: --passphrase-file FILE");
    char *file = given != NULL ? os_path_expand_home(given) : cli_default_passphrase_file();
    s->passphrase_file = os_path_absolute(file);
    free(file);
    if (s->output == NULL || s->passphrase_file == NULL)
        return err_errno(err, errno, "cannot find the working directory");
    if (!s->args->dry_run && !s->args->force && access(s->output, F_OK) == 0)
        return err_set(err, ERR_EXISTS,
                       "there is a configuration at '%s' already; --force replaces it, --dry-run shows what would be "
                       "written",
                       s->output);
    return 0;
}

static int look_around(struct setup *s, struct err *err)
{
    struct strlist paths = {0};
    for (size_t i = 0; i < s->args->paths.count; i++) {
        char *path = os_path_absolute(s->args->paths.items[i]);
        if (path != NULL)
            strlist_add(&paths, path);
        free(path);
    }
    const struct discover_options options = {.home = s->args->home, .paths = &paths, .servers = true};
    int rc = discover(&options, &s->found, err);
    strlist_release(&paths);
    if (rc < 0)
        return -1;
    show_found(s);
    if (!setup_has_sources(&s->found))
        return err_set(
            err, ERR_NOT_FOUND,
            "nothing to back up was found (OPENCLAW_STATE_DIR, ~/.openclaw and its older names); name it with "
            "--home DIR or --path PATH");
    return 0;
}

static int setup(struct setup *s, struct err *err)
{
    s->ask = !s->args->yes && !s->args->dry_run && cli_can_ask(s->cli);
    s->choice.push = !s->args->no_push;
    s->choice.archive = !s->args->no_archive;
    if (prepare(s, err) < 0 || look_around(s, err) < 0 || choose_destinations(s, err) < 0)
        return -1;
    warn_same_disk(s);
    if (choose_rest(s, err) < 0 || choose_passphrase(s, err) < 0)
        return -1;
    s->choice.passphrase_file = s->passphrase_file;
    return write_and_report(s, err);
}

static int run_setup(struct cli *cli, void *options, int argc, char **argv)
{
    struct setup s = {.cli = cli, .args = options};
    struct err err = {0};
    int rc = argc > 0 ? err_set(&err, ERR_USAGE, "setup takes no argument '%s'", argv[0]) : setup(&s, &err);
    int status = rc < 0 ? cli_fail(cli, &err) : 0;
    setup_choice_release(&s.choice);
    discovery_release(&s.found);
    strlist_release(&s.warnings);
    free(s.output);
    free(s.passphrase_file);
    return status;
}

static const struct command_example EXAMPLES[] = {
    {"clawback setup", "look around, ask a few questions, write the configuration"},
    {"clawback setup --yes --destination /mnt/backups", "the same without questions"},
    {"clawback setup --dry-run", "only show what would be written"},
    {NULL, NULL},
};

const struct command cmd_setup = {
    .name = "setup",
    .arguments = "",
    .summary = "Look around and write a configuration that works",
    .description =
        "Looks for the agent's home and its workspaces, git repositories, PostgreSQL and Redis (on this machine "
        "and in containers), SQLite databases, and drives to keep backups on; then writes a commented "
        "clawback.yaml, and a strong passphrase into a file of its own that only you can read. On a terminal "
        "it asks a few questions; elsewhere the options say everything. Nothing that is there is changed.\n\n"
        "With --passphrase-file the passphrase in that file is used; where there is no such file, a strong one is "
        "made and written into it.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct setup_args),
    .examples = EXAMPLES,
    .group = "Plan",
    .run = run_setup,
};
