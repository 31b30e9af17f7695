/* What fast_sink says and hears on one connection: SMTP that takes every mail and forgets it, fed with whatever bytes came.
 * No sockets in here. */
#ifndef TPN_SINK_TALK_H
#define TPN_SINK_TALK_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SINK_LINE_BYTES = 2048 };

/* What arrived, over all connections. */
struct sink_tally {
    uint64_t *ids; /* of each mail that had one: a digest of its Message-ID */
    size_t named;  /* of them */
    size_t room;
    size_t mails;
    size_t recipients;
    size_t bytes;
};

enum sink_phase { SINK_COMMAND, SINK_HEADER, SINK_BODY };

/* One connection; zeroed is a new one. */
struct sink_talk {
    enum sink_phase phase;
    bool secure;  /* STARTTLS is not offered any more */
    bool offered; /* STARTTLS is offered in clear text */
    bool upgrade; /* out: 220 is said, TLS comes next */
    bool over;    /* out: QUIT was said */
    bool in_id;   /* the header line before was Message-ID, so what is folded belongs to it */
    bool has_id;
    uint8_t matched; /* bytes of CR LF . CR LF at the end of what came */
    uint64_t id;
    size_t recipients;
    size_t line_len;
    char line[SINK_LINE_BYTES]; /* that has no end yet */
};

/* The greeting, 220. */
void sink_talk_greet(struct buf *replies);

/* Hear len bytes; what is to be answered is added to replies. Stops behind STARTTLS and QUIT: what came behind them is
 * dropped. Returns false when the client breaks the rules: a line that is too long. */
bool sink_talk_feed(struct sink_talk *talk, const char *data, size_t len,
                    struct sink_tally *tally, struct buf *replies);

/* How many different Message-IDs came. Sorts ids. */
size_t sink_tally_different(struct sink_tally *tally);

#endif
