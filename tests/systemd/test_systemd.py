#!/usr/bin/env python3
# timeout: 2400
"""Our units under a real systemd, booted for it: `./run-tests --with-systemd`.

One machine for all tests; each begins without a schedule, without state, and with its drive unplugged."""
import os
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), HERE]
import docker_engine  # noqa: E402
from clawtest import check, equal, main, once, skip, wait_until  # noqa: E402
from host import EVERYTHING, PHRASE, TOKEN, Host  # noqa: E402
from machine import machine_or_skip  # noqa: E402

SERVICE, DAEMON, TIMER = "clawback.service", "clawbackd.service", "clawback.timer"
SLOW = """
  config: {every: 1h, files: [%(home)s/.openclaw], to: [drive]}
"""
# A job of the owner's own beside ours, begun at once; it writes down what happens to it.
JOB = ('{"id": "own", "schedule": {"kind": "at", "atMs": %d}, "payload": {"kind": "command", "argv": ["/bin/sh", "-c", '
       '"echo begun >>/root/own; trap \'echo told to end >>/root/own; exit 1\' TERM; sleep %d & wait; echo ended >>/root/own"]}}')


@once
def a_host(box):
    """Its Docker engine is ours, since one inside of it would take more than a machine like this one has."""
    try:
        engine, why_not = docker_engine.Engine(box), None
        binds = ["--bind=%s:/run/docker.sock" % engine.socket, "--bind-ro=%s:/usr/local/bin/docker" % shutil.which("docker")]
    except docker_engine.Unavailable as e:
        engine, why_not, binds = None, str(e), []
    try:
        host = Host(machine_or_skip(box, binds=binds))
    finally:
        if engine is not None:
            box.at_close.append(engine.stop)
    host.engine, host.no_engine = engine, why_not
    return host


def fresh(user="root"):
    host = a_host()
    host.clean(user)
    return host, host.machine


def drop_in(m, service, text):
    m.write("/etc/systemd/system/%s.d/test.conf" % service, "[Service]\n" + text)
    m.systemctl("daemon-reload")


def run_service(host, user="root", service=SERVICE):
    """Through systemd, to its end; what systemd calls its result."""
    m, who = host.machine, host.who(user)
    before = m.show(service, "InvocationID", who)
    host.schedule(user, "run-now", service.split(".")[0])
    wait_until(lambda: m.show(service, "InvocationID", who) != before, "the start of %s" % service)
    wait_until(lambda: m.show(service, "ActiveState", who) in ("inactive", "failed"), "the end of %s" % service, 120)
    return m.show(service, "Result", who)


def scheduler_is_alive(host, user):
    found = host.schedule(user, "status", "--json").json()["installed"]
    equal([c["alive"] for c in found], [True], "alive: %s" % found)
    # The drive of these tests is small, and so health may have something to say; not of the scheduler.
    shown = host.claw(user, "health", rc=(0, 1, 2)).out
    check("nothing will start the next run" not in shown, "health", shown)


# --- a whole backup, in each of the four ways

def everything_is_there(host, user):
    """After a run of EVERYTHING: each tier is complete, and comes back as it was."""
    for tier in ("config", "git", "db", "full"):
        record = host.wait_for_record(user, tier)
        equal(record["status"], "completed", "%s\n%s" % (tier, host.said(user)))
        equal(record["exitCode"], 0, "exit status of %s: %s" % (tier, record))
    drive = host.drive(user)
    repository = ["-r", drive, "--password-file", "~/.config/clawback/passphrase"]
    back = host.sh(user, "rm -rf ~/back; clawback %s restore latest --tag tier=config --target ~/back >&2\n"
                   "cd ~/back/$HOME/.openclaw/credentials; stat -c %%a token; cat token" % " ".join(repository)).out
    equal(back, "600\n" + TOKEN, "the secret, restored")
    rows = host.sh(user, "rm -rf ~/back; clawback %s restore latest --tag tier=db --target ~/back >&2\n"
                   "cat ~/back/postgres/*/shop.counts.json ~/back/postgres/*/shop/shop.counts.json 2>/dev/null || true"
                   % " ".join(repository)).out
    check('"rows":1000' in rows.replace(" ", ""), "the rows of the database", rows)
    names = host.sh(user, "gpg --batch --quiet --decrypt %s/archives/testhost/latest.tar.gz.gpg | tar -tz" % drive).out
    check(".openclaw/credentials/token" in names, "the archive's members", names)


