/*
 * SQLite's locks on a database's files, from a bystander's side: looking whether somebody holds one, and holding a
 * reader's ones, without a connection. Nothing is ever created or written.
 *
 * Sources: "File Locking And Concurrency In SQLite Version 3" and "WAL-mode File Format" (locks) at sqlite.org;
 * os_unix.c for the byte offsets. SQLite uses POSIX record locks. Ours belong to the open file (OFD locks): they meet
 * SQLite's like any other process's, and are not lost when some other part of this process opens and closes the same
 * file. (But closing a descriptor of it here would still drop the locks of a SQLite connection in this very process:
 * don't have one.)
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

/* Is some process writing into the database file itself (EXCLUSIVE)? False where locks cannot be looked at. */
bool sqlite_lock_is_exclusive(int fd);

enum sqlite_journal {
    SQLITE_JOURNAL_NONE, /* no rollback journal, or a finished one */
    SQLITE_JOURNAL_LIVE, /* a transaction is under way */
    SQLITE_JOURNAL_HOT   /* left by a writer that died: the database file is torn until somebody rolls it back */
};
/* Looks at the rollback journal of the database open at fd. A hot one is told from one just being written by looking
 * several times (up to a fifth of a second). */
int sqlite_journal_look(const char *database_path, int fd, enum sqlite_journal *out, struct err *err);

/* Takes the SHARED lock on the database: the file is not written to by users of rollback journals while we have it.
 * ERR_TIMEOUT after deadline_ns (os_monotonic_ns), ERR_UNSUPPORTED. Released by sqlite_unlock_shared or by closing fd.
 */
int sqlite_lock_shared(int fd, uint64_t deadline_ns, struct err *err);
void sqlite_unlock_shared(int fd);

/* Keeps the database file of a WAL database from being written to, until the descriptor put in *shm_fd_out is closed.
 * fd must hold the SHARED lock. 1; 0 when no other process has the database open, or its -shm cannot be opened (then
 * nothing holds off newcomers, and nothing is locked); -1 with ERR_TIMEOUT or ERR_UNSUPPORTED. */
int sqlite_lock_checkpoints(const char *database_path, uint64_t deadline_ns, int *shm_fd_out, struct err *err);
