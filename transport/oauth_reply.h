/* What an OAuth 2 server answers: JSON (RFC 6749 5, RFC 8628 3.2), checked before anything of it is used.
 *
 * One reading for all: a token, a device code, or an error. A text of a server may stand in a log only after
 * it was made one line of printable characters here. */
#ifndef TPN_OAUTH_REPLY_H
#define TPN_OAUTH_REPLY_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

enum {
    OAUTH_REPLY_MAX_BYTES = 65536,
    OAUTH_TOKEN_MAX_BYTES = 16384, /* Microsoft's reach 3 KB */
    OAUTH_ERROR_BYTES = 64,
    OAUTH_WORDS_BYTES = 400,
    OAUTH_SECONDS_MAX = 366 * 86400
};

/* What stood in the answer; null, "" or 0 = did not. Texts are the reply's. */
struct oauth_reply {
    char *access_token;  /* 0x21 to 0x7e only, so that it can stand in a SASL line */
    char *refresh_token; /* the same */
    uint32_t expires_in_s;
    uint32_t
        refresh_expires_in_s; /* refresh_token_expires_in, refresh_expires_in: no RFC, but Microsoft, Google, Keycloak */
    char *device_code;
    char *user_code;
    char *verification_uri;
    uint32_t interval_s;
    char error[OAUTH_ERROR_BYTES]; /* "invalid_grant" */
    char words[OAUTH_WORDS_BYTES]; /* error_description */
};

/* Read an answer.
 * Returns ERR_OK when it is a JSON object with an access_token of token_type bearer, a device_code, or an error;
 * ERR_PROTO with the rule in why: no JSON, a key twice, a field of the wrong type or with characters that no token
 * has, longer than its maximum, or none of the three. */
enum err oauth_reply_read(const char *json, size_t len, struct oauth_reply *out,
                          struct err_text *why) NODISCARD;

/* Wipe the tokens and free. Accepts a zeroed one. */
void oauth_reply_fini(struct oauth_reply *reply);

/* Google's key file of a service account: the private key and who it belongs to.
 *  key, email  out: the caller's; key to be wiped */
enum err oauth_key_file_read(const char *json, size_t len, char **key, char **email,
                             struct err_text *why) NODISCARD;

#endif
