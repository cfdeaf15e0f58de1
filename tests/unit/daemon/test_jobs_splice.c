/*
 * Random documents in random layouts, random changes: the result means what was asked for, and of the text nothing else
 * has changed. The seed is printed when something is wrong; JOBS_SPLICE_ROUNDS=N makes more of it.
 */
#include "daemon/jobs_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "daemon/jobs_text.h"
#include "store/scratch.h"

enum { ROUNDS = 1500, ENTRIES_MAX = 5, NOW = 424242 };

static char *dir, *path;
static uint64_t seed;

static unsigned below(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

/* --- a generator of documents --- */

struct maker {
    struct buf *out;
    unsigned comments;
    const char *newline;
    unsigned wild; /* 0: as a program writes it; more: as people do */
};

static void put_space(struct maker *m, unsigned depth)
{
    unsigned kind = m->wild == 0 ? 0 : below(8);
    if (kind == 1) {
        buf_append_byte(m->out, ' ');
    } else if (kind == 2 || kind == 3) {
        buf_append_str(m->out, m->newline);
        for (unsigned i = 0; i < depth; i++)
            buf_append_str(m->out, kind == 2 ? "  " : "\t");
    } else if (kind == 4 && m->wild > 1) {
        buf_printf(m->out, " // c%u \"{[,%s", m->comments++, m->newline);
    } else if (kind == 5 && m->wild > 1) {
        buf_printf(m->out, "/* c%u ]}, %s*/", m->comments++, below(2) ? m->newline : "");
    }
}

static void put_value(struct maker *m, unsigned depth);

static void put_string(struct maker *m)
{
    static const char *const WORDS[] = {
        "\"x\"", "'it\\'s'", "\"a\\\"b, ]}\"", "\"// no comment\"", "\"\\u00e9\xC3\xA9\"", "'\\\n'"};
    buf_append_str(m->out, WORDS[below(m->wild > 0 ? 6 : 3)]);
}

static void put_end(struct maker *m, unsigned depth, bool any)
{
    if (any && m->wild > 0 && below(4) == 0) {
        put_space(m, depth);
        buf_append_byte(m->out, ',');
    }
    put_space(m, depth);
}

static void put_list(struct maker *m, unsigned depth)
{
    unsigned count = below(3);
    buf_append_byte(m->out, '[');
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            buf_append_byte(m->out, ',');
        put_space(m, depth + 1);
        put_value(m, depth + 1);
        put_space(m, depth + 1);
    }
    put_end(m, depth, count > 0);
    buf_append_byte(m->out, ']');
}

static void put_key(struct maker *m, const char *key, unsigned depth)
{
    static const char *const QUOTES[] = {"\"", "'", ""};
    const char *quote = QUOTES[m->wild > 0 ? below(3) : 0];
    put_space(m, depth);
    buf_printf(m->out, "%s%s%s", quote, key, quote);
    put_space(m, depth);
    buf_append_byte(m->out, ':');
    put_space(m, depth);
}

static void put_object(struct maker *m, unsigned depth)
{
    unsigned count = below(3);
    buf_append_byte(m->out, '{');
    for (unsigned i = 0; i < count; i++) {
        char key[8];
        snprintf(key, sizeof key, "m%u", i);
        if (i > 0)
            buf_append_byte(m->out, ',');
        put_key(m, key, depth + 1);
        put_value(m, depth + 1);
        put_space(m, depth + 1);
    }
    put_end(m, depth, count > 0);
    buf_append_byte(m->out, '}');
}

static void put_value(struct maker *m, unsigned depth)
{
    static const char *const SCALARS[] = {"0", "-17", "true", "false", "null", "1.5e3"};
    unsigned kind = below(depth < 6 ? 5 : 3);
    if (kind == 3)
        put_list(m, depth);
    else if (kind == 4)
        put_object(m, depth);
    else if (kind == 2)
        put_string(m);
    else
        buf_append_str(m->out, SCALARS[below(6)]);
}

