/* One POST of a form to an OAuth 2 server, over HTTPS and nothing else.
 *
 * Makes the easy handle; who uses it drives it: a worker in its curl_multi, a command with curl_easy_perform. */
#ifndef TPN_OAUTH_HTTP_H
#define TPN_OAUTH_HTTP_H

#include "buf.h"
#include "err.h"

#include <curl/curl.h>

enum { OAUTH_HTTP_TIMEOUT_MS = 30000 };

/* Zeroed = nothing there. Must stay where it is from open to close. */
struct oauth_http {
    CURL *easy;
    struct curl_slist *headers;
    struct buf form;
    struct buf answer;
    char error[CURL_ERROR_SIZE];
};

/* Begin an empty form. */
void oauth_http_init(struct oauth_http *http);

/* Append name=value to the form, percent-encoded; an empty value is left out. */
void oauth_http_add(struct oauth_http *http, const char *name, const char *value);

/* Make the handle for the form.
 *  url      https://…; redirects are not followed
 *  ca_file  authorities to trust instead of the system's; "" = the system's
 * Returns ERR_OK; ERR_INVALID: libcurl does not take it, or the form is too long. */
enum err oauth_http_open(struct oauth_http *http, const char *url, const char *ca_file,
                         struct err_text *why) NODISCARD;

/* Status of the answer, 0 = none; Retry-After in seconds, 0 = none. */
unsigned oauth_http_status(const struct oauth_http *http);
unsigned oauth_http_retry_after_s(const struct oauth_http *http);

/* Wipe form and answer, free everything. The easy handle as well unless the caller took it (null then).
 * Accepts a zeroed one. */
void oauth_http_fini(struct oauth_http *http);

#endif
