/* Against a stand-in for the engine's program, a shell script: it answers as Docker and Podman do, and what it starts
 * "in the container" outlives it, as there. The real engine is for tests/integration/test_postgres.py. */
#include "source/container.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include "os/clock.h"
#include "os/file.h"
#include "source/recording_sink.h"

/* Runs what follows the container's ID in a session of its own, with the environment that -e gives. */
static const char ENGINE[] =
    "#!/bin/sh\n"
    "here=$(dirname \"$0\")\n"
    "printf '%s\\n' \"$@\" >>\"$here/arguments\"\n"
    "[ ! -e \"$here/trouble\" ] || { cat \"$here/trouble\" >&2; exit 1; }\n"
    "case $1 in\n"
    "container) shift 2; sep=; status=0; printf '['\n"
    "    for name; do\n"
    "        if [ -e \"$here/$name.json\" ]; then printf '%s' \"$sep\"; cat \"$here/$name.json\"; sep=,\n"
    "        else echo \"Error response from daemon: No such container: $name\" >&2; status=1; fi\n"
    "    done; echo ']'; exit $status ;;\n"
    "exec) shift ;;\n"
    "esac\n"
    "while :; do\n"
    "    case $1 in\n"
    "    -i) shift ;;\n"
    "    -u) export THERE_AS=\"$2\"; shift 2 ;;\n"
    "    -e) case $2 in *=*) export \"$2\" ;; esac; shift 2 ;;\n"
    "    *) break ;;\n"
    "    esac\n"
    "done\n"
    "shift\n"
    "[ ! -e \"$here/oci\" ] || { cat \"$here/oci\"; exit 126; }\n"
    "[ ! -e \"$here/no-shell\" ] || [ \"$1\" != sh ] || {\n"
    "    echo 'OCI runtime exec failed: exec: \"sh\": executable file not found in $PATH: unknown'; exit 126; }\n"
    "exec setsid --wait \"$@\"\n";

static const char RUNS[] =
    "{\"Id\":\"0123abc\",\"Name\":\"/erp\",\"Config\":{\"Image\":\"postgres:15\",\"Env\":["
    "\"POSTGRES_PASSWORD=geheim\",\"POSTGRES_USER=u\",\"POSTGRES_DB=d=e\",\"ODD\"],"
    "\"ExposedPorts\":{\"5432/tcp\":{},\"8008/tcp\":{}}},"
    "\"State\":{\"Status\":\"running\",\"Running\":true,\"Paused\":false},"
    "\"NetworkSettings\":{\"Ports\":{\"5432/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"5433\"},"
    "{\"HostIp\":\"::1\",\"HostPort\":\"5433\"},{\"HostIp\":\"\",\"HostPort\":\"1\"}],"
    "\"8008/tcp\":null}}}";
static const char STOPPED[] = "{\"Id\":\"77\",\"Name\":\"old\",\"State\":{\"Status\":\"exited\",\"Running\":false}}";
static const char PAUSED[] =
    "{\"Id\":\"78\",\"Name\":\"ice\",\"State\":{\"Status\":\"paused\",\"Running\":true,\"Paused\":true}}";

static struct place place;
static char *path_was;

static void write_engine(const char *name, const char *script)
{
    char *path = place_path(&place, name);
    place_file(&place, name, script);
    assert_int_equal(chmod(path, 0755), 0);
    free(path);
}

static int set_up(void **state)
{
    (void)state;
    place_make(&place);
    path_was = mem_strdup(getenv("PATH"));
    /* The machine's own engines must not be found: their directories go. What scripts need is linked. */
    static const char *const tools[] = {"sh", "cat", "dirname", "printf", "setsid", "sleep", "env", "seq", "true"};
    place_dir(&place, "tools");
    for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++) {
        char *from = mem_printf("/usr/bin/%s", tools[i]), *to = mem_printf("%s/tools/%s", place.root, tools[i]);
        assert_int_equal(symlink(from, to), 0);
        free(from);
        free(to);
    }
    char *path = mem_printf("%s:%s/tools", place.root, place.root);
    setenv("PATH", path, 1);
    free(path);
    unsetenv("DOCKER_HOST");
    unsetenv("DOCKER_CONTEXT");
    setenv("XDG_RUNTIME_DIR", place.root, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    setenv("PATH", path_was, 1);
    free(path_was);
    place_remove(&place);
    return 0;
}

