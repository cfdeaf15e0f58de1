#include "source/git_pack.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/mem.h"
#include "os/clock.h"

/*
 * Invariants: room[start, end) is ready to be handed out, and was fed to the verifier as far as it belongs to the pack.
 * carry holds what may be the end of the current part's output, which is its checksum: ours takes the place of theirs.
 */
enum { ROOM_BYTES = 256 << 10, PACK_HEADER_BYTES = 12, HASH_MAX_BYTES = 32, TEXT_MAX_BYTES = 1 << 30 };

struct git_pack {
    const struct git_capture *capture;
    struct git_part parts[GIT_PARTS];
    int part; /* that is being read; GIT_PARTS: all are through */
    size_t hash_bytes;
    EVP_MD_CTX *all, *of_part;
    struct buf head; /* the bundle's header */
    size_t head_at;
    struct process *verifier;
    int feed; /* its input, or -1 */
    uint64_t deadline_ns;
    unsigned char carry[HASH_MAX_BYTES];
    size_t carried;
    unsigned char *room;
    size_t start, end;
    bool verified;
};

/* ---- hashes */

static EVP_MD_CTX *new_hash(const struct git_pack *p)
{
    EVP_MD_CTX *h = EVP_MD_CTX_new();
    if (h != NULL && EVP_DigestInit_ex(h, p->hash_bytes == 20 ? EVP_sha1() : EVP_sha256(), NULL) == 1)
        return h;
    EVP_MD_CTX_free(h);
    return NULL;
}

static int restart_hash(EVP_MD_CTX **h, const struct git_pack *p, struct err *err)
{
    EVP_MD_CTX_free(*h);
    *h = new_hash(p);
    return *h != NULL ? 0 : err_set(err, ERR_FAILED, "the OpenSSL library cannot compute git's checksums");
}

/* ---- the pack, as handed out */

/* Its bytes go to the verifier as they go to the caller. */
static int pass(struct git_pack *p, const void *bytes, size_t len, struct err *err)
{
    struct err reason = {0};
    memcpy(p->room + p->end, bytes, len);
    p->end += len;
    if (git_feed(p->feed, bytes, len, p->deadline_ns, &reason) == 0)
        return 0;
    if (reason.code != ERR_IO) {
        if (err != NULL)
            *err = reason;
        return -1;
    }
    if (git_wait(p->verifier, "unpack-objects", err) == 0)
        err_set(err, ERR_FAILED, "git unpack-objects ended before it had read all");
    return err_wrap(err, "the bundle could not be verified");
}

static int pass_hashed(struct git_pack *p, const void *bytes, size_t len, struct err *err)
{
    EVP_DigestUpdate(p->all, bytes, len);
    return pass(p, bytes, len, err);
}

static uint32_t big_endian(const unsigned char b[4])
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Each packer begins with a header of its own, which must say what we know. */
static int begin_part(struct git_pack *p, struct err *err)
{
    unsigned char header[PACK_HEADER_BYTES];
    struct git_part *part = &p->parts[p->part];
    int64_t n = git_read(part->packer, "pack-objects", header, sizeof header, err);
    if (n < 0)
        return -1;
    if (n != sizeof header) {
        if (git_wait(part->packer, "pack-objects", err) == 0)
            err_set(err, ERR_FAILED, "git pack-objects wrote no pack");
        return -1;
    }
    if (memcmp(header, "PACK\0\0\0\2", 8) != 0 || big_endian(header + 8) != part->objects)
        return err_set(err, ERR_FAILED, "git pack-objects packed %u objects instead of %llu",
                       (unsigned)big_endian(header + 8), (unsigned long long)part->objects);
    if (restart_hash(&p->of_part, p, err) != 0)
        return -1;
    EVP_DigestUpdate(p->of_part, header, sizeof header);
    p->carried = 0;
    return 0;
}

static int end_part(struct git_pack *p, struct err *err)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    if (git_wait(p->parts[p->part].packer, "pack-objects", err) != 0)
        return -1;
    EVP_DigestFinal_ex(p->of_part, hash, NULL);
    if (p->carried != p->hash_bytes || memcmp(hash, p->carry, p->hash_bytes) != 0)
        return err_set(err, ERR_CORRUPT, "git pack-objects: its output does not have its checksum");
    process_free(p->parts[p->part].packer); /* its memory is wanted for the next */
    p->parts[p->part].packer = NULL;
    return 0;
}

static int next_part(struct git_pack *p, struct err *err)
{
    do {
        p->part++;
    } while (p->part < GIT_PARTS && p->parts[p->part].packer == NULL);
    return p->part < GIT_PARTS ? begin_part(p, err) : 0;
}

