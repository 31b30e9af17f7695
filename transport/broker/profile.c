/* Profiles from YAML.
 *
 * The keys are the field names of MailingSettings (proto/settings.proto): what a TrackPro user reads on the Server tab.
 * A version is made of a profile's contents, so a broker that starts again gives the same version to the same settings
 * and its workers keep their connections. */
#include "profile.h"

#include "broker_conf.h"
#include "conf.h"
#include "digest.h"
#include "hours.h"
#include "map.h"
#include "mem.h"
#include "preset.h"
#include "seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 64, PROFILES_MAX = 10000 };

struct profiles {
    struct profile **items;
    size_t count;
    struct map *by_name;
    struct rule_list rules; /* for all profiles, behind their own */
    struct expectation_list expectations;
};

#define AT(field) offsetof(struct profile, settings.field)
#define HOUR UINT64_C(3600000) /* ms */

static const struct conf_name method_names[] = {
    {"cdo", PB_METHOD(CDO)}, {"mapi", PB_METHOD(MAPI)}, {NULL, 0}};
static const struct conf_name auth_names[] = {{"anonymous", PB_AUTH(ANONYMOUS)},
                                              {"basic", PB_AUTH(BASIC)},
                                              {"ntlm", PB_AUTH(NTLM)},
                                              {"oauth2", PB_AUTH(OAUTH2)},
                                              {NULL, 0}};
static const struct conf_name tls_names[] = {{"auto", PB_TLS(AUTO)},
                                             {"none", PB_TLS(NONE)},
                                             {"starttls", PB_TLS(STARTTLS)},
                                             {"implicit", PB_TLS(IMPLICIT)},
                                             {NULL, 0}};
static const struct conf_name ntlm_names[] = {
    {"auto", PB_NTLM(AUTO)}, {"libcurl", PB_NTLM(LIBCURL)}, {"own", PB_NTLM(OWN)}, {NULL, 0}};
static const struct conf_name grant_names[] = {
    {"refresh_token", PB_GRANT(REFRESH_TOKEN)},
    {"client_credentials", PB_GRANT(CLIENT_CREDENTIALS)},
    {"service_account", PB_GRANT(SERVICE_ACCOUNT)},
    {NULL, 0}};
static const struct conf_name pipelining_names[] = {{"auto", PB_PIPELINING(AUTO)},
                                                    {"full", PB_PIPELINING(FULL)},
                                                    {"envelope", PB_PIPELINING(ENVELOPE)},
                                                    {"off", PB_PIPELINING(OFF)},
                                                    {NULL, 0}};
static const struct conf_name dialect_names[] = {{"iis", PB_DIALECT(IIS)},
                                                 {"exchange", PB_DIALECT(EXCHANGE)},
                                                 {"plain", PB_DIALECT(PLAIN)},
                                                 {NULL, 0}};
static const struct conf_name policy_names[] = {{"hold", PB_POLICY(HOLD)},
                                                {"resend_marked", PB_POLICY(RESEND_MARKED)},
                                                {"assume_sent", PB_POLICY(ASSUME_SENT)},
                                                {NULL, 0}};

#define TEXT_ROW(field, words)                                                                 \
    {                                                                                          \
        .key = #field, .kind = CONF_TEXT, .offset = AT(field), .default_text = "",             \
        .max = 1024, .doc = (words)                                                            \
    }
/* Names where a secret lies, or holds it sealed. */
#define REFERENCE_ROW(field, words)                                                            \
    {                                                                                          \
        .key = #field, .kind = CONF_TEXT, .offset = AT(field), .default_text = "",             \
        .max = SEAL_TEXT_MAX_BYTES, .doc = (words)                                             \
    }
#define BOOL_ROW(field, words)                                                                 \
    {                                                                                          \
        .key = #field, .kind = CONF_BOOL, .offset = AT(field), .default_text = "false",        \
        .wide = true, .doc = (words)                                                           \
    }
