#include "daemon/jobs_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/scratch.h"

#define PAYLOAD "payload:{kind:'systemEvent',command:'true'}"
#define SCHEDULE "schedule:{kind:'interval',intervalMs:7200000}"

struct parsed {
    struct job_list jobs;
    struct jobs_report report;
};

static struct parsed parse(const char *text)
{
    struct parsed p;
    struct err err = {0};
    if (jobs_parse(text, strlen(text), &p.jobs, &p.report, &err) != 0)
        fail_msg("%s: %s", text, err.message);
    return p;
}

static void done(struct parsed *p)
{
    job_list_release(&p->jobs);
    jobs_report_release(&p->report);
}

/* A list with one entry, which is good. */
static struct parsed parse_good(const char *entry)
{
    char *text = mem_printf("[%s]", entry);
    struct parsed p = parse(text);
    if (p.report.count > 0)
        fail_msg("%s: %s", entry, p.report.items[0].message);
    assert_int_equal(p.jobs.count, 1);
    free(text);
    return p;
}

static void expect_broken(const char *entry, const char *message)
{
    char *text = mem_printf("[{id:'good'," SCHEDULE "," PAYLOAD "},\n%s]", entry);
    struct parsed p = parse(text);
    assert_int_equal(p.jobs.count, 1);
    assert_string_equal(p.jobs.items[0].id, "good");
    assert_true(p.report.count > 0);
    assert_true(p.report.items[0].left_out);
    assert_string_equal(p.report.items[0].message, message);
    done(&p);
    free(text);
}

static void expect_refused(const char *text, enum err_code code, const char *message)
{
    struct parsed p;
    struct err err = {0};
    assert_int_equal(jobs_parse(text, strlen(text), &p.jobs, &p.report, &err), -1);
    assert_string_equal(err.message, message);
    assert_int_equal(err.code, code);
    assert_int_equal(p.jobs.count, 0);
    done(&p);
}

/* --- the two spellings --- */

static void test_jobs__reads_the_planning_documents_entry(void **state)
{
    (void)state;
    struct parsed p = parse("{\n\"version\": 1, \"jobs\": [{\n"
                            "  \"id\": \"backup-every-2-hours\",\n"
                            "  \"agentId\": \"main\",\n"
                            "  \"name\": \"Automated Full System Backup (Every 2 Hours)\",\n"
                            "  \"enabled\": false,  // START AS FALSE until tested\n"
                            "  \"createdAtMs\": 1738580000000,\n"
                            "  \"updatedAtMs\": 1738580000001,\n"
                            "  \"schedule\": {\n    \"kind\": \"interval\",\n"
                            "    \"intervalMs\": 7200000  // 2 hours = 2 * 60 * 60 * 1000\n  },\n"
                            "  \"sessionTarget\": \"system\",  // Run as system event, not in main session\n"
                            "  \"wakeMode\": \"immediate\",     // Don't wait for heartbeat, run immediately\n"
                            "  \"payload\": {\n    \"kind\": \"systemEvent\",\n"
                            "    \"command\": \"/home/ubuntu/.openclaw/scripts/backup-all.sh\"\n  },\n"
                            "  \"state\": {\n    \"lastRunAtMs\": null,\n    \"lastStatus\": \"pending\",\n"
                            "    \"lastDurationMs\": 0\n  }\n}]}\n");
    assert_int_equal(p.report.count, 0);
    assert_int_equal(p.jobs.count, 1);
    const struct job *j = &p.jobs.items[0];
    assert_string_equal(j->id, "backup-every-2-hours");
    assert_string_equal(j->agent_id, "main");
    assert_string_equal(j->name, "Automated Full System Backup (Every 2 Hours)");
    assert_string_equal(j->session_target, "system");
    assert_string_equal(j->wake_mode, "immediate");
    assert_false(j->enabled);
    assert_true(j->created_ms == 1738580000000 && j->updated_ms == 1738580000001);
    assert_true(j->schedule.kind == SCHEDULE_EVERY && j->schedule.every_ms == 7200000 && j->schedule.anchor_ms == 0);
    assert_int_equal(j->argv.count, 3);
    assert_string_equal(j->argv.items[0], "/bin/sh");
    assert_string_equal(j->argv.items[1], "-c");
    assert_string_equal(j->argv.items[2], "/home/ubuntu/.openclaw/scripts/backup-all.sh");
    assert_true(j->catch_up && !j->delete_after_run && !j->agent_turn && j->retry.times == 0);
    assert_true(j->timeout_ms == 3600000 && j->jitter_ms == 0);
    assert_true(j->last_run_ms == 0 && j->last_status == JOB_NEVER && j->last_duration_ms == 0);
    done(&p);
}

