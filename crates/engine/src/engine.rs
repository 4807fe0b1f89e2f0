//! One turn of the loop, and when the next is due.

mod keep;
mod notices;
mod retire;
mod unsaved;
mod work;

use std::sync::Arc;
use std::time::Duration;

use slurm_asg_core::advice::{Advice, advice};
use slurm_asg_core::check::{self, Violation, check};
use slurm_asg_core::event::{Event, EventName, boot_console, clock_set, failed_boots};
use slurm_asg_core::ids::GroupName;
use slurm_asg_core::job_notice::notices;
use slurm_asg_core::memory::{Memory, Outcome, Paused, Retry};
use slurm_asg_core::plan::{Action, Plan, plan, surely_watches_cloud};
use slurm_asg_core::policy::Policy;
use slurm_asg_core::snapshot::{Seen, Snapshot};
use slurm_asg_core::time::Timestamp;

pub use keep::Keeping;
pub use notices::Messages;
pub use retire::Retired;

use work::{
    Work, answer_hooks, give_back, launch, protect, put_off, raise, set_sizes, tell_slurm,
    terminate,
};

use crate::Clock;
use crate::cloud::{Cloud, CloudError};
use crate::job_notices::JobNotices;
use crate::journal::Journal;
use crate::observe::CloudView;
use crate::publish::Publisher;
use crate::queue_view::{QueueView, fair};
use crate::scheduler::{Nodes, Scheduler};
use crate::steady::Steady;
use crate::store::Store;
use crate::story::{self, Story, with_group};
use crate::troubles::{About, Troubles};

/// Between looks while AWS or Slurm is at work.
pub const TRANSITION_PAUSE: Duration = Duration::from_secs(1);
/// Between looks while nothing happens.
pub const IDLE_PAUSE: Duration = Duration::from_secs(30);
/// After an action its effect may show this soon.
const ACTION_PAUSE: Duration = Duration::from_millis(300);
/// A view that is older is refreshed before anything is done.
const FRESH: Duration = Duration::from_millis(250);
/// Capacity is given back so long after the plan's other calls have begun, and no later.
const GIVE_BACK_MAX: Duration = Duration::from_secs(1);
/// How often one turn looks again before it acts.
const ROUNDS_MAX: u32 = 4;
/// The longest rest for what reading Slurm's nodes costs: a slow answer may be slurmctld waiting for its
/// own locks, and what Slurm wants must not wait long for that.
const REST_MAX: Duration = Duration::from_secs(5);
/// The longest quiet for that reason, in which submissions alone call for no look. Slurm itself says
/// when it wants a node: what waits is capacity that is asked for ahead of it.
const QUIET_MAX: Duration = Duration::from_secs(60);

/// The loop with everything it works on.
#[derive(Debug)]
pub struct Engine<C, S, K, T, J> {
    policy: Arc<Policy>,
    cloud: C,
    scheduler: S,
    clock: Steady<K>,
    store: T,
    journal: J,
    memory: Memory,
    saved: Option<Memory>,
    nodes: Seen<Nodes>,
    queue: QueueView,
    slurm_read_at: Option<Timestamp>,
    view: CloudView,
    publisher: Publisher,
    troubles: Troubles,
    story: Story,
    job_notices: JobNotices,
    /// The pause after names could not be written on instances.
    name_retry: Option<Retry>,
    messages: Messages,
}

/// A setting that was advised, and how changing it went.
#[derive(Clone, Debug)]
pub struct Followed {
    /// What was advised.
    pub advice: Advice,
    /// Whether AWS took it.
    pub result: Result<(), CloudError>,
}

/// What an administrator wants.
#[derive(Clone, Debug)]
pub struct Command {
    /// What is to be done.
    pub what: What,
    /// Groups by name; none for all.
    pub groups: Vec<String>,
    /// Who says so, a user's number.
    pub user: u32,
    /// Why, in the user's words.
    pub reason: Option<String>,
}

