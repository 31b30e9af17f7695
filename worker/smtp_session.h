/* One connection to a mail server, from nothing to logged in, and its bytes after that.
 *
 *   OPENING (token, connection, login) ──connected──► OPEN ──smtp_session_free──► gone
 *      └──────failed──────► DEAD ─┘
 *
 * libcurl does DNS, TCP, TLS, greeting, EHLO and STARTTLS (CURLOPT_CONNECT_ONLY); the login
 * (smtp_login.h; smtp_auth.h says when libcurl does that too) and the transaction
 * (smtp_transaction.h) are ours. Fails closed: no clear text where TLS was asked
 * for, no mail without the login that was asked for. */
#ifndef TPN_SMTP_SESSION_H
#define TPN_SMTP_SESSION_H

#include "certificate.h"
#include "deliver.h"
#include "egress.h"
#include "oauth.h"
#include "smtp_failure.h"
#include "smtp_multi.h"
#include "smtp_offer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct smtp_session;

/* The session's ear; never called from inside smtp_session_open, and none after
 * smtp_session_free. */
struct smtp_session_owner {
    void (*connected)(void *arg);
    void (*failed)(void *arg, const struct smtp_failure *failure); /* free it then */
    void (*ready)(void *arg, int events); /* LOOP_READ, LOOP_WRITE, once OPEN */
};

struct smtp_session_setup {
    struct smtp_multi *multi;
    struct loop *loop;
    struct oauth *oauth;              /* gives the tokens of OAUTH2 */
    const struct settings_plan *plan; /* lives at least as long as the session */
    const char *helo_name;            /* when the plan has none; may be null */
    const struct egress *egress;      /* see deliver_context; may be null */
    const struct smtp_session_owner *owner;
    void *owner_arg;
};

/* Begin to connect.
 * Returns ERR_OK; else failure says why (no secret, no memory, settings that cannot be). */
enum err smtp_session_open(const struct smtp_session_setup *setup, struct smtp_session **out,
                           struct smtp_failure *failure) NODISCARD;

/* Close the socket at once; accepts null. Send QUIT before if you care. */
void smtp_session_free(struct smtp_session **session);

/* What was handed over and is not acknowledged yet shall not linger: closing resets the connection (SO_LINGER 0). For
 * content that is given up while the server reads slowly or not at all. */
void smtp_session_cut(struct smtp_session *session);

const struct smtp_offer *smtp_session_offer(const struct smtp_session *session);
/* "host:port"; "TLSv1.3" or "". Borrowed from the session. */
const char *smtp_session_server(const struct smtp_session *session);
const char *smtp_session_tls(const struct smtp_session *session);

/* How a connection came about, for people who test settings. Times in µs since smtp_session_open, 0 = not reached. */
struct smtp_session_story {
    int64_t name_us; /* the name was looked up */
    int64_t tcp_us;
    int64_t greeting_us; /* 220 */
    int64_t tls_us;   /* implicit TLS: the handshake was over. STARTTLS: 220 to the command */
    int64_t ehlo_us;  /* 250 to the last EHLO */
    char address[64]; /* that was connected to, "" = none */
};

/* Valid from inside connected and failed, too. */
void smtp_session_story(const struct smtp_session *session, struct smtp_session_story *out);

/* The server's certificate, whether it was checked or not. False without TLS. Only once OPEN. */
bool smtp_session_certificate(const struct smtp_session *session, struct certificate *out);

/* Hand bytes over. Returns ERR_OK with *sent > 0; ERR_AGAIN: wait for LOOP_WRITE and come
 * back with the same bytes (OpenSSL insists, SSL_write(3)); ERR_IO. At most one TLS record a
 * call, so a record is counted as sent only when it went whole. */
enum err smtp_session_send(struct smtp_session *session, const char *data, size_t len,
                           size_t *sent) NODISCARD;

/* Get bytes. ERR_OK with *got > 0; ERR_AGAIN; ERR_NOT_FOUND: the server closed; ERR_IO.
 * Ask again until ERR_AGAIN, or until room is left and the session holds none: the descriptor tells only of what comes after. */
enum err smtp_session_recv(struct smtp_session *session, char *data, size_t room,
                           size_t *got) NODISCARD;

/* Whether TLS has bytes that no descriptor tells of: ask smtp_session_recv for them. */
bool smtp_session_holds(const struct smtp_session *session);

/* Whether to hear of room for sending as well. */
void smtp_session_watch(struct smtp_session *session, bool for_writing);

#endif
