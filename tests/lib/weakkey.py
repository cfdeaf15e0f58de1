"""The crypto of the repository format once more, from its description alone and slow: enough to read and to forge small files in a
repository.

Tests open repositories hundreds of times. `make_cheap` replaces a repository's key file by one whose passphrase costs next to
nothing to check, and `read_config` and `write_config` see and forge what the programs would never write themselves.
"""
import base64
import hashlib
import json
import os

_BOX = []


def _build_box():
    p = q = 1
    box = [0] * 256
    while True:
        p ^= (p << 1) ^ (0x11b if p & 0x80 else 0)
        p &= 0xff
        for shift in (1, 2, 4):
            q ^= q << shift
        q &= 0xff
        if q & 0x80:
            q ^= 0x09
        x = q
        for shift in (1, 2, 3, 4):
            x ^= ((q << shift) | (q >> (8 - shift))) & 0xff
        box[p] = x ^ 0x63
        if p == 1:
            break
    box[0] = 0x63
    return box


def _expand(key):
    words = [list(key[i:i + 4]) for i in range(0, len(key), 4)]
    count, rcon = len(words), 1
    for i in range(count, 4 * (count + 7)):
        word = list(words[-1])
        if i % count == 0:
            word = [_BOX[b] for b in word[1:] + word[:1]]
            word[0] ^= rcon
            rcon = (rcon << 1) ^ (0x11b if rcon & 0x80 else 0)
        elif count > 6 and i % count == 4:
            word = [_BOX[b] for b in word]
        words.append([a ^ b for a, b in zip(words[i - count], word)])
    return [sum(words[i:i + 4], []) for i in range(0, len(words), 4)]


def _double(b):
    return ((b << 1) ^ (0x1b if b & 0x80 else 0)) & 0xff


def _encrypt_block(keys, block):
    state = [a ^ b for a, b in zip(block, keys[0])]
    for number, key in enumerate(keys[1:], 1):
        state = [_BOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if number < len(keys) - 1:
            mixed = []
            for column in range(0, 16, 4):
                a = state[column:column + 4]
                every = a[0] ^ a[1] ^ a[2] ^ a[3]
                mixed += [a[i] ^ every ^ _double(a[i] ^ a[(i + 1) % 4]) for i in range(4)]
            state = mixed
        state = [a ^ b for a, b in zip(state, key)]
    return bytes(state)


def _ctr(key, iv, data):
    keys, counter, out = _expand(key), int.from_bytes(iv, "big"), bytearray()
    for offset in range(0, len(data), 16):
        stream = _encrypt_block(keys, ((counter + offset // 16) % (1 << 128)).to_bytes(16, "big"))
        out += bytes(a ^ b for a, b in zip(data[offset:offset + 16], stream))
    return bytes(out)


def _mac(key, iv, text):
    prime = (1 << 130) - 5
    r = int.from_bytes(key["r"], "little") & 0x0ffffffc0ffffffc0ffffffc0fffffff
    s = int.from_bytes(_encrypt_block(_expand(key["k"]), iv), "little")
    total = 0
    for offset in range(0, len(text), 16):
        total = (total + int.from_bytes(text[offset:offset + 16] + b"\1", "little")) * r % prime
    return ((total + s) % (1 << 128)).to_bytes(16, "little")


def encrypt(key, plain):
    iv = os.urandom(16)
    text = _ctr(key["encrypt"], iv, plain)
    return iv + text + _mac(key, iv, text)


def decrypt(key, sealed):
    iv, text, tag = sealed[:16], sealed[16:-16], sealed[-16:]
    if _mac(key, iv, text) != tag:
        raise ValueError("the tag does not fit")
    return _ctr(key["encrypt"], iv, text)


def _derive(passphrase, salt, n, r, p):
    raw = hashlib.scrypt(passphrase.encode(), salt=salt, n=n, r=r, p=p, dklen=64, maxmem=256 << 20)
    return {"encrypt": raw[:32], "k": raw[32:48], "r": raw[48:]}


def master_key(repo, passphrase):
    """(master key, name of the key file that the passphrase opens)"""
    for name in sorted(os.listdir(os.path.join(repo, "keys"))):
        with open(os.path.join(repo, "keys", name), "rb") as f:
            stored = json.load(f)
        key = _derive(passphrase, base64.b64decode(stored["salt"]), stored["N"], stored["r"], stored["p"])
        try:
            opened = json.loads(decrypt(key, base64.b64decode(stored["data"])))
        except ValueError:
            continue
        return {"encrypt": base64.b64decode(opened["encrypt"]), "k": base64.b64decode(opened["mac"]["k"]),
                "r": base64.b64decode(opened["mac"]["r"])}, name
    raise ValueError("no key opens with this passphrase")


def write_file(repo, kind, content):
    """Stores it under its hash, as every file of a repository but config is."""
    name = hashlib.sha256(content).hexdigest()
    path = os.path.join(repo, kind, name)
    with open(path, "wb") as f:
        f.write(content)
    os.chmod(path, 0o400)
    return name


def make_cheap(repo, passphrase):
    master, old = master_key(repo, passphrase)

    def text(b):
        return base64.b64encode(b).decode()
    salt = os.urandom(64)
    opened = json.dumps({"mac": {"k": text(master["k"]), "r": text(master["r"])}, "encrypt": text(master["encrypt"])})
    data = encrypt(_derive(passphrase, salt, 16, 1, 1), opened.encode())
    stored = {"created": "2026-01-01T00:00:00Z", "username": "test", "hostname": "test", "kdf": "scrypt", "N": 16, "r": 1, "p": 1,
              "salt": text(salt), "data": text(data)}
    os.unlink(os.path.join(repo, "keys", old))
    write_file(repo, "keys", json.dumps(stored).encode())
    return repo


def read_config(repo, passphrase):
    with open(os.path.join(repo, "config"), "rb") as f:
        return json.loads(decrypt(master_key(repo, passphrase)[0], f.read()))


def write_config(repo, passphrase, config):
    path = os.path.join(repo, "config")
    os.chmod(path, 0o600)
    with open(path, "wb") as f:
        f.write(encrypt(master_key(repo, passphrase)[0], json.dumps(config).encode()))


_BOX = _build_box()
