/* What goes wrong: damage, things that vanish under our hands, a git that fails, hangs or is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "source/git.h"
#include "source/git_fixture.h"

static void assert_capture_fails(const struct git_fixture *f, enum err_code expected, const char *part)
{
    static unsigned number;
    char to[32];
    enum err_code code;
    snprintf(to, sizeof to, "failed%u", number++);
    char *message = capture_fails(f, "r", to, &code);
    assert_contains(message, part);
    if (code != ERR_NONE) /* else it was the sink that was told */
        assert_int_equal(code, expected);
    free(message);
    char *check = mem_printf("find %s -name repository.bundle; ls -d clawback-git-?????? 2>/dev/null || true", to);
    assert_script(f, check, "");
    free(check);
}

static void assert_fsck(const struct git_fixture *f, enum err_code expected, const char *part)
{
    struct err err = {0};
    char *path = fixture_path(f, "r");
    assert_int_equal(git_fsck(path, 60000, &err), expected == ERR_NONE ? 0 : -1);
    assert_int_equal(err.code, expected);
    assert_contains(err.message, part);
    free(path);
}

#define REPOSITORY \
    "git init -q r; cd r; for i in 1 2 3 4 5; do seq $i 400 > f; git add f; git commit -qm $i; done; cd ..; "

/* ---- damage */

static void test_git__an_object_with_other_contents_than_its_name(void **state)
{
    struct git_fixture *f = *state;
    script(f, REPOSITORY
           "o=$(git -C r rev-parse HEAD:f); p=r/.git/objects/${o:0:2}/${o:2}; chmod u+w $p; python3 -c \"import "
           "zlib; open('$p','wb').write(zlib.compress(b'blob 3\\0bad'))\"");
    assert_capture_fails(f, ERR_CORRUPT, "hash mismatch");
    assert_capture_fails(f, ERR_CORRUPT, "see what is damaged with 'git -C /tmp/");
    assert_fsck(f, ERR_CORRUPT, "hash");
}

static void test_git__an_object_that_is_missing(void **state)
{
    struct git_fixture *f = *state;
    script(f, REPOSITORY "o=$(git -C r rev-parse HEAD:f); rm -f r/.git/objects/${o:0:2}/${o:2}");
    assert_capture_fails(f, ERR_CORRUPT, "missing");
    assert_fsck(f, ERR_CORRUPT, "missing blob");
}

static void test_git__an_object_that_is_empty_after_a_power_cut(void **state)
{
    struct git_fixture *f = *state;
    script(f, REPOSITORY "o=$(git -C r rev-parse HEAD); p=r/.git/objects/${o:0:2}/${o:2}; chmod u+w $p; : > $p");
    assert_capture_fails(f, ERR_CORRUPT, "cannot store the repository '");
    assert_fsck(f, ERR_CORRUPT, "empty");
}

/* Any byte of a pack: either nobody needs it, or it is noticed. What is stored is never wrong. */
static void test_git__a_flipped_bit_in_a_pack_is_noticed(void **state)
{
    struct git_fixture *f = *state;
    script(f, "git init -q r; cd r; for i in 1 2 3 4 5; do head -c 700 /dev/urandom | base64 > f; git add f; git "
              "commit -qm $i; done; "
              "git gc -q; rm -r .git/logs; chmod u+w .git/objects/pack/*; cp .git/objects/pack/*.pack ../good; "
              "git cat-file --batch --batch-all-objects --unordered > ../all");
    char command[512];
    for (int i = 0; i < 12; i++) {
        snprintf(command, sizeof command,
                 "cp good r/.git/objects/pack/*.pack; python3 -c \"\n"
                 "import glob\n"
                 "f = open(glob.glob('r/.git/objects/pack/*.pack')[0], 'r+b'); d = f.read(); at = 12 + %d * (len(d) - "
                 "32) // "
                 "12\n"
                 "f.seek(at); f.write(bytes([d[at] ^ 16]))\"",
                 i);
        script(f, command);
        /* A bit that only fills up a byte behind compressed data changes no object: no damage. */
        script(f, "rm -f same; git -C r cat-file --batch --batch-all-objects --unordered > now 2>/dev/null && cmp -s "
                  "now all && touch same; true");
        char *same = mem_printf("%s/same", f->root);
        bool harmless = access(same, F_OK) == 0;
        free(same);
        if (!harmless)
            assert_capture_fails(f, ERR_CORRUPT, "cannot store the repository '");
    }
}

