/*
 * May a user read all that a dump takes? Asked of the catalogs alone: no table is touched, nothing is locked.
 */
#pragma once
#include "base/err.h"
#include "source/postgres_server.h"

/* Of one database: the schemas, tables and sequences that pg_dump takes, tables whose rows row-level security hides,
 * and large objects. ERR_PERMISSION names the first few that it may not read; other errors: the database cannot be
 * entered or asked. */
int pg_rights_check(const struct pg_server *s, const struct pg_client *c, const char *database, struct err *err);