static void test_jobs__reads_openclaws_entry(void **state)
{
    (void)state;
    struct parsed p = parse_good(
        "{\"id\":\"a1\",\"name\":\"n\",\"enabled\":true,\"schedule\":{\"kind\":\"every\",\"everyMs\":60000,"
        "\"anchorMs\":"
        "1770000000000},\"sessionTarget\":\"isolated\",\"wakeMode\":\"now\",\"delivery\":{\"mode\":\"none\"},"
        "\"payload\":{\"kind\":\"command\",\"argv\":[\"/usr/bin/clawback\",\"run\"],\"cwd\":\"/"
        "srv\",\"env\":{\"A\":\"1\","
        "\"B\":\"\"},\"input\":\"yes\\n\",\"timeoutSeconds\":90,\"outputMaxBytes\":5},\"deleteAfterRun\":true,"
        "\"state\":{\"nextRunAtMs\":1,\"lastRunAtMs\":1770000000005,\"lastStatus\":\"error\",\"lastDurationMs\":77}}");
    const struct job *j = &p.jobs.items[0];
    assert_true(j->enabled && j->delete_after_run);
    assert_true(j->schedule.every_ms == 60000 && j->schedule.anchor_ms == 1770000000000);
    assert_int_equal(j->argv.count, 2);
    assert_string_equal(j->argv.items[1], "run");
    assert_string_equal(j->directory, "/srv");
    assert_int_equal(j->env.count, 2);
    assert_string_equal(j->env.items[0], "A=1");
    assert_string_equal(j->env.items[1], "B=");
    assert_string_equal(j->input, "yes\n");
    assert_int_equal(j->timeout_ms, 90000);
    assert_true(j->last_run_ms == 1770000000005 && j->last_status == JOB_ERROR && j->last_duration_ms == 77);
    done(&p);
}

static void test_jobs__reads_schedules_in_both_spellings(void **state)
{
    (void)state;
    struct parsed p = parse("[{id:'a',schedule:{kind:'cron',cron:'0 */2 * * *'}," PAYLOAD "},"
                            "{id:'b',schedule:{kind:'cron',expr:'@daily',tz:'Europe/Oslo',staggerMs:300}," PAYLOAD "},"
                            "{id:'c',schedule:{kind:'at',atMs:1738504800000}," PAYLOAD "},"
                            "{id:'d',schedule:{kind:'at',at:'2026-02-04T06:00:00+01:00'}," PAYLOAD "},"
                            "{id:'e',schedule:{kind:'at',at:'2026-02-04T06:00:00'}," PAYLOAD "},"
                            "{id:'f',schedule:{kind:'at',at:'2026-02-04 06:00',tz:'Europe/Oslo'}," PAYLOAD "},"
                            "{id:'g',schedule:{kind:'every',intervalMs:1000}," PAYLOAD "},"
                            "{id:'h',schedule:{kind:'interval',everyMs:2e3}," PAYLOAD "},]");
    assert_int_equal(p.report.count, 0);
    const struct job *j = p.jobs.items;
    assert_int_equal(p.jobs.count, 8);
    assert_string_equal(j[0].schedule.cron_text, "0 */2 * * *");
    assert_true(j[0].schedule.kind == SCHEDULE_CRON && j[0].schedule.cron.any_hour && j[0].schedule.zone == NULL);
    assert_string_equal(j[1].schedule.zone, "Europe/Oslo");
    assert_true(j[1].schedule.cron.hours == 1 && j[1].jitter_ms == 300);
    assert_true(j[2].schedule.kind == SCHEDULE_AT && j[2].schedule.at_ms == 1738504800000);
    assert_true(j[3].schedule.at_ms == 1770181200000);
    assert_true(j[4].schedule.at_ms == 1770184800000); /* UTC's, as OpenClaw has it */
    assert_true(j[5].schedule.at_ms == 1770181200000);
    assert_true(j[6].schedule.every_ms == 1000 && j[7].schedule.every_ms == 2000);
    done(&p);
}

