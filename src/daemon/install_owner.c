/* Whose a schedule is: systemd's units, the crontab's lines and the daemon's service have fixed names, of which a user
 * has one each; two state directories must not take them from each other unnoticed. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/install.h"
#include "os/file.h"

static const char VARIABLE[] = "CLAWBACK_STATE_DIR=", BY_FILE[] = "/schedule-cron.sh";
enum { UNIT_MAX_BYTES = 64 << 10 };

/* The state directory that a line or a unit of ours names, where its name needs no escapes; NULL. The caller frees it.
 */
static char *named_directory(const char *text)
{
    const char *value = strstr(text, VARIABLE), *file = strstr(text, BY_FILE);
    if (value != NULL) {
        value += sizeof VARIABLE - 1;
        bool quoted = *value == '\'';
        value += quoted;
        return mem_strndup(value, strcspn(value, quoted ? "'" : " \"\n"));
    }
    if (file == NULL)
        return NULL;
    const char *begin = file;
    while (begin > text && strchr(" '\n", begin[-1]) == NULL)
        begin--;
    return mem_strndup(begin, (size_t)(file - begin));
}

int install_check_owner(const struct install *in, const char *where, const char *text, struct err *err)
{
    char *other = named_directory(text), *memory = other != NULL ? os_path_join(other, "schedule.json") : NULL;
    int rc = 0;
    /* One that is gone, or remembers nothing, has no say. */
    if (other != NULL && strcmp(other, in->state_dir) != 0 && access(memory, F_OK) == 0) {
        err_set(err, ERR_EXISTS,
                "%s has the schedule of another state directory, which would be replaced: 'CLAWBACK_STATE_DIR=%s "
                "clawback schedule remove' makes room",
                where, other);
        rc = err_advise(err, "two plans go together as one plan with the tiers of both");
    }
    free(memory);
    free(other);
    return rc;
}

int install_check_unit_owner(const struct install *in, const char *path, struct err *err)
{
    struct buf text;
    buf_init(&text, UNIT_MAX_BYTES);
    int rc = os_read_file(path, &text, NULL) == 0 ? install_check_owner(in, path, buf_cstr(&text), err) : 0;
    buf_release(&text);
    return rc;
}
