/* The cache of access tokens and their one refresher.
 *
 * Design notes. Times are monotonic and count from the start of a request, so a slow answer makes a token older,
 * never younger. A failure is told to all who wait and not kept, but for a Retry-After: the pool of connections and
 * the broker's latch decide when it is tried again. A failed renewal while the old token is good is a warning with the
 * time that is left. A refresh token that nobody used for a day is renewed all the same, because Microsoft's die
 * after 90 idle days. Tokens never stand in a log. */
#include "oauth.h"

#include "clock.h"
#include "digest.h"
#include "log.h"
#include "map.h"
#include "mem.h"
#include "oauth_http.h"
#include "oauth_reply.h"
#include "oauth_request.h"
#include "oauth_store.h"
#include "oauth_verdict.h"
#include "redact.h"
#include "secret.h"
#include "smtp_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ENTRIES_MAX = 1024,
    LIFE_DEFAULT_S = 3600, /* expires_in is only recommended, RFC 6749 5.1 */
    LIFE_USED_PERCENT = 80,
    MARGIN_MAX_MS = 30000,
    LOCK_EVERY_MS = 100,
    LOCK_PATIENCE_MS = 60000,
    RETRY_MIN_MS = 1000,
    RETRY_MAX_MS = 60000,
    PATIENCE_MAX_S = 300, /* of a Retry-After */
    WARN_BEFORE_S = 14 * 86400
};
static const int64_t day_ms = 86400000;

enum oauth_state { OAUTH_IDLE, OAUTH_LOCKING, OAUTH_FETCHING };

/* One credential. */
struct oauth_entry {
    struct oauth *oauth;
    struct oauth_entry *next;
    uint8_t key[DIGEST_BYTES];
    struct settings_plan plan;
    enum oauth_state state;
    char *token; /* null = none */
    int64_t got_ms;
    int64_t expires_ms;
    bool used;           /* since it was fetched */
    int64_t begun_ms;    /* of the request under way */
    int64_t patience_ms; /* no request before */
    char *sent;          /* refresh token of the request under way */
    char *rotated; /* a newer refresh token than the one stored, because it could not be */
    uint8_t seed[DIGEST_BYTES]; /* of the stored one that `rotated` came from */
    int lock;
    struct oauth_http http;
    struct loop_timer timer;
    struct oauth_wait *waiting;
    struct oauth_wait *telling; /* of those who are being told */
};

struct oauth {
    struct loop *loop;
    struct smtp_multi *multi;
    struct map *by_key;
    struct oauth_entry *entries;
    size_t count;
};

/* ---- entries ---- */

static void credential_key(const struct settings_plan *plan, uint8_t key[DIGEST_BYTES])
{
    char grant[16];
    (void)snprintf(grant, sizeof grant, "%d", plan->oauth_grant);
    const char *const texts[] = {
        plan->oauth_token_endpoint, plan->oauth_client_id, plan->oauth_client_secret,
        plan->oauth_refresh_token,  plan->oauth_scope,     plan->oauth_key,
        plan->oauth_ca_file,        plan->user_name,       grant};
    digest_texts(texts, sizeof texts / sizeof texts[0], key);
}

static void drop_token(struct oauth_entry *entry)
{
    secret_free(&entry->token);
    loop_timer_disarm(&entry->timer);
}

static void close_request(struct oauth_entry *entry)
{
    smtp_multi_remove(entry->oauth->multi, &entry->http.easy);
    oauth_http_fini(&entry->http);
    oauth_store_unlock(&entry->lock);
    secret_free(&entry->sent);
    entry->state = OAUTH_IDLE;
}

static void free_entry(struct oauth_entry *entry)
{
    drop_token(entry);
    close_request(entry);
    secret_free(&entry->rotated);
    smtp_plan_fini(&entry->plan);
    free(entry);
}

/* Room for one more: those without a token, a request or anybody waiting go. */
static void trim(struct oauth *oauth)
{
    struct oauth_entry **at = &oauth->entries;
    while (*at != NULL && oauth->count >= ENTRIES_MAX) {
        struct oauth_entry *entry = *at;
        bool lapsed = entry->token == NULL || entry->expires_ms < clock_mono_ms();
        if (entry->state != OAUTH_IDLE || entry->waiting != NULL || !lapsed ||
            entry->rotated != NULL) {
            at = &entry->next;
            continue;
        }
        *at = entry->next;
        oauth->count--;
        (void)map_take(&oauth->by_key, entry->key, sizeof entry->key);
        free_entry(entry);
    }
}

static void on_timer(void *arg);

