#include "run/doctor.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "run/bounded.h"
#include "run/doctor_checks.h"

enum { LINE_MAX_BYTES = 2048 };

const struct doctor_check DOCTOR_CHECKS[] = {
    {"home", doctor_home, 20},
    {"destinations", doctor_destinations, 30},
    {"repositories", doctor_repositories, 180},
    {"space", doctor_space, 120},
    {"git", doctor_git, 120},
    {"databases", doctor_databases, 60},
    {"passphrase", doctor_passphrase, 90},
    {"gpg", doctor_gpg, 30},
    {"sensitive files", doctor_sensitive, 120},
    {"editor", doctor_editor, 10},
    {"scheduler", doctor_scheduler, 20},
    {"alerts", doctor_alerts, 90},
    {"history", doctor_history, 10},
    {"clock", doctor_clock, 10},
    {NULL, NULL, 0},
};

const char *doctor_level_name(enum doctor_level level)
{
    static const char *const NAMES[] = {[DOCTOR_GREEN] = "green", [DOCTOR_YELLOW] = "yellow", [DOCTOR_RED] = "red"};
    return NAMES[level];
}

void doctor_say(struct doctor *d, enum doctor_level level, const char *advice, const char *found, ...)
{
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, found);
    vsnprintf(text, sizeof text, found, args);
    va_end(args);
    buf_append_byte(d->out, (unsigned char)level);
    buf_append(d->out, text, strlen(text) + 1);
    const char *what = advice != NULL && level != DOCTOR_GREEN ? advice : "";
    buf_append(d->out, what, strlen(what) + 1);
}

void doctor_report_add(struct doctor_report *r, const char *check, enum doctor_level level, const char *found,
                       const char *advice)
{
    size_t *const counts[] = {&r->green, &r->yellow, &r->red};
    r->lines = mem_array(r->lines, r->count + 1, sizeof *r->lines);
    r->lines[r->count++] =
        (struct doctor_line){.check = check,
                             .level = level,
                             .found = mem_strdup(found),
                             .advice = advice != NULL && *advice != '\0' ? mem_strdup(advice) : NULL};
    if (level > r->worst)
        r->worst = level;
    (*counts[level])++;
}

void doctor_report_release(struct doctor_report *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->lines[i].found);
        free(r->lines[i].advice);
    }
    free(r->lines);
    *r = (struct doctor_report){0};
}

/* --- running them --- */

struct running {
    const struct doctor_check *check;
    const struct doctor_options *options;
    struct bounded *process; /* NULL: it could not be started, or was waited for */
};

static void work(void *ctx, struct buf *out)
{
    const struct running *r = ctx;
    struct doctor d = {.options = r->options, .plan = r->options->plan, .out = out};
    r->check->run(&d);
}

static void take_lines(const struct doctor_check *check, const struct buf *bytes, struct doctor_report *report)
{
    const char *p = (const char *)bytes->data, *end = p + bytes->len;
    while (p < end) {
        enum doctor_level level = (enum doctor_level) * p++;
        const char *found = p, *advice = found + strlen(found) + 1;
        doctor_report_add(report, check->name, level, found, advice);
        p = advice + strlen(advice) + 1;
    }
}

static void take_failure(const struct doctor_check *check, const struct err *why, struct doctor_report *report)
{
    char *found = why->code == ERR_TIMEOUT ? mem_printf("no answer within %u seconds", check->timeout_s)
                                           : mem_printf("could not be checked: %s", why->message);
    doctor_report_add(report, check->name, DOCTOR_RED, found,
                      "see whether something it needs hangs: a network drive, a server, a disk");
    free(found);
}

/* Waits for one and takes what it said. -1: interrupted. */
static int finish(struct running *r, struct doctor_report *report, struct err *err)
{
    struct buf bytes;
    struct err why = {0};
    buf_init(&bytes, BOUNDED_OUTPUT_MAX_BYTES);
    int rc = bounded_finish(r->process, &bytes, &why);
    r->process = NULL;
    if (rc == 0)
        take_lines(r->check, &bytes, report);
    buf_release(&bytes);
    if (rc == 0)
        return 0;
    if (why.code == ERR_INTERRUPTED) {
        *err = why;
        return -1;
    }
    take_failure(r->check, &why, report);
    return 0;
}

static int start(struct running *r, struct doctor_report *report)
{
    struct err why = {0};
    if (bounded_start(&r->process, work, r, (uint64_t)r->check->timeout_s * 1000, &why) == 0)
        return 0;
    r->process = NULL;
    take_failure(r->check, &why, report);
    return -1;
}

int doctor_run(const struct doctor_options *options, doctor_show *show, void *ctx, struct doctor_report *out,
               struct err *err)
{
    struct running running[sizeof DOCTOR_CHECKS / sizeof *DOCTOR_CHECKS] = {0};
    size_t count = 0, shown = out->count;
    int rc = 0;
    for (const struct doctor_check *c = DOCTOR_CHECKS; c->name != NULL; c++) {
        running[count] = (struct running){.check = c, .options = options};
        if (start(&running[count], out) == 0)
            count++;
    }
    for (size_t i = 0; i < count; i++) {
        /* Once interrupted, the others are stopped as well: each is waited for, and none for long. */
        if (finish(&running[i], out, err) < 0)
            rc = -1;
        for (; show != NULL && rc == 0 && shown < out->count; shown++)
            show(ctx, &out->lines[shown]);
    }
    return rc;
}
