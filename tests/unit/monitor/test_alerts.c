#include "monitor/alerts.h"

#include "state_box.h"

static const int64_t MINUTE_MS = 60 * 1000, HOUR_MS = 3600 * 1000, DAY_MS = 24 * 3600 * 1000LL;
static const struct plan_alerts DAILY = {.repeat_ms = 24 * 3600 * 1000};

static struct state *s;
static struct alert_list told;
static bool refuse;

static int set_up(void **state)
{
    box_set_up(state);
    s = box_open();
    refuse = false;
    return 0;
}

static int tear_down(void **state)
{
    alert_list_release(&told);
    state_close(s);
    return box_tear_down(state);
}

static char *copy(const char *text)
{
    return text != NULL ? mem_strdup(text) : NULL;
}

static int remember(void *ctx, struct state *from, const struct alert_list *changes, struct err *err)
{
    assert_ptr_equal(ctx, &told);
    assert_ptr_equal(from, s);
    assert_true(state_in_transaction(from));
    assert_true(changes->count > 0);
    told.items = mem_array(told.items, told.count + changes->count, sizeof *told.items);
    for (size_t i = 0; i < changes->count; i++) {
        struct alert *a = &told.items[told.count++];
        *a = changes->items[i];
        a->rule = copy(a->rule);
        a->subject = copy(a->subject);
        a->text = copy(a->text);
        a->details = copy(a->details);
        a->command = copy(a->command);
        a->was = copy(a->was);
    }
    return refuse ? err_set(err, ERR_FAILED, "refused") : state_note_set(from, "told", "yes", err);
}

/* One look at one subject. How many were told. */
static size_t look_at(const char *subject, enum alert_level level, int64_t at_ms)
{
    struct finding_list l = {0};
    struct err err = {0};
    size_t before = told.count;
    struct finding *f = finding_add(&l, "late", subject, level, "level %d", (int)level);
    f->command = mem_strdup("clawback run");
    if (alerts_update(s, &l, &DAILY, at_ms, remember, &told, &err) != 0 && !refuse)
        fail_msg("%s", err.message);
    finding_list_release(&l);
    return told.count - before;
}

static size_t look(enum alert_level level, int64_t at_ms)
{
    return look_at("config", level, START_MS + at_ms);
}

static const struct alert *last(void)
{
    return &told.items[told.count - 1];
}

static size_t open_count(void)
{
    struct alert_list l;
    struct err err = {0};
    assert_int_equal(alerts_open(s, &l, &err), 0);
    size_t count = l.count;
    alert_list_release(&l);
    return count;
}

static void test_alerts__a_fine_finding_says_nothing(void **state)
{
    (void)state;
    assert_int_equal(look(ALERT_FINE, 0), 0);
    assert_int_equal(look(ALERT_INFO, 0), 0);
    assert_int_equal(open_count(), 0);
    assert_false(scratch_has(scratch_dir, "alerts.jsonl"));
}

static void test_alerts__opens_once_and_closes_once(void **state)
{
    (void)state;
    assert_int_equal(look(ALERT_WARNING, 0), 1);
    assert_int_equal(last()->change, ALERT_OPENED);
    assert_int_equal(last()->level, ALERT_WARNING);
    assert_int_equal(last()->opened_ms, START_MS);
    assert_int_equal(last()->since_ms, START_MS);
    assert_string_equal(last()->text, "level 2");
    assert_string_equal(last()->command, "clawback run");
    assert_int_equal(look(ALERT_WARNING, HOUR_MS), 0);
    assert_int_equal(alerts_open_level(s, "late", "config"), ALERT_WARNING);
    assert_int_equal(alerts_open_level(s, "late", "git"), ALERT_FINE);
    assert_int_equal(alerts_open_level(NULL, "late", "config"), ALERT_FINE);
    assert_int_equal(look(ALERT_FINE, 2 * HOUR_MS), 1);
    assert_int_equal(last()->change, ALERT_CLOSED);
    assert_int_equal(last()->level, ALERT_WARNING);
    assert_int_equal(last()->now, ALERT_FINE);
    assert_string_equal(last()->text, "level 0");
    assert_string_equal(last()->was, "level 2");
    assert_null(last()->command);
    assert_int_equal(look(ALERT_FINE, 3 * HOUR_MS), 0);
    assert_int_equal(open_count(), 0);
}