static struct oauth_entry *find(struct oauth *oauth, const struct settings_plan *plan)
{
    uint8_t key[DIGEST_BYTES];
    credential_key(plan, key);
    return map_get(oauth->by_key, key, sizeof key);
}

static struct oauth_entry *find_or_make(struct oauth *oauth, const struct settings_plan *plan)
{
    struct oauth_entry *entry = find(oauth, plan);
    if (entry != NULL) {
        return entry;
    }
    trim(oauth);
    if (oauth->count >= ENTRIES_MAX) {
        return NULL;
    }
    entry = mem_zero(1, sizeof *entry);
    entry->oauth = oauth;
    entry->lock = -1;
    credential_key(plan, entry->key);
    smtp_plan_copy(plan, &entry->plan);
    loop_timer_init(&entry->timer, oauth->loop, on_timer, entry);
    entry->next = oauth->entries;
    oauth->entries = entry;
    oauth->count++;
    (void)map_put(&oauth->by_key, entry->key, sizeof entry->key, entry);
    return entry;
}

/* ---- endings ---- */

static void tell(struct oauth_entry *entry, const struct oauth_failure *failure)
{
    /* Who asks from inside waits for the next answer, not for this one. */
    char *token = failure == NULL ? mem_text(entry->token) : NULL;
    entry->telling = entry->waiting;
    entry->waiting = NULL;
    while (entry->telling != NULL) {
        struct oauth_wait *wait = entry->telling;
        entry->telling = wait->next;
        wait->entry = NULL;
        wait->next = NULL;
        wait->fn(wait->arg, token, failure);
    }
    secret_free(&token);
}

static void fail(struct oauth_entry *entry, int class, const char *text)
{
    struct oauth_failure failure = {.class = class};
    char quoted[LOG_QUOTE_BYTES];
    int64_t now_ms = clock_mono_ms();
    (void)snprintf(failure.text, sizeof failure.text, "%s", text);
    redact_form(failure.text, buf_text(&entry->http.form)); /* some repeat what they refuse */
    close_request(entry);
    int64_t left_ms = entry->token != NULL ? entry->expires_ms - now_ms : 0;
    log_warn("oauth_token_failed", "user=%s class=%d left_s=%" PRId64 " reason=%s",
             entry->plan.user_name, class, left_ms > 0 ? left_ms / 1000 : 0,
             log_quote(failure.text, quoted));
    if (left_ms > 0) {
        int64_t again_ms = left_ms / 4 < RETRY_MAX_MS ? left_ms / 4 : RETRY_MAX_MS;
        loop_timer_arm(&entry->timer, again_ms > RETRY_MIN_MS ? again_ms : RETRY_MIN_MS);
    }
    entry->used = left_ms > 0; /* so that the timer tries again */
    tell(entry, &failure);
}

/* A refresh token with an end that no renewal moves: somebody must log in again before that. */
static void warn_of_end(const struct oauth_entry *entry, const struct oauth_reply *reply)
{
    uint32_t left_s = reply->refresh_expires_in_s;
    if (left_s != 0 && left_s < WARN_BEFORE_S && reply->refresh_token == NULL) {
        log_warn("oauth_refresh_token_ends",
                 "user=%s in_s=%" PRIu32 " remedy=\"tpn profile login\"", entry->plan.user_name,
                 left_s);
    }
}

/* A new refresh token makes the old one worthless at many servers: it is on disk before the access token that came with
 * it is used. */
static void keep_rotated(struct oauth_entry *entry, struct oauth_reply *reply)
{
    struct err_text why = {.code = ERR_OK};
    char quoted[LOG_QUOTE_BYTES];
    if (reply->refresh_token == NULL || entry->sent == NULL ||
        strcmp(reply->refresh_token, entry->sent) == 0) {
        return;
    }
    secret_free(&entry->rotated);
    if (oauth_store_write(entry->plan.oauth_refresh_token, reply->refresh_token, &why) ==
        ERR_OK) {
        log_info("oauth_refresh_token_stored", "user=%s", entry->plan.user_name);
        return;
    }
    entry->rotated = mem_text(reply->refresh_token);
    log_error("oauth_refresh_token_not_stored",
              "user=%s kept=\"in memory: a restart of the worker loses it\" reason=%s",
              entry->plan.user_name, log_quote(why.text, quoted));
}

