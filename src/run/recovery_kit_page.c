/* What stands on the page. Each command works when it is typed as it is, in a directory of one's own. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/shell.h"
#include "run/destination.h"
#include "run/recovery_kit.h"

struct page {
    const struct kit *k;
    kit_line_fn *fn;
    void *ctx;
};

static void line(const struct page *p, enum kit_line_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void line(const struct page *p, enum kit_line_kind kind, const char *format, ...)
{
    char text[32768]; /* several paths */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    p->fn(p->ctx, kind, NULL, text);
}

static bool has_kind(const struct kit *k, enum kit_kind kind)
{
    for (size_t i = 0; i < k->source_count; i++)
        if (k->sources[i].kind == kind)
            return true;
    return false;
}

static bool in_archives(const struct kit *k, enum kit_kind kind)
{
    for (size_t i = 0; i < k->plan->tier_count; i++) {
        const struct plan_tier *t = &k->plan->tiers[i];
        size_t count = kind == KIT_GIT        ? t->git_count
                       : kind == KIT_POSTGRES ? t->postgres_count
                       : kind == KIT_REDIS    ? t->redis_count
                                              : 0;
        if (!t->disabled && t->format == PLAN_ARCHIVE && count > 0)
            return true;
    }
    return false;
}

static bool is_there(const struct kit *k, enum kit_kind kind)
{
    return has_kind(k, kind) || in_archives(k, kind);
}

/* --- before anything else --- */

static void tools(const struct page *p)
{
    const struct kit *k = p->k;
    bool repositories = false, archives = false, zstd = false;
    for (size_t i = 0; i < k->plan->tier_count; i++)
        zstd = zstd || (k->plan->tiers[i].format == PLAN_ARCHIVE && k->plan->tiers[i].archive.codec == PLAN_ZSTD);
    for (size_t i = 0; i < k->destination_count; i++) {
        repositories = repositories || k->destinations[i].has_repository;
        archives = archives || k->destinations[i].has_archives;
    }
    line(p, KIT_HEADING, "What you need");
    line(p, KIT_TEXT,
         "A computer with Linux, one of the places above, and the passphrase. clawback itself is not needed. Work as "
         "root "
         "in an empty directory on a disk with room enough:");
    line(p, KIT_COMMAND_LINE, "apt install%s%s%s%s%s%s", repositories ? " restic" : "", archives ? " gnupg tar" : "",
         zstd ? " zstd" : "", is_there(k, KIT_GIT) ? " git" : "", is_there(k, KIT_POSTGRES) ? " postgresql" : "",
         is_there(k, KIT_REDIS) ? " redis-server" : "");
}

static void one_passphrase(const struct page *p, const struct kit_passphrase *one)
{
    char *opens = strlist_join(&one->opens, ", ");
    const char *only = p->k->passphrase_count > 1 ? opens : NULL;
    if (one->text != NULL) {
        if (only != NULL)
            line(p, KIT_TEXT, "For what lies at %s:", only);
        p->fn(p->ctx, KIT_FIELD, "passphrase", one->text);
    } else {
        line(
            p, KIT_TEXT,
            "%s%s%sWithout it nobody can read anything%s. On the machine it came from %s; a copy off the machine is to "
            "be "
            "kept here, or written down where:",
            only != NULL ? "For " : "", only != NULL ? only : "", only != NULL ? ": " : "",
            only != NULL ? " there" : "", one->whereabouts);
        line(p, KIT_BLANK_LINE, "%s", "");
    }
    free(opens);
}

static void passphrases(const struct page *p)
{
    const struct kit *k = p->k;
    if (k->passphrase_count == 0)
        return; /* archives alone, to keys or to be read by anybody */
    line(p, KIT_HEADING, k->passphrase_count > 1 ? "The passphrases" : "The passphrase");
    for (size_t i = 0; i < k->passphrase_count; i++)
        one_passphrase(p, &k->passphrases[i]);
    if (k->with_passphrase)
        line(p, KIT_WARNING, "Whoever holds this page and one of the drives can read everything. Keep it like cash.");
    line(p, KIT_TEXT, "Put %s into a file, which the commands below read (one line, nothing else in it):",
         k->passphrase_count > 1 ? "each, or the one that you have," : "it");
    for (size_t i = 0; i < k->passphrase_count; i++)
        line(p, KIT_COMMAND_LINE, "[ -s %s ] || (umask 077; cat > %s)   # type it, Enter, Ctrl-D",
             k->passphrases[i].file, k->passphrases[i].file);
}

