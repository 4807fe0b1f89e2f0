//! Writes an event log of any length, as the plugin would: for `make bench`, which has it reported.
#![forbid(unsafe_code)]

use std::io::{self, BufWriter, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Parser;
use slurm_asg_core::event::{Event, EventName};
use slurm_asg_core::time::Timestamp;
use slurm_asg_workload::Dice;

/// Writes an event log to standard output.
#[derive(Debug, Parser)]
#[command(
    name = "slurm-asg-event-log",
    version,
    after_help = "Example:\n  slurm-asg-event-log --events 1000000 > events.jsonl"
)]
struct Arguments {
    /// How many events
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    events: u32,
    /// Days from the first event to the last, which is now
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Which log
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

const DAY_MS: u64 = 86_400_000;
const GROUPS: u32 = 5;
/// Nodes of a job.
const NODES: u32 = 4;

fn main() -> Result<()> {
    let Arguments { events, days, seed } = Arguments::parse();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("no time")?;
    let end = u64::try_from(now.as_millis())?;
    let begin = end.saturating_sub(u64::from(days) * DAY_MS);
    let at = |nth: u32| {
        let part = (end - begin) * u64::from(nth) / u64::from(events);
        Timestamp::from_millis(begin + part)
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut written, mut dice) = (0, Dice::new(seed));
    for job in 1.. {
        for event in life(job, &mut dice) {
            if written == events {
                return Ok(out.flush()?);
            }
            out.write_all(Event { time: at(written), ..event }.line()?.as_bytes())?;
            written += 1;
        }
    }
    Ok(())
}

/// A job from its count to the end of its nodes.
fn life(job: u32, dice: &mut Dice) -> Vec<Event> {
    let group = format!("group-{}", dice.below(GROUPS));
    let of = |name| Event {
        group: Some(group.as_str().into()),
        ..Event::new(Timestamp::default(), name)
    };
    let asg = || Some(format!("hpc-{group}").as_str().into());
    let first = dice.range(1, 500) * NODES;
    let node = |nth: u32| Some(format!("{group}-{}", first + nth).as_str().into());
    let instance = |nth: u32| Some(format!("i-{:017x}", job * NODES + nth).as_str().into());
    let nodes = format!("{group}-[{first}-{}]", first + NODES - 1);
    let state = |busy, idle, booting| Event {
        busy: Some(busy),
        idle: Some(idle),
        base: Some(1),
        booting: Some(booting),
        spare: Some(0),
        releasing: Some(0),
        desired: Some(busy + idle + booting + 1),
        max: Some(2000),
        demand: Some(busy + booting),
        ..of(EventName::GroupState)
    };
    let mut events = vec![
        Event {
            job: Some(job),
            node_count: Some(NODES),
            launch: Some(NODES),
            ..of(EventName::JobCounted)
        },
        Event { asg: asg(), from: Some(0), to: Some(NODES), ..of(EventName::CapacityRaised) },
        Event { nodes: Some(nodes.clone()), jobs: vec![job], ..of(EventName::NodesResumed) },
    ];
    events.extend((0..NODES).map(|nth| Event {
        asg: asg(),
        node: node(nth),
        instance: instance(nth),
        address: Some(format!("10.0.{}.{}", job % 256, nth + 1)),
        ..of(EventName::NodeBound)
    }));
    events.push(state(dice.below(300), dice.below(20), NODES));
    let boots: Vec<u32> = (0..NODES).map(|_| dice.range(30_000, 120_000)).collect();
    events.extend((0..NODES).zip(boots).map(|(nth, boot)| Event {
        node: node(nth),
        instance: instance(nth),
        boot_ms: Some(u64::from(boot)),
        ..of(EventName::NodeUp)
    }));
    events.push(state(dice.below(300), dice.below(20), 0));
    events.push(Event { idle: Some(NODES), oldest_idle_s: Some(60), ..of(EventName::Heartbeat) });
    events.push(Event { nodes: Some(nodes), ..of(EventName::NodesSuspended) });
    events.extend((0..NODES).map(|nth| Event {
        asg: asg(),
        node: node(nth),
        instance: instance(nth),
        reason: Some("node_released".to_owned()),
        replaced: Some(false),
        ..of(EventName::InstanceTerminated)
    }));
    if dice.once_in(20) {
        let error = "SetDesiredCapacity: Throttling: Rate exceeded; tried again later";
        let error = Some(error.to_owned());
        events.push(Event { asg: asg(), error, ..of(EventName::CapacityRaisedFailed) });
    }
    events
}
