/* Ask the broker for its profiles. */
#ifndef TPN_PROFILE_ASK_H
#define TPN_PROFILE_ASK_H

#include "options.h"
#include "pb.h"

#include <stdbool.h>

/* All profiles, or the one of that name.
 *  name    null = all
 *  check   let the broker read its file anew, without putting it in force, and tell its errors
 *  answer  out: a ProfileList; the caller frees it with protobuf_c_message_free_unpacked
 * Returns ERR_OK; as ask_for. */
enum err profile_ask(const struct common_options *common, const char *name, bool check,
                     ProtobufCMessage **answer, struct err_text *why) NODISCARD;

#endif
