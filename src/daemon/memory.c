/*
 * The file of the scheduler's memory. Invariant: what a save that succeeded wrote is found by the next memory_open(),
 * whatever happens to later saves: appending only adds lines, and a replacement is there whole or not at all. A line
 * that was torn is ended by the next append, which begins with a newline then.
 */
#include "daemon/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/file.h"

enum { SPARE_BYTES = 64 << 10, SPARE_TIMES = 4, FILE_MODE = 0600 };

struct memory_file {
    char *path;
    size_t bytes;  /* of the file */
    size_t needed; /* what it had when it was replaced last */
    bool replace;  /* the next save writes all of it */
};

int memory_open(const char *state_dir, struct memory_file **out, struct memory_list *list, struct err *err)
{
    struct memory_file *m = mem_zalloc(sizeof *m);
    struct err why = {0};
    struct buf text;
    *out = m;
    *list = (struct memory_list){0};
    m->path = os_path_join(state_dir, "daemon-memory.jsonl");
    m->replace = true; /* of what is read only what still matters */
    buf_init(&text, MEMORY_FILE_MAX_BYTES);
    int rc = os_read_file(m->path, &text, &why);
    if (rc == 0)
        memory_decode(buf_cstr(&text), text.len, list);
    else if (why.code == ERR_NOT_FOUND)
        rc = 0;
    else if (err != NULL)
        *err = why;
    buf_release(&text);
    return rc;
}

void memory_close(struct memory_file *m)
{
    if (m == NULL)
        return;
    free(m->path);
    free(m);
}

static int replace(struct memory_file *m, struct scheduler *s, struct err *err)
{
    const struct scheduler_memory *all;
    struct buf text;
    buf_init(&text, MEMORY_FILE_MAX_BYTES);
    size_t count = scheduler_each_memory(s, &all);
    memory_encode(all, count, &text);
    int rc = text.overflow ? err_set(err, ERR_FAILED, "'%s' would be too large", m->path)
                           : os_write_file_atomic(m->path, text.data, text.len, FILE_MODE, err);
    if (rc == 0) {
        m->bytes = m->needed = text.len;
        m->replace = false;
    }
    buf_release(&text);
    return rc;
}

static int append(struct memory_file *m, const struct buf *text, struct err *err)
{
    int fd = open(m->path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW), rc = -1;
    if (fd < 0)
        return err_errno(err, errno, "cannot open '%s'", m->path);
    if (os_write_full(fd, text->data, text->len) < 0)
        err_errno(err, errno, "cannot write to '%s'", m->path);
    else if (fdatasync(fd) < 0)
        err_errno(err, errno, "cannot make '%s' durable", m->path);
    else
        rc = 0;
    close(fd);
    return rc;
}

int memory_save(struct memory_file *m, struct scheduler *s, struct err *err)
{
    const struct scheduler_memory *changed;
    size_t count = scheduler_changed_memory(s, &changed);
    if (count == 0 && !m->replace)
        return 0;
    if (m->replace || m->bytes > SPARE_BYTES + SPARE_TIMES * m->needed) {
        m->replace = true;
        return replace(m, s, err);
    }
    struct buf text;
    buf_init(&text, MEMORY_FILE_MAX_BYTES);
    memory_encode(changed, count, &text);
    int rc = append(m, &text, err);
    m->bytes += text.len;
    if (rc < 0)
        m->replace = true;
    buf_release(&text);
    return rc;
}
