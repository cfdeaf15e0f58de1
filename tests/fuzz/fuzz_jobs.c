/* jobs.json: reading it, the other reader of JSON5 as a witness, and changes to any text that can be read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/jobs_document.h"
#include "daemon/jobs_edit.h"
#include "daemon/jobs_file.h"
#include "plan/json5.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 5. is whole for one and has a fraction for the other. */
static bool same_value(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_array(a)) {
        json_array_foreach(a, i, value) if (!same_value(value, json_array_get(b, i))) return false;
        return json_array_size(a) == json_array_size(b);
    }
    if (!json_is_object(a))
        return json_equal(a, b);
    json_object_foreach((json_t *)(uintptr_t)a, key, value)
    {
        const json_t *other = json_object_get(b, key);
        if (other == NULL || !same_value(value, other))
            return false;
    }
    return json_object_size(a) == json_object_size(b);
}

/* What both can read means the same to both. */
static void compare_readers(const struct jobs_text *t)
{
    struct buf plain;
    buf_init(&plain, (size_t)64 << 20);
    json_t *ours = jobs_text_json(t, jobs_text_root(t)), *theirs = NULL;
    if (ours != NULL && json5_to_json(t->text, t->len, &plain, NULL) == 0)
        theirs = json_loadb(buf_cstr(&plain), plain.len, JSON_DECODE_ANY, NULL);
    if (theirs != NULL && !same_value(ours, theirs))
        abort();
    json_decref(ours);
    json_decref(theirs);
    buf_release(&plain);
}

static void apply(struct jobs_edits *e, size_t size)
{
    struct buf out;
    struct err err = {0};
    buf_init(&out, size * 8 + 4096);
    if (jobs_edits_apply(e, &out, &err) != 0 && strstr(err.message, "too many values") == NULL)
        abort();
    buf_release(&out);
    jobs_edits_free(e);
}

/* Whatever can be read can be changed. */
static void change(const struct jobs_text *t, const struct jobs_node *entries)
{
    static char yes[] = "true", state[] = "{\"lastRunAtMs\": 1}", number[] = "1";
    const struct jobs_set sets[] = {{"enabled", yes}, {"updatedAtMs", number}, {"state", state}};
    struct jobs_edits *e = jobs_edits_new(t);
    for (const struct jobs_node *n = jobs_text_first(t, entries); n != NULL; n = jobs_text_next(t, n))
        if (n->kind == JOBS_OBJECT)
            jobs_edit_set(e, n, sets, 3);
    apply(e, t->len + (size_t)t->count * 100);
    e = jobs_edits_new(t);
    jobs_edit_append(e, entries, "{\n  \"id\": \"x\"\n}", "{\"id\": \"x\"}");
    apply(e, t->len);
    for (const struct jobs_node *n = jobs_text_first(t, entries); n != NULL; n = jobs_text_next(t, n)) {
        e = jobs_edits_new(t);
        jobs_edit_remove(e, entries, n);
        apply(e, t->len);
        if (t->count > 1000)
            break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jobs_text t;
    struct job_list jobs;
    struct jobs_report report;
    const struct jobs_node *entries;
    char *text = mem_copy(data, size);
    if (jobs_text_parse(&t, text, size, NULL) == 0) {
        compare_readers(&t);
        jobs_text_release(&t);
    }
    if (jobs_document_parse(text, size, &t, &entries, NULL) == 0) {
        change(&t, entries);
        jobs_text_release(&t);
    }
    jobs_parse(text, size, &jobs, &report, NULL);
    job_list_release(&jobs);
    jobs_report_release(&report);
    free(text);
    return 0;
}
