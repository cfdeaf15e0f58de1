#!/usr/bin/env python3
"""PostgreSQL as a source: real servers, under load, restored into empty ones and compared; and everything that can go wrong."""
import json
import os
import pwd
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import docker_engine  # noqa: E402
from clawtest import check, clawback_binary, equal, main, needs_root, once, repository_bytes, skip, wait_until  # noqa: E402
from postgres_server import PASSWORD, PostgresServer, bin_dir  # noqa: E402

PHRASE = "a passphrase of more than twenty characters"
ODD_NAMES = ["it's \"x=y\"", "a b", "sla/sh", "ünï€ UP", "..", "-back\\slash"]


class Plan:
    """One tier of databases, one destination."""

    def __init__(self, box, server, more=""):
        self.box = box
        self.repo = box.path("usb")
        self.pass_file = box.write("passphrase", PHRASE + "\n", 0o600)
        self.file = box.path("claw.yaml")
        self.write(server, more)

    def write(self, server, more=""):
        lines = ["passphrase: {file: %s}" % self.pass_file, "destinations:", "  usb: {path: %s, reserve: 1MB}" % self.repo,
                 "tiers:", "  databases:", "    every: 2h", "    postgres: [%s]" % json.dumps(server, ensure_ascii=False),
                 "    to: [usb]", "    keep: {within: 3d}"]
        self.box.write(self.file, "\n".join(lines) + "\n" + "".join("    %s\n" % line for line in more.splitlines()), 0o600)

    def _args(self):
        return [clawback_binary(), "run", "-c", self.file, "databases"]

    def run(self, **options):
        return self.box.run(self._args(), **options)

    def start(self, **options):
        return self.box.start(self._args(), **options)

    def claw(self, *args, **options):
        return self.box.run([clawback_binary(), "-r", self.repo, "--password-file", self.pass_file] + list(args), **options)

    def snapshots(self):
        return self.claw("snapshots", "--json").json() if os.path.isdir(os.path.join(self.repo, "snapshots")) else []

    def files(self):
        """{path: bytes} of the newest snapshot."""
        paths = [n["path"] for n in self.claw("ls", "--json", "latest").json_lines() if n.get("type") == "file"]
        return {path: self.claw("dump", "latest", path).out_bytes for path in paths}

    def fails(self, *words):
        """A run that fails, saying these words on one line, and leaves no snapshot."""
        before = len(self.snapshots())
        done = self.run(rc=1)
        lines = [line for line in (done.out + done.err).splitlines() if all(word in line for word in words)]
        check(lines, "no line has all of %s" % (words,), done)
        check(PASSWORD not in done.out + done.err and "geheim" not in done.out + done.err, "the password is shown", done)
        equal(len(self.snapshots()), before, "number of snapshots")
        return done


def password_file(box):
    return {"file": box.write("db.password", PASSWORD + "\n", 0o600)}


def by_url(box, server, **more):
    return dict({"url": "postgresql://127.0.0.1:%d" % server.port, "user": server.superuser,
                 "password": password_file(box)}, **more)


@once
def servers(box):
    """A server to back up, and an empty one to restore into."""
    source = PostgresServer(box, "source")
    box.children.append(Closing(source))
    target = PostgresServer(box, "target")
    box.children.append(Closing(target))
    return source, target


class Closing:
    """What a box ends with its children."""

    stdin = stdout = stderr = None

    def __init__(self, thing):
        self.thing = thing

    def poll(self):
        return None

    def kill(self):
        self.thing.stop()

    def wait(self):
        pass


def bench_sums(server, database):
    return server.query("SELECT (SELECT coalesce(sum(abalance), 0) FROM pgbench_accounts), "
                        "(SELECT coalesce(sum(tbalance), 0) FROM pgbench_tellers), "
                        "(SELECT coalesce(sum(bbalance), 0) FROM pgbench_branches), "
                        "(SELECT coalesce(sum(delta), 0) FROM pgbench_history)", database)[0]


def counted(files, path):
    doc = json.loads(files[path])
    equal(doc["rows"], sum(t["rows"] for t in doc["tables"]), "the sum in " + path)
    return {(t["schema"], t["name"]): t["rows"] for t in doc["tables"]}


def rows_of(server, database):
    return {table: len(rows) for table, rows in server.contents(database).items()}


