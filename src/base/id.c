#include "base/id.h"

static const char HEX[] = "0123456789abcdef";

bool id_is_zero(const struct id *id)
{
    static const struct id zero;
    return id_equal(id, &zero);
}

static void to_hex(const unsigned char *bytes, size_t count, char *out)
{
    for (size_t i = 0; i < count; i++) {
        out[2 * i] = HEX[bytes[i] >> 4];
        out[2 * i + 1] = HEX[bytes[i] & 15];
    }
    out[2 * count] = '\0';
}

char *id_to_hex(const struct id *id, char out[ID_HEX_BYTES])
{
    to_hex(id->bytes, ID_BYTES, out);
    return out;
}

char *id_to_short(const struct id *id, char out[ID_SHORT_CHARS + 1])
{
    to_hex(id->bytes, ID_SHORT_CHARS / 2, out);
    return out;
}

/* Value + 1 of each hex digit, 0 for all else. */
static const unsigned char DIGIT[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

int id_from_hex(const char *hex, size_t len, struct id *out)
{
    if (len != ID_HEX_CHARS)
        return -1;
    unsigned bad = 0;
    for (size_t i = 0; i < ID_BYTES; i++) {
        unsigned high = DIGIT[(unsigned char)hex[2 * i]], low = DIGIT[(unsigned char)hex[2 * i + 1]];
        bad |= (high == 0) | (low == 0);
        out->bytes[i] = (unsigned char)((high - 1) << 4 | ((low - 1) & 15));
    }
    return bad ? -1 : 0;
}
