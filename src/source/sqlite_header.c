#include "source/sqlite_header.h"

#include <string.h>

#include "source/sqlite.h"

static const char magic[16] = "SQLite format 3";

static uint32_t get_u32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint32_t sqlite_header_page_bytes(const unsigned char *head)
{
    uint32_t bytes = (uint32_t)head[16] << 8 | head[17];
    if (bytes == 1)
        return 65536;
    return bytes >= 512 && bytes <= 32768 && (bytes & (bytes - 1)) == 0 ? bytes : 0;
}

uint64_t sqlite_header_pages(const unsigned char *head)
{
    return memcmp(head + 24, head + 92, 4) == 0 ? get_u32(head + 28) : 0;
}

bool sqlite_is_database(const unsigned char *head, size_t len)
{
    /* Bytes 21 to 23 are constants, and 20 is room left at each page's end, of which 480 bytes must remain usable. */
    return len >= SQLITE_HEADER_BYTES && memcmp(head, magic, sizeof magic) == 0 &&
           sqlite_header_page_bytes(head) != 0 && sqlite_header_page_bytes(head) >= 480U + head[20] && head[21] == 64 &&
           head[22] == 32 && head[23] == 32;
}

size_t sqlite_cut_bytes(uint64_t file_bytes, uint32_t page_bytes)
{
    const uint64_t mib = UINT64_C(1) << 20, gib = UINT64_C(1) << 30;
    size_t cut = 128 << 10;
    if (file_bytes < 16 * mib)
        cut = 4 << 10;
    else if (file_bytes < 64 * mib)
        cut = 8 << 10;
    else if (file_bytes < 256 * mib)
        cut = 16 << 10;
    else if (file_bytes < 16 * gib)
        cut = 32 << 10;
    else if (file_bytes < 256 * gib)
        cut = 64 << 10;
    return cut > page_bytes ? cut : page_bytes;
}
