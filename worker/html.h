/* A plain text for those who cannot read the HTML part. */
#ifndef TPN_HTML_H
#define TPN_HTML_H

#include "buf.h"

#include <stddef.h>

/* Append the readable text of an HTML body: tags, scripts and styles dropped, line breaks where blocks end, characters
 * for their references, the address behind a link whose text is another. Lines end in LF. Takes any bytes; never
 * fails but for the maximum of out. Linear in len. */
void html_to_text(struct buf *out, const char *html, size_t len);

#endif
