/* tpn queue pause and resume: hold mail back, and let it go again. */
#ifndef TPN_QUEUE_PAUSE_H
#define TPN_QUEUE_PAUSE_H

/* Sub-commands of queue: argv[0] is the verb; they return an exit code (options.h). */
int queue_pause(int argc, char *argv[]);
int queue_resume(int argc, char *argv[]);

#endif
