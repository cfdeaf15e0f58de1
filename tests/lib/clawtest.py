"""A small test runner for scripts: every function test_* of the script is a test, and the output is TAP.

Each test gets a Box: an empty directory, an environment in which nothing of the caller's is left but PATH (no HOME, no XDG
directories, no CLAWBACK_*, no RESTIC_*), and wrappers that run the programs in it. Everything that a test makes is below the
script's temporary directory, which is removed at the end. The program under test is the first argument if that is a file,
else CLAWBACK_BIN, CLAWBACK, or the first clawback in PATH. Further arguments choose tests by a part of their name. With
CLAWTEST_TIMES set it says how long each took.
"""
import functools
import hashlib
import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

PASSPHRASE = "correct horse"
TIMEOUT_S = 300
NOBODY = 65534


class Skipped(Exception):
    pass


def skip(reason):
    """Ends the test; it is reported as skipped."""
    raise Skipped(reason)


def _needs(what_is_there, reason):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(box):
            if not what_is_there():
                skip(reason)
            return function(box)
        return wrapper
    return decorate


def needs(program):
    return _needs(lambda: shutil.which(program) is not None, "%s is not installed" % program)


needs_root = _needs(lambda: os.geteuid() == 0, "needs root")


def check(condition, message, *details):
    if not condition:
        raise AssertionError("\n".join([message] + [str(d) for d in details]))


def equal(found, expected, what):
    if found != expected:
        raise AssertionError("%s:\n  found    %s\n  expected %s" % (what, _short(found), _short(expected)))


def _short(value):
    text = repr(value)
    return text if len(text) < 3000 else text[:3000] + "…"


def no_differences(differences, what):
    if differences:
        shown = ["  " + d for d in differences[:25]]
        raise AssertionError("%s: %d differences\n%s" % (what, len(differences), "\n".join(shown)))


class Result:
    """What a program left behind: rc (negative: signal), out and err (text), out_bytes, args."""

    def __init__(self, args, rc, out, err):
        self.args, self.rc, self.out_bytes = args, rc, out
        self.out = out.decode("utf-8", "surrogateescape")
        self.err = err.decode("utf-8", "surrogateescape")

    def json(self):
        try:
            return json.loads(self.out)
        except ValueError as e:
            raise AssertionError("no JSON document: %s\n%s" % (e, self))

    def json_lines(self, message_type=None):
        try:
            lines = [json.loads(line) for line in self.out.split("\n") if line]
        except ValueError as e:
            raise AssertionError("a line is no JSON document: %s\n%s" % (e, self))
        if message_type is None:
            return lines
        return [line for line in lines if line.get("message_type") == message_type]

    def summary(self):
        lines = self.json_lines("summary")
        equal(len(lines), 1, "number of summaries of %s" % self.args)
        return lines[0]

    def __str__(self):
        def tail(text):
            return text if len(text) < 3000 else "…" + text[-3000:]
        command = " ".join(os.fsdecode(a) for a in self.args)
        return "$ %s\nexit status %d\n%s%s" % (command, self.rc, tail(self.out), tail(self.err))


def sanitizer_report(text):
    return "AddressSanitizer" in text or "runtime error:" in text or "LeakSanitizer" in text or "ThreadSanitizer" in text


