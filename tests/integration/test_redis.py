#!/usr/bin/env python3
"""Redis: dumps taken from real servers, under load too, and loaded into another one that must then hold the same."""
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import clawtest  # noqa: E402
import docker_engine  # noqa: E402
from clawtest import check, equal, no_differences, wait_until  # noqa: E402
from redisbox import Server, differences, fill  # noqa: E402

PASSPHRASE = "correct horse battery staple"
SECRET = "verborgenes-Wort"


def plan(box, redis, extra=""):
    """Writes clawback.yaml with one tier of these Redis entries (text)."""
    box.write("passphrase", PASSPHRASE + "\n", 0o600)
    box.write("secret", SECRET + "\n", 0o600)
    box.mkdir("drive")
    return box.write("clawback.yaml", """\
passphrase: {file: %s}
destinations:
  drive: {path: %s}
tiers:
  databases:
    redis: [%s]
    to: [drive]
%s""" % (box.path("passphrase"), box.path("drive"), redis, extra))


def run(box, rc=0, **options):
    result = box.run([clawtest.clawback_binary(), "run", "--config", box.path("clawback.yaml"), "databases"], rc=rc, **options)
    check(SECRET not in result.out + result.err, "the password is shown", result)
    return result


def claw(box, *args, **options):
    return box.claw(*args, repo=box.path("drive"), env={"CLAWBACK_PASSPHRASE": PASSPHRASE}, **options)


def snapshots(box):
    if not os.path.exists(box.path("drive", "config")):
        return []
    return claw(box, "snapshots", "--json").json()


def stored(box, name="dump.rdb"):
    """The newest one's bytes."""
    newest = max(snapshots(box), key=lambda s: s["time"])
    equal(len(newest["paths"]), 1, "paths of the snapshot")
    return claw(box, "dump", newest["id"], newest["paths"][0] + "/" + name).out_bytes


def entry(server, more=""):
    return '{url: "%s"%s}' % (server.url, more)


def back_up(box, server, more="", extra=""):
    """Backs it up; the dump's bytes."""
    plan(box, entry(server, more), extra)
    run(box)
    dump = stored(box)
    equal(dump[:5], b"REDIS", "how the dump begins")
    equal(dump[-9], 0xff, "the end mark before the checksum")
    check(not re.search(rb"[0-9a-f]{40}$", dump), "the end of the stream is in the dump", dump[-60:])
    return dump


def assert_same(box, server, dump):
    again = Server(box, "again%d" % len(os.listdir(box.dir)), dump=dump)
    no_differences(differences(server, again), "the dump, loaded")
    again.stop()


def assert_failed(box, *words, kept=0):
    """It fails with one line that says this, keeps what was there, and is recorded."""
    result = run(box, rc=1)
    for word in words:
        check(word in result.err + result.out, "'%s' is not in what it says" % word, result)
    equal(len(snapshots(box)), kept, "snapshots")
    return result


# ---- everything comes back

def test_everything_comes_back_from_memory(box):
    server = Server(box, "a", "--repl-diskless-sync", "yes")
    fill(server)
    dump = back_up(box, server)
    check(not os.path.exists(os.path.join(server.dir, "dump.rdb")), "the server wrote a file")
    assert_same(box, server, dump)
    facts = json.loads(stored(box, "server.json"))
    equal(facts["product"], "redis", "product")
    equal(facts["version"], server.client().info()["redis_version"], "version")
    equal(facts["databases"]["3"], {"keys": 2, "expires": 1}, "database 3")
    equal(facts["config"]["databases"], "32", "a setting")
    check(facts["acl"][0].startswith("user default on"), "no users", facts["acl"])


def test_everything_comes_back_from_the_servers_disk(box):
    server = Server(box, "a", "--repl-diskless-sync", "no")
    fill(server)
    assert_same(box, server, back_up(box, server))


def test_an_empty_server_is_backed_up_too(box):
    server = Server(box, "a")
    assert_same(box, server, back_up(box, server))