static int read_part(struct git_pack *p, struct err *err)
{
    unsigned char bytes[HASH_MAX_BYTES + (64 << 10)];
    memcpy(bytes, p->carry, p->carried);
    int64_t n =
        git_read(p->parts[p->part].packer, "pack-objects", bytes + p->carried, sizeof bytes - HASH_MAX_BYTES, err);
    if (n < 0)
        return -1;
    if (n == 0)
        return end_part(p, err) != 0 ? -1 : next_part(p, err);
    size_t have = p->carried + (size_t)n, keep = have < p->hash_bytes ? have : p->hash_bytes;
    memcpy(p->carry, bytes + have - keep, keep);
    p->carried = keep;
    EVP_DigestUpdate(p->of_part, bytes, have - keep);
    return pass_hashed(p, bytes, have - keep, err);
}

/* Our own checksum; then git must have found all of it good. */
static int finish(struct git_pack *p, struct err *err)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    EVP_DigestFinal_ex(p->all, hash, NULL);
    if (pass(p, hash, p->hash_bytes, err) != 0)
        return -1;
    close(p->feed);
    p->feed = -1;
    if (git_wait(p->verifier, "unpack-objects", err) != 0)
        return err_wrap(err, "the bundle could not be verified");
    p->verified = true;
    return 0;
}

/* ---- opening */

static int start_verifier(struct git_pack *p, struct err *err)
{
    static const char *const args[] = {"unpack-objects", "-n", "-q", NULL};
    struct git_call call = git_capture_call(p->capture);
    int ends[2];
    if (git_feed_pipe(ends, err) != 0)
        return -1;
    call.with_stdin = true;
    call.stdin_fd = ends[0];
    p->feed = ends[1];
    int rc = git_start(&p->verifier, &call, args, err);
    close(ends[0]);
    return rc;
}

static void write_head(struct git_pack *p, const struct git_state *s)
{
    buf_append_str(&p->head, p->hash_bytes == 20 ? "# v2 git bundle\n" : "# v3 git bundle\n@object-format=sha256\n");
    for (size_t i = 0; i < s->tips.count; i++)
        buf_printf(&p->head, "%s %s\n", s->tips.items[i].oid, s->tips.items[i].name);
    buf_append_byte(&p->head, '\n');
}

static int begin_pack(struct git_pack *p, struct err *err)
{
    uint64_t objects = 0;
    for (int i = 0; i < GIT_PARTS; i++)
        objects += p->parts[i].objects;
    if (objects > UINT32_MAX)
        return err_set(err, ERR_UNSUPPORTED, "%llu objects are more than a pack can hold", (unsigned long long)objects);
    unsigned char header[PACK_HEADER_BYTES] = {'P', 'A', 'C', 'K', 0, 0, 0, 2};
    for (int i = 0; i < 4; i++)
        header[8 + i] = (unsigned char)(objects >> (24 - 8 * i));
    p->part = -1;
    return pass_hashed(p, header, sizeof header, err) != 0 ? -1 : next_part(p, err);
}

int git_pack_open(struct git_pack **out, const struct git_capture *c, const struct git_state *s, struct err *err)
{
    struct git_pack *p = mem_zalloc(sizeof *p);
    p->capture = c;
    p->feed = -1;
    p->hash_bytes = s->hex_chars / 2;
    p->room = mem_alloc(ROOM_BYTES);
    p->deadline_ns = c->timeout_ms == 0 ? UINT64_MAX : os_monotonic_ns() + c->timeout_ms * UINT64_C(1000000);
    buf_init(&p->head, TEXT_MAX_BYTES);
    write_head(p, s);
    if (restart_hash(&p->all, p, err) == 0 && git_parts_start(p->parts, c, s, err) == 0 &&
        start_verifier(p, err) == 0 && begin_pack(p, err) == 0) {
        *out = p;
        return 0;
    }
    git_pack_free(p);
    return -1;
}

void git_pack_free(struct git_pack *p)
{
    if (p == NULL)
        return;
    for (int i = 0; i < GIT_PARTS; i++)
        process_free(p->parts[i].packer);
    if (p->feed >= 0)
        close(p->feed);
    process_free(p->verifier);
    EVP_MD_CTX_free(p->all);
    EVP_MD_CTX_free(p->of_part);
    buf_release(&p->head);
    free(p->room);
    free(p);
}

/* ---- reading */

static size_t hand_out(struct git_pack *p, unsigned char *out, size_t cap)
{
    const unsigned char *from = p->room + p->start;
    size_t left = p->end - p->start, n;
    bool head = p->head_at < p->head.len;
    if (head) {
        from = p->head.data + p->head_at;
        left = p->head.len - p->head_at;
    }
    n = left < cap ? left : cap;
    memcpy(out, from, n);
    if (head)
        p->head_at += n;
    else
        p->start += n;
    if (p->start == p->end)
        p->start = p->end = 0;
    return n;
}

int64_t git_pack_read(struct git_pack *p, void *out, size_t cap, struct err *err)
{
    size_t done = 0;
    while (done < cap) {
        size_t n = hand_out(p, (unsigned char *)out + done, cap - done);
        done += n;
        if (n > 0)
            continue;
        if (p->verified)
            break;
        if ((p->part < GIT_PARTS ? read_part(p, err) : finish(p, err)) != 0)
            return -1;
    }
    return (int64_t)done;
}
