//! Slurm's node state word, and what it means for a machine behind the node.
//!
//! The bits are the same in Slurm 22.05 to 26.05 (slurm/slurm.h, `enum node_states` and the
//! `NODE_STATE_*` flags).

use std::fmt;

use serde::Serialize;

use crate::snapshot::words::{read_words, write_words};

/// A node's `node_state`: a base state in the low four bits, flags above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeState(pub u32);

/// What the state says about the machine that the node should or should not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Powered down and wanted by nobody: no machine is needed.
    Off,
    /// Slurm has given the node to a job or was asked to power it up, and will soon call the
    /// resume program for it.
    Wanted,
    /// Slurm has called the resume program and waits for the machine to register. Only a
    /// slurmd that starts from now on counts.
    Booting,
    /// The node has a machine and is in service, whatever its health.
    Up,
    /// Slurm has closed the node and released its machine.
    Releasing,
}

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal $(as $word:literal)?;)*) => {
        impl NodeState {
            $($(#[$doc])* pub const $name: u32 = 1 << $bit;)*
            const FLAG_NAMES: &[(&str, u32)] =
                &[$((flags!(@word $name $($word)?), Self::$name)),*];
        }
    };
    (@word $name:ident) => { stringify!($name) };
    (@word $name:ident $word:literal) => { $word };
}

flags! {
    /// In a reservation that is active.
    RES = 5 as "RESERVED";
    /// In an update: open to jobs again. Never a state.
    UNDRAIN = 6;
    /// The node belongs to the cloud.
    CLOUD = 7;
    /// No new jobs are to be placed.
    DRAIN = 9;
    /// A job's epilog is under way.
    COMPLETING = 10;
    /// The node does not answer.
    NO_RESPOND = 11 as "NOT_RESPONDING";
    /// The machine has been given back.
    POWERED_DOWN = 12;
    /// Set FAIL by hand.
    FAIL = 13;
    /// The resume program was called and the node has not registered yet.
    POWERING_UP = 14;
    /// In a maintenance reservation.
    MAINT = 15 as "MAINTENANCE";
    /// A reboot was asked for.
    REBOOT_REQUESTED = 16;
    /// The suspend program was called, and SuspendTimeout is not over.
    POWERING_DOWN = 18;
    /// Reboots.
    REBOOT_ISSUED = 20;
    /// Backfill has planned a job for it.
    PLANNED = 21;
    /// Registered with resources that do not fit slurm.conf.
    INVALID_REG = 22;
    /// Asked to power down; Slurm waits for the node to be idle.
    POWER_DOWN = 23;
    /// Asked to power up; the resume program has not been called yet.
    POWER_UP = 24;
    /// Asked to power down as soon as its jobs have ended.
    POWER_DRAIN = 25;
    /// Made while slurmctld runs, with a NodeName that is not in slurm.conf.
    DYNAMIC_NORM = 26;
    /// Blocked by an exclusive topology (24.05 and later).
    BLOCKED = 27;
}

impl NodeState {
    /// Base state DOWN.
    pub const DOWN: u32 = 1;
    /// Base state IDLE.
    pub const IDLE: u32 = 2;
    /// Base state ALLOCATED.
    pub const ALLOCATED: u32 = 3;
    /// Base state MIXED.
    pub const MIXED: u32 = 5;

    const BASE: u32 = 0xf;
    const BASE_NAMES: [&str; 7] =
        ["UNKNOWN", "DOWN", "IDLE", "ALLOCATED", "ERROR", "MIXED", "FUTURE"];

    /// Reads `IDLE+CLOUD+POWERED_DOWN`, in upper or lower case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        read_words(text, &Self::BASE_NAMES, Self::FLAG_NAMES).map(Self)
    }

    /// Whether its name says all of it.
    #[must_use]
    pub fn is_wholly_named(self) -> bool {
        let known = Self::FLAG_NAMES.iter().fold(Self::BASE, |bits, (_, bit)| bits | bit);
        self.0 & !known == 0 && (self.base() as usize) < Self::BASE_NAMES.len()
    }

    /// The base state, without flags.
    #[must_use]
    pub const fn base(self) -> u32 {
        self.0 & Self::BASE
    }

    /// Whether any of `flags` is set.
    #[must_use]
    pub const fn has(self, flags: u32) -> bool {
        self.0 & flags != 0
    }

    /// Whether the base state is DOWN.
    #[must_use]
    pub const fn is_down(self) -> bool {
        self.base() == Self::DOWN
    }

    /// Whether jobs hold the node: allocated, mixed, or still completing.
    #[must_use]
    pub const fn has_work(self) -> bool {
        matches!(self.base(), Self::ALLOCATED | Self::MIXED) || self.has(Self::COMPLETING)
    }

    /// Whether Slurm is about to power down a node that is DOWN: one that never registered looks
    /// so for a moment, as if it were in service.
    #[must_use]
    pub const fn is_given_up(self) -> bool {
        self.is_down() && self.has(Self::POWER_DOWN) && !self.has_work()
    }

    /// What the state says about the machine behind the node.
    ///
    /// POWERING_DOWN wins over everything: a POWER_UP that comes meanwhile is honoured by Slurm
    /// only after SuspendTimeout, with a new call of the resume program
    /// (src/slurmctld/power_save.c, 22.05.8). An allocated node that is still POWERED_DOWN is
    /// one that Slurm will resume in its next pass. A POWER_UP that is left over on a node that has
    /// come up by itself means nothing: jobs start there.
    #[must_use]
    pub const fn phase(self) -> Phase {
        if self.has(Self::POWERING_DOWN) {
            Phase::Releasing
        } else if self.has(Self::POWER_UP) && self.has(Self::POWERED_DOWN | Self::POWERING_UP) {
            Phase::Wanted
        } else if self.has(Self::POWERING_UP) && !self.has(Self::POWERED_DOWN) {
            Phase::Booting
        } else if !self.has(Self::POWERED_DOWN) {
            Phase::Up
        } else if self.has_work() && !self.is_down() {
            Phase::Wanted
        } else {
            Phase::Off
        }
    }
}

