//! Transitions on a clock of the test's own.

use super::*;
use crate::error::ApiError;
use crate::faults::Fault;
use proptest::prelude::*;

mod hooks;
mod suspension;

const GROUP: &str = "g";

/// A world whose launches, boots and ends take 10, 100 and 20 ms, deaths are noticed after 50, failures retried after 200.
pub(super) struct Bench {
    pub(super) world: World,
    pub(super) now_ms: u64,
}

impl Bench {
    pub(super) fn new(min: u32, max: u32, desired: u32, extra: &str) -> Self {
        Self::with_group(min, max, desired, extra, "")
    }

    /// Like [`Bench::new`], with further lines of the group's configuration.
    fn with_group(min: u32, max: u32, desired: u32, extra: &str, group: &str) -> Self {
        let text = format!(
            "boot_command=[\"x\"]\nlog_dir=\"/\"\nlaunch_delay_ms=10\nboot_delay_ms=100\nterminate_delay_ms=20\n\
             replace_delay_ms=50\nretry_delay_ms=200\n{extra}\n[[group]]\nname=\"{GROUP}\"\nmin={min}\nmax={max}\ndesired={desired}\n{group}"
        );
        let config = Config::parse(&text, "test").unwrap();
        let mut bench = Self { world: World::new(config, 1_000), now_ms: 1_000 };
        bench.pass(500);
        bench
    }

    /// Lets time pass, stepping whenever something is due. Returns the effects.
    pub(super) fn pass(&mut self, ms: u64) -> Vec<Effect> {
        let end_ms = self.now_ms + ms;
        let mut effects = Vec::new();
        loop {
            let step = self.world.step(self.now_ms);
            effects.extend(step.effects);
            match step.wake_at_ms.filter(|at_ms| *at_ms <= end_ms) {
                Some(at_ms) => self.now_ms = at_ms.max(self.now_ms),
                None => break,
            }
        }
        self.now_ms = end_ms;
        effects
    }

    fn members(&self) -> Vec<(String, &'static str)> {
        self.world
            .cloud()
            .members(GROUP)
            .iter()
            .map(|instance| (instance.id.clone(), instance.lifecycle.name()))
            .collect()
    }

    fn ids(&self) -> Vec<String> {
        self.members().into_iter().map(|(id, _)| id).collect()
    }

    pub(super) fn desired(&self) -> u32 {
        self.world.cloud().groups[GROUP].desired
    }

    fn set(&mut self, desired: u32) {
        self.world.set_desired(GROUP, desired, self.now_ms).unwrap();
    }

    fn terminate(&mut self, ids: &[&str], decrement: bool) -> Result<Vec<Activity>, ApiError> {
        self.world.terminate(Some(GROUP), ids, decrement, self.now_ms)
    }

    fn statuses(&self) -> Vec<&'static str> {
        self.world.cloud().activities.iter().map(|activity| activity.status).collect()
    }
}

#[test]
fn an_instance_is_launched_booted_and_ended_in_its_time() {
    let mut bench = Bench::new(0, 4, 0, "");
    bench.set(1);
    assert_eq!(bench.pass(9), []);
    assert_eq!(bench.members(), []);
    bench.pass(1);
    let id = bench.ids().remove(0);
    assert_eq!(bench.members(), [(id.clone(), "Pending")]);
    assert_eq!(bench.statuses(), ["InProgress"]);
    assert_eq!(bench.pass(100), [Effect::Boot(id.clone())]);
    assert_eq!(bench.members(), [(id.clone(), "InService")]);
    bench.terminate(&[&id], true).unwrap();
    assert_eq!(bench.members(), [(id.clone(), "Terminating")]);
    assert_eq!(bench.pass(20), [Effect::Kill(id.clone())]);
    assert_eq!((bench.members(), bench.desired()), (vec![], 0));
    assert_eq!(bench.statuses(), ["Successful", "Successful"]);
    assert_eq!(bench.world.cloud().instances[&id].ec2_state().1, "terminated");
    bench.pass(TERMINATED_SHOWN_MS);
    assert!(bench.world.known(&[&id]).is_err());
}

