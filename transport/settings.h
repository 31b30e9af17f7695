/* The Server tab, read: checks MailingSettings as a whole and turns it into a plan with every default filled in.
 *
 * Used by the broker when it loads a profile or meets inline settings, and by the worker before it connects, so both
 * refuse the same things in the same words. Reference: proto/README.md "MailingSettings". */
#ifndef TPN_SETTINGS_H
#define TPN_SETTINGS_H

#include "err.h"
#include "pb.h"

#include <stdbool.h>
#include <stdint.h>

enum settings_route { SETTINGS_SMTP, SETTINGS_PICKUP, SETTINGS_CLIENT, SETTINGS_ROUTE_COUNT };
enum settings_tls { SETTINGS_TLS_NONE, SETTINGS_TLS_STARTTLS, SETTINGS_TLS_IMPLICIT };

enum {
    SETTINGS_SERVER_BYTES = 256,
    SETTINGS_EXCHANGE_RECIPIENTS = 100, /* of a file in an Exchange pickup folder */
    SETTINGS_EXCHANGE_FILES = 100       /* a minute (PickupDirectoryMaxMessagesPerMinute) */
};

/* One DKIM signature. Texts are borrowed from the MailingSettings, but for field, which lives for ever. */
struct settings_dkim_key {
    const char *selector;
    const char *key;   /* a reference, see secret.h of the worker */
    const char *field; /* the setting that the key stands in: "dkim_key" */
};

/* Who signs the mails of a profile. */
struct settings_dkim {
    char domain[SETTINGS_SERVER_BYTES]; /* A-labels */
    struct settings_dkim_key keys[2];
    unsigned count; /* 0 = nothing is signed */
};

/* Settings with every choice made. Texts are borrowed from the MailingSettings it was made of, but for server. */
struct seal_keys;

struct settings_plan {
    enum settings_route route;
    enum settings_tls tls;
    /* Host name as A-labels, or IP literal without brackets; "" for other routes. */
    char server[SETTINGS_SERVER_BYTES];
    uint16_t port; /* 1–65535; 0 for other routes */
    bool
        of_request; /* stood in a request: a stranger to this machine; set by whoever made the plan */
    const char *folder; /* absolute path of the pickup folder, or "" */
    const char *user_name;
    const char *password; /* a reference, see secret.h of the worker */
    const struct seal_keys
        *keys;          /* of this worker, for sealed: references; null where none are opened */
    int authentication; /* PB_AUTH(…), never UNSPECIFIED */
    const char
        *login_mechanisms; /* words, see settings_login.h; "" = all of the authentication */
    int ntlm_engine;       /* PB_NTLM(…) */
    int oauth_grant; /* PB_GRANT(…), never UNSPECIFIED; the fields below count for OAUTH2 only */
    const char *oauth_token_endpoint;
    const char *oauth_client_id;
    const char *oauth_client_secret; /* a reference, as oauth_refresh_token and oauth_key */
    const char *oauth_refresh_token;
    const char *oauth_scope;
    const char *oauth_key;
    const char *oauth_ca_file;
    const char *ca_file;
    const char *pinned_public_key;
    bool verify;
    bool allow_cleartext_auth;
    const char *helo_name;
    uint32_t connect_timeout_ms;
    uint32_t reply_timeout_ms;
    uint32_t content_timeout_ms;
    uint32_t max_connections;
    uint32_t
        max_messages_per_minute; /* these two of the whole pool, kept by the broker; 0 = no limit */
    uint32_t max_recipients_per_day;
    uint32_t max_recipients_per_message;
    uint32_t max_messages_per_connection;
    uint32_t max_connection_age_ms;
    uint32_t idle_timeout_ms;
    int pipelining; /* PB_PIPELINING(…) */
    int dialect;    /* PB_DIALECT(…), never UNSPECIFIED */
    int unknown_policy;
    PB(ReplyRule) *const *reply_rules; /* borrowed; the first that fits a refusal decides */
    size_t reply_rule_count;
    struct settings_dkim dkim;
};

/* Does a text name a place where a secret lies, file:PATH, env:NAME or credential:NAME, or hold it sealed (seal.h)? */
bool settings_is_reference(const char *text);

/* Check all of the settings and make the plan.
 *  field  out, the name of the first wrong field ("smtp_port"), borrowed for ever; untouched on success
 * Returns ERR_OK or ERR_INVALID with the rule in why. */
enum err settings_plan(const PB(MailingSettings) *settings, struct settings_plan *plan,
                       const char **field, struct err_text *why) NODISCARD;

#endif
