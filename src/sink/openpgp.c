/*
 * gpg reads the passphrase as the first line of its standard input, byte by byte, and then the data: one descriptor
 * serves both, and nothing else has to be inherited. What goes in is a socket, so that writing to a gpg that is gone is
 * an error and no signal, and so that another thread can end a write that waits.
 *
 * gpg's machine-readable status lines come with its messages on standard error; success is believed only when they say
 * so, too.
 */
#include "sink/openpgp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/process.h"

enum {
    ARGS_MAX = 48,
    TRIAL_BYTES = 64,
    S2K_COUNT_MAX = 65011712, /* RFC 4880, 3.7.1.3: the largest that can be written */
    S2K_COUNT_TRIAL = 65536,
    DAY_S = 86400,
};

#define HOME_PREFIX "clawback-gpg-"

struct openpgp {
    struct process *process;
    int input_fd; /* stays open until the end, so that openpgp_abort() cannot meet another file; -1: none */
    char *home;   /* gpg's own, to be removed; NULL: the owner's */
    bool decrypting;
};

/* ---- the command line */

struct args {
    const char *items[ARGS_MAX];
    size_t count;
};

static void add(struct args *a, const char *arg)
{
    if (a->count + 1 < ARGS_MAX)
        a->items[a->count++] = arg;
}

static void add_all(struct args *a, const char *const *list)
{
    for (; *list != NULL; list++)
        add(a, *list);
}

static const char *const ALWAYS[] = {
    "gpg",          "--no-options",          "--batch",  "--no-tty", "--quiet", "--status-fd", "2", "--no-greeting",
    "--lock-never", "--no-random-seed-file", "--output", "-",        NULL,
};
/* No agent is needed where the passphrase is given and the key derivation's work factor is. */
static const char *const WITH_PASSPHRASE[] = {
    "--no-autostart", "--no-keyring", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--no-symkey-cache", NULL,
};
static const char *const STRONG[] = {
    "--cipher-algo", "AES256", "--digest-algo", "SHA512", "--compress-algo", "none", NULL,
};
static const char *const STRONG_SYMMETRIC[] = {
    "--s2k-cipher-algo", "AES256", "--s2k-digest-algo", "SHA512", "--s2k-mode", "3", NULL,
};
/* A key that is not in the keyring is not asked for on the network. */
static const char *const TO_RECIPIENTS[] = {
    "--trust-model", "always", "--no-auto-key-locate", "--disable-dirmngr", "--no-encrypt-to", "--encrypt", NULL,
};

/* ---- gpg's own home */

/* Usually it is empty; some versions put an empty keyring there. */
static void remove_home(char *home)
{
    DIR *d = home != NULL ? opendir(home) : NULL;
    if (d != NULL) {
        for (struct dirent *e; (e = readdir(d)) != NULL;)
            if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && unlinkat(dirfd(d), e->d_name, 0) != 0)
                (void)unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
        closedir(d);
        (void)rmdir(home);
    }
    free(home);
}

/* Those of runs that were killed, in our state. */
static void remove_abandoned(const char *base)
{
    DIR *d = opendir(base);
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        struct stat st;
        if (strncmp(e->d_name, HOME_PREFIX, sizeof HOME_PREFIX - 1) == 0 &&
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
            st.st_uid == geteuid() && st.st_mtime < os_now().tv_sec - DAY_S)
            remove_home(os_path_join(base, e->d_name));
    }
    closedir(d);
}

static char *make_home(const char *state_dir, struct err *err)
{
    const char *base = state_dir != NULL ? state_dir : getenv("TMPDIR");
    if (base == NULL || base[0] != '/')
        base = "/tmp";
    if (base == state_dir)
        remove_abandoned(base);
    char *home = mem_printf("%s/" HOME_PREFIX "XXXXXX", base);
    if (mkdtemp(home) != NULL) /* 0700 */
        return home;
    err_errno(err, errno, "cannot make a directory for gpg in '%s'", base);
    free(home);
    return NULL;
}

