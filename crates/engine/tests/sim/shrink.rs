//! The smallest story of a seed that breaks a rule: with as few kinds of fault as still break it.

use std::fmt::Write;

use crate::faults::Faults;
use crate::simulate;
use crate::world::World;

/// Kinds of fault that are switched off, with commas between.
const WITHOUT: &str = "SLURM_ASG_SIM_WITHOUT";

/// A seed that breaks a rule.
pub struct Broken {
    /// In one line.
    pub summary: String,
    /// What happened last, and how to repeat it.
    pub story: String,
}

/// What the environment switches off.
fn asked() -> Vec<String> {
    let kinds = std::env::var(WITHOUT).unwrap_or_default();
    kinds.split(',').filter(|kind| !kind.is_empty()).map(str::to_owned).collect()
}

/// The world of a seed, without some kinds of fault.
fn world_without(seed: u64, change: &dyn Fn(&mut World), off: &[String]) -> World {
    let mut world = World::new(seed);
    change(&mut world);
    off.iter().for_each(|kind| world.faults.switch_off(kind));
    world
}

/// The world of a seed, without what the environment switches off.
pub fn world_of(seed: u64, change: &dyn Fn(&mut World)) -> World {
    world_without(seed, change, &asked())
}

/// Tries the seed without one kind of fault after the other, and keeps off what is not needed to
/// break the same rule.
pub fn shrink(name: &str, seed: u64, change: &dyn Fn(&mut World)) -> Broken {
    let world_without = |off: &[String]| world_without(seed, change, off);
    let rule = |off: &[String]| -> Option<String> {
        let world = simulate(world_without(off));
        let world = world.world();
        // `1: i-3 terminated while n1 has a job`
        world.violations.first().map(|what| what.split(':').next().unwrap_or("").to_owned())
    };
    let mut off = asked();
    let broken = rule(&off);
    for kind in world_without(&off).faults.kinds() {
        let less = [off.clone(), vec![kind]].concat();
        if rule(&less) == broken {
            off = less;
        }
    }
    let world = simulate(world_without(&off));
    let world = world.world();
    let summary = format!("seed {seed}: {}", world.violations.join("; "));
    Broken { summary, story: tell(name, seed, &off, &world) }
}

fn tell(name: &str, seed: u64, off: &[String], world: &World) -> String {
    let mut text = String::new();
    for line in &world.story {
        writeln!(text, "{line}").unwrap();
    }
    let Faults { done, .. } = &world.faults;
    let (nodes, min, max) = (world.slurm.now.nodes.len(), world.aws.min, world.aws.max);
    writeln!(text, "seed {seed}: {nodes} nodes, group of {min} to {max}, {done:?}").unwrap();
    writeln!(text, "asg.toml: {:?}", world.size_lines).unwrap();
    for violation in &world.violations {
        writeln!(text, "seed {seed} breaks rule {violation}").unwrap();
    }
    let off = if off.is_empty() { String::new() } else { format!("{WITHOUT}={} ", off.join(",")) };
    writeln!(
        text,
        "again: SLURM_ASG_SIM_FIRST={seed} SLURM_ASG_SIM_HOURS=0 {off}cargo test \
         -p slurm-asg-engine --test sim {name} -- --exact --nocapture"
    )
    .unwrap();
    text
}

/// What is left of a seed breaks the same rule with the faults that it needs, and no others.
#[test]
fn a_broken_seed_is_told_without_the_faults_that_it_does_not_need() {
    // A rule that is broken as soon as an instance dies.
    let change = |world: &mut World| {
        world.faults.forbidden = Some("InstanceDies");
    };
    let seed = (1..200).find(|seed| {
        let mut world = World::new(*seed);
        change(&mut world);
        !simulate(world).world().violations.is_empty()
    });
    let seed = seed.expect("no seed has an instance die");
    let Broken { summary, story } = shrink("some_test", seed, &change);
    assert!(summary.contains("0: InstanceDies"), "{summary}");
    let mut world = World::new(seed);
    for kind in world.faults.kinds().iter().filter(|kind| *kind != "InstanceDies") {
        assert!(story.contains(kind.as_str()), "{kind} is still on:\n{story}");
    }
    let (_, off) = story.split_once(WITHOUT).expect("nothing is off");
    assert!(!off.contains("InstanceDies"), "{story}");
    world.faults.switch_off("InstanceDies");
    assert!(!world.faults.kinds().iter().any(|kind| kind == "InstanceDies"));
}
