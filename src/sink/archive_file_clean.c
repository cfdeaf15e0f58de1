/* Temporary files of archives: their names, and what to do with those whose writers are gone. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "crypto/cipher.h"
#include "crypto/sha256.h"
#include "os/clock.h"
#include "sink/archive_file.h"

enum { HOST_CHARS = 8, RANDOM_BYTES = 8, DAY_S = 86400, HOUR_S = 3600 };

static const char PREFIX[] = ".clawback-", SUFFIX[] = ".partial", LINK_PREFIX[] = ".clawback-latest-";

/* A host, as it appears in a name: the beginning of its name's hash. */
static void hash_host(const char *host, char out[ID_HEX_BYTES])
{
    struct sha256 *sha = sha256_new();
    struct id id;
    sha256_once(sha, host != NULL ? host : "", host != NULL ? strlen(host) : 0, &id);
    sha256_free(sha);
    id_to_hex(&id, out);
    out[HOST_CHARS] = '\0';
}

char *archive_temporary_name(const char *host, struct err *err)
{
    char hash[ID_HEX_BYTES], hex[2 * RANDOM_BYTES + 1];
    unsigned char random[RANDOM_BYTES];
    if (crypto_random(random, sizeof random, err) != 0)
        return NULL;
    for (size_t i = 0; i < sizeof random; i++) {
        hex[2 * i] = "0123456789abcdef"[random[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[random[i] & 15];
    }
    hex[sizeof hex - 1] = '\0';
    hash_host(host, hash);
    return mem_printf("%s%s-%s%s", PREFIX, hash, hex, SUFFIX);
}

static bool is_partial(const char *name)
{
    size_t len = sizeof PREFIX - 1 + HOST_CHARS + 1 + (size_t)2 * RANDOM_BYTES + sizeof SUFFIX - 1;
    return strlen(name) == len && strncmp(name, PREFIX, sizeof PREFIX - 1) == 0 &&
           strcmp(name + len - (sizeof SUFFIX - 1), SUFFIX) == 0;
}

static bool is_older(const struct stat *st, time_t seconds)
{
    return st->st_mtime < os_now().tv_sec - seconds;
}

/* Its writer holds a lock as long as it lives. A writer on another host may not be seen by a lock. */
static bool is_abandoned(int dir_fd, const char *name, const char *host_hash, const struct stat *st)
{
    if (strncmp(name + sizeof PREFIX - 1, host_hash, HOST_CHARS) != 0 && !is_older(st, DAY_S))
        return false;
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool abandoned = flock(fd, LOCK_EX | LOCK_NB) == 0 || (errno != EWOULDBLOCK && is_older(st, DAY_S));
    close(fd);
    return abandoned;
}

/* What os_write_file_atomic() leaves of a checksum or text file, or a link, when it is killed within milliseconds. */
static bool is_scrap(const char *name, const struct stat *st)
{
    const char *temporary = strstr(name, ".tmp-");
    bool ours = strncmp(name, LINK_PREFIX, sizeof LINK_PREFIX - 1) == 0;
    if (temporary != NULL && strlen(temporary) == sizeof ".tmp-" - 1 + 16) {
        size_t len = (size_t)(temporary - name);
        ours = (len > 7 && strncmp(temporary - 7, ".sha256", 7) == 0) ||
               (len >= 10 && strncmp(temporary - 10, "latest.txt", 10) == 0);
    }
    return ours && is_older(st, HOUR_S);
}

int archive_clean(const char *dir, const char *host, uint64_t *freed_bytes_out, struct err *err)
{
    char hash[ID_HEX_BYTES];
    int removed = 0;
    uint64_t freed = 0;
    DIR *d = opendir(dir);
    if (d == NULL)
        return err_errno(err, errno, "cannot look for abandoned archives in '%s'", dir);
    hash_host(host, hash);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        struct stat st;
        if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(st.st_mode))
            continue;
        bool stale = is_partial(e->d_name) ? is_abandoned(dirfd(d), e->d_name, hash, &st) : is_scrap(e->d_name, &st);
        if (!stale || unlinkat(dirfd(d), e->d_name, 0) != 0)
            continue;
        removed++;
        freed += (uint64_t)st.st_blocks * 512;
    }
    closedir(d);
    if (freed_bytes_out != NULL)
        *freed_bytes_out = freed;
    return removed;
}
