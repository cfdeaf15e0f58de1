#include "repo/config.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include "base/mem.h"
#include "chunk/polynomial.h"

enum { CONFIG_MAX_BYTES = 64 << 10, VERSION_MIN = 1, VERSION_MAX = 2 };

static int parse_polynomial(const char *hex, uint64_t *out, struct err *err)
{
    char *end;
    *out = strtoull(hex, &end, 16);
    if (hex[0] == '\0' || *end != '\0' || polynomial_degree(*out) != POLYNOMIAL_DEGREE || !polynomial_irreducible(*out))
        return err_set(err, ERR_CORRUPT, "its chunker polynomial '%.20s' is not irreducible of degree %d", hex,
                       POLYNOMIAL_DEGREE);
    return 0;
}

static const char *text_of(const json_t *doc, const char *key)
{
    const char *s = json_string_value(json_object_get(doc, key));
    return s != NULL ? s : "";
}

static void find_other_rules(const json_t *doc, struct repo_config *out)
{
    if (json_is_true(json_object_get(doc, "append_only")))
        out->read_only_why = "its configuration says append_only";
    else if (json_is_true(json_object_get(doc, "is_hot")))
        out->read_only_why = "it is the hot part of a repository in two parts";
    else if (json_object_get(doc, "chunker") != NULL || json_object_get(doc, "chunk_size") != NULL)
        out->read_only_why = "its configuration asks for a chunker that is not the format's own";
    out->read_only = out->read_only_why != NULL;
}

int repo_config_decode(const char *json, size_t len, struct repo_config *out, struct err *err)
{
    json_t *doc = json_loadb(json, len, 0, NULL);
    int rc = -1;
    *out = (struct repo_config){0};
    json_int_t version = json_integer_value(json_object_get(doc, "version"));
    const char *id = text_of(doc, "id");
    if (!json_is_object(doc) || version < VERSION_MIN) {
        err_set(err, ERR_CORRUPT, "it is no configuration");
    } else if (version > VERSION_MAX) {
        err_set(err, ERR_UNSUPPORTED,
                "the repository has version %" JSON_INTEGER_FORMAT
                ", this program knows %d and %d; use a newer clawback",
                version, VERSION_MIN, VERSION_MAX);
    } else if (id_from_hex(id, strlen(id), &out->id) != 0) {
        err_set(err, ERR_CORRUPT, "its id is malformed");
    } else {
        out->version = (unsigned)version;
        rc = parse_polynomial(text_of(doc, "chunker_polynomial"), &out->polynomial, err);
        find_other_rules(doc, out);
    }
    json_decref(doc);
    return rc;
}

int repo_config_load(struct store *store, const struct cipher_key *key, struct repo_config *out, struct err *err)
{
    struct buf stored;
    buf_init(&stored, CONFIG_MAX_BYTES);
    struct cipher *cipher = NULL;
    int rc = store_read_all(store, STORE_CONFIG, "config", &stored, err);
    if (rc != 0) {
        if (err != NULL && err->code == ERR_NOT_FOUND)
            err_set(err, ERR_NO_REPOSITORY, "there is no repository at '%s'", store->location);
        goto out;
    }
    cipher = cipher_new(key, err);
    if (cipher == NULL || cipher_open(cipher, stored.data, stored.len, stored.data + CIPHER_IV_BYTES, err) != 0 ||
        repo_config_decode((const char *)stored.data + CIPHER_IV_BYTES, stored.len - CIPHER_OVERHEAD_BYTES, out, err) !=
            0)
        rc = err_wrap(err, "cannot read the configuration of '%s'", store->location);
out:
    cipher_free(cipher);
    buf_release(&stored);
    return rc;
}

int repo_config_save(struct store *store, const struct cipher_key *key, const struct repo_config *config,
                     struct err *err)
{
    char hex[ID_HEX_BYTES];
    char *json = mem_printf("{\"version\":%u,\"id\":\"%s\",\"chunker_polynomial\":\"%" PRIx64 "\"}", config->version,
                            id_to_hex(&config->id, hex), config->polynomial);
    size_t len = strlen(json);
    unsigned char *sealed = mem_alloc(len + CIPHER_OVERHEAD_BYTES);
    struct cipher *cipher = cipher_new(key, err);
    int rc = cipher == NULL ? -1 : cipher_seal(cipher, json, len, sealed, err);
    if (rc == 0)
        rc = store_save(store, STORE_CONFIG, "config", sealed, len + CIPHER_OVERHEAD_BYTES, err);
    cipher_free(cipher);
    free(sealed);
    free(json);
    return rc;
}
