#include "source/postgres_words.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 360 };

/* Looked for in this order in all that was said; the server's own messages may come in its language, then the last rule
 * holds: none. */
static const struct rule {
    const char *part;
    enum err_code code;
    const char *advice;
    const char *also; /* must be there, too; NULL: nothing */
} rules[] = {
    {"no such program", ERR_UNSUPPORTED, "give a URL, so that this machine's tools are used"},
    {"server version mismatch", ERR_UNSUPPORTED, "install the client tools of the server's version, or newer ones"},
    {"timeout expired", ERR_TIMEOUT, "the server does not answer"},
    {"timed out", ERR_TIMEOUT, "the server does not answer"},
    {"No route to host", ERR_FAILED, "the server cannot be reached: is the network there?"},
    {"is unreachable", ERR_FAILED, "the server cannot be reached: is the network there?"},
    {"failed: Permission denied", ERR_PERMISSION, "this user may not use the server's socket"},
    {"Connection refused", ERR_NOT_FOUND, "nobody listens there: is the server running?"},
    {"Is the server running", ERR_NOT_FOUND, "nobody listens there: is the server running?"},
    {"password authentication failed", ERR_PERMISSION, "check user and password"},
    {"no password supplied", ERR_PERMISSION, "the server wants a password: give one in the configuration"},
    {"Peer authentication failed", ERR_PERMISSION,
     "run as the system's user of that name, or give a URL with a password"},
    {"authentication failed", ERR_PERMISSION, "check user and password"},
    {"no pg_hba.conf entry", ERR_PERMISSION, "the server's pg_hba.conf does not let us in"},
    {"is not permitted to log in", ERR_PERMISSION, "use a user that may log in"},
    {"role \"", ERR_PERMISSION, "name a user that the server has", "does not exist"},
    {"database \"", ERR_FAILED, "'psql --list' shows which there are", "does not exist"},
    {"permission denied for database", ERR_PERMISSION, "grant CONNECT on it to this user"},
    {"permission denied", ERR_PERMISSION,
     "grant this user the role pg_read_all_data (PostgreSQL 14 and newer), or SELECT on all tables and sequences"},
    {"row-level security", ERR_PERMISSION, "this user would not see all rows: use one with BYPASSRLS"},
    {"IN ACCESS SHARE MODE", ERR_TIMEOUT, "somebody holds a lock on it"},
    {"lock timeout", ERR_TIMEOUT, "somebody holds a lock on a table"},
    {"statement timeout", ERR_TIMEOUT, NULL},
    {"the database system is starting up", ERR_FAILED, "try again in a moment"},
    {"too many clients", ERR_FAILED, "the server has no connection left"},
    {"remaining connection slots", ERR_FAILED, "the server has no connection left"},
};

/* "pg_dump: error: query failed: ERROR:  x" → "x". */
static const char *without_prefixes(const char *line, const char *end)
{
    static const char *const marks[] = {"FATAL:", "ERROR:", "PANIC:", " error:", " fatal:", " detail:"};
    const char *start = line;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        const char *at = memmem(start, (size_t)(end - start), marks[i], strlen(marks[i]));
        if (at != NULL)
            start = at + strlen(marks[i]);
    }
    while (start < end && *start == ' ')
        start++;
    return start < end ? start : line;
}

static size_t line_length(const char *line)
{
    return strcspn(line, "\r\n");
}

static bool line_has(const char *line, const char *part)
{
    return memmem(line, line_length(line), part, strlen(part)) != NULL;
}

static const char *next_line(const char *line)
{
    line += line_length(line);
    return line + strspn(line, "\r\n");
}

/* The first line that reports an error, else the last one; NULL when there is none. */
static const char *telling_line(const char *words)
{
    static const char *const marks[] = {"FATAL:", "ERROR:", "error:", "fatal:"};
    const char *last = NULL;
    for (const char *line = words + strspn(words, "\r\n"); *line != '\0'; line = next_line(line)) {
        for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
            if (line_has(line, marks[i]))
                return line;
        last = line;
    }
    return last;
}

static void append_line(char *out, size_t cap, const char *line)
{
    const char *end = line + line_length(line);
    line = without_prefixes(line, end);
    size_t len = strlen(out);
    snprintf(out + len, cap - len, "%s%.*s", len > 0 ? ", " : "", (int)(end - line), line);
    for (; out[len] != '\0'; len++)
        if ((unsigned char)out[len] < ' ')
            out[len] = ' ';
}

void pg_words_explain(const char *words, struct err *err)
{
    if (err->code != ERR_FAILED && err->code != ERR_NONE)
        return;
    const char *line = telling_line(words);
    if (line == NULL)
        return;
    char text[LINE_BYTES] = "";
    append_line(text, sizeof text, line);
    /* What it was about: "Query was: LOCK TABLE …", or the server's own detail. */
    const char *next = next_line(line);
    if (line_has(next, "detail:") || line_has(next, "DETAIL:"))
        append_line(text, sizeof text, next);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const char *also = rules[i].also != NULL ? rules[i].also : "";
        if (strstr(words, rules[i].part) == NULL || strstr(words, also) == NULL)
            continue;
        err_set(err, rules[i].code, "%s%s%s%s", text, rules[i].advice != NULL ? " (" : "",
                rules[i].advice != NULL ? rules[i].advice : "", rules[i].advice != NULL ? ")" : "");
        return;
    }
    err_set(err, ERR_FAILED, "%s", text);
}
