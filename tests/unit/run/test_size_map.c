/* Where the bytes are: nothing lost, nothing twice, little memory, the same of the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "run/size_map.h"

static void enter(struct size_map *m, const char *name)
{
    size_map_dir_begin(m, name, strlen(name));
}

static void put(struct size_map *m, const char *name, uint64_t bytes)
{
    size_map_entry(m, name, strlen(name), bytes);
}

static void free_paths(struct record_path *paths, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(paths[i].path);
    free(paths);
}

static uint64_t sum(const struct record_path *paths, size_t count)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += paths[i].bytes;
    return total;
}

static void test_size_map__names_heavy_files_and_directories(void **state)
{
    (void)state;
    struct size_map *m = size_map_new();
    enter(m, "home");
    enter(m, "me");
    put(m, "big.db", 5000000);
    enter(m, "logs");
    for (int i = 0; i < 100; i++)
        put(m, "x.log", 30000);
    put(m, "y.log", 800000);
    size_map_dir_end(m);
    put(m, "note", 10);
    enter(m, "small");
    put(m, "z", 50);
    size_map_dir_end(m);
    size_map_dir_end(m);
    size_map_dir_end(m);
    size_t count;
    struct record_path *paths = size_map_take(m, RECORD_PATHS_MAX, &count);
    assert_int_equal(count, 4);
    assert_string_equal(paths[0].path, "/home/me/big.db");
    assert_int_equal(paths[0].bytes, 5000000);
    assert_string_equal(paths[1].path, "/home/me/logs");
    assert_int_equal(paths[1].bytes, 3000000);
    assert_string_equal(paths[2].path, "/home/me/logs/y.log");
    /* the rest has the name of the directory where the tree begins to branch, not of "/" */
    assert_string_equal(paths[3].path, "/home/me");
    assert_int_equal(paths[3].bytes, 60);
    free_paths(paths, count);
    size_map_free(m);
}

static void test_size_map__of_nothing_is_nothing(void **state)
{
    (void)state;
    struct size_map *m = size_map_new();
    size_t count;
    free_paths(size_map_take(m, 40, &count), 0);
    assert_int_equal(count, 0);
    enter(m, "x");
    put(m, "empty", 0);
    size_map_dir_end(m);
    size_map_dir_end(m); /* one too many */
    free_paths(size_map_take(m, 40, &count), 0);
    assert_int_equal(count, 0);
    size_map_free(m);
    size_map_free(NULL);
}

static void test_size_map__has_one_file_at_the_top(void **state)
{
    (void)state;
    struct size_map *m = size_map_new();
    put(m, "dump", 77);
    size_t count;
    struct record_path *paths = size_map_take(m, 40, &count);
    assert_int_equal(count, 1);
    assert_string_equal(paths[0].path, "/dump");
    free_paths(paths, count);
    size_map_free(m);
}

static void test_size_map__keeps_to_the_most_that_is_asked_for(void **state)
{
    (void)state;
    struct size_map *m = size_map_new();
    enter(m, "d");
    for (int i = 0; i < 60; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%02d", i);
        put(m, name, 1000 + (uint64_t)i);
    }
    size_map_dir_end(m);
    size_t count;
    struct record_path *paths = size_map_take(m, 5, &count);
    assert_int_equal(count, 5);
    assert_string_equal(paths[0].path, "/d");
    assert_string_equal(paths[1].path, "/d/f59");
    assert_int_equal(sum(paths, count), 60000 + 59 * 30);
    free_paths(paths, count);
    size_map_free(m);
}

static void test_size_map__counts_what_is_very_deep(void **state)
{
    (void)state;
    enum { DEEP = SIZE_MAP_DEPTH_MAX + 1000 };
    struct size_map *m = size_map_new();
    for (int i = 0; i < DEEP; i++) {
        put(m, "f", 10);
        enter(m, "d");
    }
    put(m, "deepest", 1000000);
    for (int i = 0; i < DEEP; i++)
        size_map_dir_end(m);
    put(m, "top", 1000000);
    size_t count;
    struct record_path *paths = size_map_take(m, RECORD_PATHS_MAX, &count);
    assert_int_equal(sum(paths, count), 2000000 + DEEP * 10);
    assert_int_equal(strlen(paths[0].path), 2 * SIZE_MAP_DEPTH_MAX);
    free_paths(paths, count);
    size_map_free(m);
}

/* --- random trees */

static uint64_t random_state;
static uint32_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

