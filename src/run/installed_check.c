/* Do the schedulers live that were told to start us? */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "os/file.h"
#include "os/process.h"
#include "plan/home.h"
#include "plan/json5.h"
#include "run/handmade.h"
#include "run/health_facts.h"
#include "run/installed.h"
#include "run/processes.h"
#include "run/systemctl.h"

enum {
    FILE_MAX_BYTES = 8 << 20,
    TICK_OLD_MS = 3 * 60 * 1000, /* as daemon/heartbeat.h says */
    CRONTAB_TIMEOUT_MS = 5000,
    ANSWER_TIMEOUT_MS = 3000,
    GATEWAY_PORT = 18789
};

const char INSTALLED_CRON_BEGIN[] = "# clawback: begin (written by 'clawback schedule install')";
const char INSTALLED_CRON_END[] = "# clawback: end";

static void set_why(char **why, char *text)
{
    free(*why);
    *why = text;
}

/* --- the daemon --- */

/* Whoever holds the lock is alive; the kernel takes it back from the dead. */
static bool is_locked(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    bool locked = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    close(fd);
    return locked;
}

json_t *health_load_json5(const char *path)
{
    struct buf text, json;
    buf_init(&text, FILE_MAX_BYTES);
    buf_init(&json, FILE_MAX_BYTES);
    json_t *doc = NULL;
    if (os_read_file(path, &text, NULL) == 0 && json5_to_json(buf_cstr(&text), text.len, &json, NULL) == 0)
        doc = json_loadb(buf_cstr(&json), json.len, 0, NULL);
    buf_release(&json);
    buf_release(&text);
    return doc;
}

bool installed_daemon_lives(const char *state_dir, int64_t now_ms, char **why)
{
    char *lock = os_path_join(state_dir, "daemon.lock"), *beat = os_path_join(state_dir, "daemon.json");
    bool lives = is_locked(lock);
    json_t *doc = lives ? health_load_json5(beat) : NULL;
    int64_t tick = json_integer_value(json_object_get(doc, "tickMs"));
    if (!lives) {
        set_why(why, mem_strdup("the daemon does not run"));
    } else if (tick != 0 && tick < now_ms - TICK_OLD_MS) {
        set_why(why,
                mem_printf("the daemon hangs: no sign of life for %lld minutes", (long long)((now_ms - tick) / 60000)));
        lives = false;
    }
    json_decref(doc);
    free(beat);
    free(lock);
    return lives;
}

static const json_t *find_job(const json_t *jobs, const char *id)
{
    for (size_t i = 0; i < json_array_size(jobs); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(jobs, i), "id"));
        if (name != NULL && strcmp(name, id) == 0)
            return json_array_get(jobs, i);
    }
    return NULL;
}

/* Somebody may have taken our jobs out of the file, or switched them off there. */
static bool check_jobs(const char *state_dir, const struct installed_item *item, bool *partly, char **why)
{
    char *path = os_path_join(state_dir, "jobs.json");
    json_t *doc = health_load_json5(path);
    const json_t *jobs = json_is_array(doc) ? doc : json_object_get(doc, "jobs");
    bool ok = doc != NULL;
    *partly = ok;
    if (!ok)
        set_why(why, mem_printf("'%s' is gone or cannot be read", path));
    for (size_t i = 0; ok && i < item->trigger_count; i++) {
        const json_t *job = find_job(jobs, item->triggers[i].id);
        ok = job != NULL && !json_is_false(json_object_get(job, "enabled"));
        if (!ok)
            set_why(why, mem_printf("its job '%s' is %s '%s'", item->triggers[i].id,
                                    job == NULL ? "gone from" : "disabled in", path));
    }
    json_decref(doc);
    free(path);
    return ok;
}

/* --- cron --- */

static bool is_cron(void *ctx, const struct process_seen *p)
{
    /* busybox runs its cron daemon under its own name or the applet's. */
    bool yes = strcmp(p->name, "cron") == 0 || strcmp(p->name, "crond") == 0 || strcmp(p->name, "fcron") == 0 ||
               strcmp(p->name, "cronie") == 0 || (strcmp(p->name, "busybox") == 0 && process_mentions(p, "crond"));
    *(bool *)ctx |= yes;
    return !yes;
}

bool installed_cron_lives(char **why)
{
    bool found = false;
    processes_each(is_cron, &found);
    if (!found)
        set_why(why, mem_strdup("no cron daemon is running"));
    return found;
}

/* The lines between our markers that cron takes: one for each trigger, unless somebody took some out or switched them
 * off. */
static size_t count_lines(const char *text)
{
    const char *line = strstr(text, INSTALLED_CRON_BEGIN);
    size_t count = 0;
    while (line != NULL && (line = strchr(line, '\n')) != NULL &&
           strncmp(++line, INSTALLED_CRON_END, strlen(INSTALLED_CRON_END)) != 0)
        count += *line != '#' && *line != '\n' && *line != '\0';
    return count;
}

static bool check_cron(const struct installed_item *item, bool *partly, char **why)
{
    char crontab[] = "crontab", list[] = "-l", *argv[] = {crontab, list, NULL};
    const struct process_options options = {.argv = argv, .timeout_ms = CRONTAB_TIMEOUT_MS};
    struct buf out;
    buf_init(&out, FILE_MAX_BYTES);
    size_t lines = process_run(&options, &out, NULL) == 0 ? count_lines(buf_cstr(&out)) : 0;
    buf_release(&out);
    if (lines == 0) {
        set_why(why, mem_strdup("its lines are gone from the crontab"));
        return false;
    }
    if (!installed_cron_lives(why))
        return false;
    *partly = lines < item->trigger_count;
    if (*partly)
        set_why(why, mem_printf("%zu of its %zu lines are gone from the crontab, or switched off there",
                                item->trigger_count - lines, item->trigger_count));
    return !*partly;
}

