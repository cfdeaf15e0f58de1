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

static void writable_destinations(const struct plan *p, struct buf *out)
{
    static const char *const PROTECTED[] = {"/usr", "/boot", "/etc", "/efi"};
    for (size_t i = 0; p != NULL && i < p->destination_count; i++)
        for (size_t k = 0; k < sizeof PROTECTED / sizeof *PROTECTED; k++) {
            const char *at = p->destinations[i].location;
            if (strncmp(at, "local:", 6) == 0)
                at += 6;
            if (*at != '/' || !os_path_is_below(at, PROTECTED[k]))
                continue;
            buf_append_str(out, "ReadWritePaths=");
            char *optional = mem_printf("-%s", at); /* may be missing when the service starts */
            nice_word(out, optional, false);
            buf_append_byte(out, '\n');
            free(optional);
        }
}

static void safety(const struct unit_options *o, struct buf *out)
{
    buf_append_str(out, GENTLE);
    if (o->user)
        return;
    buf_append_str(out, HARDENING);
    writable_destinations(o->plan, out);
}

void unit_service(const struct unit_options *o, const struct installed_trigger *t, struct buf *out)
{
    head(out, t->name);
    buf_append_str(out, "\n[Service]\nType=oneshot\n");
    command(&t->argv, out);
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
    buf_append_str(out, "# Its jobs use the network, but wait for it themselves.\nWants=network-online.target\n"
                        "After=network-online.target docker.service postgresql.service\n"
                        "\n[Service]\nType=notify\nNotifyAccess=main\n");
    command(&argv, out);
    buf_append_str(out, "ExecReload=/bin/kill -HUP $MAINPID\n");
    environment(o, out);
    buf_printf(out,
               "Restart=on-failure\nRestartSec=15\n"
               "# It says twice in this time that it lives; when it hangs it is started again.\nWatchdogSec=%d\n"
               "# A job that runs gets SIGTERM, and time to leave its repository in order.\nKillMode=mixed\n"
               "TimeoutStopSec=%d\n"
               "# One job that takes too much memory does not end the others.\nOOMPolicy=continue\n",
               WATCHDOG_S, STOP_S);
    safety(o, out);
    strlist_release(&argv);
    buf_printf(out, "\n[Install]\nWantedBy=%s\n", o->user ? "default.target" : "multi-user.target");
}
