//! `sandbox.toml`: which groups there are, how long things take, and what an instance runs.

use crate::world::{GroupProcess, HOOKS_MAX, Hook};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The most instances one group may be configured for.
pub const GROUP_SIZE_MAX: u32 = 10_000;

/// The whole of `sandbox.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Region named in answers.
    #[serde(default = "default_region")]
    pub region: String,
    /// Whether TerminateInstanceInAutoScalingGroup knows `InstanceIds` (not every region or emulator does).
    #[serde(default = "yes")]
    pub batch_terminate: bool,
    /// Whether the endpoint knows LaunchInstances (not every emulator does).
    #[serde(default = "yes")]
    pub launch_instances: bool,
    /// What an instance runs: program and arguments. The instance outlives it.
    pub boot_command: Vec<String>,
    /// Added to the boot command's otherwise minimal environment.
    #[serde(default)]
    pub boot_env: BTreeMap<String, String>,
    /// From wanting an instance until it appears as Pending, with its address.
    #[serde(default = "default_launch_delay")]
    pub launch_delay_ms: u64,
    /// From Pending until it is InService and its boot command starts.
    #[serde(default = "default_boot_delay")]
    pub boot_delay_ms: u64,
    /// From Terminating until it has left the group.
    #[serde(default = "default_launch_delay")]
    pub terminate_delay_ms: u64,
    /// From an instance's death until its group notices.
    #[serde(default = "default_replace_delay")]
    pub replace_delay_ms: u64,
    /// From a failed launch until the group tries again.
    #[serde(default = "default_retry_delay")]
    pub retry_delay_ms: u64,
    /// Describe calls see the world as it was this long ago.
    #[serde(default)]
    pub read_lag_ms: u64,
    /// Where the instances' output goes, one `i-….log` each. Created if missing.
    pub log_dir: PathBuf,
    /// Run each instance in a PID namespace of its own, so that its death leaves no process behind. Needs root.
    #[serde(default = "yes")]
    pub isolate: bool,
    /// The Auto Scaling groups.
    pub group: Vec<GroupConfig>,
    /// Names of SQS queues; EventBridge puts every notice of an instance into each.
    #[serde(default)]
    pub queues: Vec<String>,
    /// CloudWatch alarms with a simple scaling policy each.
    #[serde(default)]
    pub alarm: Vec<AlarmConfig>,
}

/// One `[[group]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupConfig {
    /// Name of the Auto Scaling group.
    pub name: String,
    /// Minimum size, in instances.
    #[serde(default)]
    pub min: u32,
    /// Maximum size, in instances.
    pub max: u32,
    /// Desired capacity at the start; the minimum if not given.
    pub desired: Option<u32>,
    /// From Pending until an instance is InService, if not as for the other groups.
    pub boot_delay_ms: Option<u64>,
    /// EC2 instance type.
    #[serde(default = "default_instance_type")]
    pub instance_type: String,
    /// Whether its launch template allows instance tags in metadata.
    #[serde(default = "yes")]
    pub metadata_tags: bool,
    /// Whether it has a launch template; if not, LaunchInstances is refused as for a launch configuration.
    #[serde(default = "yes")]
    pub launch_template: bool,
    /// HealthCheckType; the sandbox knows EC2's only, whatever it says.
    #[serde(default = "default_health_check")]
    pub health_check_type: String,
    /// Whether CapacityRebalance is said to be on.
    #[serde(default)]
    pub capacity_rebalance: bool,
    /// Availability zones, filled evenly; the region's `a` and `b` if empty.
    #[serde(default)]
    pub zones: Vec<String>,
    /// Whether new instances are protected from scale-in.
    #[serde(default)]
    pub new_instances_protected: bool,
    /// Life-cycle hooks, e.g. `{ name = "drain", transition = "terminating", heartbeat_timeout_s = 60 }`.
    #[serde(default)]
    pub hooks: Vec<Hook>,
    /// Processes that are suspended at the start. The sandbox never rebalances zones, so `AZRebalance` by default.
    #[serde(default = "default_suspended")]
    pub suspended_processes: Vec<GroupProcess>,
}

