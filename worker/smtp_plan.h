/* A plan of one's own: settings_plan borrows its texts, a pool of connections outlives them. */
#ifndef TPN_SMTP_PLAN_H
#define TPN_SMTP_PLAN_H

#include "digest.h"
#include "settings.h"

#include <stdbool.h>

/* A copy with texts of its own and without reply_rules; null texts become "". smtp_plan_fini accepts a zeroed one. */
void smtp_plan_copy(const struct settings_plan *from, struct settings_plan *to);
void smtp_plan_fini(struct settings_plan *plan);

/* True when connections of one may serve the other: every field that SMTP looks at is the
 * same. */
bool smtp_plan_same(const struct settings_plan *a, const struct settings_plan *b);

/* A digest over the same fields. */
void smtp_plan_digest(const struct settings_plan *plan, uint8_t out[DIGEST_BYTES]);

#endif
