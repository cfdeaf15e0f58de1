/* A plan from its text, for tests in which it is right. After <cmocka.h>. */
#pragma once
#include <stdbool.h>
#include <string.h>
#include "plan/config.h"

/* warnings: they may be. path: where it says that it was read from. The caller frees it. */
static inline struct plan *parsed(const char *text, const char *path, bool warnings)
{
    struct plan *plan = NULL;
    struct config_report report = {0};
    struct err err = {0};
    if (config_parse(text, strlen(text), path, &plan, &report, &err) != 0)
        fail_msg("%s\n%s", err.message, text);
    if (!warnings && report.count != 0)
        fail_msg("warning: %s", report.items[0].message);
    config_report_release(&report);
    return plan;
}
