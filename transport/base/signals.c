/* Signals in the loop: no handler ever runs in the middle of anything. */
#include "signals.h"

#include "mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct signals {
    int fd;
    struct loop_watch *watch;
    signals_fn *fn;
    void *arg;
};

static void ready(void *arg, int events)
{
    struct signals *signals = arg;
    struct signalfd_siginfo info;
    (void)events;
    while (read(signals->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        signals->fn(signals->arg, (int)info.ssi_signo);
    }
}

enum err signals_new(struct signals **out, struct loop *loop, signals_fn *fn, void *arg,
                     struct err_text *why)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        return err_set(why, ERR_IO, "cannot block signals");
    }
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(why, ERR_IO, errno, "signalfd");
    }
    struct signals *signals = mem_zero(1, sizeof *signals);
    signals->fd = fd;
    signals->fn = fn;
    signals->arg = arg;
    enum err err = loop_watch(loop, fd, LOOP_READ, ready, signals, &signals->watch);
    if (err != ERR_OK) {
        (void)close(fd);
        free(signals);
        return err_set(why, err, "cannot watch signals");
    }
    *out = signals;
    return ERR_OK;
}

void signals_free(struct signals **signals_p)
{
    struct signals *signals = *signals_p;
    if (signals != NULL) {
        loop_unwatch(&signals->watch);
        (void)close(signals->fd);
        free(signals);
        *signals_p = NULL;
    }
}
