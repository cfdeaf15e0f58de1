/* Names of users and groups, asked for once and remembered. Thread-safe. */
#pragma once
#include <sys/types.h>

struct os_owners;

struct os_owners *os_owners_new(void);
void os_owners_free(struct os_owners *o);
/* NULL when there is no name. Valid until os_owners_free. */
const char *os_user_name(struct os_owners *o, uid_t uid);
const char *os_group_name(struct os_owners *o, gid_t gid);
