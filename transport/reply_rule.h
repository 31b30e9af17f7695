/* A profile's own rules for replies: (phase, code, enhanced code, words) -> class. They come before
 * the table of worker/outcome.c.
 *
 * Patterns: a code is "450", "45x" or "5xx"; an enhanced code is "5.7.1", "5.7.x" or "x.2.2".
 * Only refusals (400 to 599) can be told apart by rules, and a rule can make of them nothing but
 * a refusal or a deferral: what was accepted stays accepted, what is uncertain stays uncertain. */
#ifndef TPN_REPLY_RULE_H
#define TPN_REPLY_RULE_H

#include "err.h"
#include "pb.h"

#include <stdbool.h>

/* How many rules one profile may have, its own and those that stand for all profiles, each. */
enum { REPLY_RULES_MAX = 32 };

/* Check one rule by itself.
 *  field  out, the name of the field at fault, borrowed for ever; untouched on success
 * Returns ERR_OK, or ERR_INVALID with the rule in why. */
enum err reply_rule_check(const PB(ReplyRule) *rule, const char **field,
                          struct err_text *why) NODISCARD;

/* Does the rule fit this reply?
 *  phase     PB_PHASE(…) of the command that was answered
 *  code      as it came; below 400 nothing fits
 *  enhanced  "5.1.1", or ""
 *  text      the server's words; case does not count */
bool reply_rule_fits(const PB(ReplyRule) *rule, int phase, unsigned code, const char *enhanced,
                     const char *text);

/* Does an enhanced code fit a pattern, in which an x stands for any number? "" fits everything. */
bool reply_rule_enhanced_fits(const char *pattern, const char *enhanced);

#endif