static void test_git__a_broken_ref(void **state)
{
    struct git_fixture *f = *state;
    script(f, REPOSITORY "git -C r branch other; : > r/.git/refs/heads/other");
    assert_capture_fails(f, ERR_CORRUPT, "broken ref refs/heads/other");
    assert_fsck(f, ERR_CORRUPT, "refs/heads/other");
    script(f, "cd r; rm .git/refs/heads/other; echo 1234567890123456789012345678901234567890 > .git/refs/heads/other");
    assert_capture_fails(f, ERR_CORRUPT, "cannot store the repository '");
}

static void test_git__a_broken_index(void **state)
{
    struct git_fixture *f = *state;
    script(f, REPOSITORY "head -c 50 r/.git/index > i; mv i r/.git/index");
    assert_capture_fails(f, ERR_CORRUPT, "index");
}

static void test_git__what_was_pruned_long_ago_is_no_damage(void **state)
{
    struct git_fixture *f = *state;
    script(f, REPOSITORY
           "cd r; echo 1234567890123456789012345678901234567890 > .git/ORIG_HEAD; git update-ref refs/heads/gone HEAD; "
           "git symbolic-ref refs/remotes/origin/HEAD refs/remotes/origin/none");
    capture(f, "r", "out");
    script(f, "git clone -q --mirror out/repository.bundle back; git -C back fsck --full");
}

static void test_git__oddities_of_old_commits_are_no_damage(void **state)
{
    struct git_fixture *f = *state;
    script(f, REPOSITORY
           "cd r; git cat-file commit HEAD | sed 's/^author x <x@x>/author x x@x>/' > c; git update-ref refs/heads/odd "
           "$(git hash-object --literally -t commit -w c); rm c");
    assert_fsck(f, ERR_NONE, "");
    capture(f, "r", "out");
    script(f, "git clone -q --mirror out/repository.bundle back; git -C back rev-parse odd | cmp - <(git -C r "
              "rev-parse odd)");
}

static void test_git__a_partial_clone_is_named(void **state)
{
    struct git_fixture *f = *state;
    script(f, "git init -q full; cd full; git config uploadpack.allowFilter true; for i in 1 2 3; do echo $i > f; git "
              "add f; git "
              "commit -qm $i; done; cd ..; git clone -q --filter=blob:none file://$PWD/full r");
    assert_capture_fails(f, ERR_UNSUPPORTED, "it is a partial clone");
    assert_script(f, "git -C r rev-list --objects --all --missing=print | grep -c '^?'", "2\n"); /* none was fetched */
}

/* ---- others at work */

static const struct git_fixture *meanwhile_fixture;
static const char *meanwhile_script;

static void run_meanwhile(void *ctx, unsigned attempt)
{
    (void)ctx;
    if (attempt == 1)
        script(meanwhile_fixture, meanwhile_script);
}

static void with_meanwhile(struct directory_sink *d)
{
    d->meanwhile = run_meanwhile;
}

static void test_git__objects_that_vanish_before_they_are_read(void **state)
{
    struct git_fixture *f = *state;
    script(f, REPOSITORY "cd r; git commit -q --allow-empty -m lost");
    meanwhile_fixture = f;
    meanwhile_script =
        "cd r; git reset -q --hard HEAD~1; git commit -q --allow-empty -m new; rm .git/ORIG_HEAD; git reflog expire "
        "--expire=now --all; git gc -q --prune=now";
    struct captured c = capture_with(f, "r", "out", with_meanwhile);
    assert_int_equal(c.rc, 0);
    assert_string_equal(c.reports, "");
    free(c.reports);
    script(f, "b=$(find out -name repository.bundle); git clone -q --mirror $b back; git -C back fsck --full; git -C "
              "back rev-parse "
              "HEAD | cmp - <(git -C r rev-parse HEAD)");
    /* What was stored is known by what it is, not by what it was to be. */
    assert_int_equal(capture(f, "r", "again"), c.fingerprint);
}

