/* What one producer may send: its entry of the allow list held against a request.
 *
 * An address pattern is an address, '@domain' for all of a domain, '@*.domain' for all below it, or '*'. Letters count as
 * equal in either case; internationalised domains are compared in their ASCII form. */
#ifndef TPN_POLICY_H
#define TPN_POLICY_H

#include "access.h"
#include "pb.h"
#include "wire.h"

/* May this producer send this request of that many bytes? False with field and rule in fault. */
bool policy_request(const struct access_entry *who, const PB(NotificationRequest) *request,
                    size_t bytes, struct wire_fault *fault) NODISCARD;

/* May this producer have these settings tested, in its name and to that recipient? The same. */
bool policy_probe(const struct access_entry *who, const PB(Probe) *probe,
                  struct wire_fault *fault) NODISCARD;

/* Is text a pattern? ERR_CONFIG with the rule: a conf_text_fn. */
enum err policy_check_pattern(const char *text, struct err_text *why);

/* Does one of the patterns match? */
bool policy_matches(const struct conf_texts *patterns, const char *address);

/* Requests a minute: a bucket that holds one minute's worth and is full at first. */
struct policy_bucket {
    int64_t tokens; /* in thousandths */
    int64_t at_ms;
};

/* Take one out of the bucket. 0 = there was one, else the milliseconds until there is. per_minute 0 = always. */
uint32_t policy_take(struct policy_bucket *bucket, uint32_t per_minute, int64_t now_ms);

#endif