#[test]
fn ids_look_real_and_addresses_are_each_instances_own() {
    let mut bench = Bench::new(0, 1000, 1000, "");
    let ips: std::collections::BTreeSet<_> =
        bench.world.cloud().instances.values().map(|instance| instance.ip).collect();
    assert_eq!(ips.len(), 1000);
    assert!(
        ips.iter().all(|ip| ip.octets()[..2] == [127, 77] && ![0, 255].contains(&ip.octets()[3]))
    );
    assert!(bench.ids().iter().all(|id| id.len() == 19 && id.starts_with("i-0")));
    let id = bench.world.fresh_id();
    assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    // Zones are filled evenly.
    let in_a = bench
        .world
        .cloud()
        .instances
        .values()
        .filter(|instance| instance.zone == "eu-west-1a")
        .count();
    assert_eq!(in_a, 500);
}

#[test]
fn set_desired_keeps_to_the_bounds_in_awss_words() {
    let mut bench = Bench::new(1, 2, 1, "");
    let check = |bench: &mut Bench, desired, want: &str| {
        let error = bench.world.set_desired(GROUP, desired, 0).unwrap_err();
        assert_eq!(
            (error.status, error.code, error.message.as_str()),
            (400, "ValidationError", want)
        );
    };
    check(
        &mut bench,
        3,
        "New SetDesiredCapacity value 3 is above max value 2 for the AutoScalingGroup.",
    );
    check(
        &mut bench,
        0,
        "New SetDesiredCapacity value 0 is below min value 1 for the AutoScalingGroup.",
    );
    assert!(
        bench
            .world
            .set_desired("x", 1, 0)
            .unwrap_err()
            .message
            .starts_with("AutoScalingGroup name not found")
    );
    assert_eq!(bench.desired(), 1);
}

#[test]
fn update_moves_desired_into_the_new_bounds() {
    for (min, max, desired, want) in [
        (None, Some(2), None, Ok((1, 2, 2))),
        (Some(4), None, None, Ok((4, 5, 4))),
        (Some(0), Some(9), Some(7), Ok((0, 9, 7))),
        (
            Some(3),
            Some(2),
            None,
            Err("Max bound, 2, must be greater than or equal to min bound, 3"),
        ),
        (
            None,
            None,
            Some(6),
            Err("Desired capacity:6 must be between the specified min size:1 and max size:5"),
        ),
    ] {
        let mut bench = Bench::new(1, 5, 3, "");
        let result =
            bench.world.update_group(GROUP, GroupChange { min, max, desired }, None, bench.now_ms);
        let group = &bench.world.cloud().groups[GROUP];
        let got =
            result.map(|()| (group.min, group.max, group.desired)).map_err(|error| error.message);
        assert_eq!(got, want.map_err(str::to_owned));
    }
}

#[test]
fn terminate_refuses_strangers_and_the_minimum_in_awss_words() {
    let mut bench = Bench::new(1, 4, 2, "");
    let ids = bench.ids();
    let message = |result: Result<Vec<Activity>, ApiError>| result.unwrap_err().message;
    assert_eq!(
        message(bench.terminate(&["i-1"], true)),
        "Instance Id not found - No managed instance found for instance ID: i-1"
    );
    let both = message(bench.terminate(&[&ids[0], &ids[1]], true));
    assert!(both.contains("will violate group's min size constraint"), "{both}");
    assert_eq!(bench.desired(), 2);
    assert_eq!(bench.terminate(&[&ids[0], &ids[0]], true).unwrap().len(), 2);
    assert_eq!(bench.desired(), 1);
    assert_eq!(
        message(bench.terminate(&[&ids[1]], true)),
        "Currently, desiredSize equals minSize (1). Terminating instance without replacement will violate group's min size constraint. \
         Either set shouldDecrementDesiredCapacity flag to false or lower group's min size."
    );
    // Already going: success, and the capacity stays.
    bench.terminate(&[&ids[0]], true).unwrap();
    assert_eq!(bench.desired(), 1);
    // Without the decrement it is replaced.
    bench.terminate(&[&ids[1]], false).unwrap();
    bench.pass(500);
    assert!(bench.ids().len() == 1 && !ids.contains(&bench.ids()[0]));
}

