/* Connections and waiting mails of one profile.
 *
 * Design notes. A pool opens its first connection alone; only when one has come through are
 * more opened side by side. So a wrong password costs one failed login, not twenty (account
 * lock), and a dead server one attempt a second. When a connection cannot be made and none
 * works, everything that waits gets that failure: the broker knows when to try again.
 *
 * Invariants: a mail is in the queue, or on a connection, or parked; every one of them is in
 * `all`. A link (connection) is in `links`, and in the idle list when its transaction said
 * so. Callbacks of transactions come from inside dispatch and the other way round, so
 * dispatch guards against itself. */
#include "smtp_pool.h"

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "pb_text.h"
#include "smtp_plan.h"
#include "smtp_session.h"
#include "smtp_transaction.h"

#include <stdlib.h>

enum {
    CONNECTING_AT_ONCE = 64,
    BACK_OFF_MS = 1000,
    RIDES_OFFERED = 4,
    PERMITS_AHEAD = 4,
    LINGER_MS = 600000 /* keep what was learnt about a server this long without work */
};

/* One connection. */
struct smtp_link {
    struct smtp_pool *pool;
    struct smtp_session *session;
    struct smtp_transaction *transaction; /* null while connecting */
    struct smtp_link *prev;
    struct smtp_link *next;
    struct smtp_link *idle_prev;
    struct smtp_link *idle_next;
    bool idle;
    bool closing; /* there are too many: it takes no mail any more */
};

struct smtp_pool {
    struct smtp_pool_setup setup;
    struct settings_plan plan;
    struct smtp_mail *first; /* the queue */
    struct smtp_mail *last;
    size_t waiting;
    struct smtp_mail *next_ask; /* in the queue; everybody before it was asked for */
    size_t asked;               /* in the queue, with a permit asked for */
    struct smtp_mail *all;      /* in the queue, parked, or on a connection */
    struct smtp_link *links;
    struct smtp_link *idle;      /* last used first: the others may age out */
    struct smtp_link *ride_next; /* asked next for a ride; null = from the start */
    size_t link_count;
    size_t most_links;
    size_t connecting;
    struct loop_timer timer; /* back-off, or how long it lingers unused */
    int64_t closed_until_ms; /* back-off after a failed connection */
    bool proven;             /* a connection came through since the last failure */
    bool retired;
    bool dispatching;
    bool again;
    enum smtp_mode mode;
};

static void dispatch(struct smtp_pool *pool);

/* The queue. */

static void queue_front(struct smtp_pool *pool, struct smtp_mail *mail)
{
    if (mail->permit == SMTP_PERMIT_NOT_ASKED) {
        pool->next_ask = mail; /* those behind it are passed over */
    } else {
        pool->asked++;
    }
    mail->next = pool->first;
    pool->first = mail;
    if (pool->last == NULL) {
        pool->last = mail;
    }
    pool->waiting++;
}

static void queue_back(struct smtp_pool *pool, struct smtp_mail *mail)
{
    mail->next = NULL;
    if (pool->next_ask == NULL) {
        pool->next_ask = mail;
    }
    if (pool->last != NULL) {
        pool->last->next = mail;
    } else {
        pool->first = mail;
    }
    pool->last = mail;
    pool->waiting++;
}

static struct smtp_mail *queue_take_any(struct smtp_pool *pool)
{
    struct smtp_mail *mail = pool->first;
    if (mail != NULL) {
        pool->asked -= mail->permit != SMTP_PERMIT_NOT_ASKED ? 1 : 0;
        if (pool->next_ask == mail) {
            pool->next_ask = mail->next;
        }
        pool->first = mail->next;
        pool->last = pool->first != NULL ? pool->last : NULL;
        mail->next = NULL;
        pool->waiting--;
    }
    return mail;
}

static void finish(struct smtp_pool *pool, struct smtp_mail *mail);

