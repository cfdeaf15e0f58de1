/*
 * The run log, cron/runs/JOB.jsonl below the state directory, is a file that is only ever appended to, by one write() a
 * line; the gateway reads it when it is asked. The job itself lives in the gateway's memory, where a change of its file
 * would be lost: its state goes there through the gateway.
 */
#include "run/openclaw_mirror.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"
#include "run/installed.h"
#include "run/openclaw_command.h"

enum { SUMMARY_MAX_BYTES = 500 };

static json_t *text_json(const char *text)
{
    size_t len = strlen(text), cut = len < SUMMARY_MAX_BYTES ? len : SUMMARY_MAX_BYTES;
    /* Not in the middle of a character. */
    while (cut < len && cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80)
        cut--;
    json_t *j = json_stringn(text, cut);
    return j != NULL ? j : json_string("(no text)");
}

static char *log_line(const char *job, const struct mirrored_run *run)
{
    bool ok = run->exit_code == 0;
    const char *summary = run->summary != NULL ? run->summary : "";
    json_int_t ended_ms = run->started_ms + (int64_t)run->duration_ms;
    json_t *j = json_pack("{s:I, s:s, s:s, s:s, s:o, s:I, s:I}", "ts", ended_ms, "jobId", job, "action", "finished",
                          "status", ok ? "ok" : "error", "summary", text_json(summary), "runAtMs",
                          (json_int_t)run->started_ms, "durationMs", (json_int_t)run->duration_ms);
    if (!ok)
        json_object_set_new(j, "error", text_json(summary));
    char *text = json_dumps(j, JSON_COMPACT), *line = mem_printf("%s\n", text);
    free(text);
    json_decref(j);
    return line;
}

static void append_line(const char *home, const char *job, const struct mirrored_run *run)
{
    char *dir = os_path_join(home, "cron/runs"), *name = mem_printf("%s.jsonl", job), *path = os_path_join(dir, name);
    char *line = log_line(job, run);
    int fd = -1;
    if (os_make_dirs(dir, 0700, NULL) == 0)
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        os_write_full(fd, line, strlen(line));
        close(fd);
    }
    free(line);
    free(path);
    free(name);
    free(dir);
}

static void set_state(const struct installed_item *item, const struct installed_trigger *t,
                      const struct mirrored_run *run)
{
    struct openclaw_command command = {.program = item->program, .home = item->home};
    json_t *state = json_pack("{s:I, s:s, s:I}", "lastRunAtMs", (json_int_t)run->started_ms, "lastStatus",
                              run->exit_code == 0 ? "ok" : "error", "lastDurationMs", (json_int_t)run->duration_ms);
    int64_t now_ms = run->started_ms + (int64_t)run->duration_ms, next_ms;
    if (schedule_next(&t->schedule, now_ms, run->started_ms, &next_ms))
        json_object_set_new(state, "nextRunAtMs", json_integer(next_ms));
    json_t *params = json_pack("{s:s, s:{s:o}}", "id", t->ref, "patch", "state", state);
    char *text = json_dumps(params, JSON_COMPACT);
    const char *const args[] = {"gateway", "call", "cron.update", "--params", text, NULL};
    openclaw_command_run(&command, args, NULL, NULL);
    free(text);
    json_decref(params);
}

/* Job IDs come from OpenClaw and become file names. */
static bool is_plain_name(const char *id)
{
    return *id != '\0' && *id != '.' && strchr(id, '/') == NULL;
}

void openclaw_mirror_run(const char *state_dir, const struct mirrored_run *run)
{
    struct installed all;
    if (installed_read(state_dir, &all, NULL) < 0)
        return;
    const struct installed_item *item = installed_find(&all, VIA_OPENCLAW);
    if (item != NULL && item->placeholder && item->program != NULL && item->home != NULL)
        for (size_t i = 0; i < item->trigger_count; i++) {
            const struct installed_trigger *t = &item->triggers[i];
            if (t->ref == NULL || !is_plain_name(t->ref))
                continue;
            append_line(item->home, t->ref, run);
            set_state(item, t, run);
        }
    installed_release(&all);
}
