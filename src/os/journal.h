/* systemd's journal at the other end of standard output or error. */
#pragma once
#include <stdbool.h>

/* Does the journal read this descriptor? $JOURNAL_STREAM says which file it reads: somebody may have led the descriptor
 * elsewhere since. */
bool os_is_journal(int fd);

/* What such a line begins with, for its priority (sd-daemon(3)). Without: info. */
#define OS_JOURNAL_CRITICAL "<2>"
#define OS_JOURNAL_ERROR "<3>"
#define OS_JOURNAL_WARNING "<4>"
#define OS_JOURNAL_INFO "<6>"
#define OS_JOURNAL_DEBUG "<7>"
