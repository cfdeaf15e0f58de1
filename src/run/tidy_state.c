#include "run/tidy_state.h"

#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "base/buf.h"
#include "base/mem.h"
#include "os/file.h"
#include "run/marker.h"

enum { STATE_MAX_BYTES = 4096, DAY_MS = 24 * 60 * 60 * 1000 };

/* Beside what is remembered of the destination. */
static char *path_of(const char *state_dir, const char *destination)
{
    char *marker = marker_state_path(state_dir, destination), *path = mem_printf("%s.tidy", marker);
    free(marker);
    return path;
}

void tidy_state_read(const char *state_dir, const char *destination, struct tidy_state *out)
{
    char *path = path_of(state_dir, destination);
    struct buf text;
    *out = (struct tidy_state){0};
    buf_init(&text, STATE_MAX_BYTES);
    if (os_read_file(path, &text, NULL) == 0) {
        json_t *o = json_loadb(buf_cstr(&text), text.len, 0, NULL);
        json_int_t removed = json_integer_value(json_object_get(o, "removed"));
        out->removed = removed > 0 ? (uint64_t)removed : 0;
        out->last_prune_ms = json_integer_value(json_object_get(o, "lastPruneMs"));
        json_decref(o);
    }
    buf_release(&text);
    free(path);
}

void tidy_state_write(const char *state_dir, const char *destination, const struct tidy_state *s)
{
    char *path = path_of(state_dir, destination);
    json_t *o = json_pack("{s:I, s:I}", "removed", (json_int_t)s->removed, "lastPruneMs", (json_int_t)s->last_prune_ms);
    char *text = json_dumps(o, JSON_COMPACT);
    /* Lost, it costs one prune too many. */
    os_write_file_atomic(path, text, strlen(text), 0600, NULL);
    free(text);
    json_decref(o);
    free(path);
}

bool tidy_worth_it(const struct tidy_state *s, int64_t now_ms, uint64_t free_bytes, uint64_t total_bytes,
                   uint64_t reserve_bytes)
{
    if (s->removed == 0)
        return false;
    bool short_of_space = total_bytes > 0 && (free_bytes < total_bytes / 10 || free_bytes < 2 * reserve_bytes);
    return short_of_space || now_ms < s->last_prune_ms || now_ms - s->last_prune_ms >= DAY_MS;
}
