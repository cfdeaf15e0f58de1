/* The user's own crontab, through crontab(1). */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/install.h"
#include "daemon/install_calendar.h"
#include "daemon/install_crontab.h"
#include "os/file.h"
#include "os/process.h"
#include "plan/schedule.h"

/* cron takes commands of 1000 bytes, of which escaping may double some. */
enum { CRONTAB_MAX_BYTES = 4 << 20, TIMEOUT_MS = 20 * 1000, COMMAND_MAX_BYTES = 800 };

/* As TZ in the C library; an empty one would be UTC. */
static const char LOCAL_ZONE[] = ":/etc/localtime";

static int crontab(const char *argument, int stdin_fd, struct buf *out, struct err *err)
{
    char program[] = "crontab", word[16], *argv[] = {program, word, NULL};
    snprintf(word, sizeof word, "%s", argument);
    static const char *const ENVIRONMENT[] = {"LC_ALL=C", NULL};
    const struct process_options options = {.argv = argv,
                                            .environment = ENVIRONMENT,
                                            .with_stdin = stdin_fd >= 0,
                                            .stdin_fd = stdin_fd,
                                            .timeout_ms = TIMEOUT_MS};
    return process_run(&options, out, err);
}

/* A user without a crontab has an empty one. */
static int read_crontab(struct buf *out, struct err *err)
{
    struct err why = {0};
    if (crontab("-l", -1, out, &why) == 0)
        return out->overflow ? err_set(err, ERR_FAILED, "the crontab is larger than 4 MiB") : 0;
    if (strstr(why.message, "no crontab for") != NULL || strstr(why.message, "can't open '") != NULL) {
        buf_clear(out);
        return 0;
    }
    if (err != NULL)
        *err = why;
    return err_wrap(err, "cannot read the crontab");
}

