/* tpn-worker: flags, signals, start, stop. Everything else is in worker.c. */
#include "bus_lock.h"
#include "confine.h"
#include "flags.h"
#include "log.h"
#include "mem.h"
#include "notify.h"
#include "signals.h"
#include "worker.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

struct arguments {
    char *config;
    char *broker;
    char *key;
    char *server_key;
    char *name;
    char *jobs;
    struct flag_list pickup_roots;
    char *log_level;
    bool insecure;
    bool check_config;
};

#define AT(field) offsetof(struct arguments, field)

static const struct flag_row rows[] = {
    {"config", FLAG_TEXT, "FILE", AT(config),
     "read worker.yaml from here; else the defaults hold"},
    {"broker", FLAG_TEXT, "ENDPOINT", AT(broker), "the broker's work socket (key broker)"},
    {"key", FLAG_TEXT, "FILE", AT(key), "the worker's key (key keys.own)"},
    {"server-key", FLAG_TEXT, "FILE", AT(server_key),
     "the broker's public key (key keys.server)"},
    {"insecure", FLAG_SWITCH, NULL, AT(insecure),
     "connect without keys beyond loopback too (key insecure)"},
    {"name", FLAG_TEXT, "NAME", AT(name), "name of this worker in events (key name)"},
    {"jobs", FLAG_TEXT, "N", AT(jobs), "requests taken at a time (key jobs)"},
    {"pickup-root", FLAG_LIST, "DIR", AT(pickup_roots), "pickup profiles may write below it"},
    {"log-level", FLAG_TEXT, "LEVEL", AT(log_level),
     "error, warn, info or debug (key log.level)"},
    {"check-config", FLAG_SWITCH, NULL, AT(check_config),
     "check the file, tell every error, exit"},
    {NULL, FLAG_SWITCH, NULL, 0, NULL},
};

static const struct flag_program program = {
    .name = "tpn-worker",
    .summary = "takes notification requests from the broker and delivers them",
    .rows = rows,
    .notes = "Exit codes: 0 stopped as asked, 1 failed while running, 2 wrong usage or "
             "configuration.\n"
             "SIGTERM and SIGINT finish what was begun, give back the rest, and stop.\n",
};

static void add_roots(struct worker_conf *conf, const struct flag_list *roots)
{
    struct conf_texts *all = &conf->pickup_roots;
    for (size_t i = 0; i < roots->count; i++) {
        all->items = mem_resize(all->items, all->count + 2, sizeof(char *));
        all->items[all->count++] = mem_text(roots->items[i]);
        all->items[all->count] = NULL;
    }
}

static enum err check_door(const struct worker_conf *conf, struct buf *errors)
{
    struct bus_lock lock;
    struct err_text why;
    enum err err = bus_lock_client(&lock, conf->key, conf->server_key, conf->insecure, &why);
    if (err == ERR_OK) {
        err = bus_lock_allows(&lock, conf->broker, &why);
    }
    if (err != ERR_OK) {
        buf_add_format(errors, "broker: %s\n", why.text);
    }
    bus_lock_fini(&lock);
    return err;
}

/* The command line goes over the file. */
static enum err configure(const struct arguments *arguments, struct worker_conf *conf)
{
    struct buf errors;
    buf_init(&errors, 65536);
    enum err err = worker_conf_read(arguments->config, conf, &errors);
    flag_over_text(&conf->broker, arguments->broker);
    flag_over_text(&conf->name, arguments->name);
    flag_over_text(&conf->key, arguments->key);
    flag_over_text(&conf->server_key, arguments->server_key);
    conf->insecure |= arguments->insecure;
    if (err == ERR_OK && check_door(conf, &errors) != ERR_OK) {
        err = ERR_CONFIG;
    }
    add_roots(conf, &arguments->pickup_roots);
    if (flag_over_level(&conf->log_level, arguments->log_level, &errors) != ERR_OK) {
        err = ERR_CONFIG;
    }
    if (arguments->jobs != NULL) {
        char *end = NULL;
        unsigned long jobs = strtoul(arguments->jobs, &end, 10);
        if (*end != '\0' || jobs < 1 || jobs > WORKER_MAX_JOBS) {
            buf_add_text(&errors, "--jobs: must be a number from 1 to 4000\n");
            err = ERR_CONFIG;
        }
        conf->jobs = (uint32_t)jobs;
    }
    for (size_t i = 0; i < arguments->pickup_roots.count; i++) {
        if (arguments->pickup_roots.items[i][0] != '/') {
            buf_add_text(&errors, "--pickup-root: must be an absolute path\n");
            err = ERR_CONFIG;
        }
    }
    (void)fputs(buf_text(&errors), stderr);
    buf_fini(&errors);
    return err;
}

/* What the signals reach. */
struct running {
    struct worker worker;
    struct notify_watchdog watchdog;
};

static void on_signal(void *arg, int signal)
{
    struct running *running = arg;
    if (signal != SIGHUP) { /* a worker has nothing to read again */
        notify_stop(&running->watchdog);
        worker_drain(&running->worker);
    }
}

static int run(const struct worker_conf *conf)
{
    struct running running = {.watchdog = {.every_ms = 0}};
    struct loop *loop = NULL;
    struct signals *signals = NULL;
    struct err_text why = {0};
    enum err err = loop_new(&loop, &why);
    if (err == ERR_OK) {
        err = signals_new(&signals, loop, on_signal, &running, &why);
    }
    if (err == ERR_OK) {
        err = worker_start(&running.worker, conf, loop, &why);
    }
    if (err == ERR_OK) {
        notify_ready(&running.watchdog, loop);
        err = loop_run(loop, &why);
    }
    if (err != ERR_OK) {
        log_error("stop", "error=%s text=\"%s\"", err_name(err), why.text);
    }
    notify_stop(&running.watchdog);
    worker_stop(&running.worker);
    signals_free(&signals);
    loop_free(&loop);
    return err == ERR_OK       ? FLAG_EXIT_OK
           : err == ERR_CONFIG ? FLAG_EXIT_USAGE
                               : FLAG_EXIT_FAILED;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct worker_conf conf;
    struct err_text why = {0};
    if (confine_memory(&why) != ERR_OK) {
        (void)fprintf(stderr, "tpn-worker: %s\n", why.text);
        return FLAG_EXIT_FAILED;
    }
    int code = flag_read(&program, argc, argv, &arguments);
    if (code != FLAG_GO_ON) {
        return code;
    }
    if (configure(&arguments, &conf) != ERR_OK) {
        code = FLAG_EXIT_USAGE;
    } else if (arguments.check_config) {
        (void)puts("the configuration is good");
        code = FLAG_EXIT_OK;
    } else {
        log_init("tpn-worker", (enum log_level)conf.log_level);
        (void)curl_global_init(CURL_GLOBAL_DEFAULT);
        code = run(&conf);
        curl_global_cleanup();
    }
    worker_conf_free(&conf);
    flag_free(&program, &arguments);
    return code;
}
