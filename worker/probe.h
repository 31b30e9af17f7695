/* Tests of mailing settings (PROBE): every step on the way to the server, timed, and no mail sent.
 *
 *   PROBE ─► plan ─┬─ smtp ───► DNS ─► TCP ─► TLS ─► greeting ─► EHLO ─► AUTH ─► MAIL ─► RCPT ─► RSET ─┐
 *                  └─ pickup ─► folder ─► write ─► rename ─────────────────────────────────────────────┴─► PROBED
 *
 * What fails ends the walk; the steps behind it are told as skipped. The parts of the walk stand in probe_smtp.c and
 * probe_folder.c; they fill steps and call probe_finish once. */
#ifndef TPN_PROBE_H
#define TPN_PROBE_H

#include "deliver.h"
#include "oauth.h"
#include "pb.h"
#include "remedy.h"
#include "smtp_multi.h"

#include <stdint.h>
#include <sys/queue.h>

enum { PROBE_STEPS = 16, PROBE_TEXT_BYTES = 1024, PROBES_AT_ONCE = 16 };

struct probe_step {
    int name;    /* PB_PROBE(…) */
    int verdict; /* PB_VERDICT(…) */
    int64_t duration_us;
    char detail[PROBE_TEXT_BYTES];
    unsigned code;
    char enhanced[DELIVER_ENHANCED_BYTES];
    char text[DELIVER_TEXT_BYTES];
    char remedy[REMEDY_BYTES];
};

struct probe_context {
    struct loop *loop;
    const char *helo_name;           /* default for EHLO */
    const char *const *pickup_roots; /* null-terminated */
    const struct egress *egress;     /* see deliver_context */
    /* A probe is over; report is borrowed for the call. */
    void (*done)(void *arg, const PB(ProbeReport) *report);
    void *arg;
};

struct probe {
    struct probes *probes;
    struct probe_context context;
    struct smtp_multi *multi; /* borrowed */
    struct oauth *oauth;      /* borrowed */
    PB(Probe) *asked;
    const struct settings_plan *plan; /* borrows from the settings of asked or of the profile */
    struct settings_plan own_plan;
    struct probe_step steps[PROBE_STEPS];
    size_t count;
    char server[PROBE_TEXT_BYTES]; /* as in ProbeReport */
    void *walk;                    /* of the route */
    TAILQ_ENTRY(probe) link;
};

/* How a route is walked. */
struct probe_route {
    void (*start)(struct probe *probe);
    void (*stop)(struct probe *
                     probe); /* free what start made; called once, whether it finished or not */
};

extern const struct probe_route probe_smtp;
extern const struct probe_route probe_folder;

/* For the routes. Add a step; the texts of it may be filled in. Null when there are too many. */
struct probe_step *probe_add(struct probe *probe, int name, int verdict, int64_t duration_us);
/* What a server said, or we; cleaned, for it may be anything. */
void probe_say(struct probe_step *step, unsigned code, const char *enhanced, const char *text);
/* All steps are there: it is reported and freed in the next turn of the loop. */
void probe_finish(struct probe *probe);

/* The probes of a worker. */
struct probes;

/* Returns ERR_OK, or ERR_IO when libcurl gives no multi handle. */
enum err probes_new(const struct probe_context *context, struct probes **out,
                    struct err_text *why) NODISCARD;
/* Those under way end without a report. Accepts null. */
void probes_free(struct probes **probes);

/* Begin one; ends in context.done, maybe before this returns.
 *  asked     taken over
 *  settings  of the profile, must outlive the probe; null = asked has its own */
void probes_start(struct probes *probes, PB(Probe) *asked, const PB(MailingSettings) *settings);

#endif
