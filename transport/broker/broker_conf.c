/* The keys of broker.yaml. A new key is one row here, one line in deploy/samples/broker.yaml. */
#include "broker_conf.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus_lock.h"
#include "expectation.h"
#include "mem.h"
#include "path.h"

#define AT(field) offsetof(struct broker_conf, field)

enum { DELAY_MAX_DAYS = 7 };

static enum err check_absolute(const char *text, struct err_text *why)
{
    return text[0] == '/' ? ERR_OK : err_set(why, ERR_CONFIG, "must be an absolute path");
}

enum err broker_conf_check_delay(const char *text, struct err_text *why)
{
    uint64_t ms = 0;
    enum err err = conf_duration(text, &ms, why);
    if (err == ERR_OK && ms > UINT64_C(24) * 3600000 * DELAY_MAX_DAYS) {
        err = err_set(why, ERR_CONFIG, "at most %dd", DELAY_MAX_DAYS);
    }
    return err;
}

static enum err check_all(void *target, const char **field, struct err_text *why)
{
    const struct broker_conf *conf = target;
    if (conf->retry.count > BROKER_RETRY_STEPS) {
        *field = "retry.delays";
        return err_set(why, ERR_CONFIG, "at most %d entries", BROKER_RETRY_STEPS);
    }
    if (strcmp(conf->plain_producer, EXPECTATION_BROKER) == 0) {
        *field = "plain_producer";
        return err_set(why, ERR_CONFIG, "is the broker's own name");
    }
    if (conf->liveness_ms < 2 * conf->beat_ms) {
        *field = "worker.liveness";
        return err_set(why, ERR_CONFIG, "must be at least twice worker.beat");
    }
    return ERR_OK;
}

const struct conf_row broker_conf_rows[] = {
    {.key = "listen.submit",
     .kind = CONF_TEXT,
     .offset = AT(submit),
     .default_text = "tcp://127.0.0.1:5551",
     .max = 255,
     .doc = "endpoint that producers connect to"},
    {.key = "listen.work",
     .kind = CONF_TEXT,
     .offset = AT(work),
     .default_text = "tcp://127.0.0.1:5552",
     .max = 255,
     .doc = "endpoint that workers connect to"},
    {.key = "listen.status",
     .kind = CONF_TEXT,
     .offset = AT(status),
     .default_text = "tcp://127.0.0.1:5553",
     .max = 255,
     .doc = "endpoint that status events are published on"},
    {.key = "listen.admin",
     .kind = CONF_TEXT,
     .offset = AT(admin),
     .default_text = "tcp://127.0.0.1:5554",
     .max = 255,
     .doc = "endpoint that operators connect to"},
    {.key = "store.folder",
     .kind = CONF_TEXT,
     .offset = AT(data_folder),
     .default_text = "",
     .max = 4000,
     .doc =
         "folder of the store, on a local disk, made when missing; empty = $STATE_DIRECTORY, "
         "/var/lib/trackpro-notify for root, else below $XDG_STATE_HOME or ~/.local/state"},
    {.key = "store.reserve",
     .kind = CONF_SIZE,
     .offset = AT(reserve_bytes),
     .default_text = "256MiB",
     .min = 0,
     .max = UINT64_C(1) << 50,
     .doc = "accept nothing while less than this is free on the disk"},
    {.key = "store.retention",
     .kind = CONF_DURATION,
     .wide = true,
     .offset = AT(retention_ms),
     .default_text = "90d",
     .min = 3600000,
     .max = UINT64_C(36500) * 24 * 3600000,
     .doc = "a request that is final for so long is forgotten, with its key"},
    {.key = "store.evidence",
     .kind = CONF_DURATION,
     .wide = true,
     .offset = AT(evidence_ms),
     .default_text = "400d",
     .min = 3600000,
     .max = UINT64_C(36500) * 24 * 3600000,
     .doc = "history and audit are kept so long, by whole days, and never shorter than "
            "store.retention"},
    {.key = "profiles",
     .kind = CONF_TEXT,
     .offset = AT(profiles_file),
     .default_text = "",
     .max = 4000,
     .doc = "file with the mailing profiles; empty = none"},
    {.key = "sealed.certificate",
     .kind = CONF_TEXTS,
     .offset = AT(sealed_certificates),
     .check = check_absolute,
     .doc = "PEM files of the workers: what a password inside a request is sealed to"},
    {.key = "plain_producer",
     .kind = CONF_TEXT,
     .offset = AT(plain_producer),
     .default_text = "local",
     .min = 1,
     .max = 64,
     .doc = "name of the producers that connect without a key"},
    {.key = "keys.own",
     .kind = CONF_TEXT,
     .offset = AT(key),
     .default_text = "",
     .max = 4000,
     .doc = "the broker's key file; with it every socket wants keys; empty = none does"},
    {.key = "keys.allow",
     .kind = CONF_TEXT,
     .offset = AT(allow),
     .default_text = "",
     .max = 4000,
     .doc = "allow list: a file, or a folder of *.yaml; read again when it changes"},
    {.key = "insecure",
     .kind = CONF_BOOL,
     .offset = AT(insecure),
     .default_text = "false",
     .doc = "listen without keys beyond loopback too: whoever reaches the port is let in"},
    {.key = "worker.beat",
     .kind = CONF_DURATION,
     .offset = AT(beat_ms),
     .default_text = "1s",
     .min = 50,
     .max = 60000,
     .doc = "time between heartbeats"},
    {.key = "worker.liveness",
     .kind = CONF_DURATION,
     .offset = AT(liveness_ms),
     .default_text = "5s",
     .min = 200,
     .max = 600000,
     .doc = "a worker that is silent for so long is lost"},
    {.key = "lease.time",
     .kind = CONF_DURATION,
     .offset = AT(lease_ms),
     .default_text = "60s",
     .min = 1000,
     .max = 3600000,
     .doc = "how long a lease holds without a sign of its worker"},
    {.key = "lease.grace",
     .kind = CONF_DURATION,
     .offset = AT(permit_grace_ms),
     .default_text = "30s",
     .min = 100,
     .max = 3600000,
     .doc = "how long a lost worker may come back and report what it was permitted to send"},
    {.key = "retry.delays",
     .kind = CONF_TEXTS,
     .offset = AT(retry),
     .check = broker_conf_check_delay,
     .doc =
         "delays between attempts; the last one repeats; default 1, 2, 5, 10, 20, 30 min, 1 h"},
    {.key = "retry.max_age",
     .kind = CONF_DURATION,
     .offset = AT(retry_max_age_ms),
     .default_text = "48h",
     .min = 1000,
     .max = UINT32_MAX,
     .doc = "age at which a request that could not be delivered fails"},
    {.key = "window.requests",
     .kind = CONF_UINT,
     .offset = AT(window_requests),
     .default_text = "2000",
     .min = 1,
     .max = 100000,
     .doc = "due requests of one lane kept in memory"},
    {.key = "window.bytes",
     .kind = CONF_SIZE,
     .offset = AT(window_bytes),
     .default_text = "32MiB",
     .min = 65536,
     .max = UINT64_C(1) << 40,
     .doc = "bytes of due requests kept in memory"},
    {.key = "log.level",
     .kind = CONF_ENUM,
     .offset = AT(log_level),
     .default_text = "info",
     .names = conf_log_levels,
     .doc = "error, warn, info or debug"},
    {.key = NULL, .whole = check_all},
};

