//! The figures of a report, in hours, seconds and money. This is also what `--json` prints.

use std::collections::BTreeMap;

use serde::Serialize;
use slurm_asg_core::policy::{Policy, Price};
use slurm_asg_core::time::{Timestamp, rfc3339};

use super::quantiles::Quantiles;
use super::tally::{Group, STATES, Tally};

const HOUR_MS: f64 = 3_600_000.0;

/// Why an instance that does no work is there, in the order of `STATES`.
pub const CAUSES: [&str; STATES.len()] = [
    "jobs run",
    "idle until SuspendTime or the billing hour",
    "kept by the group's minimum",
    "on its way to a node",
    "launched, and no node needed it",
    "being terminated",
];

/// What instances cost.
#[derive(Clone, Debug, Default)]
pub struct Prices {
    currency: String,
    of_group: BTreeMap<String, Price>,
}

impl Prices {
    /// Those of asg.toml.
    pub fn of(policy: &Policy) -> Self {
        let price = |(name, group): (&_, &slurm_asg_core::policy::GroupPolicy)| {
            group.price.map(|price| (ToString::to_string(name), price))
        };
        Self {
            currency: policy.currency.clone(),
            of_group: policy.groups.iter().filter_map(price).collect(),
        }
    }
}

/// A report's figures.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// From when on.
    pub since: String,
    /// Until when.
    pub until: String,
    /// How long that is, hours.
    pub hours: f64,
    /// Events within that time.
    pub events: u64,
    /// Events that are missing in the log.
    pub events_dropped: u64,
    /// The currency of all costs; none without prices.
    pub currency: Option<String>,
    /// The groups.
    pub groups: BTreeMap<String, GroupFigures>,
    /// All groups together. Its cost is of the groups that have a price.
    pub total: GroupFigures,
    /// From the moment when a job was counted, or Slurm wanted its nodes, until they were up.
    pub job_waits: Times,
    /// Jobs whose nodes failed while they waited.
    pub job_waits_failed: u64,
    /// The jobs that waited longest.
    pub longest_waits: Vec<LongWait>,
    /// Failures, the most frequent first.
    pub failures: Vec<Failure>,
}

/// One group's figures.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GroupFigures {
    /// Instance-hours by state.
    pub instance_hours: BTreeMap<&'static str, f64>,
    /// The sum of them.
    pub instance_hours_total: f64,
    /// How much of that was work; none if there was nothing.
    pub busy_percent: Option<f64>,
    /// Money by state; none without a price.
    pub cost: Option<BTreeMap<&'static str, f64>>,
    /// The sum of it.
    pub cost_total: Option<f64>,
    /// For how long the log says nothing of the group although it did before, hours.
    pub unknown_hours: f64,
    /// Instances that were given a node.
    pub instances_bound: u64,
    /// Instances that were terminated, by reason.
    pub instances_terminated: BTreeMap<String, u64>,
    /// From the instance's getting its node's name to the registration.
    pub boots: Times,
}

/// How long something took, seconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Times {
    /// How often.
    pub count: u64,
    /// The median.
    pub p50_s: f64,
    /// Nine of ten took no longer.
    pub p90_s: f64,
    /// 99 of 100 took no longer.
    pub p99_s: f64,
    /// The longest.
    pub max_s: f64,
}

/// A job that waited long.
#[derive(Clone, Debug, Serialize)]
pub struct LongWait {
    /// The job.
    pub job: u32,
    /// How long, seconds.
    pub wait_s: f64,
    /// How many nodes it waited for.
    pub nodes: usize,
    /// When they were up.
    pub until: String,
}

/// What failed, and how often the log says so.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// The event.
    pub event: String,
    /// AWS's or slurm-asg's code; empty if there is none.
    pub code: String,
    /// How often.
    pub count: u64,
}

