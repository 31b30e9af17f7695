/* Rules of the login: who needs which field, and what may not go without TLS.
 *
 * One row for each kind of authentication says what it needs; the rest of the file reads the list
 * of mechanisms. Fetches no secret: a reference is all there is to see here. */
#include "settings_login.h"

#include "settings_oauth.h"

#include <string.h>
#include <strings.h>

#define WORD_BREAKS " ,\t"

enum {
    PLAIN = 1U << SETTINGS_MECHANISM_PLAIN,
    LOGIN = 1U << SETTINGS_MECHANISM_LOGIN,
    CRAM_MD5 = 1U << SETTINGS_MECHANISM_CRAM_MD5,
    NTLM = 1U << SETTINGS_MECHANISM_NTLM,
    XOAUTH2 = 1U << SETTINGS_MECHANISM_XOAUTH2,
    OAUTHBEARER = 1U << SETTINGS_MECHANISM_OAUTHBEARER
};

static const char *const mechanism_names[SETTINGS_MECHANISM_COUNT] = {
    [SETTINGS_MECHANISM_PLAIN] = "PLAIN",
    [SETTINGS_MECHANISM_LOGIN] = "LOGIN",
    [SETTINGS_MECHANISM_CRAM_MD5] = "CRAM-MD5",
    [SETTINGS_MECHANISM_NTLM] = "NTLM",
    [SETTINGS_MECHANISM_XOAUTH2] = "XOAUTH2",
    [SETTINGS_MECHANISM_OAUTHBEARER] = "OAUTHBEARER",
};

/* What each kind of authentication is called, needs, and may use. */
static const struct kind {
    const char *name;
    unsigned mechanisms;
    bool needs_password;
} kinds[] = {
    [PB_AUTH(UNSPECIFIED)] = {"ANONYMOUS", 0, false},
    [PB_AUTH(ANONYMOUS)] = {"ANONYMOUS", 0, false},
    [PB_AUTH(BASIC)] = {"BASIC", (unsigned)PLAIN | LOGIN | CRAM_MD5, true},
    [PB_AUTH(NTLM)] = {"NTLM", NTLM, true},
    [PB_AUTH(OAUTH2)] = {"OAUTH2", (unsigned)XOAUTH2 | OAUTHBEARER, false},
};

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

const char *settings_mechanism_name(enum settings_mechanism mechanism)
{
    return (unsigned)mechanism < SETTINGS_MECHANISM_COUNT ? mechanism_names[mechanism] : "?";
}

enum settings_mechanism settings_mechanism_find(const char *name, size_t len)
{
    for (unsigned i = 0; i < SETTINGS_MECHANISM_COUNT; i++) {
        if (strlen(mechanism_names[i]) == len &&
            strncasecmp(mechanism_names[i], name, len) == 0) {
            return (enum settings_mechanism)i;
        }
    }
    return SETTINGS_MECHANISM_COUNT;
}

/* The next word of a list; its length, 0 at the end. */
static size_t next_word(const char **at)
{
    *at += strspn(*at, WORD_BREAKS);
    return strcspn(*at, WORD_BREAKS);
}

static void add(struct settings_mechanisms *out, enum settings_mechanism mechanism)
{
    for (size_t i = 0; i < out->count; i++) {
        if (out->items[i] == mechanism) {
            return;
        }
    }
    out->items[out->count++] = mechanism;
}

void settings_mechanisms(const struct settings_plan *plan, struct settings_mechanisms *out)
{
    /* First choices first; without TLS the one that does not show the password. */
    static const enum settings_mechanism with_tls[] = {
        SETTINGS_MECHANISM_PLAIN, SETTINGS_MECHANISM_LOGIN,   SETTINGS_MECHANISM_CRAM_MD5,
        SETTINGS_MECHANISM_NTLM,  SETTINGS_MECHANISM_XOAUTH2, SETTINGS_MECHANISM_OAUTHBEARER};
    static const enum settings_mechanism in_clear[] = {
        SETTINGS_MECHANISM_CRAM_MD5, SETTINGS_MECHANISM_PLAIN,
        SETTINGS_MECHANISM_LOGIN,    SETTINGS_MECHANISM_NTLM,
        SETTINGS_MECHANISM_XOAUTH2,  SETTINGS_MECHANISM_OAUTHBEARER};
    *out = (struct settings_mechanisms){.count = 0};
    const char *at = plan->login_mechanisms != NULL ? plan->login_mechanisms : "";
    for (size_t len = 0; (len = next_word(&at)) > 0; at += len) {
        enum settings_mechanism mechanism = settings_mechanism_find(at, len);
        if (mechanism != SETTINGS_MECHANISM_COUNT) {
            add(out, mechanism);
        }
    }
    if (out->count > 0) {
        return;
    }
    const enum settings_mechanism *order = plan->tls == SETTINGS_TLS_NONE ? in_clear : with_tls;
    unsigned allowed = kinds[plan->authentication].mechanisms;
    for (size_t i = 0; i < SETTINGS_MECHANISM_COUNT; i++) {
        if ((allowed & 1U << order[i]) != 0) {
            add(out, order[i]);
        }
    }
}