class Box:
    def __init__(self, root, name):
        self.dir = os.path.join(root, name)
        os.makedirs(self.dir)
        self.home = self.path("home")
        os.mkdir(self.home)
        self.env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin:/usr/sbin:/sbin"), "HOME": self.home, "TZ": "UTC",
                    "LC_ALL": "C.UTF-8", "CLAWBACK_PASSPHRASE": PASSPHRASE, "RESTIC_PASSWORD": PASSPHRASE,
                    "RESTIC_CACHE_DIR": os.path.join(root, "restic-cache"), "TMPDIR": self.dir,
                    "CLAWBACK_TEST_STARTED": ""}  # a machine that has just been started is no matter
        for name in os.environ:
            if name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "PYENV_VERSION"):
                self.env[name] = os.environ[name]
        self.repo = self.path("repo")
        self.mounts = []
        self.children = []
        self.at_close = []  # functions, for what else has to end before the directory goes

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def mkdir(self, *names):
        path = self.path(*names)
        os.makedirs(path, exist_ok=True)
        return path

    def write(self, name, content=b"", mode=None):
        """A file below the box (or anywhere below it, by an absolute path); makes its directories."""
        path = name if os.path.isabs(name) else self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(content.encode() if isinstance(content, str) else content)
        if mode is not None:
            os.chmod(path, mode)
        return path

    def run(self, args, rc=0, input=None, env=None, cwd=None, timeout=TIMEOUT_S, **others):
        """Runs it to its end. rc: the exit status expected, several as a tuple, None for any."""
        environment = dict(self.env)
        for name, value in (env or {}).items():
            if value is None:
                environment.pop(name, None)
            else:
                environment[name] = value
        if isinstance(input, str):
            input = input.encode()
        where = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        where.update(others)
        done = subprocess.run(args, env=environment, cwd=cwd or self.dir, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=timeout, **where)
        result = Result(args, done.returncode, done.stdout, done.stderr)
        if sanitizer_report(result.err):
            raise AssertionError("a sanitizer has a complaint\n%s" % result)
        if rc is not None and result.rc not in (rc if isinstance(rc, tuple) else (rc,)):
            raise AssertionError("exit status %d, not %s\n%s" % (result.rc, rc, result))
        return result

    def claw(self, *args, repo=None, **options):
        return self.run([clawback_binary(), "-r", repo or self.repo] + list(args), **options)

    def restic(self, *args, repo=None, **options):
        return self.run(["restic", "-r", repo or self.repo] + list(args), **options)

    def start(self, args, env=None, **options):
        """Starts it; the box ends it, should it still run when the test is over."""
        environment = dict(self.env, **(env or {}))
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        child = subprocess.Popen(args, env=environment, cwd=self.dir, **options)
        self.children.append(child)
        return child

    def start_claw(self, *args, **options):
        return self.start([clawback_binary(), "-r", options.pop("repo", self.repo)] + list(args), **options)

    def mount_tmpfs(self, name, size):
        path = self.mkdir(name)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%s,mode=0755" % size, "clawtest", path],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if done.returncode != 0:
            skip("file systems cannot be mounted here")
        self.mounts.append(path)
        return path

    def close(self):
        for function in self.at_close:
            function()
        for child in self.children:
            if child.poll() is None:
                child.kill()
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream is not None:
                    try:
                        stream.close()
                    except OSError:
                        pass
            child.wait()
        for mount in self.mounts:
            subprocess.run(["umount", "-l", mount], check=False)
        remove_tree(self.dir)


def remove_tree(path):
    """Also what other users may not enter and rmtree stumbles over. Nothing above the tree is touched."""
    top = os.fsencode(path)

    def allow(function, name, _):
        try:
            if os.fsencode(name) != top:
                os.chmod(os.path.dirname(name), 0o700)
            os.chmod(name, 0o700)
            function(name)
        except OSError:
            pass
    shutil.rmtree(top, onerror=allow)


def one_line(result, status, *words):
    """A failure as people should meet it: this status, and one clear line on standard error (a hint may follow on a second one)
    that has these words in it; nothing on standard output."""
    equal(result.rc, status, "exit status\n%s\n" % result)
    lines = [line for line in result.err.splitlines() if line.strip()]
    check(1 <= len(lines) <= 2, "not one line and at most one hint", result)
    check(not lines[0].startswith(" "), "the first line is no message", result)
    equal(result.out, "", "standard output\n%s\n" % result)
    for word in words:
        check(word in result.err, "'%s' is not in the message" % word, result)