static void test_alerts__tells_at_once_when_it_gets_worse(void **state)
{
    (void)state;
    look(ALERT_WARNING, 0);
    assert_int_equal(look(ALERT_CRITICAL, MINUTE_MS), 1);
    assert_int_equal(last()->change, ALERT_WORSE);
    assert_int_equal(last()->level, ALERT_CRITICAL);
    assert_int_equal(alerts_open_level(s, "late", "config"), ALERT_CRITICAL);
}

static void test_alerts__tells_that_it_is_better_when_that_lasts(void **state)
{
    (void)state;
    look(ALERT_CRITICAL, 0);
    assert_int_equal(look(ALERT_WARNING, 30 * MINUTE_MS), 0);
    assert_int_equal(look(ALERT_CRITICAL, 40 * MINUTE_MS), 0);
    assert_int_equal(look(ALERT_WARNING, 50 * MINUTE_MS), 0);
    assert_int_equal(look(ALERT_WARNING, 61 * MINUTE_MS), 1);
    assert_int_equal(last()->change, ALERT_BETTER);
    assert_int_equal(last()->level, ALERT_CRITICAL);
    assert_int_equal(last()->now, ALERT_WARNING);
}

static void test_alerts__reminds_rarely(void **state)
{
    (void)state;
    look(ALERT_WARNING, 0);
    assert_int_equal(look(ALERT_WARNING, DAY_MS - 1), 0);
    assert_int_equal(look(ALERT_WARNING, DAY_MS), 1);
    assert_int_equal(last()->change, ALERT_REMINDED);
    assert_int_equal(last()->opened_ms, START_MS);
    assert_int_equal(look(ALERT_WARNING, DAY_MS + HOUR_MS), 0);
    assert_int_equal(look(ALERT_WARNING, 2 * DAY_MS), 1);
}

static void test_alerts__reminds_never_when_that_is_wanted(void **state)
{
    (void)state;
    struct finding_list l = {0};
    struct err err = {0};
    finding_add(&l, "late", "config", ALERT_WARNING, "x");
    for (int i = 0; i < 30; i++)
        assert_int_equal(alerts_update(s, &l, &(struct plan_alerts){0}, START_MS + i * DAY_MS, remember, &told, &err),
                         0);
    assert_int_equal(told.count, 1);
    finding_list_release(&l);
}

static void test_alerts__one_that_comes_and_goes_is_told_once_an_hour(void **state)
{
    (void)state;
    size_t count = 0;
    for (int minute = 0; minute < 180; minute += 5)
        count += look(minute % 10 == 0 ? ALERT_WARNING : ALERT_FINE, minute * MINUTE_MS);
    /* Open and over at the beginning, and again after each hour. */
    assert_int_equal(count, 6);
    assert_int_equal(told.items[0].change, ALERT_OPENED);
    assert_int_equal(told.items[1].change, ALERT_CLOSED);
    assert_int_equal(told.items[2].change, ALERT_OPENED);
}

static void test_alerts__one_that_comes_back_and_stays_is_told_after_an_hour(void **state)
{
    (void)state;
    look(ALERT_WARNING, 0);
    look(ALERT_FINE, 10 * MINUTE_MS);
    assert_int_equal(look(ALERT_WARNING, 20 * MINUTE_MS), 0);
    assert_int_equal(open_count(), 1);
    assert_int_equal(look(ALERT_WARNING, 69 * MINUTE_MS), 0);
    assert_int_equal(look(ALERT_WARNING, 70 * MINUTE_MS), 1);
    assert_int_equal(last()->change, ALERT_OPENED);
    assert_int_equal(last()->opened_ms, START_MS + 20 * MINUTE_MS);
}

static void test_alerts__one_that_comes_back_worse_is_told_at_once(void **state)
{
    (void)state;
    look(ALERT_WARNING, 0);
    look(ALERT_FINE, 10 * MINUTE_MS);
    assert_int_equal(look(ALERT_CRITICAL, 20 * MINUTE_MS), 1);
}

