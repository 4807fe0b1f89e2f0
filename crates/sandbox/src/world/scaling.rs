//! What a group does by itself: launch what is missing, end what is too much, replace what died.

use super::hooks::Transition;
use super::model::{Activity, Group, Instance, Lifecycle};
use super::suspension::GroupProcess;
use super::{Effect, TERMINATED_SHOWN_MS, World, scramble, time_text};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Why an instance is terminated, in the words of the activity's cause.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reason<'a> {
    /// By TerminateInstanceInAutoScalingGroup; with the words on the change of capacity.
    Request(&'a str),
    /// The desired capacity was lowered by number.
    ScaleIn,
    /// It died.
    Health,
    /// A launching hook's action was abandoned.
    Abandoned,
}

impl World {
    pub(super) fn make_due_transitions(&mut self, now_ms: u64) {
        self.expire_actions(now_ms);
        let due = |instance: &&Instance| instance.next_at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        let ids: Vec<String> =
            self.cloud.instances.values().filter(due).map(|instance| instance.id.clone()).collect();
        for id in ids {
            self.advance(&id, now_ms);
        }
        let launch = |group: &&Group| group.launch_at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        let names: Vec<String> = self
            .cloud
            .groups
            .values()
            .filter(launch)
            .map(|group| group.config.name.clone())
            .collect();
        for name in names {
            self.launch_missing(&name, now_ms);
        }
    }

    /// An instance's next transition, which is due.
    fn advance(&mut self, id: &str, now_ms: u64) {
        let Some(instance) = self.cloud.instances.get_mut(id) else { return };
        instance.next_at_ms = None;
        match (instance.lifecycle, instance.alive) {
            (Lifecycle::Pending, true) => self.come_up(id, now_ms),
            (Lifecycle::PendingProceed, true) => self.enter_service(id, now_ms),
            (
                Lifecycle::Pending
                | Lifecycle::PendingWait
                | Lifecycle::PendingProceed
                | Lifecycle::InService,
                false,
            ) => self.notice_death(id, now_ms),
            (Lifecycle::Terminating | Lifecycle::TerminatingProceed, _) => {
                self.leave_group(id, now_ms)
            }
            (Lifecycle::Gone, _) => {
                self.cloud.instances.remove(id);
            }
            // Nothing is due: they wait for their hooks, or to be told to go.
            (Lifecycle::PendingWait | Lifecycle::InService, true)
            | (Lifecycle::TerminatingWait, _) => {}
        }
    }

    /// The machine runs; its group may have hooks to wait for.
    fn come_up(&mut self, id: &str, now_ms: u64) {
        if self.cloud.instances.get(id).is_some_and(|instance| instance.boots) {
            self.effects.push(Effect::Boot(id.into()));
        }
        if !self.begin_actions(id, Transition::Launching, now_ms) {
            self.enter_service(id, now_ms);
        }
    }

    fn enter_service(&mut self, id: &str, now_ms: u64) {
        let Some(instance) = self.cloud.instances.get_mut(id) else { return };
        instance.lifecycle = Lifecycle::InService;
        if let Some(group) = self.cloud.groups.get_mut(&instance.group)
            && group.cooldown_ms > 0
        {
            group.cooldown_until_ms = now_ms + group.cooldown_ms;
        }
        self.finish_activities(id, now_ms);
    }

    fn notice_death(&mut self, id: &str, now_ms: u64) {
        let Some(instance) = self.cloud.instances.get_mut(id) else { return };
        instance.healthy = false;
        let name = instance.group.clone();
        self.end_unhealthy(&name, now_ms);
    }

    fn leave_group(&mut self, id: &str, now_ms: u64) {
        if let Some(instance) = self.cloud.instances.get_mut(id) {
            instance.lifecycle = Lifecycle::Gone;
            instance.next_at_ms = Some(now_ms + TERMINATED_SHOWN_MS);
        }
        self.finish_activities(id, now_ms);
    }

    fn finish_activities(&mut self, id: &str, now_ms: u64) {
        let open = |activity: &&mut Activity| activity.is_open_for(id);
        for activity in self.cloud.activities.iter_mut().filter(open) {
            activity.end_ms = Some(now_ms);
            activity.status = "Successful";
        }
    }

    /// Sets the status of what goes on with an instance.
    pub(super) fn mark_activities(&mut self, id: &str, status: &'static str) {
        let open = |activity: &&mut Activity| activity.is_open_for(id);
        self.cloud.activities.iter_mut().filter(open).for_each(|activity| activity.status = status);
    }

    /// Takes an instance out: power off now, or when its terminating hooks are done.
    pub(super) fn begin_termination(&mut self, id: &str, reason: Reason<'_>, now_ms: u64) {
        // A launch that is cut short counts as done, as the instance existed.
        self.finish_activities(id, now_ms);
        let Some(instance) = self.cloud.instances.get(id) else { return };
        let was_in_service = instance.lifecycle == Lifecycle::InService;
        let (group, zone) = (instance.group.clone(), instance.zone.clone());
        let at = time_text(now_ms);
        let mut activity = self.activity(&group, Some(id), &zone, now_ms);
        activity.description = format!("Terminating EC2 instance: {id}");
        activity.cause = match reason {
            Reason::Request(words) => format!(
                "At {at} instance {id} was taken out of service in response to a user request{words}."
            ),
            Reason::ScaleIn => format!(
                "At {at} an instance was taken out of service in response to a difference between desired and actual capacity. At {at} instance {id} was selected for termination."
            ),
            Reason::Health => format!(
                "At {at} an instance was taken out of service in response to an EC2 health check indicating it has been terminated or stopped."
            ),
            // AWS's words are not documented.
            Reason::Abandoned => format!(
                "At {at} instance {id} was taken out of service in response to an abandoned lifecycle action."
            ),
        };
        self.record(activity);
        if !(was_in_service && self.begin_actions(id, Transition::Terminating, now_ms)) {
            self.power_off(id, Lifecycle::Terminating, now_ms);
        }
    }

    /// Power off now, out of the group after `terminate_delay_ms`.
    pub(super) fn power_off(&mut self, id: &str, going: Lifecycle, now_ms: u64) {
        let Some(instance) = self.cloud.instances.get_mut(id) else { return };
        instance.lifecycle = going;
        // Of one that was about to be launched.
        instance.actions.clear();
        instance.next_at_ms = Some(now_ms + self.config.terminate_delay_ms);
        if std::mem::replace(&mut instance.alive, false) {
            self.effects.push(Effect::Kill(id.into()));
        }
    }

    /// Ends surplus instances and sees to it that missing ones will be launched.
    pub(super) fn reconcile(&mut self, name: &str, now_ms: u64) {
        let size = self.cloud.size(name);
        let Some(group) = self.cloud.groups.get_mut(name) else { return };
        if size < group.desired && !group.suspends(GroupProcess::Launch) {
            group.launch_at_ms.get_or_insert(now_ms + self.config.launch_delay_ms);
            return;
        }
        group.launch_at_ms = None;
        if group.suspends(GroupProcess::Terminate) {
            return;
        }
        let surplus = usize::try_from(size.saturating_sub(group.desired)).unwrap_or(0);
        let victims: Vec<String> = self
            .cloud
            .members(name)
            .into_iter()
            .filter(|instance| instance.counts() && !instance.protected)
            .take(surplus)
            .map(|instance| instance.id.clone())
            .collect();
        for id in victims {
            self.begin_termination(&id, Reason::ScaleIn, now_ms);
        }
    }

    fn launch_missing(&mut self, name: &str, now_ms: u64) {
        let Some(group) = self.cloud.groups.get_mut(name) else { return };
        group.launch_at_ms = None;
        let missing = group.desired.saturating_sub(self.cloud.size(name));
        for _ in 0..missing {
            let zones = self.zones_by_load(name);
            let mut refusal = None;
            let zone = zones.iter().find(|zone| {
                let refused = self.faults.refuses_launch(name, zone);
                let may = refused.is_none();
                // Of several refusals the first is the one of the zone that is meant.
                refusal = refusal.take().or(refused);
                may
            });
            let Some(zone) = zone else {
                self.fail_launch(name, refusal.flatten(), now_ms);
                return;
            };
            let Some(group) = self.cloud.groups.get(name) else { return };
            let cause = format!(
                "{} At {} an instance was started in response to a difference between desired and actual capacity",
                group.cause,
                time_text(now_ms)
            );
            self.launch(name, zone, &cause, now_ms);
        }
    }

    /// Launches one instance and returns its id.
    pub(super) fn launch(
        &mut self,
        name: &str,
        zone: &str,
        cause: &str,
        now_ms: u64,
    ) -> Option<String> {
        let size = self.cloud.size(name);
        let group = self.cloud.groups.get(name)?;
        let (protected, instance_type) = (group.protects_new, group.config.instance_type.clone());
        let usual_boot_delay_ms = group.config.boot_delay_ms.unwrap_or(self.config.boot_delay_ms);
        let cause = format!("{cause}, increasing the capacity from {size} to {}.", size + 1);
        let (serial, ip) = self.next_serial_and_address();
        let id = format!("i-0{:016x}", scramble(serial + 1));
        let boots = !self.faults.prevents_boot();
        let boot_delay_ms = self.faults.boot_delay_ms().unwrap_or(usual_boot_delay_ms);
        let instance = Instance {
            id: id.clone(),
            serial,
            group: name.into(),
            ip,
            zone: zone.to_owned(),
            instance_type,
            lifecycle: Lifecycle::Pending,
            healthy: true,
            alive: true,
            ec2_terminating: false,
            protected,
            tags: BTreeMap::from([("aws:autoscaling:groupName".to_owned(), name.to_owned())]),
            pid: None,
            boots,
            launched_at_ms: now_ms,
            next_at_ms: Some(now_ms + boot_delay_ms),
            actions: Vec::new(),
        };
        self.cloud.instances.insert(id.clone(), instance);
        let mut activity = self.activity(name, Some(&id), zone, now_ms);
        activity.description = format!("Launching a new EC2 instance: {id}");
        activity.cause = cause;
        self.record(activity);
        Some(id)
    }

    /// Records the failure in the words seen from AWS, and has the group try again.
    fn fail_launch(&mut self, name: &str, message: Option<String>, now_ms: u64) {
        let zone = self.zones_by_load(name).into_iter().next().unwrap_or_default();
        let Some(group) = self.cloud.groups.get_mut(name) else { return };
        group.launch_at_ms = Some(now_ms + self.config.retry_delay_ms);
        let cause = group.cause.clone();
        let message = message.unwrap_or_else(|| no_capacity(group, &zone));
        let mut activity = self.activity(name, None, &zone, now_ms);
        activity.description = format!("Launching a new EC2 instance.  Status Reason: {message}");
        activity.cause = format!(
            "{cause} At {} an instance was started in response to a difference between desired and actual capacity.",
            time_text(now_ms)
        );
        activity.end_ms = Some(now_ms);
        activity.status = "Failed";
        activity.message = Some(message);
        self.record(activity);
    }

    /// A group's zones, the emptiest first.
    fn zones_by_load(&self, name: &str) -> Vec<String> {
        let group = self.cloud.groups.get(name);
        let mut zones = group.map_or_else(Vec::new, |group| group.config.zones.clone());
        let members = self.cloud.members(name);
        zones.sort_by_cached_key(|zone| {
            members.iter().filter(|instance| instance.counts() && instance.zone == *zone).count()
        });
        zones
    }

    /// Addresses follow the launches through 127.77.0.0/16, leaving out .0, .255 and those in use.
    fn next_serial_and_address(&mut self) -> (u64, Ipv4Addr) {
        loop {
            let serial = self.serial;
            self.serial += 1;
            let third = u8::try_from(serial / 254 % 256).unwrap_or(0);
            let fourth = u8::try_from(serial % 254 + 1).unwrap_or(1);
            let ip = Ipv4Addr::new(127, 77, third, fourth);
            let taken =
                |instance: &Instance| instance.ip == ip && instance.lifecycle != Lifecycle::Gone;
            if !self.cloud.instances.values().any(taken) {
                return (serial, ip);
            }
        }
    }
}

fn no_capacity(group: &Group, zone: &str) -> String {
    let kind = &group.config.instance_type;
    let others: Vec<&str> =
        group.config.zones.iter().map(String::as_str).filter(|other| *other != zone).collect();
    let elsewhere = if others.is_empty() {
        String::new()
    } else {
        format!(" or choosing {}", others.join(", "))
    };
    format!(
        "Could not launch On-Demand Instances. InsufficientInstanceCapacity - We currently do not have sufficient {kind} capacity in the Availability Zone you requested ({zone}). Our system will be working on provisioning additional capacity. You can currently get {kind} capacity by not specifying an Availability Zone in your request{elsewhere}. Launching EC2 instance failed."
    )
}
