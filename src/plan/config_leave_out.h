/* A plan that is worked by in spite of mistakes in what it says of watching and telling. */
#pragma once
#include "plan/config_reader.h"

/* The report has mistakes, none of them grave: the plan is as config_check() left it. Takes out the channels that have
 * one, and writes down where they are and what in `alerts:` may be secret: it may have gone unread. */
void config_leave_out(struct plan *p, const struct yaml_node *document, const struct config_report *report);
