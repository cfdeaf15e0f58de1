#include "base/base64.h"

#include <stdbool.h>
#include <stdint.h>

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void encode_group(const unsigned char *p, size_t len, char out[4])
{
    uint32_t v = (uint32_t)p[0] << 16 | (len > 1 ? (uint32_t)p[1] << 8 : 0) | (len > 2 ? p[2] : 0);
    for (size_t i = 0; i < 4; i++)
        out[i] = i <= len ? ALPHABET[v >> (18 - 6 * i) & 63] : '=';
}

void base64_encode(const void *data, size_t len, struct buf *out)
{
    const unsigned char *p = data;
    for (size_t at = 0; at < len; at += 3) {
        char group[4];
        encode_group(p + at, len - at < 3 ? len - at : 3, group);
        buf_append(out, group, sizeof group);
    }
}

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters of which the last `padding` are '='. */
static bool decode_group(const char *p, size_t padding, struct buf *out)
{
    uint32_t v = 0;
    for (size_t i = 0; i < 4; i++) {
        int digit = i < 4 - padding ? digit_value(p[i]) : 0;
        if (digit < 0)
            return false;
        v = v << 6 | (uint32_t)digit;
    }
    unsigned char bytes[3] = {(unsigned char)(v >> 16), (unsigned char)(v >> 8), (unsigned char)v};
    buf_append(out, bytes, 3 - padding);
    return true;
}

int base64_decode(const char *text, size_t len, struct buf *out)
{
    if (len % 4 != 0)
        return -1;
    for (size_t at = 0; at < len; at += 4) {
        size_t padding = 0;
        if (at + 4 == len && text[at + 3] == '=')
            padding = text[at + 2] == '=' ? 2 : 1;
        if (!decode_group(text + at, padding, out))
            return -1;
    }
    return 0;
}
