#include "source/git.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include "source/git_fixture.h"

/* Pushes "work" to the remote; "NAME STATE WHY" of each ref, sorted, then the message if it failed. The caller frees
 * it. */
static char *push_with(const struct git_fixture *f, const char *remote, uint64_t timeout_ms, bool dry_run,
                       enum err_code expected)
{
    struct git_push_result r;
    struct err err = {0};
    struct strlist lines = {0};
    char *path = fixture_path(f, "work");
    int rc = git_push(&(struct git_push_options){path, remote, timeout_ms, dry_run}, &r, &err);
    if (err.code != expected)
        fail_msg("code %d instead of %d: %s", (int)err.code, (int)expected, err.message);
    assert_int_equal(rc, expected == ERR_NONE ? 0 : -1);
    size_t rejected = 0;
    for (size_t i = 0; i < r.count; i++) {
        char *line = mem_printf("%s %s%s%s", r.refs[i].name, git_push_state_name(r.refs[i].state),
                                r.refs[i].why != NULL ? ": " : "", r.refs[i].why != NULL ? r.refs[i].why : "");
        strlist_add(&lines, line);
        free(line);
        rejected += r.refs[i].state == GIT_PUSH_REJECTED;
    }
    assert_int_equal(r.rejected, rejected);
    git_push_result_release(&r);
    strlist_sort(&lines);
    if (rc != 0)
        strlist_add(&lines, err.message);
    char *text = strlist_join(&lines, "\n");
    strlist_release(&lines);
    free(path);
    return text;
}

static void assert_push(const struct git_fixture *f, const char *expected)
{
    char *text = push_with(f, "origin", 60000, false, ERR_NONE);
    assert_string_equal(text, expected);
    free(text);
}

static int remote_setup(void **state)
{
    int rc = fixture_setup(state);
    script(
        *state,
        "git init -q --bare remote.git; git init -q work; cd work; git remote add origin ../remote.git; git commit -q "
        "--allow-empty -m 1; git tag v1");
    return rc;
}

static void test_git_push__branches_and_tags_and_nothing_else(void **state)
{
    struct git_fixture *f = *state;
    script(f,
           "cd work; git branch 'ü/x'; git tag -a v2 -m two; git update-ref refs/private/x HEAD; git stash -q || true");
    assert_push(f, "refs/heads/main created\nrefs/heads/ü/x created\nrefs/tags/v1 created\nrefs/tags/v2 created");
    assert_push(
        f, "refs/heads/main up to date\nrefs/heads/ü/x up to date\nrefs/tags/v1 up to date\nrefs/tags/v2 up to date");
    script(f, "cd work; git commit -q --allow-empty -m 2");
    assert_push(f,
                "refs/heads/main updated\nrefs/heads/ü/x up to date\nrefs/tags/v1 up to date\nrefs/tags/v2 up to date");
    assert_script(f, "git -C remote.git for-each-ref --format='%(refname)'",
                  "refs/heads/main\nrefs/heads/ü/x\nrefs/tags/v1\nrefs/tags/v2\n");
}

static void test_git_push__never_forces_and_the_others_arrive(void **state)
{
    struct git_fixture *f = *state;
    assert_push(f, "refs/heads/main created\nrefs/tags/v1 created");
    script(f, "cd work; git fetch -q; git config remote.origin.push '+refs/heads/*:refs/heads/*'; git config "
              "push.default matching; "
              "git commit -q --amend --allow-empty -m other; git branch new; git tag -f v1 > /dev/null");
    char *text = push_with(f, "origin", 60000, false, ERR_FAILED);
    assert_contains(text, "refs/heads/main rejected: non-fast-forward\n");
    assert_contains(text, "refs/heads/new created\n");
    assert_contains(text, "refs/tags/v1 rejected: already exists\n");
    assert_contains(text, "'origin' rejected 2 of 3 refs of '");
    assert_contains(text, "'main' (non-fast-forward)");
    free(text);
    /* Commits that are not here are named in other words by git. */
    script(f,
           "git clone -q remote.git other; cd other; git commit -q --allow-empty -m theirs; git push -q origin main");
    text = push_with(f, "origin", 60000, false, ERR_FAILED);
    assert_contains(text, "main rejected: non-fast-forward: the remote has commits that are not here");
    free(text);
}

