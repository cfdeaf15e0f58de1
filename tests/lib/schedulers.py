"""Stand-ins for the schedulers of a machine: systemctl, crontab and openclaw as programs that keep their state in files and
write down how they were called. What they do is what the real ones were seen to do (tests/openclaw has a real OpenClaw)."""
import http.server
import json
import os
import sys
import threading

SYSTEMCTL = r"""#!/bin/sh
d=%(dir)s
echo "systemctl $*" >>"$d/calls"
[ "$1" != --user ] || shift
case $1 in
is-system-running) cat "$d/manager"; [ "$(cat "$d/manager")" = running ] ;;
show)
    [ -e "$d/units/$3" ] && echo LoadState=loaded || echo LoadState=not-found
    [ -e "$d/active/$3" ] && echo ActiveState=active || echo ActiveState=inactive
    [ -e "$d/enabled/$3" ] && echo UnitFileState=enabled || echo UnitFileState=disabled ;;
enable) [ -e "$d/units/$3" ] || { echo "Unit file $3 does not exist." >&2; exit 1; }
    touch "$d/enabled/$3" "$d/active/$3" ;;
disable) rm -f "$d/enabled/$3" "$d/active/$3" ;;
list-timers) cat "$d/timers" 2>/dev/null || echo '[]' ;;
esac
"""

CRONTAB = r"""#!/bin/sh
d=%(dir)s
echo "crontab $*" >>"$d/calls"
case $1 in
-l) [ -e "$d/crontab" ] || { echo "no crontab for somebody" >&2; exit 1; }
    cat "$d/crontab" ;;
-) cat >"$d/crontab.new" && mv "$d/crontab.new" "$d/crontab" ;;
-V) [ -e "$d/cronie" ] && echo "cronie 1.6.1" || exit 1 ;;
*) exit 2 ;;
esac
"""

OPENCLAW = r"""#!%(python)s
import json, os, sys
DIR, COMMANDS, KEYS = %(dir)r, %(commands)r, %(keys)r
args = sys.argv[1:]
with open(DIR + "/calls", "a") as f:
    f.write("openclaw " + json.dumps(args) + "\n")
store = DIR + "/openclaw-jobs.json"
jobs = json.load(open(store)) if os.path.exists(store) else []

def save():
    json.dump(jobs, open(store, "w"))

def option(name):
    return args[args.index(name) + 1] if name in args else None

def find(wanted):
    for job in jobs:
        if job["id"] == wanted:
            return job
    sys.stderr.write("Automation not found: %%s\n" %% wanted)
    sys.exit(1)

def fill(job):
    if option("--every"):
        text = option("--every")
        job["schedule"] = {"kind": "every", "everyMs": int(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[text[-1]] * 1000}
    if option("--cron"):
        job["schedule"] = {"kind": "cron", "expr": option("--cron")}
        if option("--tz"):
            job["schedule"]["tz"] = option("--tz")
    if option("--command-argv"):
        env = dict(args[i + 1].split("=", 1) for i, a in enumerate(args) if a == "--command-env")
        job["payload"] = {"kind": "command", "argv": json.loads(option("--command-argv")), "env": env,
                          "timeoutSeconds": int(option("--timeout-seconds"))}
    if option("--system-event"):
        job["payload"] = {"kind": "systemEvent", "text": option("--system-event")}

print("Config was last touched by somebody: never mind")
if args[:3] == ["cron", "add", "--help"]:
    print("Options:\n  --every <duration>  Interval\n  --disabled  Create disabled\n  --system-event <text>  Text")
    if COMMANDS:
        print("  --command-argv <json>  Command")
    if KEYS:
        print("  --command-env <KEY=VALUE>  Env\n  --declaration-key <key>  Key\n  --exact  Exact")
elif args[:2] == ["cron", "list"]:  # a file says how long a page is
    page = int(open(DIR + "/page").read()) if os.path.exists(DIR + "/page") else len(jobs)
    print(json.dumps({"jobs": jobs[:page], "hasMore": page < len(jobs)}, indent=2))
elif args[:2] == ["cron", "get"]:
    print(json.dumps(find(args[2])))
elif args[:2] == ["cron", "add"]:
    key = option("--declaration-key")
    job = next((j for j in jobs if key and j.get("declarationKey") == key), None)
    if job is None:  # what is there keeps its name, and a disabled one stays disabled
        job = {"id": "job-%%d" %% (len(jobs) + 1), "name": option("--name"), "enabled": "--disabled" not in args, "state": {}}
        if key:
            job["declarationKey"] = key
        jobs.append(job)
    elif "--disabled" in args:
        job["enabled"] = False
    fill(job)
    save()
    print(json.dumps({"created": True, "job": job} if COMMANDS else job, indent=2))
elif args[:2] == ["cron", "edit"]:
    job = find(args[2])
    job["name"] = option("--name") or job["name"]
    fill(job)
    save()
    print(json.dumps(job))
elif args[0] == "cron" and args[1] in ("enable", "disable"):
    find(args[2])["enabled"] = args[1] == "enable"
    save()
elif args[:2] == ["cron", "rm"]:
    jobs.remove(find(args[2]))
    save()
elif args[:2] == ["cron", "run"]:
    find(args[2])
elif args[:3] == ["gateway", "call", "cron.update"]:
    change = json.loads(option("--params"))
    find(change["id"])["state"].update(change["patch"]["state"])
    save()
else:
    sys.exit("unknown command " + " ".join(args))
"""