/// One `[[alarm]]`: a CloudWatch alarm, and the scaling policy (SimpleScaling, ChangeInCapacity) that it carries out.
/// A period without data does not breach the threshold.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlarmConfig {
    /// Its name.
    pub name: String,
    /// Namespace of the metric.
    pub namespace: String,
    /// Name of the metric.
    pub metric: String,
    /// Dimensions of the metric: exactly those that it is published with.
    #[serde(default)]
    pub dimensions: BTreeMap<String, String>,
    /// What is made of a period's values.
    #[serde(default)]
    pub statistic: Statistic,
    /// When a period breaches the threshold.
    #[serde(default)]
    pub comparison: Comparison,
    /// The threshold.
    pub threshold: f64,
    /// Length of a period.
    #[serde(default = "default_alarm_period")]
    pub period_ms: u64,
    /// How many periods in a row must breach the threshold.
    #[serde(default = "one")]
    pub evaluation_periods: u32,
    /// The Auto Scaling group whose desired capacity is raised, at most to its maximum.
    pub group: String,
    /// By how many instances.
    pub adjustment: u32,
    /// From the end of one launch to the next.
    #[serde(default = "default_cooldown")]
    pub cooldown_ms: u64,
}

/// CloudWatch's statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "CloudWatch's words")]
pub enum Statistic {
    #[default]
    Average,
    Sum,
    SampleCount,
    Minimum,
    Maximum,
}

/// CloudWatch's comparison operators.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "CloudWatch's words")]
pub enum Comparison {
    #[default]
    GreaterThanOrEqualToThreshold,
    GreaterThanThreshold,
    LessThanThreshold,
    LessThanOrEqualToThreshold,
}

fn default_region() -> String {
    "eu-west-1".into()
}
fn default_instance_type() -> String {
    "c5.large".into()
}
fn default_health_check() -> String {
    "EC2".into()
}
fn default_suspended() -> Vec<GroupProcess> {
    vec![GroupProcess::AZRebalance]
}
const fn yes() -> bool {
    true
}
const fn one() -> u32 {
    1
}
const fn default_alarm_period() -> u64 {
    60_000
}
const fn default_cooldown() -> u64 {
    300_000
}
const fn default_launch_delay() -> u64 {
    300
}
const fn default_boot_delay() -> u64 {
    1500
}
const fn default_replace_delay() -> u64 {
    1000
}
const fn default_retry_delay() -> u64 {
    3000
}

/// Why a configuration cannot be used; one line each.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key or a value of the wrong type.
    #[error("{path}:{line}: {message}")]
    Parse {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// The parser's words.
        message: String,
    },
    /// Values that do not go together.
    #[error("{path}: {message}")]
    Invalid {
        /// The file.
        path: String,
        /// What is wrong and what to write.
        message: String,
    },
}

impl Config {
    /// Reads and checks the file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: name.clone(), source })?;
        Self::parse(&text, &name)
    }

    /// Parses and checks a configuration; `path` is for messages only.
    pub fn parse(text: &str, path: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: path.into(),
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            message: error.message().lines().collect::<Vec<_>>().join(" "),
        })?;
        config.check().map_err(|message| ConfigError::Invalid { path: path.into(), message })?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if self.boot_command.is_empty() {
            return Err("boot_command is empty: write the program an instance runs, e.g. [\"/bin/sleep\", \"1000\"]".into());
        }
        let mut seen = BTreeSet::new();
        for group in &self.group {
            if group.name.is_empty() || !seen.insert(&group.name) {
                return Err(format!(
                    "group \"{}\": every group needs a name of its own",
                    group.name
                ));
            }
            let (min, max, desired) = (group.min, group.max, group.desired.unwrap_or(group.min));
            if !(min <= desired && desired <= max && max <= GROUP_SIZE_MAX) {
                return Err(format!(
                    "group \"{}\": min {min}, desired {desired}, max {max}: must be min ≤ desired ≤ max ≤ {GROUP_SIZE_MAX}",
                    group.name
                ));
            }
            check_hooks(group)?;
        }
        self.alarm.iter().try_for_each(|alarm| self.check_alarm(alarm))
    }

    fn check_alarm(&self, alarm: &AlarmConfig) -> Result<(), String> {
        let name = &alarm.name;
        if !self.group.iter().any(|group| group.name == alarm.group) {
            return Err(format!("alarm \"{name}\": there is no group \"{}\"", alarm.group));
        }
        if self.alarm.iter().filter(|other| other.name == *name).count() > 1 {
            return Err(format!("alarm \"{name}\": every alarm needs a name of its own"));
        }
        if !(1..=86_400_000).contains(&alarm.period_ms)
            || !(1..=100).contains(&alarm.evaluation_periods)
        {
            return Err(format!(
                "alarm \"{name}\": period_ms is 1 to 86400000, evaluation_periods 1 to 100"
            ));
        }
        Ok(())
    }
}

