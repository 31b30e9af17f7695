/* Which grant needs which field: one row a field. Fetches nothing. */
#include "settings_oauth.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

enum field_kind { FIELD_TEXT, FIELD_SECRET, FIELD_URL, FIELD_PATH };

enum {
    REFRESH = 1U << PB_GRANT(REFRESH_TOKEN),
    CLIENT = 1U << PB_GRANT(CLIENT_CREDENTIALS),
    SERVICE = 1U << PB_GRANT(SERVICE_ACCOUNT),
    ALL = REFRESH | CLIENT | SERVICE
};

static const struct oauth_field {
    const char *name;
    size_t from; /* in MailingSettings */
    size_t to;   /* in the plan */
    enum field_kind kind;
    unsigned allowed; /* grants */
    unsigned needed;
} fields[] = {
#define FIELD(name, kind, allowed, needed)                                                     \
    {                                                                                          \
#name, offsetof(PB(MailingSettings), name), offsetof(struct settings_plan, name),      \
            FIELD_##kind, allowed, needed                                                      \
    }
    FIELD(oauth_token_endpoint, URL, ALL, ALL),
    FIELD(oauth_client_id, TEXT, ALL, (unsigned)REFRESH | CLIENT),
    FIELD(oauth_client_secret, SECRET, (unsigned)REFRESH | CLIENT, CLIENT),
    FIELD(oauth_refresh_token, SECRET, REFRESH, REFRESH),
    FIELD(oauth_scope, TEXT, ALL, SERVICE),
    FIELD(oauth_key, SECRET, SERVICE, SERVICE),
    FIELD(oauth_ca_file, PATH, ALL, 0),
};

static const char *const grant_names[] = {
    [PB_GRANT(REFRESH_TOKEN)] = "refresh_token",
    [PB_GRANT(CLIENT_CREDENTIALS)] = "client_credentials",
    [PB_GRANT(SERVICE_ACCOUNT)] = "service_account",
};

static const char *text_at(const void *base, size_t offset)
{
    const char *text = NULL;
    memcpy(&text, (const char *)base + offset, sizeof text);
    return text != NULL ? text : "";
}

/* https, a host, and nothing that libcurl would read as a login. */
static bool is_url(const char *text)
{
    static const char scheme[] = "https://";
    if (strncasecmp(text, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    const char *host = text + sizeof scheme - 1;
    size_t host_len = strcspn(host, "/?#");
    return host_len > 0 && host[0] != ':' && memchr(host, '@', host_len) == NULL &&
           strpbrk(text, " \t\\\"<>") == NULL;
}

static enum err check_form(const struct oauth_field *field, const char *text,
                           struct err_text *why)
{
    switch (field->kind) {
    case FIELD_SECRET:
        return settings_is_reference(text)
                   ? ERR_OK
                   : err_set(why, ERR_INVALID,
                             "must be a reference: file:PATH, env:NAME, credential:NAME or "
                             "sealed:BASE64");
    case FIELD_URL:
        return is_url(text) ? ERR_OK
                            : err_set(why, ERR_INVALID,
                                      "must be an https:// address without a user name");
    case FIELD_PATH:
        return text[0] == '/' ? ERR_OK : err_set(why, ERR_INVALID, "must be an absolute path");
    default:
        return ERR_OK;
    }
}

static enum err check_field(const struct oauth_field *field, const char *text, int grant,
                            struct err_text *why)
{
    unsigned bit = 1U << grant;
    if (text[0] == '\0') {
        return (field->needed & bit) == 0
                   ? ERR_OK
                   : err_set(why, ERR_INVALID, "required: oauth_grant is %s",
                             grant_names[grant]);
    }
    if ((field->allowed & bit) == 0) {
        return err_set(why, ERR_INVALID, "given, but oauth_grant is %s", grant_names[grant]);
    }
    return check_form(field, text, why);
}

enum err settings_oauth_choose(const PB(MailingSettings) *settings, struct settings_plan *plan,
                               const char **field, struct err_text *why)
{
    bool wanted = plan->authentication == PB_AUTH(OAUTH2);
    plan->oauth_grant = settings->oauth_grant != PB_GRANT(UNSPECIFIED)
                            ? (int)settings->oauth_grant
                            : (int)PB_GRANT(REFRESH_TOKEN);
    if (!wanted && plan->oauth_grant != PB_GRANT(REFRESH_TOKEN)) {
        *field = "oauth_grant";
        return err_set(why, ERR_INVALID, "given, but authentication is not OAUTH2");
    }
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const char *text = text_at(settings, fields[i].from);
        enum err err = ERR_OK;
        memcpy((char *)plan + fields[i].to, &text, sizeof text);
        if (wanted) {
            err = check_field(&fields[i], text, plan->oauth_grant, why);
        } else if (text[0] != '\0') {
            err = err_set(why, ERR_INVALID, "given, but authentication is not OAUTH2");
        }
        if (err != ERR_OK) {
            *field = fields[i].name;
            return err;
        }
    }
    return ERR_OK;
}
