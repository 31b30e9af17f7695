/* Which requests a question or an act is for: a filter of the wire (QueueFilter), kept while the store is read page by page. */
#ifndef TPN_SIEVE_H
#define TPN_SIEVE_H

#include "pb.h"

#include <stdbool.h>
#include <stdint.h>

struct store_op;

/* Texts are owned; null = any. Zeroed = all requests. */
struct sieve {
    uint32_t states; /* mask 1 << state; 0 = all */
    char *profile;
    char *producer;
    char *id_prefix;
    char *label;      /* "name=value" */
    int64_t since_ms; /* accepted then or later; 0 = any */
    int64_t before_ms;
    bool held; /* only what is held */
};

/* A copy of the filter; null = all requests. */
void sieve_init(struct sieve *sieve, const PB(QueueFilter) *filter);

/* What a LIST is to find. The op borrows the texts. */
void sieve_fill(const struct sieve *sieve, struct store_op *list);

/* Accepts a zeroed one. */
void sieve_fini(struct sieve *sieve);

#endif
