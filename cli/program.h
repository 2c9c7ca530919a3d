/* This program, as other programs start it. */
#ifndef CLI_PROGRAM_H
#define CLI_PROGRAM_H

/* Its path, "postern" when it is not known. Fresh memory. */
char *program_path(void);

#endif
