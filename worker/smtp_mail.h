/* One mail on its way through SMTP: its commands, its replies, and how far it is.
 *
 *   step      what the server has of it             when the connection is lost
 *   WAITING   nothing                               nothing happens
 *   ENVELOPE  MAIL, RCPT, DATA or a part of them    not sent
 *   GO        said 354, waits for our permit        not sent
 *   CONTENT   a part of the content, no dot         not sent
 *   DOT       all, or at least a byte of the dot    UNKNOWN
 *   ANSWERED  the outcome is known                  the outcome stands
 *
 *   WAITING ─► ENVELOPE ─► GO ─► CONTENT ─► DOT ─► ANSWERED      a step back to WAITING only before DOT */
#ifndef TPN_SMTP_MAIL_H
#define TPN_SMTP_MAIL_H

#include "buf.h"
#include "deliver.h"
#include "smtp_reply.h"
#include "smtp_session.h"

#include <stdbool.h>
#include <stddef.h>

enum smtp_mail_step {
    SMTP_MAIL_WAITING,
    SMTP_MAIL_ENVELOPE,
    SMTP_MAIL_GO,
    SMTP_MAIL_CONTENT,
    SMTP_MAIL_DOT,
    SMTP_MAIL_ANSWERED,
    SMTP_MAIL_STEP_COUNT
};

enum smtp_mail_permit {
    SMTP_PERMIT_NOT_ASKED,
    SMTP_PERMIT_ASKED,
    SMTP_PERMIT_GRANTED,
    SMTP_PERMIT_DENIED
};

enum {
    SMTP_MAIL_RESTARTS = 3,
    SMTP_MAIL_RECIPIENTS =
        10000 /* a bound for memory; settings and the broker have lower ones */
};

/* Where a recipient stands (deliver_recipient.turn). A mail with more recipients than the server takes at once goes in
 * several rounds: the same content, each time to the next of them, under the one permit. */
enum smtp_turn {
    SMTP_TURN_WAITS, /* for this round or a later one */
    SMTP_TURN_ASKED, /* has its RCPT in this round */
    SMTP_TURN_NEXT,  /* "too many": goes again when others of this round got the mail */
    SMTP_TURN_OVER   /* decided in an earlier round */
};

struct smtp_transaction;
struct smtp_pool;

struct smtp_mail {
    struct delivery *delivery;
    struct smtp_pool *pool;
    struct smtp_transaction *on; /* the connection that has it; null = the pool has */
    struct smtp_mail *next;      /* in the pool's queue */
    struct smtp_mail *all_prev;  /* in the pool's list of all */
    struct smtp_mail *all_next;
    enum smtp_mail_step step;
    enum smtp_mail_permit permit;
    bool parked;        /* waits for its permit without a connection, not in the queue */
    unsigned restarts;  /* begun again on another connection */
    size_t content_len; /* of the content proper: a dot may stand behind it */
    size_t to_write;    /* recipient whose RCPT is written next */
    size_t to_answer;   /* recipient whose RCPT is answered next */
    size_t replies;     /* to MAIL, RCPT and DATA that came */
    size_t accepted;    /* recipients with 2xx to RCPT */
    bool mail_refused;
    bool delivered; /* this round has its 250 */
    bool data_written;
    bool one_by_one; /* the next command goes out when the last one is answered */
};

/* Make this round as if it had never been on a connection; the permit and what earlier rounds decided stay. */
void smtp_mail_rewind(struct smtp_mail *mail);

/* The mail is answered. True when recipients are left for another round, which is prepared. */
bool smtp_mail_next_round(struct smtp_mail *mail);

/* Choose the recipients of this round, have the content made anew when its headers need SMTPUTF8 in vain, and refuse what this server cannot take by what it offered (SIZE, SMTPUTF8),
 * recipient by recipient. Returns false when nobody is left: the mail is answered. */
bool smtp_mail_check(struct smtp_mail *mail, const struct smtp_offer *offer);

/* Append a command. smtp_mail_write_rcpt returns false when all recipients are written. */
void smtp_mail_write_mail(const struct smtp_mail *mail, const struct smtp_offer *offer,
                          struct buf *out);
bool smtp_mail_write_rcpt(struct smtp_mail *mail, const struct smtp_offer *offer,
                          struct buf *out);
void smtp_mail_write_data(struct smtp_mail *mail, struct buf *out);

enum smtp_mail_next {
    SMTP_NEXT_REPLY, /* goes on: more replies are awaited, or the next command (one at a time) */
    SMTP_NEXT_CONTENT,  /* 354 and somebody accepted: step GO */
    SMTP_NEXT_LONE_DOT, /* 354 though nobody was accepted: only a dot ends that */
    SMTP_NEXT_ANSWERED, /* all refused or put off: the transaction on the server must be reset */
    SMTP_NEXT_BROKEN    /* a reply that has no place here */
};

/* The reply to MAIL, a RCPT or DATA, in the order of the commands. */
enum smtp_mail_next smtp_mail_take_reply(struct smtp_mail *mail,
                                         const struct smtp_reply *reply);

/* Every recipient without an outcome gets what this reply means at that phase, but those of a later round are not
 * delivered yet; FINAL_DOT with 2xx also the queue id. */
void smtp_mail_answer(struct smtp_mail *mail, int phase, const struct smtp_reply *reply);

/* The same without a reply: lost, too slow. Those of a later round are deferred: they were certainly not sent. */
void smtp_mail_answer_loss(struct smtp_mail *mail, int phase, const char *text);

/* The phase of the command whose reply is awaited. */
int smtp_mail_phase(const struct smtp_mail *mail);

/* The server's name for the mail in the text of its last reply; "" when it has none. */
void smtp_mail_queue_id(const char *text, char out[DELIVER_QUEUE_ID_BYTES]);

#endif
