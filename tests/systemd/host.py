"""What lives on a machine of the tests': homes with secrets, git repositories and keys, a database, a drive; plans for them, and what runs
of these plans leave."""
import json
import shlex
import time

PHRASE = "a passphrase of more than twenty characters"
TOKEN = "a token that is nobody else's business\n"
HOMES = {"root": "/root", "alice": "/home/alice"}

# As the home's owner. Two repositories with remotes: one by its path, one by ssh and a key.
HOME = r"""
cd; umask 022
mkdir -p .openclaw/credentials .openclaw/workspace .config/clawback git .ssh
echo '{}' >.openclaw/openclaw.json
chmod 700 .ssh .openclaw/credentials
git config --global user.email somebody@example.org; git config --global user.name somebody
git config --global init.defaultBranch main
ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519; cp .ssh/id_ed25519.pub .ssh/authorized_keys
ssh-keyscan localhost >.ssh/known_hosts 2>/dev/null
for name in by-path by-ssh; do
    git init -q --bare "git/$name.git"; git init -q ".openclaw/workspace/$name"
    cd ".openclaw/workspace/$name"; echo begin >file; git add file; git commit -qm begin
    if [ "$name" = by-path ]; then url=file://$HOME; else url=ssh://$USER@localhost$HOME; fi
    git remote add origin "$url/git/$name.git"; git push -qu origin main; cd
done
gpg --batch --quiet --passphrase '' --quick-gen-key "$USER@clawback.test" default default never 2>/dev/null
"""

DATABASE = r"""
cd /
createdb shop
psql -q shop -c 'CREATE TABLE goods AS SELECT generate_series(1, 1000) AS id'
createuser alice; psql -q -c 'GRANT pg_read_all_data TO alice'
"""

EVERYTHING = """
  config: {every: 1h, files: [%(home)s/.openclaw], to: [drive]}
  git:
    every: 1h
    git:
      - {path: %(home)s/.openclaw/workspace/by-path, push: origin}
      - {path: %(home)s/.openclaw/workspace/by-ssh, push: origin}
    to: [drive]
  db: {every: 1h, postgres: [{socket: /run/postgresql, database: shop, user: %(role)s}], to: [drive]}
  full:
    every: 1h
    files: [%(home)s/.openclaw]
    format: archive
    archive: {recipients: ["%(user)s@clawback.test"]}
    to: [drive]
"""


class Host:
    def __init__(self, machine):
        self.machine = machine
        machine.sh("useradd -m -s /bin/bash alice")
        machine.sh(DATABASE, user="postgres")
        for user in HOMES:
            self.sh(user, HOME)
            machine.write(HOMES[user] + "/.openclaw/credentials/token", TOKEN, 0o600, user=self.who(user))
            machine.write(HOMES[user] + "/.config/clawback/passphrase", PHRASE + "\n", 0o600, user=self.who(user))

    @staticmethod
    def who(user):
        return None if user == "root" else user

    def sh(self, user, script, **options):
        return self.machine.sh(script, user=self.who(user), **options)

    def claw(self, user, *args, **options):
        return self.machine.claw(*args, user=self.who(user), **options)

    def schedule(self, user, *args, **options):
        return self.claw(user, "schedule", *args, **options)

    # --- plans

    def plan(self, user, tiers, destinations=None, more=""):
        """Writes the user's only plan. destinations: name → keys."""
        home = HOMES[user]
        words = {"home": home, "user": user, "role": "postgres" if user == "root" else user}
        lines = ["home: %s/.openclaw" % home, "host: testhost", "destinations:"]
        if "passphrase:" not in more:
            lines.insert(0, "passphrase: {file: %s/.config/clawback/passphrase}" % home)
        for name, keys in (destinations or {"drive": {"path": self.drive(user)}}).items():
            lines.append("  %s: %s" % (name, json.dumps(dict({"reserve": "1MB"}, **keys))))
        lines += ["tiers:", tiers % words, "health: {full: off, critical_free: 1MB}", more]
        self.machine.write(home + "/.config/clawback/clawback.yaml", "\n".join(lines) + "\n", user=self.who(user))

    @staticmethod
    def drive(user):
        return "/mnt/drive-" + user

    def mount_drive(self, user, at=None):
        at = at or self.drive(user)
        self.machine.sh("mkdir -p %s; mountpoint -q %s || mount -t tmpfs -o size=100M,mode=755,uid=%s drive %s" %
                        (at, at, user, at))

    def clean(self, user):
        """As if nothing had ever been installed or run."""
        # With jobs of others in the file the daemon would stay.
        self.sh(user, "rm -f ~/.local/state/clawback/jobs.json")
        self.schedule(user, "remove", rc=None)
        self.sh(user, "rm -rf ~/.local/state/clawback ~/.cache/clawback")
        self.machine.sh("for m in %s /mnt/hooked /usr/local/drive; do ! mountpoint -q $m || umount $m; done\n"
                        "rm -rf %s /mnt/hooked /usr/local/drive /usr/local/second /etc/systemd/system/clawback*.d\n"
                        "systemctl daemon-reload" % (self.drive(user), self.drive(user)))

    # --- what runs leave

    def records(self, user, name):
        """What the run log of a tier or job has of runs that are over."""
        path = "%s/.local/state/clawback/runs/%s.jsonl" % (HOMES[user], name)
        text = self.machine.run(["cat", path], rc=None).out
        return [r for r in map(json.loads, text.splitlines()) if r["status"] != "started"]

    def wait_for_record(self, user, name, count=1, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.records(user, name)
            if len(found) >= count:
                return found[count - 1]
            time.sleep(0.3)
        raise AssertionError("no run %d of '%s' in %d s\n%s" % (count, name, seconds, self.said(user)))

    def said(self, user):
        log = "/var/log/clawback.log" if user == "root" else HOMES[user] + "/.local/state/clawback/clawback.log"
        return self.machine.run(["tail", "-n", "30", log], rc=None).out

    def commit(self, user, repository, text):
        """A new commit; its ID."""
        return self.sh(user, "cd ~/.openclaw/workspace/%s; echo %s >file; git commit -qam %s; git rev-parse HEAD" % (
            repository, shlex.quote(text), shlex.quote(text))).out.strip()

    def pushed(self, user, repository):
        return self.sh(user, "git -C ~/git/%s.git rev-parse main" % repository).out.strip()
