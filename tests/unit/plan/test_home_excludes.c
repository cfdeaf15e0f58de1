#include "plan/home.h"

#include "plan/agent_place.h"
#include "source/filter.h"

static struct filter *filter_for(const struct agent_home *h)
{
    struct strlist patterns = {0};
    struct filter *f = filter_new();
    agent_home_excludes(h, &patterns);
    for (size_t i = 0; i < patterns.count; i++) {
        const char *why = agent_exclude_why(patterns.items[i]);
        assert_true(why == NULL || *why != '\0');
        assert_int_equal(filter_add(f, patterns.items[i], false, NULL), 0);
    }
    assert_true(strlist_contains(&patterns, "node_modules"));
    assert_non_null(agent_exclude_why("node_modules"));
    strlist_release(&patterns);
    return f;
}

/* Is the path, below the home, left out, by itself or with a directory that it is in? `given` is the path that was
 * given for the backup: what lies above it is not asked. */
static bool is_left_out(const struct filter *f, const char *given, const char *below)
{
    char *start = in_home(given), *path = os_path_join(start, below);
    bool out = false;
    for (char *p = path + strlen(start); !out; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char *prefix = mem_strndup(path, (size_t)(p - path));
        out = filter_match(f, prefix);
        free(prefix);
        if (*p == '\0')
            break;
    }
    free(start);
    free(path);
    return out;
}

static void expect_left_out(const struct filter *f, const char *given, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++)
        if (!is_left_out(f, given, names[i]))
            fail_msg("'%s' in '%s' must be left out", names[i], given);
}

static void expect_kept(const struct filter *f, const char *given, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++)
        if (is_left_out(f, given, names[i]))
            fail_msg("'%s' in '%s' must be kept", names[i], given);
}

static const char *const PROJECT_FILES[] = {
    "x/yarn.lock",
    "x/Cargo.lock",
    "x/poetry.lock",
    "x/uv.lock",
    "x/Gemfile.lock",
    "x/composer.lock",
    "x/flake.lock",
    "x/Pipfile.lock",
    "x/package-lock.json",
    "x/pnpm-lock.yaml",
    "yarn.lock",
    "x/db.lock.sqlite",
    "x/a.generation-1.sqlite",
    "cache/a",
    "npm/a",
    "tools/a",
    "dev/a",
    "git/a",
    "tmp/a",
    "state/a.lock",
    ".git/index",
    ".git/refs/heads/main",
    ".git/objects/ab/cd",
    ".env",
    "~/lost",
    "x/4913/a",
    "MEMORY.md",
    NULL,
};
static const char *const PROJECT_JUNK[] = {
    "x/node_modules/y",
    "node_modules",
    "__pycache__/a.pyc",
    "x/a.pyc",
    ".cache/a",
    ".npm/a",
    ".vscode-server/a",
    ".cursor-server/a",
    "x/.a.md.swp",
    "x/a.md~",
    "x/.#a.md",
    "x/#a.md#",
    ".ssh/id_ed25519",
    ".git/index.lock",
    "x/.git/HEAD.lock",
    ".git/refs/heads/x.lock",
    NULL,
};

static void test_excludes__of_a_state_directory(void **state)
{
    (void)state;
    static const char *const JUNK[] = {
        "cache/a",
        "npm/a",
        "npm-runtime/a",
        "plugin-skills/a",
        "tools/a",
        "tmp/openclaw-0/gateway.state.lock",
        "git/a",
        "dev/a",
        "gateway.lock",
        "agents/main/sessions/s.jsonl.lock",
        "agents/main/agent/auth-profiles.json.lock",
        "state/openclaw.lock.sqlite",
        "memory/main.reindex-lock.sqlite",
        "memory/main.generation-7.sqlite",
        "memory/main.sqlite.memory-reindex-9",
        "x.lock.sqlite",
        "extensions/a/b/node_modules/c",
        "cron/jobs.json.lock",
        NULL,
    };
    static const char *const FILES[] = {
        "openclaw.json",
        "openclaw.json.bak",
        ".env",
        "credentials/a.json",
        "identity/device.json",
        "devices/paired.json",
        "agents/main/sessions/s.jsonl",
        "agents/main/sessions/s.jsonl.zst",
        "agents/main/agent/openclaw-agent.sqlite",
        "state/openclaw.sqlite",
        "memory/main.sqlite",
        "cron/jobs.json",
        "cron/runs/a.jsonl",
        "logs/gateway.log",
        "media/a.ogg",
        "telegram/a.json",
        "config-journal-fingerprint.key",
        "gateway/tls/key.pem",
        "agents/cache/a",
        "agents/tmp/sessions/a",
        "agents/git/agent/a",
        "extensions/a/index.js",
        "skills/a/tools/b",
        "skills/a/yarn.lock",
        "projects/a/Cargo.lock",
        NULL,
    };
    make_file(".openclaw/state/openclaw.sqlite", "");
    struct agent_home h = find();
    struct filter *f = filter_for(&h);
    expect_left_out(f, ".openclaw", JUNK);
    expect_kept(f, ".openclaw", FILES);
    filter_free(f);
    agent_home_release(&h);
}

