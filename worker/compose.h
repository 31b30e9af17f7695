/* A NotificationRequest becomes mail: envelope and RFC 5322 bytes.
 *
 * One byte stream for every back end: CRLF only, 7-bit, lines of at most 76 characters where the format lets us, no line
 * that begins with '.', headers after RFC 2047 and RFC 2231, domains as A-labels. No CR, LF or NUL of a producer ever
 * reaches a header. The same request gives the same bytes on every attempt (Message-ID, Date and boundaries are derived). */
#ifndef TPN_COMPOSE_H
#define TPN_COMPOSE_H

#include "deliver.h"
#include "dkim_key.h"

enum { COMPOSE_MAX_BYTES = 64 * 1024 * 1024 };

struct compose_input {
    const PB(NotificationRequest) *request;
    const struct settings_plan *plan;
    const char *producer;
    int64_t accepted_at_ms; /* becomes Date */
    const uint32_t
        *recipients; /* indices over to, cc, bcc in this order: the envelope of this part */
    size_t recipient_count;
    bool
        ascii_only; /* write addresses that need SMTPUTF8 in To, Cc and Reply-To in a way that does not */
    bool one_each;                /* split: the To header names this part's recipient only */
    struct digest_maker *digests; /* for the names of the mail; null = one is made for each */
    struct dkim_keys *keys;  /* for signing; may be null when the plan asks for no signature */
    bool possible_duplicate; /* adds X-TrackPro-Possible-Duplicate: yes */
    bool forms_checked;      /* the request has just passed check_bytes */
};

/* Fill envelope, content (signed when the plan says so), message_id, file_name, needs_utf8, want_delivery_receipt of a delivery that is zeroed but for
 * part: set that first, because the file name ends in it.
 * Returns ERR_OK; ERR_INVALID the request cannot be made into mail (why names field and rule: final for all
 * recipients); ERR_CONFIG the profile's DKIM key cannot be used (to be tried again when that is mended); ERR_LIMIT larger than
 * COMPOSE_MAX_BYTES. The delivery is safe to delivery_fini in every case.
 * Source: RFC 5322, 2045–2047, 2231, 3834. */
enum err compose_mail(const struct compose_input *input, struct delivery *delivery,
                      struct err_text *why) NODISCARD;

/* Number of recipients over to, cc, bcc. */
size_t compose_recipient_count(const PB(NotificationRequest) *request);

/* The mailbox behind an index over to, cc, bcc; null when out of range. */
const PB(Mailbox) *compose_recipient(const PB(NotificationRequest) *request, uint32_t index);

#endif
