/* Numbers in decimal, without printf(3): for what is written with every message or every line of the log. */
#ifndef TPN_DIGITS_H
#define TPN_DIGITS_H

#include <stdint.h>

enum { DIGITS_MAX = 20 }; /* of UINT64_MAX */

/* Write the number, with zeros in front to `least` digits (1 … DIGITS_MAX); no NUL. out: room for DIGITS_MAX bytes, or for as many as
 * the caller knows that it has. Returns where it ends. */
char *digits_put(char *out, uint64_t number, int least);

#endif
