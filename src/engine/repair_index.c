/*
 * Order: read everything, write new index files, remove those that are wrong. Until the last step the old index is
 * untouched, and afterwards the new one is durable; packs are only ever read.
 */
#include "engine/repair.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/id_map.h"
#include "engine/pack_blobs.h"
#include "engine/parallel.h"
#include "engine/stored_files.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "repo/writer.h"

enum pack_state {
    STATE_UNKNOWN,    /* no index file describes it rightly, or none is trusted */
    STATE_INDEXED,    /* a file does, and stays or will be carried over */
    STATE_ADDED,      /* its header was read */
    STATE_UNREADABLE, /* its header cannot be read */
    STATE_DAMAGED     /* read_data: something in it is damaged, the rest goes into new packs */
};

struct index_state {
    bool broken, wrong; /* wrong: names a pack that is not as it says */
    bool unread;        /* broken, but perhaps only at this moment: it stays */
};

struct repair {
    struct repo *repo;
    struct lock *lock;
    const struct repair_index_options *options;
    const struct repair_reporter *reporter;
    struct engine_progress *progress;
    struct repair_index_result *result;
    struct stored_files packs, files;
    enum pack_state *packs_state; /* one a pack */
    bool *carried, *proved;       /* one a pack */
    struct index_state *files_state;
    struct id_map missing;
    struct codec **codecs;
    unsigned threads;
    size_t *ask; /* packs whose headers must be read */
    size_t ask_count;
    struct writer *writer; /* NULL in a dry run */
    pthread_mutex_t mutex; /* guards result, reports and the writer while headers are read */
};