static void put_entry(struct maker *m, unsigned number)
{
    static const char *const MEMBERS[] = {"enabled", "updatedAtMs", "state", "name", "mystery", "payload", "retry"};
    unsigned used = 0;
    bool any = false;
    buf_append_byte(m->out, '{');
    unsigned id_at = below(7);
    for (unsigned i = 0; i < 7; i++) {
        if (i == id_at) {
            if (any)
                buf_append_byte(m->out, ',');
            put_key(m, "id", 2);
            buf_printf(m->out, "\"j%u\"", number);
            put_space(m, 2);
            any = true;
        }
        unsigned member = below(7);
        if (below(2) == 0 || (used & 1u << member))
            continue;
        used |= 1u << member;
        if (any)
            buf_append_byte(m->out, ',');
        put_key(m, MEMBERS[member], 2);
        if (member == 2 && below(3) > 0)
            put_object(m, 2);
        else
            put_value(m, 2);
        put_space(m, 2);
        any = true;
    }
    put_end(m, 1, true);
    buf_append_byte(m->out, '}');
}

static unsigned make_document(struct buf *out)
{
    struct maker m = {.out = out, .newline = below(4) == 0 ? "\r\n" : "\n", .wild = below(3)};
    unsigned count = below(ENTRIES_MAX + 1);
    bool bare = below(2) == 0;
    put_space(&m, 0);
    if (!bare) {
        buf_append_byte(out, '{');
        put_key(&m, "jobs", 1);
    }
    buf_append_byte(out, '[');
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            buf_append_byte(out, ',');
        put_space(&m, 1);
        put_entry(&m, i);
        put_space(&m, 1);
    }
    put_end(&m, 0, count > 0);
    buf_append_byte(out, ']');
    put_space(&m, 0);
    if (!bare)
        buf_append_byte(out, '}');
    put_space(&m, 0);
    return count;
}

/* --- what must have become of it --- */

static json_t *meaning(const struct buf *text)
{
    struct jobs_text t;
    struct err err = {0};
    if (jobs_text_parse(&t, (const char *)text->data, text->len, &err) != 0)
        fail_msg("%s\n%.*s", err.message, (int)text->len, (const char *)text->data);
    json_t *value = jobs_text_json(&t, jobs_text_root(&t));
    jobs_text_release(&t);
    assert_non_null(value);
    return value;
}

static json_t *entries_of(json_t *document)
{
    return json_is_array(document) ? document : json_object_get(document, "jobs");
}

static json_t *entry_of(json_t *document, const char *id, size_t *index)
{
    json_t *list = entries_of(document);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_object_get(json_array_get(list, i), "id")), id) == 0) {
            *index = i;
            return json_array_get(list, i);
        }
    return NULL;
}

static void apply_change(json_t *entry, const struct jobs_change *c)
{
    const json_t *enabled = json_object_get(entry, "enabled");
    bool is_enabled = enabled == NULL || json_is_null(enabled) || json_is_true(enabled);
    if (c->set_enabled && is_enabled != c->enabled) {
        json_object_set_new(entry, "enabled", json_boolean(c->enabled));
        json_object_set_new(entry, "updatedAtMs", json_integer(NOW));
    }
    if (!c->set_state)
        return;
    if (!json_is_object(json_object_get(entry, "state")))
        json_object_set_new(entry, "state", json_object());
    json_t *state = json_object_get(entry, "state");
    json_object_set_new(state, "lastRunAtMs", json_integer(c->last_run_ms));
    json_object_set_new(state, "lastStatus", json_string(job_status_name(c->last_status)));
    json_object_set_new(state, "lastDurationMs", json_integer((json_int_t)c->last_duration_ms));
}

