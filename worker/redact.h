/* Take out of a text of a server what we had sent to it as a login or to get a token: some servers repeat a line that they refuse, and
 * their words go into events, the store and logs. */
#ifndef TPN_REDACT_H
#define TPN_REDACT_H

#include <stddef.h>

enum {
    REDACT_TOKEN_BYTES = 6,  /* shorter runs of base64 are words of their own */
    REDACT_SECRET_BYTES = 4, /* of a secret that is repeated as it is */
    REDACT_CUT_BYTES = 16    /* of the beginning of a longer one, repeated and cut off */
};

/* Put * over the secret itself, percent-encoded or not, also where its end was cut off, and over each run of base64 characters that is part of what was sent or has it inside,
 * also where the server cut it off or broke its line.
 *  text    changed in place, its length kept
 *  sent    sent_len bytes: the base64 of every answer, one behind the other
 *  secret  as it is */
void redact_text(char *text, const char *sent, size_t sent_len, const char *secret);

/* Put * over the secrets of a form, as redact_text over its one: client_secret, refresh_token and assertion.
 *  text  changed in place, its length kept
 *  form  name=value&…, percent-encoded, as it was sent to a token endpoint */
void redact_form(char *text, const char *form);

#endif
