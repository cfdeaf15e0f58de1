#include "plan/home.h"

#include "os/file.h"
#include "plan/agent_place.h"

static void show(const char *what, const struct strlist *l)
{
    for (size_t i = 0; i < l->count; i++)
        print_message("%s[%zu] = %s\n", what, i, l->items[i]);
}

/* The paths, below the home, separated by spaces and in that order; "" for none. */
static void expect_paths(const struct strlist *l, const char *names)
{
    struct strlist expected = {0};
    for (const char *p = names; *p != '\0'; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        char *name = mem_strndup(p, len), *path = in_home(name);
        strlist_add(&expected, path);
        free(name);
        free(path);
        p += len;
    }
    if (!strlist_equal(l, &expected)) {
        show("found", l);
        fail_msg("expected: %s", names);
    }
    strlist_release(&expected);
}

static void expect_note(const struct agent_home *h, const char *part)
{
    for (size_t i = 0; i < h->notes.count; i++)
        if (strstr(h->notes.items[i], part) != NULL)
            return;
    show("note", &h->notes);
    fail_msg("no note has: %s", part);
}

/* Finds, compares, and wants no notes. */
static void expect_home(const char *roots, const char *outside)
{
    struct agent_home h = find();
    expect_paths(&h.roots, roots);
    expect_paths(&h.outside, outside);
    show("note", &h.notes);
    assert_int_equal(h.notes.count, 0);
    agent_home_release(&h);
}

/* ---- where homes are */

static void test_home__none_is_no_error(void **state)
{
    (void)state;
    expect_home("", "");
}

static void test_home__finds_the_usual_place(void **state)
{
    (void)state;
    make_file(".openclaw/openclaw.json", "{}");
    make_dir(".openclawed");
    make_dir(".openclaw.bak");
    make_file("openclaw.json", "{}");
    expect_home(".openclaw", "");
}

static void test_home__finds_profiles_and_old_names(void **state)
{
    (void)state;
    make_dir(".moltbot");
    make_dir(".clawdbot");
    make_dir(".clawdbot-x");
    make_dir(".openclaw-work");
    make_dir(".openclaw-dev_2");
    make_dir(".openclaw-");
    make_dir(".openclaw--x");
    make_dir(".openclaw-a.b");
    make_file(".openclaw-file", "not a directory");
    expect_home(".openclaw-dev_2 .openclaw-work .clawdbot .clawdbot-x .moltbot", "");
}

static void test_home__follows_state_dir_variables(void **state)
{
    (void)state;
    make_dir(".openclaw");
    make_dir("srv/state");
    make_dir("srv/old");
    set_variable("OPENCLAW_STATE_DIR", "srv/../srv/state/");
    setenv("CLAWDBOT_STATE_DIR", " ~/srv/old ", 1);
    expect_home("srv/state srv/old .openclaw", "");
}

static void test_home__resolves_relative_variables_from_the_working_directory(void **state)
{
    (void)state;
    make_dir("here/state");
    char *cwd = os_path_absolute("."), *here = in_home("here");
    assert_int_equal(chdir(here), 0);
    setenv("OPENCLAW_STATE_DIR", "state", 1);
    expect_home("here/state", "");
    assert_int_equal(rmdir("state"), 0);
    assert_int_equal(rmdir(here), 0);
    struct agent_home h;
    struct err err = {0};
    assert_int_equal(agent_home_find(&h, &err), -1);
    assert_non_null(strstr(err.message, "OPENCLAW_STATE_DIR"));
    unsetenv("OPENCLAW_STATE_DIR");
    setenv("OPENCLAW_HOME", "x", 1);
    assert_int_equal(agent_home_find(&h, &err), -1);
    unsetenv("OPENCLAW_HOME");
    setenv("OPENCLAW_CONFIG_PATH", "x", 1);
    assert_int_equal(agent_home_find(&h, &err), -1);
    assert_int_equal(chdir(cwd), 0);
    free(here);
    free(cwd);
}

