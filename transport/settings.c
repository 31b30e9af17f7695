/* From the Server tab to a plan: every rule that one field alone cannot break.
 *
 * Limits of single fields are check_rules.c's; they are looked at again here where a profile
 * can come from a file. Opens no file and asks no name server. Nothing is ever weakened: a
 * contradiction is refused, with what to change. */
#include "settings.h"

#include "address.h"
#include "check_rules.h"
#include "reply_rule.h"
#include "seal.h"
#include "settings_dkim.h"
#include "settings_login.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    PORT_PLAIN = 25,
    PORT_STARTTLS = 587, /* RFC 6409 */
    PORT_IMPLICIT = 465  /* RFC 8314 */
};

/* One look at the settings: what is read, what is made, and what is wrong. */
struct reading {
    const PB(MailingSettings) *from;
    struct settings_plan *plan;
    const char *field;
    struct err_text *why;
};

PRINTF_LIKE(3, 4)
static enum err refuse(struct reading *r, const char *field, const char *fmt, ...)
{
    char text[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    r->field = field;
    return err_set(r->why, ERR_INVALID, "%s", text);
}

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static const char *text_or_empty(const char *text)
{
    return text != NULL ? text : "";
}

/* A number of the settings, its place in the plan and what 0 stands for; the range is
 * check_rules.c's. */
struct number_row {
    const char *field;
    size_t from;
    size_t to;
    uint32_t preset;
};

#define NUMBER(name, preset)                                                                   \
    {                                                                                          \
#name, offsetof(PB(MailingSettings), name), offsetof(struct settings_plan, name),      \
            preset                                                                             \
    }

static const struct number_row numbers[] = {
    NUMBER(connect_timeout_ms, 30000), /* as CDO */
    NUMBER(reply_timeout_ms, 300000),  /* RFC 5321 4.5.3.2 */
    NUMBER(content_timeout_ms, 600000),       NUMBER(max_connections, 10),
    NUMBER(max_messages_per_minute, 0),       NUMBER(max_recipients_per_day, 0),
    NUMBER(max_recipients_per_message, 100), /* RFC 5321 4.5.3.1.8: every server takes as many */
    NUMBER(max_messages_per_connection, 100), NUMBER(max_connection_age_ms, 300000),
    NUMBER(idle_timeout_ms, 20000),
};

/* Every number within the range of its row in the table of rules. */
static enum err check_ranges(struct reading *r)
{
    const struct check_set *set = check_rules_find(PB_DESCRIPTOR(mailing_settings));
    for (unsigned i = 0; i < set->count; i++) {
        const struct check_rule *rule = &set->rules[i];
        if (rule->form != CHECK_NUMBER || rule->max == 0) {
            continue;
        }
        uint32_t value;
        memcpy(&value, (const char *)r->from + set->type->fields[i].offset, sizeof value);
        if (value != 0 && (value < rule->min || value > rule->max)) {
            return refuse(r, rule->field, "must be from %" PRIu64 " to %" PRIu64, rule->min,
                          rule->max);
        }
    }
    return ERR_OK;
}

static void copy_numbers(struct reading *r)
{
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        uint32_t value;
        memcpy(&value, (const char *)r->from + numbers[i].from, sizeof value);
        value = value != 0 ? value : numbers[i].preset;
        memcpy((char *)r->plan + numbers[i].to, &value, sizeof value);
    }
}

/* Enums that are no message of the wire but come from a caller's struct: a number that the
 * enum does not know is refused here, so that the tables behind the plan need no "else". */
static enum err check_enums(struct reading *r)
{
    const struct check_set *set = check_rules_find(PB_DESCRIPTOR(mailing_settings));
    for (unsigned i = 0; i < set->count; i++) {
        if (set->rules[i].form != CHECK_ENUM) {
            continue;
        }
        const ProtobufCFieldDescriptor *field = &set->type->fields[i];
        int value;
        memcpy(&value, (const char *)r->from + field->offset, sizeof value);
        if (protobuf_c_enum_descriptor_get_value(field->descriptor, value) == NULL) {
            return refuse(r, field->name, "has no value %d", value);
        }
    }
    return ERR_OK;
}

