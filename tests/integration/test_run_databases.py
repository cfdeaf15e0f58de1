#!/usr/bin/env python3
"""`clawback run` with real servers: what is stored comes back, and what breaks off leaves the older backups as they were."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from clawtest import check, equal, main, needs_root, wait_until  # noqa: E402
from plan_box import Plan  # noqa: E402
from postgres_server import PASSWORD, PostgresServer  # noqa: E402
from redisbox import Server  # noqa: E402
import redisbox  # noqa: E402

DATABASES = """
  databases:
    every: 2h
    postgres: [{url: "postgresql://%s@127.0.0.1:%d", database: shop, password: {file: %s}}]
    redis: [{url: "%s"}]
    when: running
    to: [usb, second]
    keep: {within: 3d}
"""


def servers(box):
    os.chmod(box.dir, 0o755)
    redis = Server(box, "r")
    redisbox.fill(redis)
    postgres = PostgresServer(box)
    postgres.create("shop")
    postgres.psql("CREATE TABLE t AS SELECT n, md5(n::text) AS text FROM generate_series(1, 20000) AS n", "shop")
    box.write("password", PASSWORD + "\n", 0o600)
    plan = Plan(box, DATABASES % (postgres.superuser, postgres.port, box.path("password"), redis.url),
                {"usb": box.path("usb"), "second": box.path("second")})
    return postgres, redis, plan


def stored(plan, destination, suffix):
    """The newest content of that name in a destination."""
    for s in sorted(plan.snapshots(destination), key=lambda s: s["time"], reverse=True):
        for line in plan.claw(destination, "ls", s["id"], "--json").json_lines():
            if line.get("path", "").endswith(suffix):
                return plan.claw(destination, "dump", s["id"], line["path"]).out_bytes
    raise AssertionError("nothing is called …%s" % suffix)


def test_two_servers_into_two_destinations(box):
    postgres, redis, plan = servers(box)
    try:
        plan.run()
        record = plan.last("databases")
        equal([record["status"], record["exitCode"]], ["completed", 0], "the record")
        listed = {d["path"]: d["bytes"] for s in record["sources"] for d in s["dumps"]}
        equal(sorted(os.path.basename(p) for p in listed), ["dump.rdb", "shop.dump"], "dumps of the record")
        for path, size in listed.items():
            equal(len(stored(plan, "usb", path)), size, "the size of %s" % path)
        equal(sorted(s["tree"] for s in plan.snapshots("usb")), sorted(s["tree"] for s in plan.snapshots("second")), "trees")
        postgres.create("copy")
        postgres.restore(stored(plan, "second", "shop.dump"), "copy")
        equal(postgres.contents("copy"), postgres.contents("shop"), "rows")
        other = Server(box, "o", dump=stored(plan, "second", "dump.rdb"))
        equal(redisbox.differences(redis, other), [], "keys")
        for snapshot in plan.snapshots("usb"):
            check(PASSWORD not in str(snapshot), "the password is in a snapshot")
        check(PASSWORD not in str(plan.records("databases")), "the password is in a record")
    finally:
        postgres.close()


def test_what_is_down_is_skipped_and_what_refuses_is_not(box):
    postgres, redis, plan = servers(box)
    try:
        redis.kill()
        plan.run()
        record = plan.last("databases")
        equal([record["status"], record["exitCode"]], ["completed", 0], "the record")
        equal({s["name"]: s["status"] for s in record["sources"]}, {"/postgres/127.0.0.1:%d/shop" % postgres.port: "completed",
                                                                   "/redis/" + redis.url.split("://")[1].replace("/", "_"): "skipped"}, "sources")
        box.write("password", "wrong\n", 0o600)
        done = plan.run("databases", rc=1)
        check("password" in done.err.lower() and PASSWORD not in done.err, "the message", done)
        record = plan.last("databases")
        equal(sorted(s["status"] for s in record["sources"]), ["failed", "skipped"], "sources")
        equal([len(plan.snapshots(d)) for d in ("usb", "second")], [1, 1], "snapshots")
        postgres.stop()
        plan.run("databases")
        record = plan.last("databases")
        equal(record["status"], "skipped", "status when nothing runs")
        equal([s["name"].split("/")[1] for s in record["sources"]], ["postgres", "redis"], "names when nothing runs")
    finally:
        postgres.close()


def test_a_server_that_is_killed_in_the_middle_of_its_dump(box):
    postgres, redis, plan = servers(box)
    try:
        plan.run()
        before = {d: plan.snapshots(d) for d in ("usb", "second")}
        # So much that the dump takes a while at this speed.
        postgres.psql("CREATE TABLE big AS SELECT n, md5(random()::text) || md5(random()::text) AS text FROM "
                      "generate_series(1, 600000) AS n", "shop")
        plan.destinations = {"usb": {"path": box.path("usb"), "reserve": "1MB", "limit_write": "4MB"},
                             "second": box.path("second")}
        plan.write(DATABASES % (postgres.superuser, postgres.port, box.path("password"), redis.url))
        run = plan.start("databases")
        wait_until(lambda: run.poll() is not None or
                   "COPY public.big" in postgres.psql("SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()"),
                   "the dump to begin")
        time.sleep(0.5)
        postgres.stop(signal.SIGQUIT)
        err = run.communicate(timeout=120)[1].decode()
        equal(run.returncode, 1, "exit status\n%s\n" % err)
        check("postgres" in err, "the message", err)
        record = plan.last("databases")
        equal([record["status"], record["retry"]], ["failed", "yes"], "the record")
        for name, snapshots in before.items():
            there = plan.snapshots(name)
            check(all(s in there for s in snapshots), "an older snapshot is gone", there)
            check(all("/postgres" not in s["paths"][0] for s in there if s not in snapshots), "half a dump was kept", there)
            plan.claw(name, "check", "--read-data")
    finally:
        postgres.close()


@needs_root
def test_a_database_that_was_emptied(box):
    postgres, redis, plan = servers(box)
    try:
        plan.run()
        postgres.psql("TRUNCATE t", "shop")
        done = plan.run("databases", rc=1)
        check("--accept-size" in done.err, "the message", done)
        equal([len(plan.snapshots(d, "suspect")) for d in ("usb", "second")], [1, 1], "suspect snapshots")
    finally:
        postgres.close()


ALL = """
  databases:
    every: 2h
    postgres: [{url: "postgresql://%s@127.0.0.1:%d", password: {file: %s}}]
    to: [usb]
    keep: {last: 1}
