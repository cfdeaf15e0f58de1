/* Repository configurations: what is taken has a version that is known, and a polynomial of degree 53. */
#include <stdint.h>
#include <stdlib.h>

#include "repo/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct repo_config config;
    if (repo_config_decode((const char *)data, size, &config, NULL) != 0)
        return 0;
    if (config.version < 1 || config.version > 2 || config.polynomial >> 53 != 1)
        abort();
    if (config.read_only && config.read_only_why == NULL)
        abort();
    return 0;
}
