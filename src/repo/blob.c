/* Sealing blobs, and reading blobs, trees and pack headers. */
#include "repo/repo.h"

#include <endian.h>
#include <stdlib.h>
#include "base/mem.h"
#include "repo/codec.h"

int repo_view_blob(struct codec *c, const struct blob_place *place, unsigned char *stored, struct buf *scratch,
                   struct blob_view *out, struct err *err)
{
    struct id actual;
    buf_clear(scratch);
    if (place->length < CIPHER_OVERHEAD_BYTES)
        return err_set(err, ERR_CORRUPT, "the recorded length %u is too short", place->length);
    if (cipher_open(c->cipher, stored, place->length, stored + CIPHER_IV_BYTES, err) != 0)
        return -1;
    *out = (struct blob_view){.data = stored + CIPHER_IV_BYTES, .len = place->length - CIPHER_OVERHEAD_BYTES};
    if (place->raw_length > 0) {
        if (codec_decompress(c, out->data, out->len, place->raw_length, scratch, err) != 0)
            return -1;
        if (scratch->overflow)
            return err_set(err, ERR_CORRUPT, "it is larger than what is allowed here");
        *out = (struct blob_view){.data = scratch->data, .len = scratch->len};
    }
    sha256_once(c->sha, out->data, out->len, &actual);
    if (!id_equal(&actual, &place->id))
        return err_set(err, ERR_CORRUPT, "its content does not match its ID");
    return 0;
}

int repo_open_blob(struct codec *c, const struct blob_place *place, unsigned char *stored, struct buf *out,
                   struct err *err)
{
    struct blob_view view = {0};
    if (repo_view_blob(c, place, stored, out, &view, err) != 0)
        return -1;
    if (place->raw_length == 0)
        buf_append(out, view.data, view.len);
    return out->overflow ? err_set(err, ERR_CORRUPT, "it is larger than what is allowed here") : 0;
}

int repo_load_blob_at(struct repo *r, struct codec *c, const struct blob_place *place, struct buf *out, struct err *err)
{
    char blob_hex[ID_HEX_BYTES], pack_hex[ID_HEX_BYTES];
    id_to_hex(&place->id, blob_hex);
    id_to_hex(&place->pack_id, pack_hex);
    buf_clear(&c->stored);
    unsigned char *stored = buf_reserve(&c->stored, place->length);
    if (store_read(r->store, STORE_PACK, pack_hex, place->offset, stored, place->length, err) != 0 ||
        repo_open_blob(c, place, stored, out, err) != 0)
        return err_wrap(err, "cannot load %s blob %.8s from pack %.8s", blob_type_name(place->type), blob_hex,
                        pack_hex);
    buf_shrink(&c->stored, 16 << 20);
    return 0;
}

static void place_of(const struct index_entry *e, const struct id *pack_id, struct blob_place *out)
{
    *out = (struct blob_place){
        .id = e->id,
        .pack_id = *pack_id,
        .type = index_entry_type(e),
        .offset = e->offset,
        .length = e->length,
        .raw_length = e->raw_length,
    };
}

/* The first copy could not be read: try the others that the index knows. `first` holds why; it is what gets reported
 * when none is good. */
static int load_other_copy(struct repo *r, struct codec *c, const struct index_entry *failed, struct buf *out)
{
    size_t position = index_position(r->index, index_entry_type(failed), &failed->id);
    for (; position < index_loaded_count(r->index); position++) {
        const struct index_entry *e = index_loaded(r->index, position);
        struct blob_place place;
        if (!id_equal(&e->id, &failed->id) || index_entry_type(e) != index_entry_type(failed))
            break;
        place_of(e, index_pack_id(r->index, index_entry_pack(e)), &place);
        if (repo_load_blob_at(r, c, &place, out, NULL) == 0)
            return 0;
    }
    return -1;
}

int repo_load_blob(struct repo *r, struct codec *c, enum blob_type type, const struct id *id, struct buf *out,
                   struct err *err)
{
    struct index_entry e;
    struct id pack_id;
    struct blob_place place;
    char hex[ID_HEX_BYTES];
    if (!index_find(r->index, type, id, &e, &pack_id))
        return err_set(err, ERR_NOT_FOUND, "%s blob %.8s is in no index: the repository is damaged",
                       blob_type_name(type), id_to_hex(id, hex));
    place_of(&e, &pack_id, &place);
    if (repo_load_blob_at(r, c, &place, out, err) == 0 || load_other_copy(r, c, &e, out) == 0)
        return 0;
    return -1;
}

