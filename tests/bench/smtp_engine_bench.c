/* The SMTP engine alone: mails of one size to a server that takes them all, permits granted
 * at once.
 *
 *   smtp_engine_bench [-c connections] [-n messages] [-s bytes] [-p auto|full|envelope|off] [-r recipients] host:port
 *
 * Prints messages a second and CPU microseconds a message (user and system, this process
 * only). Compare in the same run with
 *   smtp-source -d -s CONNECTIONS -m MESSAGES -l BYTES host:port
 * for absolute figures move with the machine. Twice as many mails are under way as there are
 * connections. */
#include "buf.h"
#include "clock.h"
#include "deliver.h"
#include "loop.h"
#include "mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct bench {
    struct loop *loop;
    void *backend;
    struct settings_plan plan;
    size_t messages;
    size_t size;
    size_t recipients;
    size_t started;
    size_t done;
    size_t delivered;
    bool told;
    struct buf content;
};

static void start_one(struct bench *bench);

static void on_ask(void *arg, struct delivery *delivery)
{
    struct bench *bench = arg;
    deliver_smtp.permit(bench->backend, delivery, DELIVER_GRANTED);
}

static void on_done(void *arg, struct delivery *delivery)
{
    struct bench *bench = arg;
    const struct deliver_recipient *first = &delivery->recipients[0];
    bench->done++;
    if (first->outcome == PB_OUTCOME(DELIVERED)) {
        bench->delivered++;
    } else if (!bench->told) {
        bench->told = true;
        (void)fprintf(stderr, "not delivered: phase %d code %u %s\n", first->phase, first->code,
                      first->text != NULL ? first->text : "");
    }
    delivery_fini(delivery);
    free(delivery);
    if (bench->started < bench->messages) {
        start_one(bench);
    } else if (bench->done == bench->messages) {
        loop_stop(bench->loop);
    }
}

static const struct deliver_owner owner = {.ask = on_ask, .done = on_done};

static void start_one(struct bench *bench)
{
    struct delivery *delivery = mem_zero(1, sizeof *delivery);
    bench->started++;
    delivery->plan = &bench->plan;
    delivery->profile_version = 1;
    delivery->owner = &owner;
    delivery->owner_arg = bench;
    (void)snprintf(delivery->mail_from, sizeof delivery->mail_from, "sender@bench.example");
    buf_init(&delivery->content, 64 * 1024 * 1024);
    buf_add(&delivery->content, bench->content.data, bench->content.len);
    delivery->recipient_count = bench->recipients;
    delivery->recipients = mem_zero(bench->recipients, sizeof *delivery->recipients);
    for (size_t i = 0; i < bench->recipients; i++) {
        (void)snprintf(delivery->recipients[i].address, sizeof delivery->recipients[i].address,
                       "custodian%zu@bench.example", i);
    }
    deliver_smtp.start(bench->backend, delivery);
}

static void make_content(struct bench *bench)
{
    buf_init(&bench->content, 64 * 1024 * 1024);
    buf_add_text(&bench->content, "From: sender@bench.example\r\nSubject: bench\r\n\r\n");
    while (bench->content.len + 72 <= bench->size) {
        buf_add_text(
            &bench->content,
            "Calibration is due: torque wrench 4711, custodian Smith, room 12-34.\r\n");
    }
    while (bench->content.len + 2 < bench->size) {
        buf_add_char(&bench->content, 'x');
    }
    buf_add_text(&bench->content, "\r\n");
}

static int pipelining_of(const char *name)
{
    static const struct {
        const char *name;
        int value;
    } names[] = {
        {"auto", PB_PIPELINING(AUTO)},
        {"full", PB_PIPELINING(FULL)},
        {"envelope", PB_PIPELINING(ENVELOPE)},
        {"off", PB_PIPELINING(OFF)},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i].name, name) == 0) {
            return names[i].value;
        }
    }
    return PB_PIPELINING(AUTO);
}

static int64_t cpu_us(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/* The last argument, host:port. */
static bool read_target(const char *target, struct settings_plan *plan)
{
    const char *colon = strrchr(target, ':');
    if (colon == NULL || (size_t)(colon - target) >= sizeof plan->server) {
        return false;
    }
    memcpy(plan->server, target, (size_t)(colon - target));
    plan->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return plan->port != 0;
}

static bool read_options(int argc, char **argv, struct bench *bench)
{
    int option = 0;
    while ((option = getopt(argc, argv, "c:n:s:p:r:")) != -1) {
        switch (option) {
        case 'c':
            bench->plan.max_connections = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'n':
            bench->messages = strtoul(optarg, NULL, 10);
            break;
        case 's':
            bench->size = strtoul(optarg, NULL, 10);
            break;
        case 'p':
            bench->plan.pipelining = pipelining_of(optarg);
            break;
        case 'r':
            bench->recipients = strtoul(optarg, NULL, 10);
            break;
        default:
            return false;
        }
    }
    return optind + 1 == argc && bench->messages > 0 && bench->recipients > 0 &&
           bench->plan.max_connections > 0 && read_target(argv[optind], &bench->plan);
}

static int run(struct bench *bench)
{
    struct err_text why = {.code = ERR_OK};
    const struct deliver_context context = {.loop = bench->loop, .helo_name = "bench.example"};
    if (deliver_smtp.open(&context, &bench->backend, &why) != ERR_OK) {
        (void)fprintf(stderr, "%s\n", why.text);
        return 1;
    }
    size_t ahead = (size_t)bench->plan.max_connections * 2;
    int64_t from_us = clock_mono_us();
    int64_t cpu_from_us = cpu_us();
    while (bench->started < bench->messages && bench->started < ahead) {
        start_one(bench);
    }
    enum err err = loop_run(bench->loop, &why);
    double seconds = (double)(clock_mono_us() - from_us) / 1e6;
    double cpu = (double)(cpu_us() - cpu_from_us) / (double)bench->messages;
    (void)printf("messages=%zu delivered=%zu seconds=%.3f per_second=%.0f cpu_us=%.1f\n",
                 bench->messages, bench->delivered, seconds, (double)bench->messages / seconds,
                 cpu);
    deliver_smtp.close(&bench->backend);
    return err == ERR_OK && bench->delivered == bench->messages ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct err_text why = {.code = ERR_OK};
    struct bench bench = {.messages = 10000, .size = 4096, .recipients = 1};
    bench.plan = (struct settings_plan){.route = SETTINGS_SMTP,
                                        .tls = SETTINGS_TLS_NONE,
                                        .authentication = PB_AUTH(ANONYMOUS),
                                        .verify = true,
                                        .connect_timeout_ms = 10000,
                                        .reply_timeout_ms = 60000,
                                        .content_timeout_ms = 60000,
                                        .idle_timeout_ms = 60000,
                                        .max_connections = 10};
    if (!read_options(argc, argv, &bench)) {
        (void)fprintf(stderr,
                      "usage: %s [-c connections] [-n messages] [-s bytes]\n"
                      "       [-p auto|full|envelope|off] [-r recipients] host:port\n",
                      argv[0]);
        return 2;
    }
    if (loop_new(&bench.loop, &why) != ERR_OK) {
        (void)fprintf(stderr, "%s\n", why.text);
        return 1;
    }
    make_content(&bench);
    int status = run(&bench);
    buf_fini(&bench.content);
    loop_free(&bench.loop);
    return status;
}
