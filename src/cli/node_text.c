#include "cli/node_text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/bytes.h"
#include "base/mem.h"
#include "os/clock.h"

enum { ESCAPED_BYTES_MAX = 10 }; /* of one byte of a path, shown */

const char *node_permissions(uint32_t mode, char out[NODE_PERMISSIONS_BYTES])
{
    static const char TYPES[] = "dalTLDpSugct?"; /* bit 31 downwards */
    static const char BITS[] = "rwxrwxrwx";
    size_t at = 0;
    for (size_t i = 0; i < sizeof TYPES - 1; i++)
        if (mode >> (31 - i) & 1)
            out[at++] = TYPES[i];
    if (at == 0)
        out[at++] = '-';
    for (size_t i = 0; i < 9; i++)
        out[at++] = mode >> (8 - i) & 1 ? BITS[i] : '-';
    out[at] = '\0';
    return out;
}

static char *shown(const char *text)
{
    size_t cap = strlen(text) * ESCAPED_BYTES_MAX + 1;
    char *out = mem_alloc(cap);
    cli_printable(text, out, cap);
    return out;
}

void node_print(struct cli *cli, const struct node *n, const char *path, bool long_format, bool human)
{
    char *name = shown(path);
    if (!long_format) {
        cli_print(cli, "%s", name);
        free(name);
        return;
    }
    char mode[NODE_PERMISSIONS_BYTES], size[24], when[OS_TIME_BYTES];
    if (human)
        bytes_text(n->size, size);
    else
        snprintf(size, sizeof size, "%llu", (unsigned long long)n->size);
    char *target = n->type == NODE_SYMLINK ? shown(n->link_target) : NULL;
    cli_print(cli, "%s %5u %5u %*s %s %s%s%s", node_permissions(n->mode, mode), n->uid, n->gid, human ? 11 : 6, size,
              os_time_format_human(&n->mtime, when), name, target != NULL ? " -> " : "", target != NULL ? target : "");
    free(target);
    free(name);
}

json_t *node_json(const struct node *n, const char *path)
{
    char mode[NODE_PERMISSIONS_BYTES];
    json_t *out = json_pack("{s:s, s:o, s:s, s:o, s:I, s:I}", "message_type", "node", "name",
                            cli_json_string(n->name, n->name_len), "type", node_type_name(n->type), "path",
                            cli_json_string(path, strlen(path)), "uid", (json_int_t)n->uid, "gid", (json_int_t)n->gid);
    if (n->type == NODE_FILE)
        json_object_set_new(out, "size", json_integer((json_int_t)n->size));
    json_object_set_new(out, "mode", json_integer((json_int_t)n->mode));
    json_object_set_new(out, "permissions", json_string(node_permissions(n->mode, mode)));
    if (n->inode != 0)
        json_object_set_new(out, "inode", json_integer((json_int_t)n->inode));
    json_object_set_new(out, "mtime", cli_json_time(&n->mtime));
    json_object_set_new(out, "atime", cli_json_time(&n->atime));
    json_object_set_new(out, "ctime", cli_json_time(&n->ctime));
    json_object_set_new(out, "struct_type", json_string("node"));
    return out;
}

void node_print_json(json_t *document)
{
    char *text = json_dumps(document, JSON_COMPACT);
    if (text != NULL) {
        fputs(text, stdout);
        putchar('\n');
    }
    free(text);
    json_decref(document);
}

int node_parse_time(const char *option, const char *text, struct timespec *out, struct err *err)
{
    static const char *const FORMATS[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"};
    for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++) {
        struct tm tm = {.tm_isdst = -1};
        const char *end = strptime(text, FORMATS[i], &tm);
        if (end != NULL && *end == '\0') {
            *out = (struct timespec){.tv_sec = mktime(&tm)};
            return 0;
        }
    }
    if (os_time_parse(text, strlen(text), out) == 0)
        return 0;
    return err_set(err, ERR_USAGE, "option '--%s': '%s' is no time like '2026-01-31' or '2026-01-31 14:05:00'", option,
                   text);
}
