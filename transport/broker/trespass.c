/* One more look into the store, behind the answer: its time tells the asker nothing. */
#include "trespass.h"

#include "broker.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>

struct trespass {
    struct broker *broker;
    char *producer;
    char *id;
};

static void came(void *arg, struct ledger_op *op)
{
    struct trespass *trespass = arg;
    char who[BUS_KEY_NAME_BYTES + 16];
    if (op->store.result == STORE_DONE) {
        (void)snprintf(who, sizeof who, "producer %s", trespass->producer);
        refusal_note(trespass->broker, REFUSAL_POLICY,
                     &(struct refusal_text){.who = who,
                                            .act = wire_verb_name(WIRE_QUERY),
                                            .target = trespass->id,
                                            .why = "a request of another producer"});
    }
    free(trespass->producer);
    free(trespass->id);
    free(trespass);
}

void trespass_look(struct broker *broker, const char *producer, const char *id)
{
    if (broker->keeper.list == NULL || broker->draining) {
        return;
    }
    struct trespass *trespass = mem_zero(1, sizeof *trespass);
    *trespass = (struct trespass){broker, mem_text(producer), mem_text(id)};
    struct ledger_op *op = ledger_op_new(STORE_GET, came, trespass);
    op->store.get.id = trespass->id;
    ledger_add(broker->ledger, op);
}