/* The next mail that may still be sent: a permit asked for ahead may have been denied meanwhile. */
static struct smtp_mail *queue_take(struct smtp_pool *pool)
{
    struct smtp_mail *mail = NULL;
    while ((mail = queue_take_any(pool)) != NULL && mail->permit == SMTP_PERMIT_DENIED) {
        smtp_mail_answer_loss(mail, PB_PHASE(BROKER), "permit denied");
        finish(pool, mail);
    }
    return mail;
}

static void forget(struct smtp_pool *pool, struct smtp_mail *mail)
{
    if (mail->all_prev != NULL) {
        mail->all_prev->all_next = mail->all_next;
    } else {
        pool->all = mail->all_next;
    }
    if (mail->all_next != NULL) {
        mail->all_next->all_prev = mail->all_prev;
    }
    mail->delivery->backend_state = NULL;
    free(mail);
}

/* The mail's story ends: tell its owner, last of all. */
static void finish(struct smtp_pool *pool, struct smtp_mail *mail)
{
    struct delivery *delivery = mail->delivery;
    forget(pool, mail);
    delivery->owner->done(delivery->owner_arg, delivery);
}

/* Links. */

static void leave_idle(struct smtp_link *link)
{
    if (!link->idle) {
        return;
    }
    if (link->idle_prev != NULL) {
        link->idle_prev->idle_next = link->idle_next;
    } else {
        link->pool->idle = link->idle_next;
    }
    if (link->idle_next != NULL) {
        link->idle_next->idle_prev = link->idle_prev;
    }
    link->idle = false;
    link->idle_prev = NULL;
    link->idle_next = NULL;
}

static void join_idle(struct smtp_link *link)
{
    struct smtp_pool *pool = link->pool;
    link->idle = true;
    link->idle_next = pool->idle;
    if (pool->idle != NULL) {
        pool->idle->idle_prev = link;
    }
    pool->idle = link;
}

static void free_link(struct smtp_link *link)
{
    struct smtp_pool *pool = link->pool;
    leave_idle(link);
    if (pool->ride_next == link) {
        pool->ride_next = link->next;
    }
    if (link->prev != NULL) {
        link->prev->next = link->next;
    } else {
        pool->links = link->next;
    }
    if (link->next != NULL) {
        link->next->prev = link->prev;
    }
    pool->link_count--;
    pool->connecting -= link->transaction == NULL ? 1 : 0;
    smtp_transaction_free(&link->transaction);
    smtp_session_free(&link->session);
    free(link);
}

/* Connections above the limit, but for those that are being closed. */
static size_t surplus(const struct smtp_pool *pool)
{
    size_t count = 0;
    for (const struct smtp_link *link = pool->links;
         link != NULL && pool->link_count > pool->most_links; link = link->next) {
        count += link->closing ? 0 : 1;
    }
    size_t most = pool->most_links > 0 || pool->waiting == 0 ? pool->most_links : 1;
    return count > most ? count - most : 0;
}

/* What transactions say. */

/* A rider is taken only when more wait than connections are on their way: those come for
 * somebody. */
static struct smtp_mail *on_take(void *arg, enum smtp_take how)
{
    struct smtp_link *link = arg;
    struct smtp_pool *pool = link->pool;
    if (how == SMTP_TAKE_RIDER && pool->waiting <= pool->connecting) {
        return NULL;
    }
    if (link->closing || surplus(pool) > 0) {
        return NULL;
    }
    struct smtp_mail *mail = queue_take(pool);
    if (mail != NULL) {
        leave_idle(link);
    }
    return mail;
}

static void on_mail_finished(void *arg, struct smtp_mail *mail)
{
    struct smtp_link *link = arg;
    finish(link->pool, mail);
}

static void on_mail_again(void *arg, struct smtp_mail *mail)
{
    struct smtp_link *link = arg;
    if (mail->permit == SMTP_PERMIT_ASKED) {
        mail->parked = true; /* it would only hold up a connection until the permit comes */
        return;
    }
    queue_front(link->pool, mail);
}

