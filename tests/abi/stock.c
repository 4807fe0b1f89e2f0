/* What slurmctld has loaded before: a plugin's data symbols (slurm's plugin.h). */
#include <stdint.h>

const char plugin_name[] = "a plugin of Slurm's own";
const char plugin_type[] = TYPE;
const uint32_t plugin_version = VERSION;
