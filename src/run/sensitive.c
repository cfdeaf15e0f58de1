#include "run/sensitive.h"
#include <ctype.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"
#include "os/open.h"
#include "source/glob.h"

/* --- by name --- */

struct known_name {
    const char *glob, *what;
};

static const struct known_name FILES[] = {
    {"openclaw.json*", "agent configuration with keys and tokens"},
    {"clawdbot.json*", "agent configuration with keys and tokens"},
    {"moltbot.json*", "agent configuration with keys and tokens"},
    {"auth-profiles.json", "model provider keys"},
    {"auth.json", "login"},
    {"secrets.json", "secrets"},
    {"openclaw*.sqlite", "agent database with secrets"},
    {"config-journal-fingerprint.key", "key"},
    {".env.example", NULL}, /* known for holding none; first match wins */
    {".env.sample", NULL},
    {".env.template", NULL},
    {".env", "environment with passwords"},
    {".env.*", "environment with passwords"},
    {"*.env", "environment with passwords"},
    {"id_*.pub", NULL},
    {"id_rsa*", "SSH key"},
    {"id_dsa*", "SSH key"},
    {"id_ecdsa*", "SSH key"},
    {"id_ed25519*", "SSH key"},
    {"*.pem", "key or certificate"},
    {"*.key", "private key"},
    {"*.p12", "key store"},
    {"*.pfx", "key store"},
    {"*.jks", "key store"},
    {"*.kdbx", "password store"},
    {".netrc", "logins"},
    {".pgpass", "database passwords"},
    {".my.cnf", "database passwords"},
    {".git-credentials", "logins"},
    {".npmrc", "package registry token"},
    {".pypirc", "package registry token"},
    {".htpasswd", "password hashes"},
    {"service-account*.json", "cloud key"},
    {"telegram-*.json", "Telegram token"},
    {"kubeconfig", "cluster login"},
};

/* Everything in a directory of such a name, as long as it is in a hidden one (an agent's home): elsewhere the words are
 * too common. */
static const struct known_name DIRECTORIES[] = {
    {"credentials", "credentials"},   {"identity", "identity"}, {"devices", "paired devices"},
    {"telegram", "Telegram session"}, {"secrets", "secrets"},   {".ssh", "SSH key"},
    {".gnupg", "OpenPGP key"},        {".aws", "cloud login"},  {".kube", "cluster login"},
};

static bool in_hidden(const char *path, const char *end)
{
    for (const char *p = path; (p = strstr(p, "/.")) != NULL && p < end; p++)
        if (p[2] != '/' && p[2] != '\0' && p[2] != '.')
            return true;
    return false;
}

static const char *by_directory(const char *path)
{
    for (const char *p = path; (p = strchr(p, '/')) != NULL; p++) {
        const char *name = p + 1, *stop = strchr(name, '/');
        if (stop == NULL)
            break;
        for (size_t i = 0; i < sizeof DIRECTORIES / sizeof *DIRECTORIES; i++)
            if (strlen(DIRECTORIES[i].glob) == (size_t)(stop - name) &&
                memcmp(DIRECTORIES[i].glob, name, (size_t)(stop - name)) == 0 && in_hidden(path, stop))
                return DIRECTORIES[i].what;
    }
    return NULL;
}

const char *sensitive_by_name(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++)
        if (glob_match(FILES[i].glob, strlen(FILES[i].glob), name, strlen(name)))
            return FILES[i].what;
    return by_directory(path);
}

/* --- by content --- */

struct known_token {
    const char *prefix, *also; /* also: characters besides letters and digits that belong to it */
    size_t min;                /* so many of them must follow */
    const char *what;
};