static void test_home__notes_a_state_dir_that_is_missing(void **state)
{
    (void)state;
    make_dir(".openclaw");
    set_variable("OPENCLAW_STATE_DIR", "nowhere");
    setenv("CLAWDBOT_STATE_DIR", "/", 1);
    struct agent_home h = find();
    expect_paths(&h.roots, ".openclaw");
    expect_note(&h, "OPENCLAW_STATE_DIR names '");
    expect_note(&h, "CLAWDBOT_STATE_DIR names '/'");
    agent_home_release(&h);
}

static void test_home__takes_a_configuration_elsewhere_as_a_file(void **state)
{
    (void)state;
    make_dir(".openclaw");
    make_dir("ws");
    make_file("etc/my.json", "{agents:{defaults:{workspace:'../ws'}}}");
    set_variable("OPENCLAW_CONFIG_PATH", "etc/my.json");
    expect_home(".openclaw", "etc/my.json ws");
}

static void test_home__takes_a_configuration_alone_as_the_root(void **state)
{
    (void)state;
    make_dir("ws");
    make_file("etc/my.json", "{agents:{defaults:{workspace:'~/ws'}}}");
    set_variable("OPENCLAW_CONFIG_PATH", "etc/my.json");
    expect_home("etc/my.json", "ws");
}

static void test_home__takes_the_directory_of_a_configuration_that_has_state(void **state)
{
    (void)state;
    make_file("data/openclaw.json", "{}");
    make_dir("data/agents");
    set_variable("OPENCLAW_CONFIG_PATH", "data/openclaw.json");
    expect_home("data", "");
}

static void test_home__notes_a_configuration_that_is_missing(void **state)
{
    (void)state;
    set_variable("OPENCLAW_CONFIG_PATH", "nowhere.json");
    struct agent_home h = find();
    assert_int_equal(h.roots.count, 0);
    expect_note(&h, "OPENCLAW_CONFIG_PATH names '");
    agent_home_release(&h);
}

static void test_home__openclaw_home_stands_for_the_users_home(void **state)
{
    (void)state;
    make_dir(".openclaw");
    make_file("other/.openclaw/openclaw.json", "{agents:{defaults:{workspace:'~/ws'}}}");
    make_dir("other/ws");
    make_dir("ws");
    set_variable("OPENCLAW_HOME", "other");
    expect_home("other/.openclaw .openclaw", "other/ws");
}

static void test_home__openclaw_home_may_be_the_state_directory_itself(void **state)
{
    (void)state;
    make_file("other/openclaw.json", "{}");
    setenv("OPENCLAW_HOME", "~/other", 1);
    expect_home("other", "");
}

static void test_home__notes_an_openclaw_home_that_is_missing(void **state)
{
    (void)state;
    set_variable("OPENCLAW_HOME", "nowhere");
    struct agent_home h = find();
    expect_note(&h, "OPENCLAW_HOME names '");
    agent_home_release(&h);
}

static void test_home__notes_a_profile_that_is_missing(void **state)
{
    (void)state;
    make_dir(".openclaw-work");
    setenv("OPENCLAW_PROFILE", "work", 1);
    expect_home(".openclaw-work", "");
    setenv("OPENCLAW_PROFILE", "Default", 1);
    expect_home(".openclaw-work", "");
    setenv("OPENCLAW_PROFILE", "play", 1);
    struct agent_home h = find();
    expect_note(&h, "OPENCLAW_PROFILE is 'play'");
    agent_home_release(&h);
}

static void test_home__a_home_that_cannot_be_listed_is_noted(void **state)
{
    (void)state;
    make_file("file", "");
    set_variable("HOME", "file");
    struct agent_home h = find();
    expect_note(&h, "cannot look for an agent's home in '");
    agent_home_release(&h);
}

/* ---- symlinks */

