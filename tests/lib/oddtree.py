"""Makes a directory tree of everything odd that a file system can hold. The same seed makes the same tree.

What the stock restic of Debian 12 (0.14) writes or restores otherwise than the format says today is only in it when `wild`:
control characters \\b and \\f, link targets that are not UTF-8, runes younger than its Unicode tables, extended attributes of
symlinks, hard links of symlinks.
"""
import os
import random
import shutil
import socket
import subprocess

KIB, MIB = 1 << 10, 1 << 20
ROOT = os.geteuid() == 0

NAMES = [b" ", b"  two  spaces  ", b"'", b'"', b"`$(touch oops)`", b"back\\slash", b"back\\x41", b"tab\there", b"line\nbreak",
         b"carriage\rreturn", b"bell\a", b"vertical\v", b"escape\x1b[31m", b"\x01\x02\x1f", b"delete\x7f", b"<&>", b"%s%n",
         b"--option", b"-", b"~", b"#hash", b"!bang", b"*", b"?", b"[a]", b"{a,b}", b"trailing.", b".hidden", b"...",
         "grüße".encode(), "e\u0301 combining".encode(), "\u00e9 composed".encode(), "日本語".encode(), "🦞".encode(),
         "👩\u200d👩\u200d👧".encode(), "\u202eright to left".encode(), "\u2028separator\u2029".encode(),
         "no\u00a0break".encode(), "soft\u00adhyphen".encode(), "\ufeffbom".encode(), "\ufffd replacement".encode(),
         "private \ue000".encode(), "beyond \U0010fffd".encode(), b"latin1 \xe9\xff", b"\x80", b"\xc3", b"\xed\xa0\x80",
         b"\xf4\x90\x80\x80", b"\xc0\xaf", b"half \xe2\x82", b"\\xff", b"\\u00e9", b"\xff" * 255, b"n" * 255,
         "ü".encode() * 127, b"CON", b"a:b", b"nul.txt"]
WILD_NAMES = [b"back\bspace", b"form\ffeed", "unicode 14 \U0001fae0".encode(), "unicode 15 \U0001fae8".encode()]

# In the order of bytes, which is not that of a locale, nor that of paths.
SORTING = [b"A", b"B", b"a", b"a-", b"a.b", b"a0", b"a_", b"aa", b"b", b"Z", b"\xc3\xa4", b"~"]

SIZES = [0, 1, 2, 511, 4096, 4097, 65536, 512 * KIB - 1, 512 * KIB, 512 * KIB + 1, MIB - 1, MIB, MIB + 1, 3 * MIB + 7,
         8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 20 * MIB]

TIMES_NS = [0, 1, 999_999_999, -1, -1_000_000_000, -86_400_000_000_000 * 365 * 10 + 123_456_789, 951_782_400_000_000_000,
            1_700_000_000_000_000_000, 1_700_000_000_120_000_000, 1_700_000_000_123_456_789, 2**31 * 10**9 - 1, 2**31 * 10**9,
            4_102_444_800_000_000_001, 7_258_118_400_500_000_000, 1_711_846_800_000_000_000, 1_729_990_800_000_000_000]