def fresh(server, database, *options):
    server.psql('DROP DATABASE IF EXISTS "%s"' % database.replace('"', '""'))
    server.create(database, *options)


def our_sessions(server):
    return server.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'clawback'")


# ---------------------------------------------------------------------------------------------------------------- what comes back


def test_a_database_under_load_comes_back_as_it_was_at_one_moment(box):
    source, target = servers()
    fresh(source, "load")
    source.bench("load", "-i", "-q", "-s", "3")
    plan = Plan(box, by_url(box, source, database="load"))
    bench = source.bench("load", "-c", "4", "-T", "60", "-n", background=True)
    try:
        wait_until(lambda: int(source.query("SELECT count(*) FROM pgbench_history", "load")[0][0]) > 50, "pgbench writes")
        plan.run()
        check(bench.poll() is None, "pgbench ended before the dump did")
    finally:
        bench.kill()
        bench.wait()
    folder = "/postgres/127.0.0.1:%d/load" % source.port
    files = plan.files()
    equal(sorted(files), [folder + n for n in ("/globals.sql", "/load.counts.json", "/load.dump", "/server.json")], "the files")
    fresh(target, "load")
    target.restore(files[folder + "/load.dump"], "load")
    sums = bench_sums(target, "load")
    equal(set(sums), {sums[0]}, "the sums of balances, which every transaction keeps equal")
    check(sums[0] != "0", "nothing was written before the dump")
    equal(counted(files, folder + "/load.counts.json"), rows_of(target, "load"), "rows that were counted, rows restored")


MANY_THINGS = r'''
CREATE EXTENSION pg_trgm;
CREATE SCHEMA "Odd Schema";
CREATE TABLE "Odd Schema"."it's a ""table""" (id bigserial PRIMARY KEY, U&"tab\0009column" text, j jsonb, b bytea, a int[], t timestamptz);
INSERT INTO "Odd Schema"."it's a ""table""" (U&"tab\0009column", j, b, a, t)
  SELECT repeat(E'line\nbreak\ttab\\back ünï€ ', i % 50), json_build_object('i', i), decode(md5(i::text), 'hex'), ARRAY[i, NULL],
         '2026-01-01'::timestamptz + i * interval '1 minute' FROM generate_series(1, 2000) i;
CREATE TABLE parts (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_b PARTITION OF parts FOR VALUES FROM (100) TO (1000);
INSERT INTO parts SELECT i, 'x' FROM generate_series(1, 500) i;
CREATE TABLE parent (id int); CREATE TABLE child (more text) INHERITS (parent);
INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 'c'), (3, NULL);
CREATE TABLE empty (); CREATE TABLE columnless (); INSERT INTO columnless DEFAULT VALUES; INSERT INTO columnless DEFAULT VALUES;
CREATE TABLE generated (a int, b int GENERATED ALWAYS AS (a * 2) STORED); INSERT INTO generated (a) VALUES (1), (2);
CREATE UNLOGGED TABLE unlogged (x int); INSERT INTO unlogged VALUES (7);
CREATE MATERIALIZED VIEW mat AS SELECT count(*) FROM parts; CREATE VIEW plain AS SELECT * FROM parent;
CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1';
CREATE TABLE with_dot (t text); INSERT INTO with_dot VALUES ('\.'), (E'\\.'), (''), (NULL), (E'\n');
SELECT lo_from_bytea(4711, convert_to(repeat('large object ', 100000), 'UTF8'));
COMMENT ON TABLE parent IS 'ünï';
'''


def test_every_kind_of_thing_comes_back_row_by_row(box):
    source, target = servers()
    fresh(source, "things")
    source.psql(MANY_THINGS, "things")
    plan = Plan(box, by_url(box, source, database="things"))
    plan.run()
    files = plan.files()
    folder = "/postgres/127.0.0.1:%d/things" % source.port
    fresh(target, "things")
    target.restore(files[folder + "/things.dump"], "things")
    equal(target.schema("things"), source.schema("things"), "the definitions")
    equal(target.contents("things"), source.contents("things"), "the rows")
    large = "SELECT md5(lo_get(4711))"
    equal(target.query(large, "things"), source.query(large, "things"), "the large object")
    rows = counted(files, folder + "/things.counts.json")
    expected = {}
    for schema, name in source.tables("things"):
        table = '"%s"."%s"' % (schema, name.replace('"', '""'))
        expected[schema, name] = int(source.query("SELECT count(*) FROM ONLY %s" % table, "things")[0][0])
    equal(rows, expected, "the rows counted")
    document = json.loads(files[folder + "/server.json"])
    equal(document["databases"][0]["extensions"].keys(), {"plpgsql", "pg_trgm"}, "extensions")
    equal(document["version"], source.query("SHOW server_version")[0][0], "the version in server.json")


