/* Access tokens of a worker: fetched once for each credential, kept in memory, renewed before they run out.
 *
 *   IDLE ──asked, or 80 % of life──► LOCKING ──► FETCHING ──► IDLE     with a token, or a failure
 *
 * A credential is what the OAuth fields and the user name of a plan say together. However many connections ask, one
 * request is under way for it: on this worker by these states, on this machine by a lock beside the refresh token's
 * file. Nothing here blocks the loop but reading that file and, when a server gives a new refresh token, writing it. */
#ifndef TPN_OAUTH_H
#define TPN_OAUTH_H

#include "loop.h"
#include "settings.h"
#include "smtp_multi.h"

enum { OAUTH_FAILURE_BYTES = 640 };

struct oauth;
struct oauth_entry;

/* Why there is no token. */
struct oauth_failure {
    int class; /* PB_CLASS(LOGIN), (CONFIGURATION) or (TRANSIENT) */
    char text[OAUTH_FAILURE_BYTES];
};

/* Who waits for a token; lives inside its owner. fn is called once: with a token, borrowed for the call, or with null
 * and the failure. It may ask again. */
struct oauth_wait {
    void (*fn)(void *arg, const char *token, const struct oauth_failure *failure);
    void *arg;
    /* oauth.c's own */
    struct oauth_entry *entry;
    struct oauth_wait *next;
};

/* Loop and multi are borrowed for its life. */
struct oauth *oauth_new(struct loop *loop, struct smtp_multi *multi);
/* Wipes all; who waits hears nothing. Accepts null. */
void oauth_free(struct oauth **oauth);

/* Ask for a token of the plan's credential.
 *  token  out: the caller's, to be given to secret_free; null unless ERR_OK
 * Returns ERR_OK; ERR_AGAIN: wait->fn will be called, never from inside this; ERR_LIMIT: the endpoint asked for
 * patience, or there are too many credentials: failure says so. */
enum err oauth_ask(struct oauth *oauth, const struct settings_plan *plan,
                   struct oauth_wait *wait, char **token,
                   struct oauth_failure *failure) NODISCARD;

/* Do not call; fine when it does not wait. */
void oauth_forget(struct oauth_wait *wait);

/* A mail server refused this token: it is given to nobody again. */
void oauth_refused(struct oauth *oauth, const struct settings_plan *plan, const char *token);

#endif
