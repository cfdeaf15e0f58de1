#include "cli/plan_access.h"

#include <stdlib.h>
#include "base/mem.h"
#include "plan/config.h"

enum { MISTAKES_SHOWN = 20 };

static void show(struct cli *cli, const char *file, const struct config_report *report)
{
    size_t shown = 0;
    for (size_t i = 0; i < report->count && shown < MISTAKES_SHOWN; i++, shown++)
        cli_warn(cli, "%s:%u: %s", file, report->items[i].line, report->items[i].message);
    if (report->count > shown)
        cli_warn(cli, "… and %zu more: clawback config check", report->count - shown);
}

typedef int load_fn(const char *path, struct plan **out, struct config_report *report, struct err *err);

static int load_by(load_fn *load, struct cli *cli, const char *file, struct plan **out, struct err *err)
{
    struct config_report report = {0};
    char *path = file != NULL ? mem_strdup(file) : config_default_path();
    int rc = load(path, out, &report, err);
    /* A single mistake is the error itself. */
    if (rc == 0 || report.errors > 1)
        show(cli, path, &report);
    if (rc != 0 && err->code == ERR_NOT_FOUND)
        err_set(err, ERR_NOT_FOUND, "there is no plan at '%s': 'clawback setup' writes one", path);
    config_report_release(&report);
    free(path);
    return rc;
}

int cli_load_plan(struct cli *cli, const char *file, struct plan **out, struct err *err)
{
    return load_by(config_load, cli, file, out, err);
}

int cli_load_plan_to_run(struct cli *cli, const char *file, struct plan **out, struct err *err)
{
    int rc = load_by(config_load_to_run, cli, file, out, err);
    if (rc == 0 && (*out)->alerts.mistakes.count > 0)
        cli_warn(cli, "this goes on without what is wrong in 'alerts' and 'health', but not everybody may be told");
    return rc;
}