static void test_excludes__old_homes_git_and_dev_are_somebodys(void **state)
{
    (void)state;
    static const char *const FILES[] = {"git/a", "dev/a", NULL};
    make_dir(".openclaw/git");
    struct agent_home h = find();
    struct filter *f = filter_for(&h);
    expect_kept(f, ".openclaw", FILES);
    filter_free(f);
    agent_home_release(&h);
}

static void test_excludes__keep_a_projects_lock_files_in_every_workspace(void **state)
{
    (void)state;
    static const char *const WORKSPACES[] = {".openclaw/workspace", ".openclaw/agents/main/workspace",
                                             ".openclaw/state/odd", "out", "ad/ws"};
    for (size_t i = 0; i < sizeof WORKSPACES / sizeof *WORKSPACES; i++)
        make_dir(WORKSPACES[i]);
    make_file(".openclaw/openclaw.json", "{agents:{list:[{workspace:'~/.openclaw/state/odd'},{workspace:'~/out'},"
                                         "{workspace:'~/ad/ws',agentDir:'~/ad'}]}}");
    struct agent_home h = find();
    struct filter *f = filter_for(&h);
    for (size_t i = 0; i < sizeof WORKSPACES / sizeof *WORKSPACES; i++) {
        expect_kept(f, WORKSPACES[i], PROJECT_FILES);
        expect_left_out(f, WORKSPACES[i], PROJECT_JUNK);
    }
    static const char *const LOCKS[] = {"auth-profiles.json.lock", NULL};
    expect_left_out(f, "ad", LOCKS);
    filter_free(f);
    agent_home_release(&h);
}

static void test_excludes__keep_what_is_configured_inside_a_cache(void **state)
{
    (void)state;
    static const char *const GIVEN[] = {".cache/x/node_modules/ws", ".openclaw/tools/ws", ".openclaw/.npm/ws",
                                        ".npm/claw"};
    for (size_t i = 0; i < sizeof GIVEN / sizeof *GIVEN; i++)
        make_dir(GIVEN[i]);
    make_dir(".cache/y/ws2");
    set_variable("OPENCLAW_STATE_DIR", ".npm/claw");
    make_file(
        ".openclaw/openclaw.json",
        "{agents:{list:[{workspace:'~/.cache/x/node_modules/ws'},{workspace:'~/.cache/y/ws2'},{workspace:'tools/ws'},"
        "{workspace:'.npm/ws'}]}}");
    static const char *const FILES[] = {"a", "x/yarn.lock", "x/y", ".git/HEAD", NULL};
    static const char *const JUNK[] = {"node_modules/a", "x/.cache/b", ".ssh/id", "x/a.pyc", NULL};
    struct agent_home h = find();
    struct filter *f = filter_for(&h);
    for (size_t i = 0; i < sizeof GIVEN / sizeof *GIVEN; i++) {
        expect_kept(f, GIVEN[i], FILES);
        expect_left_out(f, GIVEN[i], JUNK);
    }
    expect_kept(f, ".cache/y/ws2", FILES);
    static const char *const BELOW[] = {"tools/ws/a", ".npm/ws/a", NULL};
    expect_kept(f, ".openclaw", BELOW);
    filter_free(f);
    agent_home_release(&h);
}

static void test_excludes__take_a_paths_characters_literally(void **state)
{
    (void)state;
    make_dir("a[b]*c\\?/state");
    set_variable("OPENCLAW_STATE_DIR", "a[b]*c\\?");
    static const char *const JUNK[] = {"cache/a", "gateway.lock", "state/x.lock", NULL};
    struct agent_home h = find();
    struct filter *f = filter_for(&h);
    expect_left_out(f, "a[b]*c\\?", JUNK);
    filter_free(f);
    agent_home_release(&h);
}

static void test_growing__are_the_agents_logs_and_not_a_workspaces(void **state)
{
    (void)state;
    static const char *const GROW[] = {"agents/main/sessions/a.jsonl", "cron/runs/job.jsonl", "logs/gateway.log",
                                       "logs/old/x.jsonl", NULL};
    static const char *const REST[] = {"openclaw.json", "agents/main/agent/x.jsonl", "workspace/data.jsonl",
                                       "workspace/logs/build.log", NULL};
    make_dir("[x].openclaw");
    set_variable("OPENCLAW_STATE_DIR", "[x].openclaw");
    struct agent_home h = find();
    struct filter *f = filter_new();
    agent_home_growing(&h, f);
    for (size_t i = 0; GROW[i] != NULL; i++)
        assert_true(is_left_out(f, "[x].openclaw", GROW[i]));
    expect_kept(f, "[x].openclaw", REST);
    filter_free(f);
    agent_home_release(&h);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_excludes__of_a_state_directory),
        TEST(test_excludes__old_homes_git_and_dev_are_somebodys),
        TEST(test_excludes__keep_a_projects_lock_files_in_every_workspace),
        TEST(test_excludes__keep_what_is_configured_inside_a_cache),
        TEST(test_excludes__take_a_paths_characters_literally),
        TEST(test_growing__are_the_agents_logs_and_not_a_workspaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