impl Figures {
    /// Reckons them.
    pub fn of(tally: &Tally, prices: &Prices) -> Self {
        let of = |(name, group): (&String, &Group)| {
            (name.clone(), GroupFigures::of(group, prices.of_group.get(name)))
        };
        let groups: BTreeMap<_, _> = tally.groups.iter().map(of).collect();
        let has_prices = groups.values().any(|group| group.cost.is_some());
        let failures = tally.failures.iter().map(|((event, code), count)| Failure {
            event: event.clone(),
            code: code.clone(),
            count: *count,
        });
        let mut failures: Vec<_> = failures.collect();
        failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
        let longest = tally.longest.iter().map(|wait| LongWait {
            job: wait.job,
            wait_s: secs(wait.millis),
            nodes: wait.nodes,
            until: rfc3339::text(wait.until),
        });
        Self {
            since: rfc3339::text(tally.since),
            until: rfc3339::text(tally.until),
            hours: rounded(hours(span(tally.since, tally.until))),
            events: tally.events,
            events_dropped: tally.dropped,
            currency: has_prices.then(|| prices.currency.clone()),
            total: GroupFigures::sum(&groups, &tally.groups),
            groups,
            job_waits: Times::of(&tally.waits),
            job_waits_failed: tally.waits_failed,
            longest_waits: longest.collect(),
            failures,
        }
    }
}

impl GroupFigures {
    fn of(group: &Group, price: Option<&Price>) -> Self {
        let all = group.all_ms();
        let busy = group.millis.first().copied().unwrap_or(0);
        let by_state = |value: &dyn Fn(u64) -> f64| -> BTreeMap<&'static str, f64> {
            STATES.into_iter().zip(group.millis.iter().map(|millis| value(*millis))).collect()
        };
        let money = |price: &Price, millis| rounded(micros(price.of_millis(millis)));
        Self {
            instance_hours: by_state(&|millis| rounded(hours(millis))),
            instance_hours_total: rounded(hours(all)),
            busy_percent: (all > 0).then(|| rounded(percent(busy, all))),
            cost: price.map(|price| by_state(&|millis| money(price, millis))),
            cost_total: price.map(|price| money(price, all)),
            unknown_hours: rounded(hours(group.unknown_ms)),
            instances_bound: group.bound,
            instances_terminated: group.terminated.clone(),
            boots: Times::of(&group.boots),
        }
    }

    fn sum(figures: &BTreeMap<String, Self>, groups: &BTreeMap<String, Group>) -> Self {
        let mut all = Group::default();
        for group in groups.values() {
            for (sum, millis) in all.millis.iter_mut().zip(group.millis) {
                *sum += millis;
            }
            all.unknown_ms = all.unknown_ms.max(group.unknown_ms);
            all.bound += group.bound;
            for (reason, count) in &group.terminated {
                *all.terminated.entry(reason.clone()).or_default() += count;
            }
            all.boots.merge(&group.boots);
        }
        let mut total = Self::of(&all, None);
        let costs = figures.values().filter_map(|group| group.cost.as_ref());
        total.cost = costs.clone().next().map(|_| {
            let of = |state| rounded(costs.clone().filter_map(|cost| cost.get(state)).sum());
            STATES.into_iter().map(|state| (state, of(state))).collect()
        });
        let costs = figures.values().filter_map(|group| group.cost_total);
        total.cost_total = total.cost.is_some().then(|| rounded(costs.sum()));
        total
    }
}

impl Times {
    fn of(quantiles: &Quantiles) -> Self {
        Self {
            count: quantiles.count(),
            p50_s: secs(quantiles.percentile(50)),
            p90_s: secs(quantiles.percentile(90)),
            p99_s: secs(quantiles.percentile(99)),
            max_s: secs(quantiles.max()),
        }
    }
}

fn span(since: Timestamp, until: Timestamp) -> u64 {
    until.millis().saturating_sub(since.millis())
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
fn hours(millis: u64) -> f64 {
    millis as f64 / HOUR_MS
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
const fn secs(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
const fn micros(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
const fn percent(part: u64, all: u64) -> f64 {
    part as f64 * 100.0 / all as f64
}

/// To four places: nobody reads more, and sums do not end in ...0001.
fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
