/* Producers' policies. Pure: knows no socket, keeps no state but the bucket that it is given.
 *
 * Every refusal names the list that says no, so that its reader knows which line of which file to ask for. */
#include "policy.h"

#include "address.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { TOKEN = 1000, MINUTE_MS = 60000 };

/* ---- patterns ---- */

static bool domain_good(const char *domain, struct err_text *why)
{
    char ascii[ADDRESS_DOMAIN_MAX_BYTES + 1];
    return address_host_to_ascii(domain, strlen(domain), ascii, why) == ERR_OK;
}

enum err policy_check_pattern(const char *text, struct err_text *why)
{
    if (strcmp(text, "*") == 0) {
        return ERR_OK;
    }
    if (text[0] == '@') {
        const char *domain = strncmp(text, "@*.", 3) == 0 ? text + 3 : text + 1;
        return domain_good(domain, why)
                   ? ERR_OK
                   : err_set(why, ERR_CONFIG,
                             "must be an address, '@domain', '@*.domain' or '*'");
    }
    return address_check(text, why) == ERR_OK
               ? ERR_OK
               : err_set(why, ERR_CONFIG, "must be an address, '@domain', '@*.domain' or '*'");
}

/* Domains as the wire has them; an address literal as it is. */
static void plain_domain(const char *domain, char out[ADDRESS_DOMAIN_MAX_BYTES + 1])
{
    struct err_text why;
    if (domain[0] == '[' ||
        address_host_to_ascii(domain, strlen(domain), out, &why) != ERR_OK) {
        (void)snprintf(out, ADDRESS_DOMAIN_MAX_BYTES + 1, "%s", domain);
    }
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);
    size_t end_len = strlen(end);
    return len > end_len && strcasecmp(text + len - end_len, end) == 0;
}

static bool matches(const char *pattern, const char *address, const char *domain)
{
    char wanted[ADDRESS_DOMAIN_MAX_BYTES + 1];
    if (strcmp(pattern, "*") == 0) {
        return true;
    }
    if (strncmp(pattern, "@*.", 3) == 0) {
        char below[ADDRESS_DOMAIN_MAX_BYTES + 2];
        plain_domain(pattern + 3, wanted);
        (void)snprintf(below, sizeof below, ".%s", wanted);
        return ends_with(domain, below);
    }
    plain_domain(address_domain(pattern), wanted);
    if (strcasecmp(wanted, domain) != 0) {
        return false;
    }
    size_t local = (size_t)(address_domain(address) - address);
    size_t wanted_local = (size_t)(address_domain(pattern) - pattern);
    return pattern[0] == '@' ||
           (local == wanted_local && strncasecmp(pattern, address, local) == 0);
}

bool policy_matches(const struct conf_texts *patterns, const char *address)
{
    char domain[ADDRESS_DOMAIN_MAX_BYTES + 1];
    plain_domain(address_domain(address), domain);
    for (size_t i = 0; i < patterns->count; i++) {
        if (matches(patterns->items[i], address, domain)) {
            return true;
        }
    }
    return false;
}

/* ---- a request ---- */

static bool refuse(struct wire_fault *fault, const struct access_entry *who, const char *field,
                   const char *rule)
{
    return wire_refuse(fault, field, "%s (allow list: %s)", rule, who->name);
}

static bool good_sender(const struct access_entry *who, const PB(Mailbox) *box,
                        const char *field, struct wire_fault *fault)
{
    return box == NULL || policy_matches(&who->from, box->address) ||
           refuse(fault, who, field, "is not one that this producer may send from: from");
}

static bool good_recipients(const struct access_entry *who, PB(Mailbox) *const boxes[],
                            size_t count, const char *list, struct wire_fault *fault)
{
    for (size_t i = 0; i < count; i++) {
        if (!policy_matches(&who->recipients, boxes[i]->address)) {
            char field[64];
            (void)snprintf(field, sizeof field, "message.%s[%zu].address", list, i);
            return refuse(fault, who, field,
                          "is not one that this producer may send to: recipients");
        }
    }
    return true;
}

static bool good_message(const struct access_entry *who, const PB(Message) *message,
                         struct wire_fault *fault)
{
    return good_sender(who, message->from, "message.from.address", fault) &&
           good_sender(who, message->sender, "message.sender.address", fault) &&
           good_recipients(who, message->to, message->n_to, "to", fault) &&
           good_recipients(who, message->cc, message->n_cc, "cc", fault) &&
           good_recipients(who, message->bcc, message->n_bcc, "bcc", fault);
}

bool policy_request(const struct access_entry *who, const PB(NotificationRequest) *request,
                    size_t bytes, struct wire_fault *fault)
{
    if (who->open) {
        return true;
    }
    if (bytes > who->max_bytes) {
        return refuse(fault, who, "",
                      "the request is larger than this producer may send: max_bytes");
    }
    if (request->settings != NULL && !who->inline_settings) {
        return refuse(fault, who, "settings",
                      "this producer may not bring its own settings: inline_settings");
    }
    if (request->settings == NULL && !access_lists(&who->profiles, request->profile)) {
        return refuse(fault, who, "profile",
                      "this producer may not use this profile: profiles");
    }
    int priority = request->priority != 0 ? (int)request->priority : (int)PB_PRIORITY(NORMAL);
    if (priority > who->priority) {
        return refuse(fault, who, "priority",
                      "higher than this producer may ask for: priority");
    }
    return request->message == NULL || good_message(who, request->message, fault);
}

bool policy_probe(const struct access_entry *who, const PB(Probe) *probe,
                  struct wire_fault *fault)
{
    if (who->open) {
        return true;
    }
    if (probe->settings != NULL && !who->inline_settings) {
        return refuse(fault, who, "settings",
                      "this producer may not bring its own settings: inline_settings");
    }
    if (probe->settings == NULL && !access_lists(&who->profiles, probe->profile)) {
        return refuse(fault, who, "profile",
                      "this producer may not use this profile: profiles");
    }
    if (probe->from[0] != '\0' && !policy_matches(&who->from, probe->from)) {
        return refuse(fault, who, "from", "is not one that this producer may send from: from");
    }
    return probe->recipient[0] == '\0' || policy_matches(&who->recipients, probe->recipient) ||
           refuse(fault, who, "recipient",
                  "is not one that this producer may send to: recipients");
}

/* ---- requests a minute ---- */

uint32_t policy_take(struct policy_bucket *bucket, uint32_t per_minute, int64_t now_ms)
{
    int64_t full = (int64_t)per_minute * TOKEN;
    if (per_minute == 0) {
        return 0;
    }
    int64_t passed_ms = now_ms - bucket->at_ms;
    if (bucket->at_ms == 0 || passed_ms >= MINUTE_MS) {
        bucket->tokens = full;
        bucket->at_ms = now_ms;
    } else if (passed_ms > 0) {
        int64_t more = passed_ms * full / MINUTE_MS;
        if (more > 0) { /* what is less than a thousandth waits for the next time */
            bucket->tokens = bucket->tokens + more < full ? bucket->tokens + more : full;
            bucket->at_ms = now_ms;
        }
    }
    if (bucket->tokens >= TOKEN) {
        bucket->tokens -= TOKEN;
        return 0;
    }
    if (bucket->tokens > full) {
        bucket->tokens = full; /* the limit was lowered */
    }
    return (uint32_t)((TOKEN - bucket->tokens) * MINUTE_MS / full) + 1;
}