#define ENUM_ROW(field, table, words)                                                          \
    {                                                                                          \
        .key = #field, .kind = CONF_ENUM, .offset = AT(field), .names = (table),               \
        .doc = (words)                                                                         \
    }
#define LIMIT_ROW(field, words)                                                                \
    {                                                                                          \
        .key = #field, .kind = CONF_UINT, .offset = AT(field), .min = 1, .max = 1000000,       \
        .doc = (words)                                                                         \
    }
/* A limit of the whole pool, 0 = none. */
#define POOL_ROW(field, words)                                                                 \
    {                                                                                          \
        .key = #field, .kind = CONF_UINT, .offset = AT(field), .max = 1000000, .doc = (words)  \
    }
#define TIME_ROW(name, field, words)                                                           \
    {                                                                                          \
        .key = (name), .kind = CONF_DURATION, .offset = AT(field), .min = 100, .max = HOUR,    \
        .doc = (words)                                                                         \
    }

/* Field of MailingSettings -> key: a time's key has no unit in its name. */
static const char *key_of(const char *field)
{
    for (const struct conf_row *row = profile_rows; row->key != NULL; row++) {
        size_t len = strlen(row->key);
        if (strncmp(row->key, field, len) == 0 &&
            (field[len] == '\0' || strcmp(field + len, "_ms") == 0)) {
            return row->key;
        }
    }
    return "";
}

/* Everything that one row alone cannot tell. */
static enum err check_profile(void *target, const char **field, struct err_text *why)
{
    struct profile *profile = target;
    if (profile->retry_delays.count > BROKER_RETRY_STEPS) {
        *field = "retry_delays";
        return err_set(why, ERR_CONFIG, "at most %d entries", BROKER_RETRY_STEPS);
    }
    const char *name = "";
    if (profile->zone == NULL && zone_open(profile->time_zone, &profile->zone, why) != ERR_OK) {
        *field = "time_zone";
        return ERR_CONFIG;
    }
    if (canary_prepare(profile, field, why) != ERR_OK) {
        return ERR_CONFIG;
    }
    enum err err = settings_plan(&profile->settings, &profile->plan, &name, why);
    if (err != ERR_OK) {
        *field = key_of(name);
    }
    return err;
}

