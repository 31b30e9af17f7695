/* What a server offers: the lines of its reply to EHLO (RFC 5321 4.1.1.1). */
#ifndef TPN_SMTP_OFFER_H
#define TPN_SMTP_OFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the last EHLO offered. Zeroed: nothing. */
struct smtp_offer {
    unsigned mechanisms; /* of AUTH, bits by enum settings_mechanism */
    bool pipelining;
    bool smtputf8;
    bool dsn;
    bool eight_bit;      /* 8BITMIME */
    bool size;           /* SIZE was offered */
    uint64_t size_bytes; /* its limit, 0 = none stated */
    uint32_t rcpt_max;   /* LIMITS (RFC 9422): recipients of one mail, 0 = none stated */
    uint32_t mail_max;   /* mails of one connection, 0 = none stated */
};

/* Take one line of the reply behind its code, "SIZE 35882577", with or without its line end. What is not known is passed
 * over; a SIZE that is no number states no limit.
 *  line  len bytes, from the network: needs no NUL, may have several */
void smtp_offer_take(struct smtp_offer *offer, const char *line, size_t len);

#endif
