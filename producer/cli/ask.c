/* One question, one answer.
 *
 * A question that only reads may be asked twice; a late answer to the first is as good as one
 * to the second. One that acts goes out once (`once`). One question at a time: the verb of the
 * answer is enough to know it. */
#include "ask.h"

#include "clock.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ASK_AGAIN_MS = 2000, NO_CONNECTION_MS = 50 };

static void answered(void *arg, struct bus *bus, enum err err, struct wire_in *in)
{
    struct ask *ask = arg;
    (void)bus;
    if (ask->answer != NULL) {
        return;
    }
    if (err != ERR_OK) {
        (void)snprintf(ask->refused, sizeof ask->refused, "an answer that cannot be read: %s",
                       in->fault.rule);
    } else if (in->verb == ask->want) {
        ask->answer = wire_in_take_body(in);
    } else if (in->verb == WIRE_ERROR) {
        const PB(Error) *error = (const PB(Error) *)in->body;
        (void)snprintf(ask->refused, sizeof ask->refused, "%.100s%s%.256s", error->field,
                       error->field[0] != '\0' ? ": " : "", error->reason);
    }
}

static void pump(void *arg)
{
    struct ask *ask = arg;
    bus_pump(ask->bus, 64);
}

enum err ask_open(struct ask *ask, const struct common_options *common, const char *endpoint,
                  struct err_text *why)
{
    struct bus_options options = {.role = BUS_DEALER, .endpoint = endpoint, .lock = &ask->lock};
    *ask = (struct ask){.endpoint = endpoint, .timeout_s = common->timeout_s};
    enum err err =
        bus_lock_client(&ask->lock, common->key, common->server_key, common->insecure, why);
    if (err == ERR_OK) {
        err = loop_new(&ask->loop, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    ask->context = bus_context_new();
    err = bus_open(&ask->bus, ask->context, &options, why);
    if (err != ERR_OK) {
        return err;
    }
    loop_before_wait(ask->loop, pump, ask);
    return bus_attach(ask->bus, ask->loop, answered, ask);
}

void ask_close(struct ask *ask)
{
    bus_close(&ask->bus);
    bus_context_free(&ask->context);
    loop_free(&ask->loop);
    bus_lock_fini(&ask->lock);
}

enum err ask_for(struct ask *ask, enum wire_verb verb, const ProtobufCMessage *body,
                 enum wire_verb want, ProtobufCMessage **answer, struct err_text *why)
{
    int64_t until_ms = clock_mono_ms() + ask->timeout_s * 1000;
    int64_t next_ms = 0;
    ask->want = want;
    ask->answer = NULL;
    ask->refused[0] = '\0';
    while (ask->answer == NULL) {
        int64_t now_ms = clock_mono_ms();
        if (ask->refused[0] != '\0') {
            return err_set(why, ERR_INVALID, "%s", ask->refused);
        }
        if (bus_refusal(ask->bus)[0] != '\0') {
            return err_set(why, ERR_AGAIN, "%s", bus_refusal(ask->bus));
        }
        if (now_ms >= until_ms) {
            return err_set(why, ERR_AGAIN, "no answer from %s within %ld s", ask->endpoint,
                           ask->timeout_s);
        }
        if (now_ms >= next_ms) {
            enum err sent = bus_send(ask->bus, NULL, verb, body, NULL);
            int64_t again_ms = ask->once ? until_ms - now_ms : ASK_AGAIN_MS;
            next_ms = now_ms + (sent == ERR_OK ? again_ms : NO_CONNECTION_MS);
        }
        pump(ask);
        int64_t wait_ms = (next_ms < until_ms ? next_ms : until_ms) - now_ms;
        enum err err = ask->answer == NULL ? loop_turn(ask->loop, (int)wait_ms, why) : ERR_OK;
        if (err != ERR_OK) {
            return err;
        }
    }
    *answer = ask->answer;
    ask->answer = NULL;
    return ERR_OK;
}

enum err ask_status(struct ask *ask, const char *id, bool with_history, PB(QueryReply) **reply,
                    struct err_text *why)
{
    char *copy = mem_text(id);
    PB(Query) query = PB_INIT(QUERY);
    ProtobufCMessage *answer = NULL;
    query.n_ids = 1;
    query.ids = &copy;
    query.with_history = with_history;
    enum err err = ask_for(ask, WIRE_QUERY, &query.base, WIRE_STATE, &answer, why);
    free(copy);
    if (err != ERR_OK) {
        return err;
    }
    *reply = (PB(QueryReply) *)answer;
    if (*reply == NULL || (*reply)->n_requests != 1) {
        protobuf_c_message_free_unpacked(answer, NULL);
        *reply = NULL;
        return err_set(why, ERR_INVALID, "the broker answered %s with no entry",
                       wire_verb_name(WIRE_QUERY));
    }
    return ERR_OK;
}
