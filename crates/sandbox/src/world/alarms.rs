//! Metrics, alarms on them, and the simple scaling policies that the alarms carry out.
//!
//! What is modelled, from the guides of CloudWatch and EC2 Auto Scaling: an alarm looks at whole periods, at their
//! ends; it goes off when all of its last periods breach the threshold; a period without data does not; and as long as
//! it is in ALARM, its scaling policy is carried out anew with each period. A simple scaling policy does nothing while
//! the group still launches, nor before its cooldown is over, which begins when the launch is done; of policies that are
//! due at once the one holds that adds most.

use super::World;
use super::suspension::GroupProcess;
use crate::config::{AlarmConfig, Comparison, Statistic};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Older points of a metric are forgotten beyond this many.
pub const POINTS_MAX: usize = 1_000;
/// More metrics are not kept.
const METRICS_MAX: usize = 10_000;

/// What tells metrics apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Dimensions.
    pub dimensions: BTreeMap<String, String>,
}

/// One value of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The time it was published with, Unix epoch milliseconds.
    pub at_ms: u64,
    /// The value.
    pub value: f64,
}

/// All metrics, by key.
pub type Metrics = BTreeMap<MetricKey, VecDeque<Point>>;

/// An alarm's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmState {
    /// It has not looked yet.
    InsufficientData,
    /// Not all of the last periods breach the threshold.
    Ok,
    /// All of them do.
    Alarm,
}

/// An alarm.
#[derive(Debug, Clone)]
pub struct Alarm {
    /// As configured.
    pub config: AlarmConfig,
    /// Its state.
    pub state: AlarmState,
    /// How often its policy has changed a desired capacity.
    pub actions: u32,
    /// The end of the period that it looks at next.
    next_at_ms: u64,
}

impl Alarm {
    /// One that first looks when the current period ends.
    pub(super) fn new(config: AlarmConfig, now_ms: u64) -> Self {
        let next_at_ms = period_end(now_ms, config.period_ms);
        Self { config, state: AlarmState::InsufficientData, actions: 0, next_at_ms }
    }

    /// When it looks next, Unix epoch milliseconds.
    #[must_use]
    pub const fn next_at_ms(&self) -> u64 {
        self.next_at_ms
    }

    fn judge(&self, points: &VecDeque<Point>, end_ms: u64) -> AlarmState {
        let length = self.config.period_ms;
        let breaches = |nth: u32| {
            let until_ms = end_ms.saturating_sub(u64::from(nth).saturating_mul(length));
            let from_ms = until_ms.saturating_sub(length);
            let values: Vec<f64> = points
                .iter()
                .filter(|point| (from_ms..until_ms).contains(&point.at_ms))
                .map(|point| point.value)
                .collect();
            let value = aggregate(self.config.statistic, &values);
            // TreatMissingData: notBreaching.
            value.is_some_and(|value| compare(self.config.comparison, value, self.config.threshold))
        };
        let all = (0..self.config.evaluation_periods).all(breaches);
        if all { AlarmState::Alarm } else { AlarmState::Ok }
    }
}

/// The first end of a period after `now_ms`: periods begin at whole multiples of their length.
const fn period_end(now_ms: u64, length_ms: u64) -> u64 {
    (now_ms / length_ms + 1) * length_ms
}

fn aggregate(statistic: Statistic, values: &[f64]) -> Option<f64> {
    let count = u32::try_from(values.len()).ok().filter(|count| *count > 0)?;
    let sum: f64 = values.iter().sum();
    Some(match statistic {
        Statistic::Average => sum / f64::from(count),
        Statistic::Sum => sum,
        Statistic::SampleCount => f64::from(count),
        Statistic::Minimum => values.iter().copied().fold(f64::INFINITY, f64::min),
        Statistic::Maximum => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    })
}

fn compare(comparison: Comparison, value: f64, threshold: f64) -> bool {
    match comparison {
        Comparison::GreaterThanOrEqualToThreshold => value >= threshold,
        Comparison::GreaterThanThreshold => value > threshold,
        Comparison::LessThanThreshold => value < threshold,
        Comparison::LessThanOrEqualToThreshold => value <= threshold,
    }
}