def test_a_whole_server_comes_back_roles_and_odd_names_included(box):
    source = PostgresServer(box, "source")
    target = PostgresServer(box, "target")
    try:
        source.psql("CREATE ROLE shop_owner LOGIN PASSWORD 'of the shop'; CREATE ROLE readers; GRANT readers TO shop_owner; "
                    "CREATE DATABASE closed ALLOW_CONNECTIONS false; CREATE DATABASE mould IS_TEMPLATE true")
        for name in ODD_NAMES:
            source.create(name)
            source.psql("CREATE TABLE t AS SELECT %s::text AS name" % ("$tag$" + name + "$tag$"), name)
        source.create("latin", "-T", "template0", "-E", "LATIN1", "--locale=C")
        source.psql("SET client_encoding = 'UTF8'; CREATE TABLE t AS SELECT 'grün'::text AS name", "latin")
        source.create("bytes", "-T", "template0", "-E", "SQL_ASCII", "--locale=C")
        source.psql("SET client_encoding = 'SQL_ASCII'; CREATE TABLE \"t\" AS SELECT E'\\xff\\xfe'::text AS name", "bytes")
        plan = Plan(box, by_url(box, source))
        done = plan.run()
        files = plan.files()
        folder = "/postgres/127.0.0.1:%d/" % source.port
        counts = {json.loads(files[p])["database"]: p for p in files if p.endswith(".counts.json")}
        equal(sorted(counts), sorted(ODD_NAMES + ["latin", "bytes", "postgres"]), "the databases", )
        equal(len([p for p in files if p.endswith(".dump")]), len(counts), "number of dumps")
        check(not any(name in done.err for name in ("template0", "closed")), "what is left out is no warning", done)
        globals_sql = files[folder + "globals.sql"].decode()
        globals_sql = "\n".join(line for line in globals_sql.splitlines()
                                if line not in ("CREATE ROLE %s;" % source.superuser,))
        target.psql(globals_sql)
        equal(target.query("SELECT rolname, rolpassword FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY 1"),
              source.query("SELECT rolname, rolpassword FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY 1"), "roles and passwords")
        for name, path in counts.items():
            if name == "postgres":
                continue
            target._call("pg_restore", "--exit-on-error", "--create", *target._tcp(), "-d", "postgres",
                         input=files[path.replace(".counts.json", ".dump")])
            equal(target.contents(name), source.contents(name), "rows of '%s'" % name)
    finally:
        source.close()
        target.close()


def test_a_second_dump_costs_what_has_changed(box):
    source, _ = servers()
    fresh(source, "grows")
    source.psql("CREATE TABLE t AS SELECT i AS id, md5(i::text) || md5((i * 7)::text) || md5((i * 13)::text) AS text "
                "FROM generate_series(1, 200000) i", "grows")
    plan = Plan(box, by_url(box, source, database="grows"))
    plan.run()
    first = repository_bytes(plan.repo)
    plan.run()
    unchanged = repository_bytes(plan.repo) - first
    check(unchanged < first * 0.02, "nothing changed, and %d bytes were added to %d" % (unchanged, first))
    source.psql("UPDATE t SET text = 'changed' WHERE id % 20000 = 0", "grows")
    plan.run()
    added = repository_bytes(plan.repo) - first - unchanged
    check(added < first * 0.1, "ten rows changed, and %d bytes were added to %d" % (added, first))