/* tls_mode, or what use_tls and the port say together (ARCHITECTURE.md "TLS"). */
static enum err choose_tls(struct reading *r)
{
    const PB(MailingSettings) *s = r->from;
    switch ((int)s->tls_mode) {
    case PB_TLS(NONE):
        if (s->use_tls) {
            return refuse(r, "tls_mode", "is NONE, but use_tls is on: choose one");
        }
        r->plan->tls = SETTINGS_TLS_NONE;
        break;
    case PB_TLS(STARTTLS):
        r->plan->tls = SETTINGS_TLS_STARTTLS;
        break;
    case PB_TLS(IMPLICIT):
        r->plan->tls = SETTINGS_TLS_IMPLICIT;
        break;
    default:
        r->plan->tls = !s->use_tls                     ? SETTINGS_TLS_NONE
                       : s->smtp_port == PORT_IMPLICIT ? SETTINGS_TLS_IMPLICIT
                                                       : SETTINGS_TLS_STARTTLS;
        break;
    }
    if (s->smtp_port == PORT_IMPLICIT && r->plan->tls == SETTINGS_TLS_NONE) {
        return refuse(
            r, "smtp_port",
            "port 465 speaks TLS from the first byte: switch TLS on or choose another port");
    }
    if (s->smtp_port == PORT_IMPLICIT && r->plan->tls == SETTINGS_TLS_STARTTLS) {
        return refuse(
            r, "tls_mode",
            "port 465 speaks TLS from the first byte: choose IMPLICIT or another port");
    }
    static const uint16_t ports[] = {[SETTINGS_TLS_NONE] = PORT_PLAIN,
                                     [SETTINGS_TLS_STARTTLS] = PORT_STARTTLS,
                                     [SETTINGS_TLS_IMPLICIT] = PORT_IMPLICIT};
    r->plan->port = s->smtp_port != 0 ? (uint16_t)s->smtp_port : ports[r->plan->tls];
    return ERR_OK;
}

/* An IP literal, with or without brackets, goes to the plan without them. */
static bool take_literal(const char *server, char out[SETTINGS_SERVER_BYTES])
{
    size_t len = strlen(server);
    if (len > 2 && server[0] == '[' && server[len - 1] == ']') {
        server++;
        len -= 2;
        if (len > 5 &&
            strncasecmp(server, "IPv6:", 5) == 0) { /* as in an address, RFC 5321 4.1.3 */
            server += 5;
            len -= 5;
        }
    }
    if (len == 0 || len > INET6_ADDRSTRLEN) {
        return false;
    }
    char text[INET6_ADDRSTRLEN + 1];
    memcpy(text, server, len);
    text[len] = '\0';
    struct in6_addr address;
    if (inet_pton(AF_INET, text, &address) != 1 && inet_pton(AF_INET6, text, &address) != 1) {
        return false;
    }
    memcpy(out, text, len + 1);
    return true;
}

static enum err choose_server(struct reading *r)
{
    const char *server = text_or_empty(r->from->smtp_server);
    if (server[0] == '\0') {
        return refuse(r, "smtp_server", "required: the mail server's name or IP address");
    }
    if (strchr(server, '/') != NULL) {
        return refuse(r, "smtp_server",
                      "is a path: switch use_pickup_folder on, or give the mail server's name "
                      "or IP address");
    }
    if (take_literal(server, r->plan->server)) {
        return ERR_OK;
    }
    _Static_assert((int)SETTINGS_SERVER_BYTES > (int)ADDRESS_DOMAIN_MAX_BYTES,
                   "a host name must fit");
    struct err_text why = {0};
    if (address_host_to_ascii(server, strlen(server), r->plan->server, &why) != ERR_OK) {
        r->plan->server[0] = '\0';
        return refuse(r, "smtp_server", "must be a host name or an IP address (%s)", why.text);
    }
    return ERR_OK;
}

/* True when one of the path's components is "..". */
static bool climbs(const char *path)
{
    for (const char *part = path; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        size_t len = strcspn(part, "/");
        if (len == 2 && part[0] == '.' && part[1] == '.') {
            return true;
        }
    }
    return false;
}

