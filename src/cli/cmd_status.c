#include "base/buf.h"
#include "cli/commands.h"
#include "cli/plan_access.h"
#include "cli/screen.h"
#include "cli/status_view.h"
#include "monitor/record.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include <stdlib.h>
#include <unistd.h>

enum { WIDTH_MAX = 120, WATCH_DEFAULT_S = 5, WATCH_MAX_S = 24 * 60 * 60, SLICE_MS = 100 };

struct status_options {
    const char *config, *watch;
};

static const struct option OPTIONS[] = {
    {.name = "config",
     .short_name = 'c',
     .kind = OPTION_STRING,
     .offset = offsetof(struct status_options, config),
     .metavar = "FILE",
     .help = "the plan (default: CLAWBACK_CONFIG, else clawback/clawback.yaml "
             "in the configuration directory)"},
    {.name = "watch",
     .short_name = 'w',
     .kind = OPTION_OPTIONAL,
     .offset = offsetof(struct status_options, watch),
     .metavar = "SECONDS",
     .help = "look again every so many seconds (5), until q or Ctrl-C"},
    OPTION_END,
};

static int watch_seconds(const char *value, uint64_t *out, struct err *err)
{
    char *end;
    *out = WATCH_DEFAULT_S;
    if (*value == '\0')
        return 0;
    long n = strtol(value, &end, 10);
    if (*end != '\0' || n < 1 || n > WATCH_MAX_S)
        return err_set(err, ERR_USAGE, "--watch: '%s' is no number of seconds from 1 to %d", value, WATCH_MAX_S);
    *out = (uint64_t)n;
    return 0;
}

static void render(const struct cli *cli, const struct status *s, struct buf *out)
{
    unsigned columns = cli_columns(stdout);
    status_view_text(s, cli->color_out, columns < WIDTH_MAX ? columns : WIDTH_MAX, out);
}

static void print(struct cli *cli, const struct status *s, bool again)
{
    struct buf text;
    if (cli->json) {
        cli_json(cli, status_view_json(s));
        return;
    }
    buf_init(&text, STATUS_VIEW_MAX_BYTES);
    if (again)
        buf_append_byte(&text, '\n');
    render(cli, s, &text);
    text.len -= text.len > 0; /* its last line break */
    cli_print(cli, "%s", buf_cstr(&text));
    buf_release(&text);
}

static int once(struct cli *cli, const struct plan *p, const char *state_dir, bool again, struct err *err)
{
    struct status status;
    if (status_gather(p, state_dir, &status, err) != 0)
        return -1;
    print(cli, &status, again);
    status_release(&status);
    return 0;
}

/* Where there is no terminal: one after the other, until somebody ends it or
 * nobody reads it any more. */
static int watch_lines(struct cli *cli, const struct plan *p, const char *state_dir, uint64_t seconds, struct err *err)
{
    for (bool again = false;; again = true) {
        if (once(cli, p, state_dir, again, err) != 0)
            return -1;
        if (fflush(stdout) != 0)
            return err_set(err, ERR_IO, "cannot write to standard output");
        for (uint64_t waited = 0; waited < seconds * 1000; waited += SLICE_MS) {
            if (os_check_interrupt(err) != 0)
                return -1;
            os_sleep_ms(SLICE_MS);
        }
    }
}

static void draw(const struct cli *cli, const struct status *s, struct screen *screen)
{
    struct buf text;
    buf_init(&text, STATUS_VIEW_MAX_BYTES);
    render(cli, s, &text);
    screen_draw(screen, buf_cstr(&text));
    buf_release(&text);
}

static int watch_screen(struct cli *cli, const struct plan *p, const char *state_dir, uint64_t seconds, struct err *err)
{
    struct screen screen;
    int rc = 0;
    screen_begin(&screen);
    do {
        struct status status;
        rc = status_gather(p, state_dir, &status, err);
        if (rc == 0) {
            draw(cli, &status, &screen);
            status_release(&status);
        }
    } while (rc == 0 && screen_wait(&screen, seconds * 1000));
    screen_end(&screen);
    return rc == 0 ? os_check_interrupt(err) : rc;
}

static int run_status(struct cli *cli, void *options, int argc, char **argv)
{
    const struct status_options *o = options;
    struct err err = {0};
    struct plan *plan = NULL;
    uint64_t seconds = 0;
    int rc = argc > 0 ? err_set(&err, ERR_USAGE, "'status' takes no arguments, but '%s' was given%s", argv[0],
                                o->watch != NULL ? " (--watch=SECONDS)" : "")
                      : 0;
    if (rc == 0 && o->watch != NULL)
        rc = watch_seconds(o->watch, &seconds, &err);
    if (rc == 0)
        rc = cli_load_plan_to_run(cli, o->config, &plan, &err);
    if (rc != 0)
        return cli_fail(cli, &err);
    char *state_dir = record_state_dir();
    if (o->watch == NULL)
        rc = once(cli, plan, state_dir, false, &err);
    else if (cli->json || !isatty(STDOUT_FILENO))
        rc = watch_lines(cli, plan, state_dir, seconds, &err);
    else
        rc = watch_screen(cli, plan, state_dir, seconds, &err);
    free(state_dir);
    plan_free(plan);
    if (o->watch != NULL && err.code == ERR_INTERRUPTED)
        rc = 0; /* that is how watching ends: nothing to complain of */
    return rc == 0 ? 0 : cli_fail(cli, &err);
}

static const struct command_example EXAMPLES[] = {
    {"clawback status", "each tier, each destination, what is the matter"},
    {"clawback status --watch", "the same on the whole terminal, looked at "
                                "again every five seconds; q ends it"},
    {"clawback status --json", "for programs"},
    {NULL, NULL},
};

const struct command cmd_status = {
    .name = "status",
    .arguments = "",
    .summary = "Show how the backups stand: runs, sizes, destinations, problems",
    .description = "One screen, from the plan and the run records: each tier's last run "
                   "and when it is due next, the sizes of its "
                   "last runs, how full the destinations are and when they will be (a "
                   "straight line through what was used after "
                   "each run, with the range that it is in four times out of five), what "
                   "starts the next run and whether it "
                   "lives, the last restore that was proven, and every problem with the "
                   "command to type: what is found now, and "
                   "the open alerts of things that only 'clawback health' looks at "
                   "(databases, clocks). Nothing is opened and "
                   "nothing is changed. The exit status is 0 whatever is shown.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct status_options),
    .examples = EXAMPLES,
    .group = "Looking",
    .run = run_status,
};
