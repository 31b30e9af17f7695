/* The OAuth 2 fields of the settings. */
#ifndef TPN_SETTINGS_OAUTH_H
#define TPN_SETTINGS_OAUTH_H

#include "settings.h"

/* Check the fields oauth_… against each other and fill those of the plan, whose authentication is chosen already.
 *  field  out, the name of the first wrong field, borrowed for ever; untouched on success
 * Returns ERR_OK or ERR_INVALID with the rule in why. Source: RFC 6749 4.4, 6; RFC 7523 2.1. */
enum err settings_oauth_choose(const PB(MailingSettings) *settings, struct settings_plan *plan,
                               const char **field, struct err_text *why) NODISCARD;

#endif