static void test_git__commits_and_gc_all_the_while(void **state)
{
    struct git_fixture *f = *state;
    script(f, REPOSITORY
           "cat > churn <<'EOF'\n"
           "cd r; i=0\n"
           "while [ ! -e ../stop ]; do i=$((i+1)); echo $RANDOM > f; git add f; git commit -qm $i\n"
           "case $((i % 5)) in 0) git gc -q --prune=now;; 1) git commit -q --amend -m a;; 2) git reset -q --hard "
           "HEAD~1;;\n"
           "3) echo s > f; git stash -q; git repack -adq;; 4) git branch b$i;; esac\n"
           "done; touch ../stopped\n"
           "EOF\n"
           "bash churn > /dev/null 2>&1 < /dev/null &");
    for (int i = 0; i < 6; i++) {
        char name[16];
        snprintf(name, sizeof name, "out%d", i);
        script(f, "git -C r rev-parse HEAD > before");
        capture(f, "r", name);
        char *check =
            mem_printf("git clone -q --mirror %s/repository.bundle back%d; git -C back%d fsck --full --strict; git -C "
                       "back%d cat-file -e $(cat before)",
                       name, i, i, i);
        script(f, check);
        free(check);
    }
    script(f, "touch stop; for i in $(seq 100); do [ ! -e stopped ] || break; sleep 0.1; done; rm stop stopped");
}

/* ---- a git that fails */

/* A stand-in before git in PATH, which does `what` when it is to do `command`, and git's own work else. */
static char *with_stand_in(const struct git_fixture *f, const char *command, const char *what)
{
    char *old = mem_strdup(getenv("PATH"));
    char *make =
        mem_printf("mkdir -p bin; cat > bin/git <<'EOF'\n#!/bin/bash\nroot=%s\nfor a in \"$@\"; do if [ \"$a\" = %s ]; "
                   "then %s\nfi; done\nexec %s \"$@\"\nEOF\nchmod +x bin/git",
                   f->root, command, what, "/usr/bin/git");
    script(f, make);
    char *path = mem_printf("%s/bin:%s", f->root, old);
    setenv("PATH", path, 1);
    free(path);
    free(make);
    return old;
}

static void without_stand_in(char *old)
{
    setenv("PATH", old, 1);
    free(old);
}

static void test_git__a_bundle_that_cannot_be_verified_is_made_anew(void **state)
{
    struct git_fixture *f = *state;
    script(f, REPOSITORY);
    char *old = with_stand_in(f, "unpack-objects",
                              "if [ ! -e $root/once ]; then touch $root/once; head -c 100 > /dev/null; echo "
                              "'fatal: odd pack' >&2; exit 128; fi");
    struct captured c = capture_with(f, "r", "out", NULL);
    without_stand_in(old);
    assert_int_equal(c.rc, 0);
    assert_string_equal(c.reports, "");
    assert_int_equal(c.attempts, 2);
    free(c.reports);
    script(f, "git clone -q --mirror $(find out -name repository.bundle) back; git -C back fsck --full");
}

static void test_git__a_bundle_that_cannot_be_verified_is_not_stored(void **state)
{
    struct git_fixture *f = *state;
    script(f, REPOSITORY);
    char *old = with_stand_in(f, "unpack-objects", "cat > /dev/null; echo 'fatal: odd pack' >&2; exit 128");
    assert_capture_fails(f, ERR_CORRUPT, "the bundle could not be verified: git unpack-objects: fatal: odd pack");
    without_stand_in(old);
    old = with_stand_in(f, "unpack-objects", "exit 0"); /* without having read all of a larger one */
    script(f, "head -c 9000000 /dev/urandom > r/big; git -C r add big; git -C r commit -qm big");
    assert_capture_fails(f, ERR_CORRUPT, "the bundle could not be verified");
    without_stand_in(old);
}

