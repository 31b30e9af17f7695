/* Which headers of its own a producer may put into a mail. The broker's gate and the worker ask the same question. */
#ifndef TPN_HEADER_RULE_H
#define TPN_HEADER_RULE_H

#include "err.h"

/* Check one extra header.
 *  part  out, "name" or "value": which of the two is wrong; borrowed for ever, untouched on success
 * Returns ERR_OK or ERR_INVALID with the rule in why. Source: RFC 5322 3.6.8; proto/README.md "Header". */
enum err header_rule_check(const char *name, const char *value, const char **part,
                           struct err_text *why) NODISCARD;

#endif
