/* Signals as events of a loop, by signalfd(2): SIGTERM, SIGINT and SIGHUP. SIGPIPE is ignored. */
#ifndef TPN_SIGNALS_H
#define TPN_SIGNALS_H

#include "loop.h"

#include <signal.h>

struct signals;

typedef void signals_fn(void *arg, int signal);

/* Call before any thread starts, so that every thread has the signals blocked. */
enum err signals_new(struct signals **out, struct loop *loop, signals_fn *fn, void *arg,
                     struct err_text *why) NODISCARD;
/* Hear signals no more; they stay blocked. */
void signals_free(struct signals **signals); /* accepts null */

#endif
