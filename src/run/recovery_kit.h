/*
 * The recovery kit: one page with everything that somebody who has never heard of clawback needs to get all of it back
 * with stock tools (restic, gpg, tar, git, pg_restore …): where the backups are, what to type, where the passphrase is.
 * It is meant to be printed and kept off the machine. What it says of commands is made from what the repositories hold
 * now, else from the plan.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <time.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/strlist.h"
#include "plan/plan.h"

enum kit_kind { KIT_FILES, KIT_GIT, KIT_POSTGRES, KIT_REDIS, KIT_SQLITE, KIT_COMMAND };

struct kit_source { /* one snapshot to restore: of a tier, by its first path */
    enum kit_kind kind;
    char *tier, *path;
    struct strlist places; /* names of the destinations that hold it; those that cannot be asked: by the plan */
};

struct kit_passphrase {
    char *file;           /* that the commands read it from: "passphrase.txt", "passphrase-NAME.txt" */
    char *whereabouts;    /* on the machine: "file '…'" */
    char *text;           /* NULL: not to be on the page */
    struct strlist opens; /* names of destinations; of the plan's own, those without one of their own */
};

struct kit_destination {
    const struct plan_destination *plan;
    char *path;        /* absolute; NULL: no path */
    char *mount;       /* the command that mounts it; NULL: it lies on the machine's own disk, or is not mounted now */
    char *repository;  /* its ID, 64 hex digits; NULL: none, or not reachable */
    char *archives;    /* directory of this host's archives; NULL: none go there */
    char *note;        /* why something is not known; NULL */
    size_t passphrase; /* which of the kit's */
    bool has_repository, has_archives; /* by the plan */
    bool asked;                        /* its repository could be opened */
};

struct kit {
    const struct plan *plan;
    char *host, *made; /* the date */
    const char *version;
    struct kit_destination *destinations;
    size_t destination_count;
    struct kit_source *sources; /* each once, by tier */
    size_t source_count;
    bool from_repository;               /* sources: what is stored; else what the plan would store */
    struct kit_passphrase *passphrases; /* the plan's first, unless each destination has its own */
    size_t passphrase_count;
    bool with_passphrase;
};

/* Looks at the destinations and into their repositories, reading only. What cannot be reached is noted on the page.
 * -1: the passphrases were asked for, and one cannot be had. recovery_kit_release() (which wipes them) either way. */
int recovery_kit_make(const struct plan *p, const char *state_dir, const char *version, bool with_passphrase,
                      struct kit *out, struct err *err);
void recovery_kit_release(struct kit *k);

/* What is on the page, for both forms: recovery_kit_page.c. */
enum kit_line_kind {
    KIT_TITLE,
    KIT_HEADING,
    KIT_TEXT,
    KIT_COMMAND_LINE, /* to be typed as it is */
    KIT_FIELD,        /* key and value */
    KIT_WARNING,
    KIT_BLANK_LINE /* to write on */
};
typedef void kit_line_fn(void *ctx, enum kit_line_kind kind, const char *key, const char *text);
void recovery_kit_page(const struct kit *k, kit_line_fn *fn, void *ctx);

/* Plain text, 100 columns; commands on lines of their own after "    $ ". Appends. */
void recovery_kit_text(const struct kit *k, struct buf *out);
/* One HTML page without anything from elsewhere, made to be printed on A4. Appends. */
void recovery_kit_html(const struct kit *k, struct buf *out);
