/* Passphrases, gpg, and the files whose content must not be seen by others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"
#include "run/destination.h"
#include "run/doctor_checks.h"
#include "run/manifest.h"
#include "run/setup.h"
#include "run/tier_files.h"
#include "sink/openpgp.h"

enum { SHOWN_SECRETS = 3 };

/* --- passphrases --- */

static void judge_strength(struct doctor *d, const struct secret *s, const char *whose)
{
    char *text = NULL, described[512];
    struct err err = {0};
    secret_describe(s, described, sizeof described);
    if (secret_fetch(s, &text, &err) < 0) {
        doctor_say(d, DOCTOR_RED, "without it nothing can be backed up; clawback setup makes one", "%s passphrase: %s",
                   whose, err.message);
        return;
    }
    const char *weakness = setup_passphrase_weakness(text);
    mem_wipe_string(text);
    if (weakness != NULL)
        doctor_say(d, DOCTOR_YELLOW, "take a longer one: clawback key passwd changes a repository's",
                   "%s passphrase (%s) is weak: %s", whose, described, weakness);
    else
        doctor_say(d, DOCTOR_GREEN, NULL, "%s passphrase (%s) can be read and is strong", whose, described);
    if (s->kind == SECRET_ENV)
        doctor_say(d, DOCTOR_YELLOW, "a file is safer: passphrase: {file: …}, mode 0600",
                   "%s passphrase comes from the environment, where a scheduler will not have it", whose);
}

/* A directory above it that others may write in lets them put another file into its place. */
static bool path_is_open(const char *file, char **where)
{
    char *dir = mem_strdup(file), *slash;
    struct stat st;
    while ((slash = strrchr(dir, '/')) != NULL) {
        slash[slash == dir] = '\0';
        if (stat(dir, &st) == 0 && (st.st_mode & 022) != 0 && (st.st_mode & S_ISVTX) == 0) {
            *where = dir;
            return true;
        }
        if (slash == dir)
            break;
    }
    free(dir);
    return false;
}

static void judge_file(struct doctor *d, const char *file)
{
    struct stat st;
    char advice[1024], *where = NULL;
    if (stat(file, &st) < 0)
        return; /* said already */
    snprintf(advice, sizeof advice, "chmod 600 '%s'", file);
    if ((st.st_mode & 077) != 0)
        doctor_say(d, DOCTOR_RED, advice, "others may read passphrase file '%s' (mode %04o)", file,
                   (unsigned)st.st_mode & 07777);
    else if (st.st_uid != geteuid() && st.st_uid != 0)
        doctor_say(d, DOCTOR_YELLOW, "make it your own: chown", "passphrase file '%s' belongs to another user", file);
    else if (path_is_open(file, &where))
        doctor_say(d, DOCTOR_YELLOW, "take that right away: chmod go-w",
                   "others may write in '%s', above passphrase file '%s'", where, file);
    else
        doctor_say(d, DOCTOR_GREEN, NULL, "only its owner may read passphrase file '%s'", file);
    free(where);
}

static void judge_place_in_tier(struct doctor *d, const char *file, const struct plan_tier *t)
{
    struct tier_files files = {0};
    bool inside = false;
    if (tier_files_gather(d->plan, t, d->options->cache_dir, &files, NULL) == 0) {
        for (size_t i = 0; i < files.paths.count; i++)
            inside = inside || os_path_is_below(file, files.paths.items[i]);
        inside = inside && (files.filter == NULL || !filter_match(files.filter, file));
    }
    tier_files_release(&files);
    if (inside && t->format == PLAN_ARCHIVE && t->archive.unencrypted)
        doctor_say(d, DOCTOR_GREEN, NULL, "tier '%s' leaves passphrase file '%s' out of its unencrypted archive",
                   t->name, file);
    else if (inside)
        doctor_say(d, DOCTOR_YELLOW, "exclude it from the tier; keep a copy off this machine instead",
                   "tier '%s' takes passphrase file '%s' into the very backup that it opens", t->name, file);
}

static void judge_place(struct doctor *d, const char *file)
{
    for (size_t i = 0; i < d->plan->destination_count; i++) {
        const char *path = destination_path(&d->plan->destinations[i]);
        if (path != NULL && os_path_is_below(file, path))
            doctor_say(d, DOCTOR_RED, "move it away: whoever finds the drive must not find the key on it",
                       "passphrase file '%s' lies in destination '%s'", file, d->plan->destinations[i].name);
    }
    for (size_t i = 0; i < d->plan->tier_count; i++)
        if (!d->plan->tiers[i].disabled)
            judge_place_in_tier(d, file, &d->plan->tiers[i]);
}

static void judge_secret(struct doctor *d, const struct secret *s, const char *whose)
{
    judge_strength(d, s, whose);
    if (s->kind == SECRET_FILE) {
        judge_file(d, s->name);
        judge_place(d, s->name);
    }
}

