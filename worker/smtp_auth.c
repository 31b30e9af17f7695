/* Who leads the login, and with which secret. Says nothing to a server. */
#include "smtp_auth.h"

#include "mem.h"
#include "secret.h"
#include "utf8.h"

#include <string.h>

/* UTF-8 to Latin-1, which is what libcurl widens to UTF-16 (seen with 7.88.1). Null when a character
 * is beyond it. The caller's, to be given to secret_free. */
static char *to_latin1(const char *text)
{
    size_t len = strlen(text);
    char *out = mem_zero(len + 1, 1);
    size_t at_out = 0;
    for (size_t at = 0; at < len;) {
        uint32_t code = 0;
        size_t step = utf8_next(text + at, len - at, &code);
        if (step == 0 || code > 0xFF) {
            out[at_out] = '\0';
            secret_free(&out);
            return NULL;
        }
        out[at_out++] = (char)(uint8_t)code;
        at += step;
    }
    return out;
}

static bool libcurl_has_ntlm(void)
{
    return (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_NTLM) != 0;
}

/* Why libcurl should not lead; null when it may. */
static const char *why_not_libcurl(const struct settings_plan *plan, const char *user,
                                   const char *password)
{
    bool trusted =
        plan->tls != SETTINGS_TLS_NONE && (plan->verify || plan->pinned_public_key[0] != '\0');
    if (!libcurl_has_ntlm()) {
        return "this libcurl has no NTLM";
    }
    if (user == NULL || password == NULL) {
        return "libcurl knows names and passwords of Latin-1 only";
    }
    return trusted ? NULL
                   : "libcurl answers NTLM version 1 too, which needs TLS with a checked "
                     "certificate or a pinned key";
}

static enum err prepare_ntlm(const struct settings_plan *plan, CURL *easy, char **secret,
                             enum smtp_auth_by *by, struct err_text *why)
{
    enum err err = ERR_OK;
    char *user = NULL;
    char *password = NULL;
    const char *text = NULL;
    int code = CURLE_OK;
    *by = SMTP_AUTH_OURS;
    if (plan->ntlm_engine == PB_NTLM(OWN)) {
        return ERR_OK;
    }
    user = to_latin1(plan->user_name);
    password = to_latin1(*secret);
    text = why_not_libcurl(plan, user, password);
    if (text != NULL && plan->ntlm_engine == PB_NTLM(LIBCURL)) {
        err = err_set(why, ERR_INVALID, "ntlm_engine: %s: choose auto or own", text);
    }
    if (text != NULL) {
        goto out;
    }
    *by = SMTP_AUTH_LIBCURL;
    code |= (int)curl_easy_setopt(easy, CURLOPT_USERNAME, user);
    code |= (int)curl_easy_setopt(easy, CURLOPT_PASSWORD, password);
    code |= (int)curl_easy_setopt(easy, CURLOPT_LOGIN_OPTIONS, "AUTH=NTLM");
    if (code != CURLE_OK) {
        err = err_set(why, ERR_INVALID, "libcurl does not take the login options");
    }
    secret_free(secret); /* libcurl has its own copy, until the handle goes */
out:
    secret_free(&user);
    secret_free(&password);
    return err;
}

enum err smtp_auth_prepare(const struct settings_plan *plan, CURL *easy, char **secret,
                           enum smtp_auth_by *by, struct err_text *why)
{
    *by = SMTP_AUTH_NOBODY;
    if (plan->authentication == PB_AUTH(ANONYMOUS)) {
        return ERR_OK;
    }
    if (plan->tls == SETTINGS_TLS_NONE && !plan->allow_cleartext_auth) {
        return err_set(why, ERR_INVALID,
                       "authentication without TLS: allow_cleartext_auth is not set");
    }
    *by = SMTP_AUTH_OURS;
    if (plan->authentication == PB_AUTH(OAUTH2)) {
        return ERR_OK;
    }
    enum err err = secret_open(plan->keys, plan->password, secret, why);
    if (err == ERR_OK && plan->authentication == PB_AUTH(NTLM)) {
        err = prepare_ntlm(plan, easy, secret, by, why);
    }
    if (err != ERR_OK) {
        secret_free(secret);
    }
    return err;
}
