/* The body of a mail: MIME headers and parts.
 *
 *   mixed( alternative( text, related( html, inline … ), calendar ), attachments … )
 *
 * with every multipart left out that would hold one part only. */
#ifndef TPN_MIME_H
#define TPN_MIME_H

#include "buf.h"
#include "pb.h"

enum { MIME_ID_CHARS = 32 };

/* About how many bytes mime_put_body will append: for one reservation instead of many. */
size_t mime_guess_bytes(const PB(Message) *message);

/* Append the Content- headers, the blank line and the body, which ends in CRLF.
 *  id  hex digits that the boundaries are made of: the same id, the same bytes
 * The message must have passed message_rule_content (message_rule.h). */
void mime_put_body(struct buf *out, const PB(Message) *message,
                   const char id[MIME_ID_CHARS + 1]);

#endif
