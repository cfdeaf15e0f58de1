/*
 * libcurl, loaded with dlopen() when something is first sent over a network. Linking it would bring 30 further
 * libraries (Kerberos, LDAP, SSH …) and 10 ms to every start of a program that mostly never talks to a network; and a
 * machine without it can still make backups. For net/ only.
 *
 * Each thread has one handle, which keeps its connections between requests and is freed when the thread ends. libcurl
 * forgets neither URLs nor passwords in a way that we could wipe; what we hand to it we wipe ourselves.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include "base/err.h"

/* Named as libcurl names them, without "curl_". */
struct curl_api {
    __typeof__(&curl_global_init) global_init;
    __typeof__(&curl_easy_init) easy_init;
    __typeof__(&curl_easy_cleanup) easy_cleanup;
    __typeof__(&curl_easy_reset) easy_reset;
    __typeof__(&curl_easy_setopt) easy_setopt;
    __typeof__(&curl_easy_perform) easy_perform;
    __typeof__(&curl_easy_getinfo) easy_getinfo;
    __typeof__(&curl_easy_strerror) easy_strerror;
    __typeof__(&curl_slist_append) slist_append;
    __typeof__(&curl_slist_free_all) slist_free_all;
    __typeof__(&curl_getdate) getdate;
};

/* Loaded once; then the same for all threads. NULL with ERR_UNSUPPORTED, which names the package. */
const struct curl_api *curl_load(struct err *err);
/* Test hook, before the first curl_load(): where to look instead. NULL-terminated. */
void curl_load_from(const char *const *list);

/* One transfer with this thread's handle. */
struct curl_transfer {
    const struct curl_api *api;
    CURL *handle;
    char details[CURL_ERROR_SIZE];
    CURLcode set;     /* the first option that was refused */
    bool interrupted; /* we were when it began: then it goes on, within its time */
};
/* Begins it: what every transfer needs is set (the time limit, certificates, TLS 1.2, no signals, sockets that no child
 * inherits, an end when a signal interrupts us). It stays where it is until curl_end(). */
int curl_begin(struct curl_transfer *t, const char *ca_file, uint64_t timeout_ms, struct err *err);
/* Sets an option; the first that fails makes curl_perform() fail. */
#define curl_set(t, option, value)                                                  \
    do {                                                                            \
        CURLcode curl_set_code = (t)->api->easy_setopt((t)->handle, option, value); \
        if ((t)->set == CURLE_OK)                                                   \
            (t)->set = curl_set_code;                                               \
    } while (0)
CURLcode curl_perform(struct curl_transfer *t);
/* Why it failed, without anything of the URL but its host: ERR_TIMEOUT, ERR_INTERRUPTED, ERR_IO …: "cannot reach
 * 'shown': …". Returns -1. */
int curl_failure(const struct curl_transfer *t, CURLcode code, const char *shown, uint64_t timeout_ms, struct err *err);
/* Nothing of it stays in the handle but open connections. */
void curl_end(struct curl_transfer *t);
/* Overwrites its strings and frees it. NULL is nothing. */
void curl_wipe_list(const struct curl_api *api, struct curl_slist *list);
