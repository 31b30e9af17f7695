/* The mails of one open connection: pipelined transactions over a session (RFC 2920).
 *
 * Mode full, one round trip a mail: when the content of A goes out, the envelope of B rides
 * in the same write.
 *
 *   us      MAIL A RCPT DATA            content A . MAIL B RCPT DATA            content B . MAIL C …
 *   server                   250 250 354                            250 250 250 354
 *
 * A mail's content goes out only with its 354 and its permit. At most two mails are on a
 * connection: the current one and the rider behind its dot. */
#ifndef TPN_SMTP_TRANSACTION_H
#define TPN_SMTP_TRANSACTION_H

#include "smtp_mail.h"
#include "smtp_session.h"

enum smtp_mode {
    SMTP_MODE_OFF,      /* one command at a time */
    SMTP_MODE_ENVELOPE, /* MAIL, RCPT and DATA in one write */
    SMTP_MODE_FULL      /* and the next envelope behind the content */
};

enum smtp_take { SMTP_TAKE_CURRENT, SMTP_TAKE_RIDER };

/* The owner: the pool. A call may come from inside any function below but new and free. */
struct smtp_transaction_owner {
    /* The next mail for this connection, or null. */
    struct smtp_mail *(*take)(void *arg, enum smtp_take how);
    /* Every recipient has its outcome; the mail is the owner's again. */
    void (*finished)(void *arg, struct smtp_mail *mail);
    /* Rewound, to be begun on this or another connection (parked: once its permit is there): nothing of it was sent, or its
     * next round comes. */
    void (*again)(void *arg, struct smtp_mail *mail);
    /* The server does not take to pipelining in the present mode. */
    void (*stumbled)(void *arg);
    /* Nothing to do: kick it when there is. */
    void (*idle)(void *arg);
    /* The connection is of no more use and holds no mail: free transaction and session. Nothing is called after it. */
    void (*over)(void *arg);
};

struct smtp_transaction_setup {
    struct loop *loop;
    struct smtp_session *session;     /* open; stays the owner's */
    const struct settings_plan *plan; /* lives as long as the transaction */
    enum smtp_mode mode;
    const struct smtp_transaction_owner *owner;
    void *owner_arg;
};

/* For an open connection; kick it to begin. */
struct smtp_transaction *smtp_transaction_new(const struct smtp_transaction_setup *setup);
/* Mails still on it are forgotten. Accepts null. */
void smtp_transaction_free(struct smtp_transaction **transaction);

/* Something changed: a mail waits, or a permit came, or the connection may close. */
void smtp_transaction_kick(struct smtp_transaction *transaction);

/* The descriptor is ready. */
void smtp_transaction_ready(struct smtp_transaction *transaction, int events);

/* Take no more mails; QUIT when the present ones are through. */
void smtp_transaction_retire(struct smtp_transaction *transaction);

/* Use at most this mode from now on. */
void smtp_transaction_lower(struct smtp_transaction *transaction, enum smtp_mode mode);

#endif
