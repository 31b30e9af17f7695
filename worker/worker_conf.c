/* The keys of worker.yaml. A new key is one row here, one line in deploy/samples/worker.yaml. */
#include "worker_conf.h"

#include "egress.h"
#include "log.h"
#include "seal.h"
#include "settings.h"

#include <string.h>

#define AT(field) offsetof(struct worker_conf, field)

static enum err check_absolute(const char *text, struct err_text *why)
{
    return text[0] == '/' ? ERR_OK : err_set(why, ERR_CONFIG, "must be an absolute path");
}

/* A key is no sealed value: it is what opens them. */
static enum err check_key(const char *text, struct err_text *why)
{
    if (!settings_is_reference(text) || seal_is_sealed(text)) {
        return err_set(why, ERR_CONFIG, "must be file:PATH, env:NAME or credential:NAME");
    }
    return ERR_OK;
}

static enum err check_all(void *target, const char **field, struct err_text *why)
{
    const struct worker_conf *conf = target;
    if (conf->sealed_certificates.count != conf->sealed_keys.count) {
        *field = "sealed.key";
        return err_set(why, ERR_CONFIG, "must be as many as sealed.certificate");
    }
    if (conf->liveness_ms < 2 * conf->beat_ms) {
        *field = "liveness";
        return err_set(why, ERR_CONFIG, "must be at least twice beat");
    }
    return ERR_OK;
}

const struct conf_row worker_conf_rows[] = {
    {.key = "broker",
     .kind = CONF_TEXT,
     .offset = AT(broker),
     .default_text = "tcp://127.0.0.1:5552",
     .min = 1,
     .max = 255,
     .doc = "endpoint of the broker's work socket"},
    {.key = "keys.own",
     .kind = CONF_TEXT,
     .offset = AT(key),
     .default_text = "",
     .max = 4000,
     .doc = "the worker's key file; empty = the broker wants none"},
    {.key = "keys.server",
     .kind = CONF_TEXT,
     .offset = AT(server_key),
     .default_text = "",
     .max = 4000,
     .doc = "file with the broker's public key"},
    {.key = "insecure",
     .kind = CONF_BOOL,
     .offset = AT(insecure),
     .default_text = "false",
     .doc = "connect without keys beyond loopback too: whoever answers gets the passwords"},
    {.key = "name",
     .kind = CONF_TEXT,
     .offset = AT(name),
     .default_text = "",
     .max = 100,
     .doc = "name of this worker in events; empty = the host's name"},
    {.key = "jobs",
     .kind = CONF_UINT,
     .offset = AT(jobs),
     .default_text = "200",
     .min = 1,
     .max = WORKER_MAX_JOBS,
     .doc = "requests taken at a time"},
    {.key = "state",
     .kind = CONF_TEXT,
     .offset = AT(state_folder),
     .default_text = "",
     .max = 4000,
     .doc = "folder for notes that outlive a kill; empty = below $XDG_RUNTIME_DIR or /tmp"},
    {.key = "pickup.roots",
     .kind = CONF_TEXTS,
     .offset = AT(pickup_roots),
     .check = check_absolute,
     .doc = "folders; pickup profiles may write only below them"},
    {.key = "pickup.threads",
     .kind = CONF_UINT,
     .offset = AT(pickup_threads),
     .default_text = "8",
     .min = 1,
     .max = 64,
     .doc = "threads that write and sync pickup files"},
    {.key = "sealed.certificate",
     .kind = CONF_TEXTS,
     .offset = AT(sealed_certificates),
     .check = check_absolute,
     .doc = "PEM file, or several: what sealed: secrets are encrypted to"},
    {.key = "sealed.key",
     .kind = CONF_TEXTS,
     .offset = AT(sealed_keys),
     .check = check_key,
     .doc = "the private key of each: file:PATH, env:NAME or credential:NAME"},
    {.key = "egress.allow",
     .kind = CONF_TEXTS,
     .offset = AT(egress_allow),
     .check = egress_check_network,
     .doc = "networks that may be connected to besides: 127.0.0.0/8, 169.254.10.0/24"},
    {.key = "egress.only",
     .kind = CONF_TEXTS,
     .offset = AT(egress_only),
     .check = egress_check_network,
     .doc = "if given, no other networks than these and those of egress.allow"},
    {.key = "pickup.look",
     .kind = CONF_DURATION,
     .offset = AT(pickup_look_ms),
     .default_text = "5s",
     .min = 0,
     .max = 3600000,
     .doc = "time between two looks at what became of files; 0s = do not follow them"},
    {.key = "pickup.stale",
     .kind = CONF_DURATION,
     .offset = AT(pickup_stale_ms),
     .default_text = "10min",
     .min = 100,
     .max = 604800000,
     .doc = "a file that lies in the folder so long is told of"},
    {.key = "helo_name",
     .kind = CONF_TEXT,
     .offset = AT(helo_name),
     .default_text = "",
     .max = 255,
     .doc = "name said in EHLO; empty = the host's name"},
    {.key = "beat",
     .kind = CONF_DURATION,
     .offset = AT(beat_ms),
     .default_text = "1s",
     .min = 50,
     .max = 60000,
     .doc = "time between heartbeats"},
    {.key = "liveness",
     .kind = CONF_DURATION,
     .offset = AT(liveness_ms),
     .default_text = "5s",
     .min = 200,
     .max = 600000,
     .doc = "a broker that is silent for so long is connected to anew"},
    {.key = "drain",
     .kind = CONF_DURATION,
     .offset = AT(drain_ms),
     .default_text = "30s",
     .min = 100,
     .max = 3600000,
     .doc = "time after SIGTERM to finish what was begun"},
    {.key = "log.level",
     .kind = CONF_ENUM,
     .offset = AT(log_level),
     .default_text = "info",
     .names = conf_log_levels,
     .doc = "error, warn, info or debug"},
    {.key = NULL, .whole = check_all},
};

enum err worker_conf_read(const char *path, struct worker_conf *conf, struct buf *errors)
{
    *conf = (struct worker_conf){0};
    conf_defaults(worker_conf_rows, conf);
    if (path != NULL && conf_read(path, worker_conf_rows, conf, errors) != ERR_OK) {
        return ERR_CONFIG;
    }
    return ERR_OK;
}

void worker_conf_free(struct worker_conf *conf)
{
    conf_free(worker_conf_rows, conf);
}