static void on_stumbled(void *arg)
{
    struct smtp_link *link = arg;
    struct smtp_pool *pool = link->pool;
    if (pool->plan.pipelining != PB_PIPELINING(AUTO) || pool->mode == SMTP_MODE_OFF) {
        return;
    }
    pool->mode--;
    log_warn("smtp_pipelining_lowered", "server=%s mode=%s", smtp_session_server(link->session),
             pool->mode == SMTP_MODE_OFF ? "off" : "envelope");
    pool->setup.lowered(pool->setup.lowered_arg, &pool->plan, pool->mode);
    for (struct smtp_link *each = pool->links; each != NULL; each = each->next) {
        if (each->transaction != NULL) {
            smtp_transaction_lower(each->transaction, pool->mode);
        }
    }
}

static void on_idle(void *arg)
{
    struct smtp_link *link = arg;
    if (!link->idle) {
        join_idle(link);
    }
    dispatch(link->pool);
}

static void on_over(void *arg)
{
    struct smtp_link *link = arg;
    struct smtp_pool *pool = link->pool;
    free_link(link);
    dispatch(pool);
}

static const struct smtp_transaction_owner transaction_owner = {
    .take = on_take,
    .finished = on_mail_finished,
    .again = on_mail_again,
    .stumbled = on_stumbled,
    .idle = on_idle,
    .over = on_over,
};

/* What sessions say. */

static void on_connected(void *arg)
{
    struct smtp_link *link = arg;
    struct smtp_pool *pool = link->pool;
    const struct smtp_transaction_setup setup = {.loop = pool->setup.loop,
                                                 .session = link->session,
                                                 .plan = &pool->plan,
                                                 .mode = pool->mode,
                                                 .owner = &transaction_owner,
                                                 .owner_arg = link};
    pool->connecting--;
    pool->proven = true;
    pool->closed_until_ms = 0;
    link->transaction = smtp_transaction_new(&setup);
    if (pool->retired && pool->waiting == 0) {
        smtp_transaction_retire(link->transaction);
    } else {
        smtp_transaction_kick(link->transaction);
    }
    dispatch(pool);
}

/* Everything that waits now gets the failure; what a job starts from inside done waits for
 * the next try. */
static void fail_waiting(struct smtp_pool *pool, const struct smtp_failure *failure)
{
    struct smtp_mail *mail = pool->first;
    pool->first = NULL;
    pool->last = NULL;
    pool->waiting = 0;
    pool->next_ask = NULL;
    pool->asked = 0;
    while (mail != NULL) {
        struct smtp_mail *next = mail->next;
        mail->next = NULL;
        struct outcome outcome = failure->code >= 400
                                     ? smtp_failure_outcome(failure, mail->delivery->plan)
                                     : failure->outcome;
        deliver_set_rest(mail->delivery, outcome, failure->phase, failure->code,
                         failure->enhanced, failure->text);
        finish(pool, mail);
        mail = next;
    }
}

static void note_failure(struct smtp_pool *pool, const struct smtp_failure *failure)
{
    char quoted[LOG_QUOTE_BYTES];
    log_warn("smtp_connect_failed", "server=%s port=%u phase=%d code=%u class=%s reason=%s",
             pool->plan.server, (unsigned)pool->plan.port, failure->phase, failure->code,
             pb_class_word(failure->outcome.class), log_quote(failure->text, quoted));
    pool->proven = false;
    pool->closed_until_ms = clock_mono_ms() + BACK_OFF_MS;
    if (pool->link_count == 0) {
        fail_waiting(pool, failure);
    }
}

static void on_failed(void *arg, const struct smtp_failure *failure)
{
    struct smtp_link *link = arg;
    struct smtp_pool *pool = link->pool;
    free_link(link);
    note_failure(pool, failure);
    dispatch(pool);
}

static void on_ready(void *arg, int events)
{
    struct smtp_link *link = arg;
    smtp_transaction_ready(link->transaction, events);
}

static const struct smtp_session_owner session_owner = {
    .connected = on_connected,
    .failed = on_failed,
    .ready = on_ready,
};

