/* A command in one string, cut into words as a shell would, but for expansions: there are none. */
#pragma once
#include "base/err.h"
#include "base/strlist.h"

/* 'single' and "double" quotes group; a backslash takes the next character as it is (within double quotes only before
 * \ and "). ERR_USAGE when a quote is not closed, or when there is no word. */
int words_split(const char *text, struct strlist *out, struct err *err);
