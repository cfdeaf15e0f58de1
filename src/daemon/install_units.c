#include "daemon/install_units.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/install_calendar.h"
#include "os/file.h"

enum { WATCHDOG_S = 180, STOP_S = 90 };

void unit_word(struct buf *out, const char *word, bool command)
{
    buf_append_byte(out, '"');
    for (; *word != '\0'; word++) {
        unsigned char c = (unsigned char)*word;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '%' || (c == '$' && command))
            buf_printf(out, "%c%c", c, c);
        else if (c < 0x20)
            buf_printf(out, "\\x%02x", c);
        else
            buf_append_byte(out, c);
    }
    buf_append_byte(out, '"');
}

/* One word without quotes where it needs none: units are read by people. */
static void nice_word(struct buf *out, const char *word, bool command)
{
    if (word[strcspn(word, " \t\n\r\"'\\%$;#")] == '\0' && *word != '\0')
        buf_append_str(out, word);
    else
        unit_word(out, word, command);
}

static void head(struct buf *out, const char *what)
{
    buf_append_str(out, "# Written by 'clawback schedule install', which writes it again; 'clawback schedule remove' "
                        "removes it.\n[Unit]\nDescription=");
    for (; *what != '\0'; what++) /* one line, no specifiers */
        buf_append_str(out, *what == '%' ? "%%" : (const char[]){(unsigned char)*what < 0x20 ? ' ' : *what, '\0'});
    buf_append_str(out, "\nDocumentation=man:clawback(1)\n");
}

static void environment(const struct unit_options *o, struct buf *out)
{
    if (o->home != NULL) {
        char *text = mem_printf("HOME=%s", o->home);
        buf_append_str(out, "Environment=");
        unit_word(out, text, false);
        buf_append_byte(out, '\n');
        free(text);
    }
    for (size_t i = 0; i < o->environment->count; i++) {
        buf_append_str(out, "Environment=");
        unit_word(out, o->environment->items[i], false);
        buf_append_byte(out, '\n');
    }
}

static void command(const struct strlist *argv, struct buf *out)
{
    buf_append_str(out, "ExecStart=");
    /* systemd takes no program with these in its name, and expands nothing in it. */
    if (argv->items[0][strcspn(argv->items[0], "\"'\\$\t\n\r")] != '\0')
        buf_append_str(out, "/bin/sh -c \"exec \\\"$$0\\\" \\\"$$@\\\"\" ");
    for (size_t i = 0; i < argv->count; i++) {
        if (i > 0)
            buf_append_byte(out, ' ');
        nice_word(out, argv->items[i], true);
    }
    buf_append_byte(out, '\n');
}

static const char GENTLE[] = "\n"
                             "# An editor and an agent come first.\n"
                             "Nice=10\n"
                             "CPUWeight=20\n"
                             "IOSchedulingClass=idle\n"
                             "IOWeight=20\n"
                             "# When memory runs out, a backup that can be taken again goes before what cannot.\n"
                             "OOMScoreAdjust=500\n"
                             "\n"
                             "# What it makes is nobody else's to read, and a dump of its memory would hold keys.\n"
                             "UMask=0077\n"
                             "LimitCORE=0\n";

/*
 * A plan with hooks gets none of the rest either: what a hook mounts would be mounted for this service alone, hidden
 * from its owner and from who unplugs the drive; and a hook that unlocks a drive or lets it spin down needs what is
 * taken here.
 */
static const char UNHARDENED[] = "\n"
                                 "# No hardening, since the plan has hooks: what they mount is to be there for "
                                 "everybody, and what they unlock, switch\n"
                                 "# or stop takes the rights of their owner.\n";

/*
 * A service of a user's own manager gets none of the rest: without root, namespaces of files need one of users, in
 * which other people's files belong to "nobody" (and would be stored so), and filters of system calls bring
 * NoNewPrivileges, with which sudo and fusermount in a hook, and crontab, stop working.
 */
