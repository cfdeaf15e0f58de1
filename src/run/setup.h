/*
 * Writing a first clawback.yaml from what was found: the choices with their defaults, the text, and judging a
 * passphrase. Asks nobody and prints nothing: the command does.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/strlist.h"
#include "run/discover.h"

struct setup_destination {
    char *name, *path; /* absolute, clean */
    bool require_mount;
    char *mount_point; /* require_mount: the drive's, where that is above the path; else NULL */
    bool same_disk;    /* as what is backed up to it */
};

/* A Telegram bot that the agent has already. All NULL: there is none. */
struct setup_telegram {
    char *config;     /* the file that has its token, or says where it is */
    char *key;        /* where in there: "channels.telegram.botToken" */
    char *token_file; /* the file with the token alone; NULL: the token itself is in `config` */
    char *chat;       /* the owner's number; NULL: not known */
};

struct setup_choice {
    struct setup_destination *destinations;
    size_t destination_count;
    const char *passphrase_file; /* absolute */
    bool push;                   /* git repositories to their remotes */
    bool archive;                /* the weekly one */
    const char *host;            /* NULL: not written */
    struct setup_telegram telegram;
};

/* One more place to keep backups: finds out whether something must be mounted there, and whether that is the disk that
 * is backed up; makes up a name. `path` is made absolute. ERR_USAGE: it lies in what is backed up (a backup of itself),
 * is a file, or was given already. */
int setup_add_destination(struct setup_choice *c, const struct discovery *d, const char *path, struct err *err);
void setup_choice_release(struct setup_choice *c);
/* Those that a plan can hold as they are: that let us in, or that do not run now. */
bool setup_usable_server(const struct discovered_server *s);
size_t setup_usable_servers(const struct discovered_servers *l);
/* Is there anything at all to back up? */
bool setup_has_sources(const struct discovery *d);

/* Looks into the configurations of these state directories; what cannot be read has none. Never gets hold of the token
 * for longer than it takes to see that there is one. Released with the choice. */
void setup_telegram_find(const struct strlist *roots, struct setup_telegram *out);
void setup_telegram_release(struct setup_telegram *t);

/* The whole file. `user_home` is written as "~". Appends. */
void setup_render(const struct discovery *d, const struct setup_choice *c, const char *user_home, struct buf *out);
/* A YAML scalar for any text: plain where that is safe, else in double quotes. */
void setup_yaml_string(const char *text, struct buf *out);

/* NULL when it is strong enough, else what is wrong with it, for people: "it has 12 characters; 20 or more are safe".
 */
const char *setup_passphrase_weakness(const char *passphrase);