static void succeed(struct oauth_entry *entry, struct oauth_reply *reply)
{
    int64_t life_ms =
        1000 * (int64_t)(reply->expires_in_s > 0 ? reply->expires_in_s : LIFE_DEFAULT_S);
    int64_t left_ms = entry->begun_ms + life_ms * LIFE_USED_PERCENT / 100 - clock_mono_ms();
    keep_rotated(entry, reply);
    warn_of_end(entry, reply);
    secret_free(&entry->token);
    entry->token = mem_text(reply->access_token);
    entry->got_ms = entry->begun_ms;
    entry->expires_ms = entry->begun_ms + life_ms;
    entry->used = entry->waiting != NULL;
    log_info("oauth_token", "user=%s expires_in_s=%" PRId64, entry->plan.user_name,
             life_ms / 1000);
    close_request(entry);
    loop_timer_arm(&entry->timer, left_ms > RETRY_MIN_MS ? left_ms : RETRY_MIN_MS);
    tell(entry, NULL);
}

/* ---- the request ---- */

static void read_answer(struct oauth_entry *entry)
{
    struct oauth_http *http = &entry->http;
    struct oauth_reply reply;
    struct err_text why = {.code = ERR_OK};
    char text[OAUTH_FAILURE_BYTES];
    unsigned status = oauth_http_status(http);
    enum err err = oauth_reply_read(buf_text(&http->answer), http->answer.len, &reply, &why);
    if (err == ERR_OK && status / 100 == 2 && reply.access_token != NULL) {
        succeed(entry, &reply);
    } else {
        const struct oauth_ending ending = {
            .curl = CURLE_OK, .status = status, .error = err == ERR_OK ? reply.error : ""};
        int class = oauth_verdict(&ending);
        unsigned patience_s = oauth_http_retry_after_s(http);
        patience_s = patience_s < PATIENCE_MAX_S ? patience_s : PATIENCE_MAX_S;
        entry->patience_ms =
            class == PB_CLASS(TRANSIENT) ? clock_mono_ms() + 1000 * (int64_t)patience_s : 0;
        if (err == ERR_OK && reply.error[0] != '\0') {
            (void)snprintf(text, sizeof text, "token endpoint: %s: %s (HTTP %u)", reply.error,
                           reply.words, status);
        } else {
            (void)snprintf(text, sizeof text, "token endpoint: HTTP %u, and its answer %s",
                           status, err == ERR_OK ? "has no access_token" : why.text);
        }
        fail(entry, class, text);
    }
    oauth_reply_fini(&reply);
}

static void on_answered(void *arg, CURLcode code)
{
    struct oauth_entry *entry = arg;
    char text[OAUTH_FAILURE_BYTES];
    if (code == CURLE_OK) {
        read_answer(entry);
        return;
    }
    const struct oauth_ending ending = {.curl = code, .error = ""};
    (void)snprintf(text, sizeof text, "token endpoint: %s",
                   entry->http.error[0] != '\0' ? entry->http.error : curl_easy_strerror(code));
    fail(entry, oauth_verdict(&ending), text);
}

/* The newest refresh token: the stored one, unless ours came from it and could not be stored. */
static enum err choose_refresh_token(struct oauth_entry *entry, struct err_text *why)
{
    uint8_t seed[DIGEST_BYTES];
    char *stored = NULL;
    enum err err = secret_open_lines(entry->plan.keys, "oauth_refresh_token",
                                     entry->plan.oauth_refresh_token, &stored, why);
    if (err != ERR_OK) {
        return err;
    }
    stored[strcspn(stored, "\r\n")] = '\0';
    digest_sha256(stored, strlen(stored), seed);
    if (entry->rotated != NULL && memcmp(seed, entry->seed, sizeof seed) == 0) {
        entry->sent = mem_text(entry->rotated);
    } else {
        entry->sent = mem_text(stored);
        secret_free(&entry->rotated);
        memcpy(entry->seed, seed, sizeof seed);
    }
    secret_free(&stored);
    return ERR_OK;
}

static void fetch(struct oauth_entry *entry)
{
    struct err_text why = {.code = ERR_OK};
    enum err err = ERR_OK;
    entry->state = OAUTH_FETCHING;
    entry->begun_ms = clock_mono_ms();
    oauth_http_init(&entry->http);
    if (entry->plan.oauth_grant == PB_GRANT(REFRESH_TOKEN)) {
        err = choose_refresh_token(entry, &why);
    }
    if (err == ERR_OK) {
        err = oauth_request_fill(&entry->plan, entry->sent, clock_wall_ms() / 1000,
                                 &entry->http, &why);
    }
    if (err == ERR_OK) {
        err = oauth_http_open(&entry->http, entry->plan.oauth_token_endpoint,
                              entry->plan.oauth_ca_file, &why);
    }
    if (err == ERR_OK) {
        err = smtp_multi_add(entry->oauth->multi, entry->http.easy, on_answered, entry);
    }
    if (err != ERR_OK) {
        fail(entry, PB_CLASS(CONFIGURATION),
             why.text[0] != '\0' ? why.text : "libcurl: cannot begin the request for a token");
    }
}

