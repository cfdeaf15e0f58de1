#include "source/git.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include "source/git_fixture.h"

/* ---- what is stored */

/* All of it, by the stock git alone, from the bundle alone. */
static void test_git__a_bundle_clones_with_all_refs_and_is_sound(void **state)
{
    struct git_fixture *f = *state;
    script(
        f,
        "git init -q r; cd r; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do seq $i 99 > f; echo $i > "
        "$i; git add -A; git commit -qm $i; done; git branch other HEAD~3; git tag -a v1 -m one HEAD~5; git tag light; "
        "git tag tree HEAD^{tree}; git tag blob HEAD:f; git update-ref refs/odd/place HEAD~7; git notes add -m note; "
        "git checkout -q --orphan root; git commit -qm alone; git branch 'ünï-☃'; git branch $'lat\\xe9'; git checkout "
        "-q main; git gc -q; echo loose > f; git commit -qam loose");
    capture(f, "r", "out");
    script(f, "git clone -q --mirror out/repository.bundle back; git -C back fsck --full --strict; diff <(git -C r "
              "for-each-ref) <(git -C back for-each-ref); git clone -q out/repository.bundle tree; cd tree; diff -r "
              "--exclude=.git . ../r; cd ../r; git bundle verify -q ../out/repository.bundle");
    assert_script(f,
                  "diff <(git -C r cat-file --batch-all-objects --batch-check) <(git -C back cat-file "
                  "--batch-all-objects --batch-check)",
                  "");
}

/* Also when git is asked to accept nothing odd, such as an object twice. */
static void test_git__the_pack_of_many_parts_is_strictly_valid(void **state)
{
    struct git_fixture *f = *state;
    script(f,
           "git init -q r; cd r; for i in $(seq 300); do seq $((i % 7)) $((i % 40 + 9)) > f$((i % 5)); echo $((i % 3)) "
           "> g; "
           "git add -A; git commit -q --allow-empty -m $i; [ $((i % 50)) != 7 ] || git checkout -qb b$i HEAD~4; done");
    capture(f, "r", "out");
    script(f,
           "git clone -q --mirror out/repository.bundle back; git -C back fsck --full --strict; diff <(git -C r "
           "for-each-ref) <(git -C back for-each-ref); git -C back config transfer.fsckObjects true; cd back; git "
           "fetch -q "
           "../out/repository.bundle '+refs/heads/*:refs/again/*'; git init -q --bare ../strict; cd ../strict; tail -c "
           "+$((1 + "
           "$(grep -abom1 PACK ../out/repository.bundle | cut -d: -f1))) ../out/repository.bundle > p; git index-pack "
           "--strict --stdin < p > /dev/null; git fsck --full");
}

static void test_git__stashes_and_what_reflogs_alone_remember(void **state)
{
    struct git_fixture *f = *state;
    script(f, "git init -q r; cd r; echo 1 > f; git add f; git commit -qm 1; echo 2 > f; git commit -qam lost; git "
              "rev-parse HEAD "
              "> ../lost; git reset -q --hard HEAD~1; git checkout -qb gone; git commit -q --allow-empty -m branch; "
              "git rev-parse "
              "HEAD > ../branch; git checkout -q main; git branch -qD gone; echo s1 > f; git stash -q; echo s2 > f; "
              "echo new > n; "
              "git stash -q -u");
    capture(f, "r", "out");
    script(f, "git clone -q --mirror out/repository.bundle back; cd back; git fsck --full; git cat-file -e $(cat "
              "../lost); git "
              "cat-file -e $(cat ../branch); cp -r ../out/git-dir/logs .; git log -q --all");
    /* With the reflogs beside it everything is as it was. */
    assert_script(f,
                  "git clone -q out/repository.bundle full; cd full; git fetch -q ../out/repository.bundle "
                  "'+refs/*:refs/*' --update-head-ok; cp -r ../out/git-dir/logs .git/; diff <(git reflog) <(git -C "
                  "../r reflog); git stash "
                  "list | wc -l; git stash show -p stash@{1} | grep '^+s'; git show stash@{0}^3:n; git for-each-ref "
                  "'refs/clawback/reflog/*' | wc -l",
                  "2\n+s1\nnew\n3\n");
}

static void test_git__what_is_staged_is_a_commit_in_the_bundle(void **state)
{
    struct git_fixture *f = *state;
    script(f, "git init -q r; cd r; echo 1 > f; echo 1 > g; git add .; git commit -qm 1; echo staged > f; echo new > "
              "n; git add "
              "-A; git rm -q --cached g; echo later > f");
    capture(f, "r", "out");
    assert_script(
        f,
        "git clone -q --mirror out/repository.bundle back; cd back; git show refs/clawback/index:f; git ls-tree "
        "--name-only refs/clawback/index; cat ../out/worktree/files/f ../out/worktree/files/n; git rev-parse -q "
        "refs/clawback/index^ | cmp - <(git rev-parse main); ls ../out/worktree/files",
        "staged\nf\nn\nlater\nnew\nf\ng\nn\n");
}

