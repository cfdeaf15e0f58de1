#include "monitor/finding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

static void test_finding__holds_what_was_said(void **state)
{
    (void)state;
    struct finding_list l = {0};
    struct finding *f = finding_add(&l, "late", "config", ALERT_CRITICAL, "%s is %d h late", "config", 3);
    f->details = mem_strdup("details");
    f->command = mem_strdup("clawback run");
    assert_string_equal(f->rule, "late");
    assert_string_equal(f->subject, "config");
    assert_string_equal(f->text, "config is 3 h late");
    assert_int_equal(f->since_ms, 0);
    finding_list_release(&l);
    assert_int_equal(l.count, 0);
}

static void test_finding__cuts_a_text_without_end(void **state)
{
    (void)state;
    struct finding_list l = {0};
    char *text = mem_alloc(100001);
    memset(text, 'x', 100000);
    text[100000] = '\0';
    finding_add(&l, "late", "", ALERT_WARNING, "%s", text);
    assert_int_equal(strlen(l.items[0].text), 2047);
    free(text);
    finding_list_release(&l);
}

static void test_finding__the_worst_of_many(void **state)
{
    (void)state;
    struct finding_list l = {0};
    assert_int_equal(finding_list_worst(&l), ALERT_FINE);
    finding_add(&l, "a", "", ALERT_FINE, "x");
    assert_int_equal(finding_list_worst(&l), ALERT_FINE);
    finding_add(&l, "b", "", ALERT_CRITICAL, "x");
    finding_add(&l, "c", "", ALERT_WARNING, "x");
    assert_int_equal(finding_list_worst(&l), ALERT_CRITICAL);
    finding_list_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finding__holds_what_was_said),
        cmocka_unit_test(test_finding__cuts_a_text_without_end),
        cmocka_unit_test(test_finding__the_worst_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