def test_a_dump_is_never_stale(box):
    server = Server(box, "a", "--repl-diskless-sync", "no")
    for i in range(3):
        server.call("SET", "run", i)
        dump = back_up(box, server)
        again = Server(box, "b%d" % i, dump=dump)
        equal(again.call("GET", "run"), b"%d" % i, "what was set before the run")
        again.stop()


def test_nothing_of_us_stays_at_the_server(box):
    server = Server(box, "a")
    fill(server)
    back_up(box, server)
    wait_until(lambda: server.client().info()["connected_slaves"] == "0", "that the server has no replica")


def test_other_encodings_come_back(box):
    server = Server(box, "a", "--rdbcompression", "no", "--hash-max-listpack-entries", "1", "--zset-max-listpack-entries", "1",
                    "--set-max-intset-entries", "1", "--list-max-listpack-size", "2", "--maxmemory-policy", "allkeys-lfu")
    fill(server)
    assert_same(box, server, back_up(box, server))


# ---- under load

class Transfers:
    """Writes pairs that belong together, until stopped."""

    def __init__(self, server):
        self.server, self.stopped, self.count = server, False, 0
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def _work(self):
        client = self.server.client()
        while not self.stopped:
            i = self.count
            client.pipeline([("MULTI",), ("DECRBY", "left", i), ("INCRBY", "right", i), ("RPUSH", "log", i),
                             ("SELECT", 1), ("SET", "last", i), ("SELECT", 0), ("EXEC",)])
            self.count += 1
        client.close()

    def stop(self):
        self.stopped = True
        self.thread.join()


def assert_moment(server):
    """What belongs together does, so that all is of one moment."""
    client = server.client()
    left, right, log = int(client.call("GET", "left")), int(client.call("GET", "right")), client.call("LRANGE", "log", 0, -1)
    equal(left + right, 0, "what left and what arrived")
    equal(log, [b"%d" % i for i in range(len(log))], "the log")
    equal(sum(map(int, log)), right, "the log's sum")
    client.call("SELECT", 1)
    equal(client.call("GET", "last"), b"%d" % (len(log) - 1), "the last one, in another database")
    client.close()
    return len(log)