static void test_git__modified_untracked_and_deleted_files_with_any_name(void **state)
{
    struct git_fixture *f = *state;
    script(f, "git init -q r; cd r; echo x > same; echo x > mod; echo x > $'new\\nline'; echo x > $'\\xff.bin'; echo x "
              "> gone; echo "
              "x > exe; git add -A; git commit -qm 1; echo y > mod; echo y > $'new\\nline'; echo y > $'\\xff.bin'; rm "
              "gone; chmod "
              "+x exe; mkdir -p d/e; echo u > $'d/e/un\\ttracked\\xfe'; ln -s /nowhere d/link; echo '*.ignored' > "
              ".git/info/exclude; "
              "echo i > x.ignored; git init -q nested; echo n > nested/n");
    capture(f, "r", "out");
    assert_script(
        f,
        "cd out/worktree/files; find . -type f -print0 -o -type l -print0 | LC_ALL=C sort -z | tr '\\0\\n' '\\n?' | "
        "cat "
        "-v; readlink d/link; cat mod; tr '\\0' '|' < ../deleted; stat -c %A exe; cat $'\\xff.bin'",
        "./d/e/un\ttrackedM-~\n./d/link\n./exe\n./mod\n./new?line\n./M-^?.bin\n/nowhere\ny\ngone|-rwxr-xr-x\ny\n");
}

static void test_git__configuration_hooks_and_info_without_samples(void **state)
{
    struct git_fixture *f = *state;
    script(f,
           "git init -q r; cd r; git commit -q --allow-empty -m 1; git config remote.origin.url https://x/y; cp "
           "/bin/true .git/hooks/pre-commit; echo sample > .git/hooks/update.sample; echo '*.o' > .git/info/exclude; "
           "echo mine > "
           ".git/description; mkdir -p .git/lfs/objects/ab .git/lfs/tmp; echo big > .git/lfs/objects/ab/abcd; echo t > "
           ".git/lfs/tmp/t; touch .git/index.lock.lock; git symbolic-ref refs/remotes/origin/HEAD refs/heads/main");
    capture(f, "r", "out");
    assert_script(
        f,
        "cd out; find . -type f | sort; cat symbolic-refs; cmp git-dir/config ../r/.git/config; stat -c %A "
        "git-dir/hooks/pre-commit",
        "./git-dir/COMMIT_EDITMSG\n./git-dir/HEAD\n./git-dir/config\n./git-dir/description\n./git-dir/hooks/"
        "pre-commit\n./git-dir/info/exclude\n./git-dir/lfs/objects/ab/abcd\n./git-dir/logs/HEAD\n./git-dir/logs/refs/"
        "heads/main\n./git-dir/logs/refs/remotes/origin/HEAD\n./repository.bundle\n./symbolic-refs\nrefs/remotes/"
        "origin/HEAD refs/heads/main-rwxr-xr-x\n");
}

static void test_git__every_working_tree(void **state)
{
    struct git_fixture *f = *state;
    script(
        f,
        "git init -q r; cd r; echo 1 > f; git add f; git commit -qm 1; git worktree add -q ../two; git worktree add -q "
        "--detach ../three; echo 2 > ../two/f; git -C ../two add f; echo u > ../three/u; cd ../three; git commit -q "
        "--allow-empty -m detached; git rev-parse HEAD > ../detached; git -C ../r worktree add -q ../four; rm -r "
        "../four");
    capture(f, "r", "out");
    assert_script(
        f,
        "git clone -q --mirror out/repository.bundle back; git -C back cat-file -e $(cat detached); git -C back show "
        "refs/clawback/worktrees/two/index:f; cat out/worktrees/two/files/f out/worktrees/three/files/u; cat "
        "out/git-dir/worktrees/three/HEAD | cmp - detached; ls out/git-dir/worktrees",
        "2\n2\nu\nfour\nthree\ntwo\n");
}

static void test_git__a_merge_under_way_with_its_conflict(void **state)
{
    struct git_fixture *f = *state;
    script(f, "git init -q r; cd r; echo a > f; git add f; git commit -qm a; git checkout -qb o; echo b > f; git "
              "commit -qam b; git "
              "checkout -q main; echo c > f; git commit -qam c; git merge -q o > /dev/null || true");
    capture(f, "r", "out");
    /* Put back together: the same conflict, all three sides of it. */
    assert_script(
        f,
        "git clone -q --no-checkout out/repository.bundle back; cd back; git fetch -q ../out/repository.bundle "
        "'+refs/*:refs/*' --update-head-ok; cp -r ../out/git-dir/. .git/; cp ../out/worktree/files/f .; git status "
        "--porcelain; git show :2:f; git show :3:f; git fsck --full; git merge --abort; cat f",
        "UU f\nc\nb\nc\n");
}

