/*
 * The program as a whole, as a shell sees it: each call is a process of its own, what it prints is read from files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/words.h"
#include "os/file.h"
#include "os/interrupt.h"

enum { OUTPUT_MAX_BYTES = 4 << 20 };

static char base[] = "/tmp/clawback-cli-XXXXXX";
static char path[64];
static struct buf out, errors; /* of the last run */

static const char *in_base(const char *name)
{
    static char text[4][256];
    static unsigned turn;
    char *p = text[turn++ % 4];
    snprintf(p, sizeof text[0], "%s/%s", base, name);
    return p;
}

static void redirect(int to, const char *name, int flags)
{
    int fd = open(in_base(name), flags, 0600);
    if (fd < 0 || dup2(fd, to) < 0)
        _exit(99);
    close(fd);
}

static void child(struct strlist *words)
{
    char program[] = "clawback", *argv[32] = {program};
    for (size_t i = 0; i < words->count && i < 30; i++)
        argv[i + 1] = words->items[i];
    redirect(0, "stdin", O_RDONLY);
    redirect(1, "stdout", O_WRONLY | O_CREAT | O_TRUNC);
    redirect(2, "stderr", O_WRONLY | O_CREAT | O_TRUNC);
    umask(077);
    os_interrupt_install();
    int status = cli_main((int)words->count + 1, argv);
    strlist_release(words);
    buf_release(&out);
    buf_release(&errors);
    exit(status);
}

