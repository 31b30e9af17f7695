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
    {                                                                                          \
        OPTION_TEXT, "prefix", 0, (base) + offsetof(struct filter_options, prefix), "TEXT",    \
            "only ids that start so"                                                           \
    }

/* Fill the message, which borrows from the options; the caller frees filter->states, also after an error.
 * ERR_INVALID: no such state. */
enum err filter_fill(const struct filter_options *options, PB(QueueFilter) *filter,
                     struct err_text *why) NODISCARD;

/* protobuf-c wants char * and changes nothing; null becomes "". */
char *filter_text(const char *text);

#endif
