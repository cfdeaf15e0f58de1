/* What the SQLite tests share: running SQL, taking a copy, and looking into it. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/err.h"
#include "base/mem.h"
#include "source/sqlite.h"

struct image {
    unsigned char *bytes;
    size_t len;
    uint32_t page_bytes;
};

static inline void sql_ok(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    int rc;
    do {
        sqlite3_free(message);
        rc = sqlite3_exec(db, sql, NULL, NULL, &message);
    } while (rc == SQLITE_BUSY);
    if (rc != SQLITE_OK) {
        fprintf(stderr, "# %s: %s\n", sql, message);
        abort();
    }
}

static inline sqlite3 *sql_open(const char *path)
{
    sqlite3 *db;
    if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_busy_timeout(db, 20000) != SQLITE_OK)
        abort();
    return db;
}

/* The first column of the first row, as a number. */
static inline long long sql_number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_ROW) {
        fprintf(stderr, "# %s: %s\n", sql, sqlite3_errmsg(db));
        abort();
    }
    long long n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return n;
}

/* Reads a capture to its end in pieces of `step` bytes, pausing after each for pause_us, and closes it. 0 or -1. */
static inline int image_read(struct sqlite_capture *c, size_t step, useconds_t pause_us, struct image *out,
                             struct err *err)
{
    size_t len = (size_t)sqlite_capture_bytes(c), at = 0;
    int64_t n;
    out->bytes = mem_alloc(len + 1);
    out->len = len;
    out->page_bytes = sqlite_capture_page_bytes(c);
    while ((n = sqlite_capture_read(c, out->bytes + at, step < len - at ? step : len - at + 1, err)) > 0) {
        at += (size_t)n;
        if (pause_us > 0)
            usleep(pause_us);
    }
    int rc = n < 0 ? -1 : sqlite_capture_verify(c, err);
    if (rc == 0)
        assert_int_equal(at, len);
    else
        free(out->bytes);
    sqlite_capture_close(c);
    return rc;
}

/* A copy that must succeed. */
static inline struct image image_take(const char *path, size_t step)
{
    struct sqlite_capture *c;
    struct image image = {0};
    struct err err = {0};
    if (sqlite_capture_open(&c, path, 2000, &err) != 0 || image_read(c, step, 0, &image, &err) != 0)
        fail_msg("%s", err.message);
    return image;
}

/* Opens an image as a database. It takes the bytes over. */
static inline sqlite3 *image_open(struct image *image)
{
    sqlite3 *db;
    /* A database in memory cannot be in WAL mode: say that it is not. */
    image->bytes[18] = image->bytes[19] = 1;
    unsigned char *copy = sqlite3_malloc64(image->len);
    if (copy == NULL || sqlite3_open(":memory:", &db) != SQLITE_OK)
        abort();
    memcpy(copy, image->bytes, image->len);
    free(image->bytes);
    image->bytes = NULL;
    int rc = sqlite3_deserialize(db, "main", copy, (sqlite3_int64)image->len, (sqlite3_int64)image->len,
                                 SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_READONLY);
    if (rc != SQLITE_OK)
        fail_msg("image does not open: %s", sqlite3_errmsg(db));
    return db;
}

static inline bool image_is_sound(sqlite3 *db)
{
    sqlite3_stmt *stmt;
    bool sound = sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL) == SQLITE_OK &&
                 sqlite3_step(stmt) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") == 0;
    if (!sound)
        fprintf(stderr, "# integrity check: %s\n", sqlite3_errmsg(db));
    sqlite3_finalize(stmt);
    return sound;
}

/* Takes a copy, checks it, and returns a number from it. */
static inline long long image_number(const char *path, const char *sql)
{
    struct image image = image_take(path, 50000);
    sqlite3 *db = image_open(&image);
    assert_true(image_is_sound(db));
    long long n = sql_number(db, sql);
    sqlite3_close(db);
    return n;
}