"""


def dumps(plan):
    return [os.path.basename(d["path"]) for d in plan.last("databases")["sources"][0]["dumps"]]


def test_databases_that_come_and_go(box):
    os.chmod(box.dir, 0o755)
    postgres = PostgresServer(box)
    try:
        for name, rows in (("erp", 40000), ("shop", 5000)):
            postgres.create(name)
            postgres.psql("CREATE TABLE t AS SELECT n, md5(n::text) AS text FROM generate_series(1, %d) AS n" % rows, name)
        box.write("password", PASSWORD + "\n", 0o600)
        tier = ALL % (postgres.superuser, postgres.port, box.path("password"))
        plan = Plan(box, tier)
        plan.run()
        equal(dumps(plan), ["erp.dump", "postgres.dump", "shop.dump"], "dumps")
        # One that is emptied is found though the sum hardly changes.
        postgres.psql("TRUNCATE t", "shop")
        done = plan.run("databases", rc=1)
        check("'shop.dump' is only" in done.err and "erp" not in done.err, "the message", done)
        equal(len(plan.snapshots("usb", "suspect")), 1, "suspect snapshots")
        plan.run("databases", "--accept-size")
        # A new one is nothing to complain of, one that is dropped is worth a word, and a run without removing.
        postgres.create("wiki")
        postgres.psql("DROP DATABASE erp")
        before = plan.snapshots("usb")
        done = plan.run("databases")
        check("'erp.dump' was dumped the last time and is there no more" in done.err, "the message", done)
        equal(dumps(plan), ["postgres.dump", "shop.dump", "wiki.dump"], "dumps")
        check(all(s in plan.snapshots("usb") for s in before), "something was removed in that run")
        done = plan.run("databases")
        check("erp" not in done.err, "it was said once", done)
        # One that the plan names must be there.
        plan.write(tier.replace("password:", "database: erp, password:"))
        done = plan.run("databases", rc=1)
        check("erp" in done.err, "the message", done)
    finally:
        postgres.close()


if __name__ == "__main__":
    main()
