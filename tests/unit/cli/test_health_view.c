#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/health_view.h"

static const int64_t NOW = 1770200000000, HOUR = 3600000;

/* A report made by hand: two tiers, one of which never ran; two destinations, one of which is not there. */
static struct plan_tier tiers[] = {{.name = "config"}, {.name = "it's \"a\\b\"\n=|x"}};
static struct plan_destination places[] = {{.name = "usb"}, {.name = "nas"}};
static struct record records[2];
static struct record_list lists[2];
static struct fact_tier fact_tiers[2];
static struct fact_destination fact_places[2];
static struct fact_check schedulers[] = {{"daemon", true, "alive", false}},
                         databases[] = {{"container 'db'", false, "down", false}},
                         clocks[] = {{"run records", true, "", false}};
static struct plan plan;
static struct health_report report;

static int set_up(void **state)
{
    (void)state;
    plan = (struct plan){.health = {.slow_ms = 600000, .full_percent = 80, .critical_free_bytes = 100000000},
                         .tiers = tiers};
    records[0] = (struct record){.status = RECORD_COMPLETED,
                                 .exit_code = 3,
                                 .time = {.tv_sec = NOW / 1000 - 3600},
                                 .duration_ms = 135250,
                                 .bytes_processed = 850000000,
                                 .bytes_added = 1234};
    lists[0] = (struct record_list){.items = records, .count = 1};
    lists[1] = (struct record_list){0};
    fact_tiers[0] = (struct fact_tier){
        .tier = &tiers[0], .records = &lists[0], .next_ms = NOW + HOUR, .late_ms = NOW + 3 * HOUR / 2};
    fact_tiers[1] = (struct fact_tier){.tier = &tiers[1], .records = &lists[1], .running = true};
    fact_places[0] = (struct fact_destination){.destination = &places[0],
                                               .ready = true,
                                               .space_known = true,
                                               .free_bytes = 400000000,
                                               .total_bytes = 1000000000,
                                               .forecast = "full about 2026-04-01",
                                               .full_ms = NOW + 1000 * HOUR};
    fact_places[1] = (struct fact_destination){.destination = &places[1], .problem = "destination 'nas': not there"};
    report = (struct health_report){.worst = ALERT_CRITICAL,
                                    .facts = {.now_ms = NOW,
                                              .plan = &plan,
                                              .tiers = fact_tiers,
                                              .tier_count = 2,
                                              .destinations = fact_places,
                                              .destination_count = 2,
                                              .dumps = {databases, 1, true},
                                              .schedulers = {schedulers, 1, true},
                                              .skews = {clocks, 1, true},
                                              .proof_looked = true,
                                              .proof_ms = NOW - 24 * HOUR}};
    finding_add(&report.findings, "late", "config", ALERT_FINE, "config is in time");
    struct finding *f = finding_add(&report.findings, "growth", "config", ALERT_WARNING, "config grew by 60 %%");
    f->command = mem_strdup("clawback runs config");
    f->details = mem_strdup("+1.2 GB  /home/me/a\033[31m\n+300 MB  /home/me/b");
    f->since_ms = NOW - HOUR;
    f = finding_add(&report.findings, "destination", "nas", ALERT_CRITICAL, "destination 'nas': not there | a\nb");
    f->command = mem_strdup("clawback doctor");
    finding_add(&report.findings, "slow", "config", ALERT_INFO, "config took long");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    finding_list_release(&report.findings);
    report = (struct health_report){0};
    return 0;
}

static void nothing_is_wrong(void)
{
    finding_list_release(&report.findings);
    finding_add(&report.findings, "late", "config", ALERT_FINE, "config is in time");
    report.worst = ALERT_FINE;
}

typedef void view(const struct health_report *r, struct buf *out);

static void text_view(const struct health_report *r, struct buf *out)
{
    health_view_text(r, false, false, 100, out);
}

static void verbose_view(const struct health_report *r, struct buf *out)
{
    health_view_text(r, true, true, 30, out);
}

static void journal_view(const struct health_report *r, struct buf *out)
{
    health_view_journal(r, true, out);
}

/* All of what a view says; the caller frees it. */
static char *said(view *v)
{
    struct buf out;
    buf_init(&out, HEALTH_VIEW_MAX_BYTES);
    v(&report, &out);
    char *text = mem_strdup(buf_cstr(&out));
    buf_release(&out);
    return text;
}

static void expect_text(view *v, const char *expected)
{
    char *text = said(v);
    assert_string_equal(text, expected);
    free(text);
}

