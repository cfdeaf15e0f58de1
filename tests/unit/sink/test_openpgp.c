/* Encrypting by gpg: that it works everywhere, leaves nothing behind, and says what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include "archive_place.h"
#include "os/clock.h"
#include "sink/openpgp.h"

static const struct openpgp_options SYMMETRIC = {.kind = OPENPGP_SYMMETRIC, .passphrase = PASSPHRASE};

static size_t entries_of(const char *dir)
{
    size_t count = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    while (readdir(d) != NULL)
        count++;
    closedir(d);
    return count - 2;
}

/* Puts everything through, small enough for the buffers between. */
static int pass(struct openpgp *p, const void *in, size_t len, struct buf *out, struct err *err)
{
    (void)openpgp_write(p, in, len, NULL);
    openpgp_close_input(p);
    unsigned char *to = buf_reserve(out, 256 << 10);
    int64_t n = openpgp_read(p, to, 256 << 10, err);
    if (n < 0)
        return -1;
    out->len += (size_t)n;
    return openpgp_end(p, err);
}

static int run(bool decrypt, const struct openpgp_options *o, const char *dir, const void *in, size_t len,
               struct buf *out, struct err *err)
{
    struct openpgp *p;
    if ((decrypt ? openpgp_decrypt(&p, o, dir, err) : openpgp_encrypt(&p, o, dir, err)) != 0)
        return -1;
    int rc = pass(p, in, len, out, err);
    openpgp_free(p);
    return rc;
}

static void test_openpgp__round_trip_leaves_nothing_behind(void **state)
{
    (void)state;
    char *dir = scratch_make();
    struct buf sealed, back;
    struct err err = {0};
    buf_init(&sealed, 1 << 20);
    buf_init(&back, 1 << 20);
    unsigned char noise[100000];
    fill(noise, sizeof noise, 1);
    assert_ok(run(false, &SYMMETRIC, dir, noise, sizeof noise, &sealed, &err), &err);
    assert_null(memmem(sealed.data, sealed.len, noise + 100, 16));
    assert_ok(run(true, &SYMMETRIC, dir, sealed.data, sealed.len, &back, &err), &err);
    assert_int_equal(back.len, sizeof noise);
    assert_memory_equal(back.data, noise, sizeof noise);
    assert_int_equal(entries_of(dir), 0);
    /* No agent was started for it, either. */
    char *agents = shell(false, "pgrep -f 'gpg-agent.*%s' | grep -vx $$ | head -c 100 || true", dir);
    assert_string_equal(agents, "");
    free(agents);
    scratch_remove(dir);
    buf_release(&sealed);
    buf_release(&back);
}

static void test_openpgp__packets_are_as_strong_as_promised(void **state)
{
    (void)state;
    char *dir = scratch_make();
    struct buf sealed;
    struct err err = {0};
    buf_init(&sealed, 1 << 20);
    assert_ok(run(false, &SYMMETRIC, dir, "text", 4, &sealed, &err), &err);
    scratch_write(dir, "sealed", sealed.data, sealed.len);
    char *packets =
        shell(false,
              "mkdir -m 700 %s/home && echo '" PASSPHRASE "' | gpg --homedir %s/home --batch --no-autostart "
              "--pinentry-mode loopback --passphrase-fd 0 --list-packets %s/sealed 2>&1",
              dir, dir, dir);
    assert_non_null(strstr(packets, "cipher 9"));       /* AES-256 */
    assert_non_null(strstr(packets, "s2k 3, hash 10")); /* iterated and salted, SHA-512 */
    assert_non_null(strstr(packets, "count 65011712"));
    assert_non_null(strstr(packets, "mdc_method: 2"));
    assert_null(strstr(packets, "compressed packet"));
    free(packets);
    scratch_remove(dir);
    buf_release(&sealed);
}

static void test_openpgp__says_that_the_passphrase_is_another_one(void **state)
{
    (void)state;
    struct buf sealed, back;
    struct err err = {0};
    buf_init(&sealed, 1 << 20);
    buf_init(&back, 1 << 20);
    assert_ok(run(false, &SYMMETRIC, NULL, "text", 4, &sealed, &err), &err);
    struct openpgp_options other = {.kind = OPENPGP_SYMMETRIC, .passphrase = "another"};
    assert_int_equal(run(true, &other, NULL, sealed.data, sealed.len, &back, &err), -1);
    assert_int_equal(err.code, ERR_WRONG_PASSPHRASE);
    buf_release(&sealed);
    buf_release(&back);
}