impl World {
    /// Keeps a value.
    pub fn put_metric(&mut self, key: MetricKey, point: Point) {
        if self.metrics.len() >= METRICS_MAX && !self.metrics.contains_key(&key) {
            tracing::warn!("more than {METRICS_MAX} metrics: {} is not kept", key.name);
            return;
        }
        let points = self.metrics.entry(key).or_default();
        if points.len() >= POINTS_MAX {
            points.pop_front();
        }
        points.push_back(point);
    }

    /// All metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The alarms, in the order of the configuration.
    #[must_use]
    pub fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }

    /// Has the alarms look that are due, and carries out what they ask for.
    pub(super) fn evaluate_alarms(&mut self, now_ms: u64) {
        let mut asked = Vec::new();
        for (at, alarm) in self.alarms.iter_mut().enumerate() {
            if alarm.next_at_ms > now_ms {
                continue;
            }
            alarm.next_at_ms = period_end(now_ms, alarm.config.period_ms);
            // Ends that were slept through are not made up for.
            let end_ms = alarm.next_at_ms - alarm.config.period_ms;
            let key = MetricKey {
                namespace: alarm.config.namespace.clone(),
                name: alarm.config.metric.clone(),
                dimensions: alarm.config.dimensions.clone(),
            };
            let none = VecDeque::new();
            let state = alarm.judge(self.metrics.get(&key).unwrap_or(&none), end_ms);
            if state != alarm.state {
                tracing::info!("alarm {}: {:?} -> {state:?}", alarm.config.name, alarm.state);
            }
            alarm.state = state;
            if state == AlarmState::Alarm {
                asked.push((alarm.config.adjustment, at));
            }
        }
        asked.sort_by_key(|(adjustment, _)| std::cmp::Reverse(*adjustment));
        for (_, at) in asked {
            self.scale_by_alarm(at, now_ms);
        }
    }

    /// Carries out an alarm's policy, if the group is ready for it.
    fn scale_by_alarm(&mut self, at: usize, now_ms: u64) {
        let Some(alarm) = self.alarms.get(at) else { return };
        let AlarmConfig { name, group: group_name, adjustment, cooldown_ms, .. } =
            alarm.config.clone();
        let size = self.cloud.size(&group_name);
        let launches = self
            .cloud
            .members(&group_name)
            .iter()
            .any(|instance| instance.lifecycle.is_launching());
        let Some(group) = self.cloud.groups.get_mut(&group_name) else { return };
        let to = group.desired.saturating_add(adjustment).min(group.max);
        let deaf = group.suspends(GroupProcess::AlarmNotification);
        let busy = launches || size < group.desired || now_ms < group.cooldown_until_ms;
        if deaf || busy || to == group.desired {
            return;
        }
        group.cooldown_ms = cooldown_ms;
        group.cooldown_until_ms = now_ms + cooldown_ms;
        let words = format!("a monitor alarm {name} in state ALARM triggered its scaling policy");
        self.change_desired(&group_name, to, &words, now_ms);
        if let Some(alarm) = self.alarms.get_mut(at) {
            alarm.actions += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::tests::Bench;

    /// A group of at most `max` and an alarm on its metric `m`, by seconds. The clock shows half past a second.
    fn bench(max: u32, alarm: &str) -> Bench {
        let alarm = format!(
            "[[alarm]]\nname=\"a\"\nnamespace=\"n\"\nmetric=\"m\"\nthreshold=1\nperiod_ms=1000\ngroup=\"g\"\n{alarm}"
        );
        Bench::new(0, max, 0, &alarm)
    }

    fn put(bench: &mut Bench, value: u32) {
        let (namespace, name, dimensions) = ("n".to_owned(), "m".to_owned(), BTreeMap::new());
        let point = Point { at_ms: bench.now_ms, value: f64::from(value) };
        bench.world.put_metric(MetricKey { namespace, name, dimensions }, point);
    }

    /// Publishes each value in the middle of a second, and gives the desired capacity after each.
    fn capacities(bench: &mut Bench, values: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let mut put_and_wait = |value| {
            put(bench, value);
            bench.pass(1000);
            bench.desired()
        };
        values.into_iter().map(&mut put_and_wait).collect()
    }

    #[test]
    fn an_alarm_adds_capacity_with_each_period_until_it_is_ok() {
        let mut bench = bench(8, "adjustment=1\ncooldown_ms=0");
        assert_eq!(bench.world.alarms()[0].state, AlarmState::InsufficientData);
        assert_eq!(capacities(&mut bench, [0, 3, 2, 1, 0, 0]), [0, 1, 2, 3, 3, 3]);
        assert_eq!(
            (bench.world.alarms()[0].state, bench.world.alarms()[0].actions),
            (AlarmState::Ok, 3)
        );
        let activity = bench.world.cloud().activities.back().unwrap();
        assert!(activity.cause.contains("a monitor alarm a in state ALARM"), "{}", activity.cause);
    }

    #[test]
    fn capacity_ends_at_the_maximum_and_the_alarm_stays() {
        let mut bench = bench(3, "adjustment=2\ncooldown_ms=0");
        assert_eq!(capacities(&mut bench, [9, 9, 9, 9]), [2, 3, 3, 3]);
        assert_eq!(
            (bench.world.alarms()[0].state, bench.world.alarms()[0].actions),
            (AlarmState::Alarm, 2)
        );
    }

    #[test]
    fn all_of_the_last_periods_must_breach_and_one_without_data_does_not() {
        let mut bench = bench(8, "adjustment=1\nevaluation_periods=2\ncooldown_ms=0");
        assert_eq!(capacities(&mut bench, [5, 0, 5, 5]), [0, 0, 0, 1]);
        bench.pass(3000);
        assert_eq!(bench.desired(), 1, "nothing was published");
        assert_eq!(capacities(&mut bench, [5, 5]), [1, 2]);
    }

    #[test]
    fn a_policy_waits_for_its_cooldown_and_for_launches() {
        // The launch is done 110 ms after the action.
        let mut cooling = bench(8, "adjustment=1\ncooldown_ms=2500");
        assert_eq!(capacities(&mut cooling, [9; 7]), [1, 1, 1, 2, 2, 2, 3]);
        let mut slow = bench(8, "adjustment=1\ncooldown_ms=0");
        slow.world.faults.add(crate::Fault::BootDelay { ms: 2500, count: 1 }).unwrap();
        assert_eq!(capacities(&mut slow, [9; 4]), [1, 1, 1, 2]);
    }

    #[test]
    fn of_two_alarms_that_go_off_at_once_the_larger_step_is_made() {
        let second = "adjustment=1\ncooldown_ms=0\n[[alarm]]\nname=\"b\"\nnamespace=\"n\"\nmetric=\"m\"\n\
            threshold=4\nperiod_ms=1000\ngroup=\"g\"\nadjustment=4\ncooldown_ms=0";
        let mut bench = bench(9, second);
        assert_eq!(capacities(&mut bench, [6, 2, 1, 0]), [4, 5, 6, 6]);
    }

    #[test]
    fn statistics_and_comparisons_are_cloudwatchs() {
        for (statistic, value) in [
            (Statistic::Average, 2.5),
            (Statistic::Sum, 10.0),
            (Statistic::SampleCount, 4.0),
            (Statistic::Minimum, 1.0),
            (Statistic::Maximum, 4.0),
        ] {
            assert_eq!(aggregate(statistic, &[3.0, 1.0, 4.0, 2.0]), Some(value), "{statistic:?}");
            assert_eq!(aggregate(statistic, &[]), None);
        }
        for (comparison, expected) in [
            (Comparison::GreaterThanOrEqualToThreshold, [false, true, true]),
            (Comparison::GreaterThanThreshold, [false, false, true]),
            (Comparison::LessThanThreshold, [true, false, false]),
            (Comparison::LessThanOrEqualToThreshold, [true, true, false]),
        ] {
            assert_eq!([1.0, 2.0, 3.0].map(|value| compare(comparison, value, 2.0)), expected);
        }
    }

    #[test]
    fn the_oldest_points_are_forgotten() {
        let mut bench = bench(8, "adjustment=1");
        (0..=u32::try_from(POINTS_MAX).unwrap()).for_each(|value| put(&mut bench, value));
        let points = bench.world.metrics().values().next().unwrap();
        assert_eq!((points.len(), points[0].value), (POINTS_MAX, 1.0));
    }
}