/* The file that it is in. */
static const char *passphrase_file(const struct kit *k, const struct kit_destination *d)
{
    return k->passphrase_count > 0 ? k->passphrases[d->passphrase].file : "passphrase.txt";
}

/* --- where everything is --- */

/* "the tiers git, config, full (archives)": whoever has one drive alone must know what to look for on it. */
static void tiers_there(const struct page *p, const struct kit_destination *d)
{
    struct strlist names = {0};
    for (size_t i = 0; i < p->k->plan->tier_count; i++) {
        const struct plan_tier *t = &p->k->plan->tiers[i];
        if (t->disabled || !strlist_contains(&t->to, d->plan->name))
            continue;
        char *name = mem_printf("%s%s", t->name, t->format == PLAN_ARCHIVE ? " (archives)" : "");
        strlist_add(&names, name);
        free(name);
    }
    char *list = strlist_join(&names, ", "), *text = mem_printf("the tier%s %s", names.count == 1 ? "" : "s", list);
    if (names.count > 0)
        p->fn(p->ctx, KIT_FIELD, "", text);
    free(text);
    free(list);
    strlist_release(&names);
}

static void places(const struct page *p)
{
    line(p, KIT_HEADING, "Where the backups are");
    for (size_t i = 0; i < p->k->destination_count; i++) {
        const struct kit_destination *d = &p->k->destinations[i];
        struct buf text;
        buf_init(&text, 64 << 10);
        buf_append_str(&text, d->path != NULL ? d->path : d->plan->location);
        if (d->repository != NULL)
            buf_printf(&text, ", repository %.16s", d->repository);
        if (d->archives != NULL)
            buf_printf(&text, ", archives in %s", d->archives);
        if (d->note != NULL)
            buf_printf(&text, " (%s)", d->note);
        p->fn(p->ctx, KIT_FIELD, d->plan->name, buf_cstr(&text));
        buf_release(&text);
        tiers_there(p, d);
        if (d->mount != NULL)
            line(p, KIT_COMMAND_LINE, "%s   # the drive, as it was mounted", d->mount);
    }
}

/* --- getting it out --- */

static void choose_repository(const struct page *p)
{
    const char *file = NULL;
    line(p, KIT_HEADING, "See what is there");
    line(p, KIT_TEXT, "Choose one place; if the drive is mounted elsewhere now, its path is another one.");
    for (size_t i = 0; i < p->k->destination_count; i++) {
        const struct kit_destination *d = &p->k->destinations[i];
        if (!d->has_repository)
            continue;
        const char *own = passphrase_file(p->k, d);
        char *location = shell_word(d->path != NULL ? d->path : d->plan->location);
        if (file == NULL)
            line(p, KIT_COMMAND_LINE, "export RESTIC_REPOSITORY=%s RESTIC_PASSWORD_FILE=%s", location, own);
        else if (strcmp(file, own) != 0)
            line(p, KIT_TEXT, "or RESTIC_REPOSITORY=%s RESTIC_PASSWORD_FILE=%s (%s)", location, own, d->plan->name);
        else
            line(p, KIT_TEXT, "or RESTIC_REPOSITORY=%s (%s)", location, d->plan->name);
        file = file == NULL ? own : file;
        free(location);
    }
    line(p, KIT_COMMAND_LINE, "restic snapshots");
    line(
        p, KIT_TEXT,
        "'latest' below is the newest of its kind. If that one has the tag 'suspect', its dump had become much smaller "
        "than before: type the ID of an older one instead. What is not at every place says where it is.");
}

/* "   # only at usb": not every repository has it. NULL: every one. The caller frees it. */
static char *where_only(const struct kit *k, const struct kit_source *s)
{
    size_t repositories = 0;
    for (size_t i = 0; i < k->destination_count; i++)
        repositories += k->destinations[i].has_repository;
    if (s->places.count == 0 || s->places.count >= repositories)
        return NULL;
    char *names = strlist_join(&s->places, ", "), *out = mem_printf("   # only at %s", names);
    free(names);
    return out;
}

static void restore_command(const struct page *p, const struct kit_source *s)
{
    char *host = shell_word(p->k->host), *tier = shell_word(s->tier), *path = shell_word(s->path);
    char *only = where_only(p->k, s);
    line(p, KIT_COMMAND_LINE, "restic restore latest --host %s --tag tier=%s --path %s --target restored%s", host, tier,
         path, only != NULL ? only : "");
    free(only);
    free(host);
    free(tier);
    free(path);
}

