/* Tells systemd how it goes: started, stopping, still alive. Without systemd every call does nothing.
 *
 * Own code instead of libsystemd: the protocol is one datagram, and the library would come with its
 * dependencies into every program. Source: sd_notify(3), "Notes"; systemd.service(5), WatchdogSec=. */
#ifndef TPN_NOTIFY_H
#define TPN_NOTIFY_H

#include "loop.h"

/* Send lines, as "READY=1" or "STOPPING=1\nSTATUS=…", to $NOTIFY_SOCKET. A failure is logged and harms
 * nothing: systemd finds out by its own time limits. */
void notify_send(const char *lines);

/* Pings while a loop turns; zeroed when nobody wants it. */
struct notify_watchdog {
    struct loop_timer timer;
    int64_t every_ms; /* half of $WATCHDOG_USEC, as sd_watchdog_enabled(3) advises */
};

/* READY=1, then WATCHDOG=1 again and again if $WATCHDOG_USEC asks this process for it. Loop and watchdog live
 * until notify_stop. */
void notify_ready(struct notify_watchdog *watchdog, struct loop *loop);

/* STOPPING=1, and no more pings: what is left is bounded by TimeoutStopSec=. Accepts a zeroed one; may be called
 * again. */
void notify_stop(struct notify_watchdog *watchdog);

#endif
