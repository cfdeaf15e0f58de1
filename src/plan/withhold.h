/* No program that we start shall find a secret of the plan in its environment. */
#pragma once
#include "plan/plan.h"

/* From now on the variables that passphrases, tokens and addresses of the plan come from, and those that hold our own
 * passphrase, are not passed on (os/process.h); we find them as before. Before any thread is started. */
void plan_withhold_secrets(const struct plan *p);
