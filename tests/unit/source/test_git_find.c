#include "source/git.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include "source/git_fixture.h"

/* What is found at and below the names, relative to the fixture, a line each; then notes. The caller frees it. */
static char *find(const struct git_fixture *f, const char *const *names, enum err_code expected)
{
    struct strlist paths = {0}, found = {0}, notes = {0};
    struct err err = {0};
    struct buf b;
    buf_init(&b, 1 << 20);
    for (; *names != NULL; names++) {
        char *path = fixture_path(f, *names);
        strlist_add(&paths, path);
        free(path);
    }
    git_find(&paths, &found, &notes, &err);
    assert_int_equal(err.code, expected);
    for (size_t i = 0; i < found.count; i++)
        buf_printf(&b, "%s\n", found.items[i] + strlen(f->root) + 1);
    for (size_t i = 0; i < notes.count; i++)
        buf_printf(&b, "note: %s\n", notes.items[i]);
    char *text = mem_strdup(buf_cstr(&b));
    buf_release(&b);
    strlist_release(&paths);
    strlist_release(&found);
    strlist_release(&notes);
    return text;
}

static void assert_found(const struct git_fixture *f, const char *const *names, const char *expected)
{
    char *text = find(f, names, ERR_NONE);
    assert_string_equal(text, expected);
    free(text);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_git_find__repositories_bare_ones_and_nested_ones(void **state)
{
    struct git_fixture *f = *state;
    script(f, "git init -q a; git init -q a/deep/er/b; git init -q --bare c.git; mkdir plain; echo x > plain/x; "
              "mkdir -p fake/refs fake/objects; ln -s a link");
    assert_found(f, NAMES(""), "a\na/deep/er/b\nc.git\n");
    assert_found(f, NAMES("a", "a/deep", "c.git", "c.git"), "a\na/deep/er/b\nc.git\n");
    assert_found(f, NAMES("plain"), "");
    assert_found(f, NAMES("link"), "a\na/deep/er/b\n");
}

static void test_git_find__submodules_checked_out_or_not(void **state)
{
    struct git_fixture *f = *state;
    script(
        f,
        "git init -q lib; git -C lib commit -q --allow-empty -m x; git init -q top; cd top; git submodule --quiet add "
        "../lib one; git submodule --quiet add ../lib dir/two; git commit -qm modules; git submodule --quiet deinit "
        "-f one");
    assert_found(f, NAMES("top"), "top\ntop/.git/modules/one\ntop/dir/two\n");
}

static void test_git_find__a_worktree_leads_to_its_main_repository_once(void **state)
{
    struct git_fixture *f = *state;
    script(f,
           "mkdir in out; git init -q out/main; cd out/main; git commit -q --allow-empty -m x; git worktree add -q "
           "../../in/one; git worktree add -q ../../in/two; cd ../..; git init -q --bare out/bare.git; git -C out/main "
           "push -q ../bare.git main; git -C out/bare.git worktree add -q ../../in/three main");
    assert_found(f, NAMES("in"), "out/bare.git\nout/main\n");
    assert_found(f, NAMES("in", "out"), "out/bare.git\nout/main\n");
}

static void test_git_find__a_separate_git_dir_is_the_working_trees(void **state)
{
    struct git_fixture *f = *state;
    script(f, "git init -q --separate-git-dir=meta tree");
    assert_found(f, NAMES("tree"), "tree\n");
}

static void test_git_find__says_what_leads_nowhere(void **state)
{
    struct git_fixture *f = *state;
    script(f, "mkdir broken empty; echo 'gitdir: /nowhere' > broken/.git; mkdir empty/.git");
    char *text = find(f, NAMES(""), ERR_NONE);
    assert_contains(text, "broken': its .git leads to none");
    assert_contains(text, "empty': its .git leads to none");
    free(text);
}

static void test_git_find__a_path_that_is_not_there_is_an_error(void **state)
{
    struct git_fixture *f = *state;
    char *text = find(f, NAMES("nowhere"), ERR_NOT_FOUND);
    assert_string_equal(text, "");
    free(text);
}

static void test_git_find__is_repository(void **state)
{
    struct git_fixture *f = *state;
    script(f, "git init -q a; mkdir a/sub plain");
    char *a = fixture_path(f, "a"), *sub = fixture_path(f, "a/sub"), *dot = fixture_path(f, "a/.git");
    assert_true(git_is_repository(a));
    assert_true(git_is_repository(dot));
    assert_false(git_is_repository(sub));
    free(a);
    free(sub);
    free(dot);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_git_find__repositories_bare_ones_and_nested_ones),
        TEST(test_git_find__submodules_checked_out_or_not),
        TEST(test_git_find__a_worktree_leads_to_its_main_repository_once),
        TEST(test_git_find__a_separate_git_dir_is_the_working_trees),
        TEST(test_git_find__says_what_leads_nowhere),
        TEST(test_git_find__a_path_that_is_not_there_is_an_error),
        TEST(test_git_find__is_repository),
    };
    return cmocka_run_group_tests_name("git_find", tests, NULL, NULL);
}