/// As `scontrol show node` writes states: `IDLE+CLOUD+POWERED_DOWN`.
impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_words(f, self.0, self.base(), &Self::BASE_NAMES, Self::FLAG_NAMES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_of_a_node_s_life_has_its_phase() {
        let table = [
            (NodeState::IDLE | NodeState::POWERED_DOWN, Phase::Off),
            (NodeState::DOWN | NodeState::POWERED_DOWN, Phase::Off),
            (NodeState::ALLOCATED | NodeState::POWERED_DOWN, Phase::Wanted),
            (NodeState::MIXED | NodeState::POWERING_UP | NodeState::NO_RESPOND, Phase::Booting),
            (NodeState::IDLE | NodeState::POWERING_UP | NodeState::POWER_UP, Phase::Wanted),
            (NodeState::IDLE | NodeState::POWERED_DOWN | NodeState::POWER_UP, Phase::Wanted),
            (NodeState::IDLE, Phase::Up),
            (NodeState::IDLE | NodeState::POWER_UP, Phase::Up),
            (NodeState::ALLOCATED | NodeState::POWER_DOWN, Phase::Up),
            (NodeState::DOWN | NodeState::NO_RESPOND, Phase::Up),
            (NodeState::IDLE | NodeState::POWERING_DOWN, Phase::Releasing),
            (NodeState::IDLE | NodeState::POWERING_DOWN | NodeState::POWER_UP, Phase::Releasing),
            (NodeState::DOWN | NodeState::COMPLETING | NodeState::POWERED_DOWN, Phase::Off),
        ];
        for (state, phase) in table {
            assert_eq!(NodeState(state).phase(), phase, "{}", NodeState(state));
        }
    }

    #[test]
    fn a_state_reads_as_slurm_writes_it() {
        let state = NodeState(NodeState::IDLE | NodeState::CLOUD | NodeState::POWERED_DOWN);
        assert_eq!(state.to_string(), "IDLE+CLOUD+POWERED_DOWN");
    }
}