static void files(const struct page *p, enum kit_kind kind, const char *heading)
{
    bool any = false;
    for (size_t i = 0; i < p->k->source_count; i++) {
        const struct kit_source *s = &p->k->sources[i];
        if (s->kind != kind)
            continue;
        if (!any)
            line(p, KIT_HEADING, "%s", heading);
        any = true;
        restore_command(p, s);
    }
    if (any && kind == KIT_FILES)
        line(
            p, KIT_TEXT,
            "They are below restored/ then, under their old paths. Move them to where they were, under the same paths "
            "and "
            "for the same user: databases and settings of the agent hold absolute paths. --include PATH takes a part.");
}

/* Puts together whatever git repositories lie below restored/: also bare, shallow, in a merge, without a commit, and
 * submodules, whose core.worktree names a place that they had; then the working trees that are linked to them, which
 * are told where the repository is now. GIT_DIR is set so that git does not mind whose they are; HEAD is nowhere until
 * all is fetched. */
static const char *const GIT_STEPS[] = {
    "fill() {  # a git directory, its tree, what was not committed, the stored git directory, our refs",
    "  export GIT_DIR=\"$1\" GIT_WORK_TREE=\"$2\"; rm -f \"$1/index\"",
    "  ! git rev-parse -q --verify HEAD >/dev/null || { git read-tree HEAD; git checkout-index -fa; }",
    "  ! git rev-parse -q --verify \"${5}index\" >/dev/null || git read-tree \"${5}index\"",
    "  [ ! -f \"$4/index\" ] || cp \"$4/index\" \"$1/\"",
    "  [ ! -d \"$3/files\" ] || cp -a \"$3/files/.\" \"$2/\"",
    "  [ ! -f \"$3/deleted\" ] || (cd \"$2\" && xargs -0 rm -f -- < \"$3/deleted\")",
    "}",
    "find restored/git -path '*/git-dir/HEAD' | sort | while read -r h; do",
    "  d=$PWD/${h%/HEAD}; b=${d%/git-dir}; r=$PWD/recovered/${b#\"$PWD/restored/git/\"}; g=$r/.git",
    "  [ \"$(git config -f \"$d/config\" core.bare)\" != true ] || g=$r",
    "  mkdir -p \"$g/objects\" \"$g/refs\"; cp \"$d/config\" \"$g/\"; echo ref: refs/heads/none > \"$g/HEAD\"",
    "  [ ! -f \"$d/shallow\" ] || cp \"$d/shallow\" \"$g/\"",
    "  export GIT_DIR=\"$g\" GIT_WORK_TREE=\"$r\"",
    "  u=$b/repository.bundle",
    "  [ ! -f \"$u\" ] || git -c core.logAllRefUpdates=false fetch -q \"$u\" '+refs/*:refs/*'",
    "  cp -a \"$d/.\" \"$g/\"; git config --unset core.worktree || :",
    "  [ \"$g\" = \"$r\" ] || fill \"$g\" \"$r\" \"$b/worktree\" \"$d\" refs/clawback/",
    "  for w in \"$g\"/worktrees/*; do",
    "    [ -f \"$w/gitdir\" ] || continue; n=${w##*/}; t=$(cat \"$w/gitdir\"); t=${t%/.git}",
    "    case $t in /*) t=$PWD/recovered$t;; *) t=$w/$t;; esac",
    "    mkdir -p \"$t\"; echo \"gitdir: $w\" > \"$t/.git\"; echo \"$t/.git\" > \"$w/gitdir\"",
    "    fill \"$w\" \"$t\" \"$b/worktrees/$n\" \"$d/worktrees/$n\" \"refs/clawback/worktrees/$n/\"",
    "    chown -R --reference=\"$d\" \"$t\"",
    "  done",
    "  chown -R --reference=\"$d\" \"$r\"",
    "done",
};

static void git_steps(const struct page *p)
{
    if (!is_there(p->k, KIT_GIT))
        return;
    line(p, KIT_HEADING, "Git repositories, with what was not committed");
    for (size_t i = 0; i < p->k->source_count; i++)
        if (p->k->sources[i].kind == KIT_GIT)
            restore_command(p, &p->k->sources[i]);
    line(p, KIT_TEXT,
         "Then this, once, puts all of them together below recovered/: branches, stashes, reflogs, settings and hooks; "
         "and what was staged, changed, removed or new, also in linked working trees.");
    for (size_t i = 0; i < sizeof GIT_STEPS / sizeof *GIT_STEPS; i++)
        line(p, KIT_COMMAND_LINE, "%s", GIT_STEPS[i]);
}