/// What is to be done with groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// End cooldowns and protected mode.
    Clear,
    /// Ask for no instance and let none go.
    Pause,
    /// Go on after that.
    Resume,
}

/// What one turn saw, and when the next is due.
#[derive(Clone, Debug)]
pub struct Look {
    /// When it was.
    pub at: Timestamp,
    /// What was seen.
    pub snapshot: Snapshot,
    /// What was remembered when the plan was made.
    pub memory: Memory,
    /// The plan that was carried out.
    pub plan: Plan,
    /// What does not work and is about no single group, a line each.
    pub troubles: Vec<String>,
    /// Look again after this time, if nothing wakes the loop before.
    pub pause: Duration,
    /// Do not look again earlier, whatever happens: looking costs slurmctld time.
    pub rest: Duration,
    /// Do not look again earlier because of submissions alone: with a long queue each look costs
    /// slurmctld much more time than one job is worth.
    pub quiet: Duration,
}

impl<C: Cloud, S: Scheduler, K: Clock, T: Store, J: Journal> Engine<C, S, K, T, J> {
    /// Takes up the work where `store` left it.
    pub fn new(
        policy: Arc<Policy>,
        cloud: C,
        scheduler: S,
        clock: K,
        mut store: T,
        journal: J,
    ) -> Self {
        let mut troubles = Troubles::default();
        troubles.know_groups(&policy);
        let clock = Steady::new(clock);
        let view = CloudView::new(clock.now());
        let loaded = store.load();
        let mut memory = match &loaded {
            Ok(memory) => memory.clone(),
            Err(error) => {
                troubles.report(
                    &About::State,
                    clock.now(),
                    &format!("state: {error}; starting from what Slurm and AWS show"),
                );
                Memory::default()
            }
        };
        if let Some(millis) = memory.leave_the_future(clock.now()) {
            let ahead = Duration::from_millis(millis);
            tracing::info!("state: written by a clock {ahead:?} ahead; its times are moved to now");
        }
        Self {
            policy,
            cloud,
            scheduler,
            clock,
            store,
            journal,
            story: Story::new(&memory),
            saved: loaded.ok(),
            memory,
            nodes: Seen::Unknown { why: "Slurm has not been looked at yet".to_owned() },
            queue: QueueView::new(),
            slurm_read_at: None,
            view,
            publisher: Publisher::default(),
            job_notices: JobNotices::default(),
            name_retry: None,
            troubles,
            messages: Messages::default(),
        }
    }

    /// Puts another policy in force, with the next turn.
    pub fn set_policy(&mut self, policy: Arc<Policy>) {
        self.troubles.know_groups(&policy);
        self.policy = policy;
        self.view.forget();
    }

    /// What is remembered.
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// One turn: observe, plan, check, execute, remember.
    pub async fn turn(&mut self) -> Look {
        self.slurm_read_at = None;
        self.queue.begin_turn();
        self.set_clock();
        let began = self.clock.now();
        let (mut snapshot, plan, mut cost) = self.settle_on_a_plan().await;
        let mut plan = self.checked(plan, &snapshot);
        cost += self.look_again(&mut plan, &mut snapshot).await;
        let memory = self.memory.clone();
        let planned_at = self.clock.now();
        story::trace(&snapshot, &plan);
        self.say_what_is_wrong(&plan, planned_at);
        self.tell_troubles();
        let queue_is_known = snapshot.nodes.known().and(snapshot.queue.known()).is_some();
        let story = &mut self.story;
        let events = story.of_plan(&self.policy, &memory, &plan, queue_is_known, planned_at);
        self.record(events);
        self.memory.intend(&plan, planned_at);
        self.save();
        let mut outcomes = self.hold_unsaved_names(&mut plan).await;
        outcomes.extend(self.carry_out(&plan).await);
        self.refresh_kept(&plan).await;
        // The first save may have failed, and that was before.
        self.tell_troubles();
        let now = self.clock.now();
        let (policy, story) = (&self.policy, &mut self.story);
        let events = story.of_outcomes(policy, &self.memory, &plan, &outcomes, now);
        self.record(events);
        self.memory.settle(&outcomes, now);
        self.tell_boots(now);
        self.tell_expired(now);
        self.save();
        self.view.prune(&self.memory);
        Publisher::note(&self.cloud, &mut self.troubles, now);
        self.troubles.note(&About::Events, now, self.journal.trouble().as_ref());
        self.tell_troubles();
        self.journal.flush();
        let cluster = self.scheduler.cluster();
        self.publisher.publish(&self.cloud, cluster, &self.policy, &plan, planned_at);
        self.tell_waiting_users(began, &snapshot, &plan);
        let pause = self.pause(&plan, now);
        let rest = fair(cost).min(REST_MAX);
        let quiet = fair(cost).min(QUIET_MAX).max(self.queue.rest(now));
        let troubles = self.troubles.lasting();
        Look { at: now, snapshot, memory, plan, troubles, pause, rest, quiet }
    }

