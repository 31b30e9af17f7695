/* PROFILES on the admin socket. */
#include "profile_ask.h"

#include "ask.h"
#include "filter.h"

enum err profile_ask(const struct common_options *common, const char *name,
                     enum profile_question question, ProtobufCMessage **answer,
                     struct err_text *why)
{
    struct ask ask = {0};
    PB(ProfileAsk) body = PB_INIT(PROFILE_ASK);
    body.name = filter_text(name);
    body.check = question == PROFILE_CHECK;
    body.reveal = question == PROFILE_REVEAL;
    enum err err = ask_open(&ask, common, common->admin, why);
    if (err == ERR_OK) {
        err = ask_for(&ask, WIRE_PROFILES, &body.base, WIRE_PROFILES_OK, answer, why);
    }
    ask_close(&ask);
    return err;
}