static void test_git__an_empty_repository_has_no_bundle(void **state)
{
    struct git_fixture *f = *state;
    script(f, "git init -q r; echo u > r/u");
    capture(f, "r", "out");
    assert_script(f, "cd out; ls; cat worktree/files/u git-dir/HEAD", "git-dir\nworktree\nu\nref: refs/heads/main\n");
    script(f, "git -C r add u"); /* staged, never committed */
    capture(f, "r", "staged");
    assert_script(f, "git clone -q --mirror staged/repository.bundle back; git -C back show refs/clawback/index:u",
                  "u\n");
}

static void test_git__a_shallow_repository_comes_back_shallow(void **state)
{
    struct git_fixture *f = *state;
    script(f, "git init -q full; cd full; for i in 1 2 3 4; do echo $i > f; git add f; git commit -qm $i; done; cd ..; "
              "git clone -q "
              "--depth 2 file://$PWD/full r");
    capture(f, "r", "out");
    assert_script(f,
                  "git init -q back; cp out/git-dir/shallow back/.git/; cd back; git fetch -q ../out/repository.bundle "
                  "'+refs/*:refs/*' --update-head-ok; git fsck --full; git log --oneline | wc -l",
                  "2\n");
}

static void test_git__sha256_bare_and_submodule(void **state)
{
    struct git_fixture *f = *state;
    script(f, "git init -q --object-format=sha256 r; cd r; for i in 1 2 3; do echo $i > f; git add f; git commit -qm "
              "$i; done; git "
              "reset -q --hard HEAD~1; cd ..; git init -q lib; git -C lib commit -q --allow-empty -m x; git init -q "
              "top; cd top; git "
              "submodule --quiet add ../lib sub; git commit -qm s; cd ..; git clone -q --bare lib bare.git");
    capture(f, "r", "out");
    capture(f, "bare.git", "bare");
    capture(f, "top/sub", "sub");
    capture(f, "top", "topout");
    assert_script(
        f,
        "git clone -q --mirror out/repository.bundle back; git -C back fsck --full; git -C back rev-list --all | wc "
        "-l; "
        "git clone -q --mirror bare/repository.bundle b2; git clone -q --mirror sub/repository.bundle s2; git -C s2 "
        "rev-parse HEAD | cmp - <(git -C lib rev-parse HEAD); ls topout bare",
        "3\nbare:\ngit-dir\nrepository.bundle\n\ntopout:\ngit-dir\nrepository.bundle\n");
}

/* ---- how it is stored */

static void test_git__the_source_is_not_touched_and_runs_nothing_of_its_own(void **state)
{
    struct git_fixture *f = *state;
    script(
        f,
        "git init -q r; cd r; echo 1 > f; git add f; git commit -qm 1; printf '#!/bin/sh\\ntouch %s/RAN\\ncat\\n' "
        "$OLDPWD > "
        "../bad; chmod +x ../bad; for h in pre-commit post-checkout pre-push post-index-change reference-transaction; "
        "do cp ../bad "
        ".git/hooks/$h; done; echo '* filter=x' > .git/info/attributes; git config filter.x.clean ../bad; git config "
        "filter.x.required true; git config core.fsmonitor $PWD/../bad; echo 2 > f; echo 3 > g; rm -f ../RAN; find . "
        "-printf '%p %T@ %C@ %s %i\\n' | sort > "
        "../before");
    capture(f, "r", "out");
    assert_script(f,
                  "[ ! -e RAN ]; cd r; find . -printf '%p %T@ %C@ %s %i\\n' | sort | diff ../before -; cat "
                  "../out/worktree/files/f; ls -d ../clawback-git-?????? 2>/dev/null || true",
                  "2\n");
}

static void test_git__the_fingerprint_changes_with_what_the_bundle_holds_only(void **state)
{
    struct git_fixture *f = *state;
    script(f, "git init -q r; cd r; echo 1 > f; git add f; git commit -qm 1");
    uint64_t first = capture(f, "r", "o1");
    script(f, "echo 2 > r/f; echo u > r/u; git -C r config a.b c; git -C r gc -q; git -C r status > /dev/null");
    assert_int_equal(capture(f, "r", "o2"), first);
    script(f, "git -C r add f");
    uint64_t staged = capture(f, "r", "o3");
    assert_int_not_equal(staged, first);
    assert_int_equal(capture(f, "r", "o4"), staged);
    script(f, "git -C r commit -qam 2");
    uint64_t committed = capture(f, "r", "o5");
    assert_int_not_equal(committed, staged);
    script(f, "git -C r tag t; git -C r reset -q --hard HEAD~1");
    assert_int_not_equal(capture(f, "r", "o6"), committed);
    script(f, "cmp o1/repository.bundle o2/repository.bundle; cmp o3/repository.bundle o4/repository.bundle");
}

