//! Life-cycle hooks and what they hold up.

use super::*;

const UP: &str = "{ name = \"up\", transition = \"launching\", heartbeat_timeout_s = 2 }";
const UP_ANYWAY: &str = "{ name = \"anyway\", transition = \"launching\", heartbeat_timeout_s = 1, default_result = \"CONTINUE\" }";
const DOWN: &str = "{ name = \"down\", transition = \"terminating\", heartbeat_timeout_s = 2 }";
const LATER: &str = "{ name = \"later\", transition = \"terminating\", heartbeat_timeout_s = 3, default_result = \"CONTINUE\" }";

use HookResult::{Abandon, Continue};

impl Bench {
    /// A group of at most four, and `desired` as the time in [`Bench::new`] has made them.
    fn hooked(desired: u32, hooks: &[&str]) -> Self {
        Self::with_group(0, 4, desired, "", &format!("hooks = [{}]", hooks.join(", ")))
    }

    fn complete(&mut self, hook: &str, id: &str, result: HookResult) -> Result<(), String> {
        let done =
            self.world.complete_action(GROUP, hook, ActionKey::Instance(id), result, self.now_ms);
        done.map_err(|error| error.to_string())
    }

    fn beat(&mut self, hook: &str, id: &str) -> Result<(), String> {
        let beat = self.world.record_heartbeat(GROUP, hook, ActionKey::Instance(id), self.now_ms);
        beat.map_err(|error| error.to_string())
    }

    fn state_of(&self, id: &str) -> (&'static str, &'static str) {
        let instance = &self.world.cloud().instances[id];
        (instance.lifecycle.name(), instance.ec2_state().1)
    }
}

fn none_active(id: &str) -> String {
    format!("ValidationError: No active Lifecycle Action found with instance ID {id}")
}

#[test]
fn a_launching_instance_runs_and_waits_until_all_hooks_are_continued() {
    let mut bench = Bench::hooked(0, &[UP, UP_ANYWAY]);
    bench.set(1);
    bench.pass(10);
    let id = bench.ids().remove(0);
    assert_eq!(bench.complete("up", &id, Continue), Err(none_active(&id)), "not yet begun");
    assert_eq!(bench.pass(100), [Effect::Boot(id.clone())]);
    assert_eq!(bench.state_of(&id), ("Pending:Wait", "running"));
    assert_eq!(
        (bench.world.cloud().size(GROUP), bench.statuses()),
        (1, vec!["MidLifecycleAction"])
    );
    assert!(bench.world.protect(GROUP, &[&id], true, bench.now_ms).is_err());
    bench.complete("up", &id, Continue).unwrap();
    assert_eq!(bench.complete("up", &id, Continue), Err(none_active(&id)), "completed already");
    assert_eq!(bench.state_of(&id).0, "Pending:Wait");
    bench.complete("anyway", &id, Continue).unwrap();
    assert_eq!(bench.state_of(&id), ("Pending:Proceed", "running"));
    assert_eq!(bench.pass(0), [], "it does not boot anew");
    assert_eq!((bench.state_of(&id).0, bench.statuses()), ("InService", vec!["Successful"]));
}

#[test]
fn a_launching_hook_that_runs_out_acts_by_its_default_result() {
    for (hook, timeout_ms, stays) in [(UP_ANYWAY, 1_000, true), (UP, 2_000, false)] {
        let mut bench = Bench::hooked(0, &[hook]);
        bench.set(1);
        bench.pass(110);
        let id = bench.ids().remove(0);
        bench.pass(timeout_ms - 1);
        assert_eq!(bench.state_of(&id).0, "Pending:Wait");
        bench.pass(1);
        assert_eq!(bench.state_of(&id).0, if stays { "InService" } else { "Terminating" });
        assert_eq!(bench.statuses()[0], if stays { "Successful" } else { "Cancelled" });
    }
}

#[test]
fn an_abandoned_launch_is_cancelled_in_awss_words_and_replaced_though_other_hooks_wait() {
    let mut bench = Bench::hooked(0, &[UP, UP_ANYWAY, DOWN]);
    bench.set(1);
    bench.pass(110);
    let id = bench.ids().remove(0);
    let token = bench.world.cloud().instances[&id].actions[1].token.clone();
    let key = ActionKey::Token(&token);
    bench.world.complete_action(GROUP, "up", key, Abandon, bench.now_ms).unwrap();
    assert_eq!(bench.state_of(&id), ("Terminating", "shutting-down"));
    let activity = &bench.world.cloud().activities[0];
    let message = format!(
        "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token {token} was abandoned: \
         Lifecycle Action Completed with ABANDON Result"
    );
    assert_eq!((activity.status, activity.message.as_ref()), ("Cancelled", Some(&message)));
    assert_eq!(
        activity.description,
        format!("Launching a new EC2 instance: {id}.  Status Reason: {message}")
    );
    assert_eq!(bench.pass(110)[0], Effect::Kill(id.clone()));
    let ids = bench.ids();
    assert!(ids.len() == 1 && ids[0] != id && bench.desired() == 1, "{ids:?}");
    let gone = bench.world.complete_action(GROUP, "up", key, Continue, bench.now_ms).unwrap_err();
    assert_eq!(gone.message, format!("No active Lifecycle Action found with token {token}"));
}

