/* Unpacked files: indexes, snapshots and locks, each one encrypted item named by the hash of its stored bytes. */
#include "repo/repo.h"

#include <stdlib.h>
#include "base/mem.h"
#include "repo/codec.h"

/* In version 2 the first plaintext byte says how the rest is coded: 2 is one zstd frame; '[' and '{' are JSON as it
 * stands. */
enum { UNPACKED_ZSTD = 2 };

static int encode(struct codec *c, const void *p, size_t len, struct buf *stored, struct err *err)
{
    buf_clear(stored);
    unsigned char *out = buf_reserve(stored, codec_bound(len) + 1 + CIPHER_OVERHEAD_BYTES);
    unsigned char *plain = out + CIPHER_IV_BYTES;
    size_t plain_len = len;
    if (c->version2) {
        plain[0] = UNPACKED_ZSTD;
        if (codec_compress(c, p, len, plain + 1, codec_bound(len), &plain_len, err) != 0)
            return -1;
        plain_len++;
    } else {
        memcpy(plain, p, len);
    }
    if (cipher_seal(c->cipher, plain, plain_len, out, err) != 0)
        return -1;
    stored->len = plain_len + CIPHER_OVERHEAD_BYTES;
    return 0;
}

int repo_save_unpacked(struct repo *r, struct codec *c, enum store_type type, const void *p, size_t len,
                       struct id *id_out, struct err *err)
{
    char hex[ID_HEX_BYTES];
    if (encode(c, p, len, &c->stored, err) != 0)
        return -1;
    sha256_once(c->sha, c->stored.data, c->stored.len, id_out);
    int rc = store_save(r->store, type, id_to_hex(id_out, hex), c->stored.data, c->stored.len, err);
    buf_shrink(&c->stored, 1 << 20);
    return rc;
}

static int decode(struct codec *c, struct buf *stored, struct buf *out, struct err *err)
{
    if (cipher_open(c->cipher, stored->data, stored->len, stored->data + CIPHER_IV_BYTES, err) != 0)
        return -1;
    const unsigned char *plain = stored->data + CIPHER_IV_BYTES;
    size_t len = stored->len - CIPHER_OVERHEAD_BYTES;
    if (len == 0)
        return err_set(err, ERR_CORRUPT, "it is empty");
    if (plain[0] == '[' || plain[0] == '{') {
        buf_append(out, plain, len);
        return out->overflow ? err_set(err, ERR_CORRUPT, "it is too large") : 0;
    }
    if (plain[0] != UNPACKED_ZSTD)
        return err_set(err, ERR_UNSUPPORTED, "it is coded in an unknown way (%u); a newer program may read it",
                       plain[0]);
    return codec_decompress(c, plain + 1, len - 1, 0, out, err);
}

int repo_load_unpacked(struct repo *r, struct codec *c, enum store_type type, const struct id *id, struct buf *out,
                       struct err *err)
{
    char hex[ID_HEX_BYTES];
    struct id actual;
    id_to_hex(id, hex);
    buf_clear(&c->stored);
    c->stored.max = REPO_UNPACKED_MAX_BYTES;
    int rc = store_read_all(r->store, type, hex, &c->stored, err);
    c->stored.max = SIZE_MAX / 2;
    if (rc != 0)
        return -1;
    sha256_once(c->sha, c->stored.data, c->stored.len, &actual);
    if (!id_equal(&actual, id))
        err_set(err, ERR_CORRUPT, "its bytes do not match its name: it is damaged");
    else if (decode(c, &c->stored, out, err) == 0)
        goto out;
    err_wrap(err, "cannot load %s/%.8s", store_type_name(type), hex);
    rc = -1;
out:
    buf_shrink(&c->stored, 1 << 20);
    return rc;
}