static void test_git__a_packer_that_fails_is_noticed(void **state)
{
    struct git_fixture *f = *state;
    static const char *const ways[] = {
        "exit 3",                                                                  /* says nothing */
        "cat > /dev/null; echo 'fatal: no luck' >&2; exit 128",                    /* writes nothing */
        "cat > /dev/null; exit 0",                                                 /* writes nothing, and is content */
        "/usr/bin/git \"$@\" | head -c 200; exit 0",                               /* stops in the middle */
        "/usr/bin/git \"$@\"; echo 'fatal: late' >&2; exit 128",                   /* writes all, then fails */
        "/usr/bin/git \"$@\" | sed 's/^PACK/KCAP/'; exit 0",                       /* writes something else */
        "head -1 | /usr/bin/git \"$@\"; exit 0",                                   /* packs less */
        "/usr/bin/git \"$@\" > $root/p; printf X >> $root/p; cat $root/p; exit 0", /* writes more */
    };
    script(f, REPOSITORY);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        char *old = with_stand_in(f, "pack-objects", ways[i]);
        assert_capture_fails(f, ERR_CORRUPT, "pack-objects");
        without_stand_in(old);
    }
}

static void test_git__a_listing_that_makes_no_sense_is_noticed(void **state)
{
    struct git_fixture *f = *state;
    script(f, REPOSITORY);
    char *old = with_stand_in(f, "--objects-edge", "echo hello; exit 0");
    assert_capture_fails(f, ERR_CORRUPT, "'hello' is no object");
    without_stand_in(old);
    old = with_stand_in(f, "--objects-edge", "head -c 3000000 /dev/zero | tr '\\0' x; exit 0");
    assert_capture_fails(f, ERR_CORRUPT, "lines of more than");
    without_stand_in(old);
}

static void test_git__a_git_that_hangs_is_stopped(void **state)
{
    struct git_fixture *f = *state;
    static const char *const where[] = {"status", "for-each-ref", "--objects-edge", "pack-objects", "unpack-objects"};
    script(f, REPOSITORY);
    for (size_t i = 0; i < 5; i++) {
        struct source *s;
        struct directory_sink d;
        struct err err = {0};
        char *path = fixture_path(f, "r"), *to = mem_printf("%s/out%zu", f->root, i);
        char *old = with_stand_in(f, where[i], "exec sleep 100");
        uint64_t start = os_monotonic_ns();
        assert_int_equal(mkdir(to, 0755), 0);
        directory_sink_make(&d, to);
        assert_int_equal(git_source_new(&s, &(struct git_options){.path = path, .timeout_ms = 1500}, &err), 0);
        int rc = source_push(s, &d.sink, &d.reporter, &err);
        assert_contains(rc != 0 ? err.message : buf_cstr(&d.reports), "took too long");
        assert_true(rc == 0 || err.code == ERR_TIMEOUT);
        assert_true(os_monotonic_ns() - start < UINT64_C(30000000000));
        source_free(s);
        without_stand_in(old);
        buf_release(&d.reports);
        free(path);
        free(to);
    }
}

static void test_git__without_git(void **state)
{
    struct git_fixture *f = *state;
    script(f, REPOSITORY "mkdir none");
    char *old = mem_strdup(getenv("PATH")), *none = fixture_path(f, "none");
    enum err_code code;
    setenv("PATH", none, 1);
    char *message = capture_fails(f, "r", "out", &code);
    setenv("PATH", old, 1);
    assert_contains(message, "it is not installed");
    assert_int_equal(code, ERR_UNSUPPORTED);
    free(message);
    free(old);
    free(none);
}

/* ---- whose it is */

