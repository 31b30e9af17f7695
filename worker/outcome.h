/* Where a reply code becomes an outcome: one table, and nothing else decides.
 *
 *   (phase, reply code, enhanced code)  ->  (outcome of a recipient, class)
 *
 * The outcome says what happens to the recipient, the class who has to act. */
#ifndef TPN_OUTCOME_H
#define TPN_OUTCOME_H

#include "pb.h"

struct outcome {
    int outcome; /* PB_OUTCOME(…) */
    int class;   /* PB_CLASS(…) */
};

/* An outcome that no reply decided: OUTCOME(REFUSED, MESSAGE). */
#define OUTCOME(end, who) ((struct outcome){PB_OUTCOME(end), PB_CLASS(who)})

/* What a reply means.
 *  phase     PB_PHASE(…) that the reply answers; FINAL_DOT once any byte of the dot was sent
 *  code      200–599, or 0: no reply came (connection lost, time-out)
 *  enhanced  "5.1.1", or ""; its class agrees with the code (smtp_reply.h)
 * Source: RFC 5321 4.2, RFC 3463, RFC 4954 6, RFC 1047. */
struct outcome outcome_of(int phase, unsigned code, const char *enhanced);

/* What an outcome alone says where there is no reply to judge by (a folder, a mail client): refused is the
 * settings' fault, deferred passes, UNKNOWN is uncertain. */
struct outcome outcome_plain(int outcome);

#endif