void doctor_passphrase(struct doctor *d)
{
    bool needed = false;
    for (size_t i = 0; i < d->plan->destination_count; i++) {
        const struct plan_destination *dest = &d->plan->destinations[i];
        char *whose = mem_printf("destination '%s': its", dest->name);
        if (dest->passphrase.kind != SECRET_NONE)
            judge_secret(d, &dest->passphrase, whose);
        else
            needed = true;
        free(whose);
    }
    if (d->plan->passphrase.kind != SECRET_NONE)
        judge_secret(d, &d->plan->passphrase, "the");
    else if (needed)
        doctor_say(d, DOCTOR_RED, "add 'passphrase: {file: …}'; clawback setup makes one", "there is no passphrase");
}

/* --- gpg --- */

static void try_tier(struct doctor *d, const struct plan_tier *t)
{
    struct openpgp_options options = {.kind = OPENPGP_SYMMETRIC, .recipients = &t->archive.recipients};
    struct err err = {0};
    char *passphrase = NULL;
    int rc = 0;
    if (t->archive.recipients.count > 0)
        options.kind = OPENPGP_RECIPIENTS;
    else
        rc = destination_passphrase(d->plan, destination_of_archive_key(d->plan, t), &passphrase, &err);
    options.passphrase = passphrase;
    if (rc == 0)
        rc = openpgp_check(&options, NULL, &err);
    mem_wipe_string(passphrase);
    if (rc == 0)
        doctor_say(d, DOCTOR_GREEN, NULL, "gpg encrypts %s for tier '%s' without a terminal",
                   options.kind == OPENPGP_RECIPIENTS ? "to its keys" : "with the passphrase", t->name);
    else
        doctor_say(d, DOCTOR_RED, err.code == ERR_NOT_FOUND ? "install it: apt install gnupg" : "see the message",
                   "tier '%s': %s", t->name, err.message);
}

void doctor_gpg(struct doctor *d)
{
    size_t count = 0;
    for (size_t i = 0; i < d->plan->tier_count; i++) {
        const struct plan_tier *t = &d->plan->tiers[i];
        if (t->disabled || t->format != PLAN_ARCHIVE || t->archive.unencrypted)
            continue;
        try_tier(d, t);
        count++;
    }
    if (count == 0)
        doctor_say(d, DOCTOR_GREEN, NULL, "no tier makes archives that gpg would encrypt");
}

/* --- sensitive files --- */

static char *some_paths(const struct strlist *paths)
{
    struct strlist shown = {0};
    size_t more = 0;
    for (size_t i = 0; i < paths->count; i++)
        if (shown.count < SHOWN_SECRETS)
            strlist_add(&shown, paths->items[i]);
        else
            more++;
    char *list = strlist_join(&shown, ", ");
    if (more > 0) {
        char *longer = mem_printf("%s and %zu more", list, more);
        free(list);
        list = longer;
    }
    strlist_release(&shown);
    return list;
}

static void tell_secrets(struct doctor *d, const struct plan_tier *t, const struct manifest *m)
{
    struct strlist paths = {0};
    for (size_t i = 0; i < m->secret_count; i++)
        strlist_add(&paths, m->secrets[i].path);
    char *all = some_paths(&paths);
    if (m->secret_count == 0)
        doctor_say(d, DOCTOR_GREEN, NULL, "tier '%s' holds no files that look sensitive", t->name);
    else if (manifest_leaves_secrets_out(m))
        doctor_say(d, DOCTOR_YELLOW, "encrypt the tier's archive, or see that another tier has them",
                   "tier '%s' leaves out %zu sensitive file%s, since its archive is not encrypted: %s", t->name,
                   m->secret_count, m->secret_count == 1 ? "" : "s", all);
    else
        doctor_say(d, DOCTOR_GREEN, NULL, "tier '%s' holds %zu sensitive file%s, and is encrypted: %s", t->name,
                   m->secret_count, m->secret_count == 1 ? "" : "s", all);
    free(all);
    strlist_release(&paths);
}

static void add_exposed(struct strlist *exposed, const struct manifest *m)
{
    for (size_t i = 0; i < m->secret_count; i++)
        if (m->secrets[i].exposed && !strlist_contains(exposed, m->secrets[i].path))
            strlist_add(exposed, m->secrets[i].path);
}

/* Of all tiers at once: a file lies where it lies, however many of them hold it. */
static void tell_exposed(struct doctor *d, const struct strlist *exposed)
{
    char *list = some_paths(exposed);
    if (exposed->count > 0)
        doctor_say(d, DOCTOR_YELLOW, "chmod go-rwx them", "%zu sensitive file%s can be read by other users: %s",
                   exposed->count, exposed->count == 1 ? "" : "s", list);
    free(list);
}

void doctor_sensitive(struct doctor *d)
{
    struct strlist exposed = {0};
    for (size_t i = 0; i < d->plan->tier_count; i++) {
        const struct plan_tier *t = &d->plan->tiers[i];
        if (t->disabled || t->files.count == 0)
            continue;
        const struct manifest_options options = {.cache_dir = d->options->cache_dir, .look_into = true};
        struct manifest m;
        struct err err = {0};
        if (manifest_make(d->plan, t, &options, NULL, &m, &err) == 0) {
            tell_secrets(d, t, &m);
            add_exposed(&exposed, &m);
        } else {
            doctor_say(d, DOCTOR_RED, "see the message", "%s", err.message);
        }
        manifest_release(&m);
    }
    tell_exposed(d, &exposed);
    strlist_release(&exposed);
}