static void test_git_push__a_hooks_refusal_is_told_in_its_words(void **state)
{
    struct git_fixture *f = *state;
    script(f, "printf '#!/bin/sh\\necho no secrets please >&2\\nexit 1\\n' > remote.git/hooks/pre-receive; chmod +x "
              "remote.git/hooks/pre-receive; cd work; for i in 1 2 3 4; do git branch b$i; done");
    char *text = push_with(f, "origin", 60000, false, ERR_FAILED);
    assert_contains(text, "refs/heads/b1 rejected: pre-receive hook declined\n");
    assert_contains(text, "rejected 6 of 6 refs");
    assert_contains(text, " and 3 more; the remote says: no secrets please");
    assert_int_equal(text[strlen(text) - 1], 'e');
    free(text);
}

static void test_git_push__the_owners_own_hook_decides(void **state)
{
    struct git_fixture *f = *state;
    script(f, "printf '#!/bin/sh\\npwd > ../hook-ran\\necho found a key >&2\\nexit 1\\n' > work/.git/hooks/pre-push; "
              "chmod +x "
              "work/.git/hooks/pre-push");
    free(push_with(f, "origin", 60000, false, ERR_FAILED));
    assert_script(f, "cmp hook-ran <(cd work; pwd); git -C remote.git for-each-ref", "");
}

static void test_git_push__asking_changes_nothing(void **state)
{
    struct git_fixture *f = *state;
    char *text = push_with(f, "origin", 60000, true, ERR_NONE);
    assert_string_equal(text, "refs/heads/main created\nrefs/tags/v1 created");
    free(text);
    assert_script(f, "git -C remote.git for-each-ref", "");
}

static void test_git_push__a_mirror_is_not_emptied(void **state)
{
    struct git_fixture *f = *state;
    script(
        f,
        "git -C work config remote.origin.mirror true; git -C work push -q ../remote.git main:refs/heads/only-there");
    assert_push(f, "refs/heads/main created\nrefs/tags/v1 created");
    assert_script(f, "git -C remote.git for-each-ref --format='%(refname)' refs/heads",
                  "refs/heads/main\nrefs/heads/only-there\n");
}

static void test_git_push__nothing_to_push_is_no_failure(void **state)
{
    struct git_fixture *f = *state;
    script(f, "rm -r work; git init -q work; git -C work remote add origin ../remote.git");
    assert_push(f, "");
}

static void test_git_push__no_such_remote_or_repository(void **state)
{
    struct git_fixture *f = *state;
    char *text = push_with(f, "backup", 60000, false, ERR_NOT_FOUND);
    assert_contains(text, "has no remote 'backup' (it has: origin)");
    free(text);
    text = push_with(f, "--upload-pack=x", 60000, false, ERR_NOT_FOUND);
    free(text);
    script(f, "git -C work remote remove origin");
    text = push_with(f, "origin", 60000, false, ERR_NOT_FOUND);
    assert_contains(text, "(it has: none)");
    free(text);
    script(f, "rm -r work");
    text = push_with(f, "origin", 60000, false, ERR_NOT_FOUND);
    assert_contains(text, "there is no git repository at '");
    free(text);
}

static void test_git_push__unreachable_remotes_without_their_passwords(void **state)
{
    struct git_fixture *f = *state;
    script(f, "cd work; git remote set-url origin https://user:geheim@127.0.0.1:1/x.git; git remote add gone "
              "../gone.git; git remote "
              "add bad 'https://me:geheim@[x/y.git'; git remote add helper 'odd://me:geheim@host/y.git'");
    static const char *const remotes[] = {"origin", "gone", "bad", "helper"};
    for (size_t i = 0; i < 4; i++) {
        char *text = push_with(f, remotes[i], 60000, false, ERR_FAILED);
        assert_contains(text, "cannot push '");
        assert_null(strstr(text, "geheim"));
        free(text);
    }
    char *text = push_with(f, "gone", 60000, false, ERR_FAILED);
    assert_contains(text, "gone.git' does not appear to be a git repository");
    free(text);
}

