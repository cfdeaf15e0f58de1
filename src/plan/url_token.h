/* Addresses of services that let in whoever knows them: webhooks, ping URLs, bots. Pure functions, and guesses: what is
 * long, and of letters and digits mixed, is taken for a token, and so is the value of a parameter that is called so. */
#pragma once
#include <stdbool.h>

bool url_has_token(const char *url);
/* The URL with "***" for its passwords and for what looks like a token. The caller frees it. */
char *url_without_tokens(const char *url);
