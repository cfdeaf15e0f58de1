"""Real Redis servers for tests: started below a box on a local socket (and a port, where one is asked for), ended by their
process numbers; a small client; data of every type; and comparing what two servers hold.

    server = Server(box, "a")                  # redis-server with nothing in it
    client = server.client()
    client.call("SET", "key", "value")
    fill(server)
    differences(server, another)               # a list of what differs
"""
import os
import shutil
import signal
import socket
import subprocess
import time

STARTS_WITHIN_S = 20
PROGRAM = "redis-server"


class RedisError(Exception):
    pass


class Client:
    """Speaks RESP2; replies are bytes, ints, None, lists; an error reply raises RedisError."""

    def __init__(self, path, password=None, user=None, timeout=60):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")
        if password is not None:
            self.call("AUTH", *([user] if user else []), password)

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, *args):
        parts = [b"*%d\r\n" % len(args)]
        for arg in args:
            if isinstance(arg, str):
                arg = arg.encode()
            elif not isinstance(arg, bytes):
                arg = b"%d" % arg
            parts.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
        self.socket.sendall(b"".join(parts))

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        count = int(rest)
        if count < 0:
            return None
        if kind == b"$":
            return self.file.read(count + 2)[:-2]
        return [self.reply() for _ in range(count)]

    def call(self, *args):
        self.send(*args)
        return self.reply()

    def pipeline(self, commands):
        for command in commands:
            self.send(*command)
        return [self.reply() for _ in commands]

    def info(self):
        text = self.call("INFO").decode()
        return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)


