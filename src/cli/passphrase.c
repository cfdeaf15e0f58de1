/* Where the passphrase comes from. Every buffer that held one is wiped. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/environment.h"
#include "cli/output.h"
#include "cli/words.h"
#include "crypto/cipher.h"
#include "os/file.h"
#include "os/interrupt.h"
#include "plan/secret.h"

enum { PASSPHRASE_MAX_BYTES = SECRET_MAX_BYTES, GENERATED_CHARS = 32, TERMINAL_POLL_MS = 200 };

char *cli_default_passphrase_file(void)
{
    return environment_xdg("XDG_CONFIG_HOME", "~/.config", "clawback/passphrase");
}

static void wipe_and_release(struct buf *b)
{
    if (b->data != NULL)
        mem_wipe(b->data, b->cap);
    buf_release(b);
}

/* --- from a file --- */

static void warn_when_exposed(struct cli *cli, const char *path)
{
    if (secret_file_exposed(path))
        cli_warn(cli, "passphrase file '%s' is open to others; run: chmod 600 '%s'", path, path);
}

static int from_file(struct cli *cli, const char *path, char **out, struct err *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    if (secret_from_file(is_stdin ? "/dev/stdin" : path, out, err) < 0)
        return err_wrap(err, "cannot read the passphrase");
    if (!is_stdin)
        warn_when_exposed(cli, path);
    return 0;
}

/* --- from a command --- */

static int from_command(const char *command, char **out, struct err *err)
{
    struct strlist words = {0};
    int rc = words_split(command, &words, err);
    if (rc == 0)
        rc = secret_from_command(&words, true, out, err);
    if (rc < 0)
        err_wrap(err, "cannot get the passphrase");
    strlist_release(&words);
    return rc;
}

/* --- from the terminal --- */

/* Reads a line; a signal ends it. */
static int read_line(int tty, struct buf *line, struct err *err)
{
    for (;;) {
        struct pollfd ready = {.fd = tty, .events = POLLIN};
        int n = poll(&ready, 1, TERMINAL_POLL_MS);
        if (os_check_interrupt(err) < 0)
            return -1;
        if (n <= 0)
            continue;
        char c;
        ssize_t got = read(tty, &c, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, errno, "cannot read from the terminal");
        if (got == 0 || c == '\n')
            return 0;
        buf_append_byte(line, (unsigned char)c);
    }
}

/* One question with echo off; the terminal is left as it was. */
static int ask(int tty, const char *question, char **out, struct err *err)
{
    struct termios before, silent;
    if (tcgetattr(tty, &before) < 0)
        return err_errno(err, errno, "cannot prepare the terminal");
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    if (tcsetattr(tty, TCSAFLUSH, &silent) < 0)
        return err_errno(err, errno, "cannot prepare the terminal");
    struct buf line;
    buf_init(&line, PASSPHRASE_MAX_BYTES);
    buf_reserve(&line, PASSPHRASE_MAX_BYTES);
    int rc = os_write_full(tty, question, strlen(question));
    rc = rc < 0 ? err_errno(err, errno, "cannot write to the terminal") : read_line(tty, &line, err);
    tcsetattr(tty, TCSAFLUSH, &before);
    os_write_full(tty, "\n", 1);
    if (rc == 0 && line.overflow)
        rc = err_set(err, ERR_USAGE, "the passphrase is too long");
    if (rc == 0 && line.len == 0)
        rc = err_set(err, ERR_USAGE, "an empty passphrase is none");
    if (rc == 0)
        *out = mem_strndup(buf_cstr(&line), line.len);
    wipe_and_release(&line);
    return rc;
}

static int ask_twice(int tty, const char *question, char **out, struct err *err)
{
    char *again = NULL;
    if (ask(tty, question, out, err) < 0)
        return -1;
    int rc = ask(tty, "once more: ", &again, err);
    if (rc == 0 && *out != NULL && again != NULL && strcmp(*out, again) != 0)
        rc = err_set(err, ERR_USAGE, "the two passphrases differ");
    mem_wipe_string(again);
    if (rc < 0 && *out != NULL) {
        mem_wipe_string(*out);
        *out = NULL;
    }
    return rc;
}

/* 1: nobody there to ask. */
static int from_terminal(const char *question, bool confirm, char **out, struct err *err)
{
    if (isatty(STDERR_FILENO) != 1)
        return 1;
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0)
        return 1;
    output_begin(); /* nothing else shall write over the question */
    int rc = confirm ? ask_twice(tty, question, out, err) : ask(tty, question, out, err);
    output_end();
    close(tty);
    return rc;
}

/* --- the order of them all --- */

