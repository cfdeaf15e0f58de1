"""Compares two directory trees in everything that a backup must bring back."""
import hashlib
import os
import stat

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo",
         stat.S_IFSOCK: "socket", stat.S_IFCHR: "character device", stat.S_IFBLK: "block device"}


def _content(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for piece in iter(lambda: f.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def _xattrs(path):
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names}


def entry(path):
    """What there is to know about one entry, by name."""
    st = os.lstat(path)
    kind = stat.S_IFMT(st.st_mode)
    known = {"type": KINDS[kind], "mode": oct(stat.S_IMODE(st.st_mode)), "uid": st.st_uid, "gid": st.st_gid,
             "mtime": st.st_mtime_ns, "xattrs": _xattrs(path)}
    if kind == stat.S_IFREG:
        known["size"] = st.st_size
        known["content"] = _content(path)
    if kind == stat.S_IFLNK:
        known["target"] = os.readlink(path)
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        known["device"] = st.st_rdev
    return known, (st.st_dev, st.st_ino) if kind != stat.S_IFDIR and st.st_nlink > 1 else None


def read_tree(root):
    """{relative path: {property: value}}, all in bytes. The property "links" is the set of names of one inode."""
    root = os.fsencode(root)
    tree, inodes, queue = {}, {}, [b""]
    while queue:
        below = queue.pop()
        path = os.path.join(root, below) if below else root
        tree[below], inode = entry(path)
        if inode is not None:
            inodes.setdefault(inode, []).append(below)
        if tree[below]["type"] == "directory":
            queue.extend(os.path.join(below, name) for name in os.listdir(path))
    for names in inodes.values():
        for name in names:
            tree[name]["links"] = sorted(names)
    return tree


def differences(found, expected, ignore=(), without=lambda path, properties: False):
    """Lines that say what is other in `found` (a tree or a directory) than in `expected`. ignore: names of properties; without:
    which entries of `expected` do not count."""
    if not isinstance(found, dict):
        found = read_tree(found)
    if not isinstance(expected, dict):
        expected = read_tree(expected)
    lines = []
    for path in sorted(set(found) | set(expected)):
        name = repr(path)
        if path not in expected:
            lines.append("%s should not be there" % name)
        elif without(path, expected[path]):
            if path in found:
                lines.append("%s should not be there" % name)
        elif path not in found:
            lines.append("%s is missing (a %s)" % (name, expected[path]["type"]))
        else:
            a, b = found[path], expected[path]
            for what in sorted(set(a) | set(b)):
                if what not in ignore and a.get(what) != b.get(what):
                    lines.append("%s: %s is %r, not %r" % (name, what, a.get(what), b.get(what)))
    return lines


def is_socket(_, properties):
    return properties["type"] == "socket"
