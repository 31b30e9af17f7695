/* What an act of an operator makes of one recipient (rows of the table in operate.c). */
#ifndef TPN_OPERATE_RECIPIENT_H
#define TPN_OPERATE_RECIPIENT_H

#include "pb.h"
#include "state.h"

#include <stdbool.h>

/* True when it changed something.
 *  state  of the request
 *  text   who decided; one->text may borrow it */
typedef bool operate_recipient_fn(enum state state, PB(RecipientResult) *one, const char *text);

operate_recipient_fn operate_recipient_cancel; /* who is open is refused, or unknown */
operate_recipient_fn operate_recipient_retry;  /* who was not delivered to is open again */
operate_recipient_fn operate_recipient_sent;   /* who is unknown has it */
operate_recipient_fn operate_recipient_resend; /* who is unknown gets it again, marked */

#endif