class Machine:
    """A machine with the schedulers of our choice, below a box. PATH has only these and the real basics behind them."""

    def __init__(self, box, systemd=False, openclaw=None, crontab=True):
        self.box, self.dir = box, box.mkdir("machine")
        for name in ("units", "active", "enabled", "bin"):
            box.mkdir("machine", name)
        box.write("machine/manager", "running\n" if systemd else "offline\n")
        self._program("systemctl", SYSTEMCTL)
        # Never the real one: it would be that of whoever runs the tests.
        self._program("crontab", CRONTAB if crontab else "#!/bin/sh\nexit 127\n")
        self.gateway = None
        if openclaw == "real":  # the caller puts it there
            pass
        elif openclaw:
            self._program("openclaw", OPENCLAW, commands=openclaw != "old", keys=openclaw == "commands",
                          python=sys.executable)
        else:
            box.env["CLAWBACK_OPENCLAW"] = "/nonexistent/openclaw"
        box.env["PATH"] = os.path.join(self.dir, "bin") + ":" + box.env["PATH"]
        box.env["SYSTEMD_UNIT_PATH"] = os.path.join(self.dir, "units")

    def _program(self, name, text, **more):
        self.box.write("machine/bin/" + name, text % dict(more, dir=self.dir) if "%(" in text else text, 0o755)

    def calls(self, program=None):
        path = os.path.join(self.dir, "calls")
        lines = open(path).read().splitlines() if os.path.exists(path) else []
        return [line for line in lines if program is None or line.split()[0] == program]

    def forget_calls(self):
        path = os.path.join(self.dir, "calls")
        if os.path.exists(path):
            os.unlink(path)

    def changes(self):
        """The calls that change anything."""
        looks = ("systemctl show", "systemctl is-system", "systemctl list-timers", "crontab -l", "crontab -V")
        return [line for line in self.calls()
                if not line.replace("--user ", "").startswith(looks) and '"cron", "list"' not in line and '"--help"' not in line]

    def unit(self, name):
        with open(os.path.join(self.dir, "units", name)) as f:
            return f.read()

    def units(self):
        return sorted(os.listdir(os.path.join(self.dir, "units")))

    def crontab(self, text=None):
        path = os.path.join(self.dir, "crontab")
        if text is not None:
            self.box.write(path, text)
        return open(path).read() if os.path.exists(path) else ""

    def jobs(self):
        path = os.path.join(self.dir, "openclaw-jobs.json")
        return json.load(open(path)) if os.path.exists(path) else []

    def start_gateway(self, home):
        """Something that answers at the port that the agent's configuration names."""
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(404)
                self.end_headers()

            def log_message(self, *args):
                pass
        self.gateway = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.gateway.serve_forever, daemon=True).start()
        self.box.write(os.path.join(home, "openclaw.json"),
                       '{gateway: {port: %d, bind: "loopback"}, /* mine */}' % self.gateway.server_address[1])

    def stop_gateway(self):
        if self.gateway:
            self.gateway.shutdown()
            self.gateway.server_close()
            self.gateway = None
