#include "repo/index_cache.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"

static const char MAGIC[8] = "cbindex1";
enum { HEAD_COUNTS_BYTES = 24, PREFIX_BYTES = 16 };

/* Reads and opens one sealed part into memory of its own; the plaintext starts CIPHER_IV_BYTES into it. */
static unsigned char *read_sealed(int fd, struct cipher *cipher, uint64_t sealed_len)
{
    unsigned char *p = mem_alloc(sealed_len);
    if (os_read_full(fd, p, sealed_len) == (ssize_t)sealed_len &&
        cipher_open(cipher, p, sealed_len, p + CIPHER_IV_BYTES, NULL) == 0)
        return p;
    free(p);
    return NULL;
}

struct head {
    uint64_t files, packs, entries;
};

/* Do the counts agree with the lengths of both parts? (They are authenticated; this guards against our own mistakes.)
 */
static bool parse_head(const unsigned char *plain, uint64_t len, uint64_t entries_sealed_len, struct head *h)
{
    uint64_t counts[3];
    if (len < HEAD_COUNTS_BYTES)
        return false;
    memcpy(counts, plain, sizeof counts);
    *h = (struct head){le64toh(counts[0]), le64toh(counts[1]), le64toh(counts[2])};
    return h->files < UINT32_MAX && h->packs < UINT32_MAX && h->entries < UINT32_MAX &&
           len == HEAD_COUNTS_BYTES + (h->files + h->packs) * ID_BYTES &&
           entries_sealed_len == h->entries * sizeof(struct index_entry) + CIPHER_OVERHEAD_BYTES;
}

static struct index *read_parts(int fd, struct cipher *cipher, uint64_t file_bytes, struct id **ids, size_t *count)
{
    unsigned char prefix[PREFIX_BYTES];
    uint64_t head_len;
    if (os_read_full(fd, prefix, sizeof prefix) != sizeof prefix || memcmp(prefix, MAGIC, sizeof MAGIC) != 0)
        return NULL;
    memcpy(&head_len, prefix + sizeof MAGIC, sizeof head_len);
    head_len = le64toh(head_len);
    if (head_len < CIPHER_OVERHEAD_BYTES || head_len > file_bytes - PREFIX_BYTES)
        return NULL;
    uint64_t entries_len = file_bytes - PREFIX_BYTES - head_len;
    struct index *ix = NULL;
    struct head h;
    unsigned char *head = read_sealed(fd, cipher, head_len);
    if (head != NULL && parse_head(head + CIPHER_IV_BYTES, head_len - CIPHER_OVERHEAD_BYTES, entries_len, &h)) {
        unsigned char *entries = read_sealed(fd, cipher, entries_len);
        if (entries != NULL) {
            const unsigned char *id_bytes = head + CIPHER_IV_BYTES + HEAD_COUNTS_BYTES;
            *ids = mem_copy(id_bytes, h.files * ID_BYTES);
            *count = h.files;
            ix = index_adopt(entries, CIPHER_IV_BYTES, h.entries, (const struct id *)(id_bytes + h.files * ID_BYTES),
                             (uint32_t)h.packs);
        }
    }
    free(head);
    return ix;
}

struct index *index_cache_read(struct repo *r, struct id **ids, size_t *count)
{
    struct index *ix = NULL;
    struct stat st;
    char *path = os_path_join(r->cache_dir, "index");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct cipher *cipher = fd >= 0 ? cipher_new(&r->key, NULL) : NULL;
    if (cipher != NULL && fstat(fd, &st) == 0 && st.st_size > PREFIX_BYTES + 2 * CIPHER_OVERHEAD_BYTES)
        ix = read_parts(fd, cipher, (uint64_t)st.st_size, ids, count);
    cipher_free(cipher);
    if (fd >= 0)
        close(fd);
    free(path);
    return ix;
}

/* Seals `len` bytes that start CIPHER_IV_BYTES into p, in place, and writes them. */
static bool write_sealed(int fd, struct cipher *cipher, unsigned char *p, size_t len)
{
    return cipher_seal(cipher, p + CIPHER_IV_BYTES, len, p, NULL) == 0 &&
           os_write_full(fd, p, len + CIPHER_OVERHEAD_BYTES) == 0;
}

static bool write_head(int fd, struct cipher *cipher, const struct index *ix, const struct id *ids, size_t count)
{
    size_t packs = index_pack_count(ix), len = HEAD_COUNTS_BYTES + (count + packs) * ID_BYTES;
    uint64_t counts[3] = {htole64(count), htole64(packs), htole64(index_loaded_count(ix))};
    uint64_t sealed_len = htole64(len + CIPHER_OVERHEAD_BYTES);
    unsigned char *p = mem_alloc(len + CIPHER_OVERHEAD_BYTES), *plain = p + CIPHER_IV_BYTES;
    memcpy(plain, counts, sizeof counts);
    if (count > 0)
        memcpy(plain + HEAD_COUNTS_BYTES, ids, count * ID_BYTES);
    for (size_t i = 0; i < packs; i++)
        memcpy(plain + HEAD_COUNTS_BYTES + (count + i) * ID_BYTES, index_pack_id(ix, (uint32_t)i), ID_BYTES);
    bool ok = os_write_full(fd, MAGIC, sizeof MAGIC) == 0 && os_write_full(fd, &sealed_len, sizeof sealed_len) == 0 &&
              write_sealed(fd, cipher, p, len);
    free(p);
    return ok;
}

/* One copy of the entries exists meanwhile: the cache is written when few know of it, at the end of opening. */
static bool write_entries(int fd, struct cipher *cipher, const struct index *ix)
{
    size_t len = index_loaded_count(ix) * sizeof(struct index_entry);
    unsigned char *p = mem_alloc(len + CIPHER_OVERHEAD_BYTES);
    if (len > 0)
        memcpy(p + CIPHER_IV_BYTES, index_loaded(ix, 0), len);
    bool ok = write_sealed(fd, cipher, p, len);
    free(p);
    return ok;
}

void index_cache_write(struct repo *r, const struct id *ids, size_t count)
{
    char *path = os_path_join(r->cache_dir, "index"), *temporary = mem_printf("%s.tmp-%ld", path, (long)getpid());
    struct cipher *cipher = cipher_new(&r->key, NULL);
    int fd = cipher != NULL ? open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (fd >= 0) {
        /* Not synced: a cache that a power cut tore does not authenticate. */
        bool ok = write_head(fd, cipher, r->index, ids, count) && write_entries(fd, cipher, r->index);
        ok = close(fd) == 0 && ok && rename(temporary, path) == 0;
        if (!ok)
            unlink(temporary);
    }
    cipher_free(cipher);
    free(temporary);
    free(path);
}
