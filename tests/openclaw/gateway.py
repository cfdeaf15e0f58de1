"""A real OpenClaw for tests: installed once from the npm registry into a cache outside of the repository, then run on loopback, on
a free port, for a home of the test's own.

Programs and packages are kept in $CLAWBACK_TEST_CACHE, else $XDG_CACHE_HOME/clawback-tests or ~/.cache/clawback-tests: about 1 GB.
Removing that directory makes the next run take them from the registry again, in the newest version."""
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

NODE = "24"
TOKEN = "a-token-for-loopback-only"
INSTALL_S, READY_S, STOP_S = 900, 180, 60
# A library for a channel that no test uses: the old version takes it from GitHub by ssh, which is not everywhere to be had.
OVERRIDES = {"2026.2.2": {"libsignal": "npm:libsignal@*"}}
ONBOARD = ("onboard --non-interactive --accept-risk --mode local --flow manual --auth-choice skip --gateway-bind loopback "
           "--gateway-auth token --skip-daemon --skip-channels --skip-skills --skip-ui --skip-health").split()


def cache_dir():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("CLAWBACK_TEST_CACHE") or os.path.join(base, "clawback-tests")


def npm(directory, path, *args):
    env = {"PATH": path, "HOME": directory, "npm_config_cache": os.path.join(cache_dir(), "npm"), "LC_ALL": "C.UTF-8"}
    for name, value in os.environ.items():
        if name.lower().startswith("npm_config_registry") or name.lower().endswith("_proxy") or name in ("SSL_CERT_FILE",
                                                                                                    "NODE_EXTRA_CA_CERTS"):
            env[name] = value
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-update-notifier"] + list(args), cwd=directory,
                          env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=INSTALL_S)
    if done.returncode != 0:
        raise AssertionError("npm install %s failed:\n%s" % (" ".join(args), done.stdout.decode("utf-8", "replace")[-3000:]))


def install(version):
    """The directory that has node_modules with openclaw and a node that runs it."""
    directory = os.path.join(cache_dir(), "openclaw-" + version)
    done = os.path.join(directory, "complete")
    if os.path.exists(done):
        return directory
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    with open(os.path.join(directory, "package.json"), "w") as f:
        json.dump({"private": True, "overrides": OVERRIDES.get(version, {})}, f)
    path = os.environ.get("PATH", "/usr/bin:/bin")
    # node's package fetches the program itself in a script of its own; no other package's scripts are run.
    npm(directory, path, "--ignore-scripts=false", "node@" + NODE)
    npm(directory, os.path.join(directory, "node_modules", ".bin") + ":" + path, "--ignore-scripts", "openclaw@" + version)
    open(done, "w").close()
    return directory


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Gateway:
    """One OpenClaw with a home below `home`. stop() must be called."""

    def __init__(self, version, home):
        self.directory, self.home, self.port, self.child = install(version), home, free_port(), None
        self.state = os.path.join(home, ".openclaw")
        self.env = {"HOME": home, "PATH": os.path.join(self.directory, "node_modules", ".bin") + ":/usr/bin:/bin", "LC_ALL": "C.UTF-8",
                    "OPENCLAW_DISABLE_BONJOUR": "1", "NO_COLOR": "1", "TZ": "UTC"}
        self.command = [os.path.join(self.directory, "node_modules", ".bin", "node"),
                        os.path.join(self.directory, "node_modules", "openclaw", "openclaw.mjs")]

    def call(self, *args, rc=0):
        done = subprocess.run(self.command + list(args), env=self.env, cwd=self.home, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        if rc is not None and done.returncode != rc:
            raise AssertionError("openclaw %s: exit status %d\n%s\n%s" % (
                " ".join(args), done.returncode, done.stdout.decode()[-2000:], done.stderr.decode()[-2000:]))
        return done.stdout.decode()

    def json(self, *args):
        text = self.call(*args)
        return json.loads(text[text.index("{"):])

    def version(self):
        return self.call("--version").strip().splitlines()[-1]

    def jobs(self):
        return self.json("cron", "list", "--all", "--json")["jobs"]

    def runs(self, job):
        return self.json("cron", "runs", "--id", job)["entries"]

    def wrapper(self, path):
        """A program that is this `openclaw` with nothing of our environment, as one in PATH would be."""
        variables = " ".join("%s='%s'" % item for item in self.env.items())
        with open(path, "w") as f:
            f.write('#!/bin/sh\nexec env -i %s %s "$@"\n' % (variables, " ".join(self.command)))
        os.chmod(path, 0o755)
        return path

    def onboard(self):
        self.call(*ONBOARD, "--gateway-port", str(self.port), "--gateway-token", TOKEN,
                  "--workspace", os.path.join(self.state, "workspace"))

    def start(self):
        self.log = open(os.path.join(self.home, "gateway.log"), "wb")
        self.child = subprocess.Popen(self.command + ["gateway", "run", "--port", str(self.port)], env=self.env, cwd=self.home,
                                      stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        end = time.monotonic() + READY_S
        while time.monotonic() < end and self.child.poll() is None:
            try:
                # An answer of any kind, and that its own command line gets through.
                urllib.request.urlopen("http://127.0.0.1:%d/readyz" % self.port, timeout=5).read()
            except urllib.error.HTTPError as e:
                if e.code == 503:
                    time.sleep(0.5)
                    continue
            except OSError:
                time.sleep(0.5)
                continue
            self.jobs()
            return
        raise AssertionError("the gateway did not become ready:\n" + open(self.log.name, errors="replace").read()[-3000:])

    def stop(self):
        if self.child is None:
            return
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.log.close()
        self.child = None