def full_backup(user, via, run):
    host, m = fresh(user)
    heads = {name: host.commit(user, name, "of %s, %s" % (via, user)) for name in ("by-path", "by-ssh")}
    drive = {"drive": {"path": host.drive(user), "require_mount": True}}
    host.plan(user, EVERYTHING, drive)
    host.schedule(user, "install", "--via", via)
    # Plugged in when whatever starts the run is there already.
    host.mount_drive(user)
    run(host)
    everything_is_there(host, user)
    equal({name: host.pushed(user, name) for name in heads}, heads, "what was pushed")
    scheduler_is_alive(host, user)
    host.schedule(user, "remove")
    equal(m.systemctl("list-unit-files", "clawback*", "--no-legend", user=host.who(user), rc=(0, 1)).out, "", "units that are left")


def through_the_daemon(user):
    def run(host):
        host.schedule(user, "run-now", "clawback")
        host.wait_for_record(user, "clawback", seconds=120)
    return run


def linger(host):
    host.machine.run(["loginctl", "enable-linger", "alice"])
    wait_until(lambda: host.machine.systemctl("is-system-running", user="alice", rc=None).out.strip() in ("running", "degraded"),
               "alice's manager")


def test_the_systems_service_takes_everything(box):
    full_backup("root", "systemd", lambda host: equal(run_service(host), "success", "result"))


def test_the_systems_daemon_takes_everything(box):
    full_backup("root", "daemon", through_the_daemon("root"))


def test_a_user_who_is_not_logged_in_is_told_of_lingering(box):
    host, m = fresh("alice")
    m.run(["loginctl", "disable-linger", "alice"], rc=None)
    wait_until(lambda: m.systemctl("is-system-running", user="alice", rc=None).rc != 0, "the end of alice's manager")
    host.plan("alice", EVERYTHING)
    said = host.schedule("alice", "install", "--via", "systemd", rc=1)
    check("loginctl enable-linger" in said.err, "what helps", said)


def test_a_users_service_takes_everything(box):
    linger(a_host())
    full_backup("alice", "systemd", lambda host: equal(run_service(host, "alice"), "success", "result"))


def test_a_users_daemon_takes_everything(box):
    linger(a_host())
    full_backup("alice", "daemon", through_the_daemon("alice"))


def test_a_container_is_reached_through_dockers_socket(box):
    host, m = fresh()
    if host.engine is None:
        skip(host.no_engine)
    host.engine.make_image("test/redis", ["/usr/bin/redis-server", "/usr/bin/redis-cli"], folders=[("/data", 0, 0o755)],
                           command=["redis-server", "--dir", "/data"])
    host.engine.run("shop-redis", "test/redis")
    host.plan("root", "\n  redis: {every: 1h, redis: [{container: shop-redis}], to: [drive]}\n")
    for via in ("systemd", "daemon"):
        host.mount_drive("root")
        host.schedule("root", "install", "--via", via)
        if via == "systemd":
            equal(run_service(host), "success", "result")
        else:
            through_the_daemon("root")(host)
        equal(host.wait_for_record("root", "redis")["status"], "completed", "the tier, %s\n%s" % (via, host.said("root")))
        host.clean("root")


# --- the daemon's life

def with_daemon(drop="", tiers=SLOW):
    host, m = fresh()
    host.mount_drive("root")
    host.plan("root", tiers)
    if drop:
        drop_in(m, DAEMON, drop)
    host.schedule("root", "install", "--via", "daemon")
    equal(m.show(DAEMON, "ActiveState"), "active", "state, as soon as it is installed")
    return host, m


def start_own_job(host, m, seconds):
    """A second job, which takes so long."""
    m.sh("rm -f /root/own")
    path = "/root/.local/state/clawback/jobs.json"
    text = m.read(path)
    entry = JOB % (time.time() * 1000 + 1500, seconds)
    m.write(path, text.replace('"jobs": [', '"jobs": [' + entry + ",", 1))
    wait_until(lambda: m.exists("/root/own"), "the job's start")


def own_job_says(m):
    return m.read("/root/own").split("\n")[:-1]


