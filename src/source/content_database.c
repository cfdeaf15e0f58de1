#include "source/content_database.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "source/sqlite.h"

/* BUSY_MS: how long a writer that holds the database is waited for. OPEN_TRIES: openings in one attempt. */
enum { BUSY_MS = 10000, OPEN_TRIES = 3 };

struct database_stream {
    struct sqlite_capture *capture;
    struct os_rate *rate;
    unsigned attempt;
    uint64_t read_bytes;
    struct err changed; /* set when reading found that the database was changed: finish says so */
};

static int64_t database_read(void *state, void *p, size_t cap, struct err *err)
{
    struct database_stream *s = state;
    size_t done = 0;
    while (done < cap && s->changed.code == ERR_NONE) {
        uint64_t step = os_rate_step(s->rate);
        size_t part = cap - done < step ? cap - done : (size_t)step;
        struct err why;
        int64_t n = sqlite_capture_read(s->capture, (unsigned char *)p + done, part, &why);
        if (n < 0) {
            if (why.code == ERR_CHANGED) {
                s->changed = why;
                return 0;
            }
            if (err != NULL)
                *err = why;
            return -1;
        }
        if (n == 0)
            break;
        os_rate_take(s->rate, (uint64_t)n);
        done += (size_t)n;
        s->read_bytes += (uint64_t)n;
    }
    return (int64_t)done;
}

static enum sink_finish database_finish(void *state, struct node *node, struct err *err)
{
    struct database_stream *s = state;
    struct err why = s->changed;
    if (why.code == ERR_NONE && sqlite_capture_verify(s->capture, &why) == 0) {
        node->size = s->read_bytes;
        return SINK_FINISH_OK;
    }
    if (why.code == ERR_CHANGED && s->attempt < CONTENT_ATTEMPTS)
        return SINK_FINISH_AGAIN;
    if (err != NULL)
        *err = why;
    return SINK_FINISH_ERROR;
}

static void database_close(void *state)
{
    struct database_stream *s = state;
    sqlite_capture_close(s->capture);
    free(s);
}

/* The first attempt relies on finding it unchanged afterwards; all others pin it. */
static int open_capture(struct sqlite_capture **out, const char *path, unsigned attempt, struct err *err)
{
    for (unsigned i = 0;; i++) {
        int rc = attempt + i <= 1 ? sqlite_capture_open(out, path, BUSY_MS, err)
                                  : sqlite_capture_open_insisting(out, path, BUSY_MS, err);
        if (rc == 0 || err->code != ERR_CHANGED || i + 1 == OPEN_TRIES)
            return rc;
    }
}

int content_database_open(struct sink_stream *out, const struct content_env *env, const char *path, unsigned attempt,
                          struct node *node, struct err *err)
{
    struct err local;
    struct sqlite_capture *capture = NULL;
    if (open_capture(&capture, path, attempt, err != NULL ? err : &local) != 0)
        return -1;
    struct database_stream *s = mem_zalloc(sizeof *s);
    s->capture = capture;
    s->rate = env->rate;
    s->attempt = attempt;
    node->size = sqlite_capture_bytes(capture);
    *out = (struct sink_stream){.state = s,
                                .cut = SINK_CUT_FIXED,
                                .cut_bytes = sqlite_cut_bytes(node->size, sqlite_capture_page_bytes(capture)),
                                .read = database_read,
                                .finish = database_finish,
                                .close = database_close};
    return 0;
}

bool content_database_has_more(const char *path)
{
    static const char *const suffixes[] = {"-wal", "-journal"};
    bool has = false;
    for (size_t i = 0; i < 2 && !has; i++) {
        char *beside = mem_printf("%s%s", path, suffixes[i]);
        struct stat st;
        has = lstat(beside, &st) == 0 && st.st_size > 0;
        free(beside);
    }
    return has;
}
