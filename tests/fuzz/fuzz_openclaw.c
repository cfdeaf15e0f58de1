/* What OpenClaw's command line prints, when its jobs are looked at and put in place. Answers follow each other in the
 * input, parted by NUL; the last one is given again and again. The linker gives us process_run() and
 * installed_gateway_answers(), see meson.build. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/install.h"
#include "os/process.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_process_run(const struct process_options *options, struct buf *out, struct err *err);
bool __wrap_installed_gateway_answers(const char *home, char **why);

static const uint8_t *next_answer, *answers_end;

int __wrap_process_run(const struct process_options *options, struct buf *out, struct err *err)
{
    (void)err;
    for (size_t i = 0; options->argv[i] != NULL; i++)
        if (i > 50)
            abort();
    const uint8_t *stop = memchr(next_answer, '\0', (size_t)(answers_end - next_answer));
    if (out != NULL)
        buf_append(out, next_answer, (size_t)((stop != NULL ? stop : answers_end) - next_answer));
    if (stop != NULL)
        next_answer = stop + 1;
    return 0;
}

bool __wrap_installed_gateway_answers(const char *home, char **why)
{
    (void)home;
    (void)why;
    return true;
}

static void hear(void *ctx, enum install_word word, const char *text)
{
    (void)ctx;
    if (word > INSTALL_TEXT || text == NULL)
        abort();
}

static struct installed_trigger trigger(const char *id, const char *ref)
{
    struct installed_trigger t = {.id = mem_strdup(id), .name = mem_strdup(id), .ref = ref ? mem_strdup(ref) : NULL};
    t.schedule = (struct schedule){.kind = SCHEDULE_EVERY, .every_ms = 3600000};
    strlist_add(&t.argv, "/usr/bin/clawback");
    return t;
}

static void item_init(struct installed_item *item)
{
    *item = (struct installed_item){.via = VIA_OPENCLAW, .enabled = true};
    item->triggers = mem_array(NULL, 2, sizeof *item->triggers);
    item->trigger_count = 2;
    item->triggers[0] = trigger("clawback:run", "r-1");
    item->triggers[1] = trigger("clawback:health", NULL);
}

static void look_at(struct install *in, struct installed_item *item)
{
    struct install_trigger_state states[2] = {{.trigger = &item->triggers[0]}, {.trigger = &item->triggers[1]}};
    struct install_state state = {.item = item, .triggers = states, .trigger_count = 2};
    INSTALL_OPENCLAW.look(in, 1770184800000, &state);
    if (state.alive != (state.problem == NULL))
        abort();
    free(state.problem);
    free(states[0].last_status);
    free(states[1].last_status);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct install in = {.state_dir = "/nowhere", .program = "/usr/bin/clawback", .say = hear};
    struct installed_item before, item;
    in.openclaw.program = mem_strdup("/usr/bin/openclaw");
    item_init(&before);
    item_init(&item);
    next_answer = data;
    answers_end = data + size;
    INSTALL_OPENCLAW.put(&in, &before, &item, NULL);
    next_answer = data;
    look_at(&in, &before);
    next_answer = data;
    INSTALL_OPENCLAW.remove(&in, &before, NULL);
    installed_item_release(&before);
    installed_item_release(&item);
    openclaw_command_release(&in.openclaw);
    return 0;
}
