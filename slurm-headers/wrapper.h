/* What the plugin needs of Slurm, read from the installed libslurm-dev at build time.
 * No header of Slurm is copied into this project. */
#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>
#include <slurm/slurm_version.h>