/* False when it failed at once. */
static bool open_link(struct smtp_pool *pool)
{
    struct smtp_link *link = mem_zero(1, sizeof *link);
    link->pool = pool;
    const struct smtp_session_setup setup = {.multi = pool->setup.multi,
                                             .oauth = pool->setup.oauth,
                                             .loop = pool->setup.loop,
                                             .plan = &pool->plan,
                                             .helo_name = pool->setup.helo_name,
                                             .egress = pool->setup.egress,
                                             .owner = &session_owner,
                                             .owner_arg = link};
    struct smtp_failure failure = {.phase = 0};
    if (smtp_session_open(&setup, &link->session, &failure) != ERR_OK) {
        free(link);
        note_failure(pool, &failure);
        return false;
    }
    link->next = pool->links;
    if (pool->links != NULL) {
        pool->links->prev = link;
    }
    pool->links = link;
    pool->link_count++;
    pool->connecting++;
    return true;
}

/* Bringing mails and connections together. */

static bool wants_link(const struct smtp_pool *pool)
{
    size_t at_once = pool->proven ? CONNECTING_AT_ONCE : 1;
    size_t most = pool->most_links > 0 ? pool->most_links : 1;
    return pool->waiting > pool->connecting && pool->link_count < most &&
           pool->connecting < at_once;
}

static void open_links(struct smtp_pool *pool)
{
    while (wants_link(pool)) {
        int64_t left_ms = pool->closed_until_ms - clock_mono_ms();
        if (left_ms > 0) {
            loop_timer_arm(&pool->timer, left_ms);
            return;
        }
        if (!open_link(pool)) {
            return;
        }
    }
}

/* No connection is free and none may be opened: let one that only awaits the answer to its dot
 * take an envelope now. A few are asked, in turn, so that a start costs the same with any number
 * of connections. */
static void offer_ride(struct smtp_pool *pool)
{
    for (int i = 0; i < RIDES_OFFERED && pool->waiting > pool->connecting; i++) {
        struct smtp_link *link = pool->ride_next != NULL ? pool->ride_next : pool->links;
        if (link == NULL) {
            return;
        }
        pool->ride_next = link->next;
        if (link->transaction != NULL) {
            smtp_transaction_kick(link->transaction);
        }
    }
}

/* Permits for the mails that come next, a few for each working connection: the broker's commit then runs beside the mail
 * before, not between the two. Only where a diary tells, after a kill, what had not begun to leave. */
static void ask_ahead(struct smtp_pool *pool)
{
    size_t working =
        pool->proven && pool->setup.ask_ahead ? pool->link_count - pool->connecting : 0;
    while (pool->next_ask != NULL && pool->asked < working * PERMITS_AHEAD) {
        struct smtp_mail *mail = pool->next_ask;
        pool->next_ask = mail->next;
        if (mail->permit == SMTP_PERMIT_NOT_ASKED) {
            mail->permit = SMTP_PERMIT_ASKED;
            pool->asked++;
            mail->delivery->owner->ask(mail->delivery->owner_arg, mail->delivery);
        }
    }
}

static void retire_idle(struct smtp_pool *pool)
{
    while (pool->retired && pool->waiting == 0 && pool->idle != NULL) {
        struct smtp_link *link = pool->idle;
        leave_idle(link);
        smtp_transaction_retire(link->transaction);
    }
}

static void close_surplus(struct smtp_pool *pool)
{
    for (size_t left = surplus(pool); left > 0 && pool->idle != NULL; left--) {
        struct smtp_link *link = pool->idle;
        leave_idle(link);
        link->closing = true;
        smtp_transaction_retire(link->transaction);
    }
}

static void dispatch_once(struct smtp_pool *pool)
{
    close_surplus(pool);
    while (pool->waiting > 0 && pool->idle != NULL) {
        struct smtp_link *link = pool->idle;
        leave_idle(link);
        smtp_transaction_kick(link->transaction);
    }
    open_links(pool);
    offer_ride(pool);
    ask_ahead(pool);
    retire_idle(pool);
}

static bool is_unused(const struct smtp_pool *pool)
{
    return pool->all == NULL && pool->link_count == 0;
}

