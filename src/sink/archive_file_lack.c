/* What an archive lacks, as a comment of the checksum file beside it tells: whoever looks at a drive that is all that
 * is left should know without a passphrase, and without the records of a machine that is gone. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"
#include "sink/archive_file.h"

enum { HEAD_BYTES = 16 << 10 }; /* of the checksum file, which is shorter */

static const char LINE[] = "\n# complete: ", YES[] = "yes", FAILED[] = " failed", ABSENT[] = " not running";

void archive_lack_write(struct buf *summary, size_t failed, size_t absent)
{
    buf_append_str(summary, LINE + strlen("\n# "));
    buf_append_str(summary, failed + absent > 0 ? "no:" : YES);
    if (failed > 0)
        buf_printf(summary, " %zu%s", failed, FAILED);
    if (absent > 0)
        buf_printf(summary, "%s %zu%s", failed > 0 ? "," : "", absent, ABSENT);
    buf_append_byte(summary, '\n');
}

/* `text`: what follows the line's beginning. */
static enum archive_lack parse(const char *text)
{
    char *line = mem_strndup(text, strcspn(text, "\n"));
    enum archive_lack lacks = strcmp(line, YES) == 0         ? ARCHIVE_LACKS_NOTHING
                              : strstr(line, FAILED) != NULL ? ARCHIVE_LACKS_FAILED
                              : strstr(line, ABSENT) != NULL ? ARCHIVE_LACKS_ABSENT
                                                             : ARCHIVE_LACKS_UNKNOWN;
    free(line);
    return lacks;
}

enum archive_lack archive_lack_read(int dir_fd, const char *name)
{
    char *beside = mem_printf("%s.sha256", name), *text = mem_alloc(HEAD_BYTES);
    int fd = openat(dir_fd, beside, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t n = fd >= 0 ? os_read_full(fd, text, HEAD_BYTES - 1) : -1;
    text[n > 0 ? n : 0] = '\0';
    const char *found = strstr(text, LINE);
    enum archive_lack lacks = found != NULL ? parse(found + strlen(LINE)) : ARCHIVE_LACKS_UNKNOWN;
    if (fd >= 0)
        close(fd);
    free(beside);
    free(text);
    return lacks;
}