class Server:
    """A redis-server of its own process group; `dump`: the bytes or the path of a dump to begin with."""

    def __init__(self, box, name, *options, dump=None, password=None, wait=True, program=PROGRAM):
        self.dir = box.mkdir(name)
        # A socket's path has 107 bytes at most.
        self.socket = os.path.join(self.dir, "s")
        self.password = password
        if dump is not None:
            target = os.path.join(self.dir, "dump.rdb")
            if isinstance(dump, bytes):
                with open(target, "wb") as f:
                    f.write(dump)
            else:
                shutil.copyfile(dump, target)
        args = [program, "--port", "0", "--unixsocket", self.socket, "--dir", self.dir, "--save", "", "--dbfilename",
                "dump.rdb", "--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0", "--databases", "32"]
        if password is not None:
            args += ["--requirepass", password]
        self.log = os.path.join(self.dir, "log")
        with open(self.log, "wb") as log:
            self.process = box.start(args + list(options), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                     start_new_session=True)
        if wait:
            self.wait()

    def wait(self):
        end = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                client = self.client()
                client.call("PING")
                client.close()
                return
            except (OSError, RedisError):
                time.sleep(0.02)
        with open(self.log) as f:
            raise AssertionError("the Redis server does not start:\n" + f.read()[-2000:])

    @property
    def url(self):
        return "unix://" + self.socket

    def client(self, **options):
        options.setdefault("password", self.password)
        return Client(self.socket, **options)

    def call(self, *args):
        client = self.client()
        try:
            return client.call(*args)
        finally:
            client.close()

    def signal(self, number):
        """To the server and to what it forked."""
        os.killpg(self.process.pid, number)

    def stop(self):
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self):
        try:
            self.signal(signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


LIBRARY = """#!lua name=shop
redis.register_function('total', function(keys, args) return 42 end)"""


def fill(server):
    """Something of everything, in several databases: every type, in its small form and in its large one."""
    big = bytes(range(256)) * 4096
    far = 4102444800000  # the year 2100
    commands = [
        ("SELECT", 0),
        ("SET", "string", "value"), ("SET", "empty", ""), ("SET", "number", 12345), ("SET", "negative", -1),
        ("SET", "large number", 1 << 40), ("SET", "big", big), ("SET", "compressible", "a" * 100000),
        ("SET", b"binary \x00\r\n\xff key", b"\x00\r\n\xff"), ("SET", "k" * 1000, "long key"),
        ("SETBIT", "bits", 100000, 1), ("PFADD", "hyperloglog", *["item %d" % i for i in range(1000)]),
        ("SET", "expires", "later", "PXAT", far), ("SET", "expires in seconds", "later", "EXAT", far // 1000),
        ("RPUSH", "list", "a", "b", 3), ("RPUSH", "big list", *["element %d" % i * 10 for i in range(3000)]),
        ("RPUSH", "list of large", big[:70000], big[:20000], "small"),
        ("SADD", "set of numbers", 1, 2, 70000, 1 << 40), ("SADD", "set", "a", "b", 1),
        ("SADD", "big set", *["member %d" % i for i in range(2000)]),
        ("ZADD", "sorted", 1, "one", 2.5, "two and a half", "-inf", "least", "inf", "most"),
        ("ZADD", "big sorted", *[x for i in range(1000) for x in (str(i / 3), "member %d" % i)]),
        ("HSET", "hash", "field", "value", "n", 7),
        ("HSET", "big hash", *[x for i in range(1000) for x in ("field %d" % i, "value %d" % (i * i))]),
        ("GEOADD", "places", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania"),
        ("SELECT", 3), ("SET", "string", "in another database"), ("SET", "expires", "too", "PXAT", far),
        ("SELECT", 31), ("SET", "last", "database"),
        ("SELECT", 5),
    ]
    commands += [("XADD", "stream", "%d-0" % (i + 1), "n", i, "text", "entry %d" % i) for i in range(500)]
    commands += [("XDEL", "stream", "7-0", "9-0"), ("XGROUP", "CREATE", "stream", "group", "0"),
                 ("XREADGROUP", "GROUP", "group", "alice", "COUNT", 20, "STREAMS", "stream", ">"),
                 ("XREADGROUP", "GROUP", "group", "bob", "COUNT", 5, "STREAMS", "stream", ">"),
                 ("XACK", "stream", "group", "1-0"), ("XGROUP", "CREATE", "stream", "idle", "$"),
                 ("XADD", "short stream", "1-1", "a", "b")]
    commands += [("FUNCTION", "LOAD", LIBRARY), ("SELECT", 0)]
    client = server.client()
    client.pipeline(commands)
    client.close()


def _keys(client):
    """{(database, key)} of all there are."""
    found = set()
    for database in range(32):
        client.call("SELECT", database)
        found |= {(database, key) for key in client.call("KEYS", "*")}
    return found


def _value(client, key):
    kind = client.call("TYPE", key)
    reading = {b"string": ("GET", key), b"list": ("LRANGE", key, 0, -1), b"set": ("SMEMBERS", key),
               b"zset": ("ZRANGE", key, 0, -1, "WITHSCORES"), b"hash": ("HGETALL", key), b"stream": ("XRANGE", key, "-", "+")}
    value = client.call(*reading[kind])
    if kind == b"set":
        value = sorted(value)
    elif kind == b"hash":
        value = sorted(zip(value[::2], value[1::2]))
    elif kind == b"stream":
        groups = client.call("XINFO", "GROUPS", key)
        pending = [client.call("XPENDING", key, group[1], "-", "+", 1000) for group in groups]
        for group in pending:
            for entry in group:
                entry[2] = None  # how long it was idle
        value = (value, groups, pending)
    return kind, value, client.call("PEXPIRETIME", key)


def differences(server, other):
    """What one holds and the other does not, key by key."""
    a, b = server.client(), other.client()
    keys, found = _keys(a), []
    for key in sorted(keys ^ _keys(b)):
        found.append("only in one: %r" % (key,))
    for database, key in sorted(keys):
        a.call("SELECT", database)
        b.call("SELECT", database)
        if b.call("EXISTS", key) and _value(a, key) != _value(b, key):
            found.append("differs: %r" % ((database, key),))
    if a.call("FUNCTION", "DUMP") != b.call("FUNCTION", "DUMP"):
        found.append("the functions differ")
    if a.call("DEBUG", "DIGEST") != b.call("DEBUG", "DIGEST"):
        found.append("the digests differ")
    a.close()
    b.close()
    return found
