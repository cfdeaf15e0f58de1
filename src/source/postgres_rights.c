#include "source/postgres_rights.h"

#include <stdlib.h>

#include "base/mem.h"

enum { ANSWER_BYTES_MAX = 1 << 20, LARGE_OBJECT_RIGHTS = 180000 };

/* What pg_dump locks and reads: not what belongs to extensions, but for their tables of settings; no unlogged tables of
 * a standby. What lies in a schema that is closed is not named one by one. */
static const char ASK_RIGHTS[] =
    "WITH taken AS (SELECT c.oid, c.relkind, n.oid AS schema, n.nspname,\n"
    "  pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS name,\n"
    "  pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS is_open,\n"
    "  pg_catalog.has_table_privilege(c.oid, 'SELECT') AS may_read\n"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    " WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'\n"
    "  AND n.nspname <> 'information_schema' AND NOT (c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery())\n"
    "  AND (NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = "
    "'pg_catalog.pg_class'::pg_catalog.regclass\n"
    "   AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e')\n"
    "   OR EXISTS (SELECT 1 FROM pg_catalog.pg_extension e WHERE c.oid = ANY (e.extconfig)))),\n"
    "denied AS (SELECT DISTINCT 1 AS rank, pg_catalog.format('schema %%I', nspname) AS what FROM taken WHERE NOT "
    "is_open\n"
    " UNION ALL SELECT 2, CASE relkind WHEN 'S' THEN 'sequence ' ELSE 'table ' END || name\n"
    "  FROM taken WHERE is_open AND NOT may_read\n"
    " UNION ALL SELECT 3, 'rows of table ' || name || ' (row-level security)'\n"
    "  FROM taken WHERE is_open AND may_read AND relkind = 'r' AND pg_catalog.row_security_active(oid)\n"
    " UNION ALL SELECT 4, pg_catalog.count(*) || CASE pg_catalog.count(*) WHEN 1 THEN ' large object' ELSE ' large "
    "objects' END\n"
    "  FROM pg_catalog.pg_largeobject_metadata m\n"
    "  WHERE pg_catalog.current_setting('lo_compat_privileges') = 'off' AND NOT (%s) HAVING pg_catalog.count(*) > 0)\n"
    "SELECT pg_catalog.count(*) OVER (), what FROM denied ORDER BY rank, what LIMIT 3;\n";

/* Servers before 18 have no function for it. */
static const char *may_read_large_object(unsigned version)
{
    if (version >= LARGE_OBJECT_RIGHTS)
        return "pg_catalog.has_largeobject_privilege(m.oid, 'SELECT')";
    return "pg_catalog.pg_has_role(m.lomowner, 'USAGE') OR EXISTS (SELECT 1 FROM pg_catalog.aclexplode(m.lomacl) a\n"
           "   WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))";
}

/* "table public.a, table public.b, sequence public.c and 4 more" into `names`; how many are named. */
static size_t list_denied(const struct buf *answer, struct buf *names)
{
    const char *total, *what;
    size_t at = 0, listed = 0;
    unsigned long all = 0;
    while ((total = pg_next_value(answer, &at)) != NULL && (what = pg_next_value(answer, &at)) != NULL) {
        buf_printf(names, "%s%s", listed++ > 0 ? ", " : "", what);
        all = strtoul(total, NULL, 10);
    }
    if (all > listed)
        buf_printf(names, " and %lu more", all - (unsigned long)listed);
    return listed;
}

int pg_rights_check(const struct pg_server *s, const struct pg_client *c, const char *database, struct err *err)
{
    if (s->superuser)
        return 0;
    struct buf answer, names;
    buf_init(&answer, ANSWER_BYTES_MAX);
    buf_init(&names, ERR_MESSAGE_BYTES);
    char *script = mem_printf(ASK_RIGHTS, may_read_large_object(s->version));
    int rc = pg_ask(c, database, script, &answer, err);
    if (rc != 0)
        err_wrap(err, "cannot look at the database '%s' of %s", database, c->target.label);
    else if (list_denied(&answer, &names) > 0)
        rc =
            err_set(err, ERR_PERMISSION,
                    "user '%s' may not read all that a dump of '%s' takes: %s; give it what it lacks (GRANT; BYPASSRLS "
                    "for rows), or name another user",
                    s->user, database, buf_cstr(&names));
    free(script);
    buf_release(&names);
    buf_release(&answer);
    return rc;
}
