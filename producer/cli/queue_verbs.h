/* Sub-commands of tpn queue that are neither a look at requests (queue.c) nor an act on them (act.c): argv[0] is the verb; they
 * return an exit code (options.h). */
#ifndef TPN_QUEUE_VERBS_H
#define TPN_QUEUE_VERBS_H

int queue_backup(int argc, char *argv[]);
int queue_drain(int argc, char *argv[]);
int queue_top(int argc, char *argv[]);

#endif
