/* The login of one SMTP connection, as a dialogue: what we say, what the server's lines mean.
 *
 *   AUTH … ──► 334 … ──► our line ──► 334 … ──► our line ──► 235      logged in
 *                                                        └──► 4xx 5xx  refused, with the server's words
 *
 * Pure: bytes in, bytes out, no socket. Only 235 counts as logged in. Ours and not libcurl's,
 * because libcurl chooses the mechanism by itself, and stops at the 334 of a refused token without
 * reading the 535 behind it. Source: RFC 4954. */
#ifndef TPN_SMTP_LOGIN_H
#define TPN_SMTP_LOGIN_H

#include "buf.h"
#include "settings_login.h"
#include "smtp_reply.h"

#include <stddef.h>
#include <stdint.h>

struct smtp_login;

/* Who logs in with what. Copied; wiped by smtp_login_free. */
struct smtp_login_setup {
    enum settings_mechanism mechanism;
    const char *user;   /* UTF-8 */
    const char *secret; /* password, or token for XOAUTH2 and OAUTHBEARER */
    const char *server; /* OAUTHBEARER names it */
    uint16_t port;
};

enum smtp_login_next {
    SMTP_LOGIN_MORE,    /* wait for more bytes */
    SMTP_LOGIN_SEND,    /* out has a line to send */
    SMTP_LOGIN_DONE,    /* 235 */
    SMTP_LOGIN_REFUSED, /* smtp_login_reply has the final reply, 400 to 599 */
    SMTP_LOGIN_BROKEN   /* why says what: no SMTP, a challenge that cannot be answered */
};

/* The mechanism to use with a server that offers the set `offered` (bits by enum
 * settings_mechanism): the first of the plan's that it offers.
 * Returns ERR_OK; ERR_NOT_FOUND with both lists in why. */
enum err smtp_login_choose(const struct settings_plan *plan, unsigned offered,
                           enum settings_mechanism *out, struct err_text *why) NODISCARD;

/* Begin; the AUTH line is appended to out. The caller wipes out once it is sent. */
struct smtp_login *smtp_login_new(const struct smtp_login_setup *setup, struct buf *out);
/* Wipe and free; accepts null. */
void smtp_login_free(struct smtp_login **login);

/* Take bytes of the server.
 *  out  gets our next line with SMTP_LOGIN_SEND
 * Bytes behind the final reply are BROKEN: nobody asked for them. */
enum smtp_login_next smtp_login_feed(struct smtp_login *login, const char *data, size_t len,
                                     struct buf *out, struct err_text *why);

/* The last final reply. For a refused token its text ends in what the server said of it. */
const struct smtp_reply *smtp_login_reply(const struct smtp_login *login);

#endif
