#include "source/redis_link.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "os/clock.h"

static char root[64];

/* ---- certificates, each signed by itself and valid for localhost */

static const char *const names[] = {"own.crt", "own.key", "other.crt", "other.key"};

static char *path_of(const char *name)
{
    return mem_printf("%s/%s", root, name);
}

static void make_certificate(const char *certificate, const char *key)
{
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, pair);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_EXTENSION *names_of = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");
    X509_add_ext(x, names_of, -1);
    X509_EXTENSION_free(names_of);
    assert_true(X509_sign(x, pair, EVP_sha256()) > 0);
    char *paths[] = {path_of(certificate), path_of(key)};
    FILE *f = fopen(paths[0], "w");
    assert_int_equal(PEM_write_X509(f, x), 1);
    fclose(f);
    f = fopen(paths[1], "w");
    assert_int_equal(PEM_write_PrivateKey(f, pair, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
    free(paths[0]);
    free(paths[1]);
    X509_free(x);
    EVP_PKEY_free(pair);
}

static int setup(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/clawback-link-XXXXXX");
    assert_non_null(mkdtemp(root));
    make_certificate("own.crt", "own.key");
    make_certificate("other.crt", "other.key");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = path_of(names[i]);
        unlink(path);
        free(path);
    }
    return rmdir(root);
}

/* ---- a server for one connection */

enum manner {
    ANSWERS,     /* what it reads it sends back, until the other side closes */
    CLOSES,      /* at once */
    STALLS,      /* says nothing */
    RESETS,      /* takes four bytes and breaks the connection off */
    SENDS_NOISE, /* over TLS: then something that is no TLS */
};

struct listener {
    int fd, peer;
    unsigned port;
    bool tls, wants_certificate;
    enum manner manner;
    pthread_t thread;
};

