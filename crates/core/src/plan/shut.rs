//! Why an Auto Scaling group is asked for nothing: its launches fail, or what it launches never
//! registers.

use super::group::OWN_REASON;
use crate::ids::{AsgName, GroupName, InstanceId};
use crate::memory::{Cooldown, Memory};
use crate::policy::GroupPolicy;
use crate::time::{Timestamp, hour_and_minute};

/// Why nothing is launched.
#[derive(Clone, Debug)]
pub enum Shut {
    /// The last launch failed.
    Cooldown(Cooldown),
    /// Too many boots in a row have failed: protected mode.
    Protected {
        /// Whose command lifts it.
        group: GroupName,
        /// How many.
        failures: u32,
        /// The last instance that did not register.
        last: InstanceId,
        /// Since when; now if it begins with this plan.
        since: Timestamp,
    },
}

impl Shut {
    /// What shuts an Auto Scaling group, if anything does.
    pub fn of(
        (name, group): (&GroupName, &GroupPolicy),
        asg: &AsgName,
        cooldown: Option<&Cooldown>,
        memory: &Memory,
        now: Timestamp,
    ) -> Option<Self> {
        if let Some(boots) = memory.boots.get(asg).filter(|boots| boots.are_too_many(group)) {
            return Some(Self::Protected {
                group: name.clone(),
                failures: boots.failures,
                last: boots.last.clone(),
                since: boots.protected_since.unwrap_or(now),
            });
        }
        cooldown.filter(|it| it.is_in_force(now)).cloned().map(Self::Cooldown)
    }

    /// Until when; not known for what an administrator ends.
    pub const fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Cooldown(cooldown) => Some(cooldown.until),
            Self::Protected { .. } => None,
        }
    }

    /// Since when.
    pub const fn since(&self) -> Timestamp {
        match self {
            Self::Cooldown(cooldown) => cooldown.noticed_at,
            Self::Protected { since, .. } => *since,
        }
    }

    /// The word behind `Code:` in a node's reason.
    pub const fn code(&self) -> &str {
        match self {
            Self::Cooldown(cooldown) => cooldown.failure.code.as_str(),
            Self::Protected { .. } => "ProtectedMode",
        }
    }

    /// What is the matter, and when or how it ends.
    pub fn in_words(&self) -> String {
        match self {
            Self::Cooldown(cooldown) => cooldown.in_words(),
            Self::Protected { group, failures, last, .. } => format!(
                "the last {failures} instances never registered, as {last}; once that is mended: \
                 slurm-asg clear {group}"
            ),
        }
    }

    /// The reason of nodes, for `sinfo -R`: `(Code:…) AWS has no capacity in …, next try 14:05 UTC`.
    pub fn reason(&self) -> String {
        format!("{OWN_REASON}{}) {}", self.code(), self.in_words())
    }
}

impl Cooldown {
    /// Whether nothing is asked for now.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        // A clock that was set back must not make it last for ever.
        now < self.until && self.noticed_at <= now
    }

    fn in_words(&self) -> String {
        format!("{}, next try {} UTC", self.failure.in_words(), hour_and_minute(self.until))
    }

    /// What the event log says of it.
    #[must_use]
    pub fn reason(&self) -> String {
        format!("{OWN_REASON}{}) {}", self.failure.code, self.in_words())
    }
}

#[cfg(test)]
mod tests {
    use crate::node_state::NodeState;
    use crate::plan::Why;
    use crate::testing::{World, policy_with, state, told};

    /// A group whose nodes' instances do not register; it may have three of them.
    fn world(nodes: usize) -> World {
        let lines: Vec<_> =
            (1..=nodes).map(|nth| format!("n{nth} powering_up on=i-{nth}")).collect();
        let mut world = World::new(0, 8, &lines.iter().map(String::as_str).collect::<Vec<_>>());
        world.policy = policy_with("boot_failures_max = 3");
        world
    }

    fn give_up(world: &mut World, nth: usize) {
        let node = world.node_mut(&format!("n{nth}"));
        node.state = NodeState(state("down_off"));
        node.reason = "ResumeTimeout reached [slurm@1]".to_owned();
    }

