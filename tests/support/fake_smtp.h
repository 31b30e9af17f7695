/* A mail server in the test's own loop that misbehaves to order, and notes what came byte for byte, so that a test can also
 * say what must not have been sent. */
#ifndef TPN_FAKE_SMTP_H
#define TPN_FAKE_SMTP_H

#include "buf.h"
#include "loop.h"

#include <stdbool.h>
#include <stdint.h>

enum dot_action { DOT_REPLY, DOT_DROP, DOT_STALL };

/* How the fake behaves. Zeroed: a good server with PIPELINING. */
struct manner {
    bool no_pipelining;
    bool split; /* one byte a send */
    bool drop_at_data;
    bool choke_on_rider;        /* no answer to a dot with something behind it */
    bool swallow_behind_dot;    /* forget what came behind the dot */
    bool go_without_recipients; /* 354 though all RCPT were refused */
    bool drip_at_mail;          /* a byte every 10 ms instead of the reply to MAIL */
    bool close_when_idle;       /* close after the first mail, without a word */
    const char *greeting;
    const char *offer;
    const char *mail_reply;
    const char *data_reply;
    const char *dot_reply;
    enum dot_action dot_action;
    unsigned goodbye_at_mail; /* 421 to the MAIL with this number on a connection */
    unsigned rcpt_limit;      /* 452 to every RCPT behind so many accepted ones, 0 = none */
    unsigned once;            /* misbehave on this many connections only, 0 = always */
};

struct fake;

struct visitor {
    struct fake *fake;
    struct loop_watch *watch;
    struct visitor *next;
    int fd;
    bool in_data;
    bool good; /* behaves, whatever the manner */
    unsigned mails;
    unsigned accepted;
    struct loop_timer drip;
    struct buf in;
};

struct fake {
    struct loop *loop;
    struct loop_watch *watch;
    struct visitor *visitors;
    const struct manner *manner;
    int fd;
    uint16_t port;
    unsigned connections;
    unsigned gos;   /* 354 said */
    unsigned taken; /* mails with 250 after the dot */
    struct buf seen;
};

/* Listen on a port of the kernel's choice; the manner may be changed later by fake->manner. Fails the test on an error. */
void fake_open(struct fake *fake, struct loop *loop, const struct manner *manner);

/* Close one connection without a word. */
void fake_leave(struct visitor *v);

/* Close all and free what was noted. */
void fake_close(struct fake *fake);

#endif