    /// Sets the loop's time by the machine's clock. If somebody has set that, what is remembered moves
    /// along, and AWS is looked at anew.
    fn set_clock(&mut self) {
        let Some(millis) = self.clock.set() else { return };
        self.memory.move_times(millis);
        self.view = CloudView::new(self.clock.now());
        self.queue.clock_was_set();
        self.story.move_times(millis);
        self.name_retry = None;
        let event = clock_set(millis, self.clock.now());
        tracing::info!("{event}");
        self.record(vec![event]);
    }

    /// Has those told whose jobs wait for nodes that cannot come now.
    fn tell_waiting_users(&mut self, began: Timestamp, snapshot: &Snapshot, plan: &Plan) {
        if snapshot.queue_read_at().is_some_and(|at| at < began) {
            // What jobs have been told is not known since then.
            return;
        }
        let wanted = notices(&self.policy, &self.memory, snapshot, plan);
        let due = self.job_notices.due(wanted, self.clock.now());
        if !due.is_empty() {
            self.scheduler.note_jobs_later(due);
        }
    }

    /// Says which boots have failed, and what the consoles of such instances had.
    fn tell_boots(&mut self, now: Timestamp) {
        let failed = self.memory.take_failed_boots();
        let read = self.cloud.consoles().into_iter().map(|read| {
            let console = read.console.map_err(|error| error.to_string());
            boot_console(&self.policy, &read.boot, console, now)
        });
        let events: Vec<_> =
            failed_boots(&self.policy, &failed, now).into_iter().chain(read).collect();
        story::log(&events);
        self.record(events);
        if !failed.is_empty() {
            self.cloud.read_consoles_later(failed);
        }
    }

    /// What an administrator wants of groups; of all, if none is named.
    ///
    /// # Errors
    /// If a group is not in asg.toml, in one line. Nothing is done then.
    pub fn command(&mut self, command: &Command) -> Result<Vec<GroupName>, String> {
        let Command { what, groups, user, reason } = command;
        let groups = self.policy.chosen(groups)?;
        let now = self.clock.now();
        let mut changed = Vec::new();
        for name in groups {
            let Some(group) = self.policy.groups.get(&name) else { continue };
            let (event, any) = match what {
                What::Clear => (EventName::Cleared, self.memory.clear(&group.asgs, now)),
                What::Pause => {
                    let paused = Paused { since: now, user: *user, reason: reason.clone() };
                    (EventName::ScalingPaused, self.memory.pause(&name, paused))
                }
                What::Resume => {
                    (EventName::ScalingResumed, self.memory.paused.remove(&name).is_some())
                }
            };
            if any {
                let event = Event {
                    group: Some(name.clone()),
                    user: Some(*user),
                    reason: reason.clone(),
                    ..Event::new(now, event)
                };
                tracing::info!("{event}");
                self.record(vec![event]);
                changed.push(name);
            }
        }
        self.save();
        self.journal.flush();
        Ok(changed)
    }