static void test_jobs__takes_commands_and_leaves_agents_their_work(void **state)
{
    (void)state;
    struct parsed p = parse("[{id:'a'," SCHEDULE ",payload:{kind:'systemEvent',text:'remind Glenn'}},"
                            "{id:'b'," SCHEDULE ",payload:{kind:'agentTurn',message:'think',model:'m'}},"
                            "{id:'c'," SCHEDULE ",payload:{kind:'systemEvent',command:['a','b c']}},"
                            "{id:'d'," SCHEDULE ",payload:{kind:'command',command:'a | b'}},"
                            "{id:'e'," SCHEDULE ",payload:{kind:'systemEvent',command:'x',text:'t'}}]");
    assert_int_equal(p.report.count, 0);
    const struct job *j = p.jobs.items;
    assert_true(j[0].argv.count == 0 && strcmp(j[0].text, "remind Glenn") == 0 && !j[0].agent_turn);
    assert_true(j[1].argv.count == 0 && strcmp(j[1].text, "think") == 0 && j[1].agent_turn);
    assert_true(j[2].argv.count == 2 && strcmp(j[2].argv.items[1], "b c") == 0);
    assert_true(j[3].argv.count == 3 && strcmp(j[3].argv.items[2], "a | b") == 0);
    assert_true(j[4].argv.count == 3 && strcmp(j[4].text, "t") == 0);
    done(&p);
}

static void test_jobs__reads_clawbacks_own_members(void **state)
{
    (void)state;
    struct parsed p = parse("{jobs:[{id:'a'," SCHEDULE "," PAYLOAD ",retry:{times:3,afterMs:5000},onSuccess:'b',"
                            "onFailure:['b','c','b'],jitterMs:100,catchUp:false,timeoutMs:250},"
                            "{id:'b'," SCHEDULE "," PAYLOAD ",retry:{times:1},onSuccess:[]},"
                            "{id:'c'," SCHEDULE "," PAYLOAD ",retry:null,onFailure:null}]}");
    assert_int_equal(p.report.count, 0);
    const struct job *j = p.jobs.items;
    assert_true(j[0].retry.times == 3 && j[0].retry.after_ms == 5000 && j[1].retry.after_ms == 60000);
    assert_true(j[0].on_success.count == 1 && j[0].on_failure.count == 2);
    assert_true(j[0].jitter_ms == 100 && !j[0].catch_up && j[0].timeout_ms == 250);
    assert_true(j[2].retry.times == 0 && j[2].on_failure.count == 0);
    done(&p);
}

static void test_jobs__reads_every_word_for_a_state(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum job_status status;
    } WORDS[] = {{"'ok'", JOB_OK},           {"'completed'", JOB_OK},  {"'error'", JOB_ERROR}, {"'failed'", JOB_ERROR},
                 {"'skipped'", JOB_SKIPPED}, {"'pending'", JOB_NEVER}, {"null", JOB_NEVER}};
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        char *entry = mem_printf("{id:'a'," SCHEDULE "," PAYLOAD ",state:{lastStatus:%s}}", WORDS[i].word);
        struct parsed p = parse_good(entry);
        assert_int_equal(p.jobs.items[0].last_status, WORDS[i].status);
        done(&p);
        free(entry);
    }
}

/* --- mistakes --- */