def test_a_user_who_is_no_superuser_gets_roles_without_passwords(box):
    source, _ = servers()
    source.psql("DROP DATABASE IF EXISTS hers; DROP ROLE IF EXISTS lena")
    source.psql("CREATE ROLE lena LOGIN PASSWORD 'geheim'")
    source.create("hers", "-O", "lena")
    source.psql("SET ROLE lena; CREATE TABLE t AS SELECT 1 AS x", "hers")
    plan = Plan(box, {"url": "postgresql://lena@127.0.0.1:%d/hers" % source.port,
                      "password": {"file": box.write("p", "geheim\n", 0o600)}})
    done = plan.run(rc=(0, 3))
    check("without their passwords" in done.out + done.err, "no warning", done)
    files = plan.files()
    globals_sql = next(files[p] for p in files if p.endswith("globals.sql"))
    check(b"CREATE ROLE lena" in globals_sql and b"PASSWORD" not in globals_sql, "roles", globals_sql)
    # And the user that docs/databases.md recommends, on tables of others behind row-level security.
    source.psql("DROP ROLE IF EXISTS saver; CREATE ROLE saver LOGIN PASSWORD 'geheim' BYPASSRLS; GRANT pg_read_all_data TO saver")
    source.psql("ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY; CREATE SEQUENCE s", "hers")
    plan.write({"url": "postgresql://saver@127.0.0.1:%d/hers" % source.port, "password": {"file": box.path("p")}})
    plan.run(rc=(0, 3))
    equal(len(plan.snapshots()), 2, "snapshots")


def database_check(box):
    """What health finds of the databases, and doctor of them first."""
    seen = box.run([clawback_binary(), "health", "-c", box.path("claw.yaml"), "--json"], rc=None).json()
    doctor = box.run([clawback_binary(), "doctor", "-c", box.path("claw.yaml"), "--json"], rc=None).json_lines("check")
    return ([f["text"] for f in seen["findings"] if f["rule"] == "dump-failed" and f["level"] != "fine"],
            [c for c in doctor if c["check"] == "databases"][0])


def test_rights_that_a_dump_lacks_are_told_by_health_and_doctor(box):
    source, _ = servers()
    source.psql("DROP DATABASE IF EXISTS vault")
    source.psql("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN PASSWORD 'geheim'")
    source.create("vault")
    source.psql("""CREATE TABLE open_one (x int); CREATE TABLE "Closed, one" (x int); CREATE SEQUENCE counter;
        CREATE SCHEMA inner_room; CREATE TABLE inner_room.a (x int); CREATE TABLE inner_room.b (x int);
        CREATE TABLE mine (x int); ALTER TABLE mine ENABLE ROW LEVEL SECURITY; SELECT lo_create(4711);
        GRANT SELECT ON open_one, mine TO reader; GRANT SELECT ON inner_room.a, inner_room.b TO reader""", "vault")
    plan = Plan(box, {"url": "postgresql://reader@127.0.0.1:%d/vault" % source.port,
                      "password": {"file": box.write("p", "geheim\n", 0o600)}})

    def lacks(*words):
        told, line = database_check(box)
        equal([len(told), line["level"]], [1, "red"], "findings, and doctor's verdict")
        for word in words:
            check(word in told[0] and word in line["found"], "'%s' is not said" % word, "%s; %s" % (told[0], line["found"]))
        plan.fails("databases")
        return told[0]
    text = lacks("'reader'", "'vault'", 'schema inner_room, sequence public.counter, table public."Closed, one" and 2 more;')
    check("inner_room.a" not in text, "what is in a closed schema is named", text)
    source.psql("GRANT USAGE ON SCHEMA inner_room TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", "vault")
    lacks("sequence public.counter, rows of table public.mine (row-level security), 1 large object;")
    source.psql("GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO reader; ALTER ROLE reader BYPASSRLS", "vault")
    lacks("takes: 1 large object;")
    source.psql("GRANT SELECT ON LARGE OBJECT 4711 TO reader", "vault")
    told, line = database_check(box)
    equal([told, line["level"]], [[], "green"], "findings, and doctor's verdict")
    plan.run(rc=(0, 3))
    equal(len(plan.snapshots()), 1, "snapshots")


# ------------------------------------------------------------------------------------------------------------------ passwords


class Watcher(threading.Thread):
    """Looks for a secret in the arguments of all processes, all the time."""

    def __init__(self, secret):
        super().__init__()
        self.secret, self.found, self.looks, self.stopping, self.tools = secret.encode(), [], 0, False, set()

    def run(self):
        while not self.stopping:
            for name in os.listdir("/proc"):
                if name.isdigit():
                    self.look(name)
            self.looks += 1

    def look(self, pid):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                line = f.read()
        except OSError:
            return
        for tool in (b"pg_dump", b"psql"):
            if tool in line:
                self.tools.add(tool)
        if self.secret in line:
            self.found.append(line)