static void test_openpgp__notices_damage_and_an_early_end(void **state)
{
    (void)state;
    struct buf sealed, back;
    struct err err = {0};
    buf_init(&sealed, 1 << 20);
    buf_init(&back, 1 << 20);
    unsigned char noise[50000];
    fill(noise, sizeof noise, 1);
    assert_ok(run(false, &SYMMETRIC, NULL, noise, sizeof noise, &sealed, &err), &err);
    assert_int_equal(run(true, &SYMMETRIC, NULL, sealed.data, sealed.len - 100, &back, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    sealed.data[sealed.len / 2] ^= 1;
    assert_int_equal(run(true, &SYMMETRIC, NULL, sealed.data, sealed.len, &back, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(run(true, &SYMMETRIC, NULL, "this is no OpenPGP", 18, &back, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    buf_release(&sealed);
    buf_release(&back);
}

static void check_fails(const struct openpgp_options *o, enum err_code code, const char *words)
{
    struct err err = {0};
    assert_int_equal(openpgp_check(o, NULL, &err), -1);
    assert_int_equal(err.code, code);
    if (strstr(err.message, words) == NULL)
        fail_msg("'%s' does not say '%s'", err.message, words);
}

static void test_openpgp_check__says_what_is_wrong(void **state)
{
    (void)state;
    struct err err = {0};
    struct strlist none = {0};
    struct openpgp_options o = {.kind = OPENPGP_NONE};
    assert_int_equal(openpgp_check(&o, NULL, NULL), 0);
    assert_ok(openpgp_check(&SYMMETRIC, NULL, &err), &err);
    o.kind = OPENPGP_SYMMETRIC;
    check_fails(&o, ERR_USAGE, "no passphrase");
    o.passphrase = "two\nlines";
    check_fails(&o, ERR_USAGE, "several lines");
    o = (struct openpgp_options){.kind = OPENPGP_RECIPIENTS};
    check_fails(&o, ERR_USAGE, "no key");
    struct openpgp *p;
    assert_int_equal(openpgp_encrypt(&p, &o, NULL, &err), -1);
    assert_null(p);
    o.recipients = &none;
    check_fails(&o, ERR_USAGE, "no key");
    assert_int_equal(openpgp_check(&SYMMETRIC, "/nowhere/at/all", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nowhere/at/all"));
    openpgp_free(NULL);
}

/* A keyring of the test's own, with one key. */
static char *make_keyring(const char *key)
{
    char *dir = scratch_make();
    setenv("GNUPGHOME", dir, 1);
    free(shell(false, "gpg --batch --quiet --passphrase '' --quick-generate-key '%s' future-default default never 2>&1",
               key));
    return dir;
}

static void remove_keyring(char *dir)
{
    free(shell(true, "gpgconf --kill all"));
    unsetenv("GNUPGHOME");
    scratch_remove(dir);
}

static void test_openpgp__to_recipients_only_their_secret_key_opens_it(void **state)
{
    (void)state;
    char *dir = scratch_make(), *owner = make_keyring("owner@example.org");
    free(shell(false, "gpg --export owner@example.org > %s/public", dir));
    char *host = scratch_make(), *address = mem_strdup("owner@example.org"),
         *missing = mem_strdup("nobody@example.org");
    struct strlist recipients = {&address, 1, 1};
    struct openpgp_options o = {.kind = OPENPGP_RECIPIENTS, .recipients = &recipients};
    struct buf sealed;
    struct err err = {0};
    buf_init(&sealed, 1 << 20);

    setenv("GNUPGHOME", host, 1);
    check_fails(&o, ERR_USAGE, "'owner@example.org'");
    free(shell(false, "gpg --batch --quiet --import %s/public 2>&1", dir));
    assert_ok(openpgp_check(&o, dir, &err), &err);
    assert_ok(run(false, &o, dir, "the text", 8, &sealed, &err), &err);
    scratch_write(dir, "sealed", sealed.data, sealed.len);
    assert_null(shell(true, "gpg --batch --quiet --decrypt %s/sealed 2>/dev/null", dir)); /* this host cannot */
    setenv("GNUPGHOME", owner, 1);
    char *text = shell(false, "gpg --batch --quiet --decrypt %s/sealed 2>/dev/null", dir);
    assert_string_equal(text, "the text");
    free(text);
    char *two[] = {address, missing};
    recipients = (struct strlist){two, 2, 2};
    check_fails(&o, ERR_USAGE, "'nobody@example.org'");
    char *many[64];
    for (size_t i = 0; i < 64; i++)
        many[i] = address;
    recipients = (struct strlist){many, 64, 64};
    struct openpgp *p;
    assert_int_equal(openpgp_encrypt(&p, &o, NULL, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);

    free(address);
    free(missing);
    buf_release(&sealed);
    remove_keyring(host);
    setenv("GNUPGHOME", owner, 1);
    remove_keyring(owner);
    scratch_remove(dir);
}

/* A program of that name in a directory that is then all of PATH; the old PATH, to be put back. */
static char *replace_gpg(const char *dir, const char *script)
{
    char *was = mem_strdup(getenv("PATH"));
    if (script != NULL) {
        scratch_write(dir, "gpg", script, strlen(script));
        char *path = os_path_join(dir, "gpg");
        assert_int_equal(chmod(path, 0755), 0);
        free(path);
    }
    setenv("PATH", dir, 1);
    return was;
}

static void put_back(char *path)
{
    setenv("PATH", path, 1);
    free(path);
}

static void test_openpgp__believes_only_what_gpg_says_in_so_many_words(void **state)
{
    (void)state;
    static const struct {
        const char *script, *words;
        enum err_code code;
    } CASES[] = {
        {NULL, "not installed", ERR_NOT_FOUND},
        {"#!/bin/sh\nexit 0\n", "without having encrypted", ERR_FAILED},
        {"#!/bin/sh\necho 'gpg: out of luck' >&2\necho 'gpg: block_filter' >&2\nexit 2\n", "gpg: out of luck",
         ERR_FAILED},
        {"#!/bin/sh\nkill -9 $$\n", "killed by signal 9", ERR_FAILED},
        {"#!/bin/sh\n/bin/cat >/dev/null\necho '[GNUPG:] END_ENCRYPTION' >&2\n", "is damaged, or cut off", ERR_CORRUPT},
        {"#!/bin/sh\n/bin/cat >/dev/null\necho '[GNUPG:] END_ENCRYPTION' >&2\necho '[GNUPG:] DECRYPTION_OKAY' >&2\n"
         "echo '[GNUPG:] GOODMDC' >&2\n",
         "does not decrypt what", ERR_FAILED},
        {"#!/bin/sh\n/bin/cat >/dev/null\necho '[GNUPG:] END_ENCRYPTION' >&2\ncase \"$*\" in *decrypt*) exit 3;; "
         "esac\n",
         "cannot decrypt: command 'gpg' exited with status 3", ERR_FAILED},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char *dir = scratch_make(), *was = replace_gpg(dir, CASES[i].script);
        struct err err = {0};
        assert_int_equal(openpgp_check(&SYMMETRIC, dir, &err), -1);
        put_back(was);
        if (strstr(err.message, CASES[i].words) == NULL || err.code != CASES[i].code)
            fail_msg("case %zu: %d %s", i, err.code, err.message);
        scratch_remove(dir);
    }
}

/* A recipient's key is one thing; a gpg that fails otherwise another. */
static void test_openpgp_check__passes_on_what_else_gpg_says_about_a_recipient(void **state)
{
    (void)state;
    char *dir = scratch_make(), *was = replace_gpg(dir, "#!/bin/sh\necho 'gpg: keyring is locked' >&2\nexit 2\n");
    char *name = mem_strdup("x");
    struct strlist recipients = {&name, 1, 1};
    struct openpgp_options o = {.kind = OPENPGP_RECIPIENTS, .recipients = &recipients};
    check_fails(&o, ERR_FAILED, "keyring is locked");
    put_back(replace_gpg(dir, NULL));
    (void)remove(dir);
    put_back(was);
    free(name);
    scratch_remove(dir);
}

static void *abort_soon(void *arg)
{
    os_sleep_ms(100);
    openpgp_abort(arg);
    return NULL;
}

/* Nobody reads: writing waits, until it is told not to. */
static void test_openpgp_abort__ends_a_write_that_waits(void **state)
{
    (void)state;
    static unsigned char zeros[1 << 20];
    struct openpgp *p;
    struct err err = {0};
    pthread_t thread;
    assert_ok(openpgp_encrypt(&p, &SYMMETRIC, NULL, &err), &err);
    assert_int_equal(pthread_create(&thread, NULL, abort_soon, p), 0);
    int rc = 0;
    for (int i = 0; rc == 0 && i < 100; i++)
        rc = openpgp_write(p, zeros, sizeof zeros, &err);
    assert_int_equal(rc, -1);
    assert_non_null(strstr(err.message, "cannot write to gpg"));
    pthread_join(thread, NULL);
    openpgp_free(p);
}

/* What gpg might leave in its home goes with it. */
static void test_openpgp__removes_its_home_with_what_is_in_it(void **state)
{
    (void)state;
    char *dir = scratch_make();
    char *was = replace_gpg(dir, "#!/bin/sh\nwhile [ $# -gt 0 ]; do [ \"$1\" = --homedir ] && home=$2; shift; done\n"
                                 "/bin/mkdir $home/crls.d; echo x > $home/pubring.kbx\nexit 2\n");
    struct err err = {0};
    assert_int_equal(openpgp_check(&SYMMETRIC, dir, &err), -1);
    put_back(was);
    assert_int_equal(entries_of(dir), 1);
    scratch_remove(dir);
}

/* A run that was killed leaves it. One that is young may still be somebody's. */
static void test_openpgp__removes_homes_that_were_left_behind(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"clawback-gpg-old", "clawback-gpg-new", "other"};
    const struct timespec past[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    char *dir = scratch_make();
    struct err err = {0};
    for (size_t i = 0; i < 3; i++) {
        char *path = mem_printf("%s/%s", dir, NAMES[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        if (i != 1)
            assert_int_equal(utimensat(AT_FDCWD, path, past, 0), 0);
        free(path);
    }
    assert_ok(openpgp_check(&SYMMETRIC, dir, &err), &err);
    assert_int_equal(entries_of(dir), 2);
    scratch_remove(dir);
}

static void test_openpgp__makes_its_home_in_tmpdir(void **state)
{
    (void)state;
    char *old = getenv("TMPDIR") != NULL ? mem_strdup(getenv("TMPDIR")) : NULL;
    struct err err = {0};
    setenv("TMPDIR", "/nowhere", 1);
    assert_int_equal(openpgp_check(&SYMMETRIC, NULL, &err), -1);
    assert_non_null(strstr(err.message, "in '/nowhere'"));
    setenv("TMPDIR", "not/absolute", 1);
    assert_ok(openpgp_check(&SYMMETRIC, NULL, &err), &err);
    if (old != NULL)
        setenv("TMPDIR", old, 1);
    else
        unsetenv("TMPDIR");
    free(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openpgp__round_trip_leaves_nothing_behind),
        cmocka_unit_test(test_openpgp__packets_are_as_strong_as_promised),
        cmocka_unit_test(test_openpgp__says_that_the_passphrase_is_another_one),
        cmocka_unit_test(test_openpgp__notices_damage_and_an_early_end),
        cmocka_unit_test(test_openpgp_check__says_what_is_wrong),
        cmocka_unit_test(test_openpgp__to_recipients_only_their_secret_key_opens_it),
        cmocka_unit_test(test_openpgp__believes_only_what_gpg_says_in_so_many_words),
        cmocka_unit_test(test_openpgp_check__passes_on_what_else_gpg_says_about_a_recipient),
        cmocka_unit_test(test_openpgp_abort__ends_a_write_that_waits),
        cmocka_unit_test(test_openpgp__removes_its_home_with_what_is_in_it),
        cmocka_unit_test(test_openpgp__removes_homes_that_were_left_behind),
        cmocka_unit_test(test_openpgp__makes_its_home_in_tmpdir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
