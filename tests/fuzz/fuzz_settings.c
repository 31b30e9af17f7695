/* The Server tab: whatever settings come, a plan never weakens them.
 *
 * Input: packed MailingSettings. */
#include "fuzz.h"

#include "check.h"
#include "settings.h"
#include "smtp_plan.h"

#include <string.h>

static void demand_smtp(const PB(MailingSettings) *from, const struct settings_plan *plan)
{
    demand(plan->server[0] != '\0' && strpbrk(plan->server, "/@?#\\%[] \t\r\n") == NULL,
           "server %s", plan->server);
    demand(plan->port != 0, "no port");
    demand(!from->use_tls || plan->tls != SETTINGS_TLS_NONE, "TLS is on, the plan has none");
    demand(plan->port != 465 || plan->tls == SETTINGS_TLS_IMPLICIT, "465 without TLS");
    demand(plan->authentication == PB_AUTH(ANONYMOUS) || plan->tls != SETTINGS_TLS_NONE ||
               from->allow_cleartext_auth,
           "a login in clear text");
    demand(plan->authentication == PB_AUTH(ANONYMOUS) ||
               (plan->user_name[0] != '\0' && plan->password[0] != '\0'),
           "a login without credentials");
    demand(plan->verify == !from->tls_no_verify, "verify");
    demand(plan->connect_timeout_ms >= 100 && plan->reply_timeout_ms >= 100 &&
               plan->content_timeout_ms >= 100,
           "a time-out of nothing");
    demand(plan->max_connections > 0 && plan->max_recipients_per_message > 0, "a limit of 0");
}

static void demand_plan(const PB(MailingSettings) *from, const struct settings_plan *plan)
{
    struct settings_plan copy;
    if (plan->route == SETTINGS_SMTP) {
        demand_smtp(from, plan);
    }
    demand(plan->route != SETTINGS_PICKUP || plan->folder[0] == '/', "folder %s", plan->folder);
    smtp_plan_copy(plan, &copy);
    demand(smtp_plan_same(plan, &copy), "a copy differs");
    smtp_plan_fini(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_fault fault = {.field = ""};
    if (check_bytes(PB_DESCRIPTOR(mailing_settings), data, size, &fault) != ERR_OK) {
        return 0;
    }
    PB(MailingSettings) *settings = PB_UNPACK(mailing_settings, size, data);
    demand(settings != NULL, "does not unpack");
    struct settings_plan plan;
    struct err_text why = {0};
    const char *field = NULL;
    if (settings_plan(settings, &plan, &field, &why) == ERR_OK) {
        demand_plan(settings, &plan);
    } else {
        demand(field != NULL && field[0] != '\0' && why.text[0] != '\0', "no field, no rule");
    }
    protobuf_c_message_free_unpacked(&settings->base, NULL);
    return 0;
}
