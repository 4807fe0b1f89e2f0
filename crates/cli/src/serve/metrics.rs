//! The metrics in the OpenMetrics text format. docs/serve.md lists them; names and labels are stable.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use slurm_asg_wire::{GroupStatus, Status};

use super::collector::World;
use super::histogram::{Histogram, seconds};
use crate::status::text::parts;

/// How a call to AWS ends.
const OUTCOMES: [&str; 7] =
    ["ok", "throttled", "no_answer", "service", "denied", "conflict", "other"];

type Labels<'a> = Vec<(&'static str, &'a str)>;

/// All metrics of a moment.
///
/// # Errors
/// Never in practice: it is written into memory.
pub fn exposition(world: &World) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot(world.clone())));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

/// The world as the library asks for it.
#[derive(Debug)]
struct Snapshot(World);

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Families { encoder };
        let world = &self.0;
        let is_up = world.problem.is_none() && world.status.is_some();
        out.gauge(
            "slurm_asg_up",
            "Whether the plugin answers: 1 or 0",
            [(vec![], number(is_up.into()))],
        )?;
        if let Some(status) = &world.status {
            plugin(status, &mut out)?;
            // Old numbers would look like new ones.
            if is_up {
                groups(status, &mut out)?;
                queue(status, &mut out)?;
            }
        }
        over_time(world, &mut out)
    }
}

fn plugin(status: &Status, out: &mut Families<'_>) -> fmt::Result {
    out.info(
        "slurm_asg_build",
        "Versions of slurm-asg and of the Slurm that it runs in",
        vec![("version", &status.version), ("slurm_version", &status.slurm_version)],
    )?;
    let is_active = status.state == "active";
    out.gauge(
        "slurm_asg_active",
        "Whether the plugin works: 0 before its first configuration",
        [(vec![], number(is_active.into()))],
    )?;
    let problem = status.problem.is_some();
    out.gauge(
        "slurm_asg_config_problem",
        "Whether asg.toml is wrong and an older one is in force",
        [(vec![], number(problem.into()))],
    )?;
    if let Some(at) = status.looked_at_ms {
        out.gauge_of(
            "slurm_asg_last_look_timestamp",
            "When the plugin last looked, seconds since the Unix epoch",
            Unit::Seconds,
            [(vec![], seconds(at))],
        )?;
    }
    out.counter(
        "slurm_asg_hook_calls",
        "Calls of the job_submit hook",
        None,
        [(vec![], number(status.hook_calls))],
    )?;
    let figures = &status.figures;
    let mut before = 0;
    let ranges = figures.looks_within.iter().map(|(end, within)| {
        let count = within.saturating_sub(before);
        before = *within;
        (seconds(*end), count)
    });
    let ranges: Vec<_> = ranges.collect();
    let rest = figures.looks.saturating_sub(before);
    let ranges: Vec<_> = ranges.into_iter().chain([(f64::INFINITY, rest)]).collect();
    out.histogram(
        "slurm_asg_look",
        "How long looks took, with their plan and what was done",
        [(vec![], seconds(figures.look_ms), figures.looks, ranges)],
    )?;
    out.gauge_of(
        "slurm_asg_loop_lag",
        "How much later than planned the last look began",
        Unit::Seconds,
        [(vec![], seconds(figures.lag_ms))],
    )?;
    let mut calls = BTreeMap::<(&str, &str), u64>::new();
    for of in &figures.api_calls {
        // All outcomes begin at zero: the first increase of a counter that was not there is none for
        // Prometheus.
        for outcome in OUTCOMES {
            calls.entry((&of.operation, outcome)).or_default();
        }
        calls.insert((&of.operation, &of.outcome), of.count);
    }
    let calls = calls.into_iter().map(|((operation, outcome), count)| {
        (vec![("operation", operation), ("outcome", outcome)], number(count))
    });
    out.counter("slurm_asg_api_calls", "Calls to AWS; each attempt counts", None, calls)?;
    let count = |about: &str| number(figures.messages.get(about).copied().unwrap_or(0));
    let messages = ["notice", "unknown", "other", "malformed"].into_iter();
    out.counter(
        "slurm_asg_queue_messages",
        "Messages of events_queue, by what they were about",
        None,
        messages.map(|about| (vec![("about", about)], count(about))),
    )
}