static void fill_retry(struct broker_conf *conf)
{
    static const uint32_t usual_min[] = {1, 2, 5, 10, 20, 30, 60};
    conf->retry_steps = (uint32_t)conf->retry.count;
    for (size_t i = 0; i < conf->retry.count; i++) {
        uint64_t ms = 0;
        struct err_text why;
        if (conf_duration(conf->retry.items[i], &ms, &why) != ERR_OK) {
            bug("retry.delays[%zu] was not checked", i);
        }
        conf->retry_ms[i] = (uint32_t)ms;
    }
    if (conf->retry_steps == 0) {
        conf->retry_steps = sizeof usual_min / sizeof usual_min[0];
        for (uint32_t i = 0; i < conf->retry_steps; i++) {
            conf->retry_ms[i] = usual_min[i] * 60000;
        }
    }
}

/* Where a service manager, root or an ordinary user keeps such things (systemd.exec(5) StateDirectory=, hier(7), the XDG
 * base directory specification). */
static void fill_folder(struct broker_conf *conf)
{
    if (conf->data_folder[0] != '\0') {
        return;
    }
    free(conf->data_folder);
    /* Read once at the start, before any thread. NOLINTBEGIN(concurrency-mt-unsafe) */
    const char *service = getenv("STATE_DIRECTORY");
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    /* NOLINTEND(concurrency-mt-unsafe) */
    if (service != NULL && service[0] == '/') {
        conf->data_folder = mem_text(service);
    } else if (geteuid() == 0 || home == NULL) {
        conf->data_folder = mem_text("/var/lib/trackpro-notify");
    } else if (state != NULL && state[0] == '/') {
        conf->data_folder = path_join(state, "trackpro-notify");
    } else {
        conf->data_folder = mem_format("%s/.local/state/trackpro-notify", home);
    }
}

enum err broker_conf_read(const char *path, struct broker_conf *conf, struct buf *errors)
{
    *conf = (struct broker_conf){0};
    conf_defaults(broker_conf_rows, conf);
    if (path != NULL && conf_read(path, broker_conf_rows, conf, errors) != ERR_OK) {
        return ERR_CONFIG;
    }
    fill_retry(conf);
    fill_folder(conf);
    return ERR_OK;
}

enum err broker_conf_check_doors(const struct broker_conf *conf, struct buf *errors)
{
    const struct {
        const char *key;
        const char *endpoint;
    } doors[] = {{"listen.submit", conf->submit},
                 {"listen.work", conf->work},
                 {"listen.status", conf->status},
                 {"listen.admin", conf->admin}};
    struct bus_lock lock = {.curve = conf->key[0] != '\0', .insecure = conf->insecure};
    struct err_text why;
    enum err err = ERR_OK;
    for (size_t i = 0; i < sizeof doors / sizeof doors[0]; i++) {
        if (bus_lock_allows(&lock, doors[i].endpoint, &why) != ERR_OK) {
            buf_add_format(errors, "%s: %s\n", doors[i].key, why.text);
            err = ERR_CONFIG;
        }
    }
    if (lock.curve != (conf->allow[0] != '\0')) {
        buf_add_format(errors, "%s: required with %s\n", lock.curve ? "keys.allow" : "keys.own",
                       lock.curve ? "keys.own" : "keys.allow");
        err = ERR_CONFIG;
    }
    return err;
}

void broker_conf_free(struct broker_conf *conf)
{
    conf_free(broker_conf_rows, conf);
}