def test_daemon_says_that_it_is_ready_and_feeds_its_watchdog(box):
    host, m = with_daemon("WatchdogSec=4\nRestartSec=1\n")
    check("2 jobs" in m.show(DAEMON, "StatusText"), "status", m.show(DAEMON, "StatusText"))
    pid = m.show(DAEMON, "MainPID")
    time.sleep(10)
    equal((m.show(DAEMON, "MainPID"), m.show(DAEMON, "NRestarts")), (pid, "0"), "it lives on")
    m.systemctl("reload", DAEMON)
    equal(m.show(DAEMON, "MainPID"), pid, "after a reload")
    m.run(["kill", "-STOP", pid])
    m.wait_for(DAEMON, "NRestarts", "1")
    m.wait_for(DAEMON, "ActiveState", "active")
    check("Watchdog timeout" in m.journal(DAEMON), "why", m.journal(DAEMON))
    check(m.show(DAEMON, "MainPID") != pid, "another one")


def test_stopping_the_daemon_ends_what_it_runs_in_order(box):
    host, m = with_daemon()
    start_own_job(host, m, 300)
    m.systemctl("stop", DAEMON)
    equal((m.show(DAEMON, "ActiveState"), m.show(DAEMON, "Result")), ("inactive", "success"), "the service")
    equal(own_job_says(m), ["begun", "told to end"], "the job")
    equal(host.records("root", "own")[0].get("interrupted"), True, "its record")
    m.systemctl("start", DAEMON)
    equal(m.show(DAEMON, "ActiveState"), "active", "again")


def test_a_crash_of_the_daemon_lets_jobs_go_on_and_the_next_one_watches_them(box):
    host, m = with_daemon("RestartSec=2\n")
    start_own_job(host, m, 12)
    m.run(["kill", "-KILL", m.show(DAEMON, "MainPID")])
    m.wait_for(DAEMON, "NRestarts", "1")
    m.wait_for(DAEMON, "ActiveState", "active")
    equal(own_job_says(m), ["begun"], "the job meanwhile")
    host.wait_for_record("root", "own", seconds=30)
    equal(own_job_says(m), ["begun", "ended"], "the job")


def test_a_backup_outlives_a_crash_of_the_daemon(box):
    tier = '\n  slow: {every: 1h, command: [{name: it, command: "echo in it; touch /root/begun; sleep 8"}], to: [drive]}\n'
    host, m = with_daemon("RestartSec=2\n", tier)
    m.sh("rm -f /root/begun")
    host.schedule("root", "run-now", "clawback")
    wait_until(lambda: m.exists("/root/begun"), "the backup's start")
    m.run(["kill", "-KILL", m.show(DAEMON, "MainPID")])
    equal(host.wait_for_record("root", "slow")["status"], "completed", "the tier")
    equal(host.wait_for_record("root", "clawback")["status"], "completed", "the job, by what its tiers say")


def test_stopping_a_service_ends_its_run_in_order(box):
    host, m = fresh()
    host.mount_drive("root")
    host.plan("root", '\n  slow: {every: 1h, command: [{name: it, command: "touch /root/begun; sleep 100"}], to: [drive]}\n')
    host.schedule("root", "install", "--via", "systemd")
    m.sh("rm -f /root/begun")
    host.schedule("root", "run-now")
    wait_until(lambda: m.exists("/root/begun"), "the backup's start")
    m.systemctl("stop", SERVICE)
    record = host.records("root", "slow")[0]
    equal((record["status"], record.get("interrupted")), ("failed", True), "the tier's record")
    equal(m.sh("ls %s/locks" % host.drive("root")).out, "", "locks that are left")
    check(m.run(["pgrep", "-x", "sleep"], rc=None).out == "", "something that it started is left")


# --- times