static void test_jobs__leaves_out_what_is_broken_and_says_why(void **state)
{
    (void)state;
    expect_broken("7", "line 2: found something else than an object");
    expect_broken("{" SCHEDULE "," PAYLOAD "}", "line 2: id is missing");
    expect_broken("{id:5," SCHEDULE "," PAYLOAD "}", "line 2: id: found 5, expected a string");
    expect_broken("{id:'a'," PAYLOAD "}", "line 2: schedule is missing");
    expect_broken("{id:'a',schedule:[1]," PAYLOAD "}", "line 2: schedule: found a list, expected an object");
    expect_broken("{id:'a',schedule:{}," PAYLOAD "}",
                  "line 2: schedule.kind is missing: \"interval\" (or \"every\"), \"cron\" or \"at\"");
    expect_broken("{id:'a',schedule:{kind:'weekly'}," PAYLOAD "}",
                  "line 2: schedule.kind: found 'weekly', expected \"interval\" (or \"every\"), \"cron\" or \"at\"");
    expect_broken("{id:'a',\nschedule:{kind:'interval',\nintervalMs:-5}," PAYLOAD "}",
                  "line 4: schedule.intervalMs: found -5, expected milliseconds, from 1000 to a hundred years");
    expect_broken("{id:'a',schedule:{kind:'every'}," PAYLOAD "}",
                  "line 2: schedule.everyMs is missing: milliseconds, from 1000 to a hundred years");
    expect_broken("{id:'a',schedule:{kind:'every',everyMs:1e300}," PAYLOAD "}",
                  "line 2: schedule.everyMs: found 1e300, expected milliseconds, from 1000 to a hundred years");
    expect_broken("{id:'a',schedule:{kind:'every',everyMs:NaN}," PAYLOAD "}",
                  "line 2: schedule.everyMs: found NaN, expected milliseconds, from 1000 to a hundred years");
    expect_broken("{id:'a',schedule:{kind:'every',everyMs:1000,anchorMs:-1}," PAYLOAD "}",
                  "line 2: schedule.anchorMs: found -1, expected Unix milliseconds, from 1 to the year 9999");
    expect_broken("{id:'a',schedule:{kind:'every',everyMs:1000,staggerMs:'x'}," PAYLOAD "}",
                  "line 2: schedule.staggerMs: found 'x', expected milliseconds");
    expect_broken("{id:'a',schedule:{kind:'at'}," PAYLOAD "}",
                  "line 2: schedule.at is missing: a time like \"2026-12-24T18:00:00Z\", or atMs: Unix milliseconds");
    expect_broken("{id:'a',schedule:{kind:'at',atMs:99999999999999999999}," PAYLOAD "}",
                  "line 2: schedule.atMs: found 99999999999999999999, expected Unix milliseconds, from 1 to the year "
                  "9999");
    expect_broken("{id:'a',schedule:{kind:'at',at:'1960-01-01T00:00:00Z'}," PAYLOAD "}",
                  "line 2: schedule.at: '1960-01-01T00:00:00Z' is before 1970 or after 9999");
    expect_broken("{id:'a',schedule:{kind:'at',at:'tomorrow'}," PAYLOAD "}",
                  "line 2: schedule.at: 'tomorrow' is no time like 2026-12-24T18:00:00+01:00 or 2026-12-24 18:00");
    expect_broken("{id:'a',schedule:{kind:'at',at:5}," PAYLOAD "}", "line 2: schedule.at: found 5, expected a string");
    expect_broken("{id:'a',schedule:{kind:'cron'}," PAYLOAD "}",
                  "line 2: schedule.expr is missing: an expression like \"0 */2 * * *\"");
    expect_broken("{id:'a',schedule:{kind:'cron',cron:5}," PAYLOAD "}",
                  "line 2: schedule.cron: found 5, expected a string");
    expect_broken("{id:'a',retry:3," SCHEDULE "," PAYLOAD "}",
                  "line 2: retry: found 3, expected an object like {\"times\": 3, \"afterMs\": 60000}");
    expect_broken("{id:'a',retry:{times:-1}," SCHEDULE "," PAYLOAD "}",
                  "line 2: retry.times: found -1, expected a number from 0 to 100");
    expect_broken("{id:'a',retry:{afterMs:3600001}," SCHEDULE "," PAYLOAD "}",
                  "line 2: retry.afterMs: found 3600001, expected milliseconds, from 1 to an hour");
    expect_broken("{id:'a',onSuccess:5," SCHEDULE "," PAYLOAD "}",
                  "line 2: onSuccess: found 5, expected a string or a list of strings");
    expect_broken("{id:'a',onFailure:['x',{}]," SCHEDULE "," PAYLOAD "}",
                  "line 2: onFailure: found something that is no proper string in it, expected a string or a list of "
                  "strings");
    expect_broken("{id:'a',enabled:'yes'," SCHEDULE "," PAYLOAD "}",
                  "line 2: enabled: found 'yes', expected true or false");
    expect_broken("{id:'a',name:{}," SCHEDULE "," PAYLOAD "}", "line 2: name: found an object, expected a string");
    expect_broken("{id:'a',catchUp:1," SCHEDULE "," PAYLOAD "}", "line 2: catchUp: found 1, expected true or false");
    expect_broken("{id:'a',timeoutMs:5," SCHEDULE "," PAYLOAD "}",
                  "line 2: timeoutMs: found 5, expected milliseconds, from 100 to 30 days");
    expect_broken("{id:'a',jitterMs:-5," SCHEDULE "," PAYLOAD "}",
                  "line 2: jitterMs: found -5, expected milliseconds, 0 or more");
    expect_broken("{id:'a',createdAtMs:1.5," SCHEDULE "," PAYLOAD "}",
                  "line 2: createdAtMs: found 1.5, expected Unix milliseconds, up to the year 9999");
    expect_broken("{id:'a',name:'\\0'," SCHEDULE "," PAYLOAD "}",
                  "line 2: name: the string has a NUL byte in it, or bytes that are no UTF-8");
    expect_broken("{id:'a',name:['\x1b'],wakeMode:12345678901234567890123456789012345678901234567890," SCHEDULE
                  "," PAYLOAD "}",
                  "line 2: name: found a list, expected a string");
}