    /// Gives the Auto Scaling groups the settings that are advised, and says how each went.
    ///
    /// # Errors
    /// If a group cannot be seen, in one line. The others are left as they are.
    pub async fn follow_advice(&mut self) -> Result<Vec<Followed>, String> {
        self.refresh().await;
        let mut seen = self.view.asgs.values();
        if let Some(why) = seen.find_map(|seen| match seen {
            Seen::Unknown { why } => Some(why.clone()),
            Seen::Known(_) => None,
        }) {
            return Err(why);
        }
        let mut followed = Vec::new();
        for advice in advice(&self.policy, &self.view.asgs) {
            let result = self.cloud.follow(&advice).await;
            let (event, error) = match &result {
                Ok(()) => (EventName::SettingChanged, None),
                Err(error) => (EventName::SettingChangedFailed, Some(error.to_string())),
            };
            let event = Event {
                asg: Some(advice.asg.clone()),
                reason: Some(advice.setting.word()),
                error,
                ..Event::new(self.clock.now(), event)
            };
            let event = with_group(&self.policy, event);
            tracing::info!("{event}");
            self.record(vec![event]);
            followed.push(Followed { advice, result });
        }
        self.view.expire();
        self.journal.flush();
        Ok(followed)
    }

    /// Looks until the plan rests on what is there now. Returns what was seen, the plan, and what
    /// Slurm's part cost.
    async fn settle_on_a_plan(&mut self) -> (Snapshot, Plan, Duration) {
        let mut cost = Duration::ZERO;
        if self.view.is_stale(IDLE_PAUSE, self.clock.now()) {
            self.refresh().await;
        }
        self.take_messages();
        let mut round = 1;
        loop {
            cost += self.look_at_slurm().await;
            let now = self.clock.now();
            let snapshot = self.snapshot(now);
            self.memory.notice(&snapshot);
            if round <= ROUNDS_MAX && self.is_old_for_any_plan(&snapshot) {
                self.refresh().await;
                round += 1;
                continue;
            }
            let plan = plan(&self.policy, &self.memory, &snapshot);
            if snapshot.nodes.known().is_some() {
                self.queue.was_counted(&plan);
            }
            if round == ROUNDS_MAX && self.is_old_for(&plan, now) {
                // An answer about something else has taken its time: numbers may be others now.
                self.refresh().await;
            } else if round >= ROUNDS_MAX || !self.look_closer(&plan, now).await {
                return (snapshot, plan, cost);
            }
            round += 1;
        }
    }

    /// Whether something new was seen that the plan should have known.
    async fn look_closer(&mut self, plan: &Plan, now: Timestamp) -> bool {
        if plan.read_queue {
            self.queue.want();
            return true;
        }
        if self.is_old_for(plan, now) {
            self.refresh().await;
            return true;
        }
        let hooks = self.look_up_hooks(plan, now).await;
        let instances = self.look_up_instances(plan, now).await;
        let launches = self.look_up_launches(plan, now).await;
        // An answer that took its time has made the plan old, also if it was none.
        hooks || instances || launches || self.clock.now().since(now) >= FRESH
    }

    /// Whether the view of AWS is too old for what a plan does or waits for.
    fn is_old_for(&self, plan: &Plan, now: Timestamp) -> bool {
        let old_enough = if !plan.actions.is_empty() {
            FRESH
        } else if plan.watch_cloud {
            TRANSITION_PAUSE
        } else {
            IDLE_PAUSE
        };
        self.view.is_stale(old_enough, now)
    }

    /// The same of whatever plan there will be, as far as that shows before it is made.
    fn is_old_for_any_plan(&self, snapshot: &Snapshot) -> bool {
        self.view.is_stale(TRANSITION_PAUSE, snapshot.now)
            && surely_watches_cloud(&self.policy, &self.memory, snapshot)
    }

