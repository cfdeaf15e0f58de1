/* Users of this system, as the password and group databases have them. Thread-safe. */
#pragma once
#include <stddef.h>
#include <sys/types.h>
#include "base/err.h"

struct os_user {
    uid_t uid;
    gid_t gid;
    char *name, *home;
    gid_t *groups; /* all, gid among them */
    size_t group_count;
};

/* ERR_NOT_FOUND: there is no such user. */
int os_user_load(struct os_user *out, uid_t uid, struct err *err);
void os_user_release(struct os_user *u); /* a zeroed one is nothing */
