/* Ask the broker for its profiles. */
#ifndef TPN_PROFILE_ASK_H
#define TPN_PROFILE_ASK_H

#include "options.h"
#include "pb.h"

enum profile_question {
    PROFILE_IN_FORCE,
    PROFILE_CHECK, /* let the broker read its file anew, without putting it in force, and tell its errors */
    PROFILE_REVEAL /* its secret is about to be shown: wants that right, and is recorded */
};

/* All profiles, or the one of that name.
 *  name    null = all
 *  answer  out: a ProfileList; the caller frees it with protobuf_c_message_free_unpacked
 * Returns ERR_OK; as ask_for. */
enum err profile_ask(const struct common_options *common, const char *name,
                     enum profile_question question, ProtobufCMessage **answer,
                     struct err_text *why) NODISCARD;

#endif
