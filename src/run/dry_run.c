/* A source read to its end, where a dry run has no repository that it could be compared with. */
#include "os/interrupt.h"
#include "run/open_sink.h"
#include "run/reading_sink.h"
#include "run/run_internal.h"
#include "run/watched_source.h"

static int read_all(struct tier_run *t, struct unit *u, struct source *source, struct unit_report *report,
                    struct err *err)
{
    struct reading_sink sink;
    struct sink_reporter *reporter = &report->reporter;
    reading_sink_init(&sink, reporter, t->run->progress->reading);
    struct open_sink *open = t->tier->format == PLAN_ARCHIVE && t->tier->archive.unencrypted
                                 ? open_sink_new(&sink.sink, t->run->options->plan, reporter)
                                 : NULL;
    int rc = source_start(source, reporter, err);
    if (rc == 0)
        rc = source_push(source, open != NULL ? open_sink_base(open) : &sink.sink, reporter, err);
    u->bytes = sink.bytes;
    u->files = sink.files;
    if (rc == 0 && source->strict && u->unreadable > 0) {
        *err = report->first;
        rc = -1;
    }
    open_sink_free(open);
    reading_sink_release(&sink);
    return rc;
}

void unit_only_read(struct tier_run *t, struct unit *u)
{
    struct source *source = NULL;
    struct unit_report report;
    struct err err = {0};
    if (tier_source_open(&t->sources, u->source, &source, &err) != 0) {
        unit_missing(t, u, &err);
        return;
    }
    unit_opened(u, source);
    source = watched_source_new(source);
    unit_report_init(&report, t, u);
    int rc = read_all(t, u, source, &report, &err);
    bool begun = u->unreadable > 0;
    unit_take_sizes(u, source);
    source_free(source);
    if (rc == 0) {
        u->done = true;
        unit_check_size(t, u);
    } else if (err.code == ERR_INTERRUPTED) {
        t->err = err;
    } else if (begun) {
        unit_failed(t, u, &err);
    } else {
        unit_missing(t, u, &err);
    }
}