static void lock_and_fetch(struct oauth_entry *entry)
{
    if (entry->plan.oauth_grant == PB_GRANT(REFRESH_TOKEN) &&
        oauth_store_lock(entry->plan.oauth_refresh_token, &entry->lock) == ERR_AGAIN &&
        clock_mono_ms() - entry->begun_ms < LOCK_PATIENCE_MS) {
        loop_timer_arm(&entry->timer, LOCK_EVERY_MS);
        return;
    }
    fetch(entry);
}

static void begin(struct oauth_entry *entry)
{
    entry->state = OAUTH_LOCKING;
    entry->begun_ms = clock_mono_ms();
    loop_timer_arm(&entry->timer, 0);
}

/* The lock may be free now; or a token is at 80 % of its life. */
static void on_timer(void *arg)
{
    struct oauth_entry *entry = arg;
    if (entry->state == OAUTH_LOCKING) {
        lock_and_fetch(entry);
        return;
    }
    int64_t day_left_ms = entry->got_ms + day_ms - clock_mono_ms();
    if (entry->used || day_left_ms <= 0) {
        begin(entry);
    } else if (entry->plan.oauth_grant == PB_GRANT(REFRESH_TOKEN)) {
        loop_timer_arm(&entry->timer, day_left_ms);
    }
}

/* ---- for sessions ---- */

/* A token that would run out while the login is under way is of no use. */
static bool is_good(const struct oauth_entry *entry)
{
    int64_t margin_ms = (entry->expires_ms - entry->got_ms) / 10;
    margin_ms = margin_ms < MARGIN_MAX_MS ? margin_ms : MARGIN_MAX_MS;
    return entry->token != NULL && clock_mono_ms() < entry->expires_ms - margin_ms;
}

enum err oauth_ask(struct oauth *oauth, const struct settings_plan *plan,
                   struct oauth_wait *wait, char **token, struct oauth_failure *failure)
{
    *token = NULL;
    *failure = (struct oauth_failure){.class = PB_CLASS(TRANSIENT)};
    struct oauth_entry *entry = find_or_make(oauth, plan);
    if (entry == NULL) {
        (void)snprintf(failure->text, sizeof failure->text,
                       "more than %d OAuth2 credentials are in use", (int)ENTRIES_MAX);
        return ERR_LIMIT;
    }
    if (is_good(entry)) {
        entry->used = true;
        *token = mem_text(entry->token);
        return ERR_OK;
    }
    int64_t patience_ms = entry->patience_ms - clock_mono_ms();
    if (patience_ms > 0 && entry->state == OAUTH_IDLE) {
        (void)snprintf(failure->text, sizeof failure->text,
                       "token endpoint: asked to be left alone for %" PRId64 " s more",
                       patience_ms / 1000 + 1);
        return ERR_LIMIT;
    }
    wait->entry = entry;
    wait->next = entry->waiting;
    entry->waiting = wait;
    if (entry->state == OAUTH_IDLE) {
        begin(entry);
    }
    return ERR_AGAIN;
}

static void unlink_wait(struct oauth_wait **at, const struct oauth_wait *wait)
{
    while (*at != NULL && *at != wait) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = wait->next;
    }
}

void oauth_forget(struct oauth_wait *wait)
{
    if (wait->entry == NULL) {
        return;
    }
    unlink_wait(&wait->entry->waiting, wait);
    unlink_wait(&wait->entry->telling, wait);
    wait->entry = NULL;
    wait->next = NULL;
}

void oauth_refused(struct oauth *oauth, const struct settings_plan *plan, const char *token)
{
    struct oauth_entry *entry = find(oauth, plan);
    if (entry != NULL && entry->token != NULL && strcmp(entry->token, token) == 0) {
        secret_free(&entry->token);
        if (entry->state == OAUTH_IDLE) {
            loop_timer_disarm(&entry->timer);
        }
    }
}

struct oauth *oauth_new(struct loop *loop, struct smtp_multi *multi)
{
    struct oauth *oauth = mem_zero(1, sizeof *oauth);
    oauth->loop = loop;
    oauth->multi = multi;
    return oauth;
}

void oauth_free(struct oauth **oauth_p)
{
    struct oauth *oauth = *oauth_p;
    if (oauth == NULL) {
        return;
    }
    map_clear(&oauth->by_key);
    for (struct oauth_entry *entry = oauth->entries, *next = NULL; entry != NULL;
         entry = next) {
        next = entry->next;
        free_entry(entry);
    }
    free(oauth);
    *oauth_p = NULL;
}
