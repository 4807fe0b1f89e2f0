//! Instances as processes.

use crate::bench::{AUTOSCALING, Bench, eventually};
use std::path::Path;

/// Processes whose command line holds `mark`, zombies included by their parent's absence of a command line.
fn alive(mark: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let line = |path: &Path| std::fs::read_to_string(path.join("cmdline")).unwrap_or_default();
    entries.filter(|entry| line(&entry.path()).replace('\0', " ").contains(mark)).count()
}

fn zombie_children() -> usize {
    let me = std::process::id().to_string();
    let stat = |path: &Path| std::fs::read_to_string(path.join("stat")).unwrap_or_default();
    let is_mine = |stat: String| {
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').take(2).collect();
        fields == ["Z", &me]
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| is_mine(stat(&entry.path())))
        .count()
}

/// A time to sleep that no other process on this machine names.
fn mark() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}.{}", 100_000 + std::process::id(), 100 + NEXT.fetch_add(1, Ordering::Relaxed))
}

#[test]
fn a_machine_without_power_leaves_no_process_not_even_in_a_session_of_its_own() {
    let mark = mark();
    let boot = format!(
        "setsid sleep {mark} & setsid sh -c 'sleep {mark} & exec sleep {mark}' & exec sleep {mark}"
    );
    let bench = Bench::new(&boot, "");
    let sleeps = format!("sleep {mark}");
    let id = bench.one().id;
    // Four sleeps; the shells that start them carry the words as well.
    eventually("the processes are there", || (alive(&sleeps) >= 4).then_some(()));
    bench.client.die(&id).unwrap();
    eventually("the replacement", || (bench.up(1)[0].id != id).then_some(()));
    let last = bench.up(1).remove(0);
    let call = format!(
        "TerminateInstanceInAutoScalingGroup&ShouldDecrementDesiredCapacity=true&InstanceId={}",
        last.id
    );
    assert_eq!(bench.call(AUTOSCALING, &call).0, 200);
    eventually("nothing is left", || (alive(&sleeps) == 0).then_some(()));
    eventually("no zombies", || (zombie_children() == 0).then_some(()));
}

#[test]
fn the_end_of_the_sandbox_is_the_end_of_its_instances() {
    let mark = mark();
    for extra in ["", "isolate = false"] {
        let bench = Bench::new(&format!("exec sleep {mark}"), extra);
        bench.set_desired(3);
        bench.up(3);
        let sleeps = format!("sleep {mark}");
        eventually("the processes are there", || (alive(&sleeps) >= 3).then_some(()));
        drop(bench);
        assert_eq!(alive(&sleeps), 0);
    }
}

#[test]
fn the_boot_command_gets_its_environment_and_its_log() {
    let bench = Bench::new(
        "env; pwd; echo $$; exec sleep 1000",
        "boot_env = { SLURM_CONF = \"/x/slurm.conf\" }",
    );
    let id = bench.one().id;
    let log = bench.dir.path().join("log").join(format!("{id}.log"));
    let text = eventually("its log", || {
        std::fs::read_to_string(&log).ok().filter(|text| text.lines().count() >= 4)
    });
    let endpoint =
        format!("AWS_EC2_METADATA_SERVICE_ENDPOINT={}/imds/{id}/", bench.sandbox.endpoint_url());
    for line in ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SLURM_CONF=/x/slurm.conf", &endpoint] {
        assert!(text.lines().any(|have| have == line), "{text}");
    }
    assert!(!text.contains("CARGO") && !text.contains("HOME="), "{text}");
    // A namespace of its own: a process id this small is one.
    assert!(
        text.lines().filter_map(|line| line.parse::<u32>().ok()).any(|pid| pid < 100),
        "{text}"
    );
}

#[test]
fn a_machine_outlives_its_boot_command_and_orphans_are_reaped_in_it() {
    let bench = Bench::new("exit 3", "");
    bench.set_desired(1);
    let instance = eventually("the boot command has ended", || {
        bench.instances().pop().filter(|i| i.lifecycle == "InService" && i.pid.is_none())
    });
    assert!(instance.alive);
    let bench = Bench::new(
        "(sleep 0.1 & ) ; sleep 0.5; grep -h State /proc/[0-9]*/status; echo end; exec sleep 1000",
        "",
    );
    let id = bench.one().id;
    let log = bench.dir.path().join("log").join(format!("{id}.log"));
    let text = eventually("its log", || {
        std::fs::read_to_string(&log).ok().filter(|text| text.contains("end"))
    });
    assert!(!text.contains("zombie"), "{text}");
}
