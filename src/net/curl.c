/*
 * Invariants: `state` is written once, by load_once(). A thread's handle is only ever used by that thread; between two
 * transfers it has been reset, so that no callback points to memory that is gone.
 */
#include "net/curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "os/interrupt.h"

/* The one with GnuTLS has the same interface. */
static const char *const USUAL_NAMES[] = {"libcurl.so.4", "libcurl-gnutls.so.4", NULL};
static const char *const *names = USUAL_NAMES;

static struct {
    pthread_once_t once;
    pthread_key_t key; /* of each thread's handle */
    struct curl_api api;
    char problem[256];
} state = {.once = PTHREAD_ONCE_INIT};

void curl_load_from(const char *const *list)
{
    names = list;
}

static void free_handle(void *handle)
{
    state.api.easy_cleanup(handle);
}

/* A function pointer cannot be cast from void *, in ISO C; POSIX lets its bytes be copied. */
static void resolve(void *library, const char *name, void *function_out)
{
    void *address = dlsym(library, name);
    if (address == NULL && state.problem[0] == '\0')
        snprintf(state.problem, sizeof state.problem, "libcurl has no %s", name);
    memcpy(function_out, &address, sizeof address);
}

static void resolve_all(void *library)
{
    struct curl_api *a = &state.api;
    resolve(library, "curl_global_init", &a->global_init);
    resolve(library, "curl_easy_init", &a->easy_init);
    resolve(library, "curl_easy_cleanup", &a->easy_cleanup);
    resolve(library, "curl_easy_reset", &a->easy_reset);
    resolve(library, "curl_easy_setopt", &a->easy_setopt);
    resolve(library, "curl_easy_perform", &a->easy_perform);
    resolve(library, "curl_easy_getinfo", &a->easy_getinfo);
    resolve(library, "curl_easy_strerror", &a->easy_strerror);
    resolve(library, "curl_slist_append", &a->slist_append);
    resolve(library, "curl_slist_free_all", &a->slist_free_all);
    resolve(library, "curl_getdate", &a->getdate);
}

/* The library stays loaded: threads may have handles until the process ends. */
static void load_once(void)
{
    void *library = NULL;
    for (size_t i = 0; library == NULL && names[i] != NULL; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        const char *why = dlerror();
        snprintf(state.problem, sizeof state.problem, "%s", why != NULL ? why : "it is not there");
        return;
    }
    resolve_all(library);
    if (state.problem[0] == '\0' && state.api.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        snprintf(state.problem, sizeof state.problem, "libcurl cannot be initialized");
    if (state.problem[0] == '\0' && pthread_key_create(&state.key, free_handle) != 0)
        snprintf(state.problem, sizeof state.problem, "no thread-specific data is left");
}

const struct curl_api *curl_load(struct err *err)
{
    pthread_once(&state.once, load_once);
    if (state.problem[0] == '\0')
        return &state.api;
    err_set(err, ERR_UNSUPPORTED, "sending needs libcurl, which cannot be loaded: %s", state.problem);
    err_advise(err, "install libcurl (Debian and Ubuntu: the package libcurl4)");
    return NULL;
}

static CURL *thread_handle(void)
{
    CURL *handle = pthread_getspecific(state.key);
    if (handle != NULL)
        return handle;
    handle = state.api.easy_init();
    if (handle != NULL && pthread_setspecific(state.key, handle) != 0) {
        state.api.easy_cleanup(handle);
        handle = NULL;
    }
    return handle;
}

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)ctx;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int stop_when_interrupted(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct curl_transfer *t = ctx;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return os_interrupted() && !t->interrupted;
}

int curl_begin(struct curl_transfer *t, const char *ca_file, uint64_t timeout_ms, struct err *err)
{
    *t = (struct curl_transfer){.api = curl_load(err), .interrupted = os_interrupted()};
    if (t->api == NULL)
        return -1;
    t->handle = thread_handle();
    if (t->handle == NULL)
        return err_set(err, ERR_FAILED, "libcurl gives no handle");
    curl_set(t, CURLOPT_ERRORBUFFER, t->details);
    curl_set(t, CURLOPT_NOSIGNAL, 1L);
    curl_set(t, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_set(t, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
    curl_set(t, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_set(t, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_set(t, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_set(t, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_set(t, CURLOPT_NOPROGRESS, 0L);
    curl_set(t, CURLOPT_XFERINFOFUNCTION, stop_when_interrupted);
    curl_set(t, CURLOPT_XFERINFODATA, t);
    curl_set(t, CURLOPT_MAXCONNECTS, 4L);
    if (ca_file != NULL) {
        curl_set(t, CURLOPT_CAINFO, ca_file);
        curl_set(t, CURLOPT_CAPATH, NULL);
    }
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Else a transfer that timed out waits for its name server all the same. An older library does not know it. */
    (void)t->api->easy_setopt(t->handle, CURLOPT_QUICK_EXIT, 1L);
#endif
    return 0;
}

CURLcode curl_perform(struct curl_transfer *t)
{
    return t->set != CURLE_OK ? t->set : t->api->easy_perform(t->handle);
}

/* libcurl's own words are kept where they say more than the code does and cannot hold more of a URL than its host. */
static bool details_are_safe(CURLcode code)
{
    static const CURLcode SAFE[] = {
        CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT, CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION,
        CURLE_SSL_CACERT_BADFILE,   CURLE_GOT_NOTHING,     CURLE_RECV_ERROR,        CURLE_SEND_ERROR};
    for (size_t i = 0; i < sizeof SAFE / sizeof *SAFE; i++)
        if (code == SAFE[i])
            return true;
    return false;
}

int curl_failure(const struct curl_transfer *t, CURLcode code, const char *shown, uint64_t timeout_ms, struct err *err)
{
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return err_set(err, ERR_INTERRUPTED, "interrupted while talking to '%s'", shown);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return err_set(err, ERR_TIMEOUT, "cannot reach '%s': no answer within %.3g s", shown,
                       (double)timeout_ms / 1000);
    if (code == CURLE_SSL_CACERT_BADFILE)
        return err_set(err, ERR_USAGE, "cannot reach '%s': the file with its certificate authority cannot be read: %s",
                       shown, t->details);
    /* What speaks no HTTP, or sends headers without end: libcurl's codes for these say something else. */
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_OUT_OF_MEMORY)
        return err_set(err, ERR_IO, "cannot talk to '%s': what it answers is no proper answer: %s", shown,
                       t->details[0] != '\0' ? t->details : t->api->easy_strerror(code));
    bool details = details_are_safe(code) && t->details[0] != '\0';
    return err_set(err, ERR_IO, "cannot reach '%s': %s", shown, details ? t->details : t->api->easy_strerror(code));
}

void curl_end(struct curl_transfer *t)
{
    if (t->handle != NULL)
        t->api->easy_reset(t->handle);
    t->handle = NULL;
}

void curl_wipe_list(const struct curl_api *api, struct curl_slist *list)
{
    for (struct curl_slist *item = list; item != NULL; item = item->next)
        if (item->data != NULL)
            mem_wipe(item->data, strlen(item->data));
    if (list != NULL)
        api->slist_free_all(list);
}