static void expect_part(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("'%s' is not in:\n%s", part, text);
}

static void test_health_view__the_worst_first_each_with_its_command(void **state)
{
    (void)state;
    expect_text(text_view, "CRITICAL  destination 'nas': not there | a\\nb -> clawback doctor\n"
                           "warning   config grew by 60 % -> clawback runs config\n"
                           "            +1.2 GB  /home/me/a\\x1b[31m\n"
                           "            +300 MB  /home/me/b\n"
                           "info      config took long\n"
                           "1 critical, 1 warning, 2 fine\n");
}

static void test_health_view__each_line_has_its_priority_for_the_journal(void **state)
{
    (void)state;
    expect_text(journal_view, "<2>CRITICAL  destination 'nas': not there | a\\nb -> clawback doctor\n"
                              "<4>warning   config grew by 60 % -> clawback runs config\n"
                              "<4>            +1.2 GB  /home/me/a\\x1b[31m\n"
                              "<4>            +300 MB  /home/me/b\n"
                              "<6>info      config took long\n"
                              "<6>fine      config is in time\n"
                              "1 critical, 1 warning, 2 fine\n");
}

static void test_health_view__fine_ones_are_shown_when_asked_for(void **state)
{
    (void)state;
    char *text = said(verbose_view);
    expect_part(text, "fine      config is in time\n");
    expect_part(text, "\033[1;31mCRITICAL\033[0m  destination 'nas':\n          not there");
    expect_part(text, "\n          -> clawback doctor\n");
    free(text);
}

static void test_health_view__one_line_when_all_is_well(void **state)
{
    (void)state;
    nothing_is_wrong();
    expect_text(text_view, "all is well: 1 thing looked at\n");
    assert_int_equal(health_view_status(ALERT_FINE), 0);
    assert_int_equal(health_view_status(ALERT_INFO), 0);
    assert_int_equal(health_view_status(ALERT_WARNING), 1);
    assert_int_equal(health_view_status(ALERT_CRITICAL), 2);
}

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static void test_health_view__json_has_everything(void **state)
{
    (void)state;
    json_t *doc = health_view_json(&report);
    assert_non_null(doc);
    assert_string_equal(text_of(doc, "message_type"), "health");
    assert_string_equal(text_of(doc, "level"), "critical");
    assert_int_equal(json_integer_value(json_object_get(doc, "exit_code")), 2);
    const json_t *findings = json_object_get(doc, "findings"), *worst = json_array_get(findings, 0);
    assert_int_equal(json_array_size(findings), 4);
    assert_string_equal(text_of(worst, "rule"), "destination");
    assert_string_equal(text_of(worst, "subject"), "nas");
    assert_string_equal(text_of(worst, "command"), "clawback doctor");
    assert_true(json_is_null(json_object_get(worst, "since")));
    assert_non_null(text_of(json_array_get(findings, 1), "since"));
    const json_t *tier = json_array_get(json_object_get(doc, "tiers"), 0);
    assert_int_equal(json_integer_value(json_object_get(tier, "exit_code")), 3);
    assert_non_null(text_of(tier, "last_success"));
    assert_null(json_object_get(json_array_get(json_object_get(doc, "tiers"), 1), "exit_code"));
    const json_t *place = json_array_get(json_object_get(doc, "destinations"), 1);
    assert_true(json_is_false(json_object_get(place, "ready")));
    assert_string_equal(text_of(place, "problem"), "destination 'nas': not there");
    json_decref(doc);
}

static void test_health_view__nagios_line_and_data(void **state)
{
    (void)state;
    char *text = said(health_view_nagios), *end = strchr(text, '\n');
    expect_part(text, "CRITICAL: destination 'nas': not there / a\\nb (and 1 more) | 'age config'=3600s;;9000;0 "
                      "'duration config'=135.250s;600;;0 'size config'=850000000B;;;0 "
                      "'used usb'=600000000B;800000000;900000000;0;1000000000\n");
    assert_string_equal(end, "\ncritical: destination 'nas': not there / a\\nb -> clawback doctor\n"
                             "warning: config grew by 60 % -> clawback runs config\n"
                             "info: config took long\n");
    free(text);
}

static void test_health_view__nagios_labels_are_quoted(void **state)
{
    (void)state;
    fact_tiers[1].records = &lists[0];
    report.facts.plan = &(struct plan){0};
    char *text = said(health_view_nagios);
    expect_part(text, "'age it''s \"a\\b\"___x'=3600s;;;0");
    expect_part(text, "'used usb'=600000000B;;;0;1000000000");
    free(text);
    nothing_is_wrong();
    text = said(health_view_nagios);
    expect_part(text, "OK: all is well, 1 things looked at | ");
    free(text);
}

