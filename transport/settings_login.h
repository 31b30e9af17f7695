/* The login half of the Server tab: which mechanisms a connection may use, and which settings of a
 * login fit together.
 *
 * A mechanism that the profile does not allow is never used, and none is put in another's place. */
#ifndef TPN_SETTINGS_LOGIN_H
#define TPN_SETTINGS_LOGIN_H

#include "settings.h"

#include <stddef.h>

/* SASL mechanisms (RFC 4616, 2195, 7628; LOGIN and XOAUTH2 were never made RFCs). */
enum settings_mechanism {
    SETTINGS_MECHANISM_PLAIN,
    SETTINGS_MECHANISM_LOGIN,
    SETTINGS_MECHANISM_CRAM_MD5,
    SETTINGS_MECHANISM_NTLM,
    SETTINGS_MECHANISM_XOAUTH2,
    SETTINGS_MECHANISM_OAUTHBEARER,
    SETTINGS_MECHANISM_COUNT
};

/* Mechanisms in the order in which they are wanted. */
struct settings_mechanisms {
    enum settings_mechanism items[SETTINGS_MECHANISM_COUNT];
    size_t count;
};

/* Its name as servers spell it: "CRAM-MD5"; borrowed, never null. */
const char *settings_mechanism_name(enum settings_mechanism mechanism);

/* The mechanism of that name, len bytes, any case; SETTINGS_MECHANISM_COUNT when there is none. */
enum settings_mechanism settings_mechanism_find(const char *name, size_t len);

/* What a plan allows, first choice first: those of login_mechanisms, else all of its
 * authentication. With TLS the plain ones come first, for they need nothing stored in clear at
 * the server; without, the one that hides the password. ANONYMOUS: none. */
void settings_mechanisms(const struct settings_plan *plan, struct settings_mechanisms *out);

/* Check everything about the login. plan->tls is chosen already; sets the login fields of the plan.
 *  field  out, the name of the wrong field; untouched on success
 * Returns ERR_OK or ERR_INVALID with the rule in why. */
enum err settings_login_check(const PB(MailingSettings) *settings, struct settings_plan *plan,
                              const char **field, struct err_text *why) NODISCARD;

#endif
