#include "os/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

enum { ENTRY_MAX_BYTES = 1 << 20, GROUPS_FIRST = 64, GROUPS_MAX = 65536 };

static void load_groups(struct os_user *u)
{
    int count = GROUPS_FIRST;
    for (;;) {
        int room = count;
        u->groups = mem_array(u->groups, (size_t)room, sizeof *u->groups);
        if (getgrouplist(u->name, u->gid, u->groups, &count) >= 0)
            break;
        if (count <= room) /* it does not always say how many there are */
            count = 2 * room;
        if (count > GROUPS_MAX) {
            u->groups[0] = u->gid;
            count = 1;
            break;
        }
    }
    u->group_count = (size_t)count;
}

int os_user_load(struct os_user *out, uid_t uid, struct err *err)
{
    struct passwd entry, *found = NULL;
    char *room = NULL;
    int errnum = ERANGE;
    *out = (struct os_user){0};
    for (size_t bytes = 4096; errnum == ERANGE && bytes <= ENTRY_MAX_BYTES; bytes *= 4) {
        room = mem_realloc(room, bytes);
        errnum = getpwuid_r(uid, &entry, room, bytes, &found);
    }
    if (found == NULL) {
        free(room);
        return errnum != 0 ? err_errno(err, errnum, "cannot look up user %u", (unsigned)uid)
                           : err_set(err, ERR_NOT_FOUND, "there is no user with the number %u", (unsigned)uid);
    }
    *out = (struct os_user){
        .uid = uid, .gid = entry.pw_gid, .name = mem_strdup(entry.pw_name), .home = mem_strdup(entry.pw_dir)};
    free(room);
    load_groups(out);
    return 0;
}

void os_user_release(struct os_user *u)
{
    free(u->name);
    free(u->home);
    free(u->groups);
    *u = (struct os_user){0};
}
