/* Submits many jobs that nobody may start yet, through Slurm's API: sbatch would take ten times as
 * long for the first hundred thousand.
 *
 * usage: submit COUNT */
#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 0;
	char *environment[] = { "PATH=/usr/bin:/bin" };

	slurm_init(NULL);
	for (long i = 0; i < count; i++) {
		job_desc_msg_t job;
		submit_response_msg_t *response = NULL;
		slurm_init_job_desc_msg(&job);
		job.name = "queued";
		job.script = "#!/bin/sh\ntrue\n";
		job.environment = environment;
		job.env_size = 1;
		job.work_dir = "/tmp";
		job.std_out = "/dev/null";
		job.user_id = getuid();
		job.group_id = getgid();
		job.min_nodes = 1;
		job.begin_time = time(NULL) + 36000;
		/* A slurmctld that is too busy says so; it is asked again. */
		int tries = 0;
		while (slurm_submit_batch_job(&job, &response) != SLURM_SUCCESS) {
			if (++tries == 10) {
				fprintf(stderr, "%s\n", slurm_strerror(slurm_get_errno()));
				return 1;
			}
			sleep(1);
		}
		slurm_free_submit_response_response_msg(response);
	}
	return 0;
}
