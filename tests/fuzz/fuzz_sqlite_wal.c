/* Write-ahead logs: what loads is a map of distinct pages, in order, each at or before the last commit, and compares as
 * unchanged with the file it came from. The input's first byte chooses the database's page size and whether the
 * checksums are made right first, without which hardly any frame would count. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/file.h"
#include "source/sqlite_wal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t word(const uint8_t *p, bool big_endian)
{
    uint32_t big = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    return big_endian ? big : __builtin_bswap32(big);
}

static void sum_add(uint32_t sum[2], const uint8_t *p, size_t len, bool big_endian)
{
    for (size_t i = 0; i < len; i += 8) {
        sum[0] += word(p + i, big_endian) + sum[1];
        sum[1] += word(p + i + 4, big_endian) + sum[0];
    }
}

static void put_sum(uint8_t *p, const uint32_t sum[2])
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(sum[i / 4] >> (24 - i % 4 * 8));
}

/* Magic, format, page size, salts and checksums; page numbers, commit marks and pages stay as they came. */
static void make_right(uint8_t *log, size_t size, uint32_t page_bytes)
{
    static const uint8_t magic_and_format[8] = {0x37, 0x7f, 0x06, 0x82, 0x00, 0x2d, 0xe2, 0x18};
    bool big_endian = (log[3] & 1) != 0;
    uint32_t sum[2] = {0, 0};
    memcpy(log, magic_and_format, 8);
    log[3] |= big_endian;
    for (int i = 0; i < 4; i++)
        log[8 + i] = (uint8_t)(page_bytes >> (24 - i * 8));
    sum_add(sum, log, 24, big_endian);
    put_sum(log + 24, sum);
    for (size_t at = 32; at + 24 + page_bytes <= size; at += 24 + page_bytes) {
        if ((log[at + 8] & 7) == 7) /* now and then a frame of an older log */
            continue;
        memcpy(log + at + 8, log + 16, 8);
        sum_add(sum, log + at, 8, big_endian);
        sum_add(sum, log + at + 24, page_bytes, big_endian);
        put_sum(log + at + 16, sum);
    }
}

static void check(const struct sqlite_wal *wal, int fd)
{
    enum sqlite_wal_state state;
    for (size_t i = 0; i < wal->count; i++) {
        const struct sqlite_wal_entry *e = &wal->entries[i];
        if (e->page == 0 || e->frame == 0 || e->frame > wal->last_commit)
            abort();
        if (i > 0 && e->page <= e[-1].page)
            abort();
        if (sqlite_wal_find(wal, e->page) != i)
            abort();
    }
    if (wal->valid && (sqlite_wal_compare(wal, fd, &state, NULL) != 0 || state != SQLITE_WAL_SAME))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 + SQLITE_WAL_HEADER_BYTES)
        return 0;
    uint32_t page_bytes = 512U << (data[0] % 8);
    uint8_t *log = mem_copy(data + 1, size - 1);
    if (data[0] & 0x80)
        make_right(log, size - 1, page_bytes);
    int fd = memfd_create("wal", MFD_CLOEXEC);
    struct sqlite_wal wal;
    if (fd < 0 || os_pwrite_full(fd, log, size - 1, 0) != 0)
        abort();
    if (sqlite_wal_load(&wal, fd, page_bytes, NULL) == 0) {
        check(&wal, fd);
        sqlite_wal_release(&wal);
    }
    close(fd);
    free(log);
    return 0;
}
