#include "cli/words.h"

#include <string.h>
#include "base/buf.h"

enum { WORD_MAX_BYTES = 64 << 10 };

int words_split(const char *text, struct strlist *out, struct err *err)
{
    struct buf word;
    buf_init(&word, WORD_MAX_BYTES);
    char quote = '\0';
    bool in_word = false;
    for (const char *p = text; *p != '\0'; p++) {
        bool blank = *p == ' ' || *p == '\t' || *p == '\n' || *p == '\r';
        if (quote == '\0' && blank) {
            if (in_word)
                strlist_add_len(out, buf_cstr(&word), word.len);
            buf_clear(&word);
            in_word = false;
            continue;
        }
        in_word = true;
        if (quote == '\0' && (*p == '\'' || *p == '"')) {
            quote = *p;
        } else if (quote != '\0' && *p == quote) {
            quote = '\0';
        } else {
            bool escapes = quote == '\0' ? p[1] != '\0' : quote == '"' && (p[1] == '"' || p[1] == '\\');
            if (*p == '\\' && escapes)
                p++;
            buf_append_byte(&word, (unsigned char)*p);
        }
    }
    if (in_word)
        strlist_add_len(out, buf_cstr(&word), word.len);
    bool too_long = word.overflow;
    buf_release(&word);
    if (quote != '\0')
        return err_set(err, ERR_USAGE, "a quote (%c) is not closed in '%s'", quote, text);
    if (too_long)
        return err_set(err, ERR_USAGE, "a word is too long");
    return out->count > 0 ? 0 : err_set(err, ERR_USAGE, "the command is empty");
}
