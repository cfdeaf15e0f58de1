"""A Docker engine of the tests' own, and images made of this machine's programs: no registry, no bridge, no systemd.

    engine = Engine(box)                      # starts dockerd below the box; Unavailable says why it cannot
    engine.make_image("test/redis", [REDIS_SERVER, ...], command=["redis-server"])
    engine.run("name", "test/redis", "--network", "none")
    engine.docker("exec", "name", "true")
    engine.stop()

The program under test finds the engine through engine.env.
"""
import io
import os
import re
import shutil
import signal
import subprocess
import tarfile
import time

STARTS_WITHIN_S = 20
# The least that something in a container needs to be asked for things: a shell and what our own scripts call.
SHELL = ["/bin/dash", "/bin/cat", "/bin/sleep", "/bin/mkdir", "/bin/chmod", "/bin/rm"]


class Unavailable(Exception):
    """Docker is not installed or does not start here."""


def _alive(pid):
    """A zombie, where nobody reaps, counts as gone."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Engine:
    def __init__(self, box):
        if os.geteuid() != 0:
            raise Unavailable("only root can start a Docker engine")
        for program in ("docker", "dockerd", "containerd", "runc"):
            if shutil.which(program) is None:
                raise Unavailable("%s is not installed" % program)
        self.dir = box.mkdir("docker")
        # The socket's path must be short: 107 bytes at most.
        self.socket = os.path.join(self.dir, "s")
        self.env = {"DOCKER_HOST": "unix://" + self.socket}
        self.images = set()
        self.process = None
        errors = []
        for driver in ("overlay2", "vfs"):
            if self._start(driver):
                return
            with open(os.path.join(self.dir, "log")) as f:
                errors.append(f.read()[-300:])
        raise Unavailable("dockerd does not start here: " + errors[-1].replace("\n", " "))

    def _start(self, driver):
        args = ["dockerd", "-H", self.env["DOCKER_HOST"], "--data-root", os.path.join(self.dir, "data"),
                "--exec-root", os.path.join(self.dir, "exec"), "-p", os.path.join(self.dir, "pid"), "--storage-driver", driver,
                "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none",
                "--userland-proxy=false"]
        with open(os.path.join(self.dir, "log"), "wb") as log:
            self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < end and self.process.poll() is None:
            if os.path.exists(self.socket) and self.docker("version", check=False).returncode == 0:
                return True
            time.sleep(0.05)
        self.stop()
        return False

    def docker(self, *args, check=True, input=None, timeout=120):
        """Runs the command line client; its output as text in .stdout and .stderr."""
        given = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run(["docker"] + list(args), env=dict(os.environ, **self.env), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=timeout, **given)
        done.stdout, done.stderr = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
        if check and done.returncode != 0:
            raise AssertionError("docker %s: exit status %d\n%s%s" % (" ".join(args), done.returncode, done.stdout, done.stderr))
        return done

    def make_image(self, name, programs, files=(), folders=(), users=(), command=(), environment=(), shell=True):
        """An image of these programs (absolute paths) with the shared libraries that they need, once. files: (path, content or
        path of a file here, mode), folders: (path, uid, mode), users: (name, uid)."""
        if name in self.images:
            return
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            image = _Image(tar)
            for path, uid, mode in [("/tmp", 0, 0o1777), ("/run", 0, 0o755), ("/proc", 0, 0o555), ("/etc", 0, 0o755),
                                    ("/dev", 0, 0o755), ("/root", 0, 0o700)] + list(folders):
                image.folder(path, uid, mode)
            for program in (SHELL if shell else []) + list(programs):
                image.program(program)
            if shell:
                image.link("/bin/sh", "dash")
            passwd = "root:x:0:0::/root:/bin/sh\n" + "".join("%s:x:%d:%d::/:/bin/sh\n" % (u, i, i) for u, i in users)
            group = "root:x:0:\n" + "".join("%s:x:%d:\n" % (u, i) for u, i in users)
            for path, content, mode in [("/etc/passwd", passwd, 0o644), ("/etc/group", group, 0o644),
                                        ("/etc/nsswitch.conf", "passwd: files\n", 0o644)] + list(files):
                image.file(path, content, mode)
        changes = ["-c", "CMD [%s]" % ", ".join('"%s"' % word for word in command)] if command else []
        for entry in environment:
            changes += ["-c", "ENV " + entry]
        self.docker("import", *changes, "-", name, input=archive.getvalue())
        self.images.add(name)

    def run(self, name, image, *options, command=()):
        """Starts a container. Its network is its own, with nothing in it, unless the options say otherwise."""
        network = [] if any(o.startswith("--network") for o in options) else ["--network", "none"]
        self.docker("run", "--pull", "never", "-d", "--name", name, *network, *options, image, *command)

    def stop(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            running = self.docker("ps", "-aq", check=False).stdout.split()
            if running:
                self.docker("rm", "-fv", *running, check=False)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._end_containerd()
        with open("/proc/mounts") as f:
            mounts = [line.split()[1] for line in f]
        for mount in sorted((m for m in mounts if m.startswith(self.dir + "/")), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)
        self.process = None

    def _end_containerd(self):
        """dockerd ends the containerd that it started; not when it was killed itself."""
        try:
            with open(os.path.join(self.dir, "exec/containerd/containerd.pid")) as f:
                pid = int(f.read())
        except (OSError, ValueError):
            return
        end = time.monotonic() + 10
        while _alive(pid) and time.monotonic() < end:
            time.sleep(0.05)
        if _alive(pid):
            os.kill(pid, signal.SIGKILL)


class _Image:
    def __init__(self, tar):
        self.tar, self.names = tar, set()
        for name in ("bin", "sbin", "lib", "lib64"):
            self.folder("/usr/" + name, 0, 0o755)
            self.link("/" + name, "usr/" + name)

    def _add(self, path, kind, mode=0o755, uid=0, content=None, target=None):
        name = path.lstrip("/")
        if name in self.names:
            return
        parent = os.path.dirname(name)
        if parent and parent not in self.names and parent not in ("bin", "sbin", "lib", "lib64"):
            self._add(parent, tarfile.DIRTYPE)
        self.names.add(name)
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.uid, info.gid, info.linkname = kind, mode, uid, uid, target or ""
        info.size = len(content) if content is not None else 0
        self.tar.addfile(info, io.BytesIO(content) if content is not None else None)

    def folder(self, path, uid, mode):
        self._add(path, tarfile.DIRTYPE, mode, uid)

    def link(self, path, target):
        self._add(_merged(path), tarfile.SYMTYPE, target=target)

    def file(self, path, content, mode):
        if isinstance(content, str) and content.startswith("/"):
            with open(content, "rb") as f:
                content = f.read()
        self._add(_merged(path), tarfile.REGTYPE, mode, content=content.encode() if isinstance(content, str) else content)

    def tree(self, path):
        for folder, _, files in os.walk(path):
            for name in files:
                self.file(os.path.join(folder, name), os.path.join(folder, name), 0o755)

    def program(self, path):
        """A file or a whole directory; of programs and libraries also the libraries that they need."""
        if os.path.isdir(path):
            self.tree(path)
            return
        self.file(path, os.path.realpath(path), 0o755)
        found = subprocess.run(["ldd", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.decode()
        for library in re.findall(r"(/\S+)", found):
            self.file(library, os.path.realpath(library), 0o755)


def _merged(path):
    """/bin/x is /usr/bin/x there, as on every Debian of today."""
    return "/usr" + path if re.match(r"/(bin|sbin|lib|lib64)/", path) else path
