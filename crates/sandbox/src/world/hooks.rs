//! What life-cycle hooks are: how they are configured, and what one makes an instance wait for.

use super::model::Lifecycle;
use serde::{Deserialize, Serialize};

/// The most hooks of a group (AWS's default quota).
pub const HOOKS_MAX: usize = 50;
/// Bounds of a heartbeat timeout set by PutLifecycleHook, in seconds. A configuration may go down to 1: tests cannot wait.
pub const HEARTBEAT_TIMEOUT_S: std::ops::RangeInclusive<u32> = 30..=7_200;
/// How long an instance may wait at most: 48 hours, in seconds.
const GLOBAL_TIMEOUT_S_MAX: u32 = 172_800;
/// Nor longer than so many heartbeat timeouts.
const GLOBAL_TIMEOUT_HEARTBEATS: u32 = 100;
/// Longest name of a hook, in characters.
const NAME_LENGTH_MAX: usize = 255;

/// What an instance is held up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transition {
    /// Before it enters service.
    #[serde(rename = "autoscaling:EC2_INSTANCE_LAUNCHING", alias = "launching")]
    Launching,
    /// Before its power is cut.
    #[serde(rename = "autoscaling:EC2_INSTANCE_TERMINATING", alias = "terminating")]
    Terminating,
}

impl Transition {
    /// AWS's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Launching => "autoscaling:EC2_INSTANCE_LAUNCHING",
            Self::Terminating => "autoscaling:EC2_INSTANCE_TERMINATING",
        }
    }

    /// What AWS's word means.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Launching, Self::Terminating].into_iter().find(|known| known.name() == word)
    }

    /// Where an instance is while it waits.
    pub(super) const fn waiting(self) -> Lifecycle {
        match self {
            Self::Launching => Lifecycle::PendingWait,
            Self::Terminating => Lifecycle::TerminatingWait,
        }
    }

    /// The result of what is outstanding when its hook is deleted.
    pub(super) const fn result_of_deletion(self) -> HookResult {
        match self {
            Self::Launching => HookResult::Abandon,
            Self::Terminating => HookResult::Continue,
        }
    }
}

/// How an action ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HookResult {
    /// Well.
    Continue,
    /// Badly; AWS's default for what runs out of time.
    #[default]
    Abandon,
}

impl HookResult {
    /// AWS's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Continue => "CONTINUE",
            Self::Abandon => "ABANDON",
        }
    }

    /// What AWS's word means.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Continue, Self::Abandon].into_iter().find(|known| known.name() == word)
    }
}

/// A hook of a group; in the configuration an element of `hooks`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// Its name.
    pub name: String,
    /// What it holds up: in the configuration also `launching` and `terminating`.
    pub transition: Transition,
    /// How long an action may go on without a heartbeat, in seconds.
    #[serde(default = "default_heartbeat_timeout")]
    pub heartbeat_timeout_s: u32,
    /// How an action ends that runs out of time.
    #[serde(default)]
    pub default_result: HookResult,
}

pub(super) const fn default_heartbeat_timeout() -> u32 {
    3_600
}

impl Hook {
    /// How long an instance may wait for it, in seconds.
    #[must_use]
    pub fn global_timeout_s(&self) -> u32 {
        self.heartbeat_timeout_s.saturating_mul(GLOBAL_TIMEOUT_HEARTBEATS).min(GLOBAL_TIMEOUT_S_MAX)
    }

    /// What is wrong with it, if its heartbeat timeout may be `timeout_s_min` seconds and more.
    pub(crate) fn check(&self, timeout_s_min: u32) -> Result<(), String> {
        let Self { name, heartbeat_timeout_s, .. } = self;
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
        if name.is_empty() || name.len() > NAME_LENGTH_MAX || !name.chars().all(fits) {
            return Err(format!(
                "hook \"{name}\": a name is 1 to {NAME_LENGTH_MAX} letters, digits, '-', '_' and '/'"
            ));
        }
        let timeout_s_max = *HEARTBEAT_TIMEOUT_S.end();
        if !(timeout_s_min..=timeout_s_max).contains(heartbeat_timeout_s) {
            return Err(format!(
                "hook \"{name}\": heartbeat timeout {heartbeat_timeout_s} s: must be {timeout_s_min} to {timeout_s_max} s"
            ));
        }
        Ok(())
    }
}

/// What PutLifecycleHook sets; what is not given stays, or is AWS's default.
#[derive(Debug, Clone, Copy, Default)]
pub struct HookChange {
    /// What the hook holds up.
    pub transition: Option<Transition>,
    /// In seconds.
    pub heartbeat_timeout_s: Option<u32>,
    /// How an action ends that runs out of time.
    pub default_result: Option<HookResult>,
}

/// What a hook makes one instance wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookAction {
    /// The hook's name.
    pub hook: String,
    /// Its token, in the form of a UUID.
    pub token: String,
    /// When it runs out of time, Unix epoch milliseconds.
    pub until_ms: u64,
    global_until_ms: u64,
    heartbeat_timeout_ms: u64,
    pub(super) default_result: HookResult,
}

impl HookAction {
    pub(super) fn new(hook: Hook, token: String, now_ms: u64) -> Self {
        let heartbeat_timeout_ms = u64::from(hook.heartbeat_timeout_s) * 1_000;
        Self {
            global_until_ms: now_ms + u64::from(hook.global_timeout_s()) * 1_000,
            until_ms: now_ms + heartbeat_timeout_ms,
            default_result: hook.default_result,
            hook: hook.name,
            heartbeat_timeout_ms,
            token,
        }
    }

    /// Restarts its time, within what an instance may wait at most.
    pub(super) fn beat(&mut self, now_ms: u64) {
        self.until_ms = (now_ms + self.heartbeat_timeout_ms).min(self.global_until_ms);
    }
}
