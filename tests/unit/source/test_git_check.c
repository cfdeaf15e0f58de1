/* git_fsck and git_health; how damage is told is in test_git_faults.c. */
#include "source/git.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "source/git_fixture.h"

/* One line of what git_health says of "r". The caller frees it. */
static char *describe(const struct git_fixture *f, const char *name)
{
    struct git_health h;
    struct err err = {0};
    char *path = fixture_path(f, name);
    if (git_health(path, 60000, &h, &err) != 0)
        fail_msg("%s", err.message);
    char *remotes = strlist_join(&h.remotes, ",");
    char *text =
        mem_printf("%s%s%s%s%s%s; conflicts %zu staged %zu modified %zu untracked %zu; %s", h.bare ? "bare " : "",
                   h.shallow ? "shallow " : "", h.empty ? "empty " : "", h.detached ? "detached" : h.branch,
                   h.in_progress != NULL ? " in " : "", h.in_progress != NULL ? h.in_progress : "", h.conflicts,
                   h.staged, h.modified, h.untracked, remotes);
    assert_true(h.detached == (h.branch == NULL));
    git_health_release(&h);
    git_health_release(&h); /* nothing any more */
    free(remotes);
    free(path);
    return text;
}

static void assert_health(const struct git_fixture *f, const char *name, const char *expected)
{
    char *text = describe(f, name);
    assert_string_equal(text, expected);
    free(text);
}

#define CLEAN "; conflicts 0 staged 0 modified 0 untracked 0; "

static void test_git_health__counts_files(void **state)
{
    struct git_fixture *f = *state;
    script(f, "git init -q r; cd r; for i in 1 2 3 4; do echo $i > $i; done; git add .; git commit -qm 1; git remote "
              "add origin x; git "
              "remote add backup y; echo x > 1; echo x > 2; git add 2; rm 3; mkdir d; echo u > d/u; echo u > d/v; echo "
              "i > i; echo i > "
              ".git/info/exclude");
    assert_health(f, "r", "main; conflicts 0 staged 1 modified 2 untracked 2; backup,origin");
}

static void test_git_health__kinds_of_repositories(void **state)
{
    struct git_fixture *f = *state;
    script(f, "git init -q r; git init -q --bare b.git; cd r; git commit -q --allow-empty -m 1; git commit -q "
              "--allow-empty -m 2; git "
              "checkout -q --detach; cd ..; git init -q e; git clone -q --depth 1 file://$PWD/r s; git -C r worktree "
              "add -q ../w main");
    assert_health(f, "r", "detached" CLEAN);
    assert_health(f, "e", "empty main" CLEAN);
    assert_health(f, "b.git", "bare empty main" CLEAN);
    assert_health(f, "s", "shallow main" CLEAN "origin");
    assert_health(f, "w", "detached" CLEAN);         /* its main repository */
    script(f, "cd r; git checkout -q --orphan new"); /* no commit here, but elsewhere */
    assert_health(f, "r", "new" CLEAN);
}

static void test_git_health__what_is_under_way(void **state)
{
    struct git_fixture *f = *state;
    script(f, "git init -q r; cd r; echo a > f; git add f; git commit -qm a; git checkout -qb o; echo b > f; git "
              "commit -qam b; git "
              "checkout -q main; echo c > f; git commit -qam c");
    static const char *const begun[][3] = {
        {"git merge -q o", "main in merge; conflicts 1 staged 0 modified 0 untracked 0; ", "git merge --abort"},
        {"git cherry-pick o", "main in cherry-pick; conflicts 1 staged 0 modified 0 untracked 0; ",
         "git cherry-pick --abort"},
        {"git rebase -q o", "detached in rebase; conflicts 1 staged 0 modified 0 untracked 0; ", "git rebase --abort"},
        {"git revert HEAD~1", "main in revert; conflicts 1 staged 0 modified 0 untracked 0; ", "git revert --abort"},
        {"git bisect start", "main in bisect" CLEAN, "git bisect reset"},
        {"git format-patch -1 --stdout o | git am -q", "main in am" CLEAN, "git am --abort"},
    };
    for (size_t i = 0; i < sizeof begun / sizeof begun[0]; i++) {
        char *begin = mem_printf("cd r; %s >/dev/null 2>&1 || true", begun[i][0]);
        char *end = mem_printf("cd r; %s >/dev/null 2>&1; git status -s", begun[i][2]);
        script(f, begin);
        assert_health(f, "r", begun[i][1]);
        assert_script(f, end, "");
        free(begin);
        free(end);
    }
    assert_health(f, "r", "main" CLEAN);
}