static enum err choose_folder(struct reading *r)
{
    const char *folder = text_or_empty(r->from->smtp_server);
    if (folder[0] != '/') {
        return refuse(
            r, "smtp_server",
            "with use_pickup_folder it must be a folder's absolute path, as /srv/pickup");
    }
    if (climbs(folder)) {
        return refuse(r, "smtp_server", "a folder's path must not contain ..");
    }
    r->plan->folder = folder;
    return ERR_OK;
}

bool settings_is_reference(const char *text)
{
    static const char *const schemes[] = {"file:", "env:", "credential:"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t len = strlen(schemes[i]);
        if (strncmp(text, schemes[i], len) == 0 && text[len] != '\0') {
            return true;
        }
    }
    return seal_is_sealed(text);
}

/* A reference to a secret, never the secret itself. */
static enum err check_password(struct reading *r)
{
    const char *password = r->from->password;
    if (!is_given(password) || settings_is_reference(password)) {
        return ERR_OK;
    }
    return refuse(r, "password",
                  "must be a reference: file:PATH, env:NAME, credential:NAME or sealed:BASE64");
}

static enum err choose_authentication(struct reading *r)
{
    return settings_login_check(r->from, r->plan, &r->field, r->why);
}

/* sha256// and the base64 of 32 bytes: 43 characters and one =. Several, with ; between, as
 * CURLOPT_PINNEDPUBLICKEY. */
static bool is_pin(const char *text)
{
    static const char prefix[] = "sha256//";
    enum { DIGITS = 43 };
    for (;;) {
        if (strncmp(text, prefix, sizeof prefix - 1) != 0) {
            return false;
        }
        text += sizeof prefix - 1;
        size_t digits =
            strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
        if (digits != DIGITS || text[DIGITS] != '=') {
            return false;
        }
        text += DIGITS + 1;
        if (*text != ';') {
            return *text == '\0';
        }
        text++;
    }
}

static enum err check_trust(struct reading *r)
{
    const char *pin = text_or_empty(r->from->pinned_public_key);
    const char *ca_file = text_or_empty(r->from->ca_file);
    if (pin[0] != '\0' && !is_pin(pin)) {
        return refuse(r, "pinned_public_key",
                      "must be sha256// and the base64 of the key's SHA-256 digest");
    }
    if (ca_file[0] != '\0' && ca_file[0] != '/') {
        return refuse(r, "ca_file", "must be an absolute path");
    }
    if (r->plan->tls == SETTINGS_TLS_NONE && (pin[0] != '\0' || ca_file[0] != '\0')) {
        return refuse(r, pin[0] != '\0' ? "pinned_public_key" : "ca_file",
                      "given, but TLS is off");
    }
    r->plan->pinned_public_key = pin;
    r->plan->ca_file = ca_file;
    r->plan->verify = !r->from->tls_no_verify;
    return ERR_OK;
}

/* What the worker says in EHLO: a host name or an address literal, RFC 5321 4.1.1.1. */
static enum err choose_helo(struct reading *r)
{
    const char *name = text_or_empty(r->from->helo_name);
    r->plan->helo_name = name;
    if (name[0] == '\0') {
        return ERR_OK;
    }
    char out[SETTINGS_SERVER_BYTES];
    struct err_text why = {0};
    if (name[0] == '[' && take_literal(name, out)) {
        return ERR_OK;
    }
    if (address_host_to_ascii(name, strlen(name), out, &why) != ERR_OK ||
        strcmp(out, name) != 0) {
        return refuse(r, "helo_name", "must be an ASCII host name or an IP address in [ ]");
    }
    return ERR_OK;
}

static enum err choose_smtp(struct reading *r)
{
    typedef enum err step_fn(struct reading * r);
    static step_fn *const steps[] = {choose_server,  choose_tls,  choose_authentication,
                                     check_password, check_trust, choose_helo};
    r->plan->route = SETTINGS_SMTP;
    enum err err = ERR_OK;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && err == ERR_OK; i++) {
        err = steps[i](r);
    }
    return err;
}