def test_the_password_is_in_no_argument_list_and_no_message(box):
    source, _ = servers()
    fresh(source, "secret")
    source.bench("secret", "-i", "-q", "-s", "2")
    plan = Plan(box, {"url": "postgresql://%s@127.0.0.1:%d/secret" % (source.superuser, source.port),
                      "password": password_file(box)})
    watcher = Watcher("geheim")
    watcher.start()
    try:
        done = plan.run()
    finally:
        watcher.stopping = True
        watcher.join()
    equal(watcher.found, [], "arguments with the password in them")
    check(watcher.tools == {b"pg_dump", b"psql"}, "the watcher did not see the tools", watcher.tools, watcher.looks)
    check("geheim" not in done.out + done.err, "a message shows the password", done)


def test_a_password_in_the_url_is_moved_out_of_it(box):
    source, _ = servers()
    fresh(source, "inurl")
    plan = Plan(box, {"url": source.url("inurl")})
    watcher = Watcher("geheim")
    watcher.start()
    try:
        done = plan.run(rc=(0, 1))
    finally:
        watcher.stopping = True
        watcher.join()
    equal(watcher.found, [], "arguments with the password in them")
    if done.rc == 1:  # a plan may refuse passwords in it altogether
        check("password" in done.err, "the reason", done)
    check("geheim" not in done.out + done.err, "a message shows the password", done)


@needs_root
def test_root_reaches_a_local_server_as_its_own_user(box):
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        skip("there is no system user postgres")
    server = PostgresServer(box, "peer", local_auth="peer")
    try:
        server.create("mine")
        plan = Plan(box, {"socket": os.path.join(server.dir, ".s.PGSQL.%d" % server.port), "database": "mine"})
        plan.run()
        check(any(path.endswith("/mine.dump") for path in plan.files()), "no dump")
        plan.write({"socket": os.path.join(server.dir, ".s.PGSQL.%d" % server.port), "user": "root", "database": "mine"})
        plan.fails("role \"root\" does not exist")
    finally:
        server.close()


# ------------------------------------------------------------------------------------------------------------ what goes wrong


def test_a_server_that_is_down_is_an_error_or_skipped(box):
    server = PostgresServer(box)
    plan = Plan(box, by_url(box, server))
    server.close()
    plan.fails("127.0.0.1:%d" % server.port, "nobody listens there")
    plan.write(by_url(box, server), "when: running")
    done = plan.run()
    check("not running" in done.out + done.err or "skipped" in done.out + done.err, "the skip is not told", done)
    equal(plan.snapshots(), [], "snapshots")


def test_who_is_not_let_in_is_told_why(box):
    source, _ = servers()
    fresh(source, "guarded")
    source.psql("DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN PASSWORD 'geheim'; REVOKE CONNECT ON DATABASE guarded FROM PUBLIC")
    source.psql("CREATE TABLE locked_up (x int)", "guarded")
    plan = Plan(box, by_url(box, source, database="guarded"))
    plan.run()
    wrong = {"file": box.write("wrong", "geheim, but wrong\n", 0o600)}
    plan.write(by_url(box, source, password=wrong), "when: running")
    plan.fails("password authentication failed", "check user and password")
    plan.write(by_url(box, source, database="no such one"), "when: running")
    plan.fails("database \"no such one\" does not exist")
    guest = {"user": "guest", "password": {"file": box.write("guest", "geheim\n", 0o600)}}
    plan.write(by_url(box, source, database="guarded", **guest), "when: running")
    plan.fails("permission denied for database", "grant CONNECT")
    source.psql("GRANT CONNECT ON DATABASE guarded TO guest")
    plan.fails("permission denied for table locked_up", "pg_read_all_data")
    source.psql("ALTER TABLE locked_up OWNER TO guest; ALTER TABLE locked_up ENABLE ROW LEVEL SECURITY; "
                "ALTER TABLE locked_up FORCE ROW LEVEL SECURITY", "guarded")
    plan.fails("row-level security", "BYPASSRLS")
    equal(len(plan.snapshots()), 1, "snapshots")