static void test_home__resolves_a_symlinked_home_and_keeps_the_link(void **state)
{
    (void)state;
    make_dir("disk/claw");
    make_symlink("disk/claw", ".openclaw");
    expect_home("disk/claw", ".openclaw");
}

static void test_home__takes_two_names_of_one_home_once(void **state)
{
    (void)state;
    make_dir(".openclaw");
    make_symlink(".openclaw", ".clawdbot");
    set_variable("OPENCLAW_STATE_DIR", ".clawdbot");
    expect_home(".openclaw", ".clawdbot");
}

static void test_home__follows_symlinks_to_moved_parts(void **state)
{
    (void)state;
    make_file("dotfiles/claw.json", "{}");
    make_dir(".openclaw");
    make_dir("disk/ws");
    make_dir("disk/memory");
    make_dir("disk/movies");
    make_symlink("dotfiles/claw.json", ".openclaw/openclaw.json");
    make_symlink("disk/ws", ".openclaw/workspace-x");
    make_symlink("disk/memory", ".openclaw/memory");
    make_symlink("disk/movies", ".openclaw/movies");
    make_symlink("nowhere", ".openclaw/agents");
    struct agent_home h = find();
    expect_paths(&h.roots, ".openclaw");
    expect_paths(&h.outside, "dotfiles/claw.json disk/memory disk/ws");
    expect_paths(&h.workspaces, "disk/ws");
    agent_home_release(&h);
}

/* ---- what configurations name */

static void test_home__finds_all_workspaces_and_agent_directories(void **state)
{
    (void)state;
    static const char *const DIRS[] = {"ws/default", "ws/list",   "ws/entry",        "ad/list",      "ad/entry",
                                       "ws/oldest",  "ws/routed", ".openclaw/inner", ".openclaw/sub"};
    for (size_t i = 0; i < sizeof DIRS / sizeof *DIRS; i++)
        make_dir(DIRS[i]);
    setenv("CLAWBACK_TEST_WS", "entry", 1);
    make_file(".openclaw/openclaw.json",
              "// comment\n{ agents: { defaults: { workspace: '@/ws/default', },\n"
              " list: [ { id: 'main', default: true }, { workspace: \"~/ws/list\", agentDir: '~/ad/list' }, 'odd' ],\n"
              " entries: { x: { workspace: '../ws/${CLAWBACK_TEST_WS}', agentDir: ' @/ad/entry/ ' },\n"
              "            y: { workspace: 'inner', agentDir: './sub' }, z: { workspace: '', agentDir: 7 } } },\n"
              " agent: { workspace: '@/ws/oldest' }, routing: { agents: { r: { workspace: '@/ws/routed' } } } }");
    struct agent_home h = find();
    expect_paths(&h.outside, "ws/default ws/list ws/entry ws/oldest ws/routed ad/list ad/entry");
    expect_paths(&h.workspaces, "ws/default ws/list ws/entry .openclaw/inner ws/oldest ws/routed");
    expect_paths(&h.agent_dirs, "ad/list ad/entry .openclaw/sub");
    assert_int_equal(h.notes.count, 0);
    agent_home_release(&h);
    unsetenv("CLAWBACK_TEST_WS");
}

static void test_home__reads_old_configuration_names(void **state)
{
    (void)state;
    make_dir("a");
    make_dir("b");
    make_dir("clawd");
    make_file(".clawdbot/clawdbot.json", "{agents:{defaults:{workspace:'~/a'}}}");
    make_file(".moltbot/moltbot.json", "{agents:{defaults:{workspace:'~/b'}}}");
    expect_home(".clawdbot .moltbot", "a b clawd");
}