static void test_jobs__leaves_out_payloads_that_are_broken(void **state)
{
    (void)state;
    static const char *const CASES[][2] = {
        {"", "payload is missing"},
        {"payload:5", "payload: found 5, expected an object"},
        {"payload:{}", "payload.kind is missing: \"systemEvent\" or \"command\""},
        {"payload:{kind:'shell'}",
         "payload.kind: found 'shell', expected \"systemEvent\", \"command\" or \"agentTurn\""},
        {"payload:{kind:'systemEvent'}", "payload has neither a command nor a text"},
        {"payload:{kind:'systemEvent',text:4}", "payload.text: found 4, expected a string"},
        {"payload:{kind:'systemEvent',command:''}", "payload.command is empty: nothing to run"},
        {"payload:{kind:'systemEvent',command:[]}", "payload.command is empty: nothing to run"},
        {"payload:{kind:'systemEvent',command:5}", "payload.command: found 5, expected a list of strings"},
        {"payload:{kind:'command'}", "payload.argv is missing: a list of strings"},
        {"payload:{kind:'command',argv:'a b'}",
         "payload.argv: found 'a b', expected a list of strings (a single one for the shell is 'command')"},
        {"payload:{kind:'command',argv:['']}", "payload.argv is empty: nothing to run"},
        {"payload:{kind:'command',argv:['a',3]}",
         "payload.argv: found something that is no proper string in it, expected a list of strings"},
        {"payload:{kind:'command',argv:['a'],cwd:'b'}", "payload.cwd: found 'b', expected an absolute path"},
        {"payload:{kind:'command',argv:['a'],env:[]}", "payload.env: expected an object of strings"},
        {"payload:{kind:'command',argv:['a'],env:{'A=B':'x'}}", "payload.env: 'A=B' cannot be a variable's name"},
        {"payload:{kind:'command',argv:['a'],env:{A:12345}}", "payload.env: the value of 'A' is no proper string"},
        {"payload:{kind:'command',argv:['a'],input:1}", "payload.input: found 1, expected a string"},
        {"payload:{kind:'command',argv:['a'],timeoutSeconds:0}",
         "payload.timeoutSeconds: found 0, expected seconds, from 1 to 30 days"},
        {"payload:{kind:'agentTurn',message:[]}", "payload.message: found a list, expected a string"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char *entry = mem_printf("{id:'a'," SCHEDULE ",%s}", CASES[i][0]);
        char *message = mem_printf("line 2: %s", CASES[i][1]);
        if (*CASES[i][0] == '\0')
            entry[strlen(entry) - 2] = ' ';
        expect_broken(entry, message);
        free(entry);
        free(message);
    }
}

static void test_jobs__tells_all_mistakes_of_an_entry(void **state)
{
    (void)state;
    struct parsed p =
        parse("[{id:'a',name:1,enabled:1,schedule:{kind:'cron',cron:'61 * * * *',tz:'Moon/Sea'},payload:1}]");
    assert_int_equal(p.jobs.count, 0);
    assert_int_equal(p.report.count, 4);
    for (size_t i = 0; i < p.report.count; i++)
        assert_string_equal(p.report.items[i].id, "a");
    assert_non_null(strstr(p.report.items[2].message, "schedule.tz: "));
    done(&p);
    p = parse("[{id:'a',schedule:{kind:'cron',cron:'61 * * * *'}," PAYLOAD "}]");
    assert_non_null(strstr(p.report.items[0].message, "line 1: schedule.cron: "));
    done(&p);
}

static void test_jobs__refuses_ids_that_cannot_be_file_names(void **state)
{
    (void)state;
    static const char *const BAD[] = {"", "..", ".", ".hidden", "a/b", "/etc/passwd", "a\\nb", "a\\x7f", "../x"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        char *text = mem_printf("[{id:\"%s\"," SCHEDULE "," PAYLOAD "}]", BAD[i]);
        struct parsed p = parse(text);
        assert_int_equal(p.jobs.count, 0);
        assert_string_equal(p.report.items[0].id, "#1");
        assert_non_null(strstr(p.report.items[0].message, "line 1: id: it names the run log"));
        done(&p);
        free(text);
    }
    char id[JOB_ID_MAX_BYTES + 2] = {0};
    memset(id, 'x', JOB_ID_MAX_BYTES);
    assert_true(job_id_valid(id));
    id[JOB_ID_MAX_BYTES] = 'x';
    assert_false(job_id_valid(id));
    assert_false(job_id_valid("\xFF"));
    assert_true(job_id_valid("bl\xC3\xA5 b\xC3\xA6r.x"));
}

static void test_jobs__of_two_with_one_id_takes_the_first(void **state)
{
    (void)state;
    struct parsed p = parse("[{id:'b',name:'0'," SCHEDULE "," PAYLOAD "},{id:'a',name:'1'," SCHEDULE "," PAYLOAD "},"
                            "{id:'a',name:'2'," SCHEDULE "," PAYLOAD "},{id:'a',name:'3'," SCHEDULE "," PAYLOAD "}]");
    assert_int_equal(p.jobs.count, 2);
    assert_string_equal(job_find(&p.jobs, "a")->name, "1");
    assert_null(job_find(&p.jobs, "c"));
    assert_int_equal(p.report.count, 2);
    assert_string_equal(p.report.items[0].id, "a");
    assert_true(p.report.items[0].left_out);
    done(&p);
}

static void test_jobs__a_state_that_cannot_be_read_breaks_nothing(void **state)
{
    (void)state;
    static const char *const STATES[] = {"5", "{lastRunAtMs:-1}", "{lastRunAtMs:'x',lastStatus:7}",
                                         "{lastDurationMs:1e300}"};
    for (size_t i = 0; i < sizeof STATES / sizeof *STATES; i++) {
        char *text = mem_printf("[{id:'a'," SCHEDULE "," PAYLOAD ",state:%s}]", STATES[i]);
        struct parsed p = parse(text);
        assert_int_equal(p.jobs.count, 1);
        assert_true(p.jobs.items[0].last_run_ms == 0 && p.jobs.items[0].last_duration_ms == 0);
        assert_true(p.report.count > 0 && !p.report.items[0].left_out);
        done(&p);
        free(text);
    }
}

static void test_jobs__a_follower_that_is_not_there_is_dropped(void **state)
{
    (void)state;
    struct parsed p = parse("[{id:'a'," SCHEDULE "," PAYLOAD ",onSuccess:['nobody','b','c'],onFailure:'b'},"
                            "{id:'b'," SCHEDULE "," PAYLOAD "},{id:'c',enabled:3," SCHEDULE "," PAYLOAD "}]");
    assert_int_equal(p.jobs.count, 2);
    assert_int_equal(p.report.count, 3);
    assert_string_equal(p.report.items[1].message, "onSuccess: there is no job 'nobody'");
    assert_string_equal(p.report.items[2].message, "onSuccess: there is no job 'c'");
    assert_false(p.report.items[1].left_out);
    assert_int_equal(p.jobs.items[0].on_success.count, 1);
    assert_string_equal(p.jobs.items[0].on_success.items[0], "b");
    assert_int_equal(p.jobs.items[0].on_failure.count, 1);
    done(&p);
}

static void test_jobs__followers_in_a_circle_are_cut_out(void **state)
{
    (void)state;
    struct parsed p = parse("[{id:'in'," SCHEDULE "," PAYLOAD ",onSuccess:'a'},"
                            "{id:'a'," SCHEDULE "," PAYLOAD ",onSuccess:['b','out']},"
                            "{id:'b'," SCHEDULE "," PAYLOAD ",onFailure:'c'},"
                            "{id:'c'," SCHEDULE "," PAYLOAD ",onSuccess:'a'},"
                            "{id:'self'," SCHEDULE "," PAYLOAD ",onFailure:['self','out']},"
                            "{id:'out'," SCHEDULE "," PAYLOAD "}]");
    assert_int_equal(p.jobs.count, 6);
    assert_int_equal(p.report.count, 4);
    assert_string_equal(p.report.items[0].id, "a");
    assert_string_equal(p.report.items[0].message,
                        "onSuccess: 'b' would follow in a circle that comes back to this job; it will not");
    assert_string_equal(p.report.items[3].message, "onFailure: the job would follow itself for ever; it will not");
    const struct job *j = p.jobs.items;
    assert_int_equal(j[0].on_success.count, 1);
    assert_int_equal(j[1].on_success.count, 1);
    assert_string_equal(j[1].on_success.items[0], "out");
    assert_true(j[2].on_failure.count == 0 && j[3].on_success.count == 0);
    assert_int_equal(j[4].on_failure.count, 1);
    done(&p);
}

static void test_jobs__a_long_chain_is_no_circle_and_a_long_circle_is_one(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 8 << 20);
    for (int round = 0; round < 2; round++) {
        buf_clear(&text);
        buf_append_str(&text, "[");
        for (int i = 0; i < JOBS_MAX; i++) {
            buf_printf(&text, "{id:'%d'," SCHEDULE "," PAYLOAD, i);
            if (round > 0 || i + 1 < JOBS_MAX)
                buf_printf(&text, ",onSuccess:'%d'", (i + 1) % JOBS_MAX);
            buf_append_str(&text, "},");
        }
        buf_append_str(&text, "]");
        struct parsed p;
        struct err err = {0};
        if (jobs_parse(buf_cstr(&text), text.len, &p.jobs, &p.report, &err) != 0)
            fail_msg("%s", err.message);
        assert_int_equal(p.report.count, round == 0 ? 0 : JOBS_MAX);
        assert_int_equal(p.jobs.count, JOBS_MAX);
        done(&p);
    }
    buf_release(&text);
}