static void dispatch(struct smtp_pool *pool)
{
    if (pool->dispatching) {
        pool->again = true;
        return;
    }
    pool->dispatching = true;
    do {
        pool->again = false;
        dispatch_once(pool);
    } while (pool->again);
    pool->dispatching = false;
    if (is_unused(pool)) {
        /* Not from here: a caller further up may still hold the pool. */
        loop_timer_arm(&pool->timer, pool->retired ? 0 : LINGER_MS);
    }
}

static void on_timer(void *arg)
{
    struct smtp_pool *pool = arg;
    if (is_unused(pool)) {
        pool->setup.unused(pool->setup.unused_arg, pool);
        return;
    }
    dispatch(pool);
}

/* For the back end. */

static enum smtp_mode mode_of(int pipelining, enum smtp_mode most)
{
    switch (pipelining) {
    case PB_PIPELINING(OFF):
        return SMTP_MODE_OFF;
    case PB_PIPELINING(ENVELOPE):
        return SMTP_MODE_ENVELOPE;
    case PB_PIPELINING(FULL):
        return SMTP_MODE_FULL;
    default:
        return most;
    }
}

struct smtp_pool *smtp_pool_new(const struct smtp_pool_setup *setup,
                                const struct settings_plan *plan)
{
    struct smtp_pool *pool = mem_zero(1, sizeof *pool);
    pool->setup = *setup;
    smtp_plan_copy(plan, &pool->plan);
    pool->most_links = plan->max_connections;
    pool->mode = mode_of(plan->pipelining, setup->most);
    loop_timer_init(&pool->timer, setup->loop, on_timer, pool);
    return pool;
}

void smtp_pool_free(struct smtp_pool **pool_p)
{
    struct smtp_pool *pool = *pool_p;
    if (pool == NULL) {
        return;
    }
    for (struct smtp_link *link = pool->links, *next = NULL; link != NULL; link = next) {
        next = link->next;
        free_link(link);
    }
    for (struct smtp_mail *mail = pool->all, *next = NULL; mail != NULL; mail = next) {
        next = mail->all_next;
        forget(pool, mail);
    }
    loop_timer_disarm(&pool->timer);
    smtp_plan_fini(&pool->plan);
    free(pool);
    *pool_p = NULL;
}

bool smtp_pool_fits(const struct smtp_pool *pool, const struct settings_plan *plan)
{
    return !pool->retired && smtp_plan_same(&pool->plan, plan);
}

bool smtp_pool_is_unused(const struct smtp_pool *pool)
{
    return is_unused(pool);
}

void smtp_pool_start(struct smtp_pool *pool, struct delivery *delivery)
{
    struct smtp_mail *mail = mem_zero(1, sizeof *mail);
    mail->delivery = delivery;
    mail->pool = pool;
    mail->content_len = delivery->content.len;
    delivery->backend_state = mail;
    mail->all_next = pool->all;
    if (pool->all != NULL) {
        pool->all->all_prev = mail;
    }
    pool->all = mail;
    queue_back(pool, mail);
    dispatch(pool);
}

/* A mail that lost its connection while the permit was on its way. */
static void permit_parked(struct smtp_mail *mail)
{
    struct smtp_pool *pool = mail->pool;
    mail->parked = false;
    if (mail->permit == SMTP_PERMIT_GRANTED) {
        queue_front(pool, mail);
    } else {
        smtp_mail_answer_loss(mail, PB_PHASE(BROKER), "permit denied");
        finish(pool, mail);
    }
    dispatch(pool);
}

void smtp_pool_permit(struct smtp_mail *mail, enum deliver_permit permit)
{
    mail->permit = permit == DELIVER_GRANTED ? SMTP_PERMIT_GRANTED : SMTP_PERMIT_DENIED;
    if (mail->on != NULL) {
        smtp_transaction_kick(mail->on);
    } else if (mail->parked) {
        permit_parked(mail);
    }
}

void smtp_pool_retire(struct smtp_pool *pool)
{
    pool->retired = true;
    dispatch(pool);
}

void smtp_pool_limit(struct smtp_pool *pool, uint32_t connections)
{
    pool->most_links = connections;
    dispatch(pool);
}

size_t smtp_pool_links(const struct smtp_pool *pool)
{
    return pool->link_count;
}
