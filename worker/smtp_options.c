/* The options of libcurl for one connection, but for the callbacks, which are the session's. */
#include "smtp_options.h"

#include "mem.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIBCURL_BUFFER_BYTES = 4096 };

/* smtp://host:port/helo. The EHLO name is the path (libcurl's manual, "SMTP" in
 * CURLOPT_URL). */
static enum err set_url(CURL *easy, const struct settings_plan *plan, const char *helo_name,
                        char server[DELIVER_SERVER_BYTES])
{
    const char *helo =
        plan->helo_name != NULL && plan->helo_name[0] != '\0' ? plan->helo_name : helo_name;
    if (strpbrk(plan->server, "/@?#\\%[] \t\r\n") != NULL || plan->server[0] == '\0') {
        return ERR_INVALID;
    }
    char *path = curl_easy_escape(easy, helo != NULL ? helo : "", 0);
    bool bare_v6 = strchr(plan->server, ':') != NULL;
    char *url =
        mem_format("%s://%s%s%s:%u/%s", plan->tls == SETTINGS_TLS_IMPLICIT ? "smtps" : "smtp",
                   bare_v6 ? "[" : "", plan->server, bare_v6 ? "]" : "", (unsigned)plan->port,
                   path != NULL ? path : "");
    CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)snprintf(server, DELIVER_SERVER_BYTES, "%s%s%s:%u", bare_v6 ? "[" : "", plan->server,
                   bare_v6 ? "]" : "", (unsigned)plan->port);
    free(url);
    curl_free(path);
    return code == CURLE_OK ? ERR_OK : ERR_INVALID;
}

static CURLcode set_text(CURL *easy, CURLoption option, const char *text)
{
    return curl_easy_setopt(easy, option, text != NULL && text[0] != '\0' ? text : NULL);
}

static enum err set_tls(CURL *easy, const struct settings_plan *plan)
{
    bool own_ca = plan->ca_file != NULL && plan->ca_file[0] != '\0';
    int code = CURLE_OK;
    code |= (int)curl_easy_setopt(easy, CURLOPT_USE_SSL,
                                  plan->tls == SETTINGS_TLS_STARTTLS ? (long)CURLUSESSL_ALL
                                                                     : (long)CURLUSESSL_NONE);
    code |= (int)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    code |= (int)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    code |= (int)curl_easy_setopt(
        easy, CURLOPT_CAINFO, own_ca ? plan->ca_file : "/etc/ssl/certs/ca-certificates.crt");
    code |= (int)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, plan->verify ? 1L : 0L);
    code |= (int)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, plan->verify ? 2L : 0L);
    code |= (int)set_text(easy, CURLOPT_PINNEDPUBLICKEY, plan->pinned_public_key);
    return code == CURLE_OK ? ERR_OK : ERR_INVALID;
}

static enum err set_basics(CURL *easy, const struct settings_plan *plan)
{
    int code = CURLE_OK;
    code |= (int)curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
    code |= (int)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
#else
    code |= (int)curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
                                  (long)(CURLPROTO_SMTP | CURLPROTO_SMTPS));
#endif
    code |= (int)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    code |= (int)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    code |= (int)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)LIBCURL_BUFFER_BYTES);
    code |=
        (int)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)plan->connect_timeout_ms);
    code |= (int)curl_easy_setopt(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT,
                                  (long)(plan->connect_timeout_ms / 1000 + 1));
    return code == CURLE_OK ? ERR_OK : ERR_INVALID;
}

const char *smtp_options_set(CURL *easy, const struct settings_plan *plan,
                             const char *helo_name, char server[DELIVER_SERVER_BYTES])
{
    if (set_basics(easy, plan) != ERR_OK || set_tls(easy, plan) != ERR_OK) {
        return "libcurl does not take the options of a connection";
    }
    return set_url(easy, plan, helo_name, server) == ERR_OK
               ? NULL
               : "smtp_server: no host name or address";
}
