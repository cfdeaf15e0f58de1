#include "monitor/record.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "monitor/jsonl.h"
#include "monitor/record_internal.h"
#include "os/file.h"

enum { SPARE_BYTES = 64 << 10 };

/* Of runs whose end is to come, or stays. */
static void keep_starts(const char *text, size_t cut, struct buf *out)
{
    record_add_unended(text, cut, cut, out);
}

static const struct jsonl_limits LIMITS = {.max_bytes = RECORD_FILE_MAX_BYTES,
                                           .kept_lines = RECORD_KEPT_LINES,
                                           .read_bytes = RECORD_READ_MAX_BYTES,
                                           .keep = keep_starts};

/* --- memory --- */

static void release_source(struct record_source *s)
{
    free(s->name);
    free(s->message);
    free(s->push);
    strlist_release(&s->push_refs);
    for (size_t i = 0; i < s->path_count; i++)
        free(s->paths[i].path);
    free(s->paths);
    for (size_t i = 0; i < s->dump_count; i++)
        free(s->dumps[i].path);
    free(s->dumps);
}

void record_release(struct record *r)
{
    for (size_t i = 0; i < r->source_count; i++)
        release_source(&r->sources[i]);
    for (size_t i = 0; i < r->destination_count; i++) {
        free(r->destinations[i].name);
        free(r->destinations[i].message);
    }
    free(r->sources);
    free(r->destinations);
    free(r->tier);
    free(r->run_id);
    free(r->error);
    free(r->message);
    strlist_release(&r->warnings);
    strlist_release(&r->snapshots);
    *r = (struct record){0};
}

struct record_source *record_add_source(struct record *r, const char *name)
{
    r->sources = mem_array(r->sources, r->source_count + 1, sizeof *r->sources);
    struct record_source *s = &r->sources[r->source_count++];
    *s = (struct record_source){.name = mem_strdup(name)};
    return s;
}

void record_add_path(struct record_source *s, const char *path, uint64_t bytes)
{
    if (s->path_count == RECORD_PATHS_MAX)
        return;
    s->paths = mem_array(s->paths, s->path_count + 1, sizeof *s->paths);
    s->paths[s->path_count++] = (struct record_path){.path = mem_strdup(path), .bytes = bytes};
}

void record_add_dump(struct record_source *s, const char *path, uint64_t bytes, bool suspect)
{
    if (s->dump_count == RECORD_DUMPS_MAX)
        return;
    s->dumps = mem_array(s->dumps, s->dump_count + 1, sizeof *s->dumps);
    s->dumps[s->dump_count++] = (struct record_dump){.path = mem_strdup(path), .bytes = bytes, .suspect = suspect};
}

struct record_destination *record_add_destination(struct record *r, const char *name)
{
    r->destinations = mem_array(r->destinations, r->destination_count + 1, sizeof *r->destinations);
    struct record_destination *d = &r->destinations[r->destination_count++];
    *d = (struct record_destination){.name = mem_strdup(name)};
    return d;
}

void record_list_release(struct record_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        record_release(&l->items[i]);
    free(l->items);
    *l = (struct record_list){0};
}

/* --- places --- */

char *record_state_dir(void)
{
    const char *own = getenv("CLAWBACK_STATE_DIR"), *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (own != NULL && *own != '\0') {
        char *absolute = os_path_absolute(own);
        return absolute != NULL ? absolute : mem_strdup(own);
    }
    if (xdg != NULL && *xdg == '/')
        return os_path_join(xdg, "clawback");
    if (geteuid() == 0 && (home == NULL || *home == '\0'))
        return mem_strdup("/var/lib/clawback");
    return os_path_expand_home("~/.local/state/clawback");
}

char *record_path(const char *state_dir, const char *tier)
{
    char *name = mem_strdup(tier);
    for (char *p = name; *p != '\0'; p++)
        if (*p == '/' || (p == name && *p == '.'))
            *p = '_';
    char *path = mem_printf("%s/runs/%s.jsonl", state_dir, name);
    free(name);
    return path;
}

/* --- writing --- */

/* A little space that is ours: where the state lies on the disk that just filled up, this is where the record goes. */
static char *spare_path(const char *state_dir)
{
    return os_path_join(state_dir, "spare");
}

static void keep_spare(const char *state_dir)
{
    char *path = spare_path(state_dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        int full = posix_fallocate(fd, 0, SPARE_BYTES);
        close(fd);
        if (full != 0)
            unlink(path);
    }
    free(path);
}

static bool give_up_spare(const char *state_dir)
{
    char *path = spare_path(state_dir);
    bool there = unlink(path) == 0;
    free(path);
    return there;
}

int record_append(const char *state_dir, const struct record *r, struct err *err)
{
    char *dir = os_path_join(state_dir, "runs"), *path = record_path(state_dir, r->tier != NULL ? r->tier : "");
    struct err this = {0};
    struct buf line;
    buf_init(&line, 2 * RECORD_LINE_MAX_BYTES);
    record_encode(r, &line);
    int rc = os_make_dirs(dir, 0700, &this);
    if (rc == 0)
        rc = jsonl_append(path, &line, &LIMITS, &this);
    if (rc != 0 && this.code == ERR_NO_SPACE && give_up_spare(state_dir)) {
        err_clear(&this);
        rc = jsonl_append(path, &line, &LIMITS, &this);
    } else if (rc == 0) {
        keep_spare(state_dir);
    }
    if (rc != 0 && err != NULL)
        *err = this;
    buf_release(&line);
    free(dir);
    free(path);
    return rc;
}
