/* The text of a first clawback.yaml. It is written for its owner to read and change: every part says what it does. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "os/file.h"
#include "run/setup_parts.h"

struct render {
    const struct discovery *d;
    const struct setup_choice *c;
    const char *user_home;
    struct buf *out;
};

/* Letters, digits and what cannot mean anything else to a YAML reader; no word that it takes for a value of another
 * kind. */
static bool is_plain(const char *text)
{
    static const char *const WORDS[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
    if (*text == '\0' || strchr("-.0123456789+", *text) != NULL)
        return false;
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if (strcasecmp(text, WORDS[i]) == 0)
            return false;
    for (const char *p = text; *p != '\0'; p++)
        if (!isalnum((unsigned char)*p) && strchr("/._-+=@", *p) == NULL && !(*p == '~' && p == text))
            return false;
    return strcmp(text, "~") != 0 && *text != '=' && *text != '@';
}

void setup_yaml_string(const char *text, struct buf *out)
{
    if (is_plain(text)) {
        buf_append_str(out, text);
        return;
    }
    buf_append_byte(out, '"');
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++)
        if (*p == '"' || *p == '\\')
            buf_printf(out, "\\%c", *p);
        else if (*p < ' ' || *p == 0x7f)
            buf_printf(out, "\\x%02x", *p);
        else
            buf_append_byte(out, *p);
    buf_append_byte(out, '"');
}

void setup_path(const char *p, const char *user_home, struct buf *out)
{
    if (user_home != NULL && strcmp(user_home, "/") != 0 && strcmp(p, user_home) != 0 &&
        os_path_is_below(p, user_home)) {
        char *shortened = mem_printf("~%s", p + strlen(user_home));
        setup_yaml_string(shortened, out);
        free(shortened);
    } else {
        setup_yaml_string(p, out);
    }
}

static void path(const struct render *r, const char *p)
{
    setup_path(p, r->user_home, r->out);
}

void setup_comment_text(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        buf_append_byte(out, (unsigned char)*text < ' ' ? ' ' : (unsigned char)*text);
}

static void to_line(const struct render *r)
{
    buf_append_str(r->out, "    to: [");
    for (size_t i = 0; i < r->c->destination_count; i++) {
        if (i > 0)
            buf_append_str(r->out, ", ");
        setup_yaml_string(r->c->destinations[i].name, r->out);
    }
    buf_append_str(r->out, "]\n");
}

static void head(const struct render *r)
{
    buf_append_str(r->out,
                   "# What clawback backs up, where to, how often, and how long it is kept.\n"
                   "# After a change: clawback config check, then clawback plan shows what each tier would take.\n\n");
    if (r->d->home.roots.count > 0) {
        buf_append_str(r->out, "home: ");
        path(r, r->d->home.roots.items[0]);
        buf_append_str(r->out, "\n");
    }
    if (r->c->host != NULL) {
        buf_append_str(r->out, "host: ");
        setup_yaml_string(r->c->host, r->out);
        buf_append_str(r->out, "\n");
    }
    buf_append_str(r->out, "\n# Without it nobody can read the backups: keep a copy off this machine.\n"
                           "# Or {command: [pass, show, clawback]}, or {env: NAME}.\npassphrase: {file: ");
    path(r, r->c->passphrase_file);
    buf_append_str(r->out, "}\n");
}

/* Which mount point is meant is only named where it is not the path itself. */
static void mount_line(const struct render *r, const struct setup_destination *dest)
{
    buf_append_str(r->out, "    require_mount: ");
    if (dest->mount_point != NULL)
        path(r, dest->mount_point);
    else
        buf_append_str(r->out, "true");
    buf_append_str(r->out, "   # nothing is written there while the drive is unplugged\n");
}

static void destinations(const struct render *r)
{
    buf_append_str(r->out, "\ndestinations:\n");
    for (size_t i = 0; i < r->c->destination_count; i++) {
        const struct setup_destination *dest = &r->c->destinations[i];
        buf_append_str(r->out, "  ");
        setup_yaml_string(dest->name, r->out);
        buf_append_str(r->out, ":\n    path: ");
        path(r, dest->path);
        if (dest->same_disk)
            buf_append_str(r->out, "   # the same disk as what is backed up: add another destination soon");
        buf_append_str(r->out, "\n");
        if (dest->require_mount)
            mount_line(r, dest);
        buf_append_str(r->out, "    reserve: 100MB        # free space that a run leaves alone\n");
    }
}

static void git_tier(const struct render *r)
{
    const struct discovery *d = r->d;
    if (d->repository_count == 0)
        return;
    buf_append_str(r->out, "\n  # A complete bundle of each repository, and what is not committed in it; stored again "
                           "only when something\n  # changed. push: all branches and tags to that remote, never by "
                           "force; a push that fails does not stop the backup.\n  git:\n    every: 2h\n    git:\n");
    for (size_t i = 0; i < d->repository_count; i++) {
        const struct discovered_git *g = &d->repositories[i];
        buf_append_str(r->out, "      - {path: ");
        path(r, g->path);
        if (r->c->push && g->remotes.count > 0) {
            buf_append_str(r->out, ", push: ");
            setup_yaml_string(strlist_contains(&g->remotes, "origin") ? "origin" : g->remotes.items[0], r->out);
        }
        buf_append_str(r->out, g->remotes.count == 0 ? "}   # has no remote\n" : "}\n");
    }
    to_line(r);
    buf_append_str(r->out, "    keep: {all: true}\n");
}