/* --- systemd --- */

static bool check_timers(const struct installed_item *item, char **why)
{
    for (size_t i = 0; i < item->trigger_count; i++) {
        char *unit = mem_printf("%s.timer", item->triggers[i].id);
        struct unit_seen seen = {0};
        struct err err = {0};
        int rc = systemctl_look(unit, &seen, &err);
        bool ok = rc == 0 && seen.loaded && seen.active;
        if (rc < 0)
            set_why(why, mem_printf("%s cannot be asked for: %s", unit, err.message));
        else if (!ok)
            set_why(why, mem_printf("%s is %s", unit, seen.loaded ? "not active" : "gone"));
        free(unit);
        if (!ok)
            return false;
    }
    return true;
}

/* --- OpenClaw --- */

static json_t *load_configuration(const char *home)
{
    static const char *const NAMES[] = {"openclaw.json", "clawdbot.json", "moltbot.json"};
    json_t *doc = NULL;
    for (size_t i = 0; doc == NULL && i < sizeof NAMES / sizeof *NAMES; i++) {
        char *path = os_path_join(home, NAMES[i]);
        doc = health_load_json5(path);
        free(path);
    }
    return doc;
}

/* Connecting alone proves nothing, since the kernel does that for a process that hangs; a gateway that speaks TLS hangs
 * up on us, which is an answer too. */
static bool port_answers(uint16_t port)
{
    static const char ASK[] = "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n";
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[16];
    bool ok = false;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0 &&
        send(fd, ASK, sizeof ASK - 1, MSG_NOSIGNAL) == (ssize_t)(sizeof ASK - 1))
        ok = poll(&p, 1, ANSWER_TIMEOUT_MS) == 1 && (read(fd, answer, sizeof answer) >= 0 || errno == ECONNRESET);
    if (fd >= 0)
        close(fd);
    return ok;
}

bool installed_gateway_answers(const char *home, char **why)
{
    struct agent_home found = {0};
    if (home == NULL && agent_home_find(&found, NULL) == 0 && found.roots.count > 0)
        home = found.roots.items[0];
    json_t *doc = home != NULL ? load_configuration(home) : NULL, *gateway = json_object_get(doc, "gateway");
    const char *bind = json_string_value(json_object_get(gateway, "bind"));
    json_int_t port = json_integer_value(json_object_get(gateway, "port"));
    if (port <= 0 || port > 65535)
        port = GATEWAY_PORT;
    bool elsewhere = bind != NULL && (strcmp(bind, "tailnet") == 0 || strcmp(bind, "custom") == 0);
    bool ok = elsewhere || port_answers((uint16_t)port);
    if (!ok)
        set_why(why, mem_printf("OpenClaw's gateway does not answer at port %d", (int)port));
    json_decref(doc);
    agent_home_release(&found);
    return ok;
}

/* --- all --- */

static bool check_item(const char *state_dir, int64_t now_ms, const struct installed_item *item, bool *partly,
                       char **why)
{
    if (!item->enabled) {
        set_why(why, mem_strdup("its schedule is installed, but disabled"));
        return false;
    }
    switch (item->via) {
    case VIA_OPENCLAW:
        return installed_gateway_answers(item->home, why);
    case VIA_DAEMON:
        return installed_daemon_lives(state_dir, now_ms, why) && check_jobs(state_dir, item, partly, why);
    case VIA_SYSTEMD:
        return check_timers(item, why);
    default:
        return check_cron(item, partly, why);
    }
}

/* Nothing of ours is installed: then whatever somebody set up by hand is taken at its word. */
static void check_handmade(const char *state_dir, int64_t now_ms, struct fact_list *out)
{
    struct strlist places = {0};
    char *why = NULL;
    handmade_schedules(&places);
    if (installed_daemon_lives(state_dir, now_ms, &why))
        fact_list_add(out, schedule_via_name(VIA_DAEMON), true, "alive");
    for (size_t i = 0; i < places.count; i++)
        fact_list_add(out, places.items[i], true, "set up by hand");
    if (out->count == 0)
        fact_list_add(out, "schedule", false, "no schedule is installed");
    strlist_release(&places);
    free(why);
}

void installed_check(const char *state_dir, int64_t now_ms, struct fact_list *out)
{
    struct installed all;
    struct err err = {0};
    out->looked = true;
    if (installed_read(state_dir, &all, &err) < 0) {
        fact_list_add(out, "schedule", false, err.message);
        return;
    }
    if (all.count == 0)
        check_handmade(state_dir, now_ms, out);
    for (size_t i = 0; i < all.count; i++) {
        if (all.items[i].placeholder)
            continue;
        char *why = NULL;
        bool partly = false, ok = check_item(state_dir, now_ms, &all.items[i], &partly, &why);
        fact_list_add(out, schedule_via_name(all.items[i].via), ok, ok ? "alive" : why);
        out->items[out->count - 1].partly = !ok && partly;
        free(why);
    }
    installed_release(&all);
}

void installed_checks_release(struct fact_list *l)
{
    fact_list_release(l);
}