/* A stand-in for ssh writes down how it was called. */
static void test_git_push__ssh_is_told_not_to_ask(void **state)
{
    struct git_fixture *f = *state;
    script(f, "mkdir bin; printf '#!/bin/sh\\necho \"$@\" > %s/args; tty >> %s/args; echo "
              "$GIT_TERMINAL_PROMPT "
              "$SSH_ASKPASS_REQUIRE >> %s/args; echo ssh: no such host >&2; echo >&2; exit 255\\n' $PWD $PWD $PWD "
              "> bin/ssh; "
              "chmod +x bin/ssh; cd work; git remote set-url origin ssh://host.invalid/x.git; git config "
              "core.sshCommand \"$PWD/../bin/ssh -i "
              "key\"");
    char *text = push_with(f, "origin", 60000, false, ERR_FAILED);
    assert_contains(text, "ssh: no such host");
    free(text);
    text = script_output(f, "cat args");
    assert_contains(text, "-i key -o BatchMode=yes -o ConnectTimeout=30 ");
    assert_contains(text, "not a tty\n0 never\n");
    free(text);
    char *own = mem_printf("%s/bin/ssh -v", f->root); /* the environment goes above the configuration */
    setenv("GIT_SSH_COMMAND", own, 1);
    free(push_with(f, "origin", 60000, false, ERR_FAILED));
    unsetenv("GIT_SSH_COMMAND");
    free(own);
    text = script_output(f, "cat args");
    assert_contains(text, "-v -o BatchMode=yes");
    free(text);
}

static void test_git_push__a_hanging_connection_is_ended_in_time(void **state)
{
    struct git_fixture *f = *state;
    script(f, "printf '#!/bin/sh\\necho $$ > %s/pid\\nexec sleep 300\\n' $PWD > hang; chmod +x hang; cd work; git "
              "remote set-url "
              "origin ssh://host.invalid/x.git; git config core.sshCommand $PWD/../hang; git config ssh.variant ssh");
    uint64_t start = os_monotonic_ns();
    char *text = push_with(f, "origin", 1000, false, ERR_TIMEOUT);
    assert_true(os_monotonic_ns() - start < UINT64_C(20000000000));
    assert_contains(text, "took longer than 1 s and was stopped");
    free(text);
    /* Gone, or waiting for somebody to ask how it ended. */
    assert_script(f, "cat /proc/$(cat pid)/status 2>/dev/null | grep '^State:' | grep -v Z || true", "");
}

/* Root must not run what somebody else's configuration names, and has not his keys. */
static void test_git_push__as_the_owner_when_we_are_root(void **state)
{
    struct git_fixture *f = *state;
    if (geteuid() != 0)
        skip();
    script(f, "printf '#!/bin/sh\\n(id -u; echo $HOME) > %s/work/who\\n' $PWD "
              "> work/.git/hooks/pre-push; chmod +x work/.git/hooks/pre-push; chown -R 65534 work remote.git");
    assert_push(f, "refs/heads/main created\nrefs/tags/v1 created");
    assert_script(f, "head -1 work/who; [ \"$(tail -1 work/who)\" != $PWD ]; stat -c %u remote.git/refs/heads/main",
                  "65534\n65534\n");
    script(f, "chown -R 123456789 work"); /* whom nobody knows */
    char *text = push_with(f, "origin", 60000, false, ERR_PERMISSION);
    assert_contains(text, "belongs to user 123456789");
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, remote_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_git_push__branches_and_tags_and_nothing_else),
        TEST(test_git_push__never_forces_and_the_others_arrive),
        TEST(test_git_push__a_hooks_refusal_is_told_in_its_words),
        TEST(test_git_push__the_owners_own_hook_decides),
        TEST(test_git_push__asking_changes_nothing),
        TEST(test_git_push__a_mirror_is_not_emptied),
        TEST(test_git_push__nothing_to_push_is_no_failure),
        TEST(test_git_push__no_such_remote_or_repository),
        TEST(test_git_push__unreachable_remotes_without_their_passwords),
        TEST(test_git_push__ssh_is_told_not_to_ask),
        TEST(test_git_push__a_hanging_connection_is_ended_in_time),
        TEST(test_git_push__as_the_owner_when_we_are_root),
    };
    return cmocka_run_group_tests_name("git_push", tests, NULL, NULL);
}