static void test_alerts__what_was_not_looked_at_stays(void **state)
{
    (void)state;
    look_at("config", ALERT_CRITICAL, START_MS);
    for (int i = 1; i < 40; i++)
        look_at("git", ALERT_FINE, START_MS + i * DAY_MS);
    assert_int_equal(alerts_open_level(s, "late", "config"), ALERT_CRITICAL);
    for (int i = 0; i < 60; i++)
        look_at("git", ALERT_FINE, START_MS + 40 * DAY_MS + i);
    assert_int_equal(alerts_open_level(s, "late", "config"), ALERT_FINE);
    assert_int_equal(last()->change, ALERT_CLOSED);
}

static void test_alerts__many_updates_within_three_days_forget_nothing(void **state)
{
    (void)state;
    look_at("config", ALERT_CRITICAL, START_MS);
    for (int i = 0; i < 200; i++)
        look_at("git", ALERT_FINE, START_MS + i * MINUTE_MS);
    assert_int_equal(alerts_open_level(s, "late", "config"), ALERT_CRITICAL);
}

static void test_alerts__what_a_destination_that_is_away_keeps_unsaid_stays_open(void **state)
{
    (void)state;
    look_at("config", ALERT_CRITICAL, START_MS);
    for (int i = 1; i < 200; i++) {
        struct finding_list l = {0};
        finding_add(&l, "destination", "usb", ALERT_CRITICAL, "gone");
        assert_int_equal(alerts_update(s, &l, &DAILY, START_MS + i * HOUR_MS, remember, &told, NULL), 0);
        finding_list_release(&l);
    }
    assert_int_equal(alerts_open_level(s, "late", "config"), ALERT_CRITICAL);
    look_at("config", ALERT_FINE, START_MS + 200 * HOUR_MS);
    assert_int_equal(last()->change, ALERT_CLOSED);
    assert_int_equal(alerts_open_level(s, "late", "config"), ALERT_FINE);
}

static void test_alerts__a_clock_that_goes_back_neither_floods_nor_silences(void **state)
{
    (void)state;
    look(ALERT_WARNING, 100 * DAY_MS);
    assert_int_equal(look(ALERT_WARNING, 0), 0);
    assert_int_equal(look(ALERT_WARNING, HOUR_MS), 0);
    assert_int_equal(look(ALERT_WARNING, DAY_MS), 1);
    assert_int_equal(look(ALERT_FINE, -DAY_MS), 1);
    assert_int_equal(look(ALERT_WARNING, -5 * DAY_MS), 1);
    assert_int_equal(look(ALERT_WARNING, -5 * DAY_MS + 1), 0);
}

static void test_alerts__the_worst_is_told_first_and_what_is_over_last(void **state)
{
    (void)state;
    struct finding_list l = {0};
    look_at("z", ALERT_CRITICAL, START_MS);
    alert_list_release(&told);
    finding_add(&l, "late", "z", ALERT_FINE, "x");
    finding_add(&l, "slow", "a", ALERT_WARNING, "x");
    finding_add(&l, "late", "b", ALERT_CRITICAL, "x");
    finding_add(&l, "late", "a", ALERT_CRITICAL, "x");
    assert_int_equal(alerts_update(s, &l, &DAILY, START_MS + 1, remember, &told, NULL), 0);
    assert_int_equal(told.count, 4);
    assert_string_equal(told.items[0].subject, "a");
    assert_string_equal(told.items[1].subject, "b");
    assert_string_equal(told.items[2].rule, "slow");
    assert_int_equal(told.items[3].change, ALERT_CLOSED);
    finding_list_release(&l);
    struct alert_list open;
    assert_int_equal(alerts_open(s, &open, NULL), 0);
    assert_int_equal(open.count, 3);
    assert_int_equal(open.items[0].level, ALERT_CRITICAL);
    assert_int_equal(open.items[2].level, ALERT_WARNING);
    alert_list_release(&open);
}

