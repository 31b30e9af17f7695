/* Is it text? UTF-8 (base/utf8.h), and the control characters that may stand in it. */
#ifndef TPN_TEXT_H
#define TPN_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* What a text may hold besides visible characters and blanks. */
enum text_kind {
    TEXT_LINE, /* no control character at all: C0, DEL, C1 */
    TEXT_BODY  /* tab, CR and LF, and C1; no other of C0, no DEL */
};

enum text_fault {
    TEXT_OK = 0,
    TEXT_MALFORMED, /* not UTF-8 */
    TEXT_CONTROL    /* a control character that the kind does not allow, NUL included */
};

/* The first fault in len bytes. Plain ASCII goes 64 bytes a step. */
enum text_fault text_check(const void *data, size_t len, enum text_kind kind);

/* Is it ASCII with no control character but tab, CR and LF? 64 bytes a step. */
bool text_is_plain(const void *data, size_t len);

#endif
