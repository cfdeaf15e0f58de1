#include "repo/key.h"

#include <jansson.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/base64.h"
#include "base/mem.h"
#include "crypto/kdf.h"
#include "crypto/sha256.h"
#include "os/clock.h"

enum { KEYS_TRIED_MAX = 20, KEY_FILE_MAX_BYTES = 1 << 20, MASTER_MAX_BYTES = 4096 };

/* scrypt's cost for new keys: 32 MiB and about a tenth of a second. A run every two hours must not spend more on its
 * passphrase than on its work, and the passphrases that clawback makes have 150 bits and more: no cost factor protects
 * those any further. */
static const struct kdf_params NEW_KEY_PARAMS = {.n = 32768, .r = 8, .p = 1};

static const char *text_of(const json_t *object, const char *name)
{
    const char *s = json_string_value(json_object_get(object, name));
    return s != NULL ? s : "";
}

/* Base64 of exactly `len` bytes. */
static int bytes_of(const json_t *object, const char *name, unsigned char *out, size_t len)
{
    struct buf b;
    buf_init(&b, len);
    const char *s = text_of(object, name);
    int rc = base64_decode(s, strlen(s), &b) == 0 && b.len == len ? 0 : -1;
    if (rc == 0)
        memcpy(out, b.data, len);
    mem_wipe(b.data, b.len);
    buf_release(&b);
    return rc;
}

static int parse_master(const unsigned char *plain, size_t len, struct cipher_key *out, struct err *err)
{
    json_t *master = json_loadb((const char *)plain, len, 0, NULL);
    const json_t *mac = json_object_get(master, "mac");
    int rc = bytes_of(master, "encrypt", out->encrypt, sizeof out->encrypt) != 0 ||
                     bytes_of(mac, "k", out->mac_k, sizeof out->mac_k) != 0 ||
                     bytes_of(mac, "r", out->mac_r, sizeof out->mac_r) != 0
                 ? err_set(err, ERR_CORRUPT, "the master key in it is malformed")
                 : 0;
    json_decref(master);
    return rc;
}

/* Derives the user's key and opens `data` with it. */
static int open_master(const struct buf *data, const struct buf *salt, const struct kdf_params *params,
                       const char *passphrase, struct cipher_key *out, struct err *err)
{
    struct cipher_key user;
    unsigned char plain[MASTER_MAX_BYTES];
    int rc = -1;
    if (kdf_scrypt(passphrase, strlen(passphrase), salt->data, salt->len, params, (unsigned char *)&user, sizeof user,
                   err) != 0)
        return -1;
    struct cipher *cipher = cipher_new(&user, err);
    if (cipher == NULL)
        goto out;
    if (data->len < CIPHER_OVERHEAD_BYTES || data->len - CIPHER_OVERHEAD_BYTES > sizeof plain)
        err_set(err, ERR_CORRUPT, "the master key in it has an impossible length");
    else if (cipher_open(cipher, data->data, data->len, plain, NULL) != 0)
        err_set(err, ERR_WRONG_PASSPHRASE, "it does not open with this passphrase");
    else
        rc = parse_master(plain, data->len - CIPHER_OVERHEAD_BYTES, out, err);
out:
    cipher_free(cipher);
    mem_wipe(plain, sizeof plain);
    mem_wipe(&user, sizeof user);
    return rc;
}

_Static_assert(sizeof(struct cipher_key) == 64, "scrypt's 64 bytes are encrypt[32], mac.k[16], mac.r[16]");

static int parse_params(const json_t *doc, struct kdf_params *out, struct err *err)
{
    if (strcmp(text_of(doc, "kdf"), "scrypt") != 0)
        return err_set(err, ERR_UNSUPPORTED, "it uses the unknown key derivation '%.40s'", text_of(doc, "kdf"));
    json_int_t n = json_integer_value(json_object_get(doc, "N")), r = json_integer_value(json_object_get(doc, "r")),
               p = json_integer_value(json_object_get(doc, "p"));
    if (n < 2 || r < 1 || p < 1 || r > INT_MAX || p > INT_MAX)
        return err_set(err, ERR_UNSUPPORTED, "its scrypt parameters are impossible");
    *out = (struct kdf_params){.n = (uint64_t)n, .r = (uint32_t)r, .p = (uint32_t)p};
    return 0;
}

