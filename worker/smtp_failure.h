/* Why there is no connection: libcurl's code and the server's last words become phase,
 * outcome and a sentence. */
#ifndef TPN_SMTP_FAILURE_H
#define TPN_SMTP_FAILURE_H

#include "deliver.h"
#include "outcome.h"
#include "smtp_reply.h"

#include <curl/curl.h>
#include <stdbool.h>

struct smtp_failure {
    int phase; /* PB_PHASE(…) */
    unsigned code;
    char enhanced[DELIVER_ENHANCED_BYTES];
    char text[DELIVER_TEXT_BYTES];
    bool certificate; /* the server's certificate or key was not accepted */
    struct outcome outcome;
};

/* How far the conversation came while libcurl led it. */
struct smtp_dialogue {
    bool greeting; /* 220 */
    bool ehlo;     /* 250 to EHLO or HELO, the last one */
    bool starttls; /* 220 to STARTTLS */
    bool login;    /* 235 */
};

struct smtp_failure_input {
    CURLcode curl;
    const char *error; /* CURLOPT_ERRORBUFFER, may be "" */
    const struct smtp_dialogue *dialogue;
    const struct smtp_reply *reply; /* the last one, complete or not */
    const struct settings_plan *plan;
};

/* Note a complete reply. */
void smtp_dialogue_add(struct smtp_dialogue *dialogue, unsigned code);

/* libcurl gave up. */
void smtp_failure_of_curl(const struct smtp_failure_input *in, struct smtp_failure *out);

/* What the server's refusal means to a mail with these settings: their reply_rules count. */
struct outcome smtp_failure_outcome(const struct smtp_failure *failure,
                                    const struct settings_plan *plan);

/* We refuse ourselves: a phase and a sentence, no reply. */
void smtp_failure_of_text(int phase, const char *text, struct smtp_failure *out);

/* The server refused, with this complete reply. */
void smtp_failure_of_reply(int phase, const struct smtp_reply *reply,
                           const struct settings_plan *plan, struct smtp_failure *out);

/* We cannot go on, and know who has to act: deferred, with that class (PB_CLASS(…)). */
void smtp_failure_of_class(int phase, int class, const char *text, struct smtp_failure *out);

/* Lost or too slow in a phase that we lead: no fault of the settings. */
void smtp_failure_of_loss(int phase, const char *text, struct smtp_failure *out);

#endif