static void finding(struct repair *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void finding(struct repair *r, const char *format, ...)
{
    char message[ERR_MESSAGE_BYTES + 256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (r->reporter != NULL && r->reporter->finding != NULL)
        r->reporter->finding(r->reporter->ctx, message);
}

/*
 * What is there, and what of it is right?
 */

enum { ATTEMPTS = 4, PAUSE_MS = 100 };

/* Is what could not be read damaged, or does the store not work just now? */
static bool is_damage(const struct err *why)
{
    return why->code == ERR_CORRUPT || why->code == ERR_NOT_FOUND || why->code == ERR_UNSUPPORTED;
}

/* Waits a little before another attempt; false when there is to be none. What is taken for damaged leaves the index: a
 * store that failed once must not cause that. */
static bool try_again(unsigned attempt, const struct err *why)
{
    if (is_damage(why) || attempt + 1 >= ATTEMPTS || os_interrupted())
        return false;
    os_sleep_ms((uint64_t)PAUSE_MS << attempt);
    return true;
}

static int decode_file(struct repair *r, size_t file, index_pack_fn *fn, void *ctx, struct err *err)
{
    struct buf json;
    buf_init(&json, REPO_UNPACKED_MAX_BYTES);
    int rc = repo_load_unpacked(r->repo, r->codecs[0], STORE_INDEX, &r->files.items[file].id, &json, err);
    if (rc == 0)
        rc = index_decode((const char *)json.data, json.len, fn, ctx, err);
    buf_release(&json);
    return rc;
}

static int ignore_pack(void *ctx, const struct id *pack_id, const struct pack_blob *blobs, size_t count,
                       struct err *err)
{
    (void)ctx, (void)pack_id, (void)blobs, (void)count, (void)err;
    return 0;
}

struct file_scan {
    struct repair *repair;
    size_t file;
};

static int scan_pack(void *ctx, const struct id *pack_id, const struct pack_blob *blobs, size_t count, struct err *err)
{
    struct file_scan *s = ctx;
    struct repair *r = s->repair;
    char hex[ID_HEX_BYTES];
    const struct stored_file *file = stored_files_find(&r->packs, pack_id);
    (void)err;
    if (file != NULL && file->bytes == pack_expected_bytes(blobs, count)) {
        if (!r->options->read_all_packs)
            r->packs_state[file - r->packs.items] = STATE_INDEXED;
        return 0;
    }
    r->files_state[s->file].wrong = true;
    if (file == NULL && id_map_put(&r->missing, pack_id, 0)) {
        r->result->packs_missing++;
        finding(r, "pack %s is not there: taken out of the index", id_to_hex(pack_id, hex));
    }
    return 0;
}

/* Once in full before anything is taken from it. */
static int scan_file(struct repair *r, size_t file, struct err *why)
{
    struct file_scan scan = {.repair = r, .file = file};
    int rc = -1;
    for (unsigned attempt = 0; rc != 0; attempt++) {
        rc = decode_file(r, file, ignore_pack, NULL, why) != 0 ? -1 : decode_file(r, file, scan_pack, &scan, why);
        if (rc != 0 && !try_again(attempt, why))
            break;
    }
    return rc;
}

static int scan_files(struct repair *r, struct err *err)
{
    engine_progress_stage(r->progress, "reading the index", r->files.count, 0);
    for (size_t i = 0; i < r->files.count; i++) {
        struct err why = {0};
        char hex[ID_HEX_BYTES];
        if (engine_check_stop(r->lock, err) != 0)
            return -1;
        if (scan_file(r, i, &why) != 0) {
            r->files_state[i].broken = true;
            r->files_state[i].unread = !is_damage(&why);
            r->result->index_broken++;
            r->result->index_unread += r->files_state[i].unread;
            finding(r, "index file %s: %s%s", id_to_hex(&r->files.items[i].id, hex), why.message,
                    r->files_state[i].unread ? "; it stays" : "");
        }
        engine_progress_add(r->progress, 1, 0);
    }
    return 0;
}

static int list_all(struct repair *r, struct err *err)
{
    if (stored_files_list(r->repo->store, STORE_INDEX, &r->files, err) != 0 ||
        stored_files_list(r->repo->store, STORE_PACK, &r->packs, err) != 0)
        return -1;
    r->result->index_files = r->files.count;
    r->result->packs = r->packs.count;
    r->packs_state = mem_zalloc((r->packs.count + 1) * sizeof *r->packs_state);
    r->carried = mem_zalloc((r->packs.count + 1) * sizeof *r->carried);
    r->proved = mem_zalloc((r->packs.count + 1) * sizeof *r->proved);
    r->files_state = mem_zalloc((r->files.count + 1) * sizeof *r->files_state);
    r->ask = mem_array(NULL, r->packs.count + 1, sizeof *r->ask);
    return 0;
}

/*
 * Reading what is in packs.
 */

struct blob_bufs {
    struct buf stored, scratch, plain;
};

static void blob_bufs_init(struct blob_bufs *b)
{
    buf_init(&b->stored, SIZE_MAX / 2);
    buf_init(&b->scratch, SIZE_MAX / 2);
    buf_init(&b->plain, REPO_BLOB_MAX_BYTES);
}

static void blob_bufs_release(struct blob_bufs *b)
{
    buf_release(&b->stored);
    buf_release(&b->scratch);
    buf_release(&b->plain);
}

/* A sector that cannot be read is damage, too. A pack that this user may not read, or a server that does not answer,
 * is none: what it holds must not leave the index, since the next prune would remove the pack. */
static bool is_pack_damage(const struct err *why)
{
    return why->code == ERR_CORRUPT || why->code == ERR_UNSUPPORTED || why->sys_errno == EIO;
}

static int unknown(const struct err *why, struct err *err)
{
    if (err != NULL)
        *err = *why;
    return err_wrap(err, "nothing was taken out of the index, since a pack cannot be read just now");
}

/* Leaves the blob as it is stored in bufs->stored. -1: nobody knows whether it is good. */
static int read_blob(struct repair *r, struct codec *codec, const struct stored_file *pack,
                     const struct pack_blob *blob, struct blob_bufs *bufs, bool *good, struct err *err)
{
    const struct blob_place place = {.id = blob->id,
                                     .pack_id = pack->id,
                                     .type = blob->type,
                                     .offset = blob->offset,
                                     .length = blob->length,
                                     .raw_length = blob->raw_length};
    char hex[ID_HEX_BYTES];
    *good = false;
    if (blob->offset > pack->bytes || blob->length > pack->bytes - blob->offset)
        return 0;
    buf_clear(&bufs->stored);
    buf_clear(&bufs->scratch);
    unsigned char *to = buf_reserve(&bufs->stored, blob->length);
    struct err why = {0};
    for (unsigned attempt = 0;
         store_read(r->repo->store, STORE_PACK, id_to_hex(&pack->id, hex), blob->offset, to, blob->length, &why) != 0;
         attempt++)
        if (!try_again(attempt, &why))
            return is_pack_damage(&why) ? 0 : unknown(&why, err);
    buf_append(&bufs->scratch, to, blob->length); /* opening destroys what it opens */
    *good = repo_open_blob(codec, &place, bufs->scratch.data, &bufs->plain, NULL) == 0;
    return 0;
}

static int blobs_are_good(struct repair *r, struct codec *codec, const struct stored_file *pack,
                          const struct pack_blob *blobs, size_t count, bool *good, struct err *err)
{
    struct blob_bufs bufs;
    int rc = 0;
    *good = true;
    blob_bufs_init(&bufs);
    for (size_t i = 0; i < count && *good && rc == 0; i++)
        rc = read_blob(r, codec, pack, &blobs[i], &bufs, good, err);
    blob_bufs_release(&bufs);
    return rc;
}

/* A pack that is damaged may still hold good blobs. They go into new packs, and the old one is in no index then. */
static int salvage_pack(struct repair *r, struct codec *codec, const struct stored_file *pack,
                        const struct pack_blob *blobs, size_t count, struct err *err)
{
    struct blob_bufs bufs;
    char hex[ID_HEX_BYTES];
    uint64_t good = 0;
    int rc = 0;
    blob_bufs_init(&bufs);
    for (size_t i = 0; i < count && rc == 0; i++) {
        bool is_good;
        rc = read_blob(r, codec, pack, &blobs[i], &bufs, &is_good, err);
        if (rc != 0 || !is_good)
            continue;
        good++;
        rc = r->writer != NULL ? writer_sealed(r->writer, &blobs[i], bufs.stored.data, err) : 0;
    }
    finding(r, "pack %s: %llu of %zu blobs are good", id_to_hex(&pack->id, hex), (unsigned long long)good, count);
    r->result->blobs_salvaged += good;
    blob_bufs_release(&bufs);
    return rc;
}

static bool load_header(struct repair *r, struct codec *codec, const struct stored_file *pack, struct pack_blob **blobs,
                        size_t *count, struct err *why)
{
    for (unsigned attempt = 0;; attempt++) {
        if (repo_load_pack_header(r->repo, codec, &pack->id, pack->bytes, blobs, count, why) == 0)
            return true;
        if (!try_again(attempt, why))
            return false;
    }
}

/*
 * read_data: packs that are indexed rightly, but hold damage.
 */

static int pack_is_whole(struct repair *r, const struct stored_file *pack, const struct pack_blob *blobs, size_t count,
                         bool *whole, struct err *err)
{
    struct pack_blob *described = NULL;
    size_t described_count = 0;
    struct err why = {0};
    bool header = load_header(r, r->codecs[0], pack, &described, &described_count, &why);
    free(described);
    *whole = false;
    if (!header)
        return is_pack_damage(&why) ? 0 : unknown(&why, err);
    return blobs_are_good(r, r->codecs[0], pack, blobs, count, whole, err);
}

static int prove_pack(void *ctx, const struct id *pack_id, const struct pack_blob *blobs, size_t count, struct err *err)
{
    const struct file_scan *s = ctx;
    struct repair *r = s->repair;
    const struct stored_file *file = stored_files_find(&r->packs, pack_id);
    if (file == NULL || file->bytes != pack_expected_bytes(blobs, count))
        return 0;
    size_t pack = (size_t)(file - r->packs.items);
    if (!r->proved[pack] && r->packs_state[pack] == STATE_INDEXED) {
        bool whole;
        int rc = pack_is_whole(r, file, blobs, count, &whole, err);
        /* An interruption ends reading early: that says nothing of the pack. */
        if (engine_check_stop(r->lock, err) != 0 || rc != 0)
            return -1;
        r->proved[pack] = true;
        if (!whole) {
            r->packs_state[pack] = STATE_DAMAGED;
            r->result->packs_damaged++;
        }
        engine_progress_add(r->progress, 1, file->bytes);
    }
    if (r->packs_state[pack] == STATE_DAMAGED)
        r->files_state[s->file].wrong = true;
    return 0;
}

static int prove_packs(struct repair *r, struct err *err)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < r->packs.count; i++)
        bytes += r->packs.items[i].bytes;
    engine_progress_stage(r->progress, "reading packs", r->packs.count, bytes);
    for (size_t i = 0; i < r->files.count; i++) {
        struct file_scan scan = {.repair = r, .file = i};
        if (!r->files_state[i].broken && decode_file(r, i, prove_pack, &scan, err) != 0)
            return -1;
    }
    return 0;
}

