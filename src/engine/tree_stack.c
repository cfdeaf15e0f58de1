#include "engine/tree_stack.h"

#include <stdlib.h>

#include "base/mem.h"

void tree_stack_init(struct tree_stack *s)
{
    *s = (struct tree_stack){0};
    buf_init(&s->path, SIZE_MAX / 2);
}

void tree_stack_release(struct tree_stack *s)
{
    while (s->depth > 0)
        tree_stack_pop(s);
    free(s->frames);
    buf_release(&s->path);
}

const char *tree_stack_path(struct tree_stack *s, const char *name, size_t name_len)
{
    s->path.len = tree_stack_top(s)->path_len;
    if (s->path.len != 1)
        buf_append_byte(&s->path, '/');
    buf_append(&s->path, name, name_len);
    return buf_cstr(&s->path);
}

const char *tree_stack_dir(struct tree_stack *s)
{
    s->path.len = tree_stack_top(s)->path_len;
    return buf_cstr(&s->path);
}

int tree_stack_push(struct tree_stack *s, struct repo *r, struct codec *c, const struct id *tree, const char *name,
                    size_t name_len, struct err *err)
{
    struct tree_frame f = {.id = *tree};
    buf_init(&f.json, TREE_MAX_BYTES);
    if (repo_load_tree(r, c, tree, &f.json, &f.tree, err) != 0) {
        buf_release(&f.json);
        return -1;
    }
    if (s->depth == 0) {
        buf_clear(&s->path);
        buf_append_byte(&s->path, '/');
    } else {
        tree_stack_path(s, name, name_len);
    }
    f.path_len = s->path.len;
    if (s->depth == s->cap) {
        s->cap = s->cap == 0 ? 16 : s->cap * 2;
        s->frames = mem_array(s->frames, s->cap, sizeof *s->frames);
    }
    s->frames[s->depth++] = f;
    return 0;
}

void tree_stack_pop(struct tree_stack *s)
{
    struct tree_frame *f = &s->frames[--s->depth];
    tree_release(&f->tree);
    buf_release(&f->json);
}