int key_decode(const char *json, size_t len, const char *passphrase, struct cipher_key *out, struct err *err)
{
    struct kdf_params params;
    struct buf data, salt;
    buf_init(&data, MASTER_MAX_BYTES + CIPHER_OVERHEAD_BYTES);
    buf_init(&salt, 4096);
    json_t *doc = json_loadb(json, len, 0, NULL);
    int rc = -1;
    if (!json_is_object(doc)) {
        err_set(err, ERR_CORRUPT, "it is no key file");
        goto out;
    }
    if (parse_params(doc, &params, err) != 0)
        goto out;
    const char *data_text = text_of(doc, "data"), *salt_text = text_of(doc, "salt");
    if (base64_decode(data_text, strlen(data_text), &data) != 0 ||
        base64_decode(salt_text, strlen(salt_text), &salt) != 0)
        err_set(err, ERR_CORRUPT, "its data or salt is malformed");
    else
        rc = open_master(&data, &salt, &params, passphrase, out, err);
out:
    json_decref(doc);
    buf_release(&data);
    buf_release(&salt);
    return rc;
}

struct key_search {
    struct id ids[KEYS_TRIED_MAX];
    size_t count;
};

static int collect_key(void *ctx, const char *name, uint64_t size_bytes)
{
    struct key_search *s = ctx;
    (void)size_bytes;
    if (s->count < KEYS_TRIED_MAX && id_from_hex(name, strlen(name), &s->ids[s->count]) == 0)
        s->count++;
    return 0;
}

static int try_key(struct store *store, const struct id *id, const char *passphrase, struct cipher_key *out,
                   struct err *err)
{
    char hex[ID_HEX_BYTES];
    struct buf json;
    buf_init(&json, KEY_FILE_MAX_BYTES);
    int rc = store_read_all(store, STORE_KEY, id_to_hex(id, hex), &json, err);
    if (rc == 0)
        rc = key_decode((const char *)json.data, json.len, passphrase, out, err);
    buf_release(&json);
    return rc == 0 ? 0 : err_wrap(err, "key %.8s", hex);
}

int key_open_any(struct store *store, const char *passphrase, struct cipher_key *out, struct id *id_out,
                 struct err *err)
{
    struct key_search found = {.count = 0};
    struct err last = {.code = ERR_NONE};
    if (store_list(store, STORE_KEY, collect_key, &found, err) != 0)
        return -1;
    if (found.count == 0)
        return err_set(err, ERR_NO_REPOSITORY, "'%s' has no key files: it is no repository, or a damaged one",
                       store->location);
    for (size_t i = 0; i < found.count; i++) {
        struct err this;
        if (try_key(store, &found.ids[i], passphrase, out, &this) == 0) {
            *id_out = found.ids[i];
            return 0;
        }
        /* A damaged or foreign key file matters only when no other opens; a wrong passphrase is then the likelier news.
         */
        if (last.code == ERR_NONE || this.code == ERR_WRONG_PASSPHRASE)
            last = this;
    }
    if (last.code == ERR_WRONG_PASSPHRASE)
        return err_set(err, ERR_WRONG_PASSPHRASE, "wrong passphrase: it opens none of the %zu keys of '%s'",
                       found.count, store->location);
    if (err != NULL)
        *err = last;
    return -1;
}

static void set_base64(json_t *object, const char *name, const void *p, size_t len)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    base64_encode(p, len, &text);
    json_object_set_new(object, name, json_stringn((const char *)text.data, text.len));
    mem_wipe(text.data, text.len);
    buf_release(&text);
}