/* 1: no variable is set. */
static int from_environment(struct cli *cli, char **out, struct err *err)
{
    static const struct {
        const char *text, *file, *command;
    } VARIABLES[] = {{"CLAWBACK_PASSPHRASE", "CLAWBACK_PASSPHRASE_FILE", "CLAWBACK_PASSPHRASE_COMMAND"},
                     {"RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND"}};
    for (size_t i = 0; i < sizeof VARIABLES / sizeof *VARIABLES; i++) {
        const char *text = environment_get(VARIABLES[i].text), *file = environment_get(VARIABLES[i].file);
        const char *command = environment_get(VARIABLES[i].command);
        if (text != NULL) {
            *out = mem_strdup(text);
            return 0;
        }
        if (file != NULL) {
            char *path = os_path_expand_home(file);
            int rc = from_file(cli, path, out, err);
            free(path);
            return rc;
        }
        if (command != NULL)
            return from_command(command, out, err);
    }
    return 1;
}

/* systemd's credential, then the default file. 1: neither is there. */
static int from_known_place(struct cli *cli, char **out, struct err *err)
{
    const char *credentials = environment_get("CREDENTIALS_DIRECTORY");
    char *places[2] = {credentials != NULL ? os_path_join(credentials, "clawback-passphrase") : NULL,
                       cli_default_passphrase_file()};
    int rc = 1;
    for (int i = 0; i < 2 && rc == 1; i++)
        if (places[i] != NULL && (access(places[i], F_OK) == 0 || errno != ENOENT))
            rc = from_file(cli, places[i], out, err);
    free(places[0]);
    free(places[1]);
    return rc;
}

static int no_passphrase(struct err *err)
{
    char *file = cli_default_passphrase_file();
    err_set(err, ERR_USAGE,
            "no passphrase was given: put it into '%s' (mode 0600), or name a file with --password-file, or set "
            "CLAWBACK_PASSPHRASE_FILE; for a new repository, 'clawback init --generate-passphrase' makes one",
            file);
    free(file);
    return -1;
}

int cli_passphrase(struct cli *cli, bool confirm, char **out, struct err *err)
{
    *out = NULL;
    if (cli->passphrase_file != NULL && cli->passphrase_command != NULL)
        return err_set(err, ERR_USAGE, "--password-file and --password-command exclude each other");
    if (cli->passphrase_file != NULL)
        return from_file(cli, cli->passphrase_file, out, err);
    if (cli->passphrase_command != NULL)
        return from_command(cli->passphrase_command, out, err);
    int rc = from_environment(cli, out, err);
    if (rc == 1)
        rc = from_known_place(cli, out, err);
    if (rc == 1)
        rc = from_terminal(confirm ? "new passphrase: " : "passphrase of the repository: ", confirm, out, err);
    return rc == 1 ? no_passphrase(err) : rc;
}

int cli_new_passphrase(struct cli *cli, const char *file, char **out, struct err *err)
{
    *out = NULL;
    if (file != NULL)
        return from_file(cli, file, out, err);
    int rc = from_terminal("new passphrase: ", true, out, err);
    return rc == 1 ? err_set(err, ERR_USAGE, "no new passphrase was given: name a file with --new-password-file") : rc;
}

/* --- a new one --- */

/* Characters that are not mistaken for one another when written down: 31, so 4.95 bits each. */
static int random_passphrase(char out[GENERATED_CHARS + 1], struct err *err)
{
    static const char ALPHABET[] = "23456789abcdefghjkmnpqrstuvwxyz";
    enum { COUNT = sizeof ALPHABET - 1, FAIR = 256 - 256 % COUNT };
    size_t used = 0;
    while (used < GENERATED_CHARS) {
        unsigned char random[GENERATED_CHARS];
        if (crypto_random(random, sizeof random, err) < 0)
            return -1;
        for (size_t i = 0; i < sizeof random && used < GENERATED_CHARS; i++)
            if (random[i] < FAIR) /* so that every character is as likely as the others */
                out[used++] = ALPHABET[random[i] % COUNT];
        mem_wipe(random, sizeof random);
    }
    out[used] = '\0';
    return 0;
}

/* A new file, never one that is there: O_EXCL decides. */
static int write_new_file(const char *path, const char *text, size_t len, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(err, errno, "cannot make passphrase file '%s'", path);
    int rc = 0;
    if (os_write_full(fd, text, len) < 0 || fsync(fd) < 0)
        rc = err_errno(err, errno, "cannot write passphrase file '%s'", path);
    if (close(fd) < 0 && rc == 0)
        rc = err_errno(err, errno, "cannot write passphrase file '%s'", path);
    if (rc < 0)
        unlink(path);
    return rc;
}

int cli_generate_passphrase(const char *file, char **out, struct err *err)
{
    char line[GENERATED_CHARS + 2];
    char *path = os_path_absolute(file);
    if (path == NULL)
        return err_errno(err, errno, "cannot find the working directory");
    char *slash = strrchr(path, '/');
    char *dir = slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
    int rc = random_passphrase(line, err);
    if (rc == 0)
        rc = os_make_dirs(dir, 0700, err);
    if (rc == 0) {
        memcpy(line + GENERATED_CHARS, "\n", 2);
        rc = write_new_file(path, line, GENERATED_CHARS + 1, err);
    }
    if (rc == 0)
        rc = os_fsync_dir(dir, err);
    if (rc == 0)
        *out = mem_strndup(line, GENERATED_CHARS);
    mem_wipe(line, sizeof line);
    free(dir);
    free(path);
    return rc;
}