#[test]
fn a_waiting_launch_that_is_terminated_ends_without_terminating_hooks() {
    let mut bench = Bench::hooked(0, &[UP, DOWN]);
    bench.set(1);
    bench.pass(110);
    let id = bench.ids().remove(0);
    bench.terminate(&[&id], true).unwrap();
    assert_eq!(bench.state_of(&id), ("Terminating", "shutting-down"));
    assert_eq!(bench.complete("up", &id, Continue), Err(none_active(&id)));
    bench.pass(20);
    assert_eq!((bench.members(), bench.desired()), (vec![], 0));
}

#[test]
fn a_terminating_instance_runs_on_until_its_hooks_are_done() {
    let mut bench = Bench::hooked(1, &[DOWN, LATER]);
    let id = bench.ids().remove(0);
    let activities = bench.terminate(&[&id], true).unwrap();
    assert!(activities[0].description.starts_with("Terminating EC2 instance: "));
    assert_eq!(bench.pass(1_000), []);
    assert_eq!(bench.state_of(&id), ("Terminating:Wait", "running"));
    assert_eq!(bench.world.cloud().size(GROUP), 0);
    // Terminating it again is success and changes nothing.
    bench.terminate(&[&id], true).unwrap();
    assert_eq!((bench.desired(), bench.statuses()), (0, vec!["Successful", "MidLifecycleAction"]));
    bench.complete("down", &id, Continue).unwrap();
    assert_eq!(bench.state_of(&id).0, "Terminating:Wait");
    bench.complete("later", &id, Continue).unwrap();
    assert_eq!(bench.state_of(&id), ("Terminating:Proceed", "shutting-down"));
    assert_eq!(bench.pass(20), [Effect::Kill(id.clone())]);
    assert_eq!((bench.members(), bench.statuses()), (vec![], vec!["Successful"; 2]));
}

#[test]
fn an_abandoned_termination_goes_on_and_ends_the_other_hooks_actions() {
    let mut bench = Bench::hooked(2, &[DOWN, LATER]);
    let ids = bench.ids();
    bench.set(0);
    bench.complete("later", &ids[0], Abandon).unwrap();
    assert_eq!(bench.state_of(&ids[0]).0, "Terminating:Proceed");
    assert_eq!(bench.complete("down", &ids[0], Continue), Err(none_active(&ids[0])));
    // The other one's first hook runs out with ABANDON after two seconds, before its second one would.
    bench.pass(1_999);
    assert_eq!(bench.members(), [(ids[1].clone(), "Terminating:Wait")]);
    assert_eq!(bench.pass(1), [Effect::Kill(ids[1].clone())]);
    assert_eq!(bench.members(), [(ids[1].clone(), "Terminating:Proceed")]);
}

#[test]
fn every_way_out_of_service_passes_the_terminating_hooks() {
    for way in ["by number", "by request", "by health"] {
        let mut bench = Bench::hooked(1, &[DOWN]);
        let id = bench.ids().remove(0);
        match way {
            "by number" => bench.set(0),
            "by request" => bench.terminate(&[&id], false).map(drop).unwrap(),
            _ => assert!(bench.world.die(&id, bench.now_ms)),
        }
        bench.pass(50);
        assert_eq!(bench.state_of(&id).0, "Terminating:Wait", "{way}");
        // What is to be replaced is replaced before the hooks are done.
        bench.pass(150);
        assert_eq!(bench.world.cloud().size(GROUP), bench.desired(), "{way}");
        assert_eq!(bench.state_of(&id).0, "Terminating:Wait", "{way}");
        bench.pass(2_000);
        assert!(!bench.ids().contains(&id), "{way}");
    }
}

#[test]
fn a_machine_that_died_stays_dead_while_its_member_waits() {
    for dies_first in [true, false] {
        let mut bench = Bench::hooked(1, &[DOWN]);
        let id = bench.ids().remove(0);
        let kill = [Effect::Kill(id.clone())];
        if dies_first {
            bench.world.ec2_terminate(&[&id], bench.now_ms).unwrap();
            assert_eq!(bench.pass(50), kill);
        } else {
            bench.terminate(&[&id], false).unwrap();
            assert!(bench.world.die(&id, bench.now_ms));
            assert_eq!(bench.pass(50), kill);
        }
        assert_eq!(bench.state_of(&id), ("Terminating:Wait", "terminated"));
        bench.pass(500);
        assert_eq!(bench.state_of(&id).0, "Terminating:Wait");
        bench.complete("down", &id, Continue).unwrap();
        assert_eq!(bench.pass(20), [], "there is no power to cut");
        assert!(!bench.ids().contains(&id));
    }
}

