#include "sink/archive_sink_manifest.h"

#include <string.h>
#include <sys/sysmacros.h>
#include "base/base64.h"
#include "repo/quote.h"

const char ARCHIVE_MANIFEST_NAME[] = ".clawback-manifest.json";

static void append_string(struct buf *out, const char *s, size_t len)
{
    buf_append_byte(out, '"');
    quote_json(s, len, out);
    buf_append_byte(out, '"');
}

/* "key": "value", or "key_base64" for what JSON cannot hold. */
static void append_bytes(struct buf *out, const char *key, const char *s)
{
    size_t len = strlen(s);
    if (quote_is_utf8(s, len)) {
        buf_printf(out, "\"%s\": ", key);
        append_string(out, s, len);
        return;
    }
    buf_printf(out, "\"%s_base64\": \"", key);
    base64_encode(s, len, out);
    buf_append_byte(out, '"');
}

/* UTC, with as many digits as there are. */
static void append_time(struct buf *out, const struct timespec *t)
{
    struct tm tm;
    char text[64];
    if (gmtime_r(&t->tv_sec, &tm) == NULL || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
        buf_append_str(out, "null");
        return;
    }
    buf_printf(out, "\"%s", text);
    if (t->tv_nsec != 0)
        buf_printf(out, ".%09ld", t->tv_nsec);
    buf_append_str(out, "Z\"");
}

void archive_manifest_begin(struct buf *out, const struct archive_sink_options *options)
{
    const struct strlist *tags = options->tags;
    buf_append_str(out, "{\"format\": \"clawback-archive 1\", \"host\": ");
    append_string(out, options->host, strlen(options->host));
    buf_append_str(out, ", \"time\": ");
    append_time(out, &options->time);
    buf_append_str(out, ", \"clawback\": ");
    append_string(out, options->version, strlen(options->version));
    buf_append_str(out, ", \"tags\": [");
    for (size_t i = 0; tags != NULL && i < tags->count; i++) {
        buf_append_str(out, i > 0 ? ", " : "");
        append_string(out, tags->items[i], strlen(tags->items[i]));
    }
    buf_append_str(out, "], \"members\": [");
}

void archive_manifest_member(struct buf *out, const struct archive_member *m, bool first)
{
    const struct node *n = m->node;
    buf_append_str(out, first ? "\n{" : ",\n{");
    append_bytes(out, "path", m->path);
    buf_printf(out, ", \"type\": \"%s\", \"mode\": \"%04o\", \"mtime\": ",
               m->link_to != NULL ? "link" : node_type_name(n->type), (unsigned)node_mode_to_permissions(n->mode));
    append_time(out, &n->mtime);
    if (m->link_to != NULL || n->type == NODE_SYMLINK) {
        buf_append_str(out, ", ");
        append_bytes(out, "target", m->link_to != NULL ? m->link_to : n->link_target);
    } else if (n->type == NODE_DEV || n->type == NODE_CHARDEV) {
        buf_printf(out, ", \"device\": \"%u:%u\"", major(n->device), minor(n->device));
    }
    if (m->sha256 != NULL) {
        char hex[ID_HEX_BYTES];
        buf_printf(out, ", \"size\": %llu, \"sha256\": \"%s\"", (unsigned long long)n->size, id_to_hex(m->sha256, hex));
    }
    buf_append_str(out, m->changed ? ", \"changed\": true" : "");
    buf_append_str(out, m->incomplete ? ", \"incomplete\": true}" : "}");
}

static void append_missing(struct buf *out, const struct archive_missing *m)
{
    buf_append_str(out, "{");
    append_bytes(out, "source", m->source);
    buf_printf(out, ", \"status\": \"%s\"", m->lack == ARCHIVE_LACKS_ABSENT ? "skipped" : "failed");
    if (m->message != NULL) {
        buf_append_str(out, ", ");
        append_bytes(out, "message", m->message);
    }
    buf_append_byte(out, '}');
}

void archive_manifest_end(struct buf *out, uint64_t member_count, const struct archive_missing *missing, size_t count)
{
    buf_printf(out, "\n], \"member_count\": %llu, \"complete\": %s", (unsigned long long)member_count,
               count == 0 ? "true" : "false, \"missing\": [");
    for (size_t i = 0; i < count; i++) {
        buf_append_str(out, i > 0 ? ",\n" : "\n");
        append_missing(out, &missing[i]);
    }
    buf_append_str(out, count == 0 ? "}\n" : "\n]}\n");
}