/* What is being checked. */
struct check {
    const PB(MailingSettings) *from;
    const struct kind *kind;
    const char *field;
    struct err_text *why;
};

static enum err check_mechanisms(struct check *c)
{
    const char *at = is_given(c->from->login_mechanisms) ? c->from->login_mechanisms : "";
    c->field = "login_mechanisms";
    if (at[0] != '\0' && c->kind->mechanisms == 0) {
        return err_set(c->why, ERR_INVALID, "given, but authentication is %s", c->kind->name);
    }
    for (size_t len = 0; (len = next_word(&at)) > 0; at += len) {
        enum settings_mechanism mechanism = settings_mechanism_find(at, len);
        if (mechanism == SETTINGS_MECHANISM_COUNT) {
            return err_set(
                c->why, ERR_INVALID,
                "\"%.*s\" is none of plain, login, cram-md5, ntlm, xoauth2, oauthbearer",
                (int)(len < 40 ? len : 40), at);
        }
        if ((c->kind->mechanisms & 1U << mechanism) == 0) {
            return err_set(c->why, ERR_INVALID, "%s is no mechanism of authentication %s",
                           settings_mechanism_name(mechanism), c->kind->name);
        }
    }
    return ERR_OK;
}

static enum err check_anonymous(struct check *c)
{
    c->field = "user_name";
    if (is_given(c->from->user_name)) {
        return err_set(c->why, ERR_INVALID, "given, but authentication is ANONYMOUS");
    }
    c->field = "password";
    if (is_given(c->from->password)) {
        return err_set(c->why, ERR_INVALID, "given, but authentication is ANONYMOUS");
    }
    return ERR_OK;
}

static enum err check_credentials(struct check *c, enum settings_tls tls)
{
    const char *kind = c->kind->name;
    c->field = "user_name";
    if (!is_given(c->from->user_name)) {
        return err_set(c->why, ERR_INVALID, "required: authentication is %s", kind);
    }
    c->field = "password";
    if (c->kind->needs_password && !is_given(c->from->password)) {
        return err_set(c->why, ERR_INVALID, "required: authentication is %s", kind);
    }
    if (!c->kind->needs_password && is_given(c->from->password)) {
        return err_set(c->why, ERR_INVALID, "given, but authentication is %s", kind);
    }
    c->field = "authentication";
    if (tls == SETTINGS_TLS_NONE && !c->from->allow_cleartext_auth) {
        return err_set(
            c->why, ERR_INVALID,
            "%s without TLS would show the login to the network: switch TLS on, or set "
            "allow_cleartext_auth",
            kind);
    }
    return ERR_OK;
}

static enum err check_ntlm(struct check *c)
{
    c->field = "ntlm_engine";
    if (c->from->ntlm_engine != PB_NTLM(AUTO) && c->from->authentication != PB_AUTH(NTLM)) {
        return err_set(c->why, ERR_INVALID, "given, but authentication is %s", c->kind->name);
    }
    return ERR_OK;
}

enum err settings_login_check(const PB(MailingSettings) *settings, struct settings_plan *plan,
                              const char **field, struct err_text *why)
{
    unsigned authentication = (unsigned)settings->authentication;
    struct check c = {.from = settings, .kind = &kinds[authentication], .why = why};
    plan->authentication = authentication == (unsigned)PB_AUTH(UNSPECIFIED)
                               ? (int)PB_AUTH(ANONYMOUS)
                               : (int)authentication;
    plan->login_mechanisms =
        is_given(settings->login_mechanisms) ? settings->login_mechanisms : "";
    plan->ntlm_engine = (int)settings->ntlm_engine;
    enum err err = plan->authentication == PB_AUTH(ANONYMOUS)
                       ? check_anonymous(&c)
                       : check_credentials(&c, plan->tls);
    if (err == ERR_OK) {
        err = check_mechanisms(&c);
    }
    if (err == ERR_OK) {
        err = check_ntlm(&c);
    }
    if (err == ERR_OK) {
        err = settings_oauth_choose(settings, plan, &c.field, why);
    }
    if (err != ERR_OK) {
        *field = c.field;
    }
    return err;
}
