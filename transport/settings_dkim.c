/* Who signs: domain, selectors and references to keys (RFC 6376 3.5).
 *
 * A half of it is refused: a mail that was meant to be signed and is not is found out by its recipients only. */
#include "settings_dkim.h"

#include "address.h"

#include <string.h>

enum { SELECTOR_MAX_BYTES = 63 };

_Static_assert((int)SETTINGS_SERVER_BYTES > (int)ADDRESS_DOMAIN_MAX_BYTES, "a domain must fit");

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static enum err refuse(const char **field, const char *name, struct err_text *why,
                       const char *rule)
{
    *field = name;
    return err_set(why, ERR_INVALID, "%s", rule);
}

/* Labels of letters, digits, hyphens and underscores: it becomes a part of a DNS name. */
static bool is_selector(const char *text)
{
    char out[ADDRESS_DOMAIN_MAX_BYTES + 1];
    struct err_text why;
    size_t len = strlen(text);
    return len <= SELECTOR_MAX_BYTES && address_host_to_ascii(text, len, out, &why) == ERR_OK &&
           strcmp(out, text) == 0;
}

static enum err choose_domain(const char *domain, struct settings_dkim *out, const char **field,
                              struct err_text *why)
{
    static const char name[] = "dkim_domain";
    struct err_text rule;
    if (!is_given(domain)) {
        return refuse(field, name, why, "required: the domain that signs, as example.com");
    }
    if (address_host_to_ascii(domain, strlen(domain), out->domain, &rule) != ERR_OK) {
        return refuse(field, name, why, "must be a domain name, as example.com");
    }
    return ERR_OK;
}

/* One selector with its key. Nothing is added when neither is given. */
static enum err choose_key(const struct settings_dkim_key *given, const char *selector_field,
                           struct settings_dkim *out, const char **field, struct err_text *why)
{
    if (!is_given(given->selector) && !is_given(given->key)) {
        return ERR_OK;
    }
    if (!is_given(given->selector)) {
        return refuse(field, selector_field, why,
                      "required: the name under which DNS has the public key");
    }
    if (!is_given(given->key)) {
        return refuse(field, given->field, why,
                      "required: where the private key lies, as file:/etc/trackpro/dkim.pem");
    }
    if (!is_selector(given->selector)) {
        return refuse(field, selector_field, why,
                      "must be a DNS label, as mail2026, of at most 63 characters");
    }
    if (!settings_is_reference(given->key)) {
        return refuse(field, given->field, why,
                      "must be a reference: file:PATH, env:NAME or credential:NAME");
    }
    if (out->count > 0 && strcmp(out->keys[0].selector, given->selector) == 0) {
        return refuse(field, selector_field, why,
                      "is the name of the other key: each has its own");
    }
    out->keys[out->count++] = *given;
    return ERR_OK;
}

enum err settings_dkim_choose(const PB(MailingSettings) *settings, struct settings_dkim *out,
                              const char **field, struct err_text *why)
{
    const struct settings_dkim_key first = {settings->dkim_selector, settings->dkim_key,
                                            "dkim_key"};
    const struct settings_dkim_key second = {settings->dkim_second_selector,
                                             settings->dkim_second_key, "dkim_second_key"};
    *out = (struct settings_dkim){.count = 0};
    enum err err = choose_key(&first, "dkim_selector", out, field, why);
    if (err == ERR_OK) {
        err = choose_key(&second, "dkim_second_selector", out, field, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (out->count == 0 && is_given(settings->dkim_domain)) {
        return refuse(field, "dkim_selector", why, "required: dkim_domain is set");
    }
    return out->count == 0 ? ERR_OK : choose_domain(settings->dkim_domain, out, field, why);
}
