/* Producers who ask for what is not theirs. The answer is "no such request" in any case; here it is found out whether
 * somebody else has one of that id, so that the attempt leaves a trace. */
#ifndef TPN_TRESPASS_H
#define TPN_TRESPASS_H

struct broker;

/* A producer asked for an id that it has not. Looks once more, for anybody's, and notes the attempt (refusal.h) when there is
 * one; nobody waits for that. producer and id are copied. Without keys there is nobody else: does nothing. */
void trespass_look(struct broker *broker, const char *producer, const char *id);

#endif
