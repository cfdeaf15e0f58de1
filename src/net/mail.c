#include "net/mail.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/mem.h"

enum {
    LINE_COLUMNS = 76,       /* of quoted-printable, and of a line with an encoded word */
    WORD_BYTES = 39,         /* of text in one encoded word: 52 characters of base64, 12 around them, and "Subject: " */
    ENCODED_MAX_BYTES = 4096 /* of a subject */
};

/* --- addresses --- */

/* The "<…>" part and the name before it; without one all of it is the address. */
static const char *split(const char *mailbox, size_t *name_len, size_t *address_len)
{
    const char *open = strrchr(mailbox, '<'), *close = open != NULL ? strchr(open, '>') : NULL;
    if (close == NULL) {
        const char *start = mailbox + strspn(mailbox, " \t");
        *name_len = 0;
        *address_len = strcspn(start, " \t");
        return start;
    }
    *name_len = (size_t)(open - mailbox);
    while (*name_len > 0 && mailbox[*name_len - 1] == ' ')
        --*name_len;
    *address_len = (size_t)(close - open - 1);
    return open + 1;
}

char *mail_address(const char *mailbox)
{
    size_t name, address;
    const char *start = split(mailbox, &name, &address);
    return mem_strndup(start, address);
}

/* --- header fields --- */

static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || (unsigned char)text[i] >= 0x7f)
            return false;
    return true;
}

/* As encoded words (RFC 2047), none of which cuts a character in two; each further one on a line of its own. */
static void put_encoded(struct buf *out, const char *text, size_t len)
{
    char clean[ENCODED_MAX_BYTES];
    len = len < sizeof clean ? len : sizeof clean;
    for (size_t i = 0; i < len; i++)
        clean[i] = iscntrl((unsigned char)text[i]) ? ' ' : text[i];
    for (size_t at = 0; at < len;) {
        size_t n = len - at < WORD_BYTES ? len - at : WORD_BYTES;
        while (at + n < len && n > WORD_BYTES - 4 && ((unsigned char)clean[at + n] & 0xc0) == 0x80)
            n--;
        buf_append_str(out, at == 0 ? "=?UTF-8?B?" : "\n =?UTF-8?B?");
        base64_encode(clean + at, n, out);
        buf_append_str(out, "?=");
        at += n;
    }
}

/* A long subject is folded at blanks (RFC 5322, 2.2.3). */
static void put_folded(struct buf *out, const char *text, size_t column)
{
    for (const char *p = text; *p != '\0';) {
        size_t blanks = strspn(p, " "), word = strcspn(p + blanks, " ");
        if (blanks > 0 && word > 0 && column + blanks + word > LINE_COLUMNS) {
            buf_append_byte(out, '\n');
            column = 0;
        }
        buf_append(out, p, blanks + word);
        column += blanks + word;
        p += blanks + word;
    }
}

static void put_subject(struct buf *out, const char *subject)
{
    static const char NAME[] = "Subject: ";
    size_t len = strlen(subject);
    /* Lines may have 998 characters; a word as long as that cannot be folded. */
    bool plain = is_plain(subject, len) && len < 500 && strstr(subject, "=?") == NULL;
    buf_append_str(out, NAME);
    if (plain)
        put_folded(out, subject, sizeof NAME - 1);
    else
        put_encoded(out, subject, len);
    buf_append_byte(out, '\n');
}

/* "Name" <a@b>: as a quoted string, or encoded. */
static void put_mailbox(struct buf *out, const char *mailbox)
{
    size_t name, address;
    const char *start = split(mailbox, &name, &address);
    if (name == 0 && start == mailbox + strspn(mailbox, " \t")) {
        buf_append(out, start, address);
        return;
    }
    if (name >= 2 && mailbox[0] == '"' && mailbox[name - 1] == '"') {
        mailbox++;
        name -= 2;
    }
    if (!is_plain(mailbox, name)) {
        put_encoded(out, mailbox, name);
    } else if (name > 0) {
        buf_append_byte(out, '"');
        for (size_t i = 0; i < name; i++)
            if (mailbox[i] != '"' && mailbox[i] != '\\')
                buf_append_byte(out, (unsigned char)mailbox[i]);
        buf_append_byte(out, '"');
    }
    buf_append_str(out, name > 0 ? " <" : "<");
    buf_append(out, start, address);
    buf_append_byte(out, '>');
}

