/* jobs.json: reading. Entries: jobs_entry.c; writing: jobs_write.c. */
#include "daemon/jobs_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/jobs_document.h"
#include "daemon/jobs_reader.h"
#include "os/file.h"

char *jobs_file_default(const char *state_dir)
{
    return os_path_join(state_dir, "jobs.json");
}

/* --- the document --- */

static int too_large(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "it is larger than %d MiB", JOBS_FILE_MAX_BYTES >> 20);
}

/* Somebody may have put a FIFO or a device there: opening and reading must not wait. */
int jobs_document_read(const char *path, struct buf *out, struct err *err)
{
    struct stat st;
    int rc = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_errno(err, errno, "cannot open job file '%s'", path);
    if (fstat(fd, &st) != 0)
        rc = err_errno(err, errno, "cannot read job file '%s'", path);
    else if (!S_ISREG(st.st_mode))
        rc = err_set(err, ERR_CORRUPT, "job file '%s' is no regular file", path);
    while (rc == 0) {
        size_t step = 64 << 10;
        unsigned char *to = buf_reserve(out, step);
        ssize_t n = to != NULL ? os_read_full(fd, to, step) : 0;
        if (n < 0)
            rc = err_errno(err, errno, "cannot read job file '%s'", path);
        if (n <= 0)
            break;
        out->len += (size_t)n;
    }
    if (rc == 0 && (out->overflow || out->len > JOBS_FILE_MAX_BYTES)) {
        rc = too_large(err);
        err_wrap(err, "job file '%s'", path);
    }
    close(fd);
    return rc;
}

static int check_version(const struct jobs_text *t, struct err *err)
{
    const struct jobs_node *n = jobs_text_member(t, jobs_text_root(t), "version");
    int64_t version;
    if (n == NULL || (jobs_text_integer(t, n, &version) && version == 1))
        return 0;
    return err_set(err, ERR_UNSUPPORTED, "its version is not 1: this program is too old for it, or it is no job file");
}

static int find_entries(const struct jobs_text *t, const struct jobs_node **entries, struct err *err)
{
    const struct jobs_node *root = jobs_text_root(t);
    *entries = root->kind == JOBS_ARRAY ? root : jobs_text_member(t, root, "jobs");
    if (*entries == NULL || (*entries)->kind != JOBS_ARRAY)
        return err_set(err, ERR_CORRUPT, "line 1, column 1: it has no list 'jobs'");
    return check_version(t, err);
}

int jobs_document_parse(const char *text, size_t len, struct jobs_text *t, const struct jobs_node **entries,
                        struct err *err)
{
    if (len > JOBS_FILE_MAX_BYTES)
        return too_large(err);
    if (jobs_text_parse(t, text, len, err) != 0)
        return -1;
    int rc = find_entries(t, entries, err);
    if (rc != 0)
        jobs_text_release(t);
    return rc;
}

/* --- its jobs --- */

struct place {
    const char *id;
    size_t index;
};

static int by_id(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int order = strcmp(x->id, y->id);
    return order != 0 ? order : x->index < y->index ? -1 : x->index > y->index;
}

/* Of entries with one ID the first counts. */
static void drop_doubles(struct job_list *l, struct jobs_report *report)
{
    struct place *places = mem_array(NULL, l->count + 1, sizeof *places);
    bool *doubled = mem_zalloc(l->count + 1);
    for (size_t i = 0; i < l->count; i++)
        places[i] = (struct place){l->items[i].id, i};
    qsort(places, l->count, sizeof *places, by_id);
    for (size_t i = 1; i < l->count; i++)
        doubled[places[i].index] = strcmp(places[i].id, places[i - 1].id) == 0;
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (doubled[i]) {
            jobs_report_add(report, l->items[i].id,
                            mem_strdup("another entry before it has the same id; this one is left out"), true);
            job_release(&l->items[i]);
        } else {
            l->items[kept++] = l->items[i];
        }
    }
    l->count = kept;
    free(places);
    free(doubled);
}

static int read_entries(const struct jobs_text *t, const struct jobs_node *entries, struct job_list *out,
                        struct jobs_report *report, struct err *err)
{
    size_t position = 0, cap = 0;
    for (const struct jobs_node *n = jobs_text_first(t, entries); n != NULL; n = jobs_text_next(t, n)) {
        if (position == JOBS_MAX)
            return err_set(err, ERR_CORRUPT, "it has more than %d jobs", JOBS_MAX);
        if (out->count == cap) {
            cap = cap * 2 + 16;
            out->items = mem_array(out->items, cap, sizeof *out->items);
        }
        out->count += jobs_read_entry(t, n, position++, &out->items[out->count], report);
    }
    return 0;
}

int jobs_parse(const char *text, size_t len, struct job_list *out, struct jobs_report *report, struct err *err)
{
    struct jobs_text t;
    const struct jobs_node *entries;
    *out = (struct job_list){0};
    *report = (struct jobs_report){0};
    if (jobs_document_parse(text, len, &t, &entries, err) != 0)
        return -1;
    int rc = read_entries(&t, entries, out, report, err);
    jobs_text_release(&t);
    if (rc != 0) {
        job_list_release(out);
        return -1;
    }
    drop_doubles(out, report);
    jobs_check_followers(out, report);
    return 0;
}

int jobs_file_load(const char *path, struct job_list *out, struct jobs_report *report, struct err *err)
{
    struct buf bytes;
    *out = (struct job_list){0};
    *report = (struct jobs_report){0};
    buf_init(&bytes, JOBS_FILE_MAX_BYTES + (128 << 10));
    int rc = jobs_document_read(path, &bytes, err);
    if (rc == 0) {
        rc = jobs_parse(buf_cstr(&bytes), bytes.len, out, report, err);
        if (rc != 0)
            err_wrap(err, "job file '%s'", path);
    }
    buf_release(&bytes);
    return rc;
}
