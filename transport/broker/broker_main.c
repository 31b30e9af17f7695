/* tpn-broker: flags, signals, start, stop. Everything else is in broker.c. */
#include "broker.h"
#include "flags.h"
#include "log.h"
#include "mem.h"
#include "notify.h"
#include "signals.h"
#include "version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arguments {
    char *config;
    char *profiles;
    char *data;
    char *submit;
    char *work;
    char *status;
    char *admin;
    char *endpoints_file;
    char *key;
    char *allow;
    char *log_level;
    bool insecure;
    bool check_config;
    bool check_store;
};

#define AT(field) offsetof(struct arguments, field)

static const struct flag_row rows[] = {
    {"config", FLAG_TEXT, "FILE", AT(config),
     "read broker.yaml from here; without it the defaults hold"},
    {"profiles", FLAG_TEXT, "FILE", AT(profiles), "mailing profiles (key profiles)"},
    {"data", FLAG_TEXT, "DIR", AT(data), "folder of the store (key store.folder)"},
    {"submit", FLAG_TEXT, "ENDPOINT", AT(submit),
     "where producers connect (key listen.submit)"},
    {"work", FLAG_TEXT, "ENDPOINT", AT(work), "where workers connect (key listen.work)"},
    {"status", FLAG_TEXT, "ENDPOINT", AT(status),
     "where events are published (key listen.status)"},
    {"admin", FLAG_TEXT, "ENDPOINT", AT(admin), "where operators connect (key listen.admin)"},
    {"key", FLAG_TEXT, "FILE", AT(key), "the broker's key (key keys.own)"},
    {"allow", FLAG_TEXT, "PATH", AT(allow), "allow list, a file or a folder (key keys.allow)"},
    {"insecure", FLAG_SWITCH, NULL, AT(insecure),
     "listen without keys beyond loopback too (key insecure)"},
    {"endpoints-file", FLAG_TEXT, "FILE", AT(endpoints_file),
     "write the endpoints as bound into this file"},
    {"log-level", FLAG_TEXT, "LEVEL", AT(log_level),
     "error, warn, info or debug (key log.level)"},
    {"check-config", FLAG_SWITCH, NULL, AT(check_config),
     "check the files, tell every error, and exit"},
    {"check-store", FLAG_SWITCH, NULL, AT(check_store), "check the store for damage, and exit"},
    {NULL, FLAG_SWITCH, NULL, 0, NULL},
};

static const struct flag_program program = {
    .name = "tpn-broker",
    .summary = "accepts notification requests, keeps them on disk, leases them to workers",
    .rows = rows,
    .notes = "Exit codes: 0 stopped as asked, 1 failed while running, 2 wrong usage or "
             "configuration.\n"
             "SIGTERM and SIGINT stop, SIGHUP reads the profiles and the allow list again.\n",
};

/* The files that the keys stand in. */
static enum err check_keys(const struct broker_conf *conf, struct buf *errors)
{
    struct bus_lock lock = {.curve = false};
    struct access *list = NULL;
    struct err_text why;
    enum err err = bus_lock_server(&lock, conf->key, conf->insecure, &why);
    if (err != ERR_OK) {
        buf_add_format(errors, "keys.own: %s\n", why.text);
    }
    if (conf->allow != NULL && conf->allow[0] != '\0' &&
        access_read(conf->allow, &list, errors) != ERR_OK) {
        err = ERR_CONFIG;
    }
    access_free(&list);
    bus_lock_fini(&lock);
    return err;
}