/* ---- starting and ending */

static int start_process(struct openpgp *p, const struct args *a, struct err *err)
{
    static const char *const ENVIRONMENT[] = {"LC_ALL=C", "LANGUAGE=C", NULL};
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return err_errno(err, errno, "cannot start 'gpg'");
    struct process_options options = {
        .argv = (char *const *)(uintptr_t)a->items, /* not written to */
        .environment = ENVIRONMENT,
        .with_stdin = true,
        .stdin_fd = ends[1],
    };
    struct err why = {.code = ERR_NONE};
    int rc = process_start(&p->process, &options, &why);
    close(ends[1]);
    if (rc == 0) {
        p->input_fd = ends[0];
        return 0;
    }
    close(ends[0]);
    if (why.code == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "gpg is not installed: archives are encrypted by GnuPG (apt install gnupg)");
    if (err != NULL)
        *err = why;
    return -1;
}

static int check_passphrase(const struct openpgp_options *o, struct err *err)
{
    if (o->passphrase == NULL || o->passphrase[0] == '\0')
        return err_set(err, ERR_USAGE, "no passphrase to encrypt the archive with");
    if (strpbrk(o->passphrase, "\r\n") != NULL)
        return err_set(err, ERR_USAGE, "a passphrase of several lines cannot be used with gpg");
    return 0;
}

/* Where gpg has ended already, openpgp_end() says why: that is more than the failed write knows. */
static void send_passphrase(struct openpgp *p, const char *passphrase)
{
    size_t len = strlen(passphrase);
    char *line = mem_alloc(len + 1);
    memcpy(line, passphrase, len);
    line[len] = '\n';
    (void)openpgp_write(p, line, len + 1, NULL);
    mem_wipe(line, len + 1);
    free(line);
}

/* `mode`: "--symmetric", "--decrypt". */
static int start_with_passphrase(struct openpgp *p, const struct openpgp_options *o, const char *mode,
                                 unsigned s2k_count, const char *state_dir, struct err *err)
{
    struct args a = {0};
    char count[16];
    if (check_passphrase(o, err) != 0)
        return -1;
    p->home = make_home(state_dir, err);
    if (p->home == NULL)
        return -1;
    snprintf(count, sizeof count, "%u", s2k_count);
    add_all(&a, ALWAYS);
    add(&a, "--homedir");
    add(&a, p->home);
    add_all(&a, WITH_PASSPHRASE);
    if (!p->decrypting) {
        add_all(&a, STRONG);
        add_all(&a, STRONG_SYMMETRIC);
        add(&a, "--s2k-count");
        add(&a, count);
    }
    add(&a, mode);
    if (start_process(p, &a, err) != 0)
        return -1;
    send_passphrase(p, o->passphrase);
    return 0;
}

/* Any number of recipients: the arguments are made on the heap. */
static int start_to_recipients(struct openpgp *p, const struct strlist *recipients, struct err *err)
{
    struct args a = {0};
    struct strlist with = {0};
    add_all(&a, ALWAYS);
    add_all(&a, STRONG);
    add_all(&a, TO_RECIPIENTS);
    for (size_t i = 0; i < recipients->count; i++) {
        strlist_add(&with, "--recipient");
        strlist_add(&with, recipients->items[i]);
    }
    int rc = a.count + with.count < ARGS_MAX
                 ? 0
                 : err_set(err, ERR_USAGE, "an archive cannot be encrypted to as many as %zu keys", recipients->count);
    for (size_t i = 0; rc == 0 && i < with.count; i++)
        add(&a, with.items[i]);
    if (rc == 0)
        rc = start_process(p, &a, err);
    strlist_release(&with);
    return rc;
}

static struct openpgp *new_openpgp(bool decrypting)
{
    struct openpgp *p = mem_zalloc(sizeof *p);
    p->input_fd = -1;
    p->decrypting = decrypting;
    return p;
}