/* The container of that name in the plan, or NULL: then it was a server of the machine itself. */
static const struct plan_postgres *postgres_container(const struct kit *k, const char *name)
{
    for (size_t i = 0; i < k->plan->tier_count; i++)
        for (size_t n = 0; n < k->plan->tiers[i].postgres_count; n++) {
            const struct plan_postgres *pg = &k->plan->tiers[i].postgres[n];
            size_t len = pg->container != NULL ? strlen(pg->container) : 0;
            if (len > 0 && strncmp(name, pg->container, len) == 0 && (name[len] == '/' || name[len] == '\0'))
                return pg;
        }
    return NULL;
}

static void postgres_commands(const struct page *p, const struct kit_source *s)
{
    const struct plan_postgres *pg = postgres_container(p->k, s->path + strlen("/postgres/"));
    char *dir = mem_printf("restored%s", s->path), *in = shell_word(dir), *prefix = mem_strdup("");
    if (pg != NULL) {
        free(prefix);
        char *container = shell_word(pg->container), *user = shell_word(pg->user != NULL ? pg->user : "postgres");
        prefix = mem_printf("docker exec -i %s env PGUSER=%s ", container, user);
        free(container);
        free(user);
    }
    restore_command(p, s);
    line(p, KIT_COMMAND_LINE, "[ ! -f %s/globals.sql ] || %spsql -q -d postgres < %s/globals.sql", in, prefix, in);
    line(p, KIT_COMMAND_LINE,
         "for f in %s/*.dump; do %spg_restore --clean --if-exists --create -d template1 < \"$f\"; done", in, prefix);
    free(prefix);
    free(dir);
    free(in);
}

static void postgres_steps(const struct page *p)
{
    bool containers = false;
    if (!has_kind(p->k, KIT_POSTGRES))
        return;
    line(p, KIT_HEADING, "PostgreSQL: into a new, empty server, as its superuser");
    for (size_t i = 0; i < p->k->source_count; i++)
        if (p->k->sources[i].kind == KIT_POSTGRES) {
            postgres_commands(p, &p->k->sources[i]);
            containers = containers || postgres_container(p->k, p->k->sources[i].path + strlen("/postgres/")) != NULL;
        }
    if (containers)
        line(p, KIT_TEXT,
             "Where that container is no more: without 'docker exec -i NAME env PGUSER=USER', into any server of the "
             "version in server.json, or a newer one.");
    line(p, KIT_TEXT,
         "A message that a role exists already is harmless. NAME.counts.json holds the rows of each table, to "
         "compare with.");
}

static bool redis_container(const struct kit *k, const char *name)
{
    for (size_t i = 0; i < k->plan->tier_count; i++)
        for (size_t n = 0; n < k->plan->tiers[i].redis_count; n++) {
            const char *container = k->plan->tiers[i].redis[n].container;
            if (container != NULL && strcmp(container, name) == 0)
                return true;
        }
    return false;
}

static void redis_steps(const struct page *p)
{
    if (!has_kind(p->k, KIT_REDIS))
        return;
    line(p, KIT_HEADING, "Redis: put dump.rdb into the directory of a server that does not run, then start it");
    for (size_t i = 0; i < p->k->source_count; i++) {
        const struct kit_source *s = &p->k->sources[i];
        if (s->kind != KIT_REDIS)
            continue;
        const char *name = s->path + strlen("/redis/");
        char *file = mem_printf("restored%s/dump.rdb", s->path), *file_word = shell_word(file),
             *name_word = shell_word(name);
        restore_command(p, s);
        if (redis_container(p->k, name))
            line(p, KIT_COMMAND_LINE, "docker stop %s; docker cp %s %s:/data/dump.rdb; docker start %s", name_word,
                 file_word, name_word, name_word);
        else
            line(p, KIT_COMMAND_LINE,
                 "install -D -m 644 %s recovered%s/dump.rdb   # or into /var/lib/redis, owned by redis", file_word,
                 s->path);
        free(file);
        free(file_word);
        free(name_word);
    }
    line(p, KIT_TEXT,
         "For the first start 'appendonly no' must be set, else Redis looks for another file. Where a container is "
         "no more, the file goes into the directory of any server of the version in server.json, or a newer one.");
}

/* The file that has the passphrase of the tier's archives, wherever they lie. */
static const char *archive_passphrase_file(const struct kit *k, const struct plan_tier *t)
{
    const struct plan_destination *key = destination_of_archive_key(k->plan, t);
    size_t i = 0;
    while (i + 1 < k->destination_count && k->destinations[i].plan != key)
        i++;
    return passphrase_file(k, &k->destinations[i]);
}

