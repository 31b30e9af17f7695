/* The form that asks a token endpoint for an access token, by the grant of the profile. */
#ifndef TPN_OAUTH_REQUEST_H
#define TPN_OAUTH_REQUEST_H

#include "oauth_http.h"
#include "settings.h"

#include <stdint.h>

/* Fill an empty form; secrets are fetched here and lie in it alone.
 *  refresh_token  in place of the profile's, when a newer one is known; else null
 *  now_s          since 1970, for the assertion of a service account
 * Returns ERR_OK; as secret_open and oauth_jwt_sign when a secret is missing or of the wrong kind. */
enum err oauth_request_fill(const struct settings_plan *plan, const char *refresh_token,
                            int64_t now_s, struct oauth_http *http,
                            struct err_text *why) NODISCARD;

#endif
