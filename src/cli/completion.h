/* Shell completions, written from the tables. Each is a whole script for its shell. */
#pragma once
#include "base/buf.h"
void completion_bash(struct buf *out);
void completion_zsh(struct buf *out);
void completion_fish(struct buf *out);
