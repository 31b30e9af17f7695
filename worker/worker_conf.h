/* worker.yaml: every key with its limits, in one table (worker_conf.c). */
#ifndef TPN_WORKER_CONF_H
#define TPN_WORKER_CONF_H

#include "buf.h"
#include "conf.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    WORKER_MAX_JOBS = 4000
}; /* all of them, and results not acknowledged, fit into one list of the wire */

struct worker_conf {
    char *broker;       /* endpoint of the broker's work socket */
    char *key;          /* the worker's key file; "" = plain */
    char *server_key;   /* the broker's public key file */
    bool insecure;      /* plain beyond loopback */
    char *name;         /* for people; "" = the host's name */
    uint32_t jobs;      /* taken at a time */
    char *state_folder; /* of the diary; "" = below $XDG_RUNTIME_DIR or /tmp */
    struct conf_texts pickup_roots;
    struct conf_texts sealed_certificates; /* paths; each with the key at the same place */
    struct conf_texts sealed_keys;         /* references, see secret.h */
    struct conf_texts egress_allow;        /* networks, see egress.h */
    struct conf_texts egress_only;
    uint32_t pickup_threads;
    uint32_t
        pickup_look_ms; /* between two looks at a pickup folder; 0 = files are not followed */
    uint32_t pickup_stale_ms; /* a file that lies there so long is told of */
    char *helo_name;          /* "" = the host's name */
    uint32_t beat_ms;
    uint32_t liveness_ms; /* a broker that is silent for so long is connected to anew */
    uint32_t drain_ms;    /* after SIGTERM */
    int log_level;        /* enum log_level */
};

/* Defaults, then the file when path is not null. ERR_CONFIG with a line for each error in errors. */
enum err worker_conf_read(const char *path, struct worker_conf *conf,
                          struct buf *errors) NODISCARD;
/* Free the texts. */
void worker_conf_free(struct worker_conf *conf);

/* The rows, for the tests that hold samples and manual against them. */
extern const struct conf_row worker_conf_rows[];

#endif