#[test]
fn a_lower_number_ends_the_oldest_unprotected_and_spares_the_protected() {
    let mut bench = Bench::new(0, 4, 4, "");
    let ids = bench.ids();
    bench.world.protect(GROUP, &[&ids[0], &ids[1]], true, bench.now_ms).unwrap();
    bench.set(1);
    bench.pass(500);
    assert_eq!(bench.ids(), ids[..2]);
    bench.world.protect(GROUP, &[&ids[1]], false, bench.now_ms).unwrap();
    bench.pass(500);
    assert_eq!(bench.ids(), ids[..1]);
}

#[test]
fn protection_is_for_members_in_service() {
    let mut bench = Bench::new(0, 4, 0, "");
    bench.set(1);
    bench.pass(20);
    let id = bench.ids().remove(0);
    let refused = bench.world.protect(GROUP, &[&id], true, bench.now_ms).unwrap_err().message;
    assert_eq!(
        refused,
        format!("The instance {id} is not in InService or EnteringStandby or Standby.")
    );
    let many = vec![id.as_str(); PROTECTION_MAX + 1];
    assert!(bench.world.protect(GROUP, &many, true, 0).is_err());
}

#[test]
fn the_dead_are_noticed_and_replaced() {
    for by_ec2 in [false, true] {
        let mut bench = Bench::new(0, 4, 1, "");
        let id = bench.ids().remove(0);
        if by_ec2 {
            bench.world.ec2_terminate(&[&id], bench.now_ms).unwrap();
        } else {
            assert!(bench.world.die(&id, bench.now_ms) && !bench.world.die(&id, bench.now_ms));
        }
        assert_eq!(bench.pass(49), [Effect::Kill(id.clone())]);
        assert_eq!(bench.members(), [(id.clone(), "InService")]);
        assert_eq!(bench.pass(1), []);
        assert_eq!(bench.members()[0], (id.clone(), "Terminating"));
        assert_eq!(bench.world.cloud().instances[&id].health(), "Unhealthy");
        bench.pass(500);
        assert!(bench.ids().len() == 1 && bench.ids()[0] != id && bench.desired() == 1);
    }
}

#[test]
fn no_capacity_shows_in_the_activities_and_launches_go_on_once_it_is_over() {
    let mut bench = Bench::new(0, 4, 0, "");
    bench
        .world
        .faults
        .add(Fault::NoCapacity { group: GROUP.into(), zone: None, after: 1, message: None })
        .unwrap();
    bench.set(3);
    bench.pass(250);
    assert_eq!(bench.ids().len(), 1);
    let failed: Vec<&Activity> = bench
        .world
        .cloud()
        .activities
        .iter()
        .filter(|activity| activity.status == "Failed")
        .collect();
    assert_eq!(failed.len(), 2);
    let message = failed[0].message.as_deref().unwrap();
    assert!(
        message
            .starts_with("Could not launch On-Demand Instances. InsufficientInstanceCapacity - "),
        "{message}"
    );
    assert!(message.ends_with("Launching EC2 instance failed."), "{message}");
    bench.world.faults.clear();
    bench.pass(400);
    assert_eq!(bench.ids().len(), 3);
}

#[test]
fn faulty_instances_boot_late_or_never() {
    let mut bench = Bench::new(0, 4, 0, "");
    bench.world.faults.add(Fault::NeverBoots { count: 1 }).unwrap();
    bench.world.faults.add(Fault::BootDelay { ms: 300, count: 1 }).unwrap();
    bench.set(2);
    assert_eq!(bench.pass(200).len(), 1);
    assert_eq!(bench.pass(200), []);
    assert!(bench.members().iter().all(|(_, lifecycle)| *lifecycle == "InService"));
}

#[test]
fn describes_lag_by_read_lag() {
    let mut bench = Bench::new(0, 4, 0, "read_lag_ms=1000");
    bench.pass(2000);
    bench.set(2);
    assert_eq!(bench.world.described(bench.now_ms + 999).groups[GROUP].desired, 0);
    assert_eq!(bench.world.described(bench.now_ms + 1000).groups[GROUP].desired, 2);
    bench.pass(900);
    assert_eq!(
        (bench.world.cloud().size(GROUP), bench.world.described(bench.now_ms).size(GROUP)),
        (2, 0)
    );
    bench.pass(2000);
    bench.world.step(bench.now_ms);
    assert_eq!(bench.world.described(bench.now_ms).size(GROUP), 2);
    assert!(bench.world.history.len() <= 2);
}