static void test_health_view__prometheus(void **state)
{
    (void)state;
    char *text = said(health_view_prometheus);
    expect_part(text, "# HELP clawback_health_level ");
    expect_part(text, "# TYPE clawback_health_level gauge\nclawback_health_level 2\n");
    expect_part(text, "\nclawback_health_timestamp_seconds 1770200000\n");
    expect_part(text, "\nclawback_findings{level=\"critical\"} 1\n");
    expect_part(text, "\nclawback_finding{rule=\"growth\",subject=\"config\",level=\"warning\"} 1\n");
    expect_part(text, "\nclawback_tier_last_success_timestamp_seconds{tier=\"config\"} 1770196400\n");
    expect_part(text, "\nclawback_tier_last_run_duration_seconds{tier=\"config\"} 135.250\n");
    expect_part(text, "\nclawback_tier_last_run_processed_bytes{tier=\"config\"} 850000000\n");
    expect_part(text, "\nclawback_tier_late_timestamp_seconds{tier=\"config\"} 1770205400\n");
    expect_part(text, "\nclawback_tier_running{tier=\"it's \\\"a\\\\b\\\"\\n=|x\"} 1\n");
    expect_part(text, "\nclawback_destination_ready{destination=\"nas\"} 0\n");
    expect_part(text, "\nclawback_destination_free_bytes{destination=\"usb\"} 400000000\n");
    expect_part(text, "\nclawback_scheduler_alive{scheduler=\"daemon\"} 1\n");
    expect_part(text, "\nclawback_database_ready{database=\"container 'db'\"} 0\n");
    expect_part(text, "\nclawback_clock_sane{clock=\"run records\"} 1\n");
    expect_part(text, "\nclawback_restore_proof_timestamp_seconds 1770113600\n");
    assert_null(strstr(text, "free_bytes{destination=\"nas\"}"));
    assert_null(strstr(text, "exit_code{tier=\"it's"));
    free(text);
}

static void test_health_view__prometheus_is_utf8_and_says_nothing_of_what_is_not_known(void **state)
{
    (void)state;
    fact_tiers[0].records = NULL;
    places[0].name = "b\xff"
                     "d";
    report.facts.schedulers.looked = report.facts.dumps.looked = report.facts.proof_looked = false;
    char *text = said(health_view_prometheus);
    expect_part(text, "clawback_destination_ready{destination=\"b\xef\xbf\xbd"
                      "d\"} 1\n");
    assert_null(strstr(text, "last_success_timestamp_seconds{"));
    assert_null(strstr(text, "scheduler"));
    assert_null(strstr(text, "database"));
    assert_null(strstr(text, "proof"));
    places[0].name = "usb";
    free(text);
}

static void test_health_view__a_report_without_a_plan(void **state)
{
    (void)state;
    finding_list_release(&report.findings);
    report.facts = (struct facts){.now_ms = NOW};
    struct finding *f = finding_add(&report.findings, "plan", "", ALERT_CRITICAL, "no plan");
    f->command = mem_strdup("clawback setup");
    expect_text(text_view, "CRITICAL  no plan -> clawback setup\n1 critical, 0 fine\n");
    expect_text(health_view_nagios, "CRITICAL: no plan\ncritical: no plan -> clawback setup\n");
    char *text = said(health_view_prometheus);
    expect_part(text, "clawback_finding{rule=\"plan\",subject=\"\",level=\"critical\"} 1\n");
    assert_null(strstr(text, "tier"));
    free(text);
    json_t *doc = health_view_json(&report);
    assert_int_equal(json_array_size(json_object_get(doc, "tiers")), 0);
    json_decref(doc);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_health_view__the_worst_first_each_with_its_command),
        TEST(test_health_view__each_line_has_its_priority_for_the_journal),
        TEST(test_health_view__fine_ones_are_shown_when_asked_for),
        TEST(test_health_view__one_line_when_all_is_well),
        TEST(test_health_view__json_has_everything),
        TEST(test_health_view__nagios_line_and_data),
        TEST(test_health_view__nagios_labels_are_quoted),
        TEST(test_health_view__prometheus),
        TEST(test_health_view__prometheus_is_utf8_and_says_nothing_of_what_is_not_known),
        TEST(test_health_view__a_report_without_a_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