static int seal_master(const struct cipher_key *master, const struct cipher_key *user, json_t *doc, struct err *err)
{
    json_t *mac = json_object(), *inner = json_object();
    set_base64(mac, "k", master->mac_k, sizeof master->mac_k);
    set_base64(mac, "r", master->mac_r, sizeof master->mac_r);
    json_object_set_new(inner, "mac", mac);
    set_base64(inner, "encrypt", master->encrypt, sizeof master->encrypt);
    char *plain = json_dumps(inner, JSON_COMPACT);
    size_t len = strlen(plain);
    unsigned char *sealed = mem_alloc(len + CIPHER_OVERHEAD_BYTES);
    struct cipher *cipher = cipher_new(user, err);
    int rc = cipher != NULL ? cipher_seal(cipher, plain, len, sealed, err) : -1;
    if (rc == 0)
        set_base64(doc, "data", sealed, len + CIPHER_OVERHEAD_BYTES);
    cipher_free(cipher);
    mem_wipe(plain, len);
    free(plain);
    free(sealed);
    json_decref(inner);
    return rc;
}

/* The key file's document for this passphrase. */
static int encode_key(const struct cipher_key *master, const char *passphrase, const char *username,
                      const char *hostname, json_t *doc, struct err *err)
{
    unsigned char salt[KDF_SALT_BYTES];
    struct cipher_key user;
    char created[OS_TIME_BYTES];
    struct timespec now = os_now();
    const struct kdf_params *params = &NEW_KEY_PARAMS;
    if (crypto_random(salt, sizeof salt, err) != 0 || kdf_scrypt(passphrase, strlen(passphrase), salt, sizeof salt,
                                                                 params, (unsigned char *)&user, sizeof user, err) != 0)
        return -1;
    os_time_format(&now, created);
    json_object_set_new(doc, "created", json_string(created));
    json_object_set_new(doc, "username", json_string(username));
    json_object_set_new(doc, "hostname", json_string(hostname));
    json_object_set_new(doc, "kdf", json_string("scrypt"));
    json_object_set_new(doc, "N", json_integer((json_int_t)params->n));
    json_object_set_new(doc, "r", json_integer(params->r));
    json_object_set_new(doc, "p", json_integer(params->p));
    set_base64(doc, "salt", salt, sizeof salt);
    int rc = seal_master(master, &user, doc, err);
    mem_wipe(&user, sizeof user);
    return rc;
}

static int save_key(struct store *store, const char *json, struct id *id_out, struct err *err)
{
    char hex[ID_HEX_BYTES];
    struct sha256 *sha = sha256_new();
    sha256_once(sha, json, strlen(json), id_out);
    sha256_free(sha);
    return store_save(store, STORE_KEY, id_to_hex(id_out, hex), json, strlen(json), err);
}

int key_add(struct store *store, const struct cipher_key *master, const char *passphrase, const char *username,
            const char *hostname, struct id *id_out, struct err *err)
{
    char host[256] = "";
    const struct passwd *pw = getpwuid(getuid());
    gethostname(host, sizeof host - 1);
    json_t *doc = json_object();
    int rc = encode_key(master, passphrase,
                        username != NULL ? username
                        : pw != NULL     ? pw->pw_name
                                         : "",
                        hostname != NULL ? hostname : host, doc, err);
    if (rc == 0) {
        char *json = json_dumps(doc, JSON_COMPACT);
        rc = save_key(store, json, id_out, err);
        free(json);
    }
    json_decref(doc);
    return rc;
}

int key_read_info(struct store *store, const struct id *id, struct key_info *out, struct err *err)
{
    char hex[ID_HEX_BYTES];
    struct buf json;
    buf_init(&json, KEY_FILE_MAX_BYTES);
    *out = (struct key_info){.id = *id};
    int rc = store_read_all(store, STORE_KEY, id_to_hex(id, hex), &json, err);
    json_t *doc = rc == 0 ? json_loadb((const char *)json.data, json.len, 0, NULL) : NULL;
    if (rc == 0 && !json_is_object(doc))
        rc = err_set(err, ERR_CORRUPT, "key %.8s is no key file", hex);
    if (rc == 0) {
        const char *created = text_of(doc, "created");
        snprintf(out->username, sizeof out->username, "%s", text_of(doc, "username"));
        snprintf(out->hostname, sizeof out->hostname, "%s", text_of(doc, "hostname"));
        os_time_parse(created, strlen(created), &out->created);
    }
    json_decref(doc);
    buf_release(&json);
    return rc;
}
