/* Extra headers of producers: the form of a name, the names that are not theirs, the form of a value.
 *
 * A name is narrower than RFC 5322 3.6.8 allows, because one such as ".x" or "From " means something else to a program on
 * the way. Knows nothing of the fields of a message: that a header and a field say the same is told by message_rule.c. */
#include "header_rule.h"

#include "check_form.h"
#include "check_rules.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Names that a producer may not set: the worker writes them, or they would change who gets or who sent the mail.
 * A '-' at the end means every name that begins so. */
static const char *const reserved[] = {
    "Auto-Submitted", "Bcc",          "Cc",         "Content-", "Date",       "DKIM-Signature",
    "From",           "MIME-Version", "Message-ID", "Received", "Reply-To",   "Resent-",
    "Return-Path",    "Sender",       "Subject",    "To",       "X-Receiver", "X-Sender",
    "X-TrackPro-",
};

static bool is_reserved(const char *name)
{
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        size_t len = strlen(reserved[i]);
        bool prefix = reserved[i][len - 1] == '-';
        if (strncasecmp(name, reserved[i], len) == 0 && (prefix || name[len] == '\0')) {
            return true;
        }
    }
    return false;
}

enum err header_rule_check(const char *name, const char *value, const char **part,
                           struct err_text *why)
{
    size_t len = strlen(name);
    const char *fault = check_form_fault(CHECK_HEADER_NAME, name, len);
    if (len == 0 || len > CHECK_HEADER_NAME_MAX_BYTES) {
        *part = "name";
        return err_set(why, ERR_INVALID, "1 to %d bytes", CHECK_HEADER_NAME_MAX_BYTES);
    }
    if (fault != NULL) {
        *part = "name";
        return err_set(why, ERR_INVALID, "%s", fault);
    }
    if (is_reserved(name)) {
        *part = "name";
        return err_set(why, ERR_INVALID, "this header is not the producer's to set");
    }
    fault = check_form_fault(CHECK_LINE, value, strlen(value));
    if (fault != NULL) {
        *part = "value";
        return err_set(why, ERR_INVALID, "%s", fault);
    }
    return ERR_OK;
}
