/* Content transfer encodings: 7bit, quoted-printable and base64.
 *
 * Output has CRLF only, lines of at most 76 characters, no line that begins with '.' or "From ", and never the two
 * characters "=_" at the head of a boundary line: a boundary with "=_" cannot occur in it. */
#ifndef TPN_ENCODE_H
#define TPN_ENCODE_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ENCODE_LINE_CHARS = 76 };

enum encode_kind { ENCODE_7BIT, ENCODE_QUOTED_PRINTABLE, ENCODE_BASE64, ENCODE_KIND_COUNT };

/* The value of Content-Transfer-Encoding; borrowed. */
const char *encode_name(enum encode_kind kind);

/* Append a text as 7bit, if it may go so; in any case first, for it is the cheapest. Line ends may be CR, LF or CRLF in any mixture
 * and become CRLF; the last line gets none that the text does not have.
 * Returns false when it may not: then out is what it was. */
bool encode_plain(struct buf *out, const char *text, size_t len) NODISCARD;

/* The shorter of quoted-printable and base64 for a text that encode_plain refused. */
enum encode_kind encode_choose(const char *text, size_t len);

/* Append a text in one of these two; its line ends as with encode_plain. */
void encode_text(struct buf *out, enum encode_kind kind, const char *text, size_t len);

/* The shorter of quoted-printable and base64 for bytes that must arrive exactly as they are, line ends included. */
enum encode_kind encode_choose_bytes(const void *data, size_t len);

/* Append bytes in one of these two; no CRLF behind the last line. */
void encode_bytes(struct buf *out, enum encode_kind kind, const void *data, size_t len);

/* Append bytes as base64 in lines of 76 characters; no CRLF behind the last line. Source: RFC 2045 6.8. */
void encode_base64(struct buf *out, const void *data, size_t len);

/* Bytes of len as base64 without line breaks and without a NUL; out has 4 * ((len + 2) / 3) bytes.
 * Returns the end of what was written. */
char *encode_base64_run(char *out, const uint8_t *data, size_t len);

#endif
