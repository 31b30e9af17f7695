/* Mail headers: folding, encoded words (RFC 2047), parameters (RFC 2231), mailboxes.
 *
 * Lines are at most 76 characters where the value can be folded, and never start with anything but the name or one
 * blank. A value must be a line (check_form.h): message_rule.h and address.h see to that. */
#ifndef TPN_HEADER_H
#define TPN_HEADER_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>

/* A header being written. */
struct header {
    struct buf *out;
    size_t line_start; /* in out, of the line being written */
};

enum {
    HEADER_NAME_MAX_BYTES = 75,
    HEADER_WORD_FOLD = 66, /* a longer word of a text is split into encoded words … */
    HEADER_WORD_KEEP =
        900 /* … unless it may mean something to a program: up to the 998 of RFC 5322 */
};

/* "Name:"; the values follow, then header_close. */
void header_open(struct header *h, struct buf *out, const char *name);
void header_close(struct header *h);

/* A word that is never split, after a blank or a fold. */
void header_word(struct header *h, const char *word, size_t len);

/* Unstructured text; encoded words where it needs them.
 *  longest  words of ASCII up to this length stay as they are */
void header_text(struct header *h, const char *text, size_t longest);

/* One mailbox: name may be empty, address is in its wire form, after is "" or what follows it ("," in a list). */
void header_mailbox(struct header *h, const char *name, const char *address, const char *after);

/* A mailbox whose address no ASCII header can carry: an empty group that has it in its name, as readers show it (RFC 6857
 * 3.1.8). name may be empty. */
void header_mailbox_group(struct header *h, const char *name, const char *address);

/* "; name=value": as a token, quoted, or after RFC 2231 with a plain ASCII form beside it for old readers. */
void header_parameter(struct header *h, const char *name, const char *value);

/* A whole header with a value that needs no folding and no encoding. */
void header_line(struct buf *out, const char *name, const char *value);

#endif