/* The command line goes over the file. */
static enum err configure(const struct arguments *arguments, struct broker_conf *conf)
{
    struct buf errors;
    buf_init(&errors, 65536);
    enum err err = broker_conf_read(arguments->config, conf, &errors);
    flag_over_text(&conf->profiles_file, arguments->profiles);
    flag_over_text(&conf->data_folder, arguments->data);
    flag_over_text(&conf->submit, arguments->submit);
    flag_over_text(&conf->work, arguments->work);
    flag_over_text(&conf->status, arguments->status);
    flag_over_text(&conf->admin, arguments->admin);
    if (flag_over_level(&conf->log_level, arguments->log_level, &errors) != ERR_OK) {
        err = ERR_CONFIG;
    }
    flag_over_text(&conf->key, arguments->key);
    flag_over_text(&conf->allow, arguments->allow);
    conf->insecure |= arguments->insecure;
    if (err == ERR_OK) {
        err = broker_conf_check_doors(conf, &errors);
    }
    if (arguments->check_config && check_keys(conf, &errors) != ERR_OK) {
        err = ERR_CONFIG;
    }
    if (arguments->check_config && conf->profiles_file != NULL) {
        struct profiles *profiles = NULL;
        if (profiles_read(conf->profiles_file, &profiles, &errors) != ERR_OK) {
            err = ERR_CONFIG;
        }
        profiles_free(&profiles);
    }
    (void)fputs(buf_text(&errors), stderr);
    buf_fini(&errors);
    return err;
}

static int check_store(const struct broker_conf *conf)
{
    struct store_options options = {.folder = conf->data_folder};
    struct store *store = NULL;
    struct err_text why;
    enum err err = store_sqlite.open(&options, &store, &why);
    if (err == ERR_OK) {
        err = store->engine->check(store, &why);
        store->engine->close(&store);
    }
    if (err != ERR_OK) {
        (void)fprintf(stderr, "tpn-broker: %s\n", why.text);
        return FLAG_EXIT_FAILED;
    }
    (void)printf("the store in %s is sound\n", conf->data_folder);
    return FLAG_EXIT_OK;
}

/* What the signals reach. */
struct running {
    struct broker broker;
    struct notify_watchdog watchdog;
};

static void on_signal(void *arg, int signal)
{
    struct running *running = arg;
    if (signal == SIGHUP) {
        broker_reload(&running->broker);
        return;
    }
    log_info("stop", "signal=%d", signal);
    notify_stop(&running->watchdog);
    loop_stop(running->broker.loop);
}

static int run(const struct arguments *arguments, const struct broker_conf *conf)
{
    struct running running = {.watchdog = {.every_ms = 0}};
    struct loop *loop = NULL;
    struct signals *signals = NULL;
    struct err_text why = {0};
    int code = FLAG_EXIT_FAILED;
    enum err err = loop_new(&loop, &why);
    if (err == ERR_OK) {
        err = signals_new(&signals, loop, on_signal, &running, &why);
    }
    if (err == ERR_OK) {
        err = broker_start(&running.broker, conf, loop, &why);
    }
    if (err == ERR_OK && arguments->endpoints_file != NULL) {
        err = broker_write_endpoints(&running.broker, arguments->endpoints_file, &why);
    }
    if (err == ERR_OK) {
        log_info("start", "version=%s", TPN_VERSION_TEXT);
        notify_ready(&running.watchdog, loop);
        err = loop_run(loop, &why);
        if (err == ERR_OK && ledger_lost(running.broker.ledger)) {
            err = err_set(&why, ERR_STORAGE, "the store failed");
        }
    }
    if (err == ERR_OK) {
        code = FLAG_EXIT_OK;
    } else {
        log_error("stop", "error=%s text=\"%s\"", err_name(err), why.text);
        code = err == ERR_CONFIG ? FLAG_EXIT_USAGE : FLAG_EXIT_FAILED;
    }
    notify_stop(&running.watchdog);
    broker_stop(&running.broker);
    signals_free(&signals);
    loop_free(&loop);
    return code;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct broker_conf conf;
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
        log_init("tpn-broker", (enum log_level)conf.log_level);
        code = arguments.check_store ? check_store(&conf) : run(&arguments, &conf);
    }
    broker_conf_free(&conf);
    flag_free(&program, &arguments);
    return code;
}