class _Maker:
    def __init__(self, root, seed, wild, big):
        self.root = os.fsencode(root)
        self.random = random.Random(seed)
        self.wild, self.big = wild, big
        self.seconds = 1_650_000_000

    def path(self, *names):
        return os.path.join(self.root, *names)

    def dir(self, *names):
        path = self.path(*names)
        os.makedirs(path, exist_ok=True)
        return path

    def file(self, *names, content=None):
        path = self.path(*names)
        with open(path, "wb") as f:
            f.write(self.random.randbytes(self.random.randrange(1, 200)) if content is None else content)
        return path

    # --- the rooms of the house ---

    def names(self):
        names = NAMES + (WILD_NAMES if self.wild else [])
        self.dir(b"names", b"dirs")
        for i, name in enumerate(names):
            self.file(b"names", name)
            self.dir(b"names", b"dirs", name)
            if i % 3 == 0:
                self.file(b"names", b"dirs", name, b"in " + name[:250])
            if i % 5 == 0:
                os.symlink(name[:200].decode("utf-8", "ignore").encode() or b"x", self.path(b"names", b"dirs", b"link %d" % i))

    def sorting(self):
        for name in SORTING:
            self.dir(b"sorting", name)
            self.file(b"sorting", name, b"x")
            self.file(b"sorting", name + b".file")
        for i in range(300):
            self.file(b"sorting", b"many %d" % i, content=b"%d" % i)

    def sizes(self):
        self.dir(b"sizes")
        for size in SIZES:
            if size > 8 * MIB and not self.big:
                continue
            half = self.random.randbytes(size // 2)
            self.file(b"sizes", b"random %d" % size, content=half + half + b"!" * (size % 2))
        self.file(b"sizes", b"zeros", content=bytes(3 * MIB))
        self.file(b"sizes", b"text", content=b"a line that comes again and again\n" * 50000)
        self.file(b"sizes", b"copy", content=b"a line that comes again and again\n" * 50000)

    def sparse(self):
        self.dir(b"sparse")
        for name, size, pieces in ((b"hole", 5 * MIB, ()), (b"end", 5 * MIB, (5 * MIB - 1,)), (b"start", 4 * MIB, (0,)),
                                   (b"middle", 9 * MIB + 5, (3 * MIB + 17, 6 * MIB))):
            with open(self.path(b"sparse", name), "wb") as f:
                f.truncate(size)
                for offset in pieces:
                    os.pwrite(f.fileno(), b"data", offset)

    def links(self):
        self.dir(b"links", b"near")
        self.dir(b"links", b"zfar")
        first = self.file(b"links", b"one")
        os.link(first, self.path(b"links", b"two"))
        os.link(first, self.path(b"links", b"zfar", b"three"))
        pair = self.file(b"links", b"zfar", b"a pair", content=self.random.randbytes(2 * MIB))
        os.link(pair, self.path(b"links", b"near", b"a pair"))
        os.link(self.file(b"links", b"empty", content=b""), self.path(b"links", b"empty too"))
        targets = {b"to file": b"one", b"to dir": b"near", b"to parent": b"..", b"to itself": b"to itself",
                   b"dangling": b"nothing/there", b"absolute": b"/nowhere/at/all", b"long": b"x/" * 1000 + b"y",
                   b"odd": "grüße <&> \" \\ ' \n 🦞".encode(), b"dot": b".", b"spaces": b"  "}
        if self.wild:
            targets[b"not UTF-8"] = b"latin1 \xe9 \xff/\x80"
        for name, target in targets.items():
            os.symlink(target, self.path(b"links", name))
        if self.wild:
            os.link(self.path(b"links", b"to file"), self.path(b"links", b"linked link"), follow_symlinks=False)

    def special(self):
        self.dir(b"special")
        os.mkfifo(self.path(b"special", b"fifo"), 0o640)
        s = socket.socket(socket.AF_UNIX)
        here = os.open(".", os.O_RDONLY)
        try:
            os.chdir(self.path(b"special"))
            s.bind(b"socket")
        finally:
            os.fchdir(here)
            os.close(here)
            s.close()
        if not ROOT:
            return
        try:
            os.mknod(self.path(b"special", b"char 1:3"), 0o20666, os.makedev(1, 3))
            os.mknod(self.path(b"special", b"char big"), 0o20600, os.makedev(300, 70000))
            os.mknod(self.path(b"special", b"block 7:0"), 0o60660, os.makedev(7, 0))
        except PermissionError:
            pass

    def modes(self):
        self.dir(b"modes")
        allowed = range(0, 0o10000, 0o1000)
        for mode in [0, 0o1, 0o400, 0o200, 0o644, 0o777] + [0o755 | high for high in allowed]:
            if not ROOT and mode & 0o400 == 0:
                continue
            os.chmod(self.file(b"modes", b"file %05o" % mode), mode)
        for mode in [0, 0o100, 0o700, 0o555, 0o1777, 0o2775, 0o4755, 0o7777]:
            if not ROOT and mode & 0o500 != 0o500:
                continue
            path = self.dir(b"modes", b"dir %05o" % mode)
            self.file(b"modes", b"dir %05o" % mode, b"inside")
            os.chmod(path, mode)

    def owners(self):
        self.dir(b"owners")
        if not ROOT:
            return
        for uid, gid in ((1, 1), (65534, 65534), (12345, 54321), (0, 99999), (4_000_000_000, 4_000_000_001)):
            os.chown(self.file(b"owners", b"%d %d" % (uid, gid)), uid, gid)
            os.chown(self.dir(b"owners", b"dir %d" % uid), uid, gid)
            link = self.path(b"owners", b"link %d" % uid)
            os.symlink(b"x", link)
            os.lchown(link, uid, gid)

    def xattrs(self):
        where = self.dir(b"xattrs")
        path = self.file(b"xattrs", b"file")
        try:
            os.setxattr(path, b"user.plain", b"value")
        except OSError:
            return
        os.setxattr(path, b"user.empty", b"")
        os.setxattr(path, b"user.binary", bytes(range(256)))
        os.setxattr(path, "user.grüße <&>".encode(), b"x")
        many = self.file(b"xattrs", b"many")
        for i in range(40):
            os.setxattr(many, b"user.number.%d" % i, b"%d" % i * (i % 7))
        os.setxattr(self.file(b"xattrs", b"long"), b"user.long", self.random.randbytes(3000))
        os.setxattr(self.dir(b"xattrs", b"dir"), b"user.dir", b"on a directory")
        read_only = self.file(b"xattrs", b"read only")
        os.setxattr(read_only, b"user.x", b"y")
        os.chmod(read_only, 0o444)
        if ROOT:
            os.setxattr(path, b"trusted.secret", b"for root")
        if ROOT and self.wild:
            os.symlink(b"file", self.path(b"xattrs", b"link"))
            os.setxattr(self.path(b"xattrs", b"link"), b"trusted.link", b"on a link", follow_symlinks=False)
        if shutil.which("setfacl"):
            acl = self.file(b"xattrs", b"acl")
            subprocess.run(["setfacl", "-m", "u:12345:rw,g:0:r", acl], check=False, stderr=subprocess.DEVNULL)
            subprocess.run(["setfacl", "-m", "u:12345:rwx,d:u:1:rx,d:g::r", self.dir(b"xattrs", b"acl dir")], check=False,
                           stderr=subprocess.DEVNULL)
        return where

    def deep(self):
        names = [b"deep"] + [b"level %d" % i for i in range(60)]
        for depth in range(1, len(names) + 1):
            self.dir(*names[:depth])
            if depth % 7 == 0:
                self.file(*names[:depth], b"file")
        for i in range(8):
            self.dir(b"deep", b"empty %d" % i, b"empty", b"empty")

    def times(self):
        self.dir(b"times")
        for i, ns in enumerate(TIMES_NS):
            for path in (self.file(b"times", b"file %d" % i), self.dir(b"times", b"dir %d" % i)):
                os.utime(path, ns=(ns, ns))

    def settle(self):
        """Times for all that has none of its own yet, so that the tree is the same each time; directories last."""
        own = self.path(b"times") + b"/"
        for directory, _, files in os.walk(self.root, topdown=False):
            for name in sorted(files) + [b""]:
                path = os.path.join(directory, name) if name else directory
                if path.startswith(own):
                    continue
                self.seconds += 1
                ns = self.seconds * 10**9 + (self.seconds * 7919) % 10**9
                try:
                    os.utime(path, ns=(ns, ns), follow_symlinks=False)
                except OSError:
                    pass

    def make(self):
        os.makedirs(self.root, exist_ok=True)
        for room in (self.names, self.sorting, self.sizes, self.sparse, self.links, self.special, self.xattrs, self.deep,
                     self.times, self.owners, self.modes):
            room()
        self.dir(b"empty")
        self.settle()


def make(root, seed=1, wild=False, big=True):
    """big: with files above 8 MiB too."""
    _Maker(root, seed, wild, big).make()
    return root