fn check_hooks(group: &GroupConfig) -> Result<(), String> {
    let in_group = |message: String| format!("group \"{}\": {message}", group.name);
    let mut seen = BTreeSet::new();
    for hook in &group.hooks {
        hook.check(1).map_err(in_group)?;
        if !seen.insert(&hook.name) {
            return Err(in_group(format!(
                "hook \"{}\": every hook needs a name of its own",
                hook.name
            )));
        }
    }
    if group.hooks.len() > HOOKS_MAX {
        return Err(in_group(format!("{} hooks: at most {HOOKS_MAX}", group.hooks.len())));
    }
    Ok(())
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str =
        "boot_command = [\"true\"]\nlog_dir = \"/tmp\"\n[[group]]\nname = \"g\"\nmax = 2\n";

    #[test]
    fn defaults_fill_what_is_not_written() {
        let config = Config::parse(MINIMAL, "s.toml").unwrap();
        assert_eq!(
            (config.launch_delay_ms, config.boot_delay_ms, config.isolate),
            (300, 1500, true)
        );
        assert_eq!((config.group[0].min, config.group[0].desired), (0, None));
    }

    #[test]
    fn errors_are_one_line_naming_file_and_line() {
        let check = |extra: &str, want: &str| {
            let error =
                Config::parse(&format!("{MINIMAL}{extra}"), "s.toml").unwrap_err().to_string();
            assert!(error.contains(want) && !error.contains('\n'), "{error}");
        };
        check("maximum = 3\n", "s.toml:6: unknown field `maximum`");
        check("min = \"x\"\n", "s.toml:6: invalid type");
        check("min = 3\n", "min 3, desired 3, max 2");
        let alarm = "[[alarm]]\nname = \"a\"\nnamespace = \"n\"\nmetric = \"m\"\nthreshold = 1\nadjustment = 1\n";
        check(&format!("{alarm}group = \"h\"\n"), "there is no group \"h\"");
        check(&format!("{alarm}group = \"g\"\nperiod_ms = 0\n"), "period_ms is 1 to");
        check(&format!("{alarm}group = \"g\"\n{alarm}group = \"g\"\n"), "name of its own");
        check(
            &format!("{alarm}group = \"g\"\nstatistic = \"p99\"\n"),
            "s.toml:13: unknown variant",
        );
        check("[[group]]\nname = \"g\"\nmax = 1\n", "name of its own");
        let hook = |rest: &str| format!("{{ name = \"h\", transition = \"launching\"{rest} }}");
        let hooks = |list: &str| format!("hooks = [{list}]\n");
        check(&hooks(&hook(", heartbeat_timeout_s = 0")), "must be 1 to 7200 s");
        check(&hooks(&format!("{0}, {0}", hook(""))), "group \"g\": hook \"h\": every hook");
        check(&hooks(&hook(", default_result = \"RETRY\"")), "s.toml:6: unknown variant");
        check("suspended_processes = [\"Lunch\"]\n", "s.toml:6: unknown variant `Lunch`");
        let many: Vec<_> =
            (0..51).map(|n| hook("").replace("\"h\"", &format!("\"h{n}\""))).collect();
        check(&hooks(&many.join(", ")), "51 hooks: at most 50");
    }
}
