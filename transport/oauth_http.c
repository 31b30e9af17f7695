/* The POST to a token or device endpoint: form encoding (RFC 6749 B), and the options of libcurl.
 *
 * The certificate is always checked, a redirect is an answer of the wrong kind, the answer has a maximum, and the
 * proxy of the environment counts (unlike for mail: offices let HTTPS out by proxy only). */
#include "oauth_http.h"

#include "oauth_reply.h"

#include <string.h>

#include <openssl/crypto.h>

enum { FORM_MAX_BYTES = 65536 };

void oauth_http_init(struct oauth_http *http)
{
    *http = (struct oauth_http){.easy = NULL};
    buf_init(&http->form, FORM_MAX_BYTES);
    buf_init(&http->answer, OAUTH_REPLY_MAX_BYTES);
    /* At once, so that no copy of a secret is left behind by growing. */
    (void)buf_reserve(&http->form, FORM_MAX_BYTES);
}

static void add_encoded(struct buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (const char *c = text; *c != '\0'; c++) {
        if (strchr(plain, *c) != NULL) {
            buf_add_char(out, *c);
        } else {
            buf_add_format(out, "%%%02X", (unsigned)(unsigned char)*c);
        }
    }
}

void oauth_http_add(struct oauth_http *http, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0') {
        return;
    }
    buf_add_text(&http->form, http->form.len > 0 ? "&" : "");
    buf_add_text(&http->form, name);
    buf_add_char(&http->form, '=');
    add_encoded(&http->form, value);
}

/* CURLOPT_WRITEFUNCTION. Too much ends the transfer. */
static size_t on_answer(char *data, size_t size, size_t count, void *arg)
{
    struct oauth_http *http = arg;
    buf_add(&http->answer, data, size * count);
    return buf_status(&http->answer) == ERR_OK ? size * count : 0;
}

static int set_transport(CURL *easy, const char *ca_file)
{
    int code = CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075500
    code |= (int)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
#else
    code |= (int)curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS);
#endif
    code |= (int)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    code |= (int)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    code |= (int)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)OAUTH_HTTP_TIMEOUT_MS);
    code |= (int)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    code |= (int)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    code |= (int)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    if (ca_file[0] != '\0') {
        code |= (int)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
        code |= (int)curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
    }
    return code;
}

enum err oauth_http_open(struct oauth_http *http, const char *url, const char *ca_file,
                         struct err_text *why)
{
    if (buf_status(&http->form) != ERR_OK) {
        return err_set(why, ERR_INVALID, "the request to the token endpoint is too long");
    }
    http->easy = curl_easy_init();
    http->headers = curl_slist_append(NULL, "Accept: application/json");
    if (http->easy == NULL || http->headers == NULL) {
        return err_set(why, ERR_INVALID, "libcurl: no memory");
    }
    CURL *easy = http->easy;
    int code = set_transport(easy, ca_file);
    code |= (int)curl_easy_setopt(easy, CURLOPT_URL, url);
    code |= (int)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, http->headers);
    code |= (int)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)http->form.len);
    code |= (int)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, buf_text(&http->form));
    code |= (int)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
    code |= (int)curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
    code |= (int)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->error);
    return code == CURLE_OK
               ? ERR_OK
               : err_set(why, ERR_INVALID, "libcurl does not take the token endpoint");
}

unsigned oauth_http_status(const struct oauth_http *http)
{
    long status = 0;
    (void)curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
    return status > 0 ? (unsigned)status : 0;
}

unsigned oauth_http_retry_after_s(const struct oauth_http *http)
{
    curl_off_t seconds = 0;
    (void)curl_easy_getinfo(http->easy, CURLINFO_RETRY_AFTER, &seconds);
    return seconds > 0 && seconds < OAUTH_SECONDS_MAX ? (unsigned)seconds : 0;
}

static void wipe(struct buf *b)
{
    if (b->data != NULL) {
        OPENSSL_cleanse(b->data, b->cap);
    }
    buf_fini(b);
}

void oauth_http_fini(struct oauth_http *http)
{
    if (http->easy != NULL) {
        curl_easy_cleanup(http->easy);
    }
    curl_slist_free_all(http->headers);
    wipe(&http->form);
    wipe(&http->answer);
    *http = (struct oauth_http){.easy = NULL};
}
