/* The acts that are moves, recipient by recipient. Knows no request and no store: who is changed, and to what. */
#include "operate_recipient.h"

#include "request.h"

static char *lent(const char *text)
{
    return (char *)(uintptr_t)text;
}

bool operate_recipient_cancel(enum state state, PB(RecipientResult) *one, const char *text)
{
    (void)state;
    if (one->outcome != PB_OUTCOME(PENDING) && one->outcome != PB_OUTCOME(DEFERRED) &&
        one->outcome != PB_OUTCOME(PERMITTED)) {
        return false;
    }
    if (request_is_marked(one)) {
        one->outcome = PB_OUTCOME(UNKNOWN); /* it was not refused */
        return true;
    }
    one->outcome = PB_OUTCOME(REFUSED);
    if (one->text[0] == '\0') { /* else the last reply stays readable */
        one->phase = PB_PHASE(BROKER);
        one->text = lent(text);
    }
    return true;
}

bool operate_recipient_resend(enum state state, PB(RecipientResult) *one, const char *text)
{
    (void)state;
    (void)text;
    if (one->outcome != PB_OUTCOME(UNKNOWN)) {
        return false;
    }
    one->may_have_it = true;
    one->outcome = PB_OUTCOME(PENDING);
    if (one->phase == PB_PHASE(UNSPECIFIED)) {
        one->phase = PB_PHASE(BROKER);
    }
    return true;
}

bool operate_recipient_retry(enum state state, PB(RecipientResult) *one, const char *text)
{
    /* A deferred request only comes sooner: who was refused stays refused. */
    if (state == STATE_DEFERRED || one->outcome == PB_OUTCOME(DELIVERED)) {
        return false;
    }
    if (one->outcome == PB_OUTCOME(UNKNOWN)) {
        return operate_recipient_resend(state, one, text);
    }
    one->outcome = PB_OUTCOME(PENDING);
    one->phase = PB_PHASE(UNSPECIFIED);
    one->failure_class = PB_CLASS(NONE);
    one->smtp_code = 0;
    one->enhanced_code = lent("");
    one->text = lent("");
    return true;
}

bool operate_recipient_sent(enum state state, PB(RecipientResult) *one, const char *text)
{
    (void)state;
    if (one->outcome != PB_OUTCOME(UNKNOWN)) {
        return false;
    }
    one->outcome = PB_OUTCOME(DELIVERED);
    one->phase = PB_PHASE(BROKER);
    one->failure_class = PB_CLASS(NONE);
    one->smtp_code = 0;
    one->enhanced_code = lent("");
    one->text = lent(text);
    return true;
}
