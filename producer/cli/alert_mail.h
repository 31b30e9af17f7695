/* The custodian alert: subject, text, HTML and id of one notification. */
#ifndef TPN_ALERT_MAIL_H
#define TPN_ALERT_MAIL_H

#include "buf.h"
#include "due.h"

enum { ALERT_ID_BYTES = 64, ALERT_PART_MAX_BYTES = 4 * 1024 * 1024 };

/* "alert-2026-11-23-<32 hex digits>", made of custodian, day and items (asset and due date):
 * the same list gives the same id, whatever the order of its rows. Returns out. */
const char *alert_mail_id(const struct due_custodian *custodian, due_day today,
                          char out[ALERT_ID_BYTES]);

/* Each appends to out. The same input gives the same bytes on every machine. pattern: null =
 * the usual subject; {items} and {past_due} in it are replaced by the numbers. */
void alert_mail_subject(struct buf *out, const struct due_custodian *custodian,
                        const char *pattern);
void alert_mail_text(struct buf *out, const struct due_custodian *custodian, due_day today);
void alert_mail_html(struct buf *out, const struct due_custodian *custodian, due_day today);

#endif