/* --- whole documents --- */

static void test_jobs__refuses_what_is_no_job_file(void **state)
{
    (void)state;
    expect_refused("", ERR_CORRUPT, "line 1, column 1: a value is missing at the end");
    expect_refused("{}", ERR_CORRUPT, "line 1, column 1: it has no list 'jobs'");
    expect_refused("{jobs:5}", ERR_CORRUPT, "line 1, column 1: it has no list 'jobs'");
    expect_refused("\"jobs\"", ERR_CORRUPT, "line 1, column 1: it has no list 'jobs'");
    expect_refused("{version:2,jobs:[]}", ERR_UNSUPPORTED,
                   "its version is not 1: this program is too old for it, or it is no job file");
    expect_refused("{version:'x',jobs:[]}", ERR_UNSUPPORTED,
                   "its version is not 1: this program is too old for it, or it is no job file");
    /* The planning document's own example, which lacks a comma. */
    expect_refused("[{\n  \"wakeMode\": \"next-heartbeat\" // or \"immediate\"\n  \"payload\": {}\n}]", ERR_CORRUPT,
                   "line 2, column 31: a comma is missing here");
    struct buf many;
    buf_init(&many, 4 << 20);
    buf_append_str(&many, "[");
    for (int i = 0; i <= JOBS_MAX; i++)
        buf_printf(&many, "{id:'%d'," SCHEDULE "," PAYLOAD "},", i);
    buf_append_str(&many, "]");
    expect_refused(buf_cstr(&many), ERR_CORRUPT, "it has more than 10000 jobs");
    buf_release(&many);
    struct parsed p = parse("[]");
    assert_int_equal(p.jobs.count, 0);
    done(&p);
    p = parse("{\"version\":1,\"jobs\":[],\"more\":{}}");
    assert_int_equal(p.jobs.count, 0);
    done(&p);
}

