/* What PostgreSQL's tools write to standard error, made into one line that says what to do. Pure function. */
#pragma once
#include "base/err.h"

/* `words`: the end of what the tool wrote. `err` is what is known already ("command 'pg_dump' exited with status 1");
 * it keeps its code where that is not ERR_FAILED. Else the line that tells most becomes the message, and the code is:
 *   ERR_NOT_FOUND    nobody listens there
 *   ERR_PERMISSION   we are not let in, or may not read something
 *   ERR_UNSUPPORTED  the tool is older than the server
 *   ERR_TIMEOUT      a lock or a statement took too long
 *   ERR_FAILED       else */
void pg_words_explain(const char *words, struct err *err);