#[test]
fn the_death_of_a_waiting_launch_is_noticed_and_it_is_replaced() {
    for completed in [false, true] {
        let mut bench = Bench::hooked(0, &[UP]);
        bench.set(1);
        bench.pass(110);
        let id = bench.ids().remove(0);
        assert!(bench.world.die(&id, bench.now_ms));
        if completed {
            bench.complete("up", &id, Continue).unwrap();
        }
        bench.pass(49);
        let wait = if completed { "Pending:Proceed" } else { "Pending:Wait" };
        assert_eq!(bench.state_of(&id).0, wait);
        bench.pass(1);
        assert_eq!(bench.state_of(&id).0, "Terminating");
        bench.pass(110);
        assert!(bench.ids().len() == 1 && bench.ids()[0] != id);
    }
}

#[test]
fn a_heartbeat_restarts_the_timeout_up_to_the_global_one() {
    let mut bench = Bench::hooked(1, &[DOWN]);
    let id = bench.ids().remove(0);
    bench.terminate(&[&id], true).unwrap();
    let begun_ms = bench.now_ms;
    // 100 heartbeat timeouts are 200 s.
    while bench.now_ms < begun_ms + 199_000 {
        bench.pass(1_000);
        bench.beat("down", &id).unwrap();
    }
    assert_eq!(bench.world.cloud().instances[&id].actions[0].until_ms, begun_ms + 200_000);
    bench.pass(999);
    assert_eq!(bench.state_of(&id).0, "Terminating:Wait");
    bench.pass(1);
    assert_eq!(bench.state_of(&id).0, "Terminating:Proceed");
    assert_eq!(bench.beat("down", &id), Err(none_active(&id)));
}

#[test]
fn an_action_whose_time_is_over_is_not_completed_by_a_call_before_the_step() {
    let mut bench = Bench::hooked(0, &[UP]);
    bench.set(1);
    bench.pass(110);
    let id = bench.ids().remove(0);
    bench.now_ms += 2_000;
    assert_eq!(bench.complete("up", &id, Continue), Err(none_active(&id)));
}

#[test]
fn hooks_are_put_changed_and_deleted_within_awss_bounds() {
    let mut bench = Bench::hooked(1, &[]);
    let put = |bench: &mut Bench, name: &str, change: HookChange| {
        bench.world.put_hook(GROUP, name, change, 0).map_err(|error| error.code)
    };
    let of = |transition, timeout_s| HookChange {
        transition: Some(transition),
        heartbeat_timeout_s: Some(timeout_s),
        default_result: None,
    };
    let hook = |bench: &Bench, name: &str| bench.world.cloud().groups[GROUP].hooks[name].clone();
    assert_eq!(put(&mut bench, "h", HookChange::default()), Err("ValidationError"));
    for timeout_s in [29, 7_201] {
        let refused = put(&mut bench, "h", of(Transition::Launching, timeout_s));
        assert_eq!(refused, Err("ValidationError"));
    }
    assert_eq!(put(&mut bench, "h h", of(Transition::Launching, 30)), Err("ValidationError"));
    put(&mut bench, "h", of(Transition::Terminating, 7_200)).unwrap();
    assert_eq!(
        (hook(&bench, "h").default_result, hook(&bench, "h").global_timeout_s()),
        (Abandon, 172_800)
    );
    // What is not given stays.
    let change = HookChange { heartbeat_timeout_s: Some(30), ..HookChange::default() };
    put(&mut bench, "h", change).unwrap();
    assert_eq!(
        (hook(&bench, "h").transition, hook(&bench, "h").global_timeout_s()),
        (Transition::Terminating, 3_000)
    );
    for n in 1..HOOKS_MAX {
        put(&mut bench, &format!("h{n}"), of(Transition::Launching, 30)).unwrap();
    }
    assert_eq!(put(&mut bench, "more", of(Transition::Launching, 30)), Err("LimitExceeded"));
    put(&mut bench, "h", of(Transition::Launching, 30)).unwrap();
    bench.world.delete_hook(GROUP, "h", 0).unwrap();
    let missing = format!("No Lifecycle Hook found with name h for group {GROUP}");
    assert_eq!(bench.world.delete_hook(GROUP, "h", 0).unwrap_err().message, missing);
    assert_eq!(bench.complete("h", "i-1", Continue), Err(format!("ValidationError: {missing}")));
    assert!(put(&mut bench, "more", of(Transition::Launching, 30)).is_ok());
}

#[test]
fn a_hook_that_is_deleted_abandons_launches_and_continues_terminations() {
    let mut bench = Bench::hooked(0, &[UP, UP_ANYWAY, DOWN, LATER]);
    bench.set(2);
    bench.pass(110);
    let ids = bench.ids();
    for hook in ["up", "anyway"] {
        bench.complete(hook, &ids[0], Continue).unwrap();
    }
    bench.pass(0);
    bench.terminate(&[&ids[0]], true).unwrap();
    for hook in ["up", "down"] {
        bench.world.delete_hook(GROUP, hook, bench.now_ms).unwrap();
    }
    assert_eq!(bench.state_of(&ids[0]).0, "Terminating:Wait", "the other hook still holds it");
    assert_eq!(bench.state_of(&ids[1]).0, "Terminating");
    bench.world.delete_hook(GROUP, "later", bench.now_ms).unwrap();
    assert_eq!(bench.state_of(&ids[0]).0, "Terminating:Proceed");
}
