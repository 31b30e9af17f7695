/* Copies and comparisons of the part of a plan that SMTP looks at.
 *
 * A connection is used again only for settings that are the same in every field: libcurl and
 * others have sent in clear text, or as the wrong user, because a TLS setting was not part
 * of the comparison. A field that is added to settings_plan and that a connection depends on
 * must be added to one of the two tables here. */
#include "smtp_plan.h"

#include "mem.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The texts that a plan borrows. */
static const size_t texts[] = {
    offsetof(struct settings_plan, folder),
    offsetof(struct settings_plan, user_name),
    offsetof(struct settings_plan, password),
    offsetof(struct settings_plan, ca_file),
    offsetof(struct settings_plan, helo_name),
    offsetof(struct settings_plan, pinned_public_key),
    offsetof(struct settings_plan, login_mechanisms),
    offsetof(struct settings_plan, oauth_token_endpoint),
    offsetof(struct settings_plan, oauth_client_id),
    offsetof(struct settings_plan, oauth_client_secret),
    offsetof(struct settings_plan, oauth_refresh_token),
    offsetof(struct settings_plan, oauth_scope),
    offsetof(struct settings_plan, oauth_key),
    offsetof(struct settings_plan, oauth_ca_file),
};

enum { TEXTS = sizeof texts / sizeof texts[0], NUMBERS_BYTES = 256 };

static const char *text_at(const struct settings_plan *plan, size_t offset)
{
    const char *text = NULL;
    memcpy(&text, (const char *)plan + offset, sizeof text);
    return text != NULL ? text : "";
}

static void set_text_at(struct settings_plan *plan, size_t offset, const char *text)
{
    memcpy((char *)plan + offset, &text, sizeof text);
}

void smtp_plan_copy(const struct settings_plan *from, struct settings_plan *to)
{
    *to = *from;
    to->reply_rules = NULL; /* they are no part of a connection: each mail asks its own */
    to->reply_rule_count = 0;
    for (size_t i = 0; i < TEXTS; i++) {
        set_text_at(to, texts[i], mem_text(text_at(from, texts[i])));
    }
}

void smtp_plan_fini(struct settings_plan *plan)
{
    for (size_t i = 0; i < TEXTS; i++) {
        void *text = NULL;
        memcpy(&text, (const char *)plan + texts[i], sizeof text);
        free(text);
        set_text_at(plan, texts[i], NULL);
    }
}

/* All that is no text, as one. */
static void numbers(const struct settings_plan *plan, char out[NUMBERS_BYTES])
{
    (void)snprintf(out, NUMBERS_BYTES,
                   "%d %d %u %d %d %d %d %d %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32
                   " %" PRIu32 " %" PRIu32 " %" PRIu32 " %d %d",
                   (int)plan->route, (int)plan->tls, (unsigned)plan->port, plan->authentication,
                   plan->ntlm_engine, plan->oauth_grant, (int)plan->verify,
                   (int)plan->allow_cleartext_auth, plan->connect_timeout_ms,
                   plan->reply_timeout_ms, plan->content_timeout_ms, plan->max_connections,
                   plan->max_messages_per_connection, plan->max_connection_age_ms,
                   plan->idle_timeout_ms, plan->pipelining, (int)plan->of_request);
}

static bool same_numbers(const struct settings_plan *a, const struct settings_plan *b)
{
    return a->route == b->route && a->tls == b->tls && a->port == b->port &&
           a->authentication == b->authentication && a->ntlm_engine == b->ntlm_engine &&
           a->oauth_grant == b->oauth_grant && a->verify == b->verify &&
           a->allow_cleartext_auth == b->allow_cleartext_auth &&
           a->connect_timeout_ms == b->connect_timeout_ms &&
           a->reply_timeout_ms == b->reply_timeout_ms &&
           a->content_timeout_ms == b->content_timeout_ms &&
           a->max_connections == b->max_connections &&
           a->max_messages_per_connection == b->max_messages_per_connection &&
           a->max_connection_age_ms == b->max_connection_age_ms &&
           a->idle_timeout_ms == b->idle_timeout_ms && a->pipelining == b->pipelining &&
           a->of_request == b->of_request;
}

bool smtp_plan_same(const struct settings_plan *a, const struct settings_plan *b)
{
    for (size_t i = 0; i < TEXTS; i++) {
        if (strcmp(text_at(a, texts[i]), text_at(b, texts[i])) != 0) {
            return false;
        }
    }
    return strcmp(a->server, b->server) == 0 && same_numbers(a, b);
}

void smtp_plan_digest(const struct settings_plan *plan, uint8_t out[DIGEST_BYTES])
{
    char figures[NUMBERS_BYTES];
    const char *all[TEXTS + 2];
    numbers(plan, figures);
    for (size_t i = 0; i < TEXTS; i++) {
        all[i] = text_at(plan, texts[i]);
    }
    all[TEXTS] = plan->server;
    all[TEXTS + 1] = figures;
    digest_texts(all, TEXTS + 2, out);
}
