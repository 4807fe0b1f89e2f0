//! A group that an administrator has paused: no instance is asked for and none is let go.
//!
//! What keeps jobs and nodes right goes on: names for instances that are there, nodes whose
//! instances are gone, protection, and the answers to hooks of what others end.

use super::group::Pass;
use super::{Action, HookAnswer, PowerDownCause, Why};
use crate::memory::Paused;

impl Paused {
    /// Whose word it is, and why.
    fn in_words(&self) -> String {
        let Self { user, reason, .. } = self;
        match reason {
            Some(reason) => format!("paused by user {user}: {reason}"),
            None => format!("paused by user {user}"),
        }
    }
}

/// Whether an action asks for instances or lets one go.
#[must_use]
pub const fn scales(action: &Action) -> bool {
    match action {
        Action::SetSizes(_)
        | Action::SetDesired(_)
        | Action::Launch(_)
        | Action::GiveBack(_)
        | Action::PowerUp(_)
        | Action::Terminate(_) => true,
        Action::PowerDown(down) => !matches!(down.cause, PowerDownCause::Recover),
        Action::AnswerHook(told) => matches!(told.answer, HookAnswer::Abandon),
        Action::MarkDown(_)
        | Action::CloseNodes(_)
        | Action::OpenNodes(_)
        | Action::Drain(_)
        | Action::Bind(_)
        | Action::Protect(_) => false,
    }
}

impl Pass<'_, '_> {
    /// Takes out of the group's plan what would scale it, if that is paused.
    pub(super) fn pause(&mut self) {
        let Some(paused) = self.scene.memory.paused.get(self.scene.name) else { return };
        let (name, words) = (self.scene.name, paused.in_words());
        self.report.problem = Some(format!("{words}; to go on: slurm-asg resume-scaling {name}"));
        let (first, plan) = (self.first_action, &mut *self.plan);
        let own = plan.actions.split_off(first);
        plan.actions.extend(own.into_iter().filter(|action| !scales(action)));
        for name in &self.scene.group.nodes {
            if let Some(report) = plan.nodes.get_mut(name)
                && matches!(report.why, Why::Raised | Why::Released | Why::BillingHourEnds { .. })
            {
                report.why = Why::Paused;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::memory::Paused;
    use crate::plan::Why;
    use crate::testing::{World, told};

    #[test]
    fn a_paused_group_is_not_scaled_and_its_nodes_are_cared_for() {
        let lines = [
            "n1 powering_down on=i-1",
            "n2 powering_up",
            "i-2 spare",
            "n3 powering_up",
            "n4 alloc on=i-4",
        ];
        let mut world = World::new(0, 8, &lines);
        world.die("i-4");
        let paused = |reason: &str| Paused {
            since: crate::time::Timestamp::default(),
            user: 7,
            reason: Some(reason.to_owned()),
        };
        assert!(world.memory.pause(&"g".into(), paused("repair")));
        assert!(!world.memory.pause(&"g".into(), paused("repair")), "that is known");
        let plan = world.plan();
        assert_eq!(told(&plan), ["down n4", "power_down n4", "bind n2 i-2"]);
        assert_eq!(plan.nodes[&"n1".into()].why, Why::Paused);
        assert_eq!(plan.nodes[&"n3".into()].why, Why::WaitsForLaunch, "the dead one is replaced");
        let problem = plan.groups[&"g".into()].problem.clone().unwrap();
        assert_eq!(problem, "paused by user 7: repair; to go on: slurm-asg resume-scaling g");
        world.memory.paused.clear();
        let went_on = ["down n4", "power_down n4", "bind n2 i-2", "terminate i-1"];
        assert_eq!(told(&world.plan()), went_on);
    }
}