/* Sizes as they are: a few are huge. */
static uint64_t random_size(void)
{
    uint64_t size = 1;
    for (uint32_t bits = next_random() % 30; bits > 0; bits--)
        size *= 2;
    return size + next_random() % 100;
}

static uint64_t fill(struct size_map *m, unsigned depth, unsigned *left)
{
    uint64_t total = 0;
    unsigned files = next_random() % 40, dirs = depth < 8 ? next_random() % 7 : 0;
    char name[32];
    for (unsigned i = 0; i < files; i++) {
        uint64_t size = random_size();
        snprintf(name, sizeof name, "f%u", i);
        put(m, name, size);
        total += size;
    }
    for (unsigned i = 0; i<dirs && * left> 0; i++) {
        --*left;
        snprintf(name, sizeof name, "d%u", i);
        enter(m, name);
        total += fill(m, depth + 1, left);
        size_map_dir_end(m);
    }
    return total;
}

static struct record_path *of_random_tree(uint64_t seed, size_t max, size_t *count, uint64_t *total)
{
    struct size_map *m = size_map_new();
    unsigned left = 2000;
    random_state = seed;
    *total = fill(m, 0, &left);
    struct record_path *paths = size_map_take(m, max, count);
    size_map_free(m);
    return paths;
}

static void test_size_map__loses_no_byte_of_any_tree_and_names_the_same_twice(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        size_t max = 1 + seed % RECORD_PATHS_MAX, count, again;
        uint64_t total, total_again;
        struct record_path *paths = of_random_tree(seed, max, &count, &total);
        struct record_path *same = of_random_tree(seed, max, &again, &total_again);
        assert_true(count <= max && count == again);
        assert_int_equal(sum(paths, count), total);
        for (size_t i = 0; i < count; i++) {
            assert_string_equal(paths[i].path, same[i].path);
            assert_int_equal(paths[i].bytes, same[i].bytes);
            assert_true(i == 0 || paths[i].bytes <= paths[i - 1].bytes);
            for (size_t k = 0; k < i; k++)
                assert_string_not_equal(paths[i].path, paths[k].path);
        }
        free_paths(paths, count);
        free_paths(same, again);
    }
}

/* A hundred thousand files of about the same size, and one that is as large as a tenth of them. */
static struct record_path *of_large_tree(uint64_t odd_bytes, size_t *count, uint64_t *total)
{
    struct size_map *m = size_map_new();
    char name[32];
    *total = 0;
    random_state = 4711;
    enter(m, "srv");
    for (unsigned d = 0; d < 1000; d++) {
        snprintf(name, sizeof name, "dir%03u", d);
        enter(m, name);
        for (unsigned f = 0; f < 100; f++) {
            uint64_t size = 9000 + next_random() % 2000;
            snprintf(name, sizeof name, "file%02u", f);
            if (d == 500 && f == 50)
                size = odd_bytes;
            put(m, name, size);
            *total += size;
        }
        size_map_dir_end(m);
    }
    size_map_dir_end(m);
    struct record_path *paths = size_map_take(m, RECORD_PATHS_MAX, count);
    size_map_free(m);
    return paths;
}

static void test_size_map__finds_the_one_that_grew_among_very_many(void **state)
{
    (void)state;
    size_t count, before_count;
    uint64_t total, before_total;
    struct record_path *before = of_large_tree(10000, &before_count, &before_total);
    struct record_path *paths = of_large_tree(100000000, &count, &total);
    assert_int_equal(sum(before, before_count), before_total);
    assert_int_equal(sum(paths, count), total);
    assert_string_equal(before[0].path, "/srv");
    bool found = false;
    for (size_t i = 0; i < count; i++)
        found = found || (strcmp(paths[i].path, "/srv/dir500/file50") == 0 && paths[i].bytes == 100000000);
    assert_true(found);
    free_paths(before, before_count);
    free_paths(paths, count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size_map__names_heavy_files_and_directories),
        cmocka_unit_test(test_size_map__of_nothing_is_nothing),
        cmocka_unit_test(test_size_map__has_one_file_at_the_top),
        cmocka_unit_test(test_size_map__keeps_to_the_most_that_is_asked_for),
        cmocka_unit_test(test_size_map__counts_what_is_very_deep),
        cmocka_unit_test(test_size_map__loses_no_byte_of_any_tree_and_names_the_same_twice),
        cmocka_unit_test(test_size_map__finds_the_one_that_grew_among_very_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