fn groups(status: &Status, out: &mut Families<'_>) -> fmt::Result {
    type Figure = fn(&GroupStatus) -> u32;
    let figures: [(&str, &str, Figure); 5] = [
        ("slurm_asg_group_min", "MinSize, instances", |group| group.min),
        ("slurm_asg_group_max", "MaxSize, instances", |group| group.max),
        ("slurm_asg_group_desired", "DesiredCapacity, instances", |group| group.desired),
        ("slurm_asg_group_demand", "Instances that nodes and pending jobs need", |group| {
            group.demand
        }),
        ("slurm_asg_group_problem", "Whether something is wrong with the group", |group| {
            group.problem.is_some().into()
        }),
    ];
    for (name, help, figure) in figures {
        let values = status
            .groups
            .iter()
            .map(|group| (vec![("group", &*group.name)], number(figure(group).into())));
        out.gauge(name, help, values)?;
    }
    let pending = status.groups.iter().filter_map(|group| {
        Some((vec![("group", &*group.name)], number(group.pending_instances?.into())))
    });
    out.gauge(
        "slurm_asg_group_pending_instances",
        "Instances that pending work needs and that are neither there nor on their way",
        pending,
    )?;
    let shut = status.groups.iter().flat_map(|group| {
        let cools_down = group.cooldown_until_ms > status.looked_at_ms;
        let reasons =
            [("paused", group.paused), ("protected", group.protected), ("cooldown", cools_down)];
        reasons
            .map(|(why, is_it)| (vec![("group", &*group.name), ("why", why)], number(is_it.into())))
    });
    out.gauge("slurm_asg_group_shut", "Whether the group is asked for no instances", shut)?;
    let instances = status.groups.iter().flat_map(|group| {
        let states = [
            ("in_service", group.in_service),
            ("pending", group.pending),
            ("spare", group.spare),
            ("releasing", group.releasing),
        ];
        states.map(|(state, count)| {
            (vec![("group", &*group.name), ("state", state)], number(count.into()))
        })
    });
    out.gauge(
        "slurm_asg_group_instances",
        "Instances by state; spare ones are among those in service or pending",
        instances,
    )?;
    let nodes = status.groups.iter().flat_map(|group| {
        let parts = parts(group, &status.nodes);
        let states = [
            ("busy", parts.busy),
            ("idle", parts.idle),
            ("booting", parts.booting),
            ("failed", parts.failed),
            ("ahead", group.ahead),
        ];
        states.map(|(state, count)| {
            (vec![("group", &*group.name), ("state", state)], number(count.into()))
        })
    });
    out.gauge(
        "slurm_asg_group_nodes",
        "Nodes by state; those ahead are counted for pending jobs, and not asked for by Slurm yet",
        nodes,
    )
}

fn queue(status: &Status, out: &mut Families<'_>) -> fmt::Result {
    let mut by_why = BTreeMap::<&str, u64>::new();
    for job in &status.jobs {
        *by_why.entry(&job.why).or_default() += 1;
    }
    let jobs = by_why.into_iter().map(|(why, count)| (vec![("why", why)], number(count)));
    out.gauge("slurm_asg_pending_jobs", "Pending jobs by reason (docs/snapshot.md)", jobs)
}

