/* Filters on their way to the store. What they mean is the store's affair (store_list_match). */
#include "sieve.h"

#include "mem.h"
#include "store.h"

#include <stdlib.h>

static char *text_or_null(const char *text)
{
    return text[0] != '\0' ? mem_text(text) : NULL;
}

void sieve_init(struct sieve *sieve, const PB(QueueFilter) *filter)
{
    *sieve = (struct sieve){.states = 0};
    if (filter == NULL) {
        return;
    }
    sieve->profile = text_or_null(filter->profile);
    sieve->producer = text_or_null(filter->producer);
    sieve->id_prefix = text_or_null(filter->id_prefix);
    sieve->label = text_or_null(filter->label);
    sieve->since_ms = filter->since_ms;
    sieve->before_ms = filter->before_ms;
    sieve->held = filter->held;
    for (size_t i = 0; i < filter->n_states; i++) {
        sieve->states |= 1u << filter->states[i];
    }
}

void sieve_fill(const struct sieve *sieve, struct store_op *list)
{
    list->list.states = sieve->states;
    list->list.profile = sieve->profile;
    list->list.producer = sieve->producer;
    list->list.id_prefix = sieve->id_prefix;
    list->list.label = sieve->label;
    list->list.since_ms = sieve->since_ms;
    list->list.before_ms = sieve->before_ms;
    list->list.held_only = sieve->held;
}

void sieve_fini(struct sieve *sieve)
{
    free(sieve->profile);
    free(sieve->producer);
    free(sieve->id_prefix);
    free(sieve->label);
    *sieve = (struct sieve){.states = 0};
}
