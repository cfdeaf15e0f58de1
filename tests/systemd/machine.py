"""A Debian system of the tests' own, booted with a real systemd as its first process: by systemd-nspawn, from a tree that debootstrap
made once, with everything that is written going into the test's directory.

    m = Machine(box)                # Unavailable says why there can be none here
    m.boot()
    m.sh("systemctl is-active cron", user="alice")
    m.power_off(); m.boot()         # or m.power_cut()
    m.close()                       # the box does so, too

It has no network but its loopback. The tree is kept in $CLAWBACK_TEST_CACHE, else $XDG_CACHE_HOME/clawback-tests or
~/.cache/clawback-tests: about 750 MB. Removing that directory makes the next run fetch it again.
"""
import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import time

from clawtest import Result, check, clawback_binary, skip, wait_until

BOOT_S, STOP_S, FETCH_S, COMMAND_S = 120, 60, 1800, 120
PROGRAM = "/usr/local/bin/clawback"
# What a host of clawback's has, and what the tests ask; the libraries of the program under test come with it.
PACKAGES = ("systemd systemd-sysv dbus dbus-user-session libpam-systemd procps sudo tzdata "
            "postgresql git gpg gpg-agent openssh-client openssh-server cron zstd").split()
# Background work of the distribution's that has nothing to do here.
MASKED = ("apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer "
          "man-db.timer motd-news.timer systemd-networkd-wait-online.service systemd-resolved.service").split()
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Unavailable(Exception):
    """This machine cannot run another one."""


# --- the tree

def _release():
    with open("/etc/os-release") as f:
        found = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', f.read(), re.M))
    if found.get("ID") not in ("debian", "ubuntu") or not found.get("VERSION_CODENAME"):
        raise Unavailable("a tree is made with debootstrap, on Debian and Ubuntu only")
    return found["ID"], found["VERSION_CODENAME"]


def _mirror(suite):
    """Where this machine's own packages come from."""
    done = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT) $(CREATED_BY)"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60, check=False)
    for line in done.stdout.splitlines():
        words = line.split()
        if words[1:] == [suite, "main", "Packages"] and words[0].startswith(("http", "file:")):
            return [words[0]]
    return []


