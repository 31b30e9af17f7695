/* The smtp back end: one pool of connections for each profile version.
 *
 * Settings that came with a single request (profile version 0) share a pool when they are
 * the same in every field. A version number alone is not trusted: a broker that lost its
 * counter could name other settings by an old number, and mail would leave with another
 * profile's login; so the plan is compared as well, and a pool whose plan differs is
 * retired. Bounded: a pool without work goes after a while, at once when there are many. */
#include "deliver.h"
#include "map.h"
#include "mem.h"
#include "smtp_plan.h"
#include "smtp_pool.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

enum { POOLS_KEPT = 256, SERVERS_KNOWN = 1024, SERVER_KEY_BYTES = SETTINGS_SERVER_BYTES + 8 };

/* A pool and its key in the map. */
struct smtp_shelf {
    struct smtp_backend *backend;
    struct smtp_pool *pool;
    struct smtp_shelf *next;
    uint8_t key[DIGEST_BYTES];
    size_t key_len;
    bool current; /* in the map; else retired and replaced */
};

struct smtp_backend {
    struct loop *loop;
    struct smtp_multi *multi;
    struct oauth *oauth;
    char *helo_name;
    const struct egress *egress;
    bool ask_ahead;
    struct map *by_key;
    struct map *limits; /* by profile version: most connections and 1 */
    struct smtp_shelf *shelves;
    size_t shelf_count;
    struct map *
        modes; /* by "host:port": servers that stumbled over pipelining; the value is the address of their mode below */
};

/* What the values of `modes` point to. */
static const enum smtp_mode modes[] = {SMTP_MODE_OFF, SMTP_MODE_ENVELOPE, SMTP_MODE_FULL};

/* NOSIGNAL leaves SIGPIPE to us, and OpenSSL writes with write(2). Who has set it otherwise
 * keeps it. */
static void ignore_sigpipe(void)
{
    struct sigaction old;
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL) {
        (void)sigaction(SIGPIPE, &ignore, NULL);
    }
}

static enum err backend_open(const struct deliver_context *context, void **self,
                             struct err_text *why)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return err_set(why, ERR_CONFIG, "libcurl: curl_global_init failed");
    }
    ignore_sigpipe();
    struct smtp_backend *backend = mem_zero(1, sizeof *backend);
    backend->loop = context->loop;
    enum err err = smtp_multi_new(context->loop, &backend->multi, why);
    if (err != ERR_OK) {
        free(backend);
        return err;
    }
    backend->oauth = oauth_new(context->loop, backend->multi);
    backend->helo_name = mem_text(context->helo_name);
    backend->ask_ahead = context->keeps_diary;
    backend->egress = context->egress;
    *self = backend;
    return ERR_OK;
}

static void drop_shelf(struct smtp_shelf *shelf)
{
    struct smtp_backend *backend = shelf->backend;
    struct smtp_shelf **at = &backend->shelves;
    while (*at != shelf) {
        at = &(*at)->next;
    }
    *at = shelf->next;
    backend->shelf_count--;
    if (shelf->current) {
        (void)map_take(&backend->by_key, shelf->key, shelf->key_len);
    }
    smtp_pool_free(&shelf->pool);
    free(shelf);
}

static void server_key(const struct settings_plan *plan, char out[SERVER_KEY_BYTES])
{
    (void)snprintf(out, SERVER_KEY_BYTES, "%s:%u", plan->server, (unsigned)plan->port);
}

/* Remembered beyond the pool, which goes when its profile changes or nothing was sent for a while: each stumble may leave
 * a mail in doubt. */
static void on_lowered(void *arg, const struct settings_plan *plan, enum smtp_mode mode)
{
    struct smtp_backend *backend = arg;
    char key[SERVER_KEY_BYTES];
    if (map_count(backend->modes) >= SERVERS_KNOWN) {
        map_clear(&backend->modes);
        map_clear(&backend->limits);
    }
    server_key(plan, key);
    (void)map_put_text(&backend->modes, key, (void *)(uintptr_t)&modes[mode]);
}

static enum smtp_mode known_mode(const struct smtp_backend *backend,
                                 const struct settings_plan *plan)
{
    char key[SERVER_KEY_BYTES];
    server_key(plan, key);
    const enum smtp_mode *mode = map_get_text(backend->modes, key);
    return mode != NULL ? *mode : SMTP_MODE_FULL;
}

static void on_unused(void *arg, struct smtp_pool *pool)
{
    (void)pool;
    drop_shelf(arg);
}

static struct smtp_shelf *add_shelf(struct smtp_backend *backend,
                                    const struct delivery *delivery, const uint8_t *key,
                                    size_t key_len)
{
    struct smtp_shelf *shelf = mem_zero(1, sizeof *shelf);
    const struct smtp_pool_setup setup = {.loop = backend->loop,
                                          .multi = backend->multi,
                                          .oauth = backend->oauth,
                                          .helo_name = backend->helo_name,
                                          .egress = backend->egress,
                                          .ask_ahead = backend->ask_ahead,
                                          .unused = on_unused,
                                          .unused_arg = shelf,
                                          .most = known_mode(backend, delivery->plan),
                                          .lowered = on_lowered,
                                          .lowered_arg = backend};
    shelf->backend = backend;
    shelf->pool = smtp_pool_new(&setup, delivery->plan);
    uintptr_t limit = (uintptr_t)map_get_u64(backend->limits, delivery->profile_version);
    if (delivery->profile_version != 0 && limit != 0) {
        smtp_pool_limit(shelf->pool, (uint32_t)(limit - 1));
    }
    shelf->key_len = key_len;
    memcpy(shelf->key, key, key_len);
    shelf->current = true;
    shelf->next = backend->shelves;
    backend->shelves = shelf;
    backend->shelf_count++;
    (void)map_put(&backend->by_key, shelf->key, shelf->key_len, shelf);
    return shelf;
}

