/* One SMTP reply, read from bytes that may be split anywhere. No allocation.
 *
 *   250-mx.example.org            code 250
 *   250 2.0.0 Ok: queued as 4F    enhanced 2.0.0, text "mx.example.org Ok: queued as 4F"
 *
 * Source: RFC 5321 4.2, RFC 2034 (enhanced codes). */
#ifndef TPN_SMTP_REPLY_H
#define TPN_SMTP_REPLY_H

#include "deliver.h"

#include <stddef.h>

enum {
    SMTP_REPLY_LINE_BYTES = 2048, /* RFC 5321 says 512; some servers are chatty */
    SMTP_REPLY_LINES = 64
};

enum smtp_reply_state {
    SMTP_REPLY_MORE, /* all bytes taken, the reply goes on */
    SMTP_REPLY_DONE, /* code, enhanced and text are there */
    SMTP_REPLY_BAD   /* no SMTP reply, or over a limit: the connection is of no more use */
};

struct smtp_reply {
    unsigned code;                         /* 200–599 */
    char enhanced[DELIVER_ENHANCED_BYTES]; /* "5.1.1", or ""; its class agrees with the code */
    char text[DELIVER_TEXT_BYTES]; /* without codes, lines joined by a blank, cut to fit */
    /* the parser's own */
    size_t text_len;
    unsigned lines;
    enum smtp_reply_state state;
    size_t line_len;
    char line[SMTP_REPLY_LINE_BYTES]; /* a line that came in pieces */
};

/* Forget everything: the next byte begins a reply. A zeroed one is ready as it is. */
void smtp_reply_reset(struct smtp_reply *reply);

/* Take bytes up to the end of the reply; feeding a reply that is done begins the next one.
 * Returns how many bytes were taken (the rest belongs to the next reply); reply->state says
 * how it stands. */
size_t smtp_reply_feed(struct smtp_reply *reply, const char *data, size_t len);

/* Read an enhanced status code (RFC 3463) at the start of text, followed by a blank or the end.
 * Returns its length, 0 when there is none. */
size_t smtp_reply_enhanced(const char *text, size_t len);

#endif
