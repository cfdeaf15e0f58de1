#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strlist.h"
#include "monitor/channel_kinds.h"
#include "monitor/message_text.h"
#include "os/file.h"
#include "os/process.h"

/* Linux gives one string of the environment no more than 128 KiB. */
enum { VALUE_MAX_BYTES = 100 << 10 };

static void add_variable(struct strlist *l, const char *name, const char *value)
{
    char *text = mem_printf("CLAWBACK_ALERT_%s=%s", name, value != NULL ? value : "");
    if (strlen(text) < VALUE_MAX_BYTES)
        strlist_add(l, text);
    free(text);
}

static void describe(const struct message *m, struct strlist *l)
{
    static const char *const KINDS[] = {
        [MESSAGE_ALERTS] = "alerts", [MESSAGE_DIGEST] = "digest", [MESSAGE_TEST] = "test"};
    char when[32];
    text_time_utc(m->time_ms, when);
    add_variable(l, "KIND", KINDS[m->kind]);
    add_variable(l, "LEVEL", alert_level_name(m->level));
    add_variable(l, "OVER", m->over ? "1" : "0");
    add_variable(l, "HOST", m->host);
    add_variable(l, "TITLE", m->title);
    add_variable(l, "RULE", m->rule);
    add_variable(l, "SUBJECT", m->subject);
    add_variable(l, "TIME", when);
    add_variable(l, "JSON", m->json);
}

/* A file in memory, so that a command that does not read it cannot make us wait. */
static int text_file(const struct message *m, struct err *err)
{
    int fd = memfd_create("clawback-alert", MFD_CLOEXEC);
    char *text = mem_printf("%s\n\n%s", m->title, m->text);
    if (fd < 0)
        err_set(err, ERR_IO, "cannot make a file in memory");
    if (fd >= 0 && (os_write_full(fd, text, strlen(text)) != 0 || lseek(fd, 0, SEEK_SET) != 0)) {
        err_set(err, ERR_IO, "cannot write to a file in memory");
        close(fd);
        fd = -1;
    }
    free(text);
    return fd;
}

int channel_send_command(struct delivery *d, struct err *err)
{
    const struct strlist *command = &d->channel->command;
    if (command->count == 0) {
        d->answer->hopeless = true;
        return err_set(err, ERR_USAGE, "it has no command");
    }
    int fd = text_file(d->message, err);
    if (fd < 0)
        return -1;
    struct strlist variables = {0};
    describe(d->message, &variables);
    const char **environment = mem_array(NULL, variables.count + 1, sizeof *environment);
    for (size_t i = 0; i < variables.count; i++)
        environment[i] = variables.items[i];
    environment[variables.count] = NULL;
    char **argv = mem_array(NULL, command->count + 1, sizeof *argv);
    memcpy(argv, command->items, command->count * sizeof *argv);
    argv[command->count] = NULL;
    struct process_options options = {.argv = argv,
                                      .environment = environment,
                                      .with_stdin = true,
                                      .stdin_fd = fd,
                                      .no_terminal = true,
                                      .timeout_ms = channel_left_ms(d)};
    int rc = process_run(&options, NULL, err);
    if (rc == 0)
        channel_say(d, "the command has taken it");
    free(argv);
    free(environment);
    strlist_release(&variables);
    close(fd);
    return rc;
}