/* Encrypts content into c->stored, where it may lie already, behind the place of the IV. */
static int seal(struct codec *c, const void *content, size_t len, size_t raw_length, struct pack_blob *blob,
                const unsigned char **sealed_out, struct err *err)
{
    if (len > UINT32_MAX - CIPHER_OVERHEAD_BYTES || raw_length > UINT32_MAX)
        return err_set(err, ERR_UNSUPPORTED, "a blob of %zu bytes is more than the format can hold", len);
    blob->length = (uint32_t)(len + CIPHER_OVERHEAD_BYTES);
    blob->raw_length = (uint32_t)raw_length;
    *sealed_out = c->stored.data;
    return cipher_seal(c->cipher, content, len, c->stored.data, err);
}

int repo_seal_content(struct codec *c, const void *content, size_t len, uint32_t raw_length, struct pack_blob *blob,
                      const unsigned char **sealed_out, struct err *err)
{
    buf_clear(&c->stored);
    buf_reserve(&c->stored, len + CIPHER_OVERHEAD_BYTES);
    return seal(c, content, len, raw_length, blob, sealed_out, err);
}

int repo_seal_blob(struct codec *c, const void *plain, size_t len, bool always, struct pack_blob *blob,
                   const unsigned char **sealed_out, struct err *err)
{
    bool compress = len > 0 && (c->compress_data || (c->version2 && blob->type == BLOB_TREE));
    size_t compressed;
    if (!compress)
        return repo_seal_content(c, plain, len, 0, blob, sealed_out, err);
    buf_clear(&c->stored);
    unsigned char *frame = buf_reserve(&c->stored, codec_bound(len) + CIPHER_OVERHEAD_BYTES) + CIPHER_IV_BYTES;
    if (codec_compress(c, plain, len, frame, codec_bound(len), &compressed, err) != 0)
        return -1;
    return always || compressed < len ? seal(c, frame, compressed, len, blob, sealed_out, err)
                                      : seal(c, plain, len, 0, blob, sealed_out, err);
}

int repo_load_tree(struct repo *r, struct codec *c, const struct id *id, struct buf *json, struct tree *out,
                   struct err *err)
{
    char hex[ID_HEX_BYTES];
    if (repo_load_blob(r, c, BLOB_TREE, id, json, err) != 0)
        return -1;
    if (tree_decode((const char *)json->data, json->len, out, err) != 0)
        return err_wrap(err, "cannot read tree %.8s", id_to_hex(id, hex));
    return 0;
}

int repo_consume_tree(struct repo *r, struct codec *c, const struct id *id, struct buf *json, struct tree *out,
                      struct err *err)
{
    char hex[ID_HEX_BYTES];
    if (repo_load_blob(r, c, BLOB_TREE, id, json, err) != 0)
        return -1;
    if (tree_decode_consume(json, out, err) != 0)
        return err_wrap(err, "cannot read tree %.8s", id_to_hex(id, hex));
    return 0;
}

/* The header's place in a pack of that many bytes, from the length field at its end. */
static int header_extent(struct repo *r, const char *pack_hex, uint64_t pack_bytes, uint32_t *length_out,
                         struct err *err)
{
    uint32_t field;
    if (pack_bytes < PACK_MIN_BYTES)
        return err_set(err, ERR_CORRUPT, "it is only %llu bytes long", (unsigned long long)pack_bytes);
    if (store_read(r->store, STORE_PACK, pack_hex, pack_bytes - sizeof field, &field, sizeof field, err) != 0)
        return -1;
    uint32_t length = le32toh(field);
    if (length < CIPHER_OVERHEAD_BYTES + PACK_ENTRY_BYTES || length > pack_bytes - sizeof field ||
        length > PACK_HEADER_MAX_BYTES)
        return err_set(err, ERR_CORRUPT, "its header's length %u is impossible", length);
    *length_out = length;
    return 0;
}

int repo_load_pack_header(struct repo *r, struct codec *c, const struct id *pack_id, uint64_t pack_bytes,
                          struct pack_blob **blobs, size_t *count, struct err *err)
{
    char hex[ID_HEX_BYTES];
    uint32_t length = 0;
    id_to_hex(pack_id, hex);
    if (header_extent(r, hex, pack_bytes, &length, err) != 0)
        goto fail;
    uint64_t data_bytes = pack_bytes - sizeof(uint32_t) - length;
    buf_clear(&c->stored);
    unsigned char *sealed = buf_reserve(&c->stored, length);
    if (store_read(r->store, STORE_PACK, hex, data_bytes, sealed, length, err) != 0 ||
        cipher_open(c->cipher, sealed, length, sealed + CIPHER_IV_BYTES, err) != 0 ||
        pack_header_decode(sealed + CIPHER_IV_BYTES, length - CIPHER_OVERHEAD_BYTES, data_bytes, blobs, count, err) !=
            0)
        goto fail;
    return 0;
fail:
    return err_wrap(err, "cannot read the header of pack %.8s", hex);
}
