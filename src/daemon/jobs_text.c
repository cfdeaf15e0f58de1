/*
 * A recursive descent that takes positions down. Every `take_` function is called with the scanner at its construct's
 * first byte and leaves it behind the last.
 */
#include "daemon/jobs_text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

struct scanner {
    struct jobs_text *t;
    size_t at;
    unsigned depth;
    struct err *err;
};

/* --- places --- */

void jobs_text_place(const struct jobs_text *t, size_t offset, unsigned *line, unsigned *column)
{
    *line = *column = 1;
    for (size_t i = 0; i < offset && i < t->len; i++) {
        unsigned char c = (unsigned char)t->text[i];
        if (c == '\n' || (c == '\r' && (i + 1 == t->len || t->text[i + 1] != '\n'))) {
            ++*line;
            *column = 1;
        } else if ((c & 0xC0) != 0x80) {
            ++*column;
        }
    }
}

static int fail_at(struct scanner *s, size_t offset, const char *what)
{
    unsigned line, column;
    jobs_text_place(s->t, offset, &line, &column);
    return err_set(s->err, ERR_CORRUPT, "line %u, column %u: %s", line, column, what);
}

static int fail(struct scanner *s, const char *what)
{
    return fail_at(s, s->at, what);
}

/* --- characters --- */

/* 0 at the end too, which no byte outside of a string may be. */
static char peek(const struct scanner *s)
{
    return s->at < s->t->len ? s->t->text[s->at] : '\0';
}