def test_a_table_that_is_held_locked_does_not_hold_us(box):
    source, _ = servers()
    fresh(source, "held")
    source.psql("CREATE TABLE t AS SELECT 1 AS x", "held")
    plan = Plan(box, by_url(box, source, database="held"), "timeout: 4s")
    holder = box.start([os.path.join(bin_dir(), "psql"), "-Xq", "-d", source.url("held"), "-c",
                        "BEGIN; LOCK TABLE t; SELECT pg_sleep(60)"])
    wait_until(lambda: source.query("SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted "
                                    "AND relation = 't'::regclass", "held"), "the lock is held")
    began = time.monotonic()
    plan.fails("somebody holds a lock")
    check(time.monotonic() - began < 20, "it took %.1f s" % (time.monotonic() - began))
    wait_until(lambda: our_sessions(source) == [], "our sessions have ended")
    holder.kill()
    holder.wait()
    source.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()")
    plan.run()


def slow_database(server, name):
    """One that is not dumped in a moment."""
    fresh(server, name)
    server.psql("CREATE TABLE big AS SELECT i, repeat(md5(i::text), 30) AS text FROM generate_series(1, 300000) i", name)


def copying(server):
    return server.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'clawback' AND query LIKE 'COPY %'")


def test_a_server_killed_in_the_middle_leaves_the_older_backup_alone(box):
    server = PostgresServer(box)
    try:
        slow_database(server, "big")
        plan = Plan(box, by_url(box, server, database="big"))
        plan.run()
        before = [s["id"] for s in plan.snapshots()]
        run = plan.start()
        wait_until(lambda: run.poll() is not None or copying(server), "pg_dump copies")
        server.stop(signal.SIGQUIT)
        out, err = run.communicate(timeout=120)
        equal(run.returncode, 1, "exit status\n%s" % (out + err).decode())
        check(b"big" in out + err and (b"server closed the connection" in out + err or b"terminating connection" in out + err),
              "the reason", out, err)
        equal([s["id"] for s in plan.snapshots()], before, "snapshots")
        plan.claw("check", "--read-data")
        server.start()
        plan.run()
        equal(len(plan.snapshots()), 2, "snapshots")
    finally:
        server.close()


def test_time_that_is_over_ends_everything(box):
    source, _ = servers()
    slow_database(source, "slow")
    plan = Plan(box, by_url(box, source, database="slow"), "timeout: 1s")
    locker = box.start([os.path.join(bin_dir(), "psql"), "-Xq", "-d", source.url("slow"), "-c",
                        "BEGIN; LOCK TABLE big; SELECT pg_sleep(59)"])
    wait_until(lambda: source.query("SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted "
                                    "AND relation = 'big'::regclass", "slow"), "the lock is held")
    plan.run(rc=1)
    wait_until(lambda: our_sessions(source) == [], "our sessions have ended")
    locker.kill()
    locker.wait()
    source.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(59)%' AND pid <> pg_backend_pid()")


def test_an_interrupted_run_ends_its_tools(box):
    source, _ = servers()
    slow_database(source, "stopped")
    plan = Plan(box, by_url(box, source, database="stopped"))
    run = plan.start()
    wait_until(lambda: run.poll() is not None or our_sessions(source), "a tool of ours is there")
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    check(run.returncode in (130, 0), "exit status %d" % run.returncode)
    wait_until(lambda: our_sessions(source) == [], "our sessions have ended")


# ------------------------------------------------------------------------------------------------------------------ containers


ENTRY = """#!/bin/sh
set -e
if [ ! -s /data/pg/PG_VERSION ]; then
    echo "$POSTGRES_PASSWORD" >/tmp/pw
    initdb -D /data/pg -U "$POSTGRES_USER" --pwfile=/tmp/pw --auth-local=scram-sha-256 --auth-host=scram-sha-256 -E UTF8 \\
        --locale=C.UTF-8 --no-sync >/dev/null
    rm /tmp/pw
fi
exec postgres -D /data/pg -c listen_addresses=127.0.0.1 -c fsync=off
"""