const struct conf_row profile_rows[] = {
    {.key = "preset",
     .kind = CONF_ENUM,
     .offset = offsetof(struct profile, preset),
     .names = preset_names,
     .doc = "gmail, workspace, outlook, microsoft365, yahoo or exchange-pickup: see below"},
    ENUM_ROW(method, method_names, "cdo (SMTP or pickup folder) or mapi (mail client)"),
    BOOL_ROW(show_client_screen, "mapi: show the mail client's screen before sending"),
    TEXT_ROW(smtp_server, "host name or IP address; the folder with use_pickup_folder"),
    TEXT_ROW(user_name, "login name; upper and lower case are kept"),
    REFERENCE_ROW(
        password,
        "where the password is: file:PATH, env:NAME or credential:NAME; or sealed:BASE64"),
    {.key = "smtp_port",
     .kind = CONF_UINT,
     .offset = AT(smtp_port),
     .min = 1,
     .max = 65535,
     .doc = "port; default 465 with implicit TLS, 587 with STARTTLS, 25 without"},
    BOOL_ROW(use_pickup_folder, "write .eml files into the folder smtp_server"),
    BOOL_ROW(use_tls, "TLS from the first byte on port 465, STARTTLS on any other"),
    ENUM_ROW(authentication, auth_names, "anonymous, basic, ntlm or oauth2"),
    ENUM_ROW(tls_mode, tls_names, "auto, none, starttls or implicit; for odd ports"),
    TEXT_ROW(ca_file, "PEM file with the authorities to trust instead of the system's"),
    TEXT_ROW(pinned_public_key, "sha256//BASE64 of the server's public key"),
    BOOL_ROW(tls_no_verify, "labs only: do not check the certificate; logged on every use"),
    BOOL_ROW(allow_cleartext_auth, "log in without TLS"),
    TEXT_ROW(helo_name, "name said in EHLO; default the worker's"),
    TIME_ROW("connect_timeout", connect_timeout_ms, "TCP, TLS, greeting and login together"),
    TIME_ROW("reply_timeout", reply_timeout_ms, "for the reply to each command"),
    TIME_ROW("content_timeout", content_timeout_ms, "from the final dot to its reply"),
    LIMIT_ROW(max_connections, "connections to the server, of the whole pool"),
    POOL_ROW(max_messages_per_minute, "mails in any minute, of the whole pool; 0 = no limit"),
    POOL_ROW(max_recipients_per_day,
             "recipients in any 24 hours, of the whole pool; 0 = no limit"),
    LIMIT_ROW(max_recipients_per_message, "recipients of one mail; more are split"),
    LIMIT_ROW(max_messages_per_connection, "mails before a connection is closed"),
    TIME_ROW("max_connection_age", max_connection_age_ms,
             "age at which a connection is closed"),
    TIME_ROW("idle_timeout", idle_timeout_ms, "idle time after which a connection is closed"),
    ENUM_ROW(pipelining, pipelining_names, "auto, full, envelope or off (RFC 2920)"),
    ENUM_ROW(pickup_dialect, dialect_names, "iis, exchange or plain"),
    ENUM_ROW(unknown_policy, policy_names, "hold, resend_marked or assume_sent"),
    {.key = "failover_profile",
     .kind = CONF_TEXTS,
     .offset = offsetof(struct profile, failover),
     .doc = "profiles to use, in this order, while login, server or quota of this one fail"},
    TEXT_ROW(login_mechanisms, "words, first choice first: plain login cram-md5 xoauth2 "
                               "oauthbearer; default all that fit"),
    ENUM_ROW(ntlm_engine, ntlm_names, "auto, libcurl or own (NTLMv2 only)"),
    ENUM_ROW(oauth_grant, grant_names, "refresh_token, client_credentials or service_account"),
    TEXT_ROW(oauth_token_endpoint, "https:// address that gives access tokens"),
    TEXT_ROW(oauth_client_id, "application id; service_account: the account's address"),
    TEXT_ROW(oauth_client_secret, "where the application's secret is, as password"),
    TEXT_ROW(oauth_refresh_token,
             "where the refresh token is; a new one replaces that of file:PATH"),
    TEXT_ROW(oauth_scope, "what the token is for, words"),
    TEXT_ROW(oauth_key, "service_account: where its key is, PEM or JSON key file"),
    TEXT_ROW(oauth_ca_file, "PEM file with the authorities to trust for the token endpoint"),
    {.key = "reply_rules",
     .kind = CONF_MAP,
     .offset = offsetof(struct profile, rules),
     .map = &rule_list_map,
     .doc = "what this server's refusals mean, by name: see below"},
    TEXT_ROW(dkim_domain, "domain that signs the mails (DKIM); empty = they are not signed"),
    TEXT_ROW(dkim_selector, "name of the public key in the domain's DNS"),
    REFERENCE_ROW(dkim_key,
                  "where the private key is, RSA or Ed25519 in PEM: file:PATH or the like"),
    TEXT_ROW(dkim_second_selector, "for a second signature, as Ed25519 beside RSA"),
    REFERENCE_ROW(dkim_second_key, "its private key"),
    {.key = "retry_delays",
     .kind = CONF_TEXTS,
     .offset = offsetof(struct profile, retry_delays),
     .check = broker_conf_check_delay,
     .doc = "delays between attempts; the last one repeats; default those of the broker"},
    {.key = "max_age",
     .kind = CONF_DURATION,
     .wide = true,
     .offset = offsetof(struct profile, max_age_ms),
     .min = 1000,
     .max = UINT64_C(365) * 24 * HOUR,
     .doc = "age at which a request that could not be delivered fails; default the broker's"},
    {.key = "quiet_hours",
     .kind = CONF_TEXTS,
     .offset = offsetof(struct profile, quiet_hours),
     .check = hours_check,
     .doc = "hours in which no mail leaves, as 22:00-06:00"},
    {.key = "time_zone",
     .kind = CONF_TEXT,
     .offset = offsetof(struct profile, time_zone),
     .default_text = "",
     .max = 64,
     .doc = "zone of quiet hours and canary, as Europe/Berlin; default that of the broker's "
            "machine"},
    {.key = "quiet_urgent",
     .kind = CONF_BOOL,
     .offset = offsetof(struct profile, quiet_urgent),
     .default_text = "false",
     .doc = "urgent mail keeps the quiet hours, too"},
    {.key = "canary.to",
     .kind = CONF_TEXT,
     .offset = offsetof(struct profile, canary.to),
     .default_text = "",
     .max = 1024,
     .doc = "address that gets a mail of the broker's own by a timetable; empty = no canary"},
    {.key = "canary.from",
     .kind = CONF_TEXT,
     .offset = offsetof(struct profile, canary.from),
     .default_text = "",
     .max = 1024,
     .doc = "its sender; default user_name when that is an address, else to"},
    {.key = "canary.at",
     .kind = CONF_TEXT,
     .offset = offsetof(struct profile, canary.at),
     .default_text = "",
     .max = 5,
     .doc = "time of the day at which it is sent, as 06:30"},
    {.key = "canary.every",
     .kind = CONF_DURATION,
     .wide = true,
     .offset = offsetof(struct profile, canary.every_ms),
     .default_text = "0s",
     .max = 24 * HOUR,
     .doc = "in place of at: so often, but for the quiet hours"},
    {.key = "canary.days",
     .kind = CONF_TEXTS,
     .offset = offsetof(struct profile, canary.days),
     .check = timetable_check_days,
     .doc = "days of the week, as mon-fri, sat or daily; default mon-fri"},
    {.key = "canary.deadline",
     .kind = CONF_DURATION,
     .wide = true,
     .offset = offsetof(struct profile, canary.deadline_ms),
     .default_text = "15min",
     .min = 1000,
     .max = 12 * HOUR,
     .doc = "not delivered so long after it was due, it is told as silence"},
    {.key = "breaker_failures",
     .kind = CONF_UINT,
     .offset = offsetof(struct profile, breaker_failures),
     .default_text = "3",
     .min = 1,
     .max = 1000,
     .doc = "failures of the server, a second apart, after which it gets no mail for a while"},
    {.key = "breaker_wait",
     .kind = CONF_DURATION,
     .offset = offsetof(struct profile, breaker_wait_ms),
     .default_text = "30s",
     .min = 100,
     .max = HOUR,
     .doc = "then one mail tries it; the wait doubles up to 20 times this"},
    {.key = "quota_wait",
     .kind = CONF_DURATION,
     .offset = offsetof(struct profile, quota_wait_ms),
     .default_text = "1h",
     .min = 100,
     .max = 24 * HOUR,
     .doc = "wait before one mail tries a server that said that a quota is used up"},
    {.key = NULL, .whole = check_profile},
};

