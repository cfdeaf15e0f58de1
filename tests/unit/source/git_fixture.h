/* For tests of the git source: repositories made by the stock git, by shell scripts in a directory of their own. */
#pragma once
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/process.h"
#include "source/git.h"
#include "source/directory_sink.h"

struct git_fixture {
    char root[64];
};

/* Runs a script in the directory; its output (an error of the script fails the test). The caller frees it. */
static inline char *script_output(const struct git_fixture *f, const char *script)
{
    char program[] = "/bin/bash", option[] = "-ec", *copy = mem_strdup(script);
    struct err err = {0};
    struct buf b;
    char *argv[] = {program, option, copy, NULL};
    buf_init(&b, 64 << 20);
    if (process_run(&(struct process_options){.argv = argv, .directory = f->root}, &b, &err) != 0)
        fail_msg("%s\n%s", script, err.message);
    char *text = mem_strdup(buf_cstr(&b));
    buf_release(&b);
    free(copy);
    return text;
}

static inline void script(const struct git_fixture *f, const char *text)
{
    free(script_output(f, text));
}

static inline void assert_script(const struct git_fixture *f, const char *text, const char *expected)
{
    char *output = script_output(f, text);
    assert_string_equal(output, expected);
    free(output);
}

static inline char *fixture_path(const struct git_fixture *f, const char *name)
{
    return mem_printf("%s/%s", f->root, name);
}

static int fixture_setup(void **state)
{
    struct git_fixture *f = mem_zalloc(sizeof *f);
    signal(SIGPIPE, SIG_IGN);
    snprintf(f->root, sizeof f->root, "/tmp/clawback-git-test-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    assert_int_equal(chmod(f->root, 0755), 0);
    setenv("HOME", f->root, 1); /* nobody's own settings */
    setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("GIT_CONFIG_GLOBAL");
    unsetenv("GIT_SSH_COMMAND");
    unsetenv("GIT_SSH");
    setenv("TMPDIR", f->root, 1);
    script(f, "git config --global user.name x; git config --global user.email x@x; git config --global "
              "protocol.file.allow always; git config --global init.defaultBranch main; git config --global gc.auto 0; "
              "git config --global advice.detachedHead false");
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct git_fixture *f = *state;
    char *command = mem_printf("chmod -R u+rwX %s; rm -rf %s", f->root, f->root);
    const struct git_fixture outside = {"/tmp"};
    script(&outside, command);
    free(command);
    free(f);
    return 0;
}

/* ---- capturing */

struct captured {
    int rc;
    struct err err;
    char *reports;
    unsigned attempts;
    uint64_t fingerprint;
};

/* Captures the repository `name` into the (new) directory `to`. `tweak`: NULL, or changes the sink before. */
static inline struct captured capture_with(const struct git_fixture *f, const char *name, const char *to,
                                           void (*tweak)(struct directory_sink *d))
{
    struct captured c = {0};
    struct source *s = NULL;
    struct directory_sink d;
    char *path = fixture_path(f, name), *out = fixture_path(f, to);
    assert_int_equal(mkdir(out, 0755), 0);
    directory_sink_make(&d, out);
    if (tweak != NULL)
        tweak(&d);
    c.rc = git_source_new(&s, &(struct git_options){.path = path, .timeout_ms = 120000}, &c.err);
    if (c.rc == 0)
        c.rc = source_push(s, &d.sink, &d.reporter, &c.err);
    source_free(s);
    c.reports = mem_strdup(buf_cstr(&d.reports));
    c.attempts = d.most_attempts;
    c.fingerprint = d.fingerprint;
    buf_release(&d.reports);
    free(path);
    free(out);
    return c;
}

/* A capture that must succeed without a word; `to` is then what was stored of the repository. */
static inline uint64_t capture(const struct git_fixture *f, const char *name, const char *to)
{
    struct captured c = capture_with(f, name, to, NULL);
    if (c.rc != 0)
        fail_msg("%s", c.err.message);
    assert_string_equal(c.reports, "");
    free(c.reports);
    char *flatten = mem_printf("mv %s %s.tmp; mv %s.tmp/git%s/%s %s; rm -r %s.tmp", to, to, to, f->root, name, to, to);
    script(f, flatten);
    free(flatten);
    return c.fingerprint;
}

/* Captures what cannot be captured; the message. The caller frees it. */
static inline char *capture_fails(const struct git_fixture *f, const char *name, const char *to, enum err_code *code)
{
    struct captured c = capture_with(f, name, to, NULL);
    char *message = c.rc != 0 ? mem_strdup(c.err.message) : mem_strdup(c.reports);
    if (c.rc == 0 && *c.reports == '\0')
        fail_msg("the capture of '%s' did not fail", name);
    if (code != NULL)
        *code = c.err.code;
    free(c.reports);
    return message;
}

static inline void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("'%s' has no '%s'", text, part);
}
