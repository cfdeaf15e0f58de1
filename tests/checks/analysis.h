/* Read before every file that clang-tidy looks at: says what the contracts of base/err.h say, since it sees no function
 * of another file. Without it every `return err_set(…)` might be a success, behind which nothing has been set. */
#pragma once
#include "base/err.h"

#define err_set(...) (err_set(__VA_ARGS__), -1)
#define err_errno(...) (err_errno(__VA_ARGS__), -1)
#define err_wrap(...) (err_wrap(__VA_ARGS__), -1)