/* The text without the values that may change, and how many of them were there. */
static unsigned strip(const struct buf *text, const char *id, struct buf *out)
{
    static const char *const TOP[] = {"enabled", "updatedAtMs"}, *const STATE[] = {"lastRunAtMs", "lastStatus",
                                                                                   "lastDurationMs"};
    struct jobs_text t;
    const struct jobs_node *found[8];
    unsigned count = 0;
    size_t at = 0;
    assert_int_equal(jobs_text_parse(&t, (const char *)text->data, text->len, NULL), 0);
    const struct jobs_node *root = jobs_text_root(&t);
    const struct jobs_node *list = root->kind == JOBS_ARRAY ? root : jobs_text_member(&t, root, "jobs");
    for (const struct jobs_node *n = jobs_text_first(&t, list); n != NULL; n = jobs_text_next(&t, n)) {
        const struct jobs_node *name = jobs_text_member(&t, n, "id"), *state = jobs_text_member(&t, n, "state");
        if (name->end - name->start != strlen(id) + 2 || memcmp(t.text + name->start + 1, id, strlen(id)) != 0)
            continue;
        for (size_t i = 0; i < 2; i++)
            if ((found[count] = jobs_text_member(&t, n, TOP[i])) != NULL)
                count++;
        for (size_t i = 0; state != NULL && i < 3; i++)
            if ((found[count] = jobs_text_member(&t, state, STATE[i])) != NULL)
                count++;
        if (state != NULL && state->kind != JOBS_OBJECT)
            found[count++] = state;
    }
    for (;;) {
        const struct jobs_node *next = NULL;
        for (unsigned i = 0; i < count; i++)
            if (found[i]->start >= at && (next == NULL || found[i]->start < next->start))
                next = found[i];
        size_t stop = next != NULL ? next->start : text->len;
        buf_append(out, text->data + at, stop - at);
        if (next == NULL)
            break;
        at = next->end;
    }
    jobs_text_release(&t);
    return count;
}

/* Are the bytes of `small` in `large`, in their order? */
static bool is_subsequence(const struct buf *small, const struct buf *large)
{
    size_t i = 0;
    for (size_t k = 0; k < large->len && i < small->len; k++)
        i += small->data[i] == large->data[k];
    return i == small->len;
}

static void check_bytes(const struct buf *before, const struct buf *after, const char *id)
{
    struct buf a, b;
    buf_init(&a, 1 << 20);
    buf_init(&b, 1 << 20);
    /* Nothing was added: then it is the same but for these values. Else something stands between. */
    bool good = strip(before, id, &a) == strip(after, id, &b) ? a.len == b.len && memcmp(a.data, b.data, a.len) == 0
                                                              : is_subsequence(&a, &b);
    if (!good)
        fail_msg("seed %llu: other bytes changed\n%.*s\n---\n%.*s", (unsigned long long)seed, (int)before->len,
                 (const char *)before->data, (int)after->len, (const char *)after->data);
    buf_release(&a);
    buf_release(&b);
}

static void read_back(struct buf *out)
{
    buf_init(out, 16 << 20);
    assert_int_equal(os_read_file(path, out, NULL), 0);
    buf_cstr(out);
}

static void expect_meaning(const struct buf *before, const struct buf *after, const json_t *expected, uint64_t start)
{
    json_t *is = meaning(after);
    if (!json_equal(is, expected))
        fail_msg("seed %llu\n%.*s\n---\n%.*s", (unsigned long long)start, (int)before->len, (const char *)before->data,
                 (int)after->len, (const char *)after->data);
    json_decref(is);
}

/* --- rounds --- */

static void round_of_change(const struct buf *before, const char *id)
{
    struct jobs_change c = {.id = id,
                            .set_enabled = below(2) == 0,
                            .enabled = below(2) == 0,
                            .set_state = below(2) == 0,
                            .last_run_ms = 1 + below(100),
                            .last_status = (enum job_status)below(4),
                            .last_duration_ms = below(100)};
    uint64_t start = seed;
    struct err err = {0};
    struct buf after;
    size_t index;
    json_t *expected = meaning(before), *entry = entry_of(expected, id, &index);
    if (entry != NULL)
        apply_change(entry, &c);
    if (jobs_file_change(path, &c, 1, NOW, &err) != 0)
        fail_msg("seed %llu: %s\n%s", (unsigned long long)start, err.message, (const char *)before->data);
    read_back(&after);
    expect_meaning(before, &after, expected, start);
    check_bytes(before, &after, id);
    json_decref(expected);
    buf_release(&after);
}