/*
 * Asking packs.
 */

static int ask_pack(void *ctx, unsigned worker, size_t item, struct err *err)
{
    struct repair *r = ctx;
    const struct stored_file *pack = &r->packs.items[r->ask[item]];
    struct pack_blob *blobs = NULL;
    size_t count = 0;
    struct err why = {0};
    int rc = 0;
    bool read = load_header(r, r->codecs[worker], pack, &blobs, &count, &why), good = true;
    if (read && r->options->read_data)
        rc = blobs_are_good(r, r->codecs[worker], pack, blobs, count, &good, err);
    else if (!read && r->options->read_data && !is_pack_damage(&why))
        rc = unknown(&why, err);
    bool damaged = !good;
    if (engine_check_stop(r->lock, err) != 0 || rc != 0) {
        free(blobs);
        return -1;
    }
    r->packs_state[r->ask[item]] = damaged ? STATE_DAMAGED : read ? STATE_ADDED : STATE_UNREADABLE;
    r->carried[r->ask[item]] = damaged;
    pthread_mutex_lock(&r->mutex);
    if (damaged) {
        r->result->packs_damaged++;
        rc = salvage_pack(r, r->codecs[worker], pack, blobs, count, err);
    } else if (read) {
        r->result->packs_added++;
        if (r->writer != NULL)
            rc = writer_index_pack(r->writer, &pack->id, blobs, count, err);
    } else {
        r->result->packs_damaged++;
        finding(r, "%s", why.message);
    }
    pthread_mutex_unlock(&r->mutex);
    free(blobs);
    engine_progress_add(r->progress, 1, 0);
    return rc;
}

