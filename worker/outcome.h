/* Where a reply code becomes an outcome: one table, and nothing else decides.
 *
 *   (service, phase, reply code, enhanced code, words)  ->  (outcome of a recipient, class)
 *
 * The outcome says what happens to the recipient, the class who has to act. A profile's own
 * reply_rules come before the table. */
#ifndef TPN_OUTCOME_H
#define TPN_OUTCOME_H

#include "pb.h"
#include "settings.h"

#include <stdbool.h>

struct outcome {
    int outcome; /* PB_OUTCOME(…) */
    int class;   /* PB_CLASS(…) */
    bool split;  /* too many recipients for one mail: may go at once in the next one */
};

/* An outcome that no reply decided: OUTCOME(REFUSED, MESSAGE). */
#define OUTCOME(end, who) ((struct outcome){PB_OUTCOME(end), PB_CLASS(who), false})

/* A reply, and where it was given. */
struct outcome_reply {
    const struct settings_plan *plan; /* whose rules and service count; null = none */
    int phase; /* PB_PHASE(…) that it answers; FINAL_DOT once any byte of the dot was sent */
    unsigned code;        /* 200–599, or 0: no reply came (connection lost, time-out) */
    const char *enhanced; /* "5.1.1", or ""; its class agrees with the code (smtp_reply.h) */
    const char *text;     /* the server's words, or "" */
};

/* What a reply means. Source: RFC 5321 4.2, RFC 3463, RFC 4954 6, RFC 1047. */
struct outcome outcome_of(const struct outcome_reply *reply);

/* What it means that no reply came at that phase. */
struct outcome outcome_of_silence(int phase);

/* What an outcome alone says where there is no reply to judge by (a folder, a mail client): refused is the
 * settings' fault, deferred passes, UNKNOWN is uncertain. */
struct outcome outcome_plain(int outcome);

#endif
