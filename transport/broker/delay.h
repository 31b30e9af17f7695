/* Why a request that waits does not go now, in words: for whoever asks what keeps it (tpn explain, tpn queue show). The answer is the
 * first thing that holds it up, in the order in which place.c asks; who decided about a pause, and why, is for operators only
 * (STATS). */
#ifndef TPN_DELAY_H
#define TPN_DELAY_H

#include "pb.h"
#include "store.h"

enum { DELAY_BYTES = 256 };

struct broker;

/* The words for a row, put into out; "" when nothing holds it up, or it does not wait.
 *  status  of that row: its recipients */
char *delay_of(struct broker *broker, const struct store_row *row,
               const PB(RequestStatus) *status, char out[DELAY_BYTES]);

#endif