def server_image(engine):
    programs = [os.path.join(bin_dir(), p) for p in ("postgres", "initdb", "psql", "pg_dump", "pg_dumpall", "pg_restore", "pgbench",
                                                     "pg_isready")]
    libraries = os.path.join(os.path.dirname(bin_dir()), "lib")
    programs += [os.path.join(libraries, f) for f in os.listdir(libraries) if f.endswith(".so") and "llvm" not in f]
    version = os.path.basename(os.path.dirname(bin_dir()))
    programs += ["/usr/share/postgresql/%s" % version, "/usr/lib/locale/C.utf8"]
    programs += [p for p in ("/usr/share/zoneinfo/UTC", "/usr/share/zoneinfo/Etc/UTC") if os.path.exists(p)]
    engine.make_image("clawtest/postgres", programs, files=[("/entry.sh", ENTRY, 0o755)],
                      folders=[("/data", 999, 0o700), ("/var/run/postgresql", 999, 0o755)],
                      users=[("postgres", 999)], command=["/entry.sh"],
                      environment=["PATH=%s:/usr/bin:/bin" % bin_dir(), "LANG=C.UTF-8"])


@once
def engine(box):
    try:
        found = docker_engine.Engine(box)
    except docker_engine.Unavailable as e:
        print("# containers are not tested here with a real engine, only by tests/unit/source/test_container.c with a stand-in: %s" % e)
        skip(str(e))
    box.children.append(Closing(found))
    server_image(found)
    return found


def start_container(docker, name):
    docker.docker("rm", "-fv", name, check=False)
    docker.run(name, "clawtest/postgres", "--user", "999", "-e", "POSTGRES_USER=erp_user", "-e", "POSTGRES_PASSWORD=" + PASSWORD)
    wait_until(lambda: docker.docker("exec", name, "pg_isready", "-q", check=False).returncode == 0, "the server in the container", 60)


def there(docker, name, program, *args, check_it=True):
    return docker.docker("exec", "-e", "PGPASSWORD=" + PASSWORD, name, program, "-U", "erp_user", *args, check=check_it).stdout


def test_container_under_load_comes_back(box):
    docker = engine()
    _, target = servers()
    box.env.update(docker.env)
    start_container(docker, "ai-erp-postgres")
    there(docker, "ai-erp-postgres", "psql", "-d", "postgres", "-c", "CREATE DATABASE ai_erp")
    there(docker, "ai-erp-postgres", "pgbench", "-i", "-q", "-s", "2", "ai_erp")
    docker.docker("exec", "-d", "-e", "PGPASSWORD=" + PASSWORD, "ai-erp-postgres", "pgbench", "-U", "erp_user", "-c", "2", "-T", "25",
                  "-n", "ai_erp")
    time.sleep(1)
    # No password is given: the container's own is used, and does not leave it.
    plan = Plan(box, {"container": "ai-erp-postgres", "user": "erp_user", "database": "ai_erp"}, "when: running")
    watcher = Watcher("geheim")
    watcher.start()
    try:
        plan.run()
    finally:
        watcher.stopping = True
        watcher.join()
    equal(watcher.found, [], "arguments with the password in them")
    files = plan.files()
    folder = "/postgres/ai-erp-postgres/ai_erp/"
    fresh(target, "ai_erp")
    target.restore(files[folder + "ai_erp.dump"], "ai_erp", "--no-owner")
    sums = bench_sums(target, "ai_erp")
    equal(set(sums), {sums[0]}, "the sums of balances")
    check(sums[0] != "0", "nothing was written before the dump")
    equal(counted(files, folder + "ai_erp.counts.json"), rows_of(target, "ai_erp"), "rows that were counted, rows restored")
    # All databases, as nobody in particular: POSTGRES_USER.
    plan.write({"container": "ai-erp-postgres"})
    plan.run()
    check("/postgres/ai-erp-postgres/postgres.dump" in plan.files(), "not all databases are there")
    plan.write({"container": "ai-erp-postgres", "password": {"file": box.write("p", PASSWORD + "\n", 0o600)}})
    plan.run()
    plan.write({"container": "ai-erp-postgres", "password": {"file": box.write("p", "geheim: wrong\n", 0o600)}})
    plan.fails("password authentication failed")