    async fn look_up_instances(&mut self, plan: &Plan, now: Timestamp) -> bool {
        let due = self.view.due(&plan.look_up, now);
        if due.is_empty() {
            return false;
        }
        let looked = self.view.look_up(&self.cloud, &due, now).await;
        self.troubles.note(&About::Instances, now, looked.as_ref().err());
        looked.is_ok()
    }

    /// Why groups launch less than was asked for. `true` if a failure is new.
    async fn look_up_launches(&mut self, plan: &Plan, now: Timestamp) -> bool {
        let due = self.view.launches_due(&plan.look_up_launches, &self.memory, now);
        let mut news = false;
        for (name, since) in due {
            let found = self.view.look_up_launches(&self.cloud, &name, since, now).await;
            self.troubles.note(&About::Launches(name), now, found.as_ref().err());
            news |= found.unwrap_or(false);
        }
        news
    }

    async fn look_up_hooks(&mut self, plan: &Plan, now: Timestamp) -> bool {
        let due = self.view.hooks_due(&plan.look_up_hooks, now);
        if due.is_empty() {
            return false;
        }
        let looked = self.view.look_up_hooks(&self.cloud, &due, now).await;
        self.troubles.note(&About::Hooks, now, looked.as_ref().err());
        looked.is_ok()
    }

    async fn refresh(&mut self) {
        let now = self.clock.now();
        let result = self.view.refresh(&self.cloud, &self.policy, now).await;
        self.troubles.note(&About::Groups, now, result.as_ref().err());
        for (name, seen) in &self.view.asgs {
            let about = About::Asg(name.clone());
            if let (Seen::Unknown { why }, Ok(())) = (seen, &result) {
                self.troubles.report(&about, now, why);
            } else {
                self.troubles.over(&about, now);
            }
        }
        self.warn_of_small_groups(now);
    }

    /// Reads Slurm's nodes, unless that was a moment ago, and then its queue if that is due or somebody
    /// wants it. In this order a job that is placed in between is missed, and not counted twice. Returns
    /// what it cost, without a queue that was due: that has a pace of its own.
    async fn look_at_slurm(&mut self) -> Duration {
        let began = self.clock.now();
        let is_fresh = self.slurm_read_at.is_some_and(|at| began.since(at) < FRESH);
        if self.queue.holds() || is_fresh && !self.queue.is_wanted() {
            return Duration::ZERO;
        }
        let read = self.scheduler.nodes().await;
        let now = self.clock.now();
        self.slurm_read_at = Some(now);
        self.troubles.note(&About::SlurmNodes, now, read.as_ref().err());
        match read {
            Ok(nodes) => {
                self.warn_of_unknown_nodes(&nodes, now);
                self.nodes = Seen::Known(nodes);
            }
            Err(error) => self.nodes = Seen::Unknown { why: error.to_string() },
        }
        let (is_wanted, is_due) = (self.queue.is_wanted(), self.queue.is_due(now));
        if is_due {
            let read = self.scheduler.queue().await;
            let ended = self.clock.now();
            self.troubles.note(&About::SlurmQueue, ended, read.as_ref().err());
            self.queue.read(read, now, ended);
        } else {
            self.queue.grow_old();
        }
        let counts_until = if is_wanted { self.clock.now() } else { now };
        counts_until.since(began)
    }

    /// Has the queue read with the next turn, although that is not due yet.
    pub const fn want_queue(&mut self) {
        self.queue.want();
    }