static void test_home__notes_what_is_missing(void **state)
{
    (void)state;
    make_dir("there");
    make_file(".openclaw/openclaw.json", "{agents:{defaults:{workspace:'~/gone'},list:[{agentDir:'~/gone2'},"
                                         "{workspace:'~/there'},{workspace:'${NOT_SET_ANYWHERE}/x'},"
                                         "{workspace:'${broken'}]}}");
    make_file("file", "");
    struct agent_home h = find();
    expect_paths(&h.outside, "there");
    expect_note(&h, "workspace '");
    expect_note(&h, "/gone' is not there");
    expect_note(&h, "agent directory '");
    expect_note(&h, "'${NOT_SET_ANYWHERE}/x' in '");
    expect_note(&h, "'${broken' in '");
    assert_int_equal(h.notes.count, 4);
    agent_home_release(&h);
}

static void test_home__notes_a_workspace_that_cannot_be_reached(void **state)
{
    (void)state;
    make_dir(".openclaw");
    make_symlink("loop", "loop");
    make_file(".openclaw/openclaw.json", "{agents:{defaults:{workspace:'~/loop'}}}");
    struct agent_home h = find();
    expect_note(&h, "/loop' cannot be reached: ");
    agent_home_release(&h);
}

static void test_home__takes_a_home_whose_configuration_is_broken(void **state)
{
    (void)state;
    make_file(".openclaw/openclaw.json", "{\n token: 'secret'\n agents: {} }");
    make_file(".openclaw-utf/openclaw.json", "{\n\n'\xFF':1}");
    make_dir(".openclaw-dir/openclaw.json");
    struct agent_home h = find();
    expect_paths(&h.roots, ".openclaw .openclaw-dir .openclaw-utf");
    expect_note(&h, "line 3: a comma or '}' is missing");
    expect_note(&h, "line 3: not valid JSON5 or not UTF-8");
    expect_note(&h, "it is no regular file");
    assert_int_equal(h.unread.count, 3);
    for (size_t i = 0; i < h.notes.count; i++)
        assert_null(strstr(h.notes.items[i], "secret"));
    agent_home_release(&h);
}

static void test_home__refuses_the_whole_file_system_and_ssh(void **state)
{
    (void)state;
    make_dir(".ssh/ws");
    make_dir(".sshx/a");
    make_file(".openclaw/openclaw.json",
              "{agents:{list:[{workspace:'/'},{workspace:'~/.ssh/ws'},{workspace:'~/.sshx/a'},"
              "{workspace:'~'}]}}");
    struct agent_home h = find();
    assert_int_equal(h.outside.count, 2);
    assert_string_equal(h.outside.items[1], home);
    expect_note(&h, "is the whole home directory");
    expect_note(&h, "/.ssh/ws' lies in .ssh, which is never backed up");
    expect_note(&h, "the whole file system is named");
    assert_int_equal(h.notes.count, 3);
    agent_home_release(&h);
}

static void test_home__merges_includes(void **state)
{
    (void)state;
    static const char *const DIRS[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < sizeof DIRS / sizeof *DIRS; i++)
        make_dir(DIRS[i]);
    make_file(".openclaw/openclaw.json",
              "{$include:['./more/one.json','@/outside/two.json', 7], agents:{list:[{workspace:'~/c'}]}}");
    make_file(".openclaw/more/one.json", "{agents:{$include:'deep.json'}}");
    make_file(".openclaw/more/deep.json", "{list:[{workspace:'~/a'}],defaults:{workspace:'~/x',model:'m'}}");
    make_file("outside/two.json", "{agents:{list:[{workspace:'~/b'}],defaults:{workspace:'~/d'}}}");
    struct agent_home h = find();
    expect_paths(&h.outside, "d a b c outside/two.json");
    assert_int_equal(h.notes.count, 0);
    agent_home_release(&h);
}

