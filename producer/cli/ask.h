/* One question, one answer: QUERY on the submit socket, and what operators ask on the admin
 * socket. */
#ifndef TPN_ASK_H
#define TPN_ASK_H

#include "bus.h"
#include "loop.h"
#include "options.h"
#include "pb.h"

#include <stdbool.h>

struct ask {
    void *context;
    struct bus_lock lock;
    struct loop *loop;
    struct bus *bus;
    const char *endpoint;
    long timeout_s;
    bool once; /* the question acts: it is not asked again */
    enum wire_verb want;
    ProtobufCMessage *answer;
    char refused[400]; /* what an ERROR said */
};

/* Connect in the background, with the keys and the time-out of common. endpoint is one of common's; both are borrowed.
 * ask_close accepts a zeroed one. */
enum err ask_open(struct ask *ask, const struct common_options *common, const char *endpoint,
                  struct err_text *why) NODISCARD;
void ask_close(struct ask *ask);

/* Ask, again when no answer comes (unless ask->once), until the time is over.
 *  want    verb of the answer
 *  answer  out: the caller frees it with protobuf_c_message_free_unpacked
 * Returns ERR_OK; ERR_AGAIN no answer, or the broker lets us not in (why says so, at once); ERR_INVALID the broker refused the question. */
enum err ask_for(struct ask *ask, enum wire_verb verb, const ProtobufCMessage *body,
                 enum wire_verb want, ProtobufCMessage **answer,
                 struct err_text *why) NODISCARD;

/* Ask for one id on the submit socket. answer: its only entry is there and borrowed from
 * *reply. */
enum err ask_status(struct ask *ask, const char *id, bool with_history, PB(QueryReply) **reply,
                    struct err_text *why) NODISCARD;

#endif