def test_timers_fire(box):
    host, m = fresh()
    host.mount_drive("root")
    host.plan("root", """
  often: {every: 1m, files: [/root/.openclaw], to: [drive]}
  clock: {cron: "* * * * *", files: [/root/.openclaw], to: [drive]}
""")
    host.schedule("root", "install", "--via", "systemd")
    began = time.time()
    names = [t["id"] + ".service" for t in host.schedule("root", "status", "--json").json()["installed"][0]["triggers"]]
    names.remove("clawback-health.service")
    equal(len(names), 2, "triggers: %s" % names)

    def starts(name):
        return m.journal(name).count("Starting ")
    before = {name: starts(name) for name in names}
    # The first two times each, with a quarter of a minute of systemd's own and one of a slow machine's.
    wait_until(lambda: all(starts(n) >= before[n] + 2 for n in names), "two starts of each: %s" % before, 165)
    check(time.time() - began > 30, "not all at once")
    for tier in ("often", "clock"):
        check(len(host.records("root", tier)) >= 2, "runs of %s" % tier, host.said("root"))

    def shown():
        triggers = host.schedule("root", "status", "--json").json()["installed"][0]["triggers"]
        times = [(t["last"], t["next"]) for t in triggers if t["id"] != "clawback-health"]
        # While a service runs, its timer does not know when to start it next.
        return all(last and following and last < following for last, following in times)
    wait_until(shown, "last and next times in the status")


def test_what_was_missed_while_the_machine_was_off_is_made_up_for(box):
    host, m = fresh()
    host.clean("alice")
    linger(host)
    weekly = EVERYTHING.replace("every: 1h", 'cron: "0 4 * * sun"')
    for user in ("root", "alice"):
        # On the machine's own disk: a drive of these tests is gone after a boot.
        m.sh("rm -rf %s; install -d -o %s %s" % (host.drive(user), user, host.drive(user)))
        host.plan(user, weekly if user == "root" else "\n  config: {cron: \"0 4 * * sun\", files: [%(home)s/.openclaw], to: [drive]}\n")
        host.schedule(user, "install", "--via", "systemd")
    stamps = m.sh("ls /var/lib/systemd/timers/stamp-clawback.timer /home/alice/.local/share/systemd/timers/stamp-clawback.timer").out
    m.sh("touch -d '9 days ago' %s" % stamps.replace("\n", " "))
    for user in ("root", "alice"):
        equal(host.records(user, "config"), [], "runs so far")
    # PostgreSQL starts with the machine, like the run, and takes its time.
    m.write("/etc/systemd/system/postgresql@.service.d/slow.conf", "[Service]\nExecStartPre=/bin/sleep 5\n")
    m.power_off()
    m.boot()
    everything_is_there(host, "root")
    equal(host.wait_for_record("alice", "config")["status"], "completed", "alice's")
    scheduler_is_alive(host, "root")
    scheduler_is_alive(host, "alice")
    host.clean("alice")


def test_the_daemon_is_back_after_a_power_cut_and_knows_what_it_cut(box):
    host, m = with_daemon()
    start_own_job(host, m, 300)
    wait_until(lambda: "begun" in m.read("/root/own"), "the job")
    m.sh("sync")
    m.power_cut()
    m.boot()
    m.wait_for(DAEMON, "ActiveState", "active")
    record = host.wait_for_record("root", "own")
    equal((record["status"], record.get("interrupted")), ("failed", True), "its record")


# --- the owner's commands

def test_disable_enable_and_remove(box):
    host, m = fresh()
    host.mount_drive("root")
    host.plan("root", SLOW)
    host.schedule("root", "install", "--via", "systemd", "--disabled")
    equal(m.show(TIMER, "ActiveState"), "inactive", "installed, but disabled")
    host.schedule("root", "enable")
    equal((m.show(TIMER, "ActiveState"), m.show(TIMER, "UnitFileState")), ("active", "enabled"), "enabled")
    scheduler_is_alive(host, "root")
    host.schedule("root", "disable")
    equal((m.show(TIMER, "ActiveState"), m.show(TIMER, "UnitFileState")), ("inactive", "disabled"), "disabled")
    check("disabled" in host.claw("root", "health", rc=(0, 1, 2)).out, "health notices")
    host.schedule("root", "remove")
    equal(m.show(TIMER, "LoadState"), "not-found", "removed")


