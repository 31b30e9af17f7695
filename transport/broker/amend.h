/* Acts of operators that are no move: hold, release, edit, purge.
 *
 * When an act begins, its request is the act's: settling, in no lane and under no lease, in the index of requests. It gives
 * it back to the schedule or frees it, and then answers with act_finish or act_refuse. */
#ifndef TPN_AMEND_H
#define TPN_AMEND_H

#include "operation.h"

/* Begin the act on act->request. */
typedef void amend_fn(struct act *act);
amend_fn amend_hold;
amend_fn amend_release;
amend_fn amend_edit;
amend_fn amend_purge;

#endif