static int ask_packs(struct repair *r, struct err *err)
{
    for (size_t i = 0; i < r->packs.count; i++)
        if (r->packs_state[i] == STATE_UNKNOWN)
            r->ask[r->ask_count++] = i;
        else if (r->packs_state[i] == STATE_INDEXED)
            r->result->packs_kept++;
    engine_progress_stage(r->progress, "reading pack headers", r->ask_count, 0);
    return parallel_run(r->threads, r->ask_count, r->lock, ask_pack, r, err);
}

/*
 * The new index.
 */

static bool must_go(const struct repair *r, size_t file)
{
    const struct index_state *s = &r->files_state[file];
    return !s->unread && (r->options->read_all_packs || s->broken || s->wrong);
}

/* What a file that must go says rightly, and nothing else says, is carried over. That includes packs whose own headers
 * turned out to be unreadable although the file describes them rightly: their blobs may well be whole. */
static int carry_pack(void *ctx, const struct id *pack_id, const struct pack_blob *blobs, size_t count, struct err *err)
{
    struct repair *r = ctx;
    char hex[ID_HEX_BYTES];
    const struct stored_file *file = stored_files_find(&r->packs, pack_id);
    size_t pack = file != NULL ? (size_t)(file - r->packs.items) : 0;
    if (file == NULL || r->carried[pack] || r->packs_state[pack] == STATE_ADDED)
        return 0;
    bool right = file->bytes == pack_expected_bytes(blobs, count);
    bool damaged =
        r->packs_state[pack] == STATE_DAMAGED || (r->options->read_data && r->packs_state[pack] == STATE_UNREADABLE);
    if (!right && (damaged || r->packs_state[pack] == STATE_INDEXED))
        return 0; /* another file describes it rightly */
    r->carried[pack] = true;
    if (!right || damaged)
        return salvage_pack(r, r->codecs[0], file, blobs, count, err);
    if (r->packs_state[pack] == STATE_UNREADABLE) {
        r->result->packs_damaged--;
        r->result->packs_header_damaged++;
        finding(r, "pack %s stays in the index as the index had it", id_to_hex(pack_id, hex));
    }
    return r->writer != NULL ? writer_index_pack(r->writer, pack_id, blobs, count, err) : 0;
}