static const char HARDENING[] =
    "\n"
    "# Nothing of a backup writes to /usr, /boot or /etc. Not 'strict': destinations may be anywhere else.\n"
    "ProtectSystem=full\n"
    "# No ProtectHome, PrivateTmp or PrivateDevices: homes are what is backed up, databases have their sockets in\n"
    "# /tmp, and drives are mounted through /dev/fuse.\n"
    "# A backup changes no setting of the kernel, reads no log of it, ...\n"
    "ProtectKernelTunables=yes\n"
    "ProtectKernelLogs=yes\n"
    "# ... but may read /usr/lib/modules, which ProtectKernelModules hides, and may set a file's set-user-ID bit when\n"
    "# it tries out a restore, which RestrictSUIDSGID forbids.\n"
    "# It neither reboots, sets the clock, reads memory by its address nor rules others' mandatory access. All that\n"
    "# reading every file, asking Docker, pg_dump and ssh take is left.\n"
    "CapabilityBoundingSet=~CAP_SYS_BOOT CAP_SYS_TIME CAP_SYS_RAWIO CAP_SYS_PACCT CAP_SYS_TTY_CONFIG CAP_WAKE_ALARM\n"
    "CapabilityBoundingSet=~CAP_MAC_ADMIN CAP_MAC_OVERRIDE\n"
    "RestrictRealtime=yes\n"
    "LockPersonality=yes\n"
    "# Docker, PostgreSQL and Redis by their sockets, everything else by IP; netlink to look up addresses.\n"
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n"
    "# Not NoNewPrivileges, RestrictNamespaces, MemoryDenyWriteExecute or SystemCallFilter: hooks and commands of the\n"
    "# plan are the owner's programs (sudo -u, podman, node), and need what those forbid.\n";

static bool has_hooks(const struct plan_hooks *h)
{
    return h->before.count + h->after.count + h->failure.count > 0;
}

bool unit_is_hardened(const struct unit_options *o)
{
    bool hooks = o->plan != NULL && has_hooks(&o->plan->hooks);
    for (size_t i = 0; o->plan != NULL && i < o->plan->tier_count; i++)
        hooks = hooks || has_hooks(&o->plan->tiers[i].hooks);
    return !o->user && !hooks;
}

static void add_writable(struct strlist *out, const char *path)
{
    static const char *const PROTECTED[] = {"/usr", "/boot", "/etc", "/efi"};
    for (size_t k = 0; path != NULL && k < sizeof PROTECTED / sizeof *PROTECTED; k++)
        if (os_path_is_below(path, PROTECTED[k]) && !strlist_contains(out, path))
            strlist_add(out, path);
}

/* Of a file its directory, since it is replaced by renaming, and rotated. */
static void add_writable_file(struct strlist *out, const char *path)
{
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    char *dir = slash != NULL ? mem_strndup(path, (size_t)(slash - path)) : NULL;
    add_writable(out, dir);
    free(dir);
}

/* NULL: not among them. */
static const char *variable(const struct unit_options *o, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < o->environment->count; i++)
        if (strncmp(o->environment->items[i], name, len) == 0 && o->environment->items[i][len] == '=')
            return o->environment->items[i] + len + 1;
    return NULL;
}

void unit_writable_paths(const struct unit_options *o, struct strlist *out)
{
    for (size_t i = 0; o->plan != NULL && i < o->plan->destination_count; i++) {
        const char *at = o->plan->destinations[i].location;
        add_writable(out, strncmp(at, "local:", 6) == 0 ? at + 6 : at);
    }
    add_writable(out, variable(o, "CLAWBACK_STATE_DIR"));
    add_writable(out, variable(o, "CLAWBACK_CACHE_DIR"));
    add_writable(out, variable(o, "XDG_CACHE_HOME"));
    add_writable_file(out, variable(o, "CLAWBACK_LOG"));
    if (o->plan != NULL)
        add_writable_file(out, o->plan->health.textfile);
}