/* Through a file in memory: crontab(1) then reads it whole or not at all. */
static int write_crontab(const struct buf *text, struct err *err)
{
    int fd = memfd_create("crontab", MFD_CLOEXEC), rc = -1;
    if (fd < 0 || os_write_full(fd, text->data, text->len) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        err_set(err, ERR_FAILED, "no memory for the crontab");
    else
        rc = crontab("-", fd, NULL, err);
    if (fd >= 0)
        close(fd);
    return rc < 0 ? err_wrap(err, "cannot write the crontab") : 0;
}

/* Only cronie knows CRON_TZ, and says its name when it is asked for its version. */
static bool knows_zones(void)
{
    struct buf out;
    buf_init(&out, CRONTAB_MAX_BYTES);
    bool yes = crontab("-V", -1, &out, NULL) == 0 && strstr(buf_cstr(&out), "cronie") != NULL;
    buf_release(&out);
    return yes;
}

static bool is_ready(struct install *in, const char **why_not)
{
    struct buf out;
    struct err err = {0};
    char *why = NULL;
    (void)in;
    buf_init(&out, CRONTAB_MAX_BYTES);
    bool ok = read_crontab(&out, &err) == 0;
    buf_release(&out);
    if (!ok)
        *why_not = "there is no crontab command, or it cannot be used";
    else if (!(ok = installed_cron_lives(&why)))
        *why_not = "no cron daemon is running";
    free(why);
    return ok;
}

static char *environment_path(const struct install *in)
{
    return os_path_join(in->state_dir, "schedule-cron.sh");
}

/* NAME='value' of each, with `before` and `behind` around it. */
static void append_environment(const struct install *in, const char *before, const char *behind, struct buf *out)
{
    for (size_t i = 0; i < in->environment.count; i++) {
        const char *text = in->environment.items[i], *equals = strchr(text, '=');
        buf_append_str(out, before);
        buf_append(out, text, (size_t)(equals + 1 - text));
        install_shell_word(out, equals + 1);
        buf_append_str(out, behind);
    }
}

/* by_file: the variables come from a file. */
static char *command_text(const struct install *in, const struct installed_trigger *t, bool by_file)
{
    struct buf out;
    buf_init(&out, CRONTAB_MAX_BYTES);
    if (by_file) {
        char *path = environment_path(in);
        buf_append_str(&out, ". ");
        install_shell_word(&out, path);
        buf_append_str(&out, "; ");
        free(path);
    } else {
        append_environment(in, "", " ", &out);
    }
    for (size_t i = 0; i < t->argv.count; i++) {
        install_shell_word(&out, t->argv.items[i]);
        buf_append_byte(&out, ' ');
    }
    /* What went wrong is in the records and the log; cron would mail it to an account that nobody reads. */
    buf_append_str(&out, ">/dev/null 2>&1");
    char *text = mem_strdup(buf_cstr(&out));
    buf_release(&out);
    return text;
}

/* A long PATH would make a line longer than cron takes. */
static bool needs_file(const struct install *in, const struct installed_item *item)
{
    bool needs = false;
    for (size_t i = 0; i < item->trigger_count; i++) {
        char *command = command_text(in, &item->triggers[i], false);
        needs = needs || strlen(command) > COMMAND_MAX_BYTES;
        free(command);
    }
    return needs;
}

static int put_environment(struct install *in, const struct installed_item *item, struct err *err)
{
    struct buf text;
    buf_init(&text, CRONTAB_MAX_BYTES);
    buf_append_str(&text, "# Written by 'clawback schedule install', for the lines in the crontab.\n");
    append_environment(in, "export ", "\n", &text);
    char *path = environment_path(in);
    int rc = needs_file(in, item) ? install_write_file(in, path, buf_cstr(&text), 0600, NULL, err)
                                  : install_remove_file(in, path, NULL, err);
    free(path);
    buf_release(&text);
    return rc;
}

static void tell_times(struct install *in, const struct installed_trigger *t, const struct crontab_times *times)
{
    if (!times->finer)
        return;
    char *wanted = installed_schedule_text(&t->schedule);
    install_tell(in, INSTALL_NOTE,
                 "'%s' (%s) is more than a crontab can say here: it looks at '%s', and 'clawback run' decides what is "
                 "due",
                 t->id, wanted, times->fields);
    free(wanted);
}

static char *block_text(struct install *in, const struct installed_item *item, bool enabled)
{
    struct buf out;
    buf_init(&out, CRONTAB_MAX_BYTES);
    bool zones = knows_zones(), zone_set = false, by_file = needs_file(in, item);
    for (size_t i = 0; i < item->trigger_count; i++) {
        const struct installed_trigger *t = &item->triggers[i];
        struct crontab_times times;
        crontab_from_schedule(&t->schedule, i, zones, &times);
        tell_times(in, t, &times);
        if (times.zone != NULL || zone_set)
            buf_printf(&out, "CRON_TZ=%s\n", times.zone != NULL ? times.zone : LOCAL_ZONE);
        zone_set = times.zone != NULL;
        char *command = command_text(in, t, by_file);
        crontab_line(&out, times.fields, command, !enabled);
        free(command);
        free(times.fields);
    }
    /* For the lines behind ours. */
    if (zone_set)
        buf_printf(&out, "CRON_TZ=%s\n", LOCAL_ZONE);
    char *text = mem_strdup(buf_cstr(&out));
    buf_release(&out);
    return text;
}

static int replace_block(struct install *in, const char *block, struct err *err)
{
    struct buf old, new;
    buf_init(&old, CRONTAB_MAX_BYTES);
    buf_init(&new, CRONTAB_MAX_BYTES);
    int rc = read_crontab(&old, err);
    if (rc == 0)
        rc = crontab_replace(buf_cstr(&old), old.len, block, &new, err);
    if (rc == 0 && old.len == new.len && memcmp(buf_cstr(&old), buf_cstr(&new), old.len) == 0) {
        install_tell(in, INSTALL_SAME, "the crontab is as it should be");
    } else if (rc == 0) {
        install_tell(in, INSTALL_STEP, "%s our lines %s the crontab", *block != '\0' ? "write" : "remove",
                     *block != '\0' ? "into" : "from");
        if (in->dry_run && *block != '\0')
            install_tell(in, INSTALL_TEXT, "%s", block);
        if (!in->dry_run)
            rc = write_crontab(&new, err);
    }
    buf_release(&old);
    buf_release(&new);
    return rc;
}

static int put_cron(struct install *in, const struct installed_item *before, struct installed_item *item,
                    struct err *err)
{
    char *why = NULL, *block = block_text(in, item, item->enabled);
    (void)before;
    int rc = put_environment(in, item, err);
    if (rc == 0)
        rc = replace_block(in, block, err);
    if (rc == 0 && !installed_cron_lives(&why))
        install_tell(in, INSTALL_WARNING, "%s: nothing will come of these lines until one does", why);
    item->detail = mem_strdup("this user's crontab");
    free(block);
    free(why);
    return rc;
}

static int remove_cron(struct install *in, struct installed_item *item, struct err *err)
{
    (void)item;
    char *path = environment_path(in);
    int rc = replace_block(in, "", err);
    if (rc == 0)
        rc = install_remove_file(in, path, NULL, err);
    free(path);
    return rc;
}

static int enable_cron(struct install *in, struct installed_item *item, bool on, struct err *err)
{
    char *block = block_text(in, item, on);
    int rc = replace_block(in, block, err);
    free(block);
    return rc;
}

/* cron tells nobody when it will start something: by what its line says, then. */
static int64_t next_start(const struct schedule *s, size_t index, int64_t now_ms)
{
    struct crontab_times times;
    crontab_from_schedule(s, index, knows_zones(), &times);
    struct schedule line = {.kind = SCHEDULE_CRON};
    int64_t next_ms = 0;
    line.zone = times.zone != NULL ? s->zone : NULL;
    if (cron_parse(times.fields, &line.cron, NULL) < 0 || !schedule_next(&line, now_ms, 0, &next_ms))
        next_ms = 0;
    free(times.fields);
    return next_ms;
}

static void look_cron(struct install *in, int64_t now_ms, struct install_state *state)
{
    struct buf text;
    struct err err = {0};
    bool found = false;
    size_t begin = 0, end = 0;
    (void)in;
    buf_init(&text, CRONTAB_MAX_BYTES);
    if (read_crontab(&text, &err) < 0 || crontab_find(buf_cstr(&text), text.len, &found, &begin, &end, &err) < 0)
        state->problem = mem_strdup(err.message);
    else if (!found)
        state->problem = mem_strdup("its lines are gone from the crontab");
    bool off = found && memmem(text.data + begin, end - begin, "\n#off ", 6) != NULL;
    for (size_t i = 0; i < state->trigger_count; i++) {
        struct install_trigger_state *s = &state->triggers[i];
        s->there = found;
        s->enabled = found && !off;
        if (s->enabled)
            s->next_ms = next_start(&s->trigger->schedule, i, now_ms);
    }
    state->alive = state->problem == NULL && installed_cron_lives(&state->problem);
    buf_release(&text);
}

/* Nobody can ask a cron daemon to start something now: install_run_now() says so to its caller. */
const struct install_kind INSTALL_CRON = {.via = VIA_CRON,
                                          .ready = is_ready,
                                          .put = put_cron,
                                          .remove = remove_cron,
                                          .enable = enable_cron,
                                          .run_now = NULL,
                                          .look = look_cron};