static int carry_files(struct repair *r, struct err *err)
{
    engine_progress_stage(r->progress, "writing the index", 0, 0);
    for (size_t i = 0; i < r->files.count; i++)
        if (must_go(r, i) && !r->files_state[i].broken &&
            (engine_check_stop(r->lock, err) != 0 || decode_file(r, i, carry_pack, r, err) != 0))
            return -1;
    return 0;
}

static int remove_files(struct repair *r, struct err *err)
{
    char hex[ID_HEX_BYTES];
    for (size_t i = 0; i < r->files.count; i++) {
        if (!must_go(r, i))
            continue;
        if (engine_check_stop(r->lock, err) != 0 ||
            store_remove(r->repo->store, STORE_INDEX, id_to_hex(&r->files.items[i].id, hex), err) != 0)
            return err_wrap(err, "cannot remove an old index file");
        r->result->index_removed++;
    }
    return 0;
}

static int write_index(struct repair *r, struct err *err)
{
    size_t written;
    if (carry_files(r, err) != 0)
        return -1;
    if (r->writer == NULL)
        return 0;
    if (engine_check_stop(r->lock, err) != 0 || writer_flush(r->writer, err) != 0 || lock_prove(r->lock, err) != 0)
        return -1;
    writer_index_ids(r->writer, &written);
    r->result->index_written = written;
    return remove_files(r, err);
}

static void release(struct repair *r)
{
    writer_free(r->writer);
    codecs_free(r->codecs, r->threads);
    stored_files_release(&r->packs);
    stored_files_release(&r->files);
    id_map_release(&r->missing);
    free(r->packs_state);
    free(r->carried);
    free(r->proved);
    free(r->files_state);
    free(r->ask);
    pthread_mutex_destroy(&r->mutex);
}

int repair_index_run(struct repo *repo, struct lock *lock, const struct repair_index_options *options,
                     const struct repair_reporter *reporter, struct engine_progress *progress,
                     struct repair_index_result *out, struct err *err)
{
    *out = (struct repair_index_result){0};
    struct repair r = {
        .repo = repo,
        .lock = lock,
        .options = options,
        .reporter = reporter,
        .progress = progress,
        .result = out,
        .threads = parallel_threads(repo),
        .mutex = PTHREAD_MUTEX_INITIALIZER,
    };
    bool had_index = repo->index != NULL;
    if (!had_index) { /* the writer notes there where blobs lie that it stores */
        repo->index = index_new();
        index_seal(repo->index);
    }
    int rc = repo_check_writable(repo, err);
    if (rc == 0)
        rc = codecs_new(&r.codecs, repo, r.threads, err);
    if (rc == 0 && !options->dry_run)
        rc = (r.writer = writer_new(repo, false, err)) == NULL ? -1 : 0;
    if (r.writer != NULL)
        writer_set_lock(r.writer, lock);
    if (rc == 0)
        rc = list_all(&r, err);
    if (rc == 0)
        rc = scan_files(&r, err);
    if (rc == 0 && options->read_data)
        rc = prove_packs(&r, err);
    if (rc == 0)
        rc = ask_packs(&r, err);
    if (rc == 0)
        rc = write_index(&r, err);
    release(&r);
    if (!had_index) {
        index_free(repo->index);
        repo->index = NULL;
    }
    return rc;
}