/* Most of a bundle is the same bytes after some more commits: what the parts are for. */
static void test_git__a_commit_changes_little_of_the_bundle(void **state)
{
    struct git_fixture *f = *state;
    /* The same names of commits each time, since these decide where the parts begin. */
    setenv("GIT_AUTHOR_DATE", "@1700000000 +0000", 1);
    setenv("GIT_COMMITTER_DATE", "@1700000000 +0000", 1);
    script(f, "git init -q r; cd r; python3 -c \"import base64, random\nrandom.seed(1)\nfor i in range(1, 41): "
              "open('f%d' % i, 'wb').write(base64.encodebytes(random.randbytes(30000)))\"; git add -A; git commit -qm "
              "base; for i in "
              "$(seq 60); do echo line $i >> f$((i % 40 + 1)); git commit -qam c$i; done");
    capture(f, "r", "o1");
    script(f, "cd r; echo more >> f7; git commit -qam more");
    capture(f, "r", "o2");
    unsetenv("GIT_AUTHOR_DATE");
    unsetenv("GIT_COMMITTER_DATE");
    /* Of pieces of 4 KiB, cut where the content says so. */
    assert_script(f,
                  "cat > cut.py <<'EOF'\n"
                  "import hashlib, sys\n"
                  "def pieces(p):\n"
                  "    d, out, start, h = open(p, 'rb').read(), set(), 0, 0\n"
                  "    for i, c in enumerate(d):\n"
                  "        h = (h * 2 + c) & 0xffffffff\n"
                  "        if h >> 20 == 0 or i - start > 65536:\n"
                  "            out.add(d[start:i]); start = i\n"
                  "    return out\n"
                  "a, b = pieces(sys.argv[1]), pieces(sys.argv[2])\n"
                  "new, all = sum(map(len, b - a)), sum(map(len, b))\n"
                  "print('little' if new * 20 < all else 'much: %d of %d' % (new, all))\n"
                  "EOF\n"
                  "python3 cut.py o1/repository.bundle o2/repository.bundle",
                  "little\n");
}

static void test_git__snapshot_path_and_strictness(void **state)
{
    struct git_fixture *f = *state;
    struct source *s;
    struct err err = {0};
    script(f, "git init -q r");
    char *path = fixture_path(f, "r"), *none = fixture_path(f, "none"), *name = mem_printf("/git%s", path);
    assert_int_equal(git_source_new(&s, &(struct git_options){.path = path}, &err), 0);
    assert_true(s->strict);
    assert_int_equal(s->paths.count, 1);
    assert_string_equal(s->paths.items[0], name);
    source_free(s); /* without having been pushed */
    assert_int_equal(git_source_new(&s, &(struct git_options){.path = none}, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    free(path);
    free(none);
    free(name);
}

static void only_names(struct directory_sink *d)
{
    d->only_names = true;
}

static void test_git__contents_that_nobody_reads_are_released(void **state)
{
    struct git_fixture *f = *state;
    script(f, "git init -q r; cd r; echo 1 > f; git add f; git commit -qm 1; echo 2 > f");
    struct captured c = capture_with(f, "r", "out", only_names);
    assert_int_equal(c.rc, 0);
    free(c.reports);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_git__a_bundle_clones_with_all_refs_and_is_sound),
        TEST(test_git__the_pack_of_many_parts_is_strictly_valid),
        TEST(test_git__stashes_and_what_reflogs_alone_remember),
        TEST(test_git__what_is_staged_is_a_commit_in_the_bundle),
        TEST(test_git__modified_untracked_and_deleted_files_with_any_name),
        TEST(test_git__configuration_hooks_and_info_without_samples),
        TEST(test_git__every_working_tree),
        TEST(test_git__a_merge_under_way_with_its_conflict),
        TEST(test_git__an_empty_repository_has_no_bundle),
        TEST(test_git__a_shallow_repository_comes_back_shallow),
        TEST(test_git__sha256_bare_and_submodule),
        TEST(test_git__the_source_is_not_touched_and_runs_nothing_of_its_own),
        TEST(test_git__the_fingerprint_changes_with_what_the_bundle_holds_only),
        TEST(test_git__a_commit_changes_little_of_the_bundle),
        TEST(test_git__snapshot_path_and_strictness),
        TEST(test_git__contents_that_nobody_reads_are_released),
    };
    return cmocka_run_group_tests_name("git", tests, NULL, NULL);
}