static void test_git_health__of_nothing_and_of_what_git_cannot_read(void **state)
{
    struct git_fixture *f = *state;
    struct git_health h;
    struct err err = {0};
    script(f, "git init -q r; echo '[bad' > r/.git/config; mkdir none");
    char *path = fixture_path(f, "r"), *none = fixture_path(f, "none");
    assert_int_equal(git_health(path, 60000, &h, &err), -1);
    assert_contains(err.message, "config");
    assert_int_equal(git_health(none, 60000, &h, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(git_fsck(none, 60000, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    script(f, "rm -r r; git init -q r; cd r; echo 1 > f; git add f; git commit -qm 1; echo x > .git/index");
    assert_int_equal(git_health(path, 60000, &h, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_contains(err.message, "git cannot work with the repository '");
    git_health_release(&h);
    free(path);
    free(none);
}

static void test_git_fsck__is_bounded_in_time(void **state)
{
    struct git_fixture *f = *state;
    struct err err = {0};
    script(f, "git init -q r; mkdir bin; printf '#!/bin/sh\\nexec sleep 100\\n' > bin/git; chmod +x bin/git");
    char *path = fixture_path(f, "r"), *old = mem_strdup(getenv("PATH")), *new = mem_printf("%s/bin:%s", f->root, old);
    setenv("PATH", new, 1);
    assert_int_equal(git_fsck(path, 300, &err), -1);
    setenv("PATH", old, 1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_contains(err.message, "'git fsck' took too long");
    assert_int_equal(git_fsck(path, 60000, &err), 0);
    free(path);
    free(old);
    free(new);
}

/* As when a repack is under way. */
static void test_git_fsck__damage_must_be_found_twice(void **state)
{
    struct git_fixture *f = *state;
    struct err err = {0};
    script(f, "git init -q r; mkdir bin; printf '#!/bin/sh\\nn=$(cat %s/n); echo $((n + 1)) > %s/n; [ $n -ge $(cat "
              "%s/bad) ] && exit 0; "
              "echo missing blob $n; exit 2\\n' $PWD $PWD $PWD > bin/git; chmod +x bin/git; echo 0 > n; echo 2 > bad");
    char *path = fixture_path(f, "r"), *old = mem_strdup(getenv("PATH")), *new = mem_printf("%s/bin:%s", f->root, old);
    setenv("PATH", new, 1);
    assert_int_equal(git_fsck(path, 60000, &err), 0);
    assert_script(f, "cat n; echo 0 > n; echo 99 > bad", "3\n");
    assert_int_equal(git_fsck(path, 60000, &err), -1); /* always something else: it must be told in the end */
    setenv("PATH", old, 1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_script(f, "cat n", "4\n");
    free(path);
    free(old);
    free(new);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_git_health__counts_files),      TEST(test_git_health__kinds_of_repositories),
        TEST(test_git_health__what_is_under_way), TEST(test_git_health__of_nothing_and_of_what_git_cannot_read),
        TEST(test_git_fsck__is_bounded_in_time),  TEST(test_git_fsck__damage_must_be_found_twice),
    };
    return cmocka_run_group_tests_name("git_check", tests, NULL, NULL);
}
