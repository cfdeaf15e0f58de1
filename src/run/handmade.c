#include "run/handmade.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "os/file.h"
#include "os/process.h"
#include "plan/home.h"

enum { TEXT_MAX_BYTES = 1 << 20, JOBS_MAX_BYTES = 64 << 20, CRONTAB_TIMEOUT_MS = 5000 };

static const char *const UNIT_DIRS[] = {"~/.config/systemd/user", "/etc/systemd/system", "/etc/systemd/user",
                                        "/usr/lib/systemd/system", "/lib/systemd/system"};

/* --- what a line says --- */

/* "clawback", and after it in the same line the word; comments do not count. */
static bool line_says(const char *line, size_t len, const char *word)
{
    const char *at = *line != '#' ? memmem(line, len, "clawback", 8) : NULL, *end = line + len;
    const char *found = at != NULL ? memmem(at, (size_t)(end - at), word, strlen(word)) : NULL;
    return found != NULL && (found + strlen(word) == end || strchr(" \t;&|>\"'", found[strlen(word)]) != NULL);
}

static bool text_says(struct buf *text, const char *word)
{
    bool found = false;
    for (const char *line = buf_cstr(text); !found && *line != '\0';) {
        size_t len = strcspn(line, "\n");
        found = line_says(line, len, word);
        line += len + (line[len] == '\n');
    }
    return found;
}

static bool text_runs_us(struct buf *text)
{
    return text_says(text, " run") || text_says(text, " daemon");
}

static bool file_runs_us(const char *path)
{
    struct buf text;
    buf_init(&text, TEXT_MAX_BYTES);
    bool found = os_read_file(path, &text, NULL) == 0 && text_runs_us(&text);
    buf_release(&text);
    return found;
}

static bool file_runs_daemon(const char *path)
{
    struct buf text;
    buf_init(&text, TEXT_MAX_BYTES);
    bool found = os_read_file(path, &text, NULL) == 0 && text_says(&text, " daemon");
    buf_release(&text);
    return found;
}

/* --- cron --- */

static bool in_own_crontab(void)
{
    char crontab[] = "crontab", list[] = "-l", *argv[] = {crontab, list, NULL};
    const struct process_options options = {.argv = argv, .stdin_fd = -1, .timeout_ms = CRONTAB_TIMEOUT_MS};
    struct buf text;
    buf_init(&text, TEXT_MAX_BYTES);
    bool found = process_run(&options, &text, NULL) == 0 && text_runs_us(&text);
    buf_release(&text);
    return found;
}

/* --- files of a directory --- */

typedef bool judge_fn(const char *path);

/* Adds the first file with this ending ("": any) that the judge takes. */
static void find_in(const char *dir_path, const char *ending, judge_fn *judge, struct strlist *out)
{
    DIR *dir = opendir(dir_path);
    bool found = false;
    for (struct dirent *e; dir != NULL && !found && (e = readdir(dir)) != NULL;) {
        size_t len = strlen(e->d_name), end_len = strlen(ending);
        if (e->d_name[0] == '.' || len < end_len || strcmp(e->d_name + len - end_len, ending) != 0)
            continue;
        char *path = os_path_join(dir_path, e->d_name);
        found = judge(path);
        if (found)
            strlist_add(out, path);
        free(path);
    }
    if (dir != NULL)
        closedir(dir);
}

/* A timer starts the service of its name, if it does not say another one in Unit=. */
static bool timer_runs_us(const char *path)
{
    struct buf text;
    buf_init(&text, TEXT_MAX_BYTES);
    char *service = mem_printf("%.*s.service", (int)(strlen(path) - strlen(".timer")), path);
    const char *unit = os_read_file(path, &text, NULL) == 0 ? strstr(buf_cstr(&text), "\nUnit=") : NULL;
    if (unit != NULL) {
        unit += strlen("\nUnit=");
        const char *slash = strrchr(path, '/');
        free(service);
        service = mem_printf("%.*s/%.*s", (int)(slash - path), path, (int)strcspn(unit, " \t\r\n"), unit);
    }
    bool found = file_runs_us(service);
    free(service);
    buf_release(&text);
    return found;
}

static void find_units(struct strlist *out)
{
    for (size_t i = 0; i < sizeof UNIT_DIRS / sizeof *UNIT_DIRS; i++) {
        char *dir = os_path_expand_home(UNIT_DIRS[i]);
        find_in(dir, ".timer", timer_runs_us, out);
        find_in(dir, "clawback.service", file_runs_daemon, out);
        free(dir);
    }
}

/* --- OpenClaw --- */

/* A job's name, its declaration key or the last part of its program's path. */
static bool names_us(const struct buf *text)
{
    static const char *const FORMS[] = {"\"clawback\"", "/clawback\"", "\"clawback "};
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++)
        if (text->len > 0 && memmem(text->data, text->len, FORMS[i], strlen(FORMS[i])) != NULL)
            return true;
    return false;
}

/* The jobs of an OpenClaw of the older kind, or the database of a newer one, whose pages hold them as JSON too. It is
 * not opened as a database: that could leave files beside it. */
static void find_openclaw_job(struct strlist *out)
{
    static const char *const PLACES[] = {"cron/jobs.json", "state/openclaw.sqlite-wal", "state/openclaw.sqlite"};
    struct agent_home home = {0};
    bool found = false;
    agent_home_find(&home, NULL);
    for (size_t i = 0; !found && i < home.roots.count; i++)
        for (size_t k = 0; !found && k < sizeof PLACES / sizeof *PLACES; k++) {
            char *path = os_path_join(home.roots.items[i], PLACES[k]);
            struct buf text;
            buf_init(&text, JOBS_MAX_BYTES);
            found = os_read_file(path, &text, NULL) == 0 && names_us(&text);
            if (found) {
                char *where = mem_printf("a job in %s", path);
                strlist_add(out, where);
                free(where);
            }
            buf_release(&text);
            free(path);
        }
    agent_home_release(&home);
}

void handmade_schedules(struct strlist *out)
{
    find_units(out);
    find_in("/etc/cron.d", "", file_runs_us, out);
    if (in_own_crontab())
        strlist_add(out, "this user's crontab");
    find_openclaw_job(out);
}