static void serve_plain(struct listener *l)
{
    char room[1000];
    ssize_t n;
    if (l->manner == STALLS)
        usleep(700000);
    if (l->manner == RESETS) {
        struct linger now = {1, 0};
        n = read(l->peer, room, 4);
        setsockopt(l->peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    while (l->manner == ANSWERS && (n = read(l->peer, room, sizeof room)) > 0)
        if (send(l->peer, room, (size_t)n, MSG_NOSIGNAL) < 0)
            break;
}

static void serve_tls(struct listener *l)
{
    char room[1000], *certificate = path_of("own.crt"), *key = path_of("own.key"), *other = path_of("other.crt");
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate_file(context, certificate, SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM);
    if (l->wants_certificate) {
        SSL_CTX_load_verify_file(context, other);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, l->peer);
    if (SSL_accept(ssl) == 1) {
        int n;
        while (l->manner == ANSWERS && (n = SSL_read(ssl, room, sizeof room)) > 0)
            SSL_write(ssl, room, n);
        if (l->manner == SENDS_NOISE)
            send(l->peer, "this is no record", 17, MSG_NOSIGNAL);
        else
            SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    free(certificate);
    free(key);
    free(other);
}

static void *listen_main(void *arg)
{
    struct listener *l = arg;
    l->peer = accept(l->fd, NULL, NULL);
    if (l->peer < 0)
        return NULL;
    if (l->tls)
        serve_tls(l);
    else
        serve_plain(l);
    close(l->peer);
    return NULL;
}

static void listen_begin(struct listener *l)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(l->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(l->fd, 1), 0);
    assert_int_equal(getsockname(l->fd, (struct sockaddr *)&a, &len), 0);
    l->port = ntohs(a.sin_port);
    pthread_create(&l->thread, NULL, listen_main, l);
}

static void listen_end(struct listener *l)
{
    shutdown(l->fd, SHUT_RDWR);
    pthread_join(l->thread, NULL);
    close(l->fd);
}

/* ---- links */

struct outcome {
    enum err_code code;
    char message[ERR_MESSAGE_BYTES];
    char got[100];
    int64_t at_end; /* what reading gave after the other side closed */
};

static struct outcome talk_over(struct redis_link *l, const char *word)
{
    struct outcome o = {0};
    struct err err = {0};
    size_t len = strlen(word), done = 0;
    int64_t n = redis_link_write(l, word, len, &err);
    while (n >= 0 && done < len && (n = redis_link_read(l, o.got + done, sizeof o.got - done, &err)) > 0)
        done += (size_t)n;
    o.at_end = n;
    o.code = n < 0 ? err.code : ERR_NONE;
    memcpy(o.message, err.message, sizeof o.message);
    return o;
}

/* Connects to a listener of this manner by "%s%u%s": scheme and host, its port, the rest. */
static struct outcome talk(struct listener l, const char *before, const char *after, uint64_t idle_ms)
{
    struct redis_url url;
    struct redis_link *link;
    struct outcome o = {0};
    struct err err = {0};
    listen_begin(&l);
    char *text = mem_printf("%s:%u%s", before, l.port, after);
    if (redis_url_parse(text, &url, &err) != 0)
        fail_msg("%s", err.message);
    if (redis_link_open(&link, &url, idle_ms, os_monotonic_ns() + UINT64_C(10000000000), &err) == 0) {
        o = talk_over(link, "PING");
        redis_link_close(link);
    } else {
        o.code = err.code;
        memcpy(o.message, err.message, sizeof o.message);
    }
    redis_url_release(&url);
    free(text);
    listen_end(&l);
    return o;
}

static void assert_fails(struct outcome o, enum err_code code, const char *word)
{
    if (o.code != code || strstr(o.message, word) == NULL)
        fail_msg("code %d, '%s' is not in '%s'", o.code, word, o.message);
}

static void assert_talks(struct outcome o)
{
    if (o.code != ERR_NONE)
        fail_msg("%s", o.message);
    assert_memory_equal(o.got, "PING", 4);
}

static char *with(const char *option, const char *name)
{
    return mem_printf("%s=%s/%s", option, root, name);
}

static void test_redis_link__over_tcp(void **state)
{
    (void)state;
    assert_talks(talk((struct listener){.manner = ANSWERS}, "redis://127.0.0.1", "", 5000));
    assert_talks(talk((struct listener){.manner = ANSWERS}, "redis://localhost", "", 5000));
    struct outcome o = talk((struct listener){.manner = CLOSES}, "redis://127.0.0.1", "", 5000);
    assert_true(o.at_end <= 0);
    assert_fails(talk((struct listener){.manner = STALLS}, "redis://127.0.0.1", "", 100), ERR_TIMEOUT,
                 "did not answer");
    assert_fails(talk((struct listener){.manner = RESETS}, "redis://127.0.0.1", "", 5000), ERR_IO, "broke");
}

static void test_redis_link__an_unknown_host_is_told(void **state)
{
    (void)state;
    struct redis_url url;
    struct redis_link *link;
    struct err err = {0};
    assert_int_equal(redis_url_parse("redis://nowhere.invalid", &url, NULL), 0);
    assert_int_equal(redis_link_open(&link, &url, 1000, UINT64_MAX, &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
    assert_non_null(strstr(err.message, "nowhere.invalid:6379"));
    redis_url_release(&url);
}

static void test_redis_link__what_is_not_taken_is_given_up(void **state)
{
    (void)state;
    struct listener l = {.manner = STALLS};
    struct redis_url url;
    struct redis_link *link;
    struct err err = {0};
    size_t len = 64 << 20;
    char *much = mem_zalloc(len);
    listen_begin(&l);
    char *text = mem_printf("redis://127.0.0.1:%u", l.port);
    assert_int_equal(redis_url_parse(text, &url, NULL), 0);
    assert_int_equal(redis_link_open(&link, &url, 100, UINT64_MAX, &err), 0);
    assert_int_equal(redis_link_write(link, much, len, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    redis_link_close(link);
    redis_url_release(&url);
    free(text);
    free(much);
    listen_end(&l);
}

static void test_redis_link__over_tls_the_certificate_is_verified(void **state)
{
    (void)state;
    const struct listener server = {.tls = true, .manner = ANSWERS};
    char *own = with("?cacert", "own.crt"), *other = with("?cacert", "other.crt"),
         *renamed = with("?sni=localhost&cacert", "own.crt"), *misnamed = with("?sni=example.org&cacert", "own.crt");
    assert_talks(talk(server, "rediss://localhost", own, 5000));
    assert_talks(talk(server, "rediss://127.0.0.1", renamed, 5000));
    assert_talks(talk(server, "rediss://127.0.0.1", "?insecure=true", 5000));
    assert_fails(talk(server, "rediss://localhost", "", 5000), ERR_FAILED, "not trusted");
    assert_fails(talk(server, "rediss://localhost", other, 5000), ERR_FAILED, "not trusted");
    assert_fails(talk(server, "rediss://127.0.0.1", own, 5000), ERR_FAILED, "mismatch");
    assert_fails(talk(server, "rediss://localhost", misnamed, 5000), ERR_FAILED, "mismatch");
    free(own);
    free(other);
    free(renamed);
    free(misnamed);
}

static void test_redis_link__over_tls_a_server_may_want_ours(void **state)
{
    (void)state;
    const struct listener server = {.tls = true, .manner = ANSWERS, .wants_certificate = true};
    char *pair = mem_printf("?insecure=1&cert=%s/other.crt&key=%s/other.key", root, root);
    assert_talks(talk(server, "rediss://localhost", pair, 5000));
    struct outcome o = talk(server, "rediss://localhost", "?insecure=1", 5000);
    assert_true(o.code != ERR_NONE || o.at_end == 0);
    free(pair);
}

static void test_redis_link__files_of_certificates_must_be_usable(void **state)
{
    (void)state;
    const struct listener server = {.tls = true, .manner = CLOSES};
    char *crossed = mem_printf("?cert=%s/own.crt&key=%s/other.key", root, root);
    char *swapped = mem_printf("?cert=%s/own.key&key=%s/own.crt", root, root);
    assert_fails(talk(server, "rediss://localhost", "?cacert=/nonexistent", 5000), ERR_FAILED, "/nonexistent");
    assert_fails(talk(server, "rediss://localhost", crossed, 5000), ERR_FAILED, "private key");
    assert_fails(talk(server, "rediss://localhost", swapped, 5000), ERR_FAILED, "certificate");
    free(crossed);
    free(swapped);
}

static void test_redis_link__where_no_tls_is_spoken_it_says_so(void **state)
{
    (void)state;
    assert_fails(talk((struct listener){.manner = STALLS}, "rediss://localhost", "?insecure=1", 100), ERR_TIMEOUT,
                 "does that port speak it?");
    assert_fails(talk((struct listener){.manner = ANSWERS}, "rediss://localhost", "?insecure=1", 5000), ERR_FAILED,
                 "TLS");
    struct outcome o = talk((struct listener){.manner = CLOSES}, "rediss://localhost", "?insecure=1", 5000);
    assert_true(o.code == ERR_FAILED || o.code == ERR_IO);
}

static void test_redis_link__over_tls_ends_and_breaks_are_seen(void **state)
{
    (void)state;
    struct outcome o =
        talk((struct listener){.tls = true, .manner = CLOSES}, "rediss://localhost", "?insecure=1", 5000);
    assert_true(o.code == ERR_IO || o.at_end == 0);
    o = talk((struct listener){.tls = true, .manner = SENDS_NOISE}, "rediss://localhost", "?insecure=1", 5000);
    assert_true(o.code == ERR_FAILED || o.code == ERR_IO);
}

static void test_redis_link__the_time_for_all_of_it_is_kept(void **state)
{
    (void)state;
    struct listener l = {.manner = ANSWERS};
    struct redis_url url;
    struct redis_link *link;
    struct err err = {0};
    char byte = 'x';
    listen_begin(&l);
    char *text = mem_printf("redis://127.0.0.1:%u", l.port);
    assert_int_equal(redis_url_parse(text, &url, NULL), 0);
    assert_int_equal(redis_link_open(&link, &url, 5000, os_monotonic_ns() + 200 * UINT64_C(1000000), &err), 0);
    int64_t n = 1;
    while (n > 0) {
        assert_int_equal(redis_link_write(link, &byte, 1, &err), 0);
        n = redis_link_read(link, &byte, 1, &err); /* there is always something */
    }
    assert_int_equal(n, -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    redis_link_close(link);
    redis_url_release(&url);
    free(text);
    listen_end(&l);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_link__over_tcp),
        cmocka_unit_test(test_redis_link__an_unknown_host_is_told),
        cmocka_unit_test(test_redis_link__what_is_not_taken_is_given_up),
        cmocka_unit_test(test_redis_link__over_tls_the_certificate_is_verified),
        cmocka_unit_test(test_redis_link__over_tls_a_server_may_want_ours),
        cmocka_unit_test(test_redis_link__files_of_certificates_must_be_usable),
        cmocka_unit_test(test_redis_link__where_no_tls_is_spoken_it_says_so),
        cmocka_unit_test(test_redis_link__over_tls_ends_and_breaks_are_seen),
        cmocka_unit_test(test_redis_link__the_time_for_all_of_it_is_kept),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