static int start_encrypting(struct openpgp **out, const struct openpgp_options *o, unsigned s2k_count,
                            const char *state_dir, struct err *err)
{
    struct openpgp *p = new_openpgp(false);
    int rc = -1;
    if (o->kind == OPENPGP_SYMMETRIC)
        rc = start_with_passphrase(p, o, "--symmetric", s2k_count, state_dir, err);
    else if (o->recipients == NULL || o->recipients->count == 0)
        err_set(err, ERR_USAGE, "no key to encrypt the archive to");
    else
        rc = start_to_recipients(p, o->recipients, err);
    *out = rc == 0 ? p : NULL;
    if (rc != 0)
        openpgp_free(p);
    return rc;
}

int openpgp_encrypt(struct openpgp **out, const struct openpgp_options *o, const char *state_dir, struct err *err)
{
    return start_encrypting(out, o, S2K_COUNT_MAX, state_dir, err);
}

int openpgp_decrypt(struct openpgp **out, const struct openpgp_options *o, const char *state_dir, struct err *err)
{
    struct openpgp *p = new_openpgp(true);
    int rc = start_with_passphrase(p, o, "--decrypt", 0, state_dir, err);
    *out = rc == 0 ? p : NULL;
    if (rc != 0)
        openpgp_free(p);
    return rc;
}

void openpgp_free(struct openpgp *p)
{
    if (p == NULL)
        return;
    if (p->input_fd >= 0)
        close(p->input_fd);
    process_free(p->process);
    remove_home(p->home);
    free(p);
}

/* ---- the stream */

int openpgp_write(struct openpgp *p, const void *data, size_t len, struct err *err)
{
    const char *from = data;
    while (len > 0) {
        ssize_t n = send(p->input_fd, from, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "cannot write to gpg");
        from += n;
        len -= (size_t)n;
    }
    return 0;
}

void openpgp_close_input(struct openpgp *p)
{
    (void)shutdown(p->input_fd, SHUT_WR);
}

void openpgp_abort(struct openpgp *p)
{
    (void)shutdown(p->input_fd, SHUT_RDWR);
}

int64_t openpgp_read(struct openpgp *p, void *data, size_t cap, struct err *err)
{
    return process_read(p->process, data, cap, err);
}

/* gpg's last message that is no status line, without its "gpg: "; what err holds where there is none. */
static int say_last_words(struct openpgp *p, const char *doing, struct err *err)
{
    const char *text = process_stderr(p->process), *found = NULL;
    size_t found_len = 0;
    for (const char *line = text; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        if (strncmp(line, "gpg: ", 5) == 0 && strncmp(line, "gpg: block_filter", 17) != 0) {
            found = line + 5;
            found_len = len - 5;
        }
        line += len + (line[len] == '\n');
    }
    if (found != NULL)
        return err_set(err, ERR_FAILED, "cannot %s: gpg: %.*s", doing, (int)found_len, found);
    return err_wrap(err, "cannot %s", doing);
}

static bool has_said(struct openpgp *p, const char *status)
{
    return strstr(process_stderr(p->process), status) != NULL;
}

static int judge_decryption(struct openpgp *p, int rc, struct err *err)
{
    if (rc == 0 && has_said(p, "[GNUPG:] DECRYPTION_OKAY") && has_said(p, "[GNUPG:] GOODMDC"))
        return 0;
    if (has_said(p, "BAD_PASSPHRASE") || has_said(p, "Bad session key"))
        return err_set(err, ERR_WRONG_PASSPHRASE, "cannot decrypt: the passphrase is another one");
    if (has_said(p, "[GNUPG:] BADMDC") || has_said(p, "[GNUPG:] NODATA") || has_said(p, "[GNUPG:] UNEXPECTED") ||
        rc == 0)
        return err_set(err, ERR_CORRUPT, "cannot decrypt: it is damaged, or cut off");
    return say_last_words(p, "decrypt", err);
}