static void profile_free(struct profile *profile)
{
    conf_free(profile_rows, profile);
    rule_list_fini(&profile->rules);
    canary_fini(&profile->canary);
    zone_free(&profile->zone);
    free(profile->settings.reply_rules);
    free(profile->wire.name);
    free(profile);
}

static bool name_is_good(const char *name)
{
    size_t len =
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+-");
    return len > 0 && len <= NAME_MAX_BYTES && name[len] == '\0';
}

/* The generated initialiser points texts to a constant; ours are owned, so that conf_free may free them. */
static void own_texts(struct profile *profile)
{
    for (const struct conf_row *row = profile_rows; row->key != NULL; row++) {
        if (row->kind == CONF_TEXT) {
            *(char **)(void *)((char *)profile + row->offset) = NULL;
        }
    }
    conf_defaults(profile_rows, profile);
}

static void *new_item(void *target, const char *name, struct err_text *why)
{
    struct profiles *profiles = target;
    if (!name_is_good(name)) {
        (void)err_set(why, ERR_INVALID, "a profile's name is 1 to %d of A-Z a-z 0-9 . _ @ + -",
                      NAME_MAX_BYTES);
        return NULL;
    }
    if (profiles->count >= PROFILES_MAX) {
        (void)err_set(why, ERR_LIMIT, "at most %d profiles", PROFILES_MAX);
        return NULL;
    }
    struct profile *profile = mem_zero(1, sizeof *profile);
    PB(Profile) wire = PB_INIT(PROFILE);
    PB(MailingSettings) settings = PB_INIT(MAILING_SETTINGS);
    profile->wire = wire;
    profile->settings = settings;
    profile->wire.settings = &profile->settings;
    own_texts(profile);
    profile->wire.name = mem_text(name);
    profiles->items =
        mem_resize(profiles->items, profiles->count + 1, sizeof(struct profile *));
    profiles->items[profiles->count++] = profile;
    return profile;
}

