/* What the files that write a first clawback.yaml share: setup_yaml.c, setup_watch.c. */
#pragma once
#include "run/setup.h"

/* What a comment can hold: no line breaks. */
void setup_comment_text(struct buf *out, const char *text);
/* "~/x" for what lies below the user's home (NULL: not known), as a YAML scalar. */
void setup_path(const char *path, const char *user_home, struct buf *out);
/* setup_watch.c */
void setup_render_watch(const struct setup_telegram *t, const char *user_home, struct buf *out);