/* Runs a command line; returns its exit status. Output is in `out` and `errors`. */
static int run(const char *line)
{
    struct strlist words = {0};
    struct err err;
    if (*line != '\0')
        assert_int_equal(words_split(line, &words, &err), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        child(&words);
    strlist_release(&words);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    buf_clear(&out);
    buf_clear(&errors);
    assert_int_equal(os_read_file(in_base("stdout"), &out, &err), 0);
    assert_int_equal(os_read_file(in_base("stderr"), &errors, &err), 0);
    buf_cstr(&out);
    buf_cstr(&errors);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void assert_run(int expected, const char *line)
{
    int status = run(line);
    if (status != expected)
        fail_msg("'%s' ended with %d, not %d:\n%s%s", line, status, expected, buf_cstr(&out), buf_cstr(&errors));
}

static void assert_in(struct buf *where, const char *text)
{
    if (strstr(buf_cstr(where), text) == NULL)
        fail_msg("'%s' is not in:\n%s", text, buf_cstr(where));
}

static void write_file(const char *name, const char *text)
{
    struct err err;
    assert_int_equal(os_write_file_atomic(in_base(name), text, strlen(text), 0600, &err), 0);
}

static json_t *output_json(void)
{
    json_error_t why;
    json_t *document = json_loadb(buf_cstr(&out), out.len, JSON_DISABLE_EOF_CHECK, &why);
    if (document == NULL)
        fail_msg("no JSON (%s): %s", why.text, buf_cstr(&out));
    return document;
}

/* The last line of the output as JSON. */
static json_t *last_line_json(void)
{
    char *text = mem_strndup(buf_cstr(&out), out.len > 0 ? out.len - 1 : 0), *line = strrchr(text, '\n');
    json_t *document = json_loads(line != NULL ? line + 1 : text, 0, NULL);
    free(text);
    assert_non_null(document);
    return document;
}

static int setup(void **state)
{
    (void)state;
    static const char *const CLEAN[] = {
        "CLAWBACK_REPOSITORY",     "CLAWBACK_PASSPHRASE",  "CLAWBACK_PASSPHRASE_FILE",   "RESTIC_REPOSITORY",
        "RESTIC_PASSWORD",         "RESTIC_PASSWORD_FILE", "CREDENTIALS_DIRECTORY",      "XDG_DATA_HOME",
        "XDG_CONFIG_HOME",         "XDG_CACHE_HOME",       "OPENCLAW_STATE_DIR",         "OPENCLAW_HOME",
        "RESTIC_PASSWORD_COMMAND", "RESTIC_HOST",          "CLAWBACK_PASSPHRASE_COMMAND"};
    for (size_t i = 0; i < sizeof CLEAN / sizeof *CLEAN; i++)
        unsetenv(CLEAN[i]);
    buf_init(&out, OUTPUT_MAX_BYTES);
    buf_init(&errors, OUTPUT_MAX_BYTES);
    assert_non_null(mkdtemp(base));
    snprintf(path, sizeof path, "%s/data", base);
    setenv("HOME", base, 1);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file("data/a.txt", "first file\n");
    write_file("data/b.log", "a log\n");
    write_file("stdin", "");
    write_file("wrong", "not it\n");
    write_file("next", "the next one\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128], shell[] = "sh", flag[] = "-c";
    snprintf(command, sizeof command, "chmod -R u+rwX %s; rm -rf %s", base, base);
    char *argv[] = {shell, flag, command, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        execvp(shell, argv);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    buf_release(&out);
    buf_release(&errors);
    return 0;
}

static void test_cli__without_arguments_it_says_how_to_begin(void **state)
{
    (void)state;
    assert_run(1, "");
    assert_in(&out, "clawback init --generate-passphrase");
    assert_run(0, "--help");
    assert_in(&out, "Exit status");
    assert_run(0, "help key add");
    assert_in(&out, "--new-password-file");
    assert_run(0, "key --help");
    assert_in(&out, "key passwd");
    assert_run(1, "key");
    assert_in(&errors, "error: 'key' is not complete; there are 'key list'");
}

static void test_cli__version_knows_its_libraries(void **state)
{
    (void)state;
    assert_run(0, "version");
    assert_string_equal(buf_cstr(&out), "clawback " CLAWBACK_VERSION "\n");
    assert_run(0, "version -v");
    assert_in(&out, "openssl 3.");
    assert_run(0, "version --json");
    json_t *document = output_json();
    assert_string_equal(json_string_value(json_object_get(document, "version")), CLAWBACK_VERSION);
    json_decref(document);
    assert_run(1, "version x");
    assert_run(0, "manual");
    assert_in(&out, ".TH CLAWBACK 1");
    assert_run(0, "completion fish");
    assert_run(1, "completion tcsh");
}

static void test_cli__mistakes_change_nothing(void **state)
{
    (void)state;
    assert_run(1, "bakcup");
    assert_in(&errors, "error: unknown command 'bakcup'; did you mean 'backup'?\n");
    assert_run(1, "--compression zip version");
    assert_run(1, "--json nonsense");
    assert_in(&errors, "{\"message_type\":\"exit_error\",\"code\":1,\"message\":\"unknown command 'nonsense'");
    assert_run(1, "init x");
    assert_run(1, "init --repository-version 3");
    assert_run(1, "init -p x --password-command y");
    assert_run(1, "init");
    assert_in(&errors, "no passphrase was given: put it into '");
    assert_run(10, "backup");
    assert_in(&errors, "(the default place)");
    assert_run(10, "-r /nonexistent/x snapshots");
    setenv("CLAWBACK_PACK_SIZE", "1000", 1);
    assert_run(1, "version");
    assert_in(&errors, "CLAWBACK_PACK_SIZE: 1000 is not between 4 and 128 MiB");
    unsetenv("CLAWBACK_PACK_SIZE");
    assert_int_equal(access(in_base(".local"), F_OK), -1);
    assert_int_equal(access(in_base(".config"), F_OK), -1);
}

static void test_cli__init_makes_a_passphrase_once(void **state)
{
    (void)state;
    struct stat st;
    struct buf text;
    struct err err;
    buf_init(&text, 1000);
    assert_run(0, "init --generate-passphrase");
    assert_in(&out, "Keep a copy of the passphrase");
    assert_int_equal(stat(in_base(".config/clawback/passphrase"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(os_read_file(in_base(".config/clawback/passphrase"), &text, &err), 0);
    assert_int_equal(text.len, 33);
    assert_int_equal(strspn(buf_cstr(&text), "23456789abcdefghjkmnpqrstuvwxyz"), 32);
    assert_run(1, "init");
    assert_in(&errors, "already");
    char line[128];
    snprintf(line, sizeof line, "-r %s/other init --generate-passphrase", base);
    assert_run(1, line);
    assert_in(&errors, "is there already");
    buf_release(&text);
}

static void back_up(int expected, const char *options)
{
    char line[512];
    snprintf(line, sizeof line, "backup %s %s", path, options);
    assert_run(expected, line);
}

static void test_cli__backup_says_what_it_did(void **state)
{
    (void)state;
    back_up(0, "--tag one,two --host box --dry-run");
    assert_in(&out, "nothing was stored: this was a dry run");
    back_up(0, "--tag one,two --host box --exclude '*.log' --time '2026-01-31 14:05:00'");
    assert_in(&out, "Files:   1 new, 0 changed, 0 unmodified\n");
    assert_in(&out, " saved\n");
    back_up(0, "--json --host box");
    json_t *summary = last_line_json();
    assert_string_equal(json_string_value(json_object_get(summary, "message_type")), "summary");
    assert_int_equal(json_integer_value(json_object_get(summary, "files_new")), 1);
    assert_int_equal(json_integer_value(json_object_get(summary, "files_unmodified")), 1);
    assert_int_equal(strlen(json_string_value(json_object_get(summary, "snapshot_id"))), 64);
    json_decref(summary);
    back_up(0, "--quiet --host box");
    assert_int_equal(out.len, 0);
    assert_int_equal(errors.len, 0);
    /* A place whose parents nobody changes meanwhile, as happens in /tmp. */
    assert_run(0, "backup /usr/lib/os-release --host still -q");
    assert_run(0, "backup /usr/lib/os-release --host still --skip-if-unchanged");
    assert_in(&out, "nothing changed: no new snapshot was made");
}

static void test_cli__backup_names_what_it_could_not_read(void **state)
{
    (void)state;
    back_up(3, "/nonexistent/thing --host other");
    assert_in(&errors, "warning: not backed up: ");
    assert_in(&errors, "/nonexistent/thing");
    assert_in(&out, "Missing: 1 could not be read and is not in the snapshot");
    back_up(3, "/nonexistent/thing --host other --json");
    assert_in(&errors, "{\"message_type\":\"error\",\"error\":{\"message\":\"");
    assert_in(&errors, "\"during\":\"archival\",\"item\":\"/nonexistent/thing\"}");
    assert_in(&errors, "\"code\":3");
}

static void test_cli__backup_refuses_senseless_options(void **state)
{
    (void)state;
    static const char *const LINES[] = {"--stdin --stdin-from-command x",
                                        "--stdin",
                                        "--stdin-filename x",
                                        "--force --parent latest",
                                        "--time yesterday",
                                        "--exclude-larger-than x",
                                        "--files-from /nonexistent/list",
                                        "--exclude-file /nonexistent/list"};
    for (size_t i = 0; i < sizeof LINES / sizeof *LINES; i++)
        back_up(1, LINES[i]);
    assert_run(1, "backup --stdin-from-command");
    assert_run(1, "backup ''");
}

static void test_cli__backup_of_a_stream(void **state)
{
    (void)state;
    write_file("stdin", "from outside");
    assert_run(0, "backup --stdin --stdin-filename dump.sql --host stream --json");
    json_t *summary = last_line_json();
    assert_int_equal(json_integer_value(json_object_get(summary, "total_bytes_processed")), 12);
    json_decref(summary);
    write_file("stdin", "");
    assert_run(0, "backup --stdin-from-command --host stream -- echo -n hello");
    assert_run(0, "cat tree latest --host stream");
    assert_in(&out, "\"name\":\"stdin\"");
    assert_run(1, "backup --stdin-from-command --host failing -- false");
    assert_run(1, "snapshots latest --host failing");
}

static void test_cli__backup_without_a_path_is_of_the_agent_home(void **state)
{
    (void)state;
    assert_run(1, "backup");
    assert_in(&errors, "no agent home was found");
    assert_int_equal(mkdir(in_base(".openclaw"), 0700), 0);
    assert_int_equal(mkdir(in_base(".openclaw/node_modules"), 0700), 0);
    write_file(".openclaw/openclaw.json", "{}\n");
    write_file(".openclaw/node_modules/x.js", "x\n");
    assert_run(0, "backup --host agent");
    assert_in(&errors, "backing up the agent home ");
    assert_in(&out, "processed 1 files");
    assert_run(0, "backup --host agent --no-agent-excludes");
    assert_in(&out, "processed 2 files");
}

static void test_cli__lists_of_files(void **state)
{
    (void)state;
    char text[512], line[256];
    snprintf(text, sizeof text, "# a comment\n\n  %s/*.txt  \n%s/nothing*\n", path, path);
    write_file("patterns", text);
    snprintf(line, sizeof line, "backup -n --files-from %s", in_base("patterns"));
    assert_run(0, line);
    assert_in(&out, "processed 1 files");
    assert_in(&errors, "matches nothing");
    snprintf(text, sizeof text, "%s/a.txt\n%s/b.log\n", path, path);
    write_file("verbatim", text);
    snprintf(line, sizeof line, "backup -n --files-from-verbatim %s", in_base("verbatim"));
    assert_run(0, line);
    assert_in(&out, "processed 2 files");
    snprintf(line, sizeof line, "backup -n --files-from-raw %s", in_base("verbatim"));
    assert_run(1, line);
    assert_in(&errors, "it does not end with a NUL byte");
    write_file("verbatim", "# nothing\n");
    snprintf(line, sizeof line, "backup -n --files-from %s", in_base("verbatim"));
    assert_run(1, line);
    assert_in(&errors, "nothing to back up");
}

static void test_cli__snapshots_are_listed_and_grouped(void **state)
{
    (void)state;
    assert_run(0, "snapshots --host box");
    assert_in(&out, "ID        Time                 Host  Tags  Paths");
    assert_in(&out, "2026-01-31 14:05:00  box   one   ");
    assert_in(&out, "snapshots\n");
    assert_run(0, "snapshots --json --tag one,two");
    json_t *list = output_json();
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "hostname")), "box");
    json_decref(list);
    assert_run(0, "snapshots --group-by host --json");
    list = output_json();
    assert_int_equal(json_array_size(list), 3);
    json_t *key = json_object_get(json_array_get(list, 0), "group_key");
    assert_string_equal(json_string_value(json_object_get(key, "hostname")), "box");
    assert_true(json_is_null(json_object_get(key, "paths")));
    json_decref(list);
    assert_run(0, "snapshots --group-by host,paths,tags -c");
    assert_in(&out, "snapshots for (host [box], tags [one, two], paths [");
    assert_run(0, "snapshots --latest 1 --host box");
    assert_in(&out, "1 snapshot\n");
    assert_run(0, "snapshots latest");
    assert_in(&out, "1 snapshot\n");
    assert_run(0, "snapshots --host nobody");
    assert_in(&errors, "there are no such snapshots");
    assert_run(1, "snapshots --group-by colour");
    assert_run(1, "snapshots 0123456789");
    assert_run(1, "snapshots latest --host nobody");
}

static void test_cli__tags_change_and_the_first_id_is_kept(void **state)
{
    (void)state;
    assert_run(0, "snapshots --json --tag one,two");
    json_t *before = output_json();
    const char *id = json_string_value(json_object_get(json_array_get(before, 0), "id"));
    assert_run(0, "tag --tag one,two --add three --remove one --json");
    json_t *changed = output_json();
    assert_string_equal(json_string_value(json_object_get(changed, "old_snapshot_id")), id);
    assert_run(0, "tag --tag three --set four,five");
    assert_in(&out, "changed the tags of 1 snapshot\n");
    assert_run(0, "snapshots --json --tag four,five");
    json_t *after = output_json();
    assert_int_equal(json_array_size(after), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(after, 0), "original")), id);
    assert_int_equal(json_array_size(json_object_get(json_array_get(after, 0), "tags")), 2);
    json_decref(before);
    json_decref(changed);
    json_decref(after);
    assert_run(0, "tag --set '' --tag four -v");
    assert_in(&errors, " is now ");
    assert_run(0, "tag --remove nothing");
    assert_in(&out, "changed the tags of 0 snapshots");
    assert_run(1, "tag");
    assert_run(1, "tag --set a --add b");
    assert_run(1, "tag --add a ffffffff");
}

static void test_cli__snapshots_are_found_by_id_path_and_host(void **state)
{
    (void)state;
    char line[256];
    assert_run(0, "snapshots --json latest --host box");
    json_t *list = output_json();
    const char *id = json_string_value(json_object_get(json_array_get(list, 0), "id"));
    const char *tree = json_string_value(json_object_get(json_array_get(list, 0), "tree"));
    snprintf(line, sizeof line, "cat snapshot %.10s", id);
    assert_run(0, line);
    assert_in(&out, tree);
    snprintf(line, sizeof line, "cat snapshot latest --path %s --host box", path);
    assert_run(0, line);
    assert_in(&out, tree);
    snprintf(line, sizeof line, "tag --add x %.10s:/below", id);
    assert_run(1, line);
    assert_in(&errors, "a path within a snapshot cannot be given here");
    json_decref(list);
    assert_run(1, "cat snapshot latest --path nowhere");
    assert_in(&errors, "no snapshot matches --host, --tag and --path");
    assert_run(1, "cat snapshot 0123456789");
}

static void test_cli__a_damaged_snapshot_does_not_hide_the_others(void **state)
{
    (void)state;
    static const char NAME[] =
        ".local/share/clawback/repository/snapshots/0000000000000000000000000000000000000000000000000000000000000001";
    write_file(NAME, "this was never a snapshot, but it has its place among them");
    assert_run(0, "cat snapshot latest");
    assert_in(&errors, "warning: ");
    assert_in(&errors, "00000000");
    assert_run(1, "snapshots -c");
    assert_in(&out, " snapshots\n");
    assert_in(&errors, "1 snapshot cannot be read");
    assert_run(1, "tag --add x");
    assert_int_equal(unlink(in_base(NAME)), 0);
}

static void test_cli__cat_and_list_show_what_is_stored(void **state)
{
    (void)state;
    assert_run(0, "cat config");
    json_t *config = output_json();
    assert_int_equal(json_integer_value(json_object_get(config, "version")), 2);
    json_decref(config);
    assert_run(0, "cat snapshot latest");
    json_t *snapshot = output_json();
    char line[128];
    snprintf(line, sizeof line, "cat blob %s", json_string_value(json_object_get(snapshot, "tree")));
    json_decref(snapshot);
    assert_run(0, line);
    assert_memory_equal(buf_cstr(&out), "{\"nodes\":[", 10);
    snprintf(line, sizeof line, "cat tree latest:%s --host other", path);
    assert_run(0, line);
    assert_in(&out, "\"name\":\"a.txt\"");
    snprintf(line, sizeof line, "cat tree latest:%s/a.txt --host other", path);
    assert_run(1, line);
    assert_in(&errors, "'a.txt' is no directory");
    assert_run(1, "cat tree latest:/nowhere");
    assert_run(0, "cat masterkey");
    json_t *key = output_json();
    assert_int_equal(strlen(json_string_value(json_object_get(key, "encrypt"))), 44);
    json_decref(key);
    static const char *const KINDS[] = {"packs", "index", "keys"}, *const NAMES[] = {"pack", "index", "key"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(line, sizeof line, "list %s", KINDS[i]);
        assert_run(0, line);
        assert_true(out.len >= 65);
        snprintf(line, sizeof line, "cat %s %.64s", NAMES[i], buf_cstr(&out));
        assert_run(0, line);
        assert_true(out.len > 32);
    }
    assert_run(0, "list blobs");
    assert_in(&out, "data ");
    assert_in(&out, "tree ");
    assert_run(0, "list snapshots --json");
    assert_memory_equal(buf_cstr(&out), "{\"id\":\"", 7);
    assert_run(0, "list blobs --json");
    assert_run(0, "list locks");
    assert_int_equal(out.len, 0);
    static const char *const WRONG[] = {
        "cat",         "cat x",
        "cat blob",    "cat config x",
        "cat blob 12", "list",
        "list x",      "cat blob 0000000000000000000000000000000000000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++)
        assert_run(1, WRONG[i]);
}

static void test_cli__keys_come_and_go(void **state)
{
    (void)state;
    char line[256];
    snprintf(line, sizeof line, "key add --new-password-file %s --user me --host there", in_base("next"));
    assert_run(0, line);
    assert_run(0, "key list");
    assert_in(&out, "me    there");
    assert_run(0, "key list --json");
    json_t *keys = output_json();
    assert_int_equal(json_array_size(keys), 2);
    bool first = json_is_true(json_object_get(json_array_get(keys, 0), "current"));
    char *current = mem_strdup(json_string_value(json_object_get(json_array_get(keys, !first), "id")));
    json_decref(keys);
    snprintf(line, sizeof line, "key remove %s", current);
    assert_run(1, line);
    assert_in(&errors, "is the one that opened the repository");
    snprintf(line, sizeof line, "key remove %s -p %s", current, in_base("next"));
    assert_run(0, line);
    free(current);
    assert_run(12, "key list");
    snprintf(line, sizeof line, "key passwd -p %s --new-password-file %s", in_base("next"),
             in_base(".config/clawback/passphrase"));
    assert_run(0, line);
    assert_run(0, "key list");
    assert_run(1, "key add");
    assert_in(&errors, "--new-password-file");
    assert_run(1, "key add x");
    assert_run(1, "key remove");
    assert_run(0, "unlock");
    assert_run(0, "unlock --remove-all --json");
    assert_in(&out, "\"removed_locks\":0");
    assert_run(1, "unlock x");
}

static void test_cli__passphrases_come_from_many_places(void **state)
{
    (void)state;
    char line[256];
    struct buf text;
    struct err err;
    buf_init(&text, 100);
    assert_int_equal(os_read_file(in_base(".config/clawback/passphrase"), &text, &err), 0);
    text.len--;
    setenv("RESTIC_PASSWORD", "wrong", 1);
    assert_run(12, "key list");
    setenv("CLAWBACK_PASSPHRASE", buf_cstr(&text), 1); /* ours before restic's */
    assert_run(0, "key list");
    unsetenv("CLAWBACK_PASSPHRASE");
    unsetenv("RESTIC_PASSWORD");
    setenv("CLAWBACK_PASSPHRASE_FILE", in_base("wrong"), 1);
    assert_run(12, "key list");
    snprintf(line, sizeof line, "key list -p %s", in_base(".config/clawback/passphrase"));
    assert_run(0, line);
    snprintf(line, sizeof line, "key list --password-command 'cat \"%s\"'", in_base(".config/clawback/passphrase"));
    assert_run(0, line);
    unsetenv("CLAWBACK_PASSPHRASE_FILE");
    setenv("CLAWBACK_PASSPHRASE_COMMAND", "echo wrong", 1);
    assert_run(12, "key list");
    unsetenv("CLAWBACK_PASSPHRASE_COMMAND");
    assert_run(1, "key list --password-command false");
    assert_run(1, "key list --password-command true");
    assert_in(&errors, "is empty");
    assert_run(1, "key list -p /nonexistent/file");
    write_file("stdin", buf_cstr(&text));
    assert_run(0, "key list -p -");
    write_file("stdin", "");
    assert_int_equal(mkdir(in_base("credentials"), 0700), 0);
    write_file("credentials/clawback-passphrase", "wrong\n");
    setenv("CREDENTIALS_DIRECTORY", in_base("credentials"), 1);
    assert_run(12, "key list");
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(chmod(in_base(".config/clawback/passphrase"), 0644), 0);
    assert_run(0, "key list");
    assert_in(&errors, "warning: passphrase file '");
    assert_int_equal(chmod(in_base(".config/clawback/passphrase"), 0600), 0);
    buf_release(&text);
}

static void test_cli__repository_comes_from_many_places(void **state)
{
    (void)state;
    char line[512];
    setenv("RESTIC_REPOSITORY", "/nonexistent/restic", 1);
    assert_run(10, "snapshots");
    assert_in(&errors, "'/nonexistent/restic'\n");
    setenv("CLAWBACK_REPOSITORY", "~/.local/share/clawback/repository", 1);
    assert_run(0, "snapshots");
    assert_run(10, "snapshots -r /nonexistent/ours");
    unsetenv("CLAWBACK_REPOSITORY");
    snprintf(line, sizeof line, "%s/.local/share/clawback/repository\n", base);
    write_file("where", line);
    snprintf(line, sizeof line, "snapshots --repository-file %s", in_base("where"));
    assert_run(0, line);
    unsetenv("RESTIC_REPOSITORY");
    setenv("CLAWBACK_REPOSITORY_FILE", in_base("where"), 1);
    assert_run(0, "snapshots");
    unsetenv("CLAWBACK_REPOSITORY_FILE");
    write_file("where", "\n");
    snprintf(line, sizeof line, "snapshots --repository-file %s", in_base("where"));
    assert_run(1, line);
    assert_run(1, "snapshots -r x --repository-file y");
    assert_run(1, "snapshots -r ''");
    assert_run(1, "snapshots -r gopher://x");
    assert_run(0, "snapshots --no-lock --no-cache");
    snprintf(line, sizeof line, "list blobs --cache-dir %s", in_base("cache"));
    assert_run(0, line);
    setenv("RESTIC_CACHE_DIR", in_base("shared"), 1);
    assert_run(0, "list blobs");
    unsetenv("RESTIC_CACHE_DIR");
}

static void test_cli__output_that_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(unlink(in_base("stdout")), 0);
    assert_int_equal(symlink("/dev/full", in_base("stdout")), 0);
    struct strlist words = {0};
    strlist_add(&words, "version");
    pid_t pid = fork();
    if (pid == 0)
        child(&words);
    strlist_release(&words);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_int_equal(unlink(in_base("stdout")), 0);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    /* In this order: the first ones make the repository that the others use. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cli__without_arguments_it_says_how_to_begin),
        cmocka_unit_test(test_cli__version_knows_its_libraries),
        cmocka_unit_test(test_cli__mistakes_change_nothing),
        cmocka_unit_test(test_cli__init_makes_a_passphrase_once),
        cmocka_unit_test(test_cli__backup_says_what_it_did),
        cmocka_unit_test(test_cli__backup_names_what_it_could_not_read),
        cmocka_unit_test(test_cli__backup_refuses_senseless_options),
        cmocka_unit_test(test_cli__lists_of_files),
        cmocka_unit_test(test_cli__snapshots_are_listed_and_grouped),
        cmocka_unit_test(test_cli__tags_change_and_the_first_id_is_kept),
        cmocka_unit_test(test_cli__snapshots_are_found_by_id_path_and_host),
        cmocka_unit_test(test_cli__a_damaged_snapshot_does_not_hide_the_others),
        cmocka_unit_test(test_cli__cat_and_list_show_what_is_stored),
        cmocka_unit_test(test_cli__keys_come_and_go),
        cmocka_unit_test(test_cli__passphrases_come_from_many_places),
        cmocka_unit_test(test_cli__repository_comes_from_many_places),
        cmocka_unit_test(test_cli__backup_of_a_stream),
        cmocka_unit_test(test_cli__backup_without_a_path_is_of_the_agent_home),
        cmocka_unit_test(test_cli__output_that_cannot_be_written_is_an_error),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