static void round_of_remove(const struct buf *before, const char *id)
{
    uint64_t start = seed;
    struct err err = {0};
    struct buf after;
    size_t index;
    json_t *expected = meaning(before);
    bool there = entry_of(expected, id, &index) != NULL;
    if (there)
        json_array_remove(entries_of(expected), index);
    if ((jobs_file_remove(path, id, &err) == 0) != there)
        fail_msg("seed %llu: %s\n%s", (unsigned long long)start, err.message, (const char *)before->data);
    read_back(&after);
    expect_meaning(before, &after, expected, start);
    assert_true(is_subsequence(&after, before));
    json_decref(expected);
    buf_release(&after);
}

static void round_of_put(const struct buf *before, const char *id)
{
    uint64_t start = seed;
    struct err err = {0};
    struct buf after;
    size_t index;
    char *text = mem_printf("{\"id\": \"%s\", \"schedule\": {\"kind\": \"every\", \"everyMs\": %u}, \"payload\": "
                            "{\"kind\": \"command\", \"argv\": [\"a\"]}%s}",
                            id, 1000 + below(5), below(2) ? ", \"name\": \"new\"" : "");
    json_t *expected = meaning(before), *entry = json_loads(text, 0, NULL), *old = entry_of(expected, id, &index);
    if (old != NULL) {
        static const char *const OWN[] = {"enabled", "name", "retry"};
        for (size_t i = 0; i < 3; i++)
            if (json_object_get(entry, OWN[i]) == NULL)
                json_object_del(old, OWN[i]);
        json_object_update(old, entry);
        json_object_set_new(old, "updatedAtMs", json_integer(NOW));
    } else {
        json_object_set_new(entry, "createdAtMs", json_integer(NOW));
        json_object_set_new(entry, "updatedAtMs", json_integer(NOW));
        json_array_append(entries_of(expected), entry);
    }
    if (jobs_file_put(path, text, NOW, &err) != 0)
        fail_msg("seed %llu: %s\n%s", (unsigned long long)start, err.message, (const char *)before->data);
    read_back(&after);
    expect_meaning(before, &after, expected, start);
    json_decref(expected);
    json_decref(entry);
    buf_release(&after);
    free(text);
}

static void test_jobs_splice__changes_what_was_asked_for_and_nothing_else(void **state)
{
    (void)state;
    const char *more = getenv("JOBS_SPLICE_ROUNDS");
    long rounds = more != NULL ? strtol(more, NULL, 10) : ROUNDS;
    for (long i = 0; i < rounds; i++) {
        char id[8];
        struct buf before;
        seed = (uint64_t)i * 0x9E3779B97F4A7C15u + 1;
        buf_init(&before, 1 << 20);
        unsigned count = make_document(&before);
        buf_cstr(&before);
        snprintf(id, sizeof id, "j%u", below(count + 1));
        FILE *f = fopen(path, "w");
        fwrite(before.data, 1, before.len, f);
        fclose(f);
        unsigned kind = below(4);
        if (kind == 0)
            round_of_remove(&before, id);
        else if (kind == 1)
            round_of_put(&before, id);
        else
            round_of_change(&before, id);
        buf_release(&before);
    }
}

static int set_up(void **state)
{
    (void)state;
    /* In memory where there is such a place: thousands of files are made durable. */
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    dir = scratch_make();
    path = jobs_file_default(dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(path);
    scratch_remove(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_jobs_splice__changes_what_was_asked_for_and_nothing_else, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
