/* The page to print. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/plan_access.h"
#include "monitor/record.h"
#include "os/file.h"
#include "run/recovery_kit.h"
#include "source/virtual.h"

enum { PAGE_MAX_BYTES = 8 << 20 };
enum kit_format { FORMAT_BOTH, FORMAT_TEXT, FORMAT_HTML };
static const char *const FORMATS[] = {"both", "text", "html", NULL};

struct kit_args {
    const char *config, *output;
    int format;
    bool format_given, with_passphrase;
};

static const struct option OPTIONS[] = {
    {.name = "output",
     .short_name = 'o',
     .kind = OPTION_STRING,
     .offset = offsetof(struct kit_args, output),
     .metavar = "DIR",
     .help = "write the page into this directory; '-' prints it (the default: here)"},
    {.name = "format",
     .kind = OPTION_CHOICE,
     .offset = offsetof(struct kit_args, format),
     .choices = FORMATS,
     .metavar = "FORMAT",
     .set_offset = offsetof(struct kit_args, format_given),
     .help = "text, html or both (the default; text with '--output -')"},
    {.name = "with-passphrase",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct kit_args, with_passphrase),
     .help = "put the passphrase itself on the page, and those that destinations have of their own: keep it like cash"},
    {.name = "config",
     .short_name = 'c',
     .kind = OPTION_STRING,
     .offset = offsetof(struct kit_args, config),
     .metavar = "FILE",
     .help = "the plan (default: CLAWBACK_CONFIG, else clawback/clawback.yaml in the configuration directory)"},
    OPTION_END,
};

static void wipe_and_release(struct buf *b)
{
    if (b->data != NULL)
        mem_wipe(b->data, b->cap);
    buf_release(b);
}

/* Rendered once into memory of its own, which is wiped: the page may hold the passphrase. */
static int render(const struct kit *kit, enum kit_format format, struct buf *page, struct err *err)
{
    buf_init(page, PAGE_MAX_BYTES);
    buf_reserve(page, PAGE_MAX_BYTES / 8);
    if (format == FORMAT_HTML)
        recovery_kit_html(kit, page);
    else
        recovery_kit_text(kit, page);
    return page->overflow ? err_set(err, ERR_FAILED, "the page would be too large") : 0;
}

static int write_page(struct cli *cli, const struct kit *kit, const char *dir, enum kit_format format,
                      struct strlist *files, struct err *err)
{
    struct buf page;
    char *host = virtual_name(kit->host);
    char *name = mem_printf("recovery-kit-%s.%s", host, format == FORMAT_HTML ? "html" : "txt");
    char *path = os_path_join(dir, name);
    (void)cli;
    int rc = render(kit, format, &page, err);
    if (rc == 0)
        rc = os_write_file_atomic(path, page.data, page.len, 0600, err);
    if (rc == 0)
        strlist_add(files, path);
    wipe_and_release(&page);
    free(host);
    free(name);
    free(path);
    return rc < 0 ? err_wrap(err, "cannot write the recovery kit") : 0;
}

static int print_page(const struct kit *kit, enum kit_format format, struct err *err)
{
    struct buf page;
    int rc = render(kit, format, &page, err);
    if (rc == 0 && os_write_full(STDOUT_FILENO, page.data, page.len) < 0)
        rc = err_errno(err, errno, "cannot write to standard output");
    wipe_and_release(&page);
    return rc;
}

static void report(struct cli *cli, const struct kit *kit, const struct strlist *files)
{
    if (cli->json) {
        json_t *list = json_array();
        for (size_t i = 0; i < files->count; i++)
            json_array_append_new(list, cli_json_string(files->items[i], strlen(files->items[i])));
        cli_json(cli, json_pack("{s:s, s:o, s:b, s:b}", "message_type", "recovery_kit", "files", list,
                                "with_passphrase", kit->with_passphrase, "from_repository", kit->from_repository));
        return;
    }
    for (size_t i = 0; i < files->count; i++)
        cli_print(cli, "wrote %s", files->items[i]);
    cli_print(cli, "%s",
              kit->with_passphrase ? "Print it, keep it like cash, and delete the file: it opens all backups."
                                   : "Print it, write the passphrase onto it, and keep it away from this machine.");
}

static void warn(struct cli *cli, const struct kit *kit)
{
    if (kit->with_passphrase)
        cli_warn(cli, "the page holds the passphrase: whoever has it and one of the drives can read everything");
    for (size_t i = 0; i < kit->destination_count; i++)
        if (kit->destinations[i].note != NULL)
            cli_warn(cli, "destination '%s': %s", kit->destinations[i].plan->name, kit->destinations[i].note);
}

static int put_out(struct cli *cli, const struct kit_args *args, const struct kit *kit, struct err *err)
{
    struct strlist files = {0};
    const char *dir = args->output != NULL ? args->output : ".";
    int rc = 0;
    if (strcmp(dir, "-") == 0) {
        if (args->format_given && args->format == FORMAT_BOTH)
            return err_set(err, ERR_USAGE, "only one form can be printed: --format text or --format html");
        return print_page(kit, args->format == FORMAT_HTML ? FORMAT_HTML : FORMAT_TEXT, err);
    }
    rc = os_make_dirs(dir, 0700, err);
    if (rc == 0 && args->format != FORMAT_HTML)
        rc = write_page(cli, kit, dir, FORMAT_TEXT, &files, err);
    if (rc == 0 && args->format != FORMAT_TEXT)
        rc = write_page(cli, kit, dir, FORMAT_HTML, &files, err);
    if (rc == 0)
        report(cli, kit, &files);
    strlist_release(&files);
    return rc;
}

static int run_recovery_kit(struct cli *cli, void *options, int argc, char **argv)
{
    const struct kit_args *args = options;
    struct plan *plan = NULL;
    struct kit kit = {0};
    struct err err = {0};
    char *state_dir = record_state_dir();
    int rc = argc > 0 ? err_set(&err, ERR_USAGE, "recovery-kit takes no argument '%s'", argv[0])
                      : cli_load_plan(cli, args->config, &plan, &err);
    if (rc == 0)
        rc = recovery_kit_make(plan, state_dir, "clawback " CLAWBACK_VERSION, args->with_passphrase, &kit, &err);
    if (rc == 0) {
        warn(cli, &kit);
        rc = put_out(cli, args, &kit, &err);
    }
    recovery_kit_release(&kit);
    plan_free(plan);
    free(state_dir);
    return rc < 0 ? cli_fail(cli, &err) : 0;
}

static const struct command_example EXAMPLES[] = {
    {"clawback recovery-kit", "writes the page here, as text and as HTML to print"},
    {"clawback recovery-kit --output - | lp", "prints the text at once"},
    {"clawback recovery-kit --with-passphrase -o /mnt/usb-in-the-safe", "with the passphrase on it"},
    {NULL, NULL},
};

const struct command cmd_recovery_kit = {
    .name = "recovery-kit",
    .arguments = "",
    .summary = "Make the page to print: how to get everything back without clawback",
    .description =
        "One page with what a stranger with stock tools needs: where the backups are and how to mount them, "
        "what to type with restic, gpg, tar, git, pg_restore and redis for exactly what is stored, and where "
        "the passphrase is. The passphrase itself is on it only with --with-passphrase; else there is a line "
        "to write it on. Make it again after the first backup, and whenever the configuration changes.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct kit_args),
    .examples = EXAMPLES,
    .group = "Plan",
    .run = run_recovery_kit,
};
