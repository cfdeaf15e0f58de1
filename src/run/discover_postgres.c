/* PostgreSQL servers of this machine, each tried as the users that usually may. */
#include <dirent.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"
#include "run/discover_servers.h"
#include "source/postgres.h"

enum { PROBE_MS = 5000, CONTAINER_PROBE_MS = 10000, POSTGRES_PORT = 5432 };

/* Where the servers of all distributions put their sockets. */
static const char *const SOCKET_DIRS[] = {"/run/postgresql", "/var/run/postgresql", "/tmp"};

static char *own_name(void)
{
    const struct passwd *pw = getpwuid(geteuid());
    return mem_strdup(pw != NULL ? pw->pw_name : "postgres");
}

/* Sets s->access; a name that works becomes the server's user. Root's own name is hardly ever a role: there "postgres"
 * comes first, by peer authentication. */
static void try_users(struct discovered_server *s)
{
    char *own = own_name();
    const char *users[] = {geteuid() == 0 ? "postgres" : own, geteuid() == 0 ? own : "postgres"};
    struct err first = {0};
    s->access = DISCOVERED_UNCLEAR;
    for (int i = 0; i < 2 && s->access != DISCOVERED_READY; i++) {
        struct postgres_options options = {
            .socket = s->socket, .url = s->url, .user = users[i], .timeout_ms = PROBE_MS};
        struct postgres_databases databases = {0};
        struct err err = {0};
        if (postgres_list_databases(&databases, &options, &err) == 0) {
            s->access = DISCOVERED_READY;
            s->user = mem_strdup(users[i]);
        } else if (err.code == ERR_PERMISSION) {
            s->access = DISCOVERED_NEEDS_SECRET;
        }
        if (first.code == ERR_NONE)
            first = err;
        postgres_databases_release(&databases);
    }
    if (s->access != DISCOVERED_READY)
        s->why = mem_strdup(first.message);
    free(own);
}

/* One in a container that runs, with the user and database that its own environment names. One that stopped meanwhile
 * is left as it was found. */
static void try_container(struct discovered_server *s)
{
    struct postgres_options options = {
        .container = s->container, .user = s->user, .database = s->database, .timeout_ms = CONTAINER_PROBE_MS};
    struct postgres_databases databases = {0};
    struct err err = {0};
    if (postgres_list_databases(&databases, &options, &err) < 0 && err.code != ERR_NOT_FOUND) {
        s->access = err.code == ERR_PERMISSION ? DISCOVERED_NEEDS_SECRET : DISCOVERED_UNCLEAR;
        s->why = mem_strdup(err.message);
    }
    postgres_databases_release(&databases);
}

/* A directory that another name led to already ("/var/run" is "/run"). */
static bool known_socket(const struct discovery *d, const char *path)
{
    struct stat a, b;
    for (size_t i = 0; i < d->postgres.count; i++)
        if (d->postgres.items[i].socket != NULL && stat(d->postgres.items[i].socket, &a) == 0 && stat(path, &b) == 0 &&
            a.st_ino == b.st_ino && a.st_dev == b.st_dev)
            return true;
    return false;
}

/* True when there was a socket in it. */
static bool search_dir(struct discovery *d, const char *path)
{
    static const char PREFIX[] = ".s.PGSQL.";
    DIR *dir = opendir(path);
    bool any = false;
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        struct stat st;
        char *socket = os_path_join(path, e->d_name);
        if (strncmp(e->d_name, PREFIX, sizeof PREFIX - 1) == 0 && stat(socket, &st) == 0 && S_ISSOCK(st.st_mode)) {
            any = true;
            if (!known_socket(d, socket)) {
                struct discovered_server *s = discovered_server_add(&d->postgres);
                s->socket = mem_strdup(socket);
                try_users(s);
            }
        }
        free(socket);
    }
    if (dir != NULL)
        closedir(dir);
    return any;
}

void discover_postgres(struct discovery *d, const uint16_t *listening, size_t listening_count,
                       const uint16_t *published, size_t published_count)
{
    bool any = false, listens = false;
    for (size_t i = 0; i < d->postgres.count; i++)
        if (d->postgres.items[i].container != NULL && d->postgres.items[i].access == DISCOVERED_READY)
            try_container(&d->postgres.items[i]);
    for (size_t i = 0; i < sizeof SOCKET_DIRS / sizeof *SOCKET_DIRS; i++)
        any = search_dir(d, SOCKET_DIRS[i]) || any;
    for (size_t i = 0; i < listening_count; i++)
        listens = listens || listening[i] == POSTGRES_PORT;
    for (size_t i = 0; i < published_count; i++)
        listens = listens && published[i] != POSTGRES_PORT;
    if (any || !listens)
        return;
    struct discovered_server *s = discovered_server_add(&d->postgres);
    s->url = mem_strdup("postgresql://127.0.0.1:5432");
    try_users(s);
}
