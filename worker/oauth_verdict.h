/* What it means that a token endpoint gave no token: who has to act. One table. */
#ifndef TPN_OAUTH_VERDICT_H
#define TPN_OAUTH_VERDICT_H

#include <curl/curl.h>

/* How the request to the token endpoint ended. */
struct oauth_ending {
    CURLcode curl;
    unsigned status;   /* of HTTP, 0 = no answer */
    const char *error; /* "invalid_grant", or "" when the answer was no OAuth error */
};

/* PB_CLASS(…): LOGIN stops the profile, CONFIGURATION holds it, TRANSIENT is tried again.
 * Source: RFC 6749 5.2, RFC 8628 3.5, RFC 9110 15. */
int oauth_verdict(const struct oauth_ending *ending);

#endif
