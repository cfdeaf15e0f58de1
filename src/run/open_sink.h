/*
 * A sink in front of another one that keeps secrets out: for archives that anybody can read. Files that sensitive.h
 * takes for secret are dropped and named, and so are those that hold the plan's own secrets, whatever they are called.
 */
#pragma once
#include <stdint.h>
#include "plan/plan.h"
#include "sink/sink.h"

struct open_sink;
/* Neither `inner` nor the reporter is owned; both outlive it. The plan is looked at now only. */
struct open_sink *open_sink_new(struct sink *inner, const struct plan *plan, const struct sink_reporter *reporter);
struct sink *open_sink_base(struct open_sink *s);
/* How many files were left out so far. */
uint64_t open_sink_left_out(const struct open_sink *s);
void open_sink_free(struct open_sink *s); /* NULL is nothing */
