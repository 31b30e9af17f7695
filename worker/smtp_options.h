/* What libcurl is told about a connection to a mail server: where, TLS and trust, time-outs. */
#ifndef TPN_SMTP_OPTIONS_H
#define TPN_SMTP_OPTIONS_H

#include "deliver.h"

#include <curl/curl.h>

/* Set everything that the plan says, but for the login.
 *  helo_name  when the plan has none; may be null
 *  server     out: "host:port"
 * Returns null, or why it cannot be, in a sentence. */
const char *smtp_options_set(CURL *easy, const struct settings_plan *plan,
                             const char *helo_name, char server[DELIVER_SERVER_BYTES]);

#endif
