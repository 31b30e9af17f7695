/* The options that the verbs of tpn evidence share: from when to when, of which log. */
#ifndef TPN_EVIDENCE_OPTIONS_H
#define TPN_EVIDENCE_OPTIONS_H

#include "err.h"
#include "evidence_feed.h"
#include "options.h"

#include <stdbool.h>
#include <stddef.h>

struct evidence_options {
    struct common_options common; /* first */
    const char *from;
    const char *to;
    const char *label;
    const char *form;
    const char *out;
    bool audit;
    struct option_texts heads;
};

#define EVIDENCE_FIELD(name) offsetof(struct evidence_options, name)
#define EVIDENCE_RANGE_ROWS                                                                    \
    {OPTION_TEXT,          "from", 0,                                                          \
     EVIDENCE_FIELD(from), "TIME", "a day (UTC) as 2026-11-25, or an age: 7d"},                \
        {OPTION_TEXT, "to", 0, EVIDENCE_FIELD(to), "TIME", "up to the end of that day"},       \
    {                                                                                          \
        OPTION_FLAG, "audit", 0, EVIDENCE_FIELD(audit), NULL, "the log of what operators did"  \
    }

/* What the broker is to be asked for. ERR_INVALID with the option and what may stand there. */
enum err evidence_options_wish(const struct evidence_options *options,
                               struct evidence_wish *wish, struct err_text *why) NODISCARD;

/* tpn evidence verify. */
int evidence_verify(int argc, char *argv[]);

#endif
