//! Nodes: what each kind has, and how they stand.

use std::sync::Arc;

use slurm_asg_core::ids::NodeName;
use slurm_asg_core::node_state::NodeState;
use slurm_asg_core::snapshot::Node;
use slurm_asg_core::time::Timestamp;

use crate::{Dice, Mood, NOW_SECS};

/// What the nodes of a group have.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub cpus: u32,
    pub memory_mib: u64,
    pub gres: Option<&'static str>,
    pub features: &'static str,
    pub weight: u32,
}

const KINDS: [Kind; 6] = [
    Kind { cpus: 16, memory_mib: 64_000, gres: None, features: "avx2,small", weight: 1 },
    Kind { cpus: 64, memory_mib: 256_000, gres: None, features: "avx2,avx512", weight: 2 },
    Kind { cpus: 32, memory_mib: 512_000, gres: None, features: "avx2,highmem", weight: 3 },
    Kind { cpus: 32, memory_mib: 128_000, gres: Some("gpu:a100:4"), features: "avx2", weight: 9 },
    Kind { cpus: 8, memory_mib: 32_000, gres: Some("gpu:t4:1"), features: "small", weight: 5 },
    Kind { cpus: 96, memory_mib: 192_000, gres: None, features: "avx512,fast", weight: 4 },
];

/// The kind of a group's nodes.
pub fn kind(group: u32) -> Kind {
    let [first, ..] = KINDS;
    let at = group as usize % KINDS.len();
    KINDS.get(at).copied().unwrap_or(first)
}

/// A node.
pub fn node(name: &NodeName, kind: Kind, mood: Mood, dice: &mut Dice) -> Node {
    let cloud = NodeState::CLOUD;
    let lot = match mood {
        Mood::Busy => dice.below(100),
        Mood::Fresh => 0,
    };
    let state = match lot {
        0..50 => NodeState::IDLE | NodeState::POWERED_DOWN,
        50..80 => NodeState::MIXED,
        80..90 => NodeState::ALLOCATED,
        90..93 => NodeState::IDLE,
        93..95 => NodeState::ALLOCATED | NodeState::POWERING_UP | NodeState::NO_RESPOND,
        95..97 => NodeState::IDLE | NodeState::POWERING_DOWN,
        97..98 => NodeState::DOWN | NodeState::NO_RESPOND,
        98..99 => NodeState::IDLE | NodeState::DRAIN,
        _ => NodeState::IDLE | NodeState::COMPLETING,
    };
    let state = NodeState(state | cloud);
    let alloc_cpus = match state.base() {
        NodeState::MIXED => 1 + dice.below(kind.cpus - 1),
        NodeState::ALLOCATED => kind.cpus,
        _ => 0,
    };
    let per_cpu = kind.memory_mib / u64::from(kind.cpus);
    Node {
        name: name.clone(),
        state,
        idle_since: (alloc_cpus == 0)
            .then(|| Timestamp::from_secs(NOW_SECS - i64::from(dice.below(600)))),
        cpus: kind.cpus,
        sockets: 1,
        cores: kind.cpus,
        memory_mib: kind.memory_mib,
        weight: kind.weight,
        features: Some(Arc::from(kind.features)),
        gres: kind.gres.map(Arc::from),
        alloc_cpus: Some(alloc_cpus),
        alloc_memory: Some(u64::from(alloc_cpus) * per_cpu / 2),
        ..Node::default()
    }
}
