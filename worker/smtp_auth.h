/* Before the login: the secret, and who leads the dialogue.
 *
 * Ours (smtp_login.h), but for NTLM where libcurl has it: `ntlm_engine` of the profile. libcurl
 * answers servers of NTLM version 1 as well, whose answer can be cracked by who listens, so it
 * leads only where TLS with a checked certificate or a pinned key hides it; and it knows passwords of
 * Latin-1 only. */
#ifndef TPN_SMTP_AUTH_H
#define TPN_SMTP_AUTH_H

#include "settings.h"

#include <curl/curl.h>

enum smtp_auth_by { SMTP_AUTH_NOBODY, SMTP_AUTH_OURS, SMTP_AUTH_LIBCURL };

/* Fetch the secret and choose who logs in; SMTP_AUTH_LIBCURL has its options set on easy.
 *  secret  out: the caller's for SMTP_AUTH_OURS, to be given to secret_free; else null. For OAUTH2 it is the token
 *          that was fetched before, and stays
 * Returns ERR_OK; ERR_INVALID login without TLS, ntlm_engine libcurl where it cannot; else why the
 * secret cannot be had. */
enum err smtp_auth_prepare(const struct settings_plan *plan, CURL *easy, char **secret,
                           enum smtp_auth_by *by, struct err_text *why) NODISCARD;

#endif