    /// Slurm gives jobs any node it knows. One that no group has room for is only found out at
    /// ResumeTimeout.
    fn warn_of_small_groups(&mut self, now: Timestamp) {
        for (name, group) in &self.policy.groups {
            let sizes = group.asgs.iter().map(|asg| match self.view.asgs.get(asg) {
                Some(Seen::Known(asg)) => Some(asg.max as usize),
                Some(Seen::Unknown { .. }) | None => None,
            });
            let Some(max) = sizes.sum::<Option<usize>>() else { continue };
            // What asg.toml says will be written.
            let max = group.sizes.max.map_or(max, |max| max as usize);
            let about = About::Room(name.clone());
            if max < group.nodes.len() {
                let where_to = match group.sizes.max {
                    Some(_) => "max_size in asg.toml",
                    None => "MaxSize of its Auto Scaling group",
                };
                let message = format!(
                    "group={name} has {} nodes and room for {max} instances; raise {where_to}, or \
                     Slurm will wait for nodes that cannot come",
                    group.nodes.len()
                );
                self.troubles.report(&about, now, &message);
            } else {
                self.troubles.over(&about, now);
            }
        }
    }

    /// Nodes of asg.toml that slurm.conf does not have are a slip of the pen in one of them.
    fn warn_of_unknown_nodes(&mut self, nodes: &Nodes, now: Timestamp) {
        for (name, group) in &self.policy.groups {
            let about = About::Nodes(name.clone());
            match group.nodes.iter().find(|node| !nodes.contains_key(*node)) {
                Some(node) => self.troubles.report(
                    &about,
                    now,
                    &format!(
                        "group={name}: Slurm shows no node {node}; write it in slurm.conf with \
                         State=CLOUD, and PrivateData=cloud before Slurm 23.02, or correct `nodes`"
                    ),
                ),
                None => self.troubles.over(&about, now),
            }
        }
    }

    fn record(&mut self, events: Vec<Event>) {
        for event in events {
            self.journal.record(event);
        }
    }

    fn tell_troubles(&mut self) {
        let news = self.troubles.news();
        let events = news.into_iter().map(|event| with_group(&self.policy, event)).collect();
        self.record(events);
    }

    /// What keeps groups from having the sizes of asg.toml, and what to write in slurm.conf.
    fn say_what_is_wrong(&mut self, plan: &Plan, now: Timestamp) {
        for (name, report) in &plan.groups {
            let problem = report.sizes_problem.as_ref();
            let line = problem.map(|problem| format!("group={name}: {problem}"));
            self.troubles.note(&About::Sizes(name.clone()), now, line.as_ref());
        }
        for line in &plan.advice {
            self.troubles.advise(line);
        }
    }

    fn snapshot(&self, now: Timestamp) -> Snapshot {
        Snapshot {
            now,
            nodes: self.nodes.clone(),
            queue: self.queue.seen().clone(),
            counted: self.queue.counted(),
            asgs: self.view.asgs.clone(),
            machines: self.view.machines.clone(),
        }
    }

    /// The queue, or AWS's answer about an instance, may have taken its time: a node may have got a
    /// job meanwhile. What an independent look at the nodes as they are now would not allow waits
    /// for the next plan. Returns what the look cost.
    async fn look_again(&mut self, plan: &mut Plan, snapshot: &mut Snapshot) -> Duration {
        let began = self.clock.now();
        let is_old = self.slurm_read_at.is_none_or(|at| began.since(at) >= FRESH);
        if plan.actions.is_empty() || !is_old {
            return Duration::ZERO;
        }
        let read = self.scheduler.nodes().await;
        let now = self.clock.now();
        snapshot.now = now;
        snapshot.nodes = match read {
            Ok(nodes) => Seen::Known(nodes),
            Err(error) => Seen::Unknown { why: error.to_string() },
        };
        let violations = check(&self.policy, &self.memory, snapshot, plan);
        for violation in &violations {
            tracing::debug!("put off: {}: {:?}", violation.rule, violation.action);
        }
        take_out(plan, &violations);
        now.since(began)
    }