#[test]
fn tags_are_kept_and_awss_own_are_refused() {
    let mut bench = Bench::new(0, 4, 1, "");
    let id = bench.ids().remove(0);
    bench.world.create_tags(&[&id], &[("k", "v")], 0).unwrap();
    assert_eq!(bench.world.cloud().instances[&id].tags["k"], "v");
    assert_eq!(
        bench.world.create_tags(&[&id], &[("aws:x", "v")], 0).unwrap_err().code,
        "InvalidParameterValue"
    );
    let missing = bench.world.create_tags(&["i-01234567890abcdef"], &[("k", "v")], 0).unwrap_err();
    assert_eq!(
        (missing.code, missing.message.as_str()),
        ("InvalidInstanceID.NotFound", "The instance ID 'i-01234567890abcdef' does not exist")
    );
    assert_eq!(bench.world.known(&["x"]).unwrap_err().code, "InvalidInstanceID.Malformed");
}

/// Short enough to run out in a test; a launching hook that runs out lets the instance in.
const SHORT_HOOKS: &str = r#"hooks = [
    { name = "up", transition = "launching", heartbeat_timeout_s = 1, default_result = "CONTINUE" },
    { name = "down", transition = "terminating", heartbeat_timeout_s = 2 },
    { name = "later", transition = "terminating", heartbeat_timeout_s = 3, default_result = "CONTINUE" },
]"#;

proptest! {
    /// Whatever is asked in whatever order, with hooks and without, whatever is suspended: bounds hold at all times, what waits is what has
    /// something to wait for, and left alone with all
    /// its processes the group reaches its desired size.
    #[test]
    fn bounds_hold_and_the_group_settles(
        has_hooks: bool,
        moves in prop::collection::vec((0u8..9, 0u32..8, 0u64..200), 1..40),
    ) {
        let hooks = if has_hooks { SHORT_HOOKS } else { "" };
        let mut bench = Bench::with_group(1, 6, 2, "", hooks);
        for (kind, number, ms) in moves {
            let ids = bench.ids();
            let victim = ids.get(number as usize % ids.len().max(1)).cloned().unwrap_or_default();
            let now_ms = bench.now_ms;
            let key = ActionKey::Instance(&victim);
            let hook = ["up", "down", "later"][number as usize % 3];
            let process = ["Launch", "Terminate", "ReplaceUnhealthy"][number as usize % 3];
            let result = if number % 2 == 0 { HookResult::Continue } else { HookResult::Abandon };
            let _refused = match kind {
                0 => bench.world.set_desired(GROUP, number, now_ms),
                1 => bench.terminate(&[&victim], number % 2 == 0).map(drop),
                2 => bench.world.protect(GROUP, &[&victim], number % 2 == 0, now_ms),
                3 => { bench.world.die(&victim, now_ms); Ok(()) }
                4 => bench.world.complete_action(GROUP, hook, key, result, now_ms),
                5 => bench.world.record_heartbeat(GROUP, hook, key, now_ms),
                6 => bench.world.suspend(GROUP, &[process], now_ms),
                7 => bench.world.resume(GROUP, &[process], now_ms),
                _ => bench.world.update_group(GROUP, GroupChange { max: Some(number), ..GroupChange::default() }, None, now_ms),
            };
            bench.pass(ms);
            let group = &bench.world.cloud().groups[GROUP];
            prop_assert!(group.min <= group.desired && group.desired <= group.max);
            for instance in bench.world.cloud().instances.values() {
                let waits = instance.lifecycle.name().ends_with(":Wait");
                prop_assert_eq!(waits, !instance.actions.is_empty());
            }
        }
        bench.world.resume(GROUP, &[], bench.now_ms).unwrap();
        bench.pass(9_000);
        let protected = bench.world.cloud().members(GROUP).iter().filter(|instance| instance.protected).count();
        let size = bench.world.cloud().size(GROUP) as usize;
        let desired = bench.desired() as usize;
        prop_assert_eq!(size, desired.max(protected.min(size)));
        prop_assert!(bench.members().iter().all(|(_, lifecycle)| *lifecycle == "InService"));
    }
}
