/* broker.yaml: every key with its limits, in one table (broker_conf.c). */
#ifndef TPN_BROKER_CONF_H
#define TPN_BROKER_CONF_H

#include "buf.h"
#include "conf.h"
#include "log.h"

#include <stdint.h>

enum { BROKER_RETRY_STEPS = 16 };

struct broker_conf {
    char *submit; /* endpoints */
    char *work;
    char *status;
    char *admin;
    char *data_folder;
    char *profiles_file;                   /* "" = none */
    struct conf_texts sealed_certificates; /* of the workers; null items = none */
    char *plain_producer;                  /* name of those who connect without a key */
    char *key;                             /* the broker's key file; "" = plain sockets */
    char *allow;                           /* allow list: file or folder */
    bool insecure;                         /* plain sockets beyond loopback */
    uint64_t reserve_bytes;
    uint64_t retention_ms;
    uint64_t evidence_ms; /* a request that is final for so long is forgotten */
    uint32_t beat_ms;     /* between heartbeats */
    uint32_t liveness_ms; /* a worker that is silent for so long is lost */
    uint32_t lease_ms;
    uint32_t permit_grace_ms; /* how long a lost worker may come back and report */
    struct conf_texts retry;  /* delays between attempts; the last one repeats */
    uint32_t retry_ms[BROKER_RETRY_STEPS];
    uint32_t retry_steps;
    uint32_t retry_max_age_ms; /* since acceptance: give up then */
    uint32_t window_requests;  /* of one lane in memory */
    uint64_t window_bytes;     /* of all lanes in memory */
    int log_level;             /* enum log_level */
};

/* Defaults, then the file when path is not null, then the checks that concern several keys.
 * ERR_CONFIG with a line for each error in errors. */
enum err broker_conf_read(const char *path, struct broker_conf *conf,
                          struct buf *errors) NODISCARD;
/* The rules of endpoints and keys, after the command line went over the file. ERR_CONFIG with a line for each error. */
enum err broker_conf_check_doors(const struct broker_conf *conf, struct buf *errors) NODISCARD;
/* Free the texts. */
void broker_conf_free(struct broker_conf *conf);

/* The rows, for the tests that hold samples and manual against them. */
extern const struct conf_row broker_conf_rows[];

/* A delay between attempts: a time of at most 7 days. A conf_text_fn. */
enum err broker_conf_check_delay(const char *text, struct err_text *why) NODISCARD;

#endif
