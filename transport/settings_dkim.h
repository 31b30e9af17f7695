/* The DKIM fields of the settings: all of them or none. */
#ifndef TPN_SETTINGS_DKIM_H
#define TPN_SETTINGS_DKIM_H

#include "settings.h"

/* Check the fields dkim_… and fill out; its count is 0 when none is set. The keys themselves are the worker's to read.
 *  field  out, the name of the first wrong field, borrowed for ever; untouched on success
 * Returns ERR_OK or ERR_INVALID with the rule in why. Source: RFC 6376 3.1, 3.5. */
enum err settings_dkim_choose(const PB(MailingSettings) *settings, struct settings_dkim *out,
                              const char **field, struct err_text *why) NODISCARD;

#endif
