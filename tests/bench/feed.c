/* See the header. */
#include "feed.h"

#include "clock.h"
#include "mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { CONTENT_MAX_BYTES = 64 * 1024 * 1024, NUMBER_DIGITS = 16 };

static const char id_head[] = "Message-ID: <";

static int64_t cpu_us(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/* With a start that is not timed the end is not either: the back end is as busy at the last timed mail as at the first. */
static size_t total(const struct feed *feed)
{
    return feed->untimed + feed->messages + (feed->untimed > 0 ? feed->ahead : 0);
}

static void look_at_clock(struct feed *feed)
{
    if (feed->done == feed->untimed) {
        feed->from_us = clock_mono_us();
        feed->cpu_from_us = cpu_us();
    }
    if (feed->done == feed->untimed + feed->messages) {
        feed->to_us = clock_mono_us();
        feed->cpu_to_us = cpu_us();
    }
}

static void on_ask(void *arg, struct delivery *delivery)
{
    struct feed *feed = arg;
    feed->backend->permit(feed->self, delivery, DELIVER_GRANTED);
}

static void start_one(struct feed *feed);

static void on_done(void *arg, struct delivery *delivery)
{
    struct feed *feed = arg;
    const struct deliver_recipient *first = &delivery->recipients[0];
    feed->done++;
    if (first->outcome == PB_OUTCOME(DELIVERED)) {
        feed->delivered++;
    } else if (!feed->told) {
        feed->told = true;
        (void)fprintf(stderr, "not delivered: phase %d code %u %s\n", first->phase, first->code,
                      first->text != NULL ? first->text : "");
    }
    delivery_fini(delivery);
    free(delivery);
    look_at_clock(feed);
    if (feed->started < total(feed)) {
        start_one(feed);
    } else if (feed->done == total(feed)) {
        loop_stop(feed->context.loop);
    }
}

static const struct deliver_owner owner = {.ask = on_ask, .done = on_done};

static void start_one(struct feed *feed)
{
    struct delivery *delivery = mem_zero(1, sizeof *delivery);
    char number[NUMBER_DIGITS + 1];
    (void)snprintf(number, sizeof number, "%0*zu", NUMBER_DIGITS, feed->started);
    feed->started++;
    delivery->plan = &feed->plan;
    delivery->profile_version = 1;
    delivery->lease = feed->started;
    delivery->producer = "bench";
    delivery->request_id = "bench";
    delivery->owner = &owner;
    delivery->owner_arg = feed;
    (void)snprintf(delivery->mail_from, sizeof delivery->mail_from, "sender@bench.example");
    (void)snprintf(delivery->file_name, sizeof delivery->file_name, "bench-%s", number);
    buf_init(&delivery->content, CONTENT_MAX_BYTES);
    buf_add(&delivery->content, feed->content.data, feed->content.len);
    memcpy(delivery->content.data + sizeof id_head - 1, number, NUMBER_DIGITS);
    delivery->recipient_count = feed->recipients;
    delivery->recipients = mem_zero(feed->recipients, sizeof *delivery->recipients);
    for (size_t i = 0; i < feed->recipients; i++) {
        (void)snprintf(delivery->recipients[i].address, sizeof delivery->recipients[i].address,
                       "custodian%zu@bench.example", i);
    }
    feed->backend->start(feed->self, delivery);
}

/* The number's place holds zeros. */
static void make_content(struct feed *feed)
{
    buf_init(&feed->content, CONTENT_MAX_BYTES);
    buf_add_format(
        &feed->content,
        "%s%0*d@bench.example>\r\nFrom: sender@bench.example\r\nSubject: bench\r\n\r\n",
        id_head, NUMBER_DIGITS, 0);
    while (feed->content.len + 72 <= feed->size) {
        buf_add_text(
            &feed->content,
            "Calibration is due: torque wrench 4711, custodian Smith, room 12-34.\r\n");
    }
    while (feed->content.len + 2 < feed->size) {
        buf_add_char(&feed->content, 'x');
    }
    buf_add_text(&feed->content, "\r\n");
}

static enum err feed_all(struct feed *feed, struct err_text *why)
{
    enum err err = feed->backend->open(&feed->context, &feed->self, why);
    if (err != ERR_OK) {
        return err;
    }
    look_at_clock(feed);
    while (feed->started < total(feed) && feed->started - feed->done < feed->ahead) {
        start_one(feed);
    }
    err = loop_run(feed->context.loop, why);
    feed->backend->close(&feed->self);
    return err;
}

int feed_run(struct feed *feed)
{
    struct err_text why = {.code = ERR_OK};
    enum err err = loop_new(&feed->context.loop, &why);
    if (err == ERR_OK) {
        make_content(feed);
        err = feed_all(feed, &why);
        buf_fini(&feed->content);
        loop_free(&feed->context.loop);
    }
    if (err != ERR_OK) {
        (void)fprintf(stderr, "%s\n", why.text);
        return 1;
    }
    double seconds = (double)(feed->to_us - feed->from_us) / 1e6;
    (void)printf("messages=%zu delivered=%zu seconds=%.3f per_second=%.0f cpu_us=%.2f\n",
                 feed->messages, feed->delivered, seconds, (double)feed->messages / seconds,
                 (double)(feed->cpu_to_us - feed->cpu_from_us) / (double)feed->messages);
    return feed->delivered == total(feed) ? 0 : 1;
}