static void fill(void *item, const char *preset)
{
    preset_fill(profile_rows, item, preset);
}

static const struct profile *find_item(const struct profiles *profiles, const char *name)
{
    for (size_t i = 0; i < profiles->count; i++) {
        if (strcmp(profiles->items[i]->wire.name, name) == 0) {
            return profiles->items[i];
        }
    }
    return NULL;
}

/* What is expected of a profile that is not there would be missed for ever. */
static enum err check_expected(const struct profiles *profiles, const char **field,
                               struct err_text *why)
{
    *field = "expectations";
    for (size_t i = 0; i < profiles->expectations.count; i++) {
        const struct expectation *what = profiles->expectations.items[i];
        if (what->profile[0] != '\0' && find_item(profiles, what->profile) == NULL) {
            return err_set(why, ERR_CONFIG, "%s: profile: no profile \"%.64s\"", what->name,
                           what->profile);
        }
    }
    return ERR_OK;
}

static const struct conf_map profile_map = {profile_rows, new_item, "preset", fill};
/* A failover is another profile of the file. */
static enum err check_file(void *target, const char **field, struct err_text *why)
{
    const struct profiles *profiles = target;
    *field = "profiles";
    for (size_t i = 0; i < profiles->count; i++) {
        const struct profile *profile = profiles->items[i];
        for (size_t k = 0; k < profile->failover.count; k++) {
            const char *name = profile->failover.items[k];
            const struct profile *other = find_item(profiles, name);
            if (other == NULL || other == profile) {
                return err_set(why, ERR_CONFIG,
                               "%s: failover_profile: no other profile \"%.64s\"",
                               profile->wire.name, name);
            }
        }
    }
    return check_expected(profiles, field, why);
}

static const struct conf_row file_rows[] = {
    {.key = "profiles",
     .kind = CONF_MAP,
     .map = &profile_map,
     .doc = "mailing profiles by name"},
    {.key = "expectations",
     .kind = CONF_MAP,
     .offset = offsetof(struct profiles, expectations),
     .map = &expectation_map,
     .doc = "traffic that must come, by name"},
    {.key = "reply_rules",
     .kind = CONF_MAP,
     .offset = offsetof(struct profiles, rules),
     .map = &rule_list_map,
     .doc = "rules for the refusals of every server, behind a profile's own"},
    {.key = NULL, .whole = check_file},
};

