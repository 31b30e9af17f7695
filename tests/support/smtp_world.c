/* The job's side: asks are answered as the test says, every mail must end once and with an outcome for everybody. */
#include "smtp_world.h"

#include "clock.h"
#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PATIENCE_MS = 10000 };

static size_t number_of(const struct world *w, const struct delivery *delivery)
{
    return (size_t)(delivery - w->mails);
}

static void on_ask(void *arg, struct delivery *delivery)
{
    struct world *w = arg;
    size_t i = number_of(w, delivery);
    assert_false(w->over[i]);
    assert_false(w->asked[i]);
    w->asked[i] = true;
    w->asks++;
    if (w->permits == PERMIT_AT_ONCE) {
        deliver_smtp.permit(w->backend, delivery, DELIVER_GRANTED);
    } else if (w->permits == PERMIT_DENIED) {
        deliver_smtp.permit(w->backend, delivery, DELIVER_DENIED);
    }
}

static void on_done(void *arg, struct delivery *delivery)
{
    struct world *w = arg;
    size_t i = number_of(w, delivery);
    assert_false(w->over[i]);
    w->over[i] = true;
    w->done++;
    for (size_t r = 0; r < delivery->recipient_count; r++) {
        assert_int_not_equal(delivery->recipients[r].outcome, PB_OUTCOME(PENDING));
    }
}

static const struct deliver_owner owner = {.ask = on_ask, .done = on_done};

void world_open(struct world *w, const struct manner *manner)
{
    struct err_text why = {.code = ERR_OK};
    *w = (struct world){.permits = PERMIT_AT_ONCE};
    assert_int_equal(loop_new(&w->loop, &why), ERR_OK);
    fake_open(&w->fake, w->loop, manner);
    const struct deliver_context context = {.loop = w->loop, .helo_name = "test.example"};
    assert_int_equal(deliver_smtp.open(&context, &w->backend, &why), ERR_OK);
    w->plan = (struct settings_plan){.route = SETTINGS_SMTP,
                                     .tls = SETTINGS_TLS_NONE,
                                     .server = "127.0.0.1",
                                     .port = w->fake.port,
                                     .authentication = PB_AUTH(ANONYMOUS),
                                     .verify = true,
                                     .connect_timeout_ms = 5000,
                                     .reply_timeout_ms = 5000,
                                     .content_timeout_ms = 5000,
                                     .idle_timeout_ms = 5000,
                                     .max_connections = 1};
}

void world_close(struct world *w)
{
    deliver_smtp.close(&w->backend);
    fake_close(&w->fake);
    loop_free(&w->loop);
    for (size_t i = 0; i < MAILS; i++) {
        delivery_fini(&w->mails[i]);
    }
}

struct delivery *world_start_as(struct world *w, size_t i, const char *const *recipients,
                                const struct settings_plan *plan, uint64_t version)
{
    struct delivery *delivery = &w->mails[i];
    delivery->plan = plan;
    delivery->profile_version = version;
    delivery->owner = &owner;
    delivery->owner_arg = w;
    (void)snprintf(delivery->mail_from, sizeof delivery->mail_from, "boss@here.example");
    buf_init(&delivery->content, 4096);
    buf_add_format(&delivery->content, "Subject: mail %zu\r\n\r\nbody %zu\r\n", i, i);
    delivery->recipients = mem_zero(RECIPIENTS, sizeof *delivery->recipients);
    for (size_t r = 0; recipients[r] != NULL; r++) {
        struct deliver_recipient *recipient = &delivery->recipients[r];
        (void)snprintf(recipient->address, sizeof recipient->address, "%s", recipients[r]);
        recipient->needs_utf8 = strstr(recipients[r], "\xc3") != NULL;
        delivery->recipient_count = r + 1;
    }
    deliver_smtp.start(w->backend, delivery);
    return delivery;
}

struct delivery *world_start(struct world *w, size_t i, const char *const *recipients)
{
    return world_start_as(w, i, recipients, &w->plan, 7);
}

void world_turn_until(struct world *w, const unsigned *counter, unsigned wanted)
{
    struct err_text why = {.code = ERR_OK};
    int64_t end_ms = clock_mono_ms() + PATIENCE_MS;
    while (*counter < wanted) {
        assert_true(clock_mono_ms() < end_ms);
        assert_int_equal(loop_turn(w->loop, 1000, &why), ERR_OK);
    }
}

void world_settle(struct world *w)
{
    struct err_text why = {.code = ERR_OK};
    for (int i = 0; i < 50; i++) {
        assert_int_equal(loop_turn(w->loop, 1, &why), ERR_OK);
    }
}

bool world_saw(const struct world *w, const char *text)
{
    return strstr(buf_text(&w->fake.seen), text) != NULL;
}

const char *const world_to_a[] = {"a@x.test", NULL};
const char *const world_to_no[] = {"no@x.test", NULL};

void world_assert_all(const struct world *w, size_t count, int outcome)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(w->mails[i].recipients[0].outcome, outcome);
    }
}

void world_start_many(struct world *w, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)world_start(w, i, world_to_a);
    }
}
