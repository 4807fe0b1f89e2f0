/* Opens a job_submit plugin as slurmctld does (src/common/plugin.c, 22.05): lazily, by its
 * data symbols first, then init, the hooks from several threads, and fini.
 *
 * usage: host PLUGIN peek|life|twice|threads|time [LOADED...]
 * LOADED: plugins that are loaded before, as slurmctld's own are.
 * Prints what it saw; exits 0 if nothing failed. Log calls of the plugin go to standard output. */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef int (*init_fn)(void);
typedef void (*fini_fn)(void);
typedef int (*submit_fn)(void *, uint32_t, char **);
typedef int (*modify_fn)(void *, void *, uint32_t, char **);

static submit_fn submit;
static modify_fn modify;

int slurm_error(const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	printf("error: ");
	vprintf(format, ap);
	printf("\n");
	va_end(ap);
	return -1;
}

void slurm_info(const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	printf("info: ");
	vprintf(format, ap);
	printf("\n");
	va_end(ap);
}

static void *need(void *plugin, const char *name)
{
	void *symbol = dlsym(plugin, name);
	if (!symbol) {
		fprintf(stderr, "no symbol %s\n", name);
		exit(1);
	}
	return symbol;
}

static void *many_calls(void *count)
{
	for (long i = 0; i < *(long *) count; i++) {
		char *err_msg = NULL;
		if (submit(NULL, 0, &err_msg) || modify(NULL, NULL, 0, &err_msg) || err_msg) {
			fprintf(stderr, "a hook refuses\n");
			exit(1);
		}
	}
	return NULL;
}

/* The mean cost of one job_submit call, in nanoseconds. */
static void time_calls(void)
{
	const long count = 1000000;
	struct timespec from, to;
	char *err_msg = NULL;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (long i = 0; i < count; i++)
		submit(NULL, 0, &err_msg);
	clock_gettime(CLOCK_MONOTONIC, &to);
	double ns = (to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec);
	printf("hook_ns %.1f\n", ns / count);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	for (int i = 3; i < argc; i++) {
		if (!dlopen(argv[i], RTLD_LAZY)) {
			fprintf(stderr, "%s\n", dlerror());
			return 1;
		}
	}
	void *plugin = dlopen(argv[1], RTLD_LAZY);
	if (!plugin) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	printf("name %s\n", (const char *) need(plugin, "plugin_name"));
	printf("type %s\n", (const char *) need(plugin, "plugin_type"));
	printf("version 0x%x\n", *(uint32_t *) need(plugin, "plugin_version"));
	submit = (submit_fn) need(plugin, "job_submit");
	modify = (modify_fn) need(plugin, "job_modify");
	if (!strcmp(argv[2], "peek"))
		return dlclose(plugin);

	init_fn init = (init_fn) need(plugin, "init");
	fini_fn fini = (fini_fn) need(plugin, "fini");
	if (init()) {
		fprintf(stderr, "init refuses\n");
		return 1;
	}
	if (!strcmp(argv[2], "twice") && init()) {
		fprintf(stderr, "the second init refuses\n");
		return 1;
	}
	if (!strcmp(argv[2], "time"))
		time_calls();
	long count = strcmp(argv[2], "life") ? 2000 : 1;
	int threads = strcmp(argv[2], "threads") ? 1 : 8;
	pthread_t thread[8];
	for (int i = 0; i < threads; i++)
		pthread_create(&thread[i], NULL, many_calls, &count);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	/* The loop's thread shows that it lives; it must take no signal. */
	usleep(300 * 1000);
	kill(getpid(), SIGURG);
	fini();
	dlclose(plugin);
	usleep(50 * 1000);
	printf("alive\n");
	return 0;
}