def test_something_missing_is_no_failure_and_a_removed_failure_is_forgotten(box):
    host, m = fresh()
    host.mount_drive("root")
    both = {"drive": {"path": host.drive("root")}, "second": {"path": "/mnt/hooked", "require_mount": True}}
    host.plan("root", "\n  config: {every: 1h, files: [/root/.openclaw], to: [drive, second]}\n", both)
    host.schedule("root", "install", "--via", "systemd")
    equal(run_service(host), "success", "result")
    equal(host.records("root", "config")[-1]["exitCode"], 3, "something was missing")
    host.clean("root")
    host.plan("root", SLOW, {"drive": {"path": host.drive("root"), "require_mount": True}})
    host.schedule("root", "install", "--via", "systemd")
    equal(run_service(host), "exit-code", "result of a run without its drive")
    host.schedule("root", "remove")
    equal(m.systemctl("is-system-running", rc=None).out.strip(), "running", "the machine")


# --- the hardening

def test_nothing_of_the_system_can_be_written_but_destinations(box):
    host, m = fresh()
    host.mount_drive("root")
    host.plan("root", """
  config: {every: 1h, files: [/root/.openclaw], to: [drive, second]}
  tries: {every: 1h, command: [{name: it, command: "touch /usr/tried /etc/tried 2>&1; grep CapBnd /proc/self/status; echo"}], to: [drive]}
""", {"drive": {"path": host.drive("root")}, "second": {"path": "/usr/local/second"}})
    for via in ("systemd", "daemon"):
        host.schedule("root", "install", "--via", via)
        if via == "systemd":
            equal(run_service(host), "success", "result")
        else:
            through_the_daemon("root")(host)
        for tier in ("config", "tries"):
            equal(host.wait_for_record("root", tier)["exitCode"], 0, "exit status of %s, %s\n%s" % (tier, via, host.said("root")))
        check(m.exists("/usr/local/second/config"), "the destination below /usr")
        check(not m.exists("/usr/tried") and not m.exists("/etc/tried"), "a command of the plan's wrote to /usr or /etc")
        host.clean("root")


def test_a_drive_that_is_not_plugged_in_below_usr_is_noticed(box):
    host, m = fresh()
    m.sh("mkdir -p /usr/local/drive")
    host.plan("root", SLOW, {"drive": {"path": "/usr/local/drive", "require_mount": True}})
    host.schedule("root", "install", "--via", "systemd")
    equal(run_service(host), "exit-code", "result")
    check("nothing is mounted at" in host.records("root", "config")[0]["error"], "why", host.records("root", "config"))
    equal(m.sh("ls /usr/local/drive").out, "", "what was written to the mount point")
    m.sh("mount -t tmpfs -o size=100M drive /usr/local/drive")
    host.claw("root", "run", "config")
    equal(run_service(host), "success", "result with the drive")
    check(m.exists("/usr/local/drive/config"), "the repository")


def test_a_drive_that_a_hook_mounts_is_there_for_everybody(box):
    host, m = fresh()
    m.sh("mkdir -p /mnt/hooked")
    hook = 'hooks: {before: "mountpoint -q /mnt/hooked || mount -t tmpfs -o size=100M drive /mnt/hooked", after: "echo >>/root/after"}'
    for via in ("systemd", "daemon"):
        m.sh("rm -f /root/after")
        host.plan("root", SLOW, {"drive": {"path": "/mnt/hooked", "require_mount": True}}, hook)
        host.schedule("root", "install", "--via", via)
        if via == "systemd":
            equal(run_service(host), "success", "result")
        else:
            through_the_daemon("root")(host)
        equal(host.wait_for_record("root", "config")["status"], "completed", "the run, %s" % via)
        check(m.exists("/mnt/hooked/config") and m.exists("/root/after"), "seen from outside, %s" % via)
        host.clean("root")
        m.sh("mkdir -p /mnt/hooked")


def test_a_passphrase_may_be_a_credential_of_systemd(box):
    host, m = fresh()
    host.mount_drive("root")
    m.write("/root/phrase", PHRASE + "\n", 0o600)
    for via, service in (("systemd", SERVICE), ("daemon", DAEMON)):
        host.plan("root", SLOW, more="passphrase: {credential: phrase}")
        drop_in(m, service, "LoadCredential=phrase:/root/phrase\n")
        host.schedule("root", "install", "--via", via)
        if via == "systemd":
            equal(run_service(host), "success", "result")
        else:
            through_the_daemon("root")(host)
        equal(host.wait_for_record("root", "config")["exitCode"], 0, "exit status, %s\n%s" % (via, host.said("root")))
        host.clean("root")
        host.mount_drive("root")


if __name__ == "__main__":
    main()
