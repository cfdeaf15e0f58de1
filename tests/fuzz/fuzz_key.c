/* Key files. Those that ask for much of scrypt are passed over: it does as it is told, and that takes its time. */
#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>

#include "repo/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COST_MAX = 64 };

static bool is_small(const json_t *doc, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(doc, name));
    return value >= 0 && value <= COST_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cipher_key key;
    json_t *doc = json_loadb((const char *)data, size, 0, NULL);
    bool cheap = doc == NULL || (is_small(doc, "N") && is_small(doc, "r") && is_small(doc, "p"));
    json_decref(doc);
    if (cheap)
        key_decode((const char *)data, size, "fuzz", &key, NULL);
    return 0;
}