/* What Exchange's pickup folder takes (PickupDirectoryMaxRecipientsPerMessage): more come back as a bounce, and the file is gone. */
static enum err check_exchange(struct reading *r)
{
    if (r->from->pickup_dialect == PB_DIALECT(EXCHANGE) &&
        r->from->max_recipients_per_message > SETTINGS_EXCHANGE_RECIPIENTS) {
        return refuse(r, "max_recipients_per_message",
                      "an Exchange pickup folder takes %d recipients in a mail: leave it out",
                      (int)SETTINGS_EXCHANGE_RECIPIENTS);
    }
    return ERR_OK;
}

static enum err choose_route(struct reading *r)
{
    if (r->from->method ==
        PB_METHOD(MAPI)) { /* the fields of CDO may still be filled in: they do not count */
        r->plan->route = SETTINGS_CLIENT;
        return ERR_OK;
    }
    if (r->from->use_pickup_folder) {
        r->plan->route = SETTINGS_PICKUP;
        enum err err = choose_folder(r);
        return err == ERR_OK ? check_exchange(r) : err;
    }
    return choose_smtp(r);
}

static enum err check_reply_rules(struct reading *r)
{
    if (r->from->n_reply_rules > 2 * (size_t)REPLY_RULES_MAX) {
        return refuse(r, "reply_rules", "at most %d", 2 * REPLY_RULES_MAX);
    }
    for (size_t i = 0; i < r->from->n_reply_rules; i++) {
        const char *field = "";
        struct err_text why = {0};
        if (reply_rule_check(r->from->reply_rules[i], &field, &why) != ERR_OK) {
            return refuse(r, "reply_rules", "%s: %s %s", r->from->reply_rules[i]->name, field,
                          why.text);
        }
    }
    return ERR_OK;
}

/* What only the broker can keep to stands in its file, and is no part of what workers get. */
static enum err check_not_here(struct reading *r)
{
    if (text_or_empty(r->from->failover_profile)[0] != '\0') {
        return refuse(r, "failover_profile", "belongs to a profile of the broker: name one");
    }
    return ERR_OK;
}

enum err settings_plan(const PB(MailingSettings) *settings, struct settings_plan *plan,
                       const char **field, struct err_text *why)
{
    *plan = (struct settings_plan){
        .folder = "",
        .user_name = text_or_empty(settings->user_name),
        .password = text_or_empty(settings->password),
        .authentication = PB_AUTH(ANONYMOUS),
        .ca_file = "",
        .pinned_public_key = "",
        .login_mechanisms = "",
        .verify = true,
        .helo_name = "",
        .allow_cleartext_auth = settings->allow_cleartext_auth,
        .pipelining = (int)settings->pipelining,
        .dialect = (int)settings->pickup_dialect,
        .unknown_policy = (int)settings->unknown_policy,
        .reply_rules = settings->reply_rules,
        .reply_rule_count = settings->n_reply_rules,
    };
    struct reading r = {.from = settings, .plan = plan, .why = why};
    enum err err = check_ranges(&r);
    if (err == ERR_OK) {
        err = check_enums(&r);
    }
    if (err == ERR_OK) {
        err = check_not_here(&r);
    }
    if (err == ERR_OK) {
        err = check_reply_rules(&r);
    }
    if (err == ERR_OK) {
        err = choose_route(&r);
    }
    if (err == ERR_OK) {
        err = settings_dkim_choose(settings, &plan->dkim, &r.field, why);
    }
    if (err != ERR_OK) {
        *field = r.field;
        return err;
    }
    copy_numbers(&r);
    if (plan->route == SETTINGS_PICKUP && plan->dialect == PB_DIALECT(EXCHANGE) &&
        plan->max_messages_per_minute == 0) {
        plan->max_messages_per_minute = SETTINGS_EXCHANGE_FILES;
    }
    if (plan->dialect == PB_DIALECT(UNSPECIFIED)) {
        plan->dialect = PB_DIALECT(IIS);
    }
    if (plan->unknown_policy == PB_POLICY(UNSPECIFIED)) {
        plan->unknown_policy = PB_POLICY(HOLD);
    }
    return ERR_OK;
}