static void use_docker(void)
{
    write_engine("docker", ENGINE);
    place_file(&place, "erp.json", RUNS);
    place_file(&place, "old.json", STOPPED);
    place_file(&place, "ice.json", PAUSED);
    place_file(&place, "0123abc.json", RUNS);
}

static struct container found(const char *name)
{
    struct container c;
    struct err err = {0};
    if (container_find(&c, name, &err) != 0)
        fail_msg("%s", err.message);
    return c;
}

static char *file_text(const char *name)
{
    struct buf b;
    char *path = place_path(&place, name);
    buf_init(&b, 1 << 20);
    if (os_read_file(path, &b, NULL) != 0)
        buf_clear(&b);
    char *text = mem_strdup(buf_cstr(&b));
    buf_release(&b);
    free(path);
    return text;
}

/* ------------------------------------------------------------------------------------------------- finding */

static void test_container__running_one_is_described_without_its_secrets(void **state)
{
    (void)state;
    use_docker();
    struct container c = found("erp");
    assert_int_equal(c.state, CONTAINER_RUNNING);
    assert_int_equal(container_require_running(&c, NULL), 0);
    assert_string_equal(c.name, "erp");
    assert_string_equal(c.id, "0123abc");
    assert_string_equal(c.image, "postgres:15");
    assert_string_equal(c.program, "docker");
    char *ports = strlist_join(&c.ports, " "), *env = strlist_join(&c.env, " ");
    assert_string_equal(ports, "127.0.0.1:5433->5432/tcp [::1]:5433->5432/tcp 0.0.0.0:1->5432/tcp 8008/tcp 5432/tcp");
    assert_string_equal(env, "POSTGRES_PASSWORD POSTGRES_USER=u POSTGRES_DB=d=e ODD");
    assert_string_equal(container_env(&c, "POSTGRES_DB"), "d=e");
    assert_string_equal(container_env(&c, "POSTGRES_PASSWORD"), "");
    assert_null(container_env(&c, "POSTGRES"));
    free(ports);
    free(env);
    container_release(&c);
}

