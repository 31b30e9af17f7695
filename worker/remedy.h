/* What to change when a step on the way to a mail server fails: one table, sentences for people. */
#ifndef TPN_REMEDY_H
#define TPN_REMEDY_H

#include "certificate.h"
#include "settings.h"

enum { REMEDY_BYTES = 1024 };

/* What is known of a failure. Texts are borrowed. */
struct remedy_case {
    int phase;            /* PB_PHASE(…) */
    unsigned code;        /* SMTP reply code, 0 = no reply */
    const char *enhanced; /* "5.7.139", or "" */
    const char *text;     /* the server's words or ours */
    const struct settings_plan *plan;
    unsigned works; /* 1 << enum settings_tls of each other TLS mode that works on this port */
    const struct certificate *certificate; /* as the server showed it; null = not seen */
    const char *from;                      /* of MAIL, "" = the empty path */
    const char *recipient;                 /* of RCPT, or "" */
};

/* The sentence for it; "" when nothing better can be said than the text itself. Returns out. */
const char *remedy_for(const struct remedy_case *what, char out[REMEDY_BYTES]);

#endif
