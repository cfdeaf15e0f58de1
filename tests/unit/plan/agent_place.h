/*
 * A home directory for each test about an agent's home, with no variable set but HOME.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plan/home.h"
#include "store/scratch.h"

static char *home; /* without symlinks in it */

static inline int set_up(void **state)
{
    static const char *const VARIABLES[] = {"OPENCLAW_STATE_DIR", "OPENCLAW_CONFIG_PATH", "OPENCLAW_HOME",
                                            "OPENCLAW_PROFILE",   "CLAWDBOT_STATE_DIR",   "CLAWDBOT_CONFIG_PATH"};
    (void)state;
    for (size_t i = 0; i < sizeof VARIABLES / sizeof *VARIABLES; i++)
        unsetenv(VARIABLES[i]);
    char *made = scratch_make();
    home = realpath(made, NULL);
    free(made);
    setenv("HOME", home, 1);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    scratch_remove(home);
    return 0;
}

static inline char *in_home(const char *name)
{
    return os_path_join(home, name);
}

static inline void make_dir(const char *name)
{
    char *path = in_home(name);
    assert_int_equal(os_make_dirs(path, 0700, NULL), 0);
    free(path);
}

/* Writes a file below the home; '@' in the text stands for the home. */
static inline void make_file(const char *name, const char *text)
{
    char *dir = mem_strdup(name), *slash = strrchr(dir, '/');
    if (slash != NULL) {
        *slash = '\0';
        make_dir(dir);
    }
    free(dir);
    struct buf out;
    buf_init(&out, 1 << 20);
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '@')
            buf_append_str(&out, home);
        else
            buf_append_byte(&out, (unsigned char)*p);
    }
    scratch_write(home, name, out.data, out.len);
    buf_release(&out);
}

static inline void make_symlink(const char *target, const char *name)
{
    char *from = in_home(target), *at = in_home(name);
    assert_int_equal(symlink(from, at), 0);
    free(from);
    free(at);
}

static inline void set_variable(const char *name, const char *below_home)
{
    char *path = in_home(below_home);
    setenv(name, path, 1);
    free(path);
}

static inline struct agent_home find(void)
{
    struct agent_home h;
    struct err err = {0};
    if (agent_home_find(&h, &err) != 0)
        fail_msg("%s", err.message);
    return h;
}