static void test_jobs_file__loads_and_says_what_cannot_be_loaded(void **state)
{
    (void)state;
    char *dir = scratch_make(), *path = jobs_file_default(dir), *fifo = os_path_join(dir, "fifo");
    struct parsed p;
    struct err err = {0};
    assert_int_equal(jobs_file_load(path, &p.jobs, &p.report, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    static const char GOOD[] = "[{id:'a'," SCHEDULE "," PAYLOAD "}]";
    assert_int_equal(os_write_file_atomic(path, GOOD, sizeof GOOD - 1, 0600, NULL), 0);
    assert_int_equal(jobs_file_load(path, &p.jobs, &p.report, &err), 0);
    assert_int_equal(p.jobs.count, 1);
    done(&p);
    assert_int_equal(os_write_file_atomic(path, "[\n  {", 5, 0600, NULL), 0);
    assert_int_equal(jobs_file_load(path, &p.jobs, &p.report, &err), -1);
    char *expected = mem_printf("job file '%s': line 2, column 4: an object is not closed", path);
    assert_string_equal(err.message, expected);
    free(expected);
    size_t huge = JOBS_FILE_MAX_BYTES + 1;
    char *blanks = malloc(huge);
    memset(blanks, ' ', huge);
    assert_int_equal(os_write_file_atomic(path, blanks, huge, 0600, NULL), 0);
    assert_int_equal(jobs_file_load(path, &p.jobs, &p.report, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.message, "it is larger than 4 MiB"));
    assert_int_equal(jobs_parse(blanks, huge, &p.jobs, &p.report, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    free(blanks);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(jobs_file_load(fifo, &p.jobs, &p.report, &err), -1);
    assert_non_null(strstr(err.message, "is no regular file"));
    assert_int_equal(jobs_file_load(dir, &p.jobs, &p.report, &err), -1);
    free(path);
    free(fifo);
    scratch_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs__reads_the_planning_documents_entry),
        cmocka_unit_test(test_jobs__reads_openclaws_entry),
        cmocka_unit_test(test_jobs__reads_schedules_in_both_spellings),
        cmocka_unit_test(test_jobs__takes_commands_and_leaves_agents_their_work),
        cmocka_unit_test(test_jobs__reads_clawbacks_own_members),
        cmocka_unit_test(test_jobs__reads_every_word_for_a_state),
        cmocka_unit_test(test_jobs__leaves_out_what_is_broken_and_says_why),
        cmocka_unit_test(test_jobs__leaves_out_payloads_that_are_broken),
        cmocka_unit_test(test_jobs__tells_all_mistakes_of_an_entry),
        cmocka_unit_test(test_jobs__refuses_ids_that_cannot_be_file_names),
        cmocka_unit_test(test_jobs__of_two_with_one_id_takes_the_first),
        cmocka_unit_test(test_jobs__a_state_that_cannot_be_read_breaks_nothing),
        cmocka_unit_test(test_jobs__a_follower_that_is_not_there_is_dropped),
        cmocka_unit_test(test_jobs__followers_in_a_circle_are_cut_out),
        cmocka_unit_test(test_jobs__a_long_chain_is_no_circle_and_a_long_circle_is_one),
        cmocka_unit_test(test_jobs__refuses_what_is_no_job_file),
        cmocka_unit_test(test_jobs_file__loads_and_says_what_cannot_be_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
