/* Which requests: the options that queue ls and the acts on many requests share. */
#ifndef TPN_FILTER_H
#define TPN_FILTER_H

#include "options.h"
#include "pb.h"

struct filter_options {
    struct option_texts states;
    const char *profile;
    const char *producer;
    const char *prefix;
    const char *label;
    const char *older;
    const char *newer;
    bool held;
};

/* Rows of an option table; base is the offset of a struct filter_options. */
#define FILTER_ROWS(base)                                                                      \
    {OPTION_TEXTS, "state",                                                                    \
     's',          (base) + offsetof(struct filter_options, states),                           \
     "STATE",      "only in this state, as DEFERRED"},                                         \
        {OPTION_TEXT, "profile",                                                               \
         'p',         (base) + offsetof(struct filter_options, profile),                       \
         "NAME",      "only with these mailing settings"},                                     \
        {OPTION_TEXT, "producer",                                                              \
         0,           (base) + offsetof(struct filter_options, producer),                      \
         "NAME",      "only of this producer"},                                                \
        {OPTION_TEXT,                                                                          \
         "label",                                                                              \
         0,                                                                                    \
         (base) + offsetof(struct filter_options, label),                                      \
         "NAME=VALUE",                                                                         \
         "only with this label"},                                                              \
        {OPTION_TEXT, "older",                                                                 \
         0,           (base) + offsetof(struct filter_options, older),                         \
         "AGE",       "only accepted longer ago, as 90s, 2h, 3d"},                             \
        {OPTION_TEXT, "newer",                                                                 \
         0,           (base) + offsetof(struct filter_options, newer),                         \
         "AGE",       "only accepted since then"},                                             \
        {OPTION_FLAG, "held",                                                                  \
         0,           (base) + offsetof(struct filter_options, held),                          \
         NULL,        "only what an operator holds"},                                          \
    {                                                                                          \
        OPTION_TEXT, "prefix", 0, (base) + offsetof(struct filter_options, prefix), "TEXT",    \
            "only ids that start so"                                                           \
    }

/* Does it name anything to filter by, but the producer? */
bool filter_given(const struct filter_options *options);

/* Fill the message, which borrows from the options; the caller frees filter->states, also after an error.
 * ERR_INVALID: no such state, no such age, no NAME=VALUE. */
enum err filter_fill(const struct filter_options *options, PB(QueueFilter) *filter,
                     struct err_text *why) NODISCARD;

/* protobuf-c wants char * and changes nothing; null becomes "". */
char *filter_text(const char *text);

#endif