def test_under_load_the_dump_is_of_one_moment(box):
    for sync in ("yes", "no"):
        server = Server(box, "a-" + sync, "--repl-diskless-sync", sync)
        fill(server)
        transfers = Transfers(server)
        load = box.start(["redis-benchmark", "-s", server.socket, "-q", "-l", "-c", "20", "-r", "20000", "-t",
                          "set,lpush,hset,zadd,sadd,incr"], stdout=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            before = transfers.count
            dump = back_up(box, server)
            check(transfers.count > before, "nothing was written meanwhile")
            equal(load.poll(), None, "the load's exit status")
        finally:
            load.kill()
            load.wait()
            transfers.stop()
        again = Server(box, "b-" + sync, dump=dump)
        check(assert_moment(again) >= before, "the dump is older than its run")
        again.stop()
        server.stop()


# ---- getting in


def told_by_health(box):
    seen = box.run([clawtest.clawback_binary(), "health", "-c", box.path("clawback.yaml"), "--json"], rc=None).json()
    return [f["text"] for f in seen["findings"] if f["rule"] == "dump-failed" and f["level"] != "fine"]


def test_passwords_and_users(box):
    server = Server(box, "a", password=SECRET)
    server.call("SET", "key", "value")
    server.call("ACL", "SETUSER", "backup", "on", ">" + SECRET, "resetkeys", "resetchannels", "-@all", "+info", "+replconf",
                "+psync", "+sync")
    server.call("ACL", "SETUSER", "limited", "on", ">" + SECRET, "~*", "+@all", "-psync", "-sync")
    secret = ", password: {file: %s}" % box.path("secret")
    back_up(box, server, secret)
    plan(box, '{url: "unix://%s?user=default"%s}' % (server.socket, secret))
    run(box)
    back_up(box, server, secret + ", user: backup")
    facts = json.loads(stored(box, "server.json"))
    equal((facts["acl"], facts["config"]), (None, None), "what this user may not see")
    plan(box, entry(server, secret + ", user: limited"))
    assert_failed(box, "limited", "+psync", kept=3)
    told = told_by_health(box)
    check(len(told) == 1 and "may not replicate" in told[0] and "+psync" in told[0], "what health tells", told)
    server.call("ACL", "SETUSER", "limited", "+psync", "+sync", "-replconf")
    assert_failed(box, "limited", kept=3)
    check(len(told_by_health(box)) == 1, "health, without REPLCONF")
    server.call("ACL", "SETUSER", "limited", "+replconf")
    equal(told_by_health(box), [], "what health tells of one who may")
    plan(box, entry(server, secret + ", user: backup"))
    equal(told_by_health(box), [], "what health tells of one who may only that")
    plan(box, entry(server))
    assert_failed(box, "wants a password", kept=3)
    box.write("wrong", "x" + SECRET)
    plan(box, entry(server, ", password: {file: %s}" % box.path("wrong")))
    assert_failed(box, "refuses the password", kept=3)


def test_a_password_in_the_url_is_not_shown(box):
    server = Server(box, "a", "--port", "0", password=SECRET)
    port = free_port()
    server.call("CONFIG", "SET", "port", port)
    plan(box, '{url: "redis://:%s@127.0.0.1:%d/5"}' % (SECRET, port))
    run(box)
    plan(box, '{url: "redis://:x%s@127.0.0.1:%d"}' % (SECRET, port))
    assert_failed(box, "127.0.0.1:%d" % port, "refuses the password", kept=1)
    for path in clawtest.files_below(box.home):
        with open(path, "rb") as f:
            check(SECRET.encode() not in f.read(), "the password is in " + path)


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_certificates(box):
    """An authority; a server's certificate for localhost; a client's."""
    def openssl(*args):
        box.run(["openssl"] + list(args))
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    openssl("req", "-x509", *key, "-nodes", "-keyout", box.path("ca.key"), "-out", box.path("ca.crt"),
            "-subj", "/CN=authority", "-days", "2")
    for name, alternative in (("server", "DNS:localhost"), ("client", "DNS:client")):
        openssl("req", *key, "-nodes", "-keyout", box.path(name + ".key"), "-out", box.path(name + ".csr"),
                "-subj", "/CN=" + name)
        box.write(name + ".ext", "subjectAltName=" + alternative)
        openssl("x509", "-req", "-in", box.path(name + ".csr"), "-CA", box.path("ca.crt"), "-CAkey", box.path("ca.key"),
                "-CAcreateserial", "-out", box.path(name + ".crt"), "-days", "2", "-extfile", box.path(name + ".ext"))


def test_over_tls(box):
    make_certificates(box)
    port = free_port()
    server = Server(box, "a", "--tls-port", str(port), "--tls-cert-file", box.path("server.crt"), "--tls-key-file",
                    box.path("server.key"), "--tls-ca-cert-file", box.path("ca.crt"), "--tls-auth-clients", "no")
    fill(server)
    trusted = "cacert=" + box.path("ca.crt")
    plan(box, '{url: "rediss://localhost:%d?%s"}' % (port, trusted))
    run(box)
    assert_same(box, server, stored(box))
    plan(box, '{url: "rediss://127.0.0.1:%d?%s&sni=localhost"}' % (port, trusted))
    run(box)
    plan(box, '{url: "rediss://127.0.0.1:%d?insecure=true"}' % port)
    run(box)
    plan(box, '{url: "rediss://localhost:%d"}' % port)
    assert_failed(box, "not trusted", "cacert", kept=3)
    plan(box, '{url: "rediss://127.0.0.1:%d?%s"}' % (port, trusted))
    assert_failed(box, "not trusted", "mismatch", kept=3)
    plan(box, '{url: "rediss://localhost:%d?cacert=/nonexistent"}' % port)
    assert_failed(box, "/nonexistent", kept=3)
    server.call("CONFIG", "SET", "tls-auth-clients", "yes")
    plan(box, '{url: "rediss://localhost:%d?%s"}' % (port, trusted))
    assert_failed(box, "localhost:%d" % port, kept=3)
    plan(box, '{url: "rediss://localhost:%d?%s&cert=%s&key=%s"}' % (port, trusted, box.path("client.crt"),
                                                                   box.path("client.key")))
    run(box)


# ---- in a container

@clawtest.once
def engine(box):
    """An engine with an image of this machine's own Redis."""
    try:
        docker = docker_engine.Engine(box)
    except docker_engine.Unavailable as e:
        clawtest.skip(str(e))
    box.children.append(_Ending(docker))
    docker.make_image("test/redis", ["/usr/bin/redis-server", "/usr/bin/redis-cli"], folders=[("/data", 0, 0o755)],
                      command=["redis-server", "--save", "", "--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes",
                               "--databases", "32", "--unixsocket", "/data/s", "--dir", "/data"])
    return docker


class _Ending:
    """Ends the engine where a box ends its children."""
    stdin = stdout = stderr = None

    def __init__(self, docker):
        self.docker = docker

    def poll(self):
        self.docker.stop()
        return 0

    def wait(self):
        pass


def contained(box, name, *options, command=()):
    """A container with Redis in it, whose socket lies in the box."""
    data = box.mkdir("data")
    engine().run(name, "test/redis", "-v", data + ":/data", *options, command=command)
    wait_until(lambda: os.path.exists(os.path.join(data, "s")), "the socket of the server in the container")
    box.env.update(engine().env)
    return _Contained(os.path.join(data, "s"))


class _Contained:
    def __init__(self, path, password=None):
        self.socket, self.password = path, password

    client = Server.client
    call = Server.call


def test_in_a_container_everything_comes_back(box):
    server = contained(box, "redis-one")
    fill(server)
    plan(box, "{container: redis-one}")
    run(box)
    dump = stored(box)
    check(not re.search(rb"[0-9a-f]{40}$", dump), "the end of the stream is in the dump", dump[-60:])
    assert_same(box, server, dump)
    equal([s["paths"] for s in snapshots(box)], [["/redis/redis-one"]], "paths")
    server.call("CONFIG", "SET", "repl-diskless-sync", "no")
    run(box)
    assert_same(box, server, stored(box))
    equal(json.loads(stored(box, "server.json"))["config"]["databases"], "32", "a setting")


def test_in_a_container_passwords_are_no_arguments(box):
    server = contained(box, "redis-two")
    server.call("CONFIG", "SET", "requirepass", SECRET)
    plan(box, "{container: redis-two}")
    assert_failed(box, "wants a password")
    box.write("wrong", "x" + SECRET)
    plan(box, "{container: redis-two, password: {file: %s}}" % box.path("wrong"))
    assert_failed(box, "refuses the password")
    plan(box, "{container: redis-two, password: {file: %s}}" % box.path("secret"))
    trace = box.path("trace")
    result = box.run(["strace", "-f", "-s", "4000", "-e", "trace=execve", "-o", trace, clawtest.clawback_binary(), "run", "--config",
                      box.path("clawback.yaml"), "databases"], rc=None,
                     env={"ASAN_OPTIONS": "detect_leaks=0"})  # which cannot be done under strace
    if "ptrace" in result.err:
        clawtest.skip("programs cannot be traced here")
    equal(result.rc, 0, "exit status\n%s" % result)
    with open(trace) as f:
        calls = f.read()
    check("redis-cli" in calls, "nothing was traced")
    check(SECRET not in calls, "the password is in an argument list")


def test_in_a_container_its_own_password_is_used(box):
    contained(box, "redis-three", "-e", "REDIS_PASSWORD=" + SECRET,
              command=("redis-server", "--save", "", "--repl-diskless-sync-delay", "0", "--unixsocket", "/data/s", "--requirepass", SECRET))
    plan(box, "{container: redis-three}")
    run(box)
    equal(len(snapshots(box)), 1, "snapshots")


def test_in_a_container_setup_asks_whether_it_lets_us_in(box):
    """Where its password stands (here: set while it runs) only the server knows."""
    contained(box, "redis-locked").call("CONFIG", "SET", "requirepass", SECRET)
    contained(box, "redis-open")
    result = box.run([clawtest.clawback_binary(), "setup", "--yes", "--dry-run", "--home", box.mkdir("agent"), "--destination",
                      box.path("drive")])
    lines = result.out.splitlines()
    check("      - {container: redis-open}" in lines, "the open one is missing", result)
    at = [i for i, line in enumerate(lines) if "{container: redis-locked" in line]
    check(len(at) == 1 and lines[at[0]].startswith("  #") and "password: {file: " in lines[at[0]], "the locked one is not commented out",
          result)
    check("it wants a password" in lines[at[0] - 1] and "container redis-locked: it wants a password" in result.err, "it does not say why",
          result)


def test_in_a_container_what_hangs_is_ended_there(box):
    server = contained(box, "redis-four")
    server.client().pipeline([("SET", "key %d" % i, "x" * 1000) for i in range(300)])
    server.call("CONFIG", "SET", "rdb-key-save-delay", 100000)
    plan(box, "{container: redis-four}", "    timeout: 2s\n")
    assert_failed(box, "took too long")
    processes = engine().docker("top", "redis-four").stdout
    check("redis-cli" not in processes, "it still runs in there", processes)


def test_a_container_that_does_not_run(box):
    contained(box, "redis-five")
    engine().docker("stop", "-t", "1", "redis-five")
    plan(box, "{container: redis-five}")
    assert_failed(box, "redis-five", "not running")
    plan(box, "{container: redis-five}", "    when: running\n")
    run(box)
    plan(box, "{container: never-there}", "    when: running\n")
    run(box)
    equal(snapshots(box), [], "snapshots")


# ---- what goes wrong

def slow_server(box, name="a", *options):
    """One whose dump takes several seconds."""
    server = Server(box, name, *options)
    server.client().pipeline([("SET", "key %d" % i, "x" * 1000) for i in range(300)])
    return server


def is_dumping(server):
    info = server.client().info()
    return info["rdb_bgsave_in_progress"] == "1"


def in_mid_dump(box, server, act):
    """Begins a run, does this while the server sends, and gives the run's result."""
    server.call("CONFIG", "SET", "rdb-key-save-delay", 20000)
    child = box.start([clawtest.clawback_binary(), "run", "--config", box.path("clawback.yaml"), "databases"])
    wait_until(lambda: is_dumping(server), "the server's dump")
    time.sleep(0.3)
    act()
    out, err = child.communicate(timeout=60)
    return clawtest.Result(["run"], child.returncode, out, err)


def test_a_server_killed_in_mid_dump_leaves_no_snapshot(box):
    for sync in ("yes", "no"):
        server = slow_server(box, "a-" + sync, "--repl-diskless-sync", sync)
        plan(box, entry(server))
        run(box)
        before = len(snapshots(box))
        result = in_mid_dump(box, server, server.kill)
        equal(result.rc, 1, "exit status\n%s" % result)
        check("closed the connection" in result.err + result.out, "it does not say so", result)
        equal(len(snapshots(box)), before, "snapshots")
    claw(box, "check", "--read-data")


def test_the_dumping_child_killed_leaves_no_snapshot(box):
    server = slow_server(box, "a", "--repl-diskless-sync", "yes")
    plan(box, entry(server))

    def kill_child():
        with open("/proc/%d/task/%d/children" % (server.process.pid, server.process.pid)) as f:
            for pid in f.read().split():
                os.kill(int(pid), signal.SIGKILL)
    result = in_mid_dump(box, server, kill_child)
    equal(result.rc, 1, "exit status\n%s" % result)
    equal(snapshots(box), [], "snapshots")


def test_a_server_that_hangs_is_given_up(box):
    server = slow_server(box)
    plan(box, entry(server), "    timeout: 2s\n")
    began = time.monotonic()
    result = in_mid_dump(box, server, lambda: server.signal(signal.SIGSTOP))
    server.signal(signal.SIGCONT)
    equal(result.rc, 1, "exit status\n%s" % result)
    check("took too long" in result.err + result.out, "it does not say so", result)
    check(time.monotonic() - began < 15, "it took too long to give up")
    equal(snapshots(box), [], "snapshots")


def test_what_does_not_run_is_skipped_when_the_plan_says_so(box):
    plan(box, '{url: "unix:///nonexistent/s"}')
    assert_failed(box, "no Redis server listens at '/nonexistent/s'")
    plan(box, '{url: "unix:///nonexistent/s"}', "    when: running\n")
    run(box)
    equal(snapshots(box), [], "snapshots")


def test_commands_that_were_taken_away_are_told(box):
    server = Server(box, "a", "--rename-command", "PSYNC", "", "--rename-command", "SYNC", "")
    plan(box, entry(server))
    assert_failed(box, "rename-command")
    check(len(told_by_health(box)) == 1, "health, without PSYNC and SYNC")
    server.stop()
    server = Server(box, "b", "--rename-command", "PSYNC", "")
    server.call("SET", "key", "value")
    assert_same(box, server, back_up(box, server))
    equal(told_by_health(box), [], "what health tells without PSYNC, with SYNC")


def test_a_server_that_is_loading_is_told(box):
    full = Server(box, "full")
    full.client().pipeline([("SET", "key %d" % i, "x") for i in range(500)])
    full.call("SAVE")
    full.stop()
    server = Server(box, "a", "--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024",
                    dump=os.path.join(full.dir, "dump.rdb"), wait=False)
    wait_until(lambda: os.path.exists(server.socket), "the server's socket")
    plan(box, entry(server))
    assert_failed(box, "still loading", "later")
    server.kill()


def test_a_replica_is_backed_up_with_a_warning(box):
    master = Server(box, "a")
    port = free_port()
    master.call("CONFIG", "SET", "port", port)
    fill(master)
    replica = Server(box, "b", "--replicaof", "127.0.0.1 %d" % port)
    wait_until(lambda: replica.client().info()["master_link_status"] == "up", "the replica's link")
    plan(box, entry(replica))
    result = run(box)
    check("replica of 127.0.0.1:%d" % port in result.err + result.out, "no warning", result)
    assert_same(box, master, stored(box))
    master.kill()
    wait_until(lambda: replica.client().info()["master_link_status"] == "down", "the link's end")
    assert_failed(box, "lost its master", kept=1)


def test_a_dump_without_a_checksum_is_kept_with_a_warning(box):
    server = Server(box, "a", "--rdbchecksum", "no")
    fill(server)
    plan(box, entry(server))
    result = run(box)
    check("rdbchecksum" in result.err + result.out, "no warning", result)
    dump = stored(box)
    equal(dump[-8:], bytes(8), "the checksum")
    assert_same(box, server, dump)


def test_a_node_of_a_cluster_is_backed_up_with_a_warning(box):
    # The nodes' own port would be 10,000 above, which may be more than there are.
    server = Server(box, "a", "--cluster-enabled", "yes", "--port", str(free_port()), "--cluster-port", str(free_port()))
    server.call("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    wait_until(lambda: b"cluster_state:ok" in server.call("CLUSTER", "INFO"), "the cluster")
    server.call("SET", "key", "value")
    plan(box, entry(server))
    result = run(box)
    check("one node of a cluster" in result.err + result.out, "no warning", result)
    equal(len(json.loads(stored(box, "server.json"))["cluster"]), 1, "nodes")


def test_what_is_no_redis_is_told(box):
    import socket
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(5)
        stop = threading.Event()

        def serve():
            listener.settimeout(0.2)
            while not stop.is_set():
                try:
                    peer, _ = listener.accept()
                    peer.recv(100)
                    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    peer.close()
                except OSError:
                    pass
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            plan(box, '{url: "redis://127.0.0.1:%d"}' % listener.getsockname()[1])
            assert_failed(box, "does not speak as Redis does")
        finally:
            stop.set()
            thread.join()


# ---- deduplication

def test_a_second_dump_costs_little(box):
    server = Server(box, "a")
    client = server.client()
    client.pipeline([("SET", "key %d" % i, os.urandom(500)) for i in range(20000)])
    back_up(box, server)
    first = clawtest.repository_bytes(box.path("drive"))
    client.pipeline([("SET", "key %d" % i, os.urandom(500)) for i in range(20)])
    back_up(box, server)
    grown = clawtest.repository_bytes(box.path("drive")) - first
    check(grown < first / 4, "the second dump took %d bytes, the first %d" % (grown, first))


if __name__ == "__main__":
    clawtest.main()