static bool starts(const struct scanner *s, const char *word)
{
    size_t len = strlen(word);
    return s->t->len - s->at >= len && memcmp(s->t->text + s->at, word, len) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Of a key without quotes. Letters beyond ASCII are not looked up. */
static bool is_name(char c, bool first)
{
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || (unsigned char)c >= 0x80;
    return letter || (!first && is_digit(c));
}

/* --- white space and comments --- */

/* The length of what counts as a blank here: ASCII's, line breaks, the byte order mark, Unicode's category Zs; 0: none.
 */
static size_t blank(const struct scanner *s)
{
    static const char *const WIDE[] = {"\xC2\xA0",     "\xEF\xBB\xBF", "\xE2\x80\xA8", "\xE2\x80\xA9",
                                       "\xE1\x9A\x80", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};
    char c = peek(s);
    if (c != '\0' && strchr(" \t\n\r\v\f", c) != NULL)
        return 1;
    if ((unsigned char)c < 0x80)
        return 0;
    for (size_t i = 0; i < sizeof WIDE / sizeof *WIDE; i++)
        if (starts(s, WIDE[i]))
            return strlen(WIDE[i]);
    bool en_quad_to_hair_space = starts(s, "\xE2\x80") && s->t->len - s->at > 2 &&
                                 (unsigned char)s->t->text[s->at + 2] >= 0x80 &&
                                 (unsigned char)s->t->text[s->at + 2] <= 0x8A;
    return en_quad_to_hair_space ? 3 : 0;
}

static bool ends_line(const struct scanner *s)
{
    return peek(s) == '\n' || peek(s) == '\r' || starts(s, "\xE2\x80\xA8") || starts(s, "\xE2\x80\xA9");
}

static int skip_space(struct scanner *s)
{
    for (;;) {
        size_t len = blank(s), from = s->at;
        if (len > 0) {
            s->at += len;
        } else if (starts(s, "//")) {
            while (s->at < s->t->len && !ends_line(s))
                s->at++;
        } else if (starts(s, "/*")) {
            for (s->at += 2; s->at < s->t->len && !starts(s, "*/");)
                s->at++;
            if (s->at == s->t->len)
                return fail_at(s, from, "a comment is not closed");
            s->at += 2;
        } else {
            return 0;
        }
    }
}

/* --- nodes --- */

/* The index of a new one, 0: there are too many. */
static uint32_t add_node(struct scanner *s)
{
    struct jobs_text *t = s->t;
    if (t->count == JOBS_TEXT_NODES_MAX)
        return 0;
    if (t->count == t->cap) {
        t->cap = t->cap * 2 + 64;
        t->nodes = mem_array(t->nodes, t->cap, sizeof *t->nodes);
    }
    t->nodes[t->count] = (struct jobs_node){0};
    return t->count++;
}

static void add_child(struct jobs_text *t, uint32_t parent, uint32_t child)
{
    struct jobs_node *p = &t->nodes[parent];
    if (p->last != 0)
        t->nodes[p->last].next = child;
    else
        p->first = child;
    p->last = child;
}

/* --- strings and keys --- */

static int check_escape(struct scanner *s)
{
    s->at++;
    char c = peek(s);
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 0;
    if (s->at == s->t->len)
        return fail(s, "a string is not closed");
    if (is_digit(c) && (c != '0' || (s->at + 1 < s->t->len && is_digit(s->t->text[s->at + 1]))))
        return fail(s, "a backslash stands before a digit");
    s->at += starts(s, "\r\n") ? 2 : 1;
    for (; digits > 0; digits--, s->at++)
        if (!is_hex(peek(s)))
            return fail(s, "an escape sequence lacks its hexadecimal digits");
    return 0;
}

static int take_string(struct scanner *s)
{
    size_t from = s->at;
    char quote = peek(s);
    for (s->at++; s->at < s->t->len && peek(s) != quote;) {
        if (peek(s) == '\n' || peek(s) == '\r')
            return fail_at(s, from, "a string is not closed on its line");
        if (peek(s) == '\0')
            return fail(s, "a NUL byte stands in a string");
        if (peek(s) != '\\')
            s->at++;
        else if (check_escape(s) < 0)
            return -1;
    }
    if (s->at == s->t->len)
        return fail_at(s, from, "a string is not closed");
    s->at++;
    return 0;
}

static int take_key(struct scanner *s, uint32_t index)
{
    size_t from = s->at;
    if (peek(s) == '"' || peek(s) == '\'') {
        if (take_string(s) < 0)
            return -1;
    } else if (is_name(peek(s), true)) {
        while (is_name(peek(s), false) && blank(s) == 0)
            s->at++;
    } else {
        return fail(s, s->at == s->t->len ? "an object is not closed" : "a key is missing, or a quote around it");
    }
    s->t->nodes[index].key_start = (uint32_t)from;
    s->t->nodes[index].key_end = (uint32_t)s->at;
    if (skip_space(s) < 0)
        return -1;
    if (peek(s) != ':')
        return fail(s, "a colon is missing after a key");
    s->at++;
    return 0;
}

/* --- numbers and words --- */

static size_t take_digits(struct scanner *s)
{
    size_t from = s->at;
    while (is_digit(peek(s)))
        s->at++;
    return s->at - from;
}

static int take_decimal(struct scanner *s)
{
    size_t from = s->at, digits = take_digits(s);
    if (digits > 1 && s->t->text[from] == '0')
        return fail_at(s, from, "a number starts with 0");
    if (peek(s) == '.') {
        s->at++;
        digits += take_digits(s);
    }
    if (digits == 0)
        return fail_at(s, from, "a number has no digits");
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-')
            s->at++;
        if (take_digits(s) == 0)
            return fail(s, "a number's exponent has no digits");
    }
    return 0;
}

static int take_hex(struct scanner *s)
{
    s->at += 2;
    size_t from = s->at;
    while (is_hex(peek(s)))
        s->at++;
    return s->at > from ? 0 : fail(s, "a hexadecimal number has no digits");
}

static int take_number(struct scanner *s)
{
    size_t from = s->at;
    int rc = 0;
    if (peek(s) == '+' || peek(s) == '-')
        s->at++;
    if (starts(s, "Infinity"))
        s->at += strlen("Infinity");
    else if (starts(s, "NaN"))
        s->at += strlen("NaN");
    else
        rc = starts(s, "0x") || starts(s, "0X") ? take_hex(s) : take_decimal(s);
    if (rc == 0 && (is_name(peek(s), false) || peek(s) == '.') && blank(s) == 0)
        return fail_at(s, from, "a number is malformed");
    return rc;
}

