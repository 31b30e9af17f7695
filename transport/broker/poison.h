/* Poison: a request that kills its worker.
 *
 *   losses 0 ──worker dies──► 1, a suspect ──worker dies──► 2: set aside, FAILED "poison"
 *
 * A worker that dies takes innocent requests down with the guilty one. So a suspect is leased only to a worker that holds
 * no other suspect: whoever dies a second time was alone with the innocent newcomers, and is most likely the one.
 * Not a death: a worker that says BYE, or gives a job back, or comes back after its connection broke (the same instance). */
#ifndef TPN_POISON_H
#define TPN_POISON_H

#include "request.h"
#include "roster.h"

struct broker;

enum { POISON_LOSSES = 2 };

/* Its worker died while it held the request. */
void poison_loss(struct request *request, const struct worker *worker);

/* An instance of a worker speaks again: what was held against requests because of it is taken back. */
void poison_back(struct broker *broker, const char *instance);

/* Was it lost before, so that it is to be alone with its worker? */
bool poison_suspect(const struct request *request);

/* Has it killed enough? */
bool poison_proven(const struct request *request);

/* Set a LEASED request aside: FAILED, its body is kept for a redrive. It leaves lease and memory. */
void poison_aside(struct broker *broker, struct request *request);

#endif