def fingerprint(path, without=("locks",)):
    """A hash of the names, modes and contents below a directory; for 'it changes nothing'."""
    digest = hashlib.sha256()
    root = os.fsencode(path)
    if not os.path.lexists(root):
        return "nothing there"
    for directory, names, files in os.walk(root):
        names[:] = sorted(n for n in names if os.fsdecode(n) not in without)
        for name in sorted(names) + sorted(files):
            full = os.path.join(directory, name)
            st = os.lstat(full)
            digest.update(b"%s %o\n" % (os.path.relpath(full, root), st.st_mode))
            if name in files and os.path.isfile(full) and not os.path.islink(full):
                with open(full, "rb") as f:
                    digest.update(hashlib.sha256(f.read()).digest())
    return digest.hexdigest()


def files_below(path):
    """The paths of all regular files below, sorted."""
    return sorted(os.path.join(d, f) for d, _, files in os.walk(path) for f in files)


def repository_bytes(repo):
    return sum(os.path.getsize(f) for f in files_below(os.path.join(repo, "data")))


def wait_until(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("waited %d s in vain: %s" % (seconds, what))


def once(function):
    """A fixture: made once for all tests of the script, in a box of its own that the function gets."""
    state = {}

    def wrapper():
        if "error" in state:
            raise AssertionError("fixture %s failed: %s" % (function.__name__, state["error"]))
        if "skipped" in state:
            raise state["skipped"]
        if "value" not in state:
            box = Box(_run.root, "fixture-" + function.__name__)
            _run.boxes.append(box)
            try:
                state["value"] = function(box)
            except Skipped as e:
                state["skipped"] = e
                raise
            except Exception as e:
                state["error"] = e
                raise
        return state["value"]
    return wrapper


class _Run:
    root = None
    boxes = []
    binary = None


_run = _Run()


def clawback_binary():
    return _run.binary


def _find_binary(args):
    if args and os.path.isfile(args[0]):
        return args.pop(0)
    found = os.environ.get("CLAWBACK_BIN") or os.environ.get("CLAWBACK") or shutil.which("clawback")
    return found or sys.exit("usage: CLAWBACK_BIN=PROGRAM %s [PART-OF-A-NAME…]" % sys.argv[0])


def _diagnose(text):
    for line in text.splitlines():
        printable = line.encode("utf-8", "backslashreplace").decode("utf-8")
        print("# " + re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", lambda m: "\\x%02x" % ord(m.group()), printable))


def _run_test(number, name, function):
    box = Box(_run.root, "%02d" % number)
    label = name[len("test_"):].replace("_", " ")
    began = time.monotonic()
    try:
        function(box)
        print("ok %d - %s" % (number, label))
        ok = True
    except Skipped as e:
        print("ok %d - %s # SKIP %s" % (number, label, e))
        ok = True
    except AssertionError as e:
        print("not ok %d - %s" % (number, label))
        _diagnose(str(e) or traceback.format_exc())
        ok = False
    except Exception:
        print("not ok %d - %s" % (number, label))
        _diagnose(traceback.format_exc())
        ok = False
    finally:
        box.close()
    if os.environ.get("CLAWTEST_TIMES"):
        print("# %.2f s" % (time.monotonic() - began))
    sys.stdout.flush()
    return ok


def _end_by_signal(number, _):
    sys.exit(128 + number)


def main():
    args = sys.argv[1:]
    _run.binary = os.path.abspath(_find_binary(args))
    script = sys.modules["__main__"]
    tests = [(name, f) for name, f in vars(script).items() if name.startswith("test_") and inspect.isfunction(f)]
    if args:
        tests = [(name, f) for name, f in tests if any(a in name for a in args)]
    signal.signal(signal.SIGTERM, _end_by_signal)
    os.umask(0o022)
    _run.root = tempfile.mkdtemp(prefix="clawtest-")
    # Other users (tests become nobody at times) must be able to get into it.
    os.chmod(_run.root, 0o755)
    print("1..%d" % len(tests))
    failed = 0
    try:
        for number, (name, function) in enumerate(tests, 1):
            failed += not _run_test(number, name, function)
    finally:
        for box in _run.boxes:
            box.close()
        remove_tree(_run.root)
    sys.exit(1 if failed else 0)