static int take_word(struct scanner *s, uint32_t index)
{
    static const struct {
        const char *word;
        enum jobs_kind kind;
    } WORDS[] = {{"null", JOBS_NULL}, {"true", JOBS_BOOL}, {"false", JOBS_BOOL}};
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        size_t from = s->at;
        if (!starts(s, WORDS[i].word))
            continue;
        s->at += strlen(WORDS[i].word);
        if (is_name(peek(s), false) && blank(s) == 0) {
            s->at = from;
            break;
        }
        s->t->nodes[index].kind = WORDS[i].kind;
        return 0;
    }
    return fail(s, s->at == s->t->len ? "a value is missing at the end" : "a value is missing, or a quote around it");
}

/* --- structure --- */

static int take_value(struct scanner *s, uint32_t index);

/* What follows a value within a container: a comma, its end, or a mistake. */
static int take_comma(struct scanner *s, uint32_t child, bool object)
{
    size_t value_end = s->at;
    if (skip_space(s) < 0)
        return -1;
    char c = peek(s);
    if (c == ',') {
        s->t->nodes[child].comma = (uint32_t)s->at++;
        return 0;
    }
    if (c == (object ? '}' : ']'))
        return 0;
    if (s->at == s->t->len)
        return fail(s, object ? "an object is not closed" : "an array is not closed");
    if (c != '\0' && (is_name(c, false) || strchr("\"'{[+-.", c) != NULL))
        return fail_at(s, value_end, "a comma is missing here");
    return fail(s, object ? "a comma or '}' is missing" : "a comma or ']' is missing");
}

static int take_container(struct scanner *s, uint32_t index)
{
    bool object = peek(s) == '{';
    char close = object ? '}' : ']';
    if (s->depth++ == JOBS_TEXT_NESTING_MAX)
        return fail(s, "it is nested too deeply");
    s->t->nodes[index].kind = object ? JOBS_OBJECT : JOBS_ARRAY;
    for (s->at++;;) {
        if (skip_space(s) < 0)
            return -1;
        if (peek(s) == close)
            break;
        uint32_t child = add_node(s);
        if (child == 0)
            return fail(s, "there are too many values");
        if (s->at == s->t->len)
            return fail(s, object ? "an object is not closed" : "an array is not closed");
        if ((object && take_key(s, child) < 0) || take_value(s, child) < 0)
            return -1;
        add_child(s->t, index, child);
        if (take_comma(s, child, object) < 0)
            return -1;
    }
    s->at++;
    s->depth--;
    return 0;
}

static int take_value(struct scanner *s, uint32_t index)
{
    if (skip_space(s) < 0)
        return -1;
    size_t from = s->at;
    char c = peek(s);
    int rc;
    if (c == '{' || c == '[') {
        rc = take_container(s, index);
    } else if (c == '"' || c == '\'') {
        s->t->nodes[index].kind = JOBS_STRING;
        rc = take_string(s);
    } else if (is_digit(c) || c == '+' || c == '-' || c == '.' || c == 'I' || c == 'N') {
        s->t->nodes[index].kind = JOBS_NUMBER;
        rc = take_number(s);
    } else {
        rc = take_word(s, index);
    }
    s->t->nodes[index].start = (uint32_t)from;
    s->t->nodes[index].end = (uint32_t)s->at;
    return rc;
}

int jobs_text_parse(struct jobs_text *t, const char *text, size_t len, struct err *err)
{
    assert(len < UINT32_MAX);
    *t = (struct jobs_text){.text = text, .len = len};
    struct scanner s = {.t = t, .err = err};
    add_node(&s); /* index 0 is nobody's */
    int rc = take_value(&s, add_node(&s)) < 0 || skip_space(&s) < 0 ? -1 : 0;
    if (rc == 0 && s.at != len)
        rc = fail(&s, "something follows the end of the document");
    if (rc != 0)
        jobs_text_release(t);
    return rc;
}

void jobs_text_release(struct jobs_text *t)
{
    free(t->nodes);
    *t = (struct jobs_text){0};
}

const struct jobs_node *jobs_text_root(const struct jobs_text *t)
{
    return &t->nodes[1];
}

const struct jobs_node *jobs_text_first(const struct jobs_text *t, const struct jobs_node *n)
{
    return n->first != 0 ? &t->nodes[n->first] : NULL;
}

const struct jobs_node *jobs_text_next(const struct jobs_text *t, const struct jobs_node *n)
{
    return n->next != 0 ? &t->nodes[n->next] : NULL;
}