def _library_packages():
    """The packages of the libraries that the program is linked with, and of the one that it loads when it needs it."""
    linked = subprocess.run(["ldd", clawback_binary()], stdout=subprocess.PIPE, text=True, check=True).stdout
    known = subprocess.run(["/sbin/ldconfig", "-p"], stdout=subprocess.PIPE, text=True, check=True).stdout
    files = re.findall(r"=> (/\S+)", linked) + re.findall(r"libcurl\.so\.4 .*=> (/\S+)", known)[:1]
    packages = set()
    for path in files:
        # dpkg knows a file by the name that it was unpacked with, /lib or /usr/lib.
        names = {path, os.path.realpath(path)}
        names |= {n[4:] if n.startswith("/usr/") else "/usr" + n for n in names}
        done = subprocess.run(["dpkg-query", "-S"] + sorted(names), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        owners = [line.split(":")[0] for line in done.stdout.splitlines()]
        if not owners:
            raise Unavailable("%s, which the program needs, is of no package" % path)
        packages.add(owners[0])
    return sorted(packages)


def cache_dir():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("CLAWBACK_TEST_CACHE") or os.path.join(base, "clawback-tests")


def make_tree():
    """The directory of a system that can be booted; made when it is not there yet."""
    distribution, suite = _release()
    packages = PACKAGES + _library_packages()
    name = "systemd-%s-%s" % (suite, hashlib.sha256(" ".join(packages).encode()).hexdigest()[:8])
    tree = os.path.join(cache_dir(), name)
    if os.path.exists(os.path.join(tree, "complete")):
        return os.path.join(tree, "root")
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(tree, mode=0o700)
    root, log = os.path.join(tree, "root"), os.path.join(tree, "log")
    components = ["--components=main,universe"] if distribution == "ubuntu" else []
    with open(log, "wb") as f:
        done = subprocess.run(["debootstrap", "--variant=minbase", "--include=" + ",".join(packages)] + components +
                              [suite, root] + _mirror(suite), stdin=subprocess.DEVNULL, stdout=f, stderr=f, timeout=FETCH_S)
    if done.returncode != 0:
        with open(log) as f:
            raise AssertionError("debootstrap failed:\n%s" % f.read()[-2000:])
    shutil.rmtree(os.path.join(root, "var/cache/apt/archives"), ignore_errors=True)
    open(os.path.join(tree, "complete"), "w").close()
    return root


# --- control groups

def _hierarchies():
    """systemd's directories of control groups on this machine: the unified one, and its named one where there are both."""
    with open("/proc/mounts") as f:
        mounts = [line.split() for line in f]
    return [m[1] for m in mounts if m[2] == "cgroup2" or (m[2] == "cgroup" and "name=systemd" in m[3].split(","))]


def _remove_group(path):
    for directory, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(directory)
        except OSError:
            pass


class Machine:
    def __init__(self, box, name="machine", binds=()):
        """binds: what of the machine that we are on is seen there, too, as options of systemd-nspawn."""
        if os.geteuid() != 0:
            raise Unavailable("only root can boot a machine")
        for program in ("systemd-nspawn", "debootstrap", "nsenter", "unshare", "setpriv"):
            if shutil.which(program) is None:
                raise Unavailable("%s is not installed" % program)
        groups = _hierarchies()
        if not groups or not all(os.access(g, os.W_OK) for g in groups):
            raise Unavailable("there are no control groups to be written")
        self.name = "clawtest-%d-%s" % (os.getpid(), name)
        self.dir = box.mkdir(name)
        self.tree, self.root = make_tree(), os.path.join(self.dir, "root")
        self.groups = [os.path.join(g, self.name) for g in groups]
        self.binds = list(binds)
        self.child = self.leader = None
        for part in ("upper", "work", "root"):
            os.mkdir(os.path.join(self.dir, part))
        os.chmod(os.path.join(self.dir, "upper"), 0o755)
        self._prepare()

    def _prepare(self):
        """What the machine finds when it is booted for the first time."""
        upper = os.path.join(self.dir, "upper")

        def put(path, content="", mode=0o644):
            where = upper + path
            os.makedirs(os.path.dirname(where), exist_ok=True)
            with open(where, "w") as f:
                f.write(content)
            os.chmod(where, mode)
        os.makedirs(os.path.dirname(upper + PROGRAM))
        shutil.copy(clawback_binary(), upper + PROGRAM)
        put("/etc/hostname", "testhost\n")
        put("/etc/hosts", "127.0.0.1 localhost testhost\n::1 localhost\n")
        for unit in MASKED:
            os.makedirs(upper + "/etc/systemd/system", exist_ok=True)
            os.symlink("/dev/null", upper + "/etc/systemd/system/" + unit)
        # The journal is read by the tests, in full.
        put("/etc/systemd/journald.conf.d/test.conf", "[Journal]\nStorage=persistent\nRateLimitBurst=0\nSyncIntervalSec=1\n")

    # --- its life

    def boot(self):
        check(self.child is None, "it runs already")
        for group in self.groups:
            os.makedirs(group, exist_ok=True)
        script = "".join("echo $$ >%s/cgroup.procs\n" % shlex.quote(g) for g in self.groups) + """
            tree=$1 dir=$2 name=$3
            shift 3
            mount -t overlay -o "lowerdir=$tree,upperdir=$dir/upper,workdir=$dir/work" clawtest "$dir/root" || exit 77
            exec systemd-nspawn --quiet --directory="$dir/root" --boot --register=no --keep-unit --private-network --machine="$name" "$@" \\
                --hostname=testhost --console=pipe --link-journal=no --resolv-conf=off --timezone=off"""
        self.log = open(os.path.join(self.dir, "console"), "ab")
        # Should the tests be killed, it is told to halt.
        command = ["setpriv", "--pdeathsig", "TERM", "unshare", "--mount", "--propagation", "private",
                   "sh", "-euc", script, "sh", self.tree, self.dir, self.name] + self.binds
        self.child = subprocess.Popen(command, env={"PATH": PATH, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}, start_new_session=True,
                                      stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.leader = wait_until(self._find_leader, "the machine's first process", BOOT_S)
        wait_until(self._is_up, "the end of the machine's start", BOOT_S)

    def _end_of_console(self):
        with open(os.path.join(self.dir, "console"), errors="replace") as f:
            return f.read()[-1500:]

    def _find_leader(self):
        status = self.child.poll()
        if status is not None:
            self._gone()
            why = self._end_of_console()
            if status == 77:
                raise Unavailable("file systems cannot be laid over one another here: %s" % why)
            raise AssertionError("systemd-nspawn ended with status %s\n%s" % (status, why))
        pid = self.child.pid
        try:
            with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
                children = f.read().split()
            # Before it is systemd it is a copy of nspawn's.
            return next((c for c in children if os.path.basename(os.readlink("/proc/%s/exe" % c)) == "systemd"), None)
        except OSError:
            return None

    def _is_up(self):
        check(self.child.poll() is None, "the machine went down while it started", self._end_of_console())
        done = self.run(["systemctl", "is-system-running"], rc=None)
        return done.out.strip() in ("running", "degraded")

    def _gone(self):
        self.child.wait(STOP_S)
        self.child = self.leader = None
        self.log.close()
        for group in self.groups:
            _remove_group(group)

    def power_off(self):
        """In order, as `poweroff` does it."""
        self.run(["systemctl", "poweroff", "--no-block"])
        self._gone()

    def power_cut(self):
        """Nothing in it gets to do anything any more."""
        os.kill(int(self.leader), signal.SIGKILL)
        self._gone()

    def close(self):
        if self.child is None:
            return
        try:
            if self.leader is not None:
                os.kill(int(self.leader), signal.SIGKILL)
            else:
                self.child.terminate()
        except ProcessLookupError:
            pass
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
        self._gone()

    # --- what is done in it

    def run(self, args, rc=0, user=None, env=None, input=None, timeout=COMMAND_S):
        """Runs it in the machine, as root or as a user who has not logged in: with nothing of a session's environment."""
        home = "/root" if user is None else "/home/" + user
        drop = [] if user is None else ["setpriv", "--reuid", user, "--regid", user, "--init-groups"]
        variables = dict({"PATH": PATH, "HOME": home, "USER": user or "root", "LOGNAME": user or "root", "LC_ALL": "C.UTF-8"},
                         **(env or {}))
        command = ["nsenter", "--target", self.leader, "--all", "--wd=/proc/%s/root/" % self.leader] + drop + [
            "env", "-i"] + ["%s=%s" % v for v in variables.items()] + list(args)
        given = {"stdin": subprocess.DEVNULL} if input is None else {"input": input.encode()}
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, env={"PATH": PATH}, **given)
        result = Result(list(args), done.returncode, done.stdout, done.stderr)
        if rc is not None and result.rc not in (rc if isinstance(rc, tuple) else (rc,)):
            raise AssertionError("exit status %d, not %s\n%s" % (result.rc, rc, result))
        return result

    def sh(self, script, **options):
        return self.run(["sh", "-euc", script], **options)

    def claw(self, *args, **options):
        return self.run([PROGRAM] + list(args), **options)

    def write(self, path, content, mode=0o644, user=None):
        self.sh("mkdir -p \"$(dirname '%s')\"; umask 077; cat >'%s'; chmod %o '%s'" % (path, path, mode, path), user=user,
                input=content)
        return path

    def read(self, path):
        return self.run(["cat", path]).out

    def exists(self, path):
        return self.run(["test", "-e", path], rc=None).rc == 0

    # --- units

    def show(self, unit, what, user=None):
        return self.systemctl("show", "--value", "-p", what, unit, user=user).out.strip()

    def systemctl(self, *args, user=None, **options):
        if user is not None:
            args = ("--user",) + args
            options["env"] = {"XDG_RUNTIME_DIR": "/run/user/" + self.uid(user)}
        return self.run(["systemctl"] + list(args), user=user, **options)

    def uid(self, user):
        return self.run(["id", "-u", user]).out.strip()

    def journal(self, unit, user=None):
        """All that a unit said, and all that systemd said of it."""
        kind = "--unit" if user is None else "--user-unit"
        return self.run(["journalctl", "--no-pager", "--output=cat", "%s=%s" % (kind, unit)]).out

    def wait_for(self, unit, what, value, seconds=30, user=None):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.show(unit, what, user)
            if found == value:
                return
            time.sleep(0.2)
        raise AssertionError("%s of %s is '%s', not '%s'\n%s" % (what, unit, found, value, self.journal(unit, user)[-3000:]))


def machine_or_skip(box, name="machine", binds=()):
    """A machine that runs; where none can be, the tests are skipped for the reason."""
    try:
        m = Machine(box, name, binds)
        box.at_close.append(m.close)
        m.boot()
        return m
    except Unavailable as e:
        skip(str(e))
