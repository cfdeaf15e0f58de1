#include "source/redis_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include "base/mem.h"

struct redis_tls {
    const struct redis_url *url;
    SSL_CTX *context;
    SSL *ssl;
};

void redis_tls_free(struct redis_tls *t)
{
    if (t == NULL)
        return;
    SSL_free(t->ssl);
    SSL_CTX_free(t->context);
    free(t);
}

/* With the oldest reason that OpenSSL has kept for this thread. */
static int say_openssl(enum err_code code, const char *what, const char *name, struct err *err)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return err_set(err, code, "%s '%s': %s", what, name, reason != NULL ? reason : "unknown reason");
}

static int load_authorities(struct redis_tls *t, struct err *err)
{
    const char *file = t->url->tls_ca_file;
    if (t->url->tls_insecure) {
        SSL_CTX_set_verify(t->context, SSL_VERIFY_NONE, NULL);
        return 0;
    }
    SSL_CTX_set_verify(t->context, SSL_VERIFY_PEER, NULL);
    if (file == NULL)
        return SSL_CTX_set_default_verify_paths(t->context) == 1
                   ? 0
                   : say_openssl(ERR_FAILED, "cannot load the system's certificates for", t->url->display, err);
    if (SSL_CTX_load_verify_file(t->context, file) != 1)
        return say_openssl(ERR_FAILED, "cannot load the certificates in", file, err);
    return 0;
}

static int load_own_certificate(struct redis_tls *t, struct err *err)
{
    if (t->url->tls_cert_file == NULL)
        return 0;
    if (SSL_CTX_use_certificate_chain_file(t->context, t->url->tls_cert_file) != 1)
        return say_openssl(ERR_FAILED, "cannot use the certificate in", t->url->tls_cert_file, err);
    if (SSL_CTX_use_PrivateKey_file(t->context, t->url->tls_key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(t->context) != 1)
        return say_openssl(ERR_FAILED, "cannot use the private key in", t->url->tls_key_file, err);
    return 0;
}

static bool is_address(const char *name)
{
    unsigned char room[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, room) == 1 || inet_pton(AF_INET6, name, room) == 1;
}

/* Whom the certificate must be for. */
static int set_name(struct redis_tls *t, struct err *err)
{
    const char *name = t->url->tls_name != NULL ? t->url->tls_name : t->url->host;
    bool good = is_address(name) ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), name) == 1
                                 : SSL_set1_host(t->ssl, name) == 1 &&
                                       SSL_ctrl(t->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                                                (char *)(uintptr_t)name) == 1;
    return good ? 0 : say_openssl(ERR_FAILED, "cannot ask for the certificate of", name, err);
}

int redis_tls_new(struct redis_tls **out, const struct redis_url *url, int fd, struct err *err)
{
    struct redis_tls *t = mem_zalloc(sizeof *t);
    *out = t; /* also on failure: the caller frees it */
    t->url = url;
    ERR_clear_error();
    t->context = SSL_CTX_new(TLS_client_method());
    if (t->context == NULL || SSL_CTX_set_min_proto_version(t->context, TLS1_2_VERSION) != 1)
        return say_openssl(ERR_FAILED, "cannot set up TLS for", url->display, err);
    /* Our own framing tells a whole answer from one that was cut off. */
    SSL_CTX_set_options(t->context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(t->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (load_authorities(t, err) != 0 || load_own_certificate(t, err) != 0)
        return -1;
    t->ssl = SSL_new(t->context);
    if (t->ssl == NULL || SSL_set_fd(t->ssl, fd) != 1)
        return say_openssl(ERR_FAILED, "cannot set up TLS for", url->display, err);
    return set_name(t, err);
}

/* What a call that returned `rc` waits for. errno must still be that of the call. */
static enum redis_tls_want judge(struct redis_tls *t, int rc, int errnum, struct err *err)
{
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return REDIS_TLS_READ;
    case SSL_ERROR_WANT_WRITE:
        return REDIS_TLS_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return REDIS_TLS_DONE;
    case SSL_ERROR_SYSCALL:
        err_errno(err, errnum != 0 ? errnum : ECONNRESET, "the connection to Redis at '%s' broke", t->url->display);
        return REDIS_TLS_FAILED;
    default:
        say_openssl(ERR_FAILED, "TLS failed with Redis at", t->url->display, err);
        return REDIS_TLS_FAILED;
    }
}

enum redis_tls_want redis_tls_handshake(struct redis_tls *t, struct err *err)
{
    ERR_clear_error();
    int rc = SSL_connect(t->ssl);
    if (rc == 1)
        return REDIS_TLS_DONE;
    enum redis_tls_want want = judge(t, rc, errno, err);
    long verdict = SSL_get_verify_result(t->ssl);
    if (want == REDIS_TLS_DONE) {
        err_set(err, ERR_FAILED, "Redis at '%s' ended the TLS handshake", t->url->display);
        want = REDIS_TLS_FAILED;
    }
    if (want == REDIS_TLS_FAILED && verdict != X509_V_OK)
        err_set(err, ERR_FAILED,
                "the certificate of Redis at '%s' is not trusted: %s; name its authority with ?cacert=FILE",
                t->url->display, X509_verify_cert_error_string(verdict));
    return want;
}

int64_t redis_tls_read(struct redis_tls *t, void *p, size_t cap, enum redis_tls_want *want, struct err *err)
{
    ERR_clear_error();
    int n = SSL_read(t->ssl, p, cap < INT_MAX ? (int)cap : INT_MAX);
    if (n > 0)
        return n;
    *want = judge(t, n, errno, err);
    return *want == REDIS_TLS_DONE ? 0 : -1;
}

int64_t redis_tls_write(struct redis_tls *t, const void *p, size_t len, enum redis_tls_want *want, struct err *err)
{
    ERR_clear_error();
    int n = SSL_write(t->ssl, p, len < INT_MAX ? (int)len : INT_MAX);
    if (n > 0)
        return n;
    *want = judge(t, n, errno, err);
    if (*want == REDIS_TLS_DONE) {
        err_set(err, ERR_IO, "Redis at '%s' closed the connection", t->url->display);
        *want = REDIS_TLS_FAILED;
    }
    return -1;
}
