/* The user's own crontab, through crontab(1). */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/shell.h"
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
        shell_append_word(out, equals + 1);
        buf_append_str(out, behind);
    }
}

static void append_words(const struct installed_trigger *t, struct buf *out)
{
    for (size_t i = 0; i < t->argv.count; i++) {
        shell_append_word(out, t->argv.items[i]);
        buf_append_byte(out, ' ');
    }
    /* What went wrong is in the records and the log; cron would mail it to an account that nobody reads. */
    buf_append_str(out, ">/dev/null 2>&1");
}

/* by_file: the variables come from a file. */
static char *command_text(const struct install *in, const struct installed_trigger *t, bool by_file)
{
    struct buf out;
    buf_init(&out, CRONTAB_MAX_BYTES);
    if (by_file) {
        char *path = environment_path(in);
        buf_append_str(&out, ". ");
        shell_append_word(&out, path);
        buf_append_str(&out, "; ");
        free(path);
    } else {
        append_environment(in, "", " ", &out);
    }
    append_words(t, &out);
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

/* The text between our markers; the caller frees it. NULL: there is none, or it cannot be told. */
static char *block_there(struct err *err)
{
    struct buf text;
    bool found = false;
    size_t begin = 0, end = 0;
    char *block = NULL;
    buf_init(&text, CRONTAB_MAX_BYTES);
    if (read_crontab(&text, err) == 0 && crontab_find(buf_cstr(&text), text.len, &found, &begin, &end, err) == 0 &&
        found)
        block = mem_strndup((const char *)text.data + begin, end - begin);
    buf_release(&text);
    return block;
}

static int put_cron(struct install *in, const struct installed_item *before, struct installed_item *item,
                    struct err *err)
{
    char *why = NULL, *block = block_text(in, item, item->enabled), *there = block_there(NULL);
    (void)before;
    int rc = there != NULL ? install_check_owner(in, "this user's crontab", there, err) : 0;
    free(there);
    if (rc == 0)
        rc = put_environment(in, item, err);
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
static int64_t next_start(const struct schedule *s, const struct crontab_times *times, int64_t now_ms)
{
    struct schedule line = {.kind = SCHEDULE_CRON};
    int64_t next_ms = 0;
    line.zone = times->zone != NULL ? s->zone : NULL;
    if (cron_parse(times->fields, &line.cron, NULL) < 0 || !schedule_next(&line, now_ms, 0, &next_ms))
        next_ms = 0;
    return next_ms;
}

/* How a trigger's line ends. What is before that depends on the environment of whoever installed it. */
static char *end_of_line(const struct installed_trigger *t)
{
    struct buf words, line;
    buf_init(&words, CRONTAB_MAX_BYTES);
    buf_init(&line, CRONTAB_MAX_BYTES);
    append_words(t, &words);
    crontab_line(&line, "", buf_cstr(&words), false);
    char *text = mem_strndup((const char *)line.data, line.len - 1); /* without the line's end */
    buf_release(&words);
    buf_release(&line);
    return text;
}

static bool is_line_of(const char *line, size_t len, const char *fields, const char *end)
{
    size_t begins = strlen(fields), ends = strlen(end);
    return len > begins + ends && memcmp(line, fields, begins) == 0 && line[begins] == ' ' &&
           memcmp(line + len - ends, end, ends) == 0;
}

/* Is its line there, as it was written? Somebody may have commented it out, or an editor damaged it. */
static void look_line(const char *block, const char *fields, struct install_trigger_state *s)
{
    static const char OFF[] = "#off ";
    char *end = end_of_line(s->trigger);
    for (const char *line = block; *line != '\0' && !s->there; line += strcspn(line, "\n"), line += *line == '\n') {
        bool off = strncmp(line, OFF, sizeof OFF - 1) == 0;
        const char *text = off ? line + sizeof OFF - 1 : line;
        s->there = is_line_of(text, strcspn(text, "\n"), fields, end);
        s->enabled = s->there && !off;
    }
    free(end);
}

static void look_cron(struct install *in, int64_t now_ms, struct install_state *state)
{
    struct err err = {0};
    char *block = block_there(&err);
    bool zones = knows_zones();
    (void)in;
    if (block == NULL)
        state->problem = mem_strdup(err.code != ERR_NONE ? err.message : "its lines are gone from the crontab");
    for (size_t i = 0; block != NULL && i < state->trigger_count; i++) {
        struct install_trigger_state *s = &state->triggers[i];
        struct crontab_times times;
        crontab_from_schedule(&s->trigger->schedule, i, zones, &times);
        look_line(block, times.fields, s);
        if (s->enabled)
            s->next_ms = next_start(&s->trigger->schedule, &times, now_ms);
        free(times.fields);
        if (!s->there && state->problem == NULL)
            state->problem =
                mem_printf("the line of '%s' in the crontab is gone or was changed: run 'clawback schedule "
                           "install' again",
                           s->trigger->id);
    }
    state->alive = state->problem == NULL && installed_cron_lives(&state->problem);
    free(block);
}

/* Nobody can ask a cron daemon to start something now: install_run_now() says so to its caller. */
const struct install_kind INSTALL_CRON = {.via = VIA_CRON,
                                          .ready = is_ready,
                                          .put = put_cron,
                                          .remove = remove_cron,
                                          .enable = enable_cron,
                                          .run_now = NULL,
                                          .look = look_cron};
