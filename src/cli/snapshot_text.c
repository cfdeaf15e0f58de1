#include "cli/snapshot_text.h"

#include <string.h>

void snapshot_split_tags(const char *text, struct strlist *out)
{
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        if (len > 0)
            strlist_add_len(out, text, len);
        text += len + (text[len] == ',');
    }
}

json_t *snapshot_json(const struct snapshot *s)
{
    struct buf text;
    buf_init(&text, REPO_UNPACKED_MAX_BYTES);
    snapshot_encode(s, &text);
    json_t *document = json_loadb(buf_cstr(&text), text.len, 0, NULL);
    buf_release(&text);
    if (document == NULL)
        document = json_object();
    char short_id[ID_SHORT_CHARS + 1];
    json_object_set_new(document, "id", cli_json_id(&s->id));
    json_object_set_new(document, "short_id", json_string(id_to_short(&s->id, short_id)));
    return document;
}