    /// Takes out of the plan what an independent look finds wrong. That never happens, and if
    /// it does, not acting is the smaller harm.
    fn checked(&self, mut plan: Plan, snapshot: &Snapshot) -> Plan {
        let violations = check(&self.policy, &self.memory, snapshot, &plan);
        for violation in &violations {
            tracing::error!(
                "refused by the plan checker, please report: {}: {:?}",
                violation.rule,
                violation.action
            );
        }
        take_out(&mut plan, &violations);
        for node in check::unexplained(&self.policy, snapshot, &plan) {
            tracing::error!("node={node} is missing from the plan, please report");
        }
        plan
    }

    async fn carry_out(&mut self, plan: &Plan) -> Vec<(Action, Outcome)> {
        if plan.actions.is_empty() {
            return Vec::new();
        }
        let work = Work::of(plan);
        // A raise is an absolute number that does not know of this plan's decrements, but of the
        // minimum that is written: it comes between them.
        let (began, clock) = (self.clock.now(), &self.clock);
        let change_capacity = async {
            let mut changed = set_sizes(&self.cloud, &work.sizes).await;
            changed.extend(raise(&self.cloud, &work.raises).await);
            // What was launched meanwhile is not protected yet, and a lower number would end it.
            changed.extend(if clock.now().since(began) < GIVE_BACK_MAX {
                give_back(&self.cloud, &work.backs).await
            } else {
                put_off(&work.backs)
            });
            let take_out = async {
                let mut gone = terminate(&self.cloud, &work.terminates).await;
                // What is abandoned has been terminated before, so that it is not replaced.
                gone.extend(answer_hooks(&self.cloud, &work.answers).await);
                gone
            };
            // Launches are answered when they are done, which takes seconds.
            let (launched, gone) = tokio::join!(launch(&self.cloud, &work.launches), take_out);
            changed.extend(launched);
            (changed, gone)
        };
        let ((mut changed, gone), told, protected) = tokio::join!(
            change_capacity,
            tell_slurm(&mut self.scheduler, &work),
            protect(&self.cloud, &work.protects)
        );
        changed.extend(protected);
        let done = |outcome: &(Action, Outcome)| matches!(outcome.1, Outcome::Done);
        let names: Vec<_> = told
            .iter()
            .filter(|outcome| done(outcome))
            .filter_map(|(action, _)| action.bind())
            .map(|bind| (bind.instance.clone(), bind.node.clone()))
            .collect();
        if !names.is_empty() {
            self.cloud.tag_later(names);
        }
        if !(changed.is_empty() && gone.is_empty()) {
            self.view.expire();
        }
        [changed, told, gone].concat()
    }

    fn save(&mut self) {
        if self.saved.as_ref() == Some(&self.memory) {
            return;
        }
        let result = self.store.save(&self.memory);
        let now = self.clock.now();
        let error = result.as_ref().err().map(|error| {
            format!(
                "state cannot be saved: {error}; make room, or the directory writable for \
                 SlurmUser; the loop goes on, and after a restart it finds what it has begun in \
                 Slurm and AWS"
            )
        });
        self.troubles.note(&About::Saving, now, error.as_ref());
        if result.is_ok() {
            self.troubles.over(&About::State, now);
            self.saved = Some(self.memory.clone());
        }
    }

    fn pause(&self, plan: &Plan, now: Timestamp) -> Duration {
        let mut pause = if !plan.actions.is_empty() {
            ACTION_PAUSE
        } else if plan.watch_cloud || plan.watch_slurm {
            TRANSITION_PAUSE
        } else {
            IDLE_PAUSE
        };
        let own = [self.view.not_before(), self.publisher.next(&self.policy)];
        let next_beat = self.story.next_beat(&self.policy);
        for at in plan.wake_at.into_iter().chain(own.into_iter().flatten()).chain(next_beat) {
            pause = pause.min(at.since(now));
        }
        pause.min(self.queue.due_in(now).unwrap_or(pause)).max(Duration::from_millis(100))
    }
}

/// Leaves undone what must not be done.
fn take_out(plan: &mut Plan, violations: &[Violation]) {
    plan.actions.retain(|action| violations.iter().all(|broken| broken.action != *action));
}
