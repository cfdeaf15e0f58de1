/* clang-format off */
/*
 * The rules: from facts to findings. Pure. Each rule that could look says something of each of its subjects, if only
 * that it is fine; what is not known it says nothing of. No two findings have the same rule and subject. docs/alerts.md
 * has the same for people.
 *
 *     rule             level               subject       when; and when it is over
 *     run-failed       critical            tier          the last run failed (not: was interrupted by a person, is to
 *                                                        be tried again soon); over when one completes or is skipped
 *     job-failed       critical            job           the last run of a job of the daemon's that ran no tier failed,
 *                                                        for good; over when one completes
 *     run-incomplete   warning             tier          … lacks something (exit code 3) that no other rule names
 *     late             critical            tier          past late_ms, also before the first run; a run that is under
 *                                                        way, or another's that it waits for, has as long again (a
 *                                                        tier's first a day), and what fell due while the machine was
 *                                                        off half an hour from then on. Over with the next success
 *     never-ended      warning             tier          a started line without an end, and nobody runs it
 *     records-broken   warning             tier          damaged lines, or runs that ended without having begun, of the
 *                                                        last week; over a week after the last
 *     upload-failed    critical            destination   it did not get all of some tier's last run, unless that run
 *                                                        failed as a whole with the same words
 *     destination      critical            destination   it is not there, not the right one, cannot be written.
 *                                                        Details: tiers that are not stored there, and since when
 *     space            critical, warning   destination   less than critical_free_bytes free, over at one and a half
 *                                                        times that; fuller than full_percent, over 5 points below
 *     slow             warning             tier          the last run took longer than slow_ms and one and a half times
 *                                                        its usual time, over at 80 % of the one or 125 % of the other;
 *                                                        or than slow_factor times it, over half-way back. Never below
 *                                                        a minute, nor for a tier's first run. A run that is under
 *                                                        way counts as long as it has taken
 *     growth           critical, warning   tier          growth_factor times the usual size; larger by growth_percent,
 *                                                        over at half of that. Details: which sources, dumps and paths
 *     shrink           warning             tier          smaller by shrink_percent, over at half of that. Details alike
 *     push-failed      warning             repository    the last run could not push it
 *     absent           warning             database      of a tier with `when: running`: not running for 14 days, and
 *                                                        it was backed up before
 *     dump-failed      warning             database      it could not be dumped when it was tried
 *     scheduler        warning             -             one of what should start the next run does not live
 *     skew             warning             clock         it is off by more than skew_ms
 *     proof            warning             -             the last restore proof is older than proof_max_age_ms; over
 *                                                        with the next one
 *
 * One cause is one finding: nothing is said, neither bad nor fine, of upload-failed while the destination is not ready,
 * and of run-failed and late of a tier that has failed or is late while none of its destinations is ready. An alert
 * that was open before stays open until a finding closes it.
 *
 * "Usual" is the median of the last 20 good runs (completed with exit code 0) before the one that is looked at, where
 * there are at least 5; else of those, too, that lack something but no source. Of sizes it is what the three runs
 * before it agree on within a tenth, where they do: so a lasting change of size is an alert for three runs, and the
 * usual size then. A change of less than 1 MB is none.
 */
/* clang-format on */
#pragma once
#include "monitor/facts.h"
#include "monitor/finding.h"

void rules_apply(const struct facts *f, struct finding_list *out);

enum { RULES_TEXT_BYTES = 64 };

/* All rules that there are, NULL at the end: these, and run/health.c's own: "state" (the run records or the state
 * database cannot be used) and "plan" (it has mistakes in what it says of telling). */
extern const char *const RULE_NAMES[];
