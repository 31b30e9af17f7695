/* From a producer's bytes to a mail: the way of a request through gate and worker, without the two programs.
 *
 * Input: a packed NotificationRequest. What the field rules and the rules of a message let through, composing must not
 * refuse: a producer who has a receipt would hear of it too late. */
#include "fuzz.h"

#include "check.h"
#include "compose.h"
#include "message_rule.h"
#include "settings.h"

#include "mem.h"

#include <stdlib.h>

enum { LINE_LIMIT = 998 /* RFC 5322 2.1.1 */ };

static void demand_mail(const PB(NotificationRequest) *request, bool accepted)
{
    struct delivery delivery = {0};
    struct err_text why = {0};
    struct settings_plan plan = {.route = SETTINGS_SMTP};
    size_t count = compose_recipient_count(request);
    uint32_t *all = mem_zero(count + 1, sizeof *all);
    for (size_t i = 0; i < count; i++) {
        all[i] = (uint32_t)i;
    }
    struct compose_input input = {.request = request,
                                  .plan = &plan,
                                  .producer = "fuzz",
                                  .accepted_at_ms = 1795420800123,
                                  .recipients = all,
                                  .recipient_count = count};
    enum err err = compose_mail(&input, &delivery, &why);
    demand(err != ERR_INVALID || !accepted, "accepted, but: %s", why.text);
    demand(err == ERR_OK || why.text[0] != '\0', "refused without a word");
    if (err == ERR_OK) {
        fuzz_demand_lines(
            buf_text(&delivery.content), delivery.content.len,
            &(struct fuzz_lines){.longest = LINE_LIMIT, .utf8 = delivery.needs_utf8});
    }
    delivery_fini(&delivery);
    free(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_fault fault = {.field = ""};
    if (check_bytes(PB_DESCRIPTOR(notification_request), data, size, &fault) != ERR_OK) {
        return 0;
    }
    PB(NotificationRequest) *request = PB_UNPACK(notification_request, size, data);
    demand(request != NULL, "does not unpack");
    if (request->settings != NULL) {
        struct settings_plan plan;
        struct err_text why = {0};
        const char *field = NULL;
        enum err err = settings_plan(request->settings, &plan, &field, &why);
        demand(err == ERR_OK || (field != NULL && why.text[0] != '\0'), "no field, no rule");
    }
    bool accepted = message_rule_check(request->message, &fault) == ERR_OK;
    demand(accepted || fault.rule[0] != '\0', "refused without a rule");
    if (compose_recipient_count(request) > 0) {
        demand_mail(request, accepted);
    }
    protobuf_c_message_free_unpacked(&request->base, NULL);
    return 0;
}
