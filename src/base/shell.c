#include "base/shell.h"

#include <string.h>
#include "base/mem.h"

void shell_append_word(struct buf *out, const char *word)
{
    static const char PLAIN[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@,+%";
    if (*word != '\0' && word[strspn(word, PLAIN)] == '\0') {
        buf_append_str(out, word);
        return;
    }
    buf_append_byte(out, '\'');
    for (; *word != '\0'; word++)
        if (*word == '\'')
            buf_append_str(out, "'\\''");
        else
            buf_append_byte(out, (unsigned char)*word);
    buf_append_byte(out, '\'');
}

char *shell_word(const char *word)
{
    struct buf out;
    buf_init(&out, 4 * strlen(word) + 3);
    shell_append_word(&out, word);
    char *text = mem_strdup(buf_cstr(&out));
    buf_release(&out);
    return text;
}
