/* The gate: what comes in at the submit socket. Parse, authorise, dedupe, accept; and queries.
 *
 * SUBMIT is answered by one RECEIPT: `accepted` or `duplicate` only after the commit, `rejected` with the field's path and
 * the rule, `busy` with a time to wait. QUERY is answered by STATE. Whatever cannot be read is answered by ERROR. */
#ifndef TPN_GATE_H
#define TPN_GATE_H

#include "bus.h"
#include "pb.h"

#include <stdbool.h>

struct broker;

/* bus_message_fn of the submit socket; arg is the broker. */
void gate_message(void *arg, struct bus *bus, enum err err, struct wire_in *in);

/* A password in settings that come with a message: none; or a sealed one, after gate_secret_take. */
enum gate_password { GATE_NO_PASSWORD, GATE_SEALED_PASSWORD };

/* Settings that come with a message bring no clear secret and name no file of a worker. False with the field and the
 * rule. */
bool gate_check_secrets(const PB(MailingSettings) *settings, enum gate_password password,
                        struct wire_fault *fault);

/* Accept a request of the broker's own, as of that producer: nobody is answered. False: nothing is accepted now, try again. One
 * that breaks a rule is a bug of ours. */
bool gate_own(struct broker *broker, const char *producer,
              const PB(NotificationRequest) *request);

/* ERROR to a peer whose message could not be used; for every socket. */
void gate_send_error(struct bus *bus, const struct wire_in *in);

#endif