/* The excludes: the passphrase, should it lie in what is backed up. */
static void files_lines(const struct render *r, bool logs)
{
    const struct strlist *lists[] = {&r->d->home.roots, &r->d->extra};
    bool holds_passphrase = false, first = true;
    buf_append_str(r->out, "    files: [");
    for (size_t l = 0; l < 2; l++)
        for (size_t i = 0; i < lists[l]->count; i++) {
            buf_append_str(r->out, first ? "" : ", ");
            path(r, lists[l]->items[i]);
            first = false;
            holds_passphrase = holds_passphrase || os_path_is_below(r->c->passphrase_file, lists[l]->items[i]);
        }
    buf_append_str(r->out, "]\n");
    for (size_t i = 0; i < r->d->home.outside.count; i++) {
        buf_append_str(r->out, "    # with it comes what belongs to it elsewhere: ");
        setup_comment_text(r->out, r->d->home.outside.items[i]);
        buf_append_str(r->out, "\n");
    }
    if (!logs && !holds_passphrase)
        return;
    buf_append_str(r->out, "    exclude: [");
    if (logs)
        buf_append_str(r->out, "\"*.log\"");
    if (holds_passphrase) {
        buf_append_str(r->out, logs ? ", " : "");
        setup_yaml_string(r->c->passphrase_file, r->out);
    }
    buf_append_str(r->out, "]\n");
}

static void config_tier(const struct render *r)
{
    const struct discovery *d = r->d;
    if (d->home.roots.count == 0 && d->extra.count == 0)
        return;
    buf_append_str(r->out, "\n  # Files, settings, memory, sessions, credentials: encrypted, and only what changed is "
                           "stored.\n  # Caches, lock files, node_modules and .ssh stay out by themselves.");
    if (d->sqlite.count > 0)
        buf_printf(r->out,
                   "\n  # The SQLite databases in it (%zu) are taken whole and consistent while they are in use.",
                   d->sqlite.count);
    buf_append_str(r->out, "\n  config:\n    every: 2h\n");
    files_lines(r, true);
    to_line(r);
    buf_append_str(r->out, "    keep: {within: 7d}\n");
}

static void server_fields(const struct render *r, const struct discovered_server *s, bool secret)
{
    const char *separator = "";
    const struct {
        const char *key, *value;
    } FIELDS[] = {{"container", s->container},
                  {"socket", s->socket},
                  {"url", s->url},
                  {"user", s->user},
                  {"database", s->database}};
    buf_append_byte(r->out, '{');
    for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++)
        if (FIELDS[i].value != NULL) {
            buf_printf(r->out, "%s%s: ", separator, FIELDS[i].key);
            setup_yaml_string(FIELDS[i].value, r->out);
            separator = ", ";
        }
    if (secret)
        buf_append_str(r->out, ", password: {file: ~/.config/clawback/database-password}");
    buf_append_str(r->out, "}");
}

/* Those that do not let us in are there, but commented out: a run that fails every two hours helps nobody. */
static void servers(const struct render *r, const char *key, const struct discovered_servers *l, bool commented)
{
    if (l->count == 0)
        return;
    buf_printf(r->out, "%s    %s:\n", commented || setup_usable_servers(l) == 0 ? "  #" : "", key);
    for (size_t i = 0; i < l->count; i++) {
        const struct discovered_server *s = &l->items[i];
        if (!setup_usable_server(s) && s->why != NULL) {
            buf_append_str(r->out, "  #   ");
            setup_comment_text(r->out, s->why);
            buf_append_str(r->out, "; put right, take the # away:\n");
        }
        buf_append_str(r->out, setup_usable_server(s) ? "      - " : "  #      - ");
        server_fields(r, s, s->access == DISCOVERED_NEEDS_SECRET);
        buf_append_str(r->out, s->access == DISCOVERED_STOPPED ? "   # does not run now\n" : "\n");
    }
}

static void databases_tier(const struct render *r)
{
    const struct discovery *d = r->d;
    bool none = setup_usable_servers(&d->postgres) + setup_usable_servers(&d->redis) == 0;
    if (d->postgres.count + d->redis.count == 0)
        return;
    buf_append_str(r->out,
                   "\n  # Dumps, straight from the servers into the repository. What does not run is skipped and "
                   "recorded.\n");
    if (none) {
        servers(r, "postgres", &d->postgres, true);
        servers(r, "redis", &d->redis, true);
        return;
    }
    buf_append_str(r->out, "  databases:\n    every: 2h\n");
    servers(r, "postgres", &d->postgres, false);
    servers(r, "redis", &d->redis, false);
    buf_append_str(r->out, "    when: running\n");
    to_line(r);
    buf_append_str(r->out, "    keep: {within: 3d}\n");
}

static void full_tier(const struct render *r)
{
    const struct discovery *d = r->d;
    if (!r->c->archive || (d->home.roots.count == 0 && d->extra.count == 0))
        return;
    buf_append_str(r->out,
                   "\n  # Every Sunday at midnight one file, .tar.gz.gpg, that gpg and tar alone can open with the "
                   "same passphrase.\n  full:\n    cron: \"0 0 * * 0\"\n");
    files_lines(r, false);
    buf_append_str(r->out, "    format: archive\n");
    to_line(r);
    buf_append_str(r->out, "    keep: {weekly: 4, monthly: 12}\n");
}

void setup_render(const struct discovery *d, const struct setup_choice *c, const char *user_home, struct buf *out)
{
    const struct render r = {.d = d, .c = c, .user_home = user_home, .out = out};
    head(&r);
    destinations(&r);
    buf_append_str(out, "\ntiers:");
    git_tier(&r);
    config_tier(&r);
    databases_tier(&r);
    full_tier(&r);
    setup_render_watch(&c->telegram, user_home, out);
}
