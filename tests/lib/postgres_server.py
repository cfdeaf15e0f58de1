"""PostgreSQL servers of the tests' own: below the box, on a free port of the loopback, of an unprivileged user.

    server = PostgresServer(box)         # running
    server.query("SELECT 1")             # rows as lists of texts
    server.close()
"""
import glob
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time

PASSWORD = "geheim & 1/2 @home%"
STARTS_WITHIN_S = 60


def bin_dir():
    """Where the server's programs are: the newest installation."""
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres") + glob.glob("/usr/pgsql-*/bin/postgres")
    if found:
        return os.path.dirname(max(found, key=lambda path: int(re.search(r"(\d+)/bin", path).group(1))))
    initdb = shutil.which("initdb")
    if initdb is None:
        raise AssertionError("no PostgreSQL server is installed (package postgresql)")
    return os.path.dirname(os.path.realpath(initdb))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def unprivileged_user():
    """As whom a server can run: root must not. None: as we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("there is neither a user postgres nor a user nobody")


class PostgresServer:
    def __init__(self, box, name="pg", auth="scram-sha-256", local_auth="scram-sha-256", encoding="UTF8"):
        self.bin, self.user, self.port = bin_dir(), unprivileged_user(), free_port()
        self.dir = box.mkdir(name)
        self.superuser = self.user.pw_name if self.user else pwd.getpwuid(os.geteuid()).pw_name
        if self.user:
            os.chown(self.dir, self.user.pw_uid, self.user.pw_gid)
        password = box.write(name + ".password", PASSWORD + "\n", 0o644)
        self._call("initdb", "-D", self._data(), "-U", self.superuser, "--pwfile", password, "--auth-host", auth, "--auth-local",
                   local_auth, "-E", encoding, "--locale=C.UTF-8", "--no-sync")
        self.process = None
        self.start()

    def _data(self):
        return os.path.join(self.dir, "data")

    def _as_user(self):
        if self.user is None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def _environment(self):
        env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return dict(env, LC_ALL="C.UTF-8", PGPASSWORD=PASSWORD, HOME=self.dir)

    def _call(self, program, *args, input=None, check=True, binary=False):
        given = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run([os.path.join(self.bin, program)] + list(args), env=self._environment(), cwd="/",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, **given, **self._as_user())
        if check and done.returncode != 0:
            raise AssertionError("%s: exit status %d\n%s" % (program, done.returncode, done.stderr.decode("utf-8", "replace")))
        return done.stdout if binary else done.stdout.decode("utf-8", "surrogateescape")

    def _tcp(self):
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", self.superuser]

    def start(self):
        with open(os.path.join(self.dir, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(self.bin, "postgres"), "-D", self._data(), "-p", str(self.port), "-k", self.dir, "-c",
                 "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_wal_size=256MB"],
                env=self._environment(), cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._as_user())
        end = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < end and self.process.poll() is None:
            if subprocess.run([os.path.join(self.bin, "pg_isready"), "-q"] + self._tcp(), check=False).returncode == 0:
                return
            time.sleep(0.05)
        with open(os.path.join(self.dir, "log"), errors="replace") as log:
            raise AssertionError("PostgreSQL does not start:\n" + log.read()[-2000:])

    def stop(self, how=signal.SIGINT):
        """SIGINT: fast; SIGQUIT: at once, as in a crash."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    close = stop

    def url(self, database="", user=None, password=PASSWORD):
        secret = "".join("%%%02X" % b if chr(b) in "&/@% :?#" else chr(b) for b in password.encode())
        return "postgresql://%s:%s@127.0.0.1:%d/%s" % (user or self.superuser, secret, self.port, database)

    def psql(self, script, database="postgres"):
        """What a script prints, values alone, '|' between them."""
        return self._call("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *self._tcp(), "-d", _conninfo(database),
                          input=script.encode())

    def query(self, script, database="postgres"):
        return [line.split("|") for line in self.psql(script, database).splitlines()]

    def create(self, database, *options):
        self._call("createdb", *self._tcp(), *options, "--", database)

    def bench(self, database, *args, background=False):
        command = [os.path.join(self.bin, "pgbench")] + self._tcp() + list(args) + [database]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        child = subprocess.Popen(command, env=self._environment(), cwd="/", **quiet, **self._as_user())
        if background:
            return child
        if child.wait(300) != 0:
            raise AssertionError("pgbench failed")
        return None

    def restore(self, dump, database, *options):
        """A dump (bytes) into a database that is there and empty."""
        self._call("pg_restore", "--exit-on-error", *options, *self._tcp(), "-d", _conninfo(database), input=dump)

    def schema(self, database):
        """The database's definitions as text, without what differs from call to call."""
        text = self._call("pg_dump", "--schema-only", *self._tcp(), "-d", _conninfo(database))
        return [line for line in text.splitlines() if line and not line.startswith(("--", "\\restrict", "\\unrestrict"))]

    def tables(self, database):
        """[(schema, name)] of all tables that hold rows of the user's."""
        return [tuple(row) for row in self.query(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' "
            "AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2", database)]

    def contents(self, database):
        """{(schema, name): every row as text, sorted}: for comparing row by row."""
        found = {}
        for schema, name in self.tables(database):
            table = '"%s"."%s"' % (schema.replace('"', '""'), name.replace('"', '""'))
            found[schema, name] = sorted(self.psql("COPY %s TO STDOUT" % table, database).splitlines())
        return found


def _conninfo(database):
    return "dbname='%s'" % database.replace("\\", "\\\\").replace("'", "\\'")