static const struct known_token TOKENS[] = {
    {"-----BEGIN PRIVATE KEY-----", "", 0, "private key"},
    {"-----BEGIN RSA PRIVATE KEY-----", "", 0, "private key"},
    {"-----BEGIN EC PRIVATE KEY-----", "", 0, "private key"},
    {"-----BEGIN OPENSSH PRIVATE KEY-----", "", 0, "private key"},
    {"-----BEGIN PGP PRIVATE KEY BLOCK-----", "", 0, "private key"},
    {"sk-ant-", "-_", 24, "API key"},
    {"sk-proj-", "-_", 24, "API key"},
    {"sk-or-v1-", "", 32, "API key"},
    {"sk-", "", 32, "API key"},
    {"ghp_", "", 36, "GitHub token"},
    {"gho_", "", 36, "GitHub token"},
    {"ghs_", "", 36, "GitHub token"},
    {"github_pat_", "_", 40, "GitHub token"},
    {"glpat-", "-_", 20, "GitLab token"},
    {"xoxb-", "-", 20, "Slack token"},
    {"xoxp-", "-", 20, "Slack token"},
    {"AKIA", "", 16, "cloud key"},
    {"AIza", "-_", 35, "API key"},
    {"npm_", "", 36, "package registry token"},
    {"hf_", "", 30, "API key"},
};

static size_t token_length(const char *p, const char *end, const char *also)
{
    const char *start = p;
    while (p < end && (isalnum((unsigned char)*p) || (*p != '\0' && strchr(also, *p) != NULL)))
        p++;
    return (size_t)(p - start);
}

static bool begins_word(const char *start, const char *p)
{
    return p == start || !(isalnum((unsigned char)p[-1]) || p[-1] == '_' || p[-1] == '-');
}

static bool has_token(const char *text, const char *end, const struct known_token *t)
{
    size_t len = strlen(t->prefix);
    for (const char *p = text; (p = memmem(p, (size_t)(end - p), t->prefix, len)) != NULL; p++)
        if (begins_word(text, p) && token_length(p + len, end, t->also) >= t->min)
            return true;
    return false;
}

/* A Telegram bot's token: 8 to 10 digits, ":AA", 33 more. */
static bool has_telegram_token(const char *text, const char *end)
{
    for (const char *p = text; (p = memmem(p, (size_t)(end - p), ":AA", 3)) != NULL; p++) {
        size_t digits = 0;
        while (p - digits > text && isdigit((unsigned char)p[-1 - (ptrdiff_t)digits]))
            digits++;
        if (digits >= 8 && digits <= 10 && token_length(p + 3, end, "-_") >= 33)
            return true;
    }
    return false;
}

/* "scheme://user:password@": a password in a URL. */
static bool has_url_password(const char *text, const char *end)
{
    for (const char *p = text; (p = memmem(p, (size_t)(end - p), "://", 3)) != NULL; p++) {
        const char *at = p + 3, *colon = NULL;
        while (at < end && (isgraph((unsigned char)*at)) && strchr("@/\"'<>`", *at) == NULL) {
            if (*at == ':' && colon == NULL)
                colon = at;
            at++;
        }
        if (at < end && *at == '@' && colon != NULL && at - colon > 3 && colon[1] != '$' && colon[1] != '{' &&
            p > text && isalnum((unsigned char)p[-1]))
            return true;
    }
    return false;
}

const char *sensitive_by_content(const void *p, size_t len)
{
    const char *text = p, *end = text + len;
    if (memchr(text, '\0', len) != NULL)
        return NULL;
    for (size_t i = 0; i < sizeof TOKENS / sizeof *TOKENS; i++)
        if (has_token(text, end, &TOKENS[i]))
            return TOKENS[i].what;
    if (has_telegram_token(text, end))
        return "Telegram token";
    return has_url_password(text, end) ? "password in a URL" : NULL;
}

static const char *look_into(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > SENSITIVE_FILE_MAX_BYTES)
        return NULL;
    char *head = mem_alloc(SENSITIVE_HEAD_BYTES);
    ssize_t got = os_read_full(fd, head, SENSITIVE_HEAD_BYTES);
    const char *what = got > 0 ? sensitive_by_content(head, (size_t)got) : NULL;
    mem_wipe(head, SENSITIVE_HEAD_BYTES);
    free(head);
    return what;
}

const char *sensitive_file(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path, *what = sensitive_by_name(path);
    /* Examples are for copying: what stands in them is no secret. */
    if (what != NULL || strstr(name, ".example") != NULL || strstr(name, ".sample") != NULL)
        return what;
    int fd = os_open_noatime(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return NULL;
    what = look_into(fd);
    close(fd);
    return what;
}
