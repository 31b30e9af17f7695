/* One curl_multi of a worker, driven by its loop: connections are made here without
 * blocking, any number at a time.
 *
 * Only connecting goes through it (CURLOPT_CONNECT_ONLY); what is said on a connection after
 * that is smtp_session.h. */
#ifndef TPN_SMTP_MULTI_H
#define TPN_SMTP_MULTI_H

#include "err.h"
#include "loop.h"

#include <curl/curl.h>

struct smtp_multi;

/* The easy handle is connected, or failed for good. May remove handles and add new ones. */
typedef void smtp_multi_fn(void *arg, CURLcode code);

enum err smtp_multi_new(struct loop *loop, struct smtp_multi **out,
                        struct err_text *why) NODISCARD;
/* Accepts null. All handles must have been removed. */
void smtp_multi_free(struct smtp_multi **multi);

/* Begin to connect; fn(arg) is called once, never from inside this call. CURLOPT_PRIVATE is
 * ours. The handle must stay until smtp_multi_remove: leaving the multi closes its socket. */
enum err smtp_multi_add(struct smtp_multi *multi, CURL *easy, smtp_multi_fn *fn,
                        void *arg) NODISCARD;

/* Take the handle out and clean it up, which closes the socket; no call of fn after this. */
void smtp_multi_remove(struct smtp_multi *multi, CURL **easy);

#endif