/// What this program has added up since it began.
fn over_time(world: &World, out: &mut Families<'_>) -> fmt::Result {
    let spans = world.node_ms.iter().map(|((group, state), millis)| {
        (vec![("group", &**group), ("state", *state)], seconds(*millis))
    });
    out.counter(
        "slurm_asg_node",
        "How long nodes were in each state, added up over nodes",
        Some(Unit::Seconds),
        spans,
    )?;
    let currency = world.status.as_ref().map_or("", |status| &status.currency);
    let costs = world.cost_micros.iter().map(|(group, micros)| {
        // Thousandths of thousandths.
        (vec![("group", &**group), ("currency", currency)], seconds(*micros) / 1000.0)
    });
    out.counter("slurm_asg_cost", "What instances cost, by price_per_hour", None, costs)?;
    let events = world.event_counts.iter().map(|((event, group), count)| {
        (vec![("event", &**event), ("group", &**group)], number(*count))
    });
    out.counter("slurm_asg_events", "Lines of the event log (docs/events.md)", None, events)?;
    let failures = world.failures.iter().map(|((event, code), count)| {
        (vec![("event", &**event), ("code", &**code)], number(*count))
    });
    out.counter(
        "slurm_asg_failures",
        "Events that something failed; one that goes on is told every ten minutes",
        None,
        failures,
    )?;
    out.histogram(
        "slurm_asg_launch",
        "From Slurm's asking for a node to its instance's having the node's name",
        world.launches.iter().map(of_group),
    )?;
    out.histogram(
        "slurm_asg_boot",
        "From the instance's having the node's name to slurmd's registration",
        world.boots.iter().map(of_group),
    )?;
    let waits = &world.waits;
    out.histogram(
        "slurm_asg_job_wait",
        "From a job's count, or Slurm's asking for its nodes, to the last of them being up",
        [(vec![], seconds(waits.sum_ms), waits.count, waits.ranges())],
    )
}

type Spread<'a> = (Labels<'a>, f64, u64, Vec<(f64, u64)>);

fn of_group<'a>((group, histogram): (&'a String, &'a Histogram)) -> Spread<'a> {
    let labels = vec![("group", group.as_str())];
    (labels, seconds(histogram.sum_ms), histogram.count, histogram.ranges())
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floating point numbers only")]
const fn number(count: u64) -> f64 {
    count as f64
}

/// Metric families, one after the other. One without values is left out.
struct Families<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Families<'_> {
    fn family<T>(
        &mut self,
        (name, help, unit): (&str, &str, Option<Unit>),
        kind: MetricType,
        values: impl IntoIterator<Item = T>,
        write: impl Fn(&mut MetricEncoder<'_>, T) -> fmt::Result,
    ) -> fmt::Result {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return Ok(());
        }
        let mut metric = self.encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
        values.try_for_each(|value| write(&mut metric, value))
    }

    fn gauge<'l>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'l>, f64)>,
    ) -> fmt::Result {
        self.family((name, help, None), MetricType::Gauge, values, |metric, (labels, value)| {
            labelled(metric, &labels, |metric| metric.encode_gauge(&value))
        })
    }

    fn gauge_of<'l>(
        &mut self,
        name: &str,
        help: &str,
        unit: Unit,
        values: impl IntoIterator<Item = (Labels<'l>, f64)>,
    ) -> fmt::Result {
        let what = (name, help, Some(unit));
        self.family(what, MetricType::Gauge, values, |metric, (labels, value)| {
            labelled(metric, &labels, |metric| metric.encode_gauge(&value))
        })
    }

    fn counter<'l>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        values: impl IntoIterator<Item = (Labels<'l>, f64)>,
    ) -> fmt::Result {
        self.family((name, help, unit), MetricType::Counter, values, |metric, (labels, value)| {
            labelled(metric, &labels, |metric| {
                metric.encode_counter::<Vec<(&str, &str)>, _, f64>(&value, None)
            })
        })
    }

    fn histogram<'l>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = Spread<'l>>,
    ) -> fmt::Result {
        let what = (name, help, Some(Unit::Seconds));
        self.family(what, MetricType::Histogram, values, |metric, (labels, sum, count, ranges)| {
            labelled(metric, &labels, |metric| {
                metric.encode_histogram::<Vec<(&str, &str)>>(sum, count, &ranges, None)
            })
        })
    }

    fn info(&mut self, name: &str, help: &str, labels: Labels<'_>) -> fmt::Result {
        self.family((name, help, None), MetricType::Info, [labels], |metric, labels| {
            metric.encode_info(&labels)
        })
    }
}

/// Writes a value with its labels; without any there is no pair of braces.
fn labelled(
    metric: &mut MetricEncoder<'_>,
    labels: &Labels<'_>,
    write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    if labels.is_empty() { write(metric) } else { write(&mut metric.encode_family(labels)?) }
}