static void set_version(struct profile *profile)
{
    size_t len = protobuf_c_message_get_packed_size(&profile->wire.base);
    uint8_t *packed = mem_zero(1, len);
    uint8_t digest[DIGEST_BYTES];
    (void)protobuf_c_message_pack(&profile->wire.base, packed);
    digest_sha256(packed, len, digest);
    free(packed);
    uint64_t version = 0;
    for (int i = 0; i < 8; i++) {
        version = version << 8 | digest[i];
    }
    profile->wire.version = version | 1; /* never 0, which means "none" */
}

/* The profile's own rules, then those for all. Each list has at most REPLY_RULES_MAX, and each rule was checked when it was
 * read. */
static void join_rules(const struct profiles *profiles, struct profile *profile)
{
    size_t count = profile->rules.count + profiles->rules.count;
    if (count == 0) {
        return;
    }
    PB(ReplyRule) **all = mem_zero(count, sizeof all[0]);
    for (size_t i = 0; i < count; i++) {
        all[i] = i < profile->rules.count ? profile->rules.items[i]
                                          : profiles->rules.items[i - profile->rules.count];
    }
    profile->settings.reply_rules = all;
    profile->settings.n_reply_rules = count;
    profile->plan.reply_rules = all;
    profile->plan.reply_rule_count = count;
}

/* All profiles were read and have their plans. */
static void finish(struct profiles *profiles)
{
    for (size_t i = 0; i < profiles->count; i++) {
        struct profile *profile = profiles->items[i];
        join_rules(profiles, profile);
        set_version(profile);
        (void)map_put_text(&profiles->by_name, profile->wire.name, profile);
    }
}

enum err profiles_read(const char *path, struct profiles **out, struct buf *errors)
{
    struct profiles *profiles = mem_zero(1, sizeof *profiles);
    enum err err = ERR_OK;
    if (path != NULL && path[0] != '\0') {
        err = conf_read(path, file_rows, profiles, errors);
    }
    if (err != ERR_OK) {
        profiles_free(&profiles);
        return ERR_CONFIG;
    }
    finish(profiles);
    profiles_free(out);
    *out = profiles;
    return ERR_OK;
}

void profiles_free(struct profiles **profiles_p)
{
    struct profiles *profiles = *profiles_p;
    if (profiles == NULL) {
        return;
    }
    map_clear(&profiles->by_name);
    for (size_t i = 0; i < profiles->count; i++) {
        profile_free(profiles->items[i]);
    }
    free(profiles->items);
    rule_list_fini(&profiles->rules);
    expectation_list_fini(&profiles->expectations);
    free(profiles);
    *profiles_p = NULL;
}

const struct profile *profiles_find(const struct profiles *profiles, const char *name)
{
    return map_get_text(profiles->by_name, name);
}

static struct profile *find_version(const struct profiles *profiles, uint64_t version)
{
    for (size_t i = 0; i < profiles->count; i++) {
        if (profiles->items[i]->wire.version == version) {
            return profiles->items[i];
        }
    }
    return NULL;
}

const struct profile *profiles_version(const struct profiles *profiles, uint64_t version)
{
    return find_version(profiles, version);
}

void profiles_each(const struct profiles *profiles,
                   void (*fn)(void *arg, const struct profile *profile), void *arg)
{
    for (size_t i = 0; i < profiles->count; i++) {
        fn(arg, profiles->items[i]);
    }
}

size_t profiles_count(const struct profiles *profiles)
{
    return profiles->count;
}

void profiles_expectations(const struct profiles *profiles,
                           void (*fn)(void *arg, const struct expectation *what), void *arg)
{
    for (size_t i = 0; i < profiles->expectations.count; i++) {
        fn(arg, profiles->expectations.items[i]);
    }
    for (size_t i = 0; i < profiles->count; i++) {
        if (profiles->items[i]->canary.to[0] != '\0') {
            fn(arg, &profiles->items[i]->canary.expected);
        }
    }
}
