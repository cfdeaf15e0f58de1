#include "source/rdb_crc.h"

#include <endian.h>
#include <pthread.h>
#include <string.h>

/* The polynomial's bits in reverse, since the checksum takes bytes from their lowest bit on. */
static const uint64_t REFLECTED = UINT64_C(0x95ac9329ac4bc9b5);

/* tables[k][b]: what byte b does to the checksum when k more zero bytes follow it; eight bytes are taken at once. */
static uint64_t tables[8][256];
static pthread_once_t made = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    for (unsigned b = 0; b < 256; b++) {
        uint64_t v = b;
        for (int bit = 0; bit < 8; bit++)
            v = v >> 1 ^ ((v & 1) != 0 ? REFLECTED : 0);
        tables[0][b] = v;
    }
    for (unsigned k = 1; k < 8; k++)
        for (unsigned b = 0; b < 256; b++)
            tables[k][b] = tables[0][tables[k - 1][b] & 0xff] ^ tables[k - 1][b] >> 8;
}

static uint64_t eight_bytes(uint64_t crc, const unsigned char *p)
{
    uint64_t word, sum = 0;
    memcpy(&word, p, sizeof word);
    word = le64toh(word) ^ crc;
    for (unsigned k = 0; k < 8; k++)
        sum ^= tables[7 - k][word >> (8 * k) & 0xff];
    return sum;
}

uint64_t rdb_crc(uint64_t crc, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    (void)pthread_once(&made, make_tables);
    for (; len >= 8; p += 8, len -= 8)
        crc = eight_bytes(crc, p);
    for (; len > 0; p++, len--)
        crc = tables[0][(crc ^ *p) & 0xff] ^ crc >> 8;
    return crc;
}
