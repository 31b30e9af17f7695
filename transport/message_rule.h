/* What makes a message mail: every rule that needs more than one field, or the meaning of one.
 *
 * The broker's gate asks before it accepts, so that a producer hears of a mistake at once and with the path of the field;
 * the worker asks again before it writes a byte, because it is the last door before a server. Lengths and counts are not
 * looked at here: check.h has done that on both sides. Source: proto/README.md "Limits". */
#ifndef TPN_MESSAGE_RULE_H
#define TPN_MESSAGE_RULE_H

#include "address.h"
#include "err.h"
#include "pb.h"
#include "wire.h"

#include <stdbool.h>

enum { MESSAGE_MAX_RECIPIENTS = 3000 /* to, cc and bcc together */ };

/* An address as the wire wants it. */
struct message_address {
    char text[ADDRESS_MAX_BYTES + 1]; /* domain as A-labels */
    bool needs_utf8;                  /* only an SMTPUTF8 server can take it */
};

/* Check one mailbox and bring its address into wire form.
 *  part  out, "address" or "name": which is wrong; borrowed for ever
 * Returns ERR_OK or ERR_INVALID with the rule in why. */
enum err message_rule_mailbox(const PB(Mailbox) *box, struct message_address *out,
                              const char **part, struct err_text *why) NODISCARD;

/* Everything but the mailboxes: texts, calendar, attachments, extra headers, unsubscribing.
 * Returns ERR_OK or ERR_INVALID with path ("message.headers[2].name") and rule in fault. */
enum err message_rule_content(const PB(Message) *message, struct wire_fault *fault) NODISCARD;

/* The same of a message that has just passed check_bytes: subject, text and html have been held against their forms there, and
 * are not read a second time. */
enum err message_rule_parts(const PB(Message) *message, struct wire_fault *fault) NODISCARD;

/* A message that has just passed check_bytes, mailboxes included. Returns as message_rule_content. */
enum err message_rule_check(const PB(Message) *message, struct wire_fault *fault) NODISCARD;

#endif
