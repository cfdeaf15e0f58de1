/* Entries of a snapshot as lines for people and as JSON. */
#pragma once
#include "cli/cli.h"
#include "repo/node.h"

enum { NODE_PERMISSIONS_BYTES = 24 };
/* As Go prints a file mode, and so restic: "drwxr-xr-x", "Lrwxrwxrwx", "ug-rwxr-xr-x". */
const char *node_permissions(uint32_t mode, char out[NODE_PERMISSIONS_BYTES]);
/* A line on standard output: the path alone, or with mode, owner, size and time. With human, sizes as "1.2 MB". */
void node_print(struct cli *cli, const struct node *n, const char *path, bool long_format, bool human);
/* What `ls` shows of an entry: message_type "node". */
json_t *node_json(const struct node *n, const char *path);
/* One line on standard output without flushing: for commands that print very many. Takes the reference. */
void node_print_json(json_t *document);
/* "2026-01-31", with " 14:05" or " 14:05:00" after it, in local time; or RFC 3339. ERR_USAGE. */
int node_parse_time(const char *option, const char *text, struct timespec *out, struct err *err);
