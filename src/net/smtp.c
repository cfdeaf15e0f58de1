#include "net/smtp.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/curl.h"

enum { MAIL_MAX_BYTES = 1 << 20 };

/* --- what is sent: RFC 5321 wants CR LF; libcurl doubles dots itself --- */

struct upload {
    struct buf text;
    size_t at;
};

static void to_crlf(const char *text, struct buf *out)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\n' && (p == text || p[-1] != '\r'))
            buf_append_byte(out, '\r');
        buf_append_byte(out, (unsigned char)*p);
    }
}

static size_t give(char *out, size_t size, size_t count, void *ctx)
{
    struct upload *u = ctx;
    size_t left = u->text.len - u->at, n = size * count < left ? size * count : left;
    if (n > 0)
        memcpy(out, u->text.data + u->at, n);
    u->at += n;
    return n;
}

/* --- what the server says --- */

static size_t take_reply(char *data, size_t size, size_t count, void *ctx)
{
    struct smtp_answer *answer = ctx;
    size_t len = size * count, n = 0;
    if (len >= 4 && (memcmp(data, "220", 3) == 0 || memcmp(data, "235", 3) == 0))
        answer->missed = 0; /* what went before was about the connection, not about somebody's mailbox */
    if (len < 4 || (data[0] != '4' && data[0] != '5') || !isdigit((unsigned char)data[1]))
        return len;
    for (size_t i = 0; i < len && n + 1 < sizeof answer->said; i++)
        if ((unsigned char)data[i] >= ' ' && data[i] != 0x7f)
            answer->said[n++] = data[i];
    answer->said[n] = '\0';
    answer->missed += data[3] == ' ';
    return len;
}

/* --- the mail --- */

static bool is_address(const char *address)
{
    return address[0] != '\0' && address[strcspn(address, " <>\r\n\t\"")] == '\0' && strchr(address, '@') != NULL;
}

static int check(const struct smtp_mail *m, struct err *err)
{
    if (strncasecmp(m->server, "smtp://", 7) != 0 && strncasecmp(m->server, "smtps://", 8) != 0)
        return err_set(err, ERR_USAGE, "the mail server's address does not begin with smtp:// or smtps://");
    if (!is_address(m->from))
        return err_set(err, ERR_USAGE, "'%s' is no mail address", m->from);
    if (m->to->count == 0)
        return err_set(err, ERR_USAGE, "the mail is for nobody");
    for (size_t i = 0; i < m->to->count; i++)
        if (!is_address(m->to->items[i]))
            return err_set(err, ERR_USAGE, "'%s' is no mail address", m->to->items[i]);
    return 0;
}

static struct curl_slist *recipients(const struct curl_api *api, const struct strlist *to)
{
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < to->count; i++) {
        char *address = mem_printf("<%s>", to->items[i]);
        struct curl_slist *longer = api->slist_append(list, address);
        list = longer != NULL ? longer : list;
        free(address);
    }
    return list;
}

static void set_mail(struct curl_transfer *t, const struct smtp_mail *m, const char *from, struct curl_slist *to,
                     struct upload *upload, struct smtp_answer *answer)
{
    static const long TLS[] = {[SMTP_TLS_REQUIRED] = CURLUSESSL_ALL,
                               [SMTP_TLS_IF_OFFERED] = CURLUSESSL_TRY,
                               [SMTP_TLS_NONE] = CURLUSESSL_NONE};
    curl_set(t, CURLOPT_URL, m->server);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_set(t, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
#else
    curl_set(t, CURLOPT_PROTOCOLS, (long)(CURLPROTO_SMTP | CURLPROTO_SMTPS));
#endif
    curl_set(t, CURLOPT_USE_SSL, TLS[m->tls]);
    if (m->user != NULL) {
        curl_set(t, CURLOPT_USERNAME, m->user);
        curl_set(t, CURLOPT_PASSWORD, m->password != NULL ? m->password : "");
    }
    curl_set(t, CURLOPT_MAIL_FROM, from);
    curl_set(t, CURLOPT_MAIL_RCPT, to);
    /* An alert that reaches one of two is better than one that reaches nobody. */
    (void)t->api->easy_setopt(t->handle, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L);
    curl_set(t, CURLOPT_UPLOAD, 1L);
    curl_set(t, CURLOPT_READFUNCTION, give);
    curl_set(t, CURLOPT_READDATA, upload);
    curl_set(t, CURLOPT_INFILESIZE_LARGE, (curl_off_t)upload->text.len);
    curl_set(t, CURLOPT_HEADERFUNCTION, take_reply);
    curl_set(t, CURLOPT_HEADERDATA, answer);
    /* A connection that stays open while nobody writes would only be closed by the server, with a complaint in its log.
     */
    curl_set(t, CURLOPT_FORBID_REUSE, 1L);
}

static int refused(const struct curl_transfer *t, CURLcode code, const struct smtp_mail *m, struct smtp_answer *answer,
                   struct err *err)
{
    /* 4xx is "later" (RFC 5321, 4.2.1), even where the login failed. */
    answer->hopeless = answer->said[0] == '5';
    if (code == CURLE_USE_SSL_FAILED)
        return err_set(err, ERR_PERMISSION,
                       "the mail server '%s' offers no encryption, and nothing was sent to it: use smtps://, or "
                       "'tls: none' where the way to it is safe",
                       m->shown);
    if (code == CURLE_LOGIN_DENIED && answer->said[0] == '\0') {
        answer->hopeless = true;
        return err_set(err, ERR_PERMISSION, "the mail server '%s' knows no way to log in that we know", m->shown);
    }
    if (answer->said[0] != '\0')
        return err_set(err, code == CURLE_LOGIN_DENIED ? ERR_PERMISSION : ERR_FAILED,
                       "the mail server '%s' refused%s: %s", m->shown, code == CURLE_LOGIN_DENIED ? " the login" : "",
                       answer->said);
    return curl_failure(t, code, m->shown, m->timeout_ms, err);
}

int smtp_send(const struct smtp_mail *m, struct smtp_answer *answer, struct err *err)
{
    struct curl_transfer t;
    *answer = (struct smtp_answer){0};
    if (check(m, err) != 0 || curl_begin(&t, m->ca_file, m->timeout_ms, err) != 0)
        return -1;
    struct upload upload = {0};
    buf_init(&upload.text, MAIL_MAX_BYTES);
    to_crlf(m->text, &upload.text);
    char *from = mem_printf("<%s>", m->from);
    struct curl_slist *to = recipients(t.api, m->to);
    set_mail(&t, m, from, to, &upload, answer);
    CURLcode code = curl_perform(&t);
    int rc = code == CURLE_OK ? 0 : refused(&t, code, m, answer, err);
    curl_end(&t);
    curl_wipe_list(t.api, to);
    free(from);
    buf_release(&upload.text);
    return rc;
}