static void test_git__a_repository_of_another_user(void **state)
{
    struct git_fixture *f = *state;
    if (geteuid() != 0)
        skip();
    script(
        f, REPOSITORY
        "cd r; echo staged > g; git add g; echo u > u; mkdir closed; echo s > closed/s; chown -R 65534 .; chown -R 0 "
        "closed; chmod 700 closed");
    char *old = with_stand_in(f, "status", "id -u >&2; id -u > $root/r/.git/who");
    struct captured c = capture_with(f, "r", "out", NULL);
    without_stand_in(old);
    assert_int_equal(c.rc, 0);
    assert_contains(c.reports, "could not open directory 'closed/'"); /* his git may not look into it either */
    free(c.reports);
    assert_script(f,
                  "cat r/.git/who; git clone -q --mirror $(find out -name repository.bundle) back; git -C back show "
                  "refs/clawback/index:g; find r/.git ! -user 65534",
                  "65534\nstaged\n");
}

static void test_git__a_repository_of_a_user_whom_nobody_knows(void **state)
{
    struct git_fixture *f = *state;
    if (geteuid() != 0)
        skip();
    script(f, REPOSITORY "chown -R 123456789 r");
    capture(f, "r", "out");
    script(f, "git clone -q --mirror out/repository.bundle back; git -C back fsck --full");
}

/* What a git that called us left in the environment is not for ours. */
static void test_git__variables_of_a_hook_do_not_mislead(void **state)
{
    struct git_fixture *f = *state;
    script(f, REPOSITORY "git init -q other");
    static const char *const names[] = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY",
                                        "GIT_COMMON_DIR"};
    char *other = fixture_path(f, "other/.git");
    for (size_t i = 0; i < 5; i++)
        setenv(names[i], other, 1);
    struct captured c = capture_with(f, "r", "out", NULL);
    for (size_t i = 0; i < 5; i++)
        unsetenv(names[i]);
    assert_int_equal(c.rc, 0);
    assert_string_equal(c.reports, "");
    free(c.reports);
    free(other);
    script(f, "git clone -q --mirror $(find out -name repository.bundle) back; git -C back rev-parse HEAD | cmp - "
              "<(git -C r rev-parse "
              "HEAD)");
}

static void test_git__paths_with_anything_in_them(void **state)
{
    struct git_fixture *f = *state;
    static const char name[] = "r \"a:b\\c\nd\xff";
    script(f, REPOSITORY "echo s > r/s; git -C r add s; mv r $'r \"a:b\\\\c\\nd\\xff'");
    struct captured c = capture_with(f, name, "out", NULL);
    if (c.rc != 0)
        fail_msg("%s", c.err.message);
    assert_string_equal(c.reports, "");
    free(c.reports);
    script(f, "find out -name repository.bundle -exec cp {} b \\;; git clone -q --mirror b back; git -C back show "
              "refs/clawback/index:s "
              "| grep -q s; git -C back fsck --full");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_git__an_object_with_other_contents_than_its_name),
        TEST(test_git__an_object_that_is_missing),
        TEST(test_git__an_object_that_is_empty_after_a_power_cut),
        TEST(test_git__a_flipped_bit_in_a_pack_is_noticed),
        TEST(test_git__a_broken_ref),
        TEST(test_git__a_broken_index),
        TEST(test_git__what_was_pruned_long_ago_is_no_damage),
        TEST(test_git__oddities_of_old_commits_are_no_damage),
        TEST(test_git__a_partial_clone_is_named),
        TEST(test_git__objects_that_vanish_before_they_are_read),
        TEST(test_git__commits_and_gc_all_the_while),
        TEST(test_git__a_bundle_that_cannot_be_verified_is_made_anew),
        TEST(test_git__a_bundle_that_cannot_be_verified_is_not_stored),
        TEST(test_git__a_packer_that_fails_is_noticed),
        TEST(test_git__a_listing_that_makes_no_sense_is_noticed),
        TEST(test_git__a_git_that_hangs_is_stopped),
        TEST(test_git__without_git),
        TEST(test_git__a_repository_of_another_user),
        TEST(test_git__a_repository_of_a_user_whom_nobody_knows),
        TEST(test_git__variables_of_a_hook_do_not_mislead),
        TEST(test_git__paths_with_anything_in_them),
    };
    return cmocka_run_group_tests_name("git_faults", tests, NULL, NULL);
}