int openpgp_end(struct openpgp *p, struct err *err)
{
    struct err local = {.code = ERR_NONE};
    if (err == NULL)
        err = &local;
    int rc = process_wait(p->process, err);
    if (rc != 0 && (err->code == ERR_INTERRUPTED || err->code == ERR_TIMEOUT))
        return -1;
    if (p->decrypting)
        return judge_decryption(p, rc, err);
    if (rc == 0 && has_said(p, "[GNUPG:] END_ENCRYPTION"))
        return 0;
    if (rc == 0)
        err_set(err, ERR_FAILED, "gpg ended without having encrypted anything");
    return say_last_words(p, "encrypt", err);
}

/* ---- does it work? */

/* Puts `in` through, which is small enough for every buffer on the way. What comes out: up to cap bytes. */
static int pass(struct openpgp *p, const void *in, size_t len, void *out, size_t cap, size_t *len_out, struct err *err)
{
    /* A gpg that ends early says more than the failed write. */
    (void)openpgp_write(p, in, len, NULL);
    openpgp_close_input(p);
    int64_t n = openpgp_read(p, out, cap, err);
    if (n < 0)
        return -1;
    *len_out = (size_t)n;
    return openpgp_end(p, err);
}

static int try_recipient(const char *recipient, struct err *err)
{
    char *item = (char *)(uintptr_t)recipient; /* not written to */
    struct strlist one = {&item, 1, 1};
    struct openpgp_options o = {.kind = OPENPGP_RECIPIENTS, .recipients = &one};
    struct openpgp *p;
    unsigned char sealed[4096];
    size_t len;
    if (start_encrypting(&p, &o, 0, NULL, err) != 0)
        return -1;
    int rc = pass(p, "", 0, sealed, sizeof sealed, &len, err);
    if (rc != 0 && has_said(p, "[GNUPG:] INV_RECP"))
        rc = err_set(err, ERR_USAGE,
                     "cannot encrypt to '%s': no usable key in gpg's keyring (missing, expired, revoked, or not for "
                     "encryption); get it there with 'gpg --import'",
                     recipient);
    openpgp_free(p);
    return rc;
}

static int try_passphrase(const struct openpgp_options *o, const char *state_dir, struct err *err)
{
    static const unsigned char TEXT[TRIAL_BYTES] = "clawback";
    unsigned char sealed[4096], opened[TRIAL_BYTES + 1];
    size_t sealed_len = 0, opened_len = 0;
    struct openpgp *p;
    if (start_encrypting(&p, o, S2K_COUNT_TRIAL, state_dir, err) != 0)
        return -1;
    int rc = pass(p, TEXT, sizeof TEXT, sealed, sizeof sealed, &sealed_len, err);
    openpgp_free(p);
    if (rc != 0 || openpgp_decrypt(&p, o, state_dir, err) != 0)
        return -1;
    rc = pass(p, sealed, sealed_len, opened, sizeof opened, &opened_len, err);
    openpgp_free(p);
    if (rc == 0 && (opened_len != sizeof TEXT || memcmp(opened, TEXT, sizeof TEXT) != 0))
        rc = err_set(err, ERR_FAILED, "gpg does not decrypt what it has encrypted");
    return rc;
}

int openpgp_check(const struct openpgp_options *o, const char *state_dir, struct err *err)
{
    if (o->kind == OPENPGP_NONE)
        return 0;
    if (o->kind == OPENPGP_SYMMETRIC)
        return try_passphrase(o, state_dir, err);
    if (o->recipients == NULL || o->recipients->count == 0)
        return err_set(err, ERR_USAGE, "no key to encrypt the archive to");
    for (size_t i = 0; i < o->recipients->count; i++)
        if (try_recipient(o->recipients->items[i], err) != 0)
            return -1;
    return 0;
}