/* Beyond the bound no pool lingers without work. */
static void trim(struct smtp_backend *backend)
{
    if (backend->shelf_count <= POOLS_KEPT) {
        return;
    }
    for (struct smtp_shelf *shelf = backend->shelves; shelf != NULL; shelf = shelf->next) {
        if (shelf->current && smtp_pool_is_unused(shelf->pool)) {
            (void)map_take(&backend->by_key, shelf->key, shelf->key_len);
            shelf->current = false;
            smtp_pool_retire(shelf->pool);
        }
    }
}

static struct smtp_pool *pool_of(struct smtp_backend *backend, const struct delivery *delivery)
{
    uint8_t key[DIGEST_BYTES];
    size_t key_len = sizeof delivery->profile_version;
    memcpy(key, &delivery->profile_version, key_len);
    if (delivery->profile_version == 0) {
        smtp_plan_digest(delivery->plan, key);
        key_len = sizeof key;
    }
    struct smtp_shelf *shelf = map_get(backend->by_key, key, key_len);
    if (shelf != NULL && smtp_pool_fits(shelf->pool, delivery->plan)) {
        return shelf->pool;
    }
    if (shelf != NULL) {
        (void)map_take(&backend->by_key, key, key_len);
        shelf->current = false;
        smtp_pool_retire(shelf->pool);
    }
    trim(backend);
    return add_shelf(backend, delivery, key, key_len)->pool;
}

static void backend_start(void *self, struct delivery *delivery)
{
    struct smtp_backend *backend = self;
    if (delivery->look_only) {
        /* SMTP has no way to ask a server what it took. */
        deliver_set_rest(delivery, OUTCOME(UNKNOWN, UNCERTAIN), PB_PHASE(FINAL_DOT), 0, "",
                         "a mail server cannot be asked whether it took a mail");
        delivery->owner->done(delivery->owner_arg, delivery);
        return;
    }
    smtp_pool_start(pool_of(backend, delivery), delivery);
}

static void backend_permit(void *self, struct delivery *delivery, enum deliver_permit permit)
{
    (void)self;
    if (delivery->backend_state != NULL) {
        smtp_pool_permit(delivery->backend_state, permit);
    }
}

static bool is_of(const struct smtp_shelf *shelf, uint64_t profile_version)
{
    return shelf->key_len == sizeof profile_version &&
           memcmp(shelf->key, &profile_version, sizeof profile_version) == 0;
}

static void backend_limit(void *self, uint64_t profile_version, uint32_t connections)
{
    struct smtp_backend *backend = self;
    (void)map_put_u64(
        &backend->limits, profile_version,
        (void *)((uintptr_t)connections + 1)); // NOLINT(performance-no-int-to-ptr)
    for (struct smtp_shelf *shelf = backend->shelves; shelf != NULL; shelf = shelf->next) {
        if (is_of(shelf, profile_version)) {
            smtp_pool_limit(shelf->pool, connections);
        }
    }
}

static uint32_t backend_open_of(void *self, uint64_t profile_version)
{
    struct smtp_backend *backend = self;
    uintptr_t limit = (uintptr_t)map_get_u64(backend->limits, profile_version);
    size_t open = 0;
    for (struct smtp_shelf *shelf = backend->shelves; shelf != NULL; shelf = shelf->next) {
        open += is_of(shelf, profile_version) ? smtp_pool_links(shelf->pool) : 0;
    }
    return limit > open ? (uint32_t)(limit - 1) : (uint32_t)open;
}

static void backend_drain(void *self)
{
    struct smtp_backend *backend = self;
    for (struct smtp_shelf *shelf = backend->shelves; shelf != NULL; shelf = shelf->next) {
        smtp_pool_retire(shelf->pool);
    }
}

static void backend_close(void **self)
{
    struct smtp_backend *backend = *self;
    if (backend == NULL) {
        return;
    }
    for (struct smtp_shelf *shelf = backend->shelves, *next = NULL; shelf != NULL;
         shelf = next) {
        next = shelf->next;
        drop_shelf(shelf);
    }
    map_clear(&backend->by_key);
    map_clear(&backend->modes);
    map_clear(&backend->limits);
    oauth_free(&backend->oauth);
    smtp_multi_free(&backend->multi);
    free(backend->helo_name);
    free(backend);
    curl_global_cleanup();
    *self = NULL;
}

const struct deliver_backend deliver_smtp = {
    .name = "smtp",
    .open = backend_open,
    .start = backend_start,
    .permit = backend_permit,
    .drain = backend_drain,
    .limit = backend_limit,
    .open_of = backend_open_of,
    .close = backend_close,
};
