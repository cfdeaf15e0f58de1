#include "run/marker.h"

#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "base/buf.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"

enum { MARKER_MAX_BYTES = 4096 };

char *marker_path(const char *destination_dir)
{
    return os_path_join(destination_dir, "clawback-destination.json");
}

char *marker_state_path(const char *state_dir, const char *destination_name)
{
    char *name = mem_strdup(destination_name);
    for (char *p = name; *p != '\0'; p++)
        if (*p == '/' || (p == name && *p == '.'))
            *p = '_';
    char *path = mem_printf("%s/destinations/%s.json", state_dir, name);
    free(name);
    return path;
}

/* true when the member is there and is an ID. */
static bool get_id(const json_t *o, const char *key, struct id *out)
{
    const char *hex = json_string_value(json_object_get(o, key));
    return hex != NULL && id_from_hex(hex, strlen(hex), out) == 0;
}

int marker_read(const char *path, struct marker *out, struct err *err)
{
    struct buf text;
    *out = (struct marker){0};
    buf_init(&text, MARKER_MAX_BYTES);
    int rc = os_read_file(path, &text, err);
    if (rc == 0) {
        json_t *o = json_loadb(buf_cstr(&text), text.len, 0, NULL);
        if (get_id(o, "id", &out->id))
            get_id(o, "repository", &out->repository);
        else
            rc = err_set(err, ERR_CORRUPT, "'%s' is damaged: it names no destination", path);
        json_decref(o);
    }
    buf_release(&text);
    return rc;
}

int marker_write(const char *path, const struct marker *m, const char *name, struct err *err)
{
    char hex[ID_HEX_BYTES], when[OS_TIME_BYTES];
    struct timespec now = os_now();
    os_time_format(&now, when);
    json_t *o = json_pack("{s:s, s:s, s:s}", "about", "tells clawback which drive this is: keep it", "id",
                          id_to_hex(&m->id, hex), "written", when);
    if (!id_is_zero(&m->repository))
        json_object_set_new(o, "repository", json_string(id_to_hex(&m->repository, hex)));
    json_t *name_json = json_string(name);
    if (name_json != NULL)
        json_object_set_new(o, "name", name_json);
    char *text = json_dumps(o, JSON_INDENT(2));
    json_decref(o);
    int rc = text != NULL ? os_write_file_atomic(path, text, strlen(text), 0600, err)
                          : err_set(err, ERR_FAILED, "cannot write '%s'", path);
    free(text);
    return rc;
}