    /// Carries a plan out, and has Slurm power the nodes down that it is asked for.
    fn turn(world: &mut World) -> Vec<String> {
        let plan = world.plan();
        world.carry_out(&plan);
        for action in &plan.actions {
            if let crate::plan::Action::PowerDown(down) = action {
                let node = world.node_mut(down.node.as_str());
                node.state = NodeState(state("off"));
                node.reason = String::new();
            }
        }
        told(&plan)
    }

    #[test]
    fn after_so_many_failed_boots_nothing_is_launched_until_somebody_says_so() {
        let mut world = world(3);
        give_up(&mut world, 1);
        give_up(&mut world, 2);
        assert_eq!(turn(&mut world), ["power_down n1", "power_down n2"]);
        assert_eq!(turn(&mut world), ["terminate i-1", "terminate i-2"]);
        world.submit(3);
        assert_eq!(turn(&mut world), ["desired 1 -> 3"], "two are not three");
        world.asg_mut().desired = 1;
        give_up(&mut world, 3);
        let plan = world.plan();
        assert_eq!(told(&plan), ["power_down n3", "close n[1-2]"]);
        let problem = plan.groups[&"g".into()].problem.clone().unwrap();
        assert!(problem.contains("i-3") && problem.ends_with("slurm-asg clear g"), "{problem}");
        turn(&mut world);
        assert_eq!(turn(&mut world), ["close n3", "terminate i-3"]);
        let reason = world.node_mut("n3").reason.clone();
        assert!(reason.starts_with("(Code:ProtectedMode) the last 3 instances"), "{reason}");
        world.pass(100_000);
        assert_eq!(turn(&mut world), Vec::<String>::new(), "time does not end it");
        assert!(world.memory.clear(&["a".into()], world.snapshot.now));
        assert_eq!(turn(&mut world), ["open n[1-3]"]);
        assert_eq!(turn(&mut world), ["desired 0 -> 3"]);
        assert!(!world.memory.clear(&["a".into()], world.snapshot.now), "there is nothing left");
    }

    #[test]
    fn one_boot_that_goes_well_ends_the_count_but_not_protected_mode() {
        let mut world = world(5);
        for nth in [1, 2] {
            give_up(&mut world, nth);
            turn(&mut world);
        }
        world.node_mut("n3").state = NodeState(NodeState::IDLE);
        turn(&mut world);
        assert_eq!(world.memory.boots.len(), 0);
        let mut world = self::world(5);
        for nth in [1, 2, 3] {
            give_up(&mut world, nth);
        }
        turn(&mut world);
        world.node_mut("n4").state = NodeState(NodeState::IDLE);
        turn(&mut world);
        assert!(world.memory.boots[&"a".into()].protected_since.is_some());
    }

    #[test]
    fn an_instance_that_dies_while_it_boots_counts_and_one_that_slurm_lets_go_does_not() {
        let mut world = world(2);
        world.launch("i-9", crate::snapshot::Lifecycle::InService);
        world.asg_mut().desired = 3;
        world.die("i-1");
        turn(&mut world);
        assert_eq!(world.memory.boots[&"a".into()].failures, 1);
        world.node_mut("n2").state = NodeState(state("powering_down"));
        turn(&mut world);
        assert_eq!(world.memory.boots[&"a".into()].failures, 1);
        assert_eq!(world.memory.take_failed_boots().len(), 1);
    }

    #[test]
    fn nothing_is_protected_where_that_is_switched_off() {
        let mut world = world(3);
        world.policy = policy_with("boot_failures_max = 0");
        for nth in [1, 2, 3] {
            give_up(&mut world, nth);
        }
        turn(&mut world);
        world.submit(1);
        turn(&mut world);
        assert_eq!(turn(&mut world), Vec::<String>::new());
        let report = world.plan();
        assert!(report.nodes.values().all(|node| !matches!(node.why, Why::ProtectedMode { .. })));
        assert_eq!(report.groups[&"g".into()].problem, None);
    }
}