def test_container_tells_which_rights_a_dump_lacks(box):
    docker = engine()
    box.env.update(docker.env)
    start_container(docker, "clawtest-rights")
    there(docker, "clawtest-rights", "psql", "-d", "postgres", "-c", "CREATE DATABASE vault", "-c",
          "CREATE ROLE reader LOGIN PASSWORD 'geheim'", "-c", "\\c vault", "-c", "CREATE TABLE closed (x int)")
    Plan(box, {"container": "clawtest-rights", "user": "reader", "database": "vault",
               "password": {"file": box.write("p", "geheim\n", 0o600)}})
    told, line = database_check(box)
    check(len(told) == 1 and "takes: table public.closed; give it" in told[0], "what is told", told)
    equal(line["level"], "red", "doctor's verdict")
    there(docker, "clawtest-rights", "psql", "-d", "vault", "-c", "GRANT SELECT ON closed TO reader")
    told, line = database_check(box)
    equal([told, line["level"]], [[], "green"], "findings, and doctor's verdict")
    docker.docker("rm", "-fv", "clawtest-rights")


def test_container_that_does_not_run_is_an_error_or_skipped(box):
    docker = engine()
    box.env.update(docker.env)
    start_container(docker, "resting")
    docker.docker("stop", "-t", "5", "resting")
    plan = Plan(box, {"container": "resting"})
    plan.fails("the container 'resting' is not running (exited)", "docker start resting")
    plan.write({"container": "nowhere"})
    plan.fails("there is no container 'nowhere'")
    plan.write({"container": "resting"}, "when: running")
    done = plan.run()
    check("resting" in done.out + done.err, "the skip is not told", done)
    plan.write({"container": "nowhere"}, "when: running")
    plan.run()
    box.env["DOCKER_HOST"] = "unix://" + box.path("no-socket")
    plan.write({"container": "resting"}, "when: running")
    plan.run()
    equal(plan.snapshots(), [], "snapshots")


def tools_in_containers():
    """pg_dump and psql of ours, wherever they run on this machine."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open("/proc/%s/environ" % name, "rb") as f:
                if name.isdigit() and b"CLAWBACK_EXEC=" in f.read():
                    found.append(name)
        except OSError:
            continue
    return found


def test_container_tools_end_there_when_time_is_over(box):
    docker = engine()
    box.env.update(docker.env)
    start_container(docker, "slow")
    there(docker, "slow", "psql", "-d", "postgres", "-c",
          "CREATE DATABASE held", "-c", "\\c held", "-c", "CREATE TABLE t AS SELECT 1 AS x")
    docker.docker("exec", "-d", "-e", "PGPASSWORD=" + PASSWORD, "slow", "psql", "-U", "erp_user", "-d", "held", "-c",
                  "BEGIN; LOCK TABLE t; SELECT pg_sleep(90)")
    plan = Plan(box, {"container": "slow", "user": "erp_user", "database": "held"}, "timeout: 3s")
    time.sleep(1)
    plan.run(rc=1)
    wait_until(lambda: tools_in_containers() == [], "our programs in the container have ended")
    # And on the way out of an interrupted run.
    plan.write({"container": "slow", "user": "erp_user", "database": "held"}, "timeout: 60s")
    run = plan.start()
    wait_until(lambda: run.poll() is not None or len(tools_in_containers()) > 0, "a tool of ours is there")
    time.sleep(1)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    equal(run.returncode, 130, "exit status")
    wait_until(lambda: tools_in_containers() == [], "our programs in the container have ended")


def test_container_killed_in_the_middle_is_an_error(box):
    docker = engine()
    box.env.update(docker.env)
    start_container(docker, "victim")
    there(docker, "victim", "psql", "-d", "postgres", "-c", "CREATE TABLE big AS SELECT i, repeat(md5(i::text), 30) AS text "
          "FROM generate_series(1, 300000) i")
    plan = Plan(box, {"container": "victim", "user": "erp_user", "database": "postgres"})
    run = plan.start()
    wait_until(lambda: run.poll() is not None or "COPY" in there(
        docker, "victim", "psql", "-d", "postgres", "-Atc", "SELECT query FROM pg_stat_activity WHERE application_name = 'clawback'"),
        "pg_dump copies")
    docker.docker("kill", "victim")
    out, err = run.communicate(timeout=120)
    equal(run.returncode, 1, "exit status\n%s" % (out + err).decode())
    check(b"victim" in out + err, "the container is not named", out, err)
    equal(plan.snapshots(), [], "snapshots")


if __name__ == "__main__":
    main()