static void open_archive(const struct page *p, const struct plan_tier *t, const char *file)
{
    const char *tar = t->archive.codec == PLAN_ZSTD   ? "tar x --zstd"
                      : t->archive.codec == PLAN_GZIP ? "tar xz"
                                                      : "tar x";
    if (t->archive.unencrypted)
        line(p, KIT_COMMAND_LINE, "mkdir -p restored; %s -C restored < %s", tar, file);
    else if (t->archive.recipients.count > 0)
        line(p, KIT_COMMAND_LINE, "mkdir -p restored; gpg --decrypt %s | %s -C restored", file, tar);
    else
        line(p, KIT_COMMAND_LINE,
             "mkdir -p restored; gpg --batch --pinentry-mode loopback --passphrase-file %s --decrypt %s | %s -C "
             "restored",
             archive_passphrase_file(p->k, t), file, tar);
    if (t->archive.recipients.count > 0)
        line(p, KIT_TEXT, "This needs the private key of one of its recipients: the passphrase does not open it.");
}

/* At the first of its destinations; where the others have the same file. False: it has none. */
static bool archive_of_tier(const struct page *p, const struct plan_tier *t, bool heading)
{
    const char *prefix = t->archive.prefix != NULL ? t->archive.prefix : t->name;
    const char *ending = t->archive.codec == PLAN_ZSTD   ? ".tar.zst"
                         : t->archive.codec == PLAN_GZIP ? ".tar.gz"
                                                         : ".tar";
    bool any = false;
    for (size_t i = 0; i < p->k->destination_count; i++) {
        const struct kit_destination *d = &p->k->destinations[i];
        if (d->archives == NULL || !strlist_contains(&t->to, d->plan->name))
            continue;
        char *path = mem_printf("%s/%s_latest%s%s", d->archives, prefix, ending, t->archive.unencrypted ? "" : ".gpg");
        char *file = shell_word(path);
        if (heading && !any)
            line(p, KIT_HEADING, "Archives: one file that holds everything of its tier");
        if (!any)
            open_archive(p, t, file);
        else
            line(p, KIT_TEXT, "or %s (%s)", file, d->plan->name);
        any = true;
        free(path);
        free(file);
    }
    return any;
}

static void archive_steps(const struct page *p)
{
    bool any = false;
    for (size_t i = 0; i < p->k->plan->tier_count; i++) {
        const struct plan_tier *t = &p->k->plan->tiers[i];
        if (!t->disabled && t->format == PLAN_ARCHIVE)
            any = archive_of_tier(p, t, !any) || any;
    }
    if (any)
        line(
            p, KIT_TEXT,
            "Others lie beside it, named by date; sha256sum -c NAME.sha256 tells whether one is undamaged. A newer one "
            "lacks something, such as a database that failed: grep complete *.sha256 tells.");
    if (in_archives(p->k, KIT_POSTGRES) || in_archives(p->k, KIT_REDIS))
        line(p, KIT_TEXT,
             "Dumps in it are loaded as below: restored/postgres/…/globals.sql with psql -d postgres, then each .dump "
             "with pg_restore --clean --if-exists --create -d template1; restored/redis/…/dump.rdb goes into the "
             "directory of a server that does not run.");
}

void recovery_kit_page(const struct kit *k, kit_line_fn *fn, void *ctx)
{
    const struct page p = {.k = k, .fn = fn, .ctx = ctx};
    bool repositories = false;
    for (size_t i = 0; i < k->destination_count; i++)
        repositories = repositories || k->destinations[i].has_repository;
    line(&p, KIT_TITLE, "Recovery kit for %s", k->host);
    line(&p, KIT_TEXT,
         "Made on %s by %s. How to get back what was backed up on this machine, with stock tools alone. Print it, keep "
         "it "
         "with the passphrase, away from the machine; print it again when the configuration changes.",
         k->made, k->version);
    passphrases(&p);
    places(&p);
    tools(&p);
    if (repositories) {
        choose_repository(&p);
        if (!k->from_repository)
            line(&p, KIT_TEXT, "No backup was made yet when this page was made: print it again after the first one.");
        files(&p, KIT_FILES, "Files");
    }
    archive_steps(&p);
    git_steps(&p);
    postgres_steps(&p);
    redis_steps(&p);
    files(&p, KIT_SQLITE, "Single databases");
    files(&p, KIT_COMMAND, "What commands printed");
}
