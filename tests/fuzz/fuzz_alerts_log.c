/* alerts.jsonl: any file can be read, and appended to; what was appended is the newest that is read. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "monitor/alerts_log.h"
#include "os/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In memory: lines wait until they are on the disk. */
static char directory[] = "/dev/shm/fuzz-alerts-XXXXXX";

static void remove_directory(void)
{
    char *path = os_path_join(directory, "alerts.jsonl");
    unlink(path);
    rmdir(directory);
    free(path);
}

static void write_file(const uint8_t *data, size_t size)
{
    static char *path;
    if (path == NULL) {
        if (mkdtemp(directory) == NULL || atexit(remove_directory) != 0)
            abort();
        path = os_path_join(directory, "alerts.jsonl");
    }
    FILE *f = fopen(path, "w");
    if (f == NULL || fwrite(data, 1, size, f) != size || fclose(f) != 0)
        abort();
}

static void append_again(const struct alert *a)
{
    struct alert_list list;
    struct err err = {0};
    if (alerts_log_append(directory, a, ALERT_WARNING, true, 1770184800000, &err) != 0) {
        if (strstr(err.message, "too long") == NULL)
            abort();
        return;
    }
    if (alerts_history(directory, 1, &list, NULL) != 0 || list.count != 1 || strcmp(list.items[0].rule, a->rule) != 0 ||
        list.items[0].told_ms != 1770184800000)
        abort();
    alert_list_release(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct alert_lines lines;
    write_file(data, size);
    if (alerts_log_read(directory, 50, &lines, NULL) != 0)
        abort();
    if (lines.count > 0)
        append_again(&lines.items[lines.count - 1].alert);
    alerts_log_release(&lines);
    return 0;
}