static void assert_not_running(const char *name, enum container_state expected, const char *why)
{
    struct container c = found(name);
    struct err err = {0};
    assert_int_equal(c.state, expected);
    assert_int_equal(container_require_running(&c, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    if (strstr(err.message, why) == NULL)
        fail_msg("'%s' is not in '%s'", why, err.message);
    struct container_process *p;
    struct container_exec exec = {.argv = (char *[]){(char[]){"true"}, NULL}};
    assert_int_equal(container_start(&p, &c, &exec, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    container_release(&c);
}

static void test_container__what_does_not_run_says_why(void **state)
{
    (void)state;
    assert_not_running("erp", CONTAINER_NO_ENGINE, "neither Docker nor Podman is installed");
    use_docker();
    assert_not_running("old", CONTAINER_STOPPED, "not running (exited): start it with 'docker start old'");
    assert_not_running("ice", CONTAINER_STOPPED, "'docker unpause ice'");
    assert_not_running("nix", CONTAINER_ABSENT, "there is no container 'nix'");
    place_file(&place, "trouble", "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?\n");
    assert_not_running("erp", CONTAINER_NO_ENGINE, "docker is installed, but does not run");
}

static void test_container__podman_is_asked_after_docker(void **state)
{
    (void)state;
    use_docker();
    place_dir(&place, "pod");
    write_engine("pod/podman", ENGINE);
    place_file(&place, "pod/old.json", RUNS);
    char *path = mem_printf("%s/pod:%s", place.root, getenv("PATH"));
    setenv("PATH", path, 1);
    free(path);
    struct container c = found("old"); /* docker's is stopped */
    assert_string_equal(c.program, "podman");
    assert_int_equal(c.state, CONTAINER_RUNNING);
    container_release(&c);
    place_file(&place, "trouble", "permission denied while trying to connect to the Docker daemon socket\n");
    c = found("old");
    assert_string_equal(c.program, "podman");
    container_release(&c);
}

static void test_container__docker_without_root_is_found_at_its_socket(void **state)
{
    (void)state;
    use_docker();
    place_file(&place, "docker.sock", "");
    place_file(&place, "docker",
               "#!/bin/sh\n[ -n \"$DOCKER_HOST\" ] || { echo 'Cannot connect to the Docker daemon' >&2; exit 1; }\n"
               "echo \"[$(cat \"$(dirname \"$0\")/erp.json\")]\"\n");
    struct container c = found("erp");
    char *expected = mem_printf("unix://%s/docker.sock", place.root);
    assert_string_equal(c.host, expected);
    free(expected);
    container_release(&c);
    setenv("DOCKER_HOST", "unix:///somewhere", 1); /* then nobody knows better */
    c = found("erp");
    assert_null(c.host);
    container_release(&c);
    unsetenv("DOCKER_HOST");
}

static enum err_code failure_of(const char *name, const char *part)
{
    struct container c;
    struct err err = {0};
    assert_int_equal(container_find(&c, name, &err), -1);
    if (strstr(err.message, part) == NULL)
        fail_msg("'%s' is not in '%s'", part, err.message);
    container_release(&c);
    return err.code;
}

static void test_container__names_that_are_none_reach_no_engine(void **state)
{
    (void)state;
    use_docker();
    assert_int_equal(failure_of("", "no name"), ERR_USAGE);
    assert_int_equal(failure_of("-v", "no name"), ERR_USAGE);
    assert_int_equal(failure_of("a b", "no name"), ERR_USAGE);
    char *arguments = file_text("arguments");
    assert_string_equal(arguments, "");
    free(arguments);
}

static void test_container__trouble_with_the_engine_is_an_error(void **state)
{
    (void)state;
    use_docker();
    place_file(&place, "trouble", "permission denied while trying to connect to the Docker daemon socket\n");
    assert_int_equal(failure_of("erp", "does not let this user in"), ERR_PERMISSION);
    place_file(&place, "trouble", "something else\n");
    assert_int_equal(failure_of("erp", "something else"), ERR_FAILED);
    place_file(&place, "docker", "#!/bin/sh\necho nonsense\n");
    assert_int_equal(failure_of("erp", "nothing that makes sense"), ERR_FAILED);
    place_file(&place, "docker", "#!/bin/sh\necho '[{\"Id\":\"\"}]'\n");
    assert_int_equal(failure_of("erp", "nothing that makes sense"), ERR_FAILED);
}

/* ------------------------------------------------------------------------------------------------ programs in it */

/* sh -c SCRIPT there. */
static int run_there(const char *script, const struct container_exec *more, struct buf *out, struct err *err)
{
    struct container c = found("erp");
    char *copy = mem_strdup(script);
    struct container_exec o = *more;
    o.argv = (char *[]){(char[]){"sh"}, (char[]){"-c"}, copy, NULL};
    int rc = container_run(&c, &o, out, err);
    free(copy);
    container_release(&c);
    return rc;
}

static void test_container__secrets_go_by_name_only(void **state)
{
    (void)state;
    use_docker();
    struct buf out;
    struct err err = {0};
    buf_init(&out, 1000);
    const char *const environment[] = {"PGPASSWORD=geheim=x", "LC_ALL=C", NULL};
    struct container_exec o = {.environment = environment, .user = "db"};
    if (run_there("echo \"$PGPASSWORD $THERE_AS\"", &o, &out, &err) != 0)
        fail_msg("%s", err.message);
    assert_string_equal(buf_cstr(&out), "geheim=x db\n");
    char *arguments = file_text("arguments");
    assert_null(strstr(arguments, "geheim"));
    assert_non_null(strstr(arguments, "exec\n-e\nPGPASSWORD\n-e\nLC_ALL\n-u\ndb\n-e\nCLAWBACK_EXEC="));
    assert_null(strstr(arguments, "\n-i\n"));
    free(arguments);
    buf_release(&out);
}

static void test_container__input_and_output_pass_through(void **state)
{
    (void)state;
    use_docker();
    struct buf out;
    struct err err = {0};
    int ends[2];
    buf_init(&out, 1000);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], "from outside\n", 13), 13);
    close(ends[1]);
    struct container_exec o = {.with_stdin = true, .stdin_fd = ends[0]};
    if (run_there("cat; echo", &o, &out, &err) != 0)
        fail_msg("%s", err.message);
    close(ends[0]);
    assert_string_equal(buf_cstr(&out), "from outside\n\n");
    assert_int_equal(run_there("seq 100000", &(struct container_exec){0}, NULL, &err), 0);
    buf_release(&out);
}

static void test_container__failure_names_the_program_there(void **state)
{
    (void)state;
    use_docker();
    struct err err = {0};
    assert_int_equal(run_there("echo 'it is gone' >&2; exit 3", &(struct container_exec){0}, NULL, &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
    assert_string_equal(err.message, "'sh' in the container 'erp' exited with status 3: it is gone");
}

static void test_container__missing_program_is_told_at_the_start(void **state)
{
    (void)state;
    use_docker();
    struct container c = found("erp");
    struct container_process *p;
    struct err err = {0};
    struct container_exec o = {.argv = (char *[]){(char[]){"no-such-program"}, NULL}};
    assert_int_equal(container_start(&p, &c, &o, &err), -1);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_string_equal(err.message, "the container 'erp' has no program 'no-such-program'");
    assert_null(p);
    container_release(&c);
}

static void test_container__engine_that_refuses_is_explained(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        enum err_code code;
        const char *part;
    } cases[] = {
        {"Error response from daemon: Container 0123 is not running\n", ERR_NOT_FOUND, "is not running any more"},
        {"Error response from daemon: Container erp is paused, unpause it\n", ERR_NOT_FOUND, "not running any more"},
        {"unable to find user nix: no matching entries in passwd file\n", ERR_FAILED,
         "cannot start 'sh' in the container "
         "'erp': unable to find user nix"},
    };
    use_docker();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {0};
        place_file(&place, "oci", cases[i].words);
        assert_int_equal(run_there("true", &(struct container_exec){0}, NULL, &err), -1);
        assert_int_equal(err.code, cases[i].code);
        if (strstr(err.message, cases[i].part) == NULL)
            fail_msg("'%s' is not in '%s'", cases[i].part, err.message);
    }
    char large[9000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    place_file(&place, "oci", large);
    struct err err = {0};
    assert_int_equal(run_there("true", &(struct container_exec){0}, NULL, &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
}

static void test_container__too_much_output_is_an_error(void **state)
{
    (void)state;
    use_docker();
    struct buf out;
    struct err err = {0};
    buf_init(&out, 100);
    assert_int_equal(run_there("seq 1000000", &(struct container_exec){0}, &out, &err), -1);
    assert_non_null(strstr(err.message, "larger than 100 bytes"));
    buf_release(&out);
}

/* ---------------------------------------------------------------------------------------------- ending what is there
 */

static bool is_alive(long pid)
{
    char path[64], state = '?';
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return false;
    if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
        state = '?';
    fclose(f);
    return state != 'Z';
}

/* Where the program there wrote its number. */
static long pid_there(void)
{
    for (int i = 0; i < 500; i++) {
        char *text = file_text("pid");
        long pid = strtol(text, NULL, 10);
        bool whole = strchr(text, '\n') != NULL;
        free(text);
        if (whole)
            return pid;
        os_sleep_ms(10);
    }
    return 0;
}

static void assert_gone(long pid)
{
    assert_true(pid > 1);
    for (int i = 0; i < 500 && is_alive(pid); i++)
        os_sleep_ms(10);
    assert_false(is_alive(pid));
}

/* Waits for the program there, that has this script, to take too long; says whether it took that many tenths. */
static void assert_ended_after_timeout(const char *script)
{
    struct err err = {0};
    char *text = mem_printf("echo $$ >%s/pid; %s", place.root, script);
    struct container_exec o = {.timeout_ms = 700};
    assert_int_equal(run_there(text, &o, NULL, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_string_equal(err.message, "'sh' in the container 'erp' took too long (more than 0.7 s) and was stopped");
    assert_gone(pid_there());
    free(text);
}

static void test_container__timeout_ends_the_program_there(void **state)
{
    (void)state;
    use_docker();
    assert_ended_after_timeout("exec sleep 100");
}

static void test_container__program_that_ignores_the_request_is_killed(void **state)
{
    (void)state;
    use_docker();
    assert_ended_after_timeout("trap '' TERM; while :; do sleep 0.2; done");
}

static void test_container__program_is_ended_without_a_shell_there(void **state)
{
    (void)state;
    use_docker();
    place_file(&place, "no-shell", "");
    struct container c = found("erp");
    struct err err = {0};
    char *script = mem_printf("echo $$ >%s/pid; exec sleep 100", place.root);
    /* "sh" is what is not there: so another name for it. */
    struct container_exec o = {.argv = (char *[]){(char[]){"/bin/sh"}, (char[]){"-c"}, script, NULL},
                               .timeout_ms = 700};
    assert_int_equal(container_run(&c, &o, NULL, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_gone(pid_there());
    free(script);
    container_release(&c);
}

static void test_container__early_end_ends_the_program_there(void **state)
{
    (void)state;
    use_docker();
    struct container c = found("erp");
    struct container_process *p;
    struct err err = {0};
    char *script = mem_printf("echo $$ >%s/pid; echo said >&2; echo x; exec sleep 100", place.root), byte;
    struct container_exec o = {.argv = (char *[]){(char[]){"sh"}, (char[]){"-c"}, script, NULL}};
    assert_int_equal(container_start(&p, &c, &o, &err), 0);
    assert_int_equal(container_read(p, &byte, 1, &err), 1);
    assert_string_equal(container_stderr(p), "said\n");
    long pid = pid_there();
    assert_true(is_alive(pid));
    container_process_free(p);
    container_process_free(NULL);
    assert_gone(pid);
    free(script);
    container_release(&c);
}

static void test_container__hung_engine_does_not_hang_us(void **state)
{
    (void)state;
    use_docker();
    struct container c = found("erp");
    struct container_process *p;
    struct err err = {0};
    place_file(&place, "docker", "#!/bin/sh\nexec sleep 100\n");
    struct container_exec o = {.argv = (char *[]){(char[]){"true"}, NULL}, .timeout_ms = 300};
    assert_int_equal(container_start(&p, &c, &o, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    container_release(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_container__running_one_is_described_without_its_secrets),
        TEST(test_container__what_does_not_run_says_why),
        TEST(test_container__podman_is_asked_after_docker),
        TEST(test_container__docker_without_root_is_found_at_its_socket),
        TEST(test_container__names_that_are_none_reach_no_engine),
        TEST(test_container__trouble_with_the_engine_is_an_error),
        TEST(test_container__secrets_go_by_name_only),
        TEST(test_container__input_and_output_pass_through),
        TEST(test_container__failure_names_the_program_there),
        TEST(test_container__missing_program_is_told_at_the_start),
        TEST(test_container__engine_that_refuses_is_explained),
        TEST(test_container__too_much_output_is_an_error),
        TEST(test_container__timeout_ends_the_program_there),
        TEST(test_container__program_that_ignores_the_request_is_killed),
        TEST(test_container__program_is_ended_without_a_shell_there),
        TEST(test_container__early_end_ends_the_program_there),
        TEST(test_container__hung_engine_does_not_hang_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