static void safety(const struct unit_options *o, struct buf *out)
{
    struct strlist paths = {0};
    buf_append_str(out, GENTLE);
    if (!unit_is_hardened(o)) {
        buf_append_str(out, o->user ? "" : UNHARDENED);
        return;
    }
    buf_append_str(out, HARDENING);
    unit_writable_paths(o, &paths);
    for (size_t i = 0; i < paths.count; i++) {
        char *optional = mem_printf("-%s", paths.items[i]); /* may be missing when the service starts */
        buf_append_str(out, "ReadWritePaths=");
        nice_word(out, optional, false);
        buf_append_byte(out, '\n');
        free(optional);
    }
    strlist_release(&paths);
}

/* A user's manager knows none of these. */
static void order(const struct unit_options *o, struct buf *out)
{
    if (!o->user)
        buf_append_str(out, "# What it reads and where it sends to may still be starting when the system does.\n"
                            "Wants=network-online.target\n"
                            "After=network-online.target remote-fs.target docker.service postgresql.service "
                            "redis-server.service\n");
}

void unit_service(const struct unit_options *o, const struct installed_trigger *t, struct buf *out)
{
    head(out, t->name);
    order(o, out);
    buf_append_str(out, "\n[Service]\nType=oneshot\n");
    command(&t->argv, out);
    /* Of `clawback health` the same number would say something else. */
    if (t->argv.count > 1 && strcmp(t->argv.items[1], "run") == 0)
        buf_append_str(out, "# 3: done, but something is missing; who is to hear of it does so by an alert.\n"
                            "SuccessExitStatus=3\n");
    environment(o, out);
    buf_printf(out, "TimeoutStartSec=%llu\n", (unsigned long long)((t->timeout_ms + 999) / 1000));
    buf_append_str(out, "# What it started may end in order, then it is ended.\nKillMode=mixed\n");
    safety(o, out);
}

void unit_timer(const struct installed_trigger *t, struct buf *out)
{
    head(out, t->name);
    buf_append_str(out, "\n[Timer]\n");
    if (t->schedule.kind == SCHEDULE_EVERY) {
        /* Seconds, so that nobody has to know systemd's units. */
        unsigned long long s = t->schedule.every_ms / 1000;
        buf_printf(out,
                   "# Some minutes after the start of the system, then so long after each start of it.\n"
                   "OnBootSec=%llu\nOnUnitActiveSec=%llu\n",
                   s < 300 ? s : 300, s);
    } else {
        struct strlist lines = {0};
        calendar_from_schedule(&t->schedule, &lines);
        for (size_t i = 0; i < lines.count; i++)
            buf_printf(out, "OnCalendar=%s\n", lines.items[i]);
        strlist_release(&lines);
        buf_append_str(out, "# What was missed while the machine was off is made up for.\nPersistent=true\n");
    }
    buf_append_str(out, "AccuracySec=15s\n\n[Install]\nWantedBy=timers.target\n");
}

void unit_daemon(const struct unit_options *o, const char *program, struct buf *out)
{
    head(out, "clawback: the scheduler");
    struct strlist argv = {0};
    strlist_add(&argv, program);
    strlist_add(&argv, "daemon");
    order(o, out);
    buf_append_str(out, "\n[Service]\nType=notify\nNotifyAccess=main\n");
    command(&argv, out);
    buf_append_str(out, "ExecReload=/bin/kill -HUP $MAINPID\n");
    environment(o, out);
    buf_printf(out,
               "Restart=on-failure\nRestartSec=15\n"
               "# It says twice in this time that it lives; when it hangs it is started again.\nWatchdogSec=%d\n"
               "# The daemon ends its jobs itself, in order, when it is stopped. When it crashes or hangs they go on, "
               "and the\n"
               "# next one watches them to their end.\nKillMode=process\n"
               "TimeoutStopSec=%d\n"
               "# One job that takes too much memory does not end the others.\nOOMPolicy=continue\n",
               WATCHDOG_S, STOP_S);
    safety(o, out);
    strlist_release(&argv);
    buf_printf(out, "\n[Install]\nWantedBy=%s\n", o->user ? "default.target" : "multi-user.target");
}
