/* What both ends of the daemon's socket share. */
#pragma once
#include <sys/un.h>
#include "daemon/control.h"

#define CONTROL_SOCKET_NAME "daemon.sock"
enum { CONTROL_REQUEST_MAX_BYTES = 64 << 10 };

/* The socket's address by way of a descriptor of its directory, which is returned and has to stay open until bind() or
 * connect() was called; -1 with errno. */
int control_address(const char *state_dir, struct sockaddr_un *out);