static void test_alerts__when_telling_fails_nothing_has_changed(void **state)
{
    (void)state;
    char *note;
    refuse = true;
    assert_int_equal(look(ALERT_WARNING, 0), 1);
    assert_int_equal(open_count(), 0);
    assert_false(state_in_transaction(s));
    refuse = false;
    assert_int_equal(look(ALERT_WARNING, 1), 1);
    assert_int_equal(state_note_get(s, "told", &note, NULL), 0);
    assert_string_equal(note, "yes");
    free(note);
}

static void lose_database(void)
{
    char *path = box_path("state.sqlite");
    state_close(s);
    unlink(path);
    free(path);
    s = box_open();
}

static void test_alerts__are_restored_from_their_log_and_told_again(void **state)
{
    (void)state;
    look_at("config", ALERT_CRITICAL, START_MS);
    look_at("git", ALERT_WARNING, START_MS);
    look_at("git", ALERT_FINE, START_MS + 1);
    look_at("full", ALERT_WARNING, START_MS);
    lose_database();
    assert_int_equal(open_count(), 2);
    assert_int_equal(alerts_open_level(s, "late", "config"), ALERT_CRITICAL);
    assert_int_equal(look_at("config", ALERT_CRITICAL, START_MS + HOUR_MS), 1);
    assert_int_equal(last()->change, ALERT_REMINDED);
    assert_int_equal(last()->opened_ms, START_MS);
    assert_int_equal(look_at("config", ALERT_CRITICAL, START_MS + 2 * HOUR_MS), 0);
    /* One that was told, and is over when somebody looks again: they hear of that. */
    assert_int_equal(look_at("full", ALERT_FINE, START_MS + HOUR_MS), 1);
    assert_int_equal(last()->change, ALERT_CLOSED);
}

static void test_alerts__history_has_every_change_the_newest_first(void **state)
{
    (void)state;
    struct alert_list l;
    struct err err = {0};
    assert_int_equal(alerts_history(scratch_dir, 10, &l, &err), 0);
    assert_int_equal(l.count, 0);
    alert_list_release(&l);
    look(ALERT_WARNING, 0);
    look(ALERT_CRITICAL, MINUTE_MS);
    look(ALERT_FINE, 2 * MINUTE_MS);
    look(ALERT_WARNING, 3 * MINUTE_MS); /* held back */
    assert_int_equal(alerts_history(scratch_dir, 10, &l, &err), 0);
    assert_int_equal(l.count, 4);
    assert_int_equal(l.items[0].change, ALERT_OPENED);
    assert_string_equal(alert_change_name(l.items[0].change), "opened");
    assert_int_equal(l.items[0].told_ms, 0);
    assert_int_equal(l.items[1].change, ALERT_CLOSED);
    assert_int_equal(l.items[1].changed_ms, START_MS + 2 * MINUTE_MS);
    assert_string_equal(l.items[1].was, "level 3");
    assert_int_equal(l.items[2].change, ALERT_WORSE);
    assert_int_equal(l.items[3].told_ms, START_MS);
    alert_list_release(&l);
    assert_int_equal(alerts_history(scratch_dir, 1, &l, &err), 0);
    assert_int_equal(l.count, 1);
    alert_list_release(&l);
    assert_int_equal(scratch_mode(scratch_dir, "alerts.jsonl"), 0600);
}

static void test_alerts__a_log_that_cannot_be_written_keeps_nobody_from_hearing(void **state)
{
    (void)state;
    char *path = box_path("alerts.jsonl");
    mkdir(path, 0700);
    free(path);
    assert_int_equal(look(ALERT_WARNING, 0), 1);
    assert_int_equal(open_count(), 1);
}

static void test_alerts__texts_of_any_bytes_are_kept(void **state)
{
    (void)state;
    struct finding_list l = {0};
    struct alert_list h;
    finding_add(&l, "push-failed", "/home/\xff\xfe", ALERT_WARNING, "pushing '/home/\xff' failed: \"x\"\n\t");
    assert_int_equal(alerts_update(s, &l, &DAILY, START_MS, remember, &told, NULL), 0);
    assert_int_equal(alerts_history(scratch_dir, 10, &h, NULL), 0);
    assert_int_equal(h.count, 1);
    assert_string_equal(h.items[0].subject, "/home/??");
    alert_list_release(&h);
    finding_list_release(&l);
}

