/* Delivery through the machine's own mail client (MAPI).
 *
 * This back end is understood and refused: no worker of this pool runs beside a mail client. It asks for no permit,
 * because nothing can be sent, and it says so for every recipient at once. A worker with a client will be another file
 * with the same table. */
#include "deliver.h"

static enum err client_open(const struct deliver_context *context, void **self,
                            struct err_text *why)
{
    (void)context;
    (void)why;
    *self = NULL; /* it has no state */
    return ERR_OK;
}

static void client_start(void *self, struct delivery *delivery)
{
    (void)self;
    deliver_set_rest(delivery, OUTCOME(REFUSED, CONFIGURATION), PB_PHASE(CLIENT), 0, NULL,
                     "this pool has no worker with a mail client");
    delivery->owner->done(delivery->owner_arg, delivery);
}

static void client_permit(void *self, struct delivery *delivery, enum deliver_permit permit)
{
    (void)self;
    (void)delivery;
    bug("permit %d for a delivery that never asked", (int)permit);
}

static void client_drain(void *self)
{
    (void)self;
}

static void client_close(void **self)
{
    *self = NULL;
}

const struct deliver_backend deliver_client = {
    .name = "client",
    .open = client_open,
    .start = client_start,
    .permit = client_permit,
    .drain = client_drain,
    .close = client_close,
};