/* No locale has a say in it. */
static void put_date(struct buf *out, int64_t time_ms)
{
    static const char DAYS[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char MONTHS[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm tm;
    localtime_r(&seconds, &tm);
    long minutes = tm.tm_gmtoff / 60;
    buf_printf(out, "Date: %s, %d %s %d %02d:%02d:%02d %c%02ld%02ld\n", DAYS[tm.tm_wday], tm.tm_mday, MONTHS[tm.tm_mon],
               tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec, minutes < 0 ? '-' : '+', labs(minutes) / 60,
               labs(minutes) % 60);
}

static void put_message_id(struct buf *out, const struct mail *m)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = (uint64_t)getpid();
    char *from = mail_address(m->from), *at = strrchr(from, '@');
    buf_printf(out, "Message-ID: <%" PRId64 ".%016" PRIx64 "@%s>\n", m->time_ms, random,
               at != NULL && at[1] != '\0' ? at + 1 : "localhost");
    free(from);
}

/* --- the body, as quoted-printable (RFC 2045, 6.7) --- */

static void put_body(struct buf *out, const char *body)
{
    size_t column = 0;
    for (const unsigned char *p = (const unsigned char *)body; *p != '\0'; p++) {
        if (*p == '\n') {
            buf_append_byte(out, '\n');
            column = 0;
            continue;
        }
        bool ends_line = p[1] == '\n' || p[1] == '\0', blank = *p == ' ' || *p == '\t';
        bool plain = blank ? !ends_line : *p > ' ' && *p < 0x7f && *p != '=';
        size_t width = plain ? 1 : 3;
        if (column + width > LINE_COLUMNS - 1) { /* the last column is for the '=' of a soft line break */
            buf_append_str(out, "=\n");
            column = 0;
        }
        if (plain)
            buf_append_byte(out, *p);
        else
            buf_printf(out, "=%02X", *p);
        column += width;
    }
    if (column > 0)
        buf_append_byte(out, '\n');
}

/* What somebody wrote into the configuration must not become a header of its own. */
static char *one_line(const char *text)
{
    char *copy = mem_strdup(text);
    for (char *p = copy; *p != '\0'; p++)
        if (iscntrl((unsigned char)*p))
            *p = ' ';
    return copy;
}

void mail_compose(const struct mail *m, struct buf *out)
{
    char *from = one_line(m->from), *subject = one_line(m->subject);
    put_date(out, m->time_ms);
    buf_append_str(out, "From: ");
    put_mailbox(out, from);
    for (size_t i = 0; i < m->to->count; i++) {
        char *to = one_line(m->to->items[i]);
        buf_append_str(out, i == 0 ? "\nTo: " : ",\n ");
        put_mailbox(out, to);
        free(to);
    }
    buf_append_byte(out, '\n');
    put_message_id(out, m);
    put_subject(out, subject);
    buf_append_str(out, "MIME-Version: 1.0\n"
                        "Content-Type: text/plain; charset=UTF-8\n"
                        "Content-Transfer-Encoding: quoted-printable\n"
                        "Auto-Submitted: auto-generated\n"
                        "X-Mailer: clawback/" CLAWBACK_VERSION "\n");
    if (m->urgent)
        buf_append_str(out, "Importance: high\nX-Priority: 1\n");
    buf_append_byte(out, '\n');
    put_body(out, m->body);
    free(from);
    free(subject);
}
