/* How requests are shown: shared by status, explain and queue. */
#ifndef TPN_SHOW_H
#define TPN_SHOW_H

#include "pb.h"

/* A message as one line of JSON on standard output. */
void show_json(const ProtobufCMessage *message);

/* How a request stands: a line for it and one for each recipient. */
void show_request(const PB(RequestStatus) *request);

/* The whole story: a line for each step, oldest first, then how it stands. */
void show_history(const PB(RequestStatus) *request);

/* Exit code for a state: unknown request, bad end, or fine. */
int show_exit_code(int state);

#endif
