/* Attempts that were refused: counted, logged and put into the audit record, and never so often that a stranger could fill a
 * disk with them. The first of its sort is told at once; what follows within a minute is told as a number. */
#ifndef TPN_REFUSAL_H
#define TPN_REFUSAL_H

#include <stddef.h>
#include <stdint.h>

struct broker;
struct map;

enum refusal_kind {
    REFUSAL_KEY,       /* a key that is on no list */
    REFUSAL_ROLE,      /* a key at a socket, or with a verb, that its role is not for */
    REFUSAL_REVOKED,   /* a message of a connection whose key was taken off the list */
    REFUSAL_POLICY,    /* a request or an act that the owner of the key may not make */
    REFUSAL_RATE,      /* too many requests a minute */
    REFUSAL_DUPLICATE, /* the same request again: a producer that is careful, or a replay */
    REFUSAL_MESSAGE, /* frames or fields that break a rule: no attempt at anything, so not in the audit record */
    REFUSAL_KINDS
};

struct refusals {
    uint64_t counts[REFUSAL_KINDS]; /* since the start */
    struct map *recent;             /* who, act and why -> struct refusal */
    int64_t swept_ms;
};

struct refusal_text {
    const char *who;    /* "producer trackpro", "stranger at 192.0.2.7" */
    const char *act;    /* what was tried: a verb, or "connect submit" */
    const char *target; /* a request's id, a field, a key; or "" */
    const char *why;    /* the rule */
};

/* Count one, and tell it unless its like was told within the last minute. */
void refusal_note(struct broker *broker, enum refusal_kind kind,
                  const struct refusal_text *text);

/* Tell the numbers of those whose minute is over; call it about once a second. */
void refusal_tick(struct broker *broker);

/* Tell all numbers now: before the store is closed. */
void refusal_flush(struct broker *broker);

/* Forget all. */
void refusal_fini(struct broker *broker);

#endif