static void test_home__notes_includes_that_go_wrong(void **state)
{
    (void)state;
    make_file(".openclaw/openclaw.json", "{a:{$include:'gone.json'},b:{$include:'loop.json'},c:{$include:'n.json',k:1},"
                                         "d:[{$include:null}]}");
    make_file(".openclaw/loop.json", "{x:{$include:'openclaw.json'}}");
    make_file(".openclaw/n.json", "[]");
    struct agent_home h = find();
    expect_note(&h, "/gone.json'");
    expect_note(&h, "/openclaw.json' includes itself by way of '");
    assert_int_equal(h.notes.count, 2);
    assert_int_equal(h.outside.count, 0);
    agent_home_release(&h);
}

static void test_home__limits_includes(void **state)
{
    (void)state;
    make_file(".openclaw/openclaw.json", "{$include:'1.json'}");
    for (int i = 1; i <= 11; i++) {
        char *name = mem_printf(".openclaw/%d.json", i), *text = mem_printf("{$include:'%d.json'}", i + 1);
        make_file(name, text);
        free(name);
        free(text);
    }
    struct agent_home h = find();
    expect_note(&h, "/11.json' is included too deeply, from '");
    agent_home_release(&h);
    make_file(".openclaw/openclaw.json", "{$include:['w.json','w.json','w.json','w.json','w.json','w.json','w.json']}");
    make_file(".openclaw/w.json", "{a:{$include:['v.json','v.json','v.json','v.json','v.json','v.json','v.json']}}");
    make_file(".openclaw/v.json", "{a:{$include:['u.json','u.json','u.json','u.json','u.json','u.json','u.json']}}");
    make_file(".openclaw/u.json", "{a:{$include:['t.json','t.json','t.json','t.json','t.json','t.json','t.json']}}");
    make_file(".openclaw/t.json", "{}");
    h = find();
    expect_note(&h, "includes too many files");
    agent_home_release(&h);
}

static void test_home_path__is_below(void **state)
{
    (void)state;
    assert_true(os_path_is_below("/a/b", "/a"));
    assert_true(os_path_is_below("/a", "/a"));
    assert_true(os_path_is_below("/a", "/"));
    assert_true(os_path_is_below("/a/b", "/a/"));
    assert_false(os_path_is_below("/ab", "/a"));
    assert_false(os_path_is_below("/", "/a"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_home__none_is_no_error),
        TEST(test_home__finds_the_usual_place),
        TEST(test_home__finds_profiles_and_old_names),
        TEST(test_home__follows_state_dir_variables),
        TEST(test_home__resolves_relative_variables_from_the_working_directory),
        TEST(test_home__notes_a_state_dir_that_is_missing),
        TEST(test_home__takes_a_configuration_elsewhere_as_a_file),
        TEST(test_home__takes_a_configuration_alone_as_the_root),
        TEST(test_home__takes_the_directory_of_a_configuration_that_has_state),
        TEST(test_home__notes_a_configuration_that_is_missing),
        TEST(test_home__openclaw_home_stands_for_the_users_home),
        TEST(test_home__openclaw_home_may_be_the_state_directory_itself),
        TEST(test_home__notes_an_openclaw_home_that_is_missing),
        TEST(test_home__notes_a_profile_that_is_missing),
        TEST(test_home__a_home_that_cannot_be_listed_is_noted),
        TEST(test_home__resolves_a_symlinked_home_and_keeps_the_link),
        TEST(test_home__takes_two_names_of_one_home_once),
        TEST(test_home__follows_symlinks_to_moved_parts),
        TEST(test_home__finds_all_workspaces_and_agent_directories),
        TEST(test_home__reads_old_configuration_names),
        TEST(test_home__notes_what_is_missing),
        TEST(test_home__notes_a_workspace_that_cannot_be_reached),
        TEST(test_home__takes_a_home_whose_configuration_is_broken),
        TEST(test_home__refuses_the_whole_file_system_and_ssh),
        TEST(test_home__merges_includes),
        TEST(test_home__notes_includes_that_go_wrong),
        TEST(test_home__limits_includes),
        cmocka_unit_test(test_home_path__is_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