static void test_alerts__a_silenced_one_is_told_when_the_silence_is_over(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(alerts_silence(s, "late", "config", START_MS + DAY_MS, &err), 0);
    assert_int_equal(look(ALERT_CRITICAL, 0), 0);
    assert_int_equal(look_at("git", ALERT_CRITICAL, START_MS), 1);
    assert_int_equal(open_count(), 2);
    assert_int_equal(look(ALERT_CRITICAL, DAY_MS - 1), 0);
    assert_int_equal(look(ALERT_CRITICAL, DAY_MS), 1);
    assert_int_equal(alerts_silence(s, "late", NULL, START_MS + 9 * DAY_MS, &err), 0);
    assert_int_equal(look(ALERT_FINE, 2 * DAY_MS), 0);
    assert_int_equal(look_at("git", ALERT_FINE, START_MS + 2 * DAY_MS), 0);
    assert_int_equal(look(ALERT_CRITICAL, 3 * DAY_MS), 0);
    assert_int_equal(alerts_silence(s, "late", NULL, 0, &err), 0);
    assert_int_equal(look(ALERT_CRITICAL, 3 * DAY_MS + 1), 1);
}

static void test_alerts__silences_are_restored_from_the_log(void **state)
{
    (void)state;
    struct err err = {0};
    struct alert_list l;
    look(ALERT_CRITICAL, 0);
    assert_int_equal(alerts_silence(s, "late", "config", START_MS + 5 * DAY_MS, &err), 0);
    assert_int_equal(alerts_silence(s, "slow", NULL, START_MS + 5 * DAY_MS, &err), 0);
    assert_int_equal(alerts_silence(s, "growth", "config", START_MS + 5 * DAY_MS, &err), 0);
    assert_int_equal(alerts_silence(s, "growth", NULL, 0, &err), 0);
    lose_database();
    assert_int_equal(alerts_silenced_until(s, "late", "config", START_MS), START_MS + 5 * DAY_MS);
    assert_int_equal(alerts_silenced_until(s, "late", "git", START_MS), 0);
    assert_int_equal(alerts_silenced_until(s, "slow", "git", START_MS), START_MS + 5 * DAY_MS);
    assert_int_equal(alerts_silenced_until(s, "growth", "config", START_MS), 0);
    assert_int_equal(look(ALERT_CRITICAL, 2 * DAY_MS), 0);
    /* They are no changes of an alert. */
    assert_int_equal(alerts_history(scratch_dir, 1, &l, &err), 0);
    assert_int_equal(l.count, 1);
    assert_string_equal(l.items[0].rule, "late");
    alert_list_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_alerts__a_fine_finding_says_nothing),
        TEST(test_alerts__opens_once_and_closes_once),
        TEST(test_alerts__tells_at_once_when_it_gets_worse),
        TEST(test_alerts__tells_that_it_is_better_when_that_lasts),
        TEST(test_alerts__reminds_rarely),
        TEST(test_alerts__reminds_never_when_that_is_wanted),
        TEST(test_alerts__one_that_comes_and_goes_is_told_once_an_hour),
        TEST(test_alerts__one_that_comes_back_and_stays_is_told_after_an_hour),
        TEST(test_alerts__one_that_comes_back_worse_is_told_at_once),
        TEST(test_alerts__what_was_not_looked_at_stays),
        TEST(test_alerts__many_updates_within_three_days_forget_nothing),
        TEST(test_alerts__what_a_destination_that_is_away_keeps_unsaid_stays_open),
        TEST(test_alerts__a_clock_that_goes_back_neither_floods_nor_silences),
        TEST(test_alerts__the_worst_is_told_first_and_what_is_over_last),
        TEST(test_alerts__when_telling_fails_nothing_has_changed),
        TEST(test_alerts__are_restored_from_their_log_and_told_again),
        TEST(test_alerts__history_has_every_change_the_newest_first),
        TEST(test_alerts__a_log_that_cannot_be_written_keeps_nobody_from_hearing),
        TEST(test_alerts__texts_of_any_bytes_are_kept),
        TEST(test_alerts__a_silenced_one_is_told_when_the_silence_is_over),
        TEST(test_alerts__silences_are_restored_from_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
