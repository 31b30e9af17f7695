/* Where a reply code becomes an outcome: one table, and nothing else decides.
 *
 *   (phase, reply code, enhanced code)  ->  (outcome of a recipient, class)
 *
 * The outcome says what happens to the recipient, the class who has to act. */
#ifndef TPN_OUTCOME_H
#define TPN_OUTCOME_H

enum outcome_class {
    OUTCOME_CLASS_NONE,      /* delivered: nobody */
    OUTCOME_CLASS_RECIPIENT, /* this recipient will never work */
    OUTCOME_CLASS_MESSAGE,   /* this message will never be taken */
    OUTCOME_CLASS_TRANSIENT, /* try again */
    OUTCOME_CLASS_QUOTA,     /* a limit of the service: wait for its window */
    OUTCOME_CLASS_LOGIN,     /* refused login: stop the profile before the account is locked */
    OUTCOME_CLASS_CONFIGURATION, /* the settings are wrong: no retry will help before they change */
    OUTCOME_CLASS_HOST,          /* the server is down or takes no mail at all */
    OUTCOME_CLASS_UNCERTAIN,     /* may have been accepted: nobody can know */
    OUTCOME_CLASS_COUNT
};

struct outcome {
    int outcome; /* PB_OUTCOME(…) */
    enum outcome_class class;
};

/* What a reply means.
 *  phase     PB_PHASE(…) that the reply answers; FINAL_DOT once any byte of the dot was sent
 *  code      200–599, or 0: no reply came (connection lost, time-out)
 *  enhanced  "5.1.1", or ""; its class agrees with the code (smtp_reply.h)
 * Source: RFC 5321 4.2, RFC 3463, RFC 4954 6, RFC 1047. */
struct outcome outcome_of(int phase, unsigned code, const char *enhanced);

/* Name of a class for logs: "login"; borrowed, never null. */
const char *outcome_class_name(enum outcome_class class);

#endif
