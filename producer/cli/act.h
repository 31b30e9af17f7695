/* tpn queue cancel, retry and resolve: what operators do to requests. */
#ifndef TPN_ACT_H
#define TPN_ACT_H

/* Sub-commands of queue: argv[0] is the verb; they return an exit code (options.h). */
int act_cancel(int argc, char *argv[]);
int act_retry(int argc, char *argv[]);
int act_resolve(int argc, char *argv[]);

#endif
