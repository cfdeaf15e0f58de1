/* Which packs a partial check reads. */
#include "engine/check_subset.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/cipher.h"
#include "engine/size_text.h"

static int parse_part(const char *text, struct check_subset *out)
{
    char *end;
    unsigned long part = strtoul(text, &end, 10);
    if (end == text || *end != '/' || end[1] < '0' || end[1] > '9')
        return -1;
    unsigned long parts = strtoul(end + 1, &end, 10);
    if (*end != '\0' || part < 1 || part > parts || parts > 256)
        return -1;
    out->kind = CHECK_READ_PART;
    out->part = (unsigned)part;
    out->parts = (unsigned)parts;
    return 0;
}

static int parse_percent(const char *text, struct check_subset *out)
{
    char *end;
    out->kind = CHECK_READ_PERCENT;
    out->percent = strtod(text, &end);
    return end != text && strcmp(end, "%") == 0 && out->percent > 0 && out->percent <= 100 ? 0 : -1;
}

int check_subset_parse(const char *text, struct check_subset *out, struct err *err)
{
    int rc;
    *out = (struct check_subset){.kind = CHECK_READ_BYTES};
    if (*text < '0' || *text > '9')
        rc = -1;
    else if (strchr(text, '/') != NULL)
        rc = parse_part(text, out);
    else if (strchr(text, '%') != NULL)
        rc = parse_percent(text, out);
    else
        rc = size_text_parse(text, &out->bytes) != 0 || out->bytes == 0 ? -1 : 0;
    if (rc != 0)
        return err_set(err, ERR_USAGE,
                       "'%s' is no part of the data: give n/t (1 ≤ n ≤ t ≤ 256), x%% or a size like 500M", text);
    return 0;
}

static size_t take_part(const struct check_subset *s, const struct index *ix, uint32_t *packs, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (index_pack_id(ix, packs[i])->bytes[0] % s->parts == s->part - 1)
            packs[kept++] = packs[i];
    return kept;
}

int check_shuffle(uint32_t *packs, size_t count, struct err *err)
{
    for (size_t i = 0; i + 1 < count; i++) {
        uint64_t random;
        if (crypto_random(&random, sizeof random, err) != 0)
            return -1;
        size_t other = i + (size_t)(random % (count - i));
        uint32_t t = packs[i];
        packs[i] = packs[other];
        packs[other] = t;
    }
    return 0;
}

int check_subset_choose(const struct check_subset *s, const struct index *ix, const struct stored_files *files,
                        uint32_t *packs, size_t *count, struct err *err)
{
    if (s->kind == CHECK_READ_NONE)
        *count = 0;
    if (*count == 0 || s->kind == CHECK_READ_ALL)
        return 0;
    if (s->kind == CHECK_READ_PART) {
        *count = take_part(s, ix, packs, *count);
        return 0;
    }
    if (check_shuffle(packs, *count, err) != 0)
        return -1;
    if (s->kind == CHECK_READ_PERCENT) {
        size_t n = (size_t)((double)*count * s->percent / 100) + 1; /* at least one */
        *count = n < *count ? n : *count;
        return 0;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < *count; i++) {
        sum += stored_files_find(files, index_pack_id(ix, packs[i]))->bytes;
        if (sum >= s->bytes)
            *count = i + 1; /* ends the loop */
    }
    return 0;
}
