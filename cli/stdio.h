/*
 * Standard input and output as one end of a socket pair, so that they are a stream like any other
 * whatever they are: pipes, files, terminals. Two threads copy. One per process.
 */
#ifndef CLI_STDIO_H
#define CLI_STDIO_H

#include "common/base/err.h"
#include "common/io/loop.h"

/*
 * The stream's end, for stream_new. `on_written` is called once on the loop, when all that went
 * towards standard output is written, after that end was shut down or closed, or when it can take
 * no more. The loop has to live until then.
 */
enum err stdio_open(struct loop *l, loop_fn on_written, void *ctx, int *out_fd);

#endif
