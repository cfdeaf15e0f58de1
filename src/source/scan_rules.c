/* Options in the form the scanner threads use, and the question whether a file marks its directory as excluded. */
#include "source/scan_work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"
#include "os/open.h"

static const char cache_tag[] = "CACHEDIR.TAG:Signature: 8a477f597d28d172789f06886806bc55";
enum { HEADER_MAX_BYTES = 4096 };

/* "NAME" or "NAME:HEADER" */
static int add_tag(struct scan_rules *r, const char *text, struct err *err)
{
    size_t len = strcspn(text, ":");
    const char *header = text[len] == ':' ? text + len + 1 : "";
    if (len == 0 || memchr(text, '/', len) != NULL)
        return err_set(err, ERR_USAGE, "'%s' names no file that could mark a directory as excluded", text);
    if (strlen(header) > HEADER_MAX_BYTES)
        return err_set(err, ERR_USAGE, "the header in '%.40s...' is longer than %d bytes", text, HEADER_MAX_BYTES);
    r->tags = mem_array(r->tags, r->tag_count + 1, sizeof *r->tags);
    r->tags[r->tag_count++] = (struct scan_tag){
        .name = mem_strndup(text, len), .name_len = len, .header = mem_strdup(header), .header_len = strlen(header)};
    return 0;
}

int scan_rules_make(struct scan_rules *r, const struct files_options *options, const struct sink_reporter *reporter,
                    struct err *err)
{
    *r = (struct scan_rules){.options = options, .reporter = reporter};
    int rc = options->exclude_caches ? add_tag(r, cache_tag, err) : 0;
    const struct strlist *list = options->exclude_if_present;
    for (size_t i = 0; rc == 0 && list != NULL && i < list->count; i++)
        rc = add_tag(r, list->items[i], err);
    if (rc != 0)
        scan_rules_release(r);
    return rc;
}

void scan_rules_release(struct scan_rules *r)
{
    for (size_t i = 0; i < r->tag_count; i++) {
        free(r->tags[i].name);
        free(r->tags[i].header);
    }
    free(r->tags);
    *r = (struct scan_rules){0};
}

bool scan_tag_is_valid(const struct scan_tag *tag, int dir_fd)
{
    if (tag->header_len == 0)
        return faccessat(dir_fd, tag->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    int fd = os_openat_noatime(dir_fd, tag->name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    char head[HEADER_MAX_BYTES];
    ssize_t n = os_read_full(fd, head, tag->header_len);
    close(fd);
    return n == (ssize_t)tag->header_len && memcmp(head, tag->header, tag->header_len) == 0;
}
