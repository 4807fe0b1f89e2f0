//! What the administrator wants: asg.toml, parsed into a form in which bad values cannot exist.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::hostlist;
use crate::ids::{AsgName, GroupName, NodeName};
use crate::word::one_line;

mod access;
mod api;
mod events;
mod launch;
mod price;
mod queue;
pub mod reference;
mod scale_in;
mod sizes;

pub use access::{Access, Who};
pub use api::Api;
pub use events::EventsPolicy;
pub use launch::Launch;
pub use price::{CURRENCY, Price};
pub use scale_in::{BillingHour, ScaleIn};
pub use sizes::Sizes;

/// AWS holds an instance no longer, however often its hook is told to wait (API reference of
/// RecordLifecycleActionHeartbeat: 48 hours, or 100 times the heartbeat timeout).
const DRAIN_LIMIT_MAX_SECS: u64 = 172_800;
/// So many boots in a row may fail.
const BOOT_FAILURES_MAX: u32 = 10;
/// CloudWatch keeps metrics of standard resolution by the minute (PutMetricData).
const METRICS_PERIOD_SECS: u64 = 60;
/// The longest name of a namespace, in characters (PutMetricData).
const NAMESPACE_CHARS_MAX: usize = 255;
/// How many groups one configuration may have.
pub const GROUPS_MAX: usize = 64;

/// The parsed asg.toml.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// AWS region; `None` leaves it to the SDK's own chain.
    pub region: Option<String>,
    /// Where state is kept; `None` is `asg` below slurm.conf's StateSaveLocation.
    pub state_dir: Option<PathBuf>,
    /// The socket for the programs and the command line; `None` is the usual place.
    pub socket: Option<PathBuf>,
    /// Who may use it.
    pub access: Access,
    /// The URL of the SQS queue that AWS's notices come from, if there is one.
    pub events_queue: Option<String>,
    /// What is published to CloudWatch.
    pub metrics: MetricsPolicy,
    /// The event log.
    pub events: EventsPolicy,
    /// The currency of prices.
    pub currency: String,
    /// Whether jobs that wait are told why in their AdminComment.
    pub job_notices: bool,
    /// The groups, by name.
    pub groups: BTreeMap<GroupName, GroupPolicy>,
    /// What is taken and should be written otherwise: one line each, with file, line and what to
    /// write.
    pub warnings: Vec<String>,
    group_of: Arc<BTreeMap<NodeName, GroupName>>,
}

/// What one `[[group]]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPolicy {
    /// Slurm nodes of the group, in the order of the expression.
    pub nodes: Vec<NodeName>,
    /// Auto Scaling groups that serve them, in order of preference. Never empty.
    pub asgs: Vec<AsgName>,
    /// Whether capacity is raised for pending jobs before Slurm gives them nodes.
    pub prelaunch: bool,
    /// Who raises the capacity.
    pub scale_out: ScaleOut,
    /// By which call, if it is slurm-asg.
    pub api: Api,
    /// What becomes of a job that cannot have all of its nodes.
    pub launch: Launch,
    /// How long such a job may wait, if the group launches all or nothing.
    pub launch_limit: Duration,
    /// Who decides that an idle node goes.
    pub scale_in: ScaleIn,
    /// How long an instance that serves no node and is not wanted may live.
    pub orphan_grace: Duration,
    /// For how long a life-cycle hook is told to wait for the jobs of an instance.
    pub drain_limit: Duration,
    /// How long a group is asked for nothing after a launch has failed.
    pub capacity_cooldown: Duration,
    /// After so many boots in a row that failed nothing is launched any more; 0 is never.
    pub boot_failures_max: u32,
    /// How many instances it keeps, begins with and may have. Only with one Auto Scaling group.
    pub sizes: Sizes,
    /// What an instance costs for an hour, for reports.
    pub price: Option<Price>,
}

/// The table `[metrics]`: what is published to CloudWatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsPolicy {
    /// Whether all metrics are published. What alarms need is published all the same.
    pub publish: bool,
    /// CloudWatch's namespace.
    pub namespace: String,
    /// From one publication to the next. Whole seconds, at least one.
    pub period: Duration,
}

impl Default for MetricsPolicy {
    fn default() -> Self {
        Self {
            publish: false,
            namespace: "SlurmAsg".to_owned(),
            period: Duration::from_secs(METRICS_PERIOD_SECS),
        }
    }
}

/// Who raises a group's capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScaleOut {
    /// slurm-asg, by [`Api`].
    #[default]
    Direct,
    /// CloudWatch alarms on the metric `pending`, by scaling policies of the Auto Scaling group.
    Alarm,
}

impl Policy {
    /// Groups by their names; all of them if none is named.
    ///
    /// # Errors
    /// If there is no such group, in one line.
    pub fn chosen(&self, names: &[String]) -> Result<Vec<GroupName>, String> {
        if names.is_empty() {
            return Ok(self.groups.keys().cloned().collect());
        }
        let known = |name: &String| {
            let group = GroupName::new(name);
            if self.groups.contains_key(&group) {
                return Ok(group);
            }
            let all: Vec<_> = self.groups.keys().map(GroupName::as_str).collect();
            Err(format!("asg.toml has no group `{name}`; it has {}", all.join(", ")))
        };
        names.iter().map(known).collect()
    }

    /// The group that a node belongs to, if slurm-asg cares for it.
    #[must_use]
    pub fn group_of(&self, node: &NodeName) -> Option<&GroupName> {
        self.group_of.get(node)
    }

    /// The group that an Auto Scaling group serves.
    #[must_use]
    pub fn group_of_asg(&self, asg: &AsgName) -> Option<(&GroupName, &GroupPolicy)> {
        self.groups.iter().find(|(_, group)| group.asgs.contains(asg))
    }

    /// All Auto Scaling groups, each once, in the order of the groups.
    #[must_use]
    pub fn asgs(&self) -> Vec<AsgName> {
        self.groups.values().flat_map(|group| group.asgs.iter().cloned()).collect()
    }
}

/// What is wrong with asg.toml: one line, with the place and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct PolicyError {
    file: String,
    line: usize,
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    region: Option<toml::Spanned<String>>,
    state_dir: Option<toml::Spanned<PathBuf>>,
    socket: Option<toml::Spanned<PathBuf>>,
    events_queue: Option<toml::Spanned<String>>,
    operators: access::Key,
    readers: access::Key,
    metrics: Option<FileMetrics>,
    events: Option<events::Raw>,
    currency: Option<toml::Spanned<String>>,
    job_notices: Option<bool>,
    #[serde(default)]
    group: Vec<toml::Spanned<FileGroup>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileMetrics {
    publish: Option<bool>,
    namespace: Option<toml::Spanned<String>>,
    period: Option<toml::Spanned<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileGroup {
    name: toml::Spanned<String>,
    nodes: toml::Spanned<String>,
    asg: toml::Spanned<OneOrMore>,
    prelaunch: Option<bool>,
    scale_out: Option<toml::Spanned<String>>,
    api: Option<toml::Spanned<String>>,
    launch: Option<toml::Spanned<String>>,
    launch_limit: Option<toml::Spanned<u64>>,
    scale_in: Option<toml::Spanned<String>>,
    cooldown: Option<toml::Spanned<u64>>,
    billing_period: Option<toml::Spanned<u64>>,
    billing_window_percent: Option<toml::Spanned<u64>>,
    orphan_grace: Option<toml::Spanned<u64>>,
    drain_limit: Option<toml::Spanned<u64>>,
    price_per_hour: Option<toml::Spanned<f64>>,
    capacity_cooldown: Option<toml::Spanned<u64>>,
    boot_failures_max: Option<u32>,
    min_size: sizes::Key,
    initial_size: sizes::Key,
    max_size: sizes::Key,
    maintain_initial_size: sizes::Key,
    min_queue_size: sizes::Key,
    initial_queue_size: sizes::Key,
    max_queue_size: sizes::Key,
}

impl FileGroup {
    const fn take_launch(&mut self) -> launch::Raw {
        launch::Raw { launch: self.launch.take(), limit: self.launch_limit.take() }
    }

    fn take_scale_in(&mut self) -> scale_in::Raw {
        scale_in::Raw {
            scale_in: self.scale_in.take(),
            cooldown: self.cooldown.take(),
            period: self.billing_period.take(),
            window: self.billing_window_percent.take(),
        }
    }

    fn take_sizes(&mut self) -> sizes::Raw {
        let named = |name, value: &mut sizes::Key, old_name, old_value: &mut sizes::Key| {
            sizes::Named { name, value: value.take(), old_name, old_value: old_value.take() }
        };
        sizes::Raw {
            min: named("min_size", &mut self.min_size, "min_queue_size", &mut self.min_queue_size),
            initial: named(
                "initial_size",
                &mut self.initial_size,
                "initial_queue_size",
                &mut self.initial_queue_size,
            ),
            max: named("max_size", &mut self.max_size, "max_queue_size", &mut self.max_queue_size),
            maintain: self.maintain_initial_size.take(),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a name in quotes, or a list of names")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// Parses asg.toml. `file` is only named in errors.
///
/// # Errors
/// The first thing that is wrong, with file, line and what to write instead.
pub fn parse(file: &Path, text: &str) -> Result<Policy, PolicyError> {
    let source = Source { file, text };
    let raw: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        source.error(at, error.message().replace('\n', "; "))
    })?;
    if raw.group.is_empty() {
        let hint = "no [[group]]; write [[group]] with name, nodes and asg";
        return Err(source.error(text.len(), hint.to_owned()));
    }
    if raw.group.len() > GROUPS_MAX {
        return Err(source.error(text.len(), format!("more than {GROUPS_MAX} groups")));
    }
    let region = raw.region.map(|region| source.region(region)).transpose()?;
    let events_queue = raw.events_queue;
    let events_queue =
        events_queue.map(|url| queue::read(&source, url, region.as_deref())).transpose()?;
    let mut policy = Policy {
        region,
        events_queue,
        state_dir: raw.state_dir.map(|dir| source.absolute("state_dir", dir)).transpose()?,
        socket: raw.socket.map(|socket| source.absolute("socket", socket)).transpose()?,
        access: access::read(&source, raw.operators, raw.readers)?,
        metrics: raw.metrics.map(|raw| source.metrics(raw)).transpose()?.unwrap_or_default(),
        events: raw.events.map(|raw| events::read(&source, raw)).transpose()?.unwrap_or_default(),
        currency: raw
            .currency
            .map(|raw| price::read_currency(&source, raw))
            .transpose()?
            .unwrap_or_else(|| CURRENCY.to_owned()),
        job_notices: raw.job_notices.unwrap_or(false),
        groups: BTreeMap::new(),
        warnings: Vec::new(),
        group_of: Arc::default(),
    };
    let mut taken = Taken::default();
    for group in raw.group {
        let (name, group) = source.group(group.into_inner(), &mut taken, &mut policy.warnings)?;
        policy.groups.insert(name, group);
    }
    policy.group_of = Arc::new(taken.nodes);
    Ok(policy)
}

/// What earlier groups have claimed.
#[derive(Default)]
struct Taken {
    names: BTreeMap<GroupName, ()>,
    nodes: BTreeMap<NodeName, GroupName>,
    asgs: BTreeMap<AsgName, GroupName>,
}

struct Source<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn error(&self, at: usize, message: String) -> PolicyError {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let (file, message) = (self.file.display().to_string(), one_line(&message));
        PolicyError { file, line, message }
    }

    fn region(&self, region: toml::Spanned<String>) -> Result<String, PolicyError> {
        let name = region.get_ref();
        let plausible = name.len() >= 4
            && name.contains('-')
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if plausible {
            return Ok(region.into_inner());
        }
        let message =
            format!("region `{name}` is not an AWS region; write for instance \"eu-west-1\"");
        Err(self.error(region.span().start, message))
    }

    fn absolute(&self, key: &str, path: toml::Spanned<PathBuf>) -> Result<PathBuf, PolicyError> {
        if path.get_ref().is_absolute() {
            return Ok(path.into_inner());
        }
        let message = format!("{key} must be an absolute path, beginning with /");
        Err(self.error(path.span().start, message))
    }

    /// A number that is `what`, as in "in seconds", and must be within a range.
    fn within<T: Copy + Display + PartialOrd>(
        &self,
        key: &str,
        what: &str,
        number: toml::Spanned<T>,
        range: RangeInclusive<T>,
    ) -> Result<T, PolicyError> {
        if range.contains(number.get_ref()) {
            return Ok(number.into_inner());
        }
        let message = format!("{key} is {what}, from {} to {}", range.start(), range.end());
        Err(self.error(number.span().start, message))
    }

    fn metrics(&self, raw: FileMetrics) -> Result<MetricsPolicy, PolicyError> {
        let mut metrics = MetricsPolicy::default();
        metrics.publish = raw.publish.unwrap_or(metrics.publish);
        if let Some(namespace) = raw.namespace {
            // PutMetricData, parameter Namespace. `AWS/` is for AWS's own services.
            let name = namespace.get_ref();
            let plain = |c: char| c.is_ascii_alphanumeric() || ".-_/#: ".contains(c);
            let allowed = !name.trim().is_empty()
                && name.len() <= NAMESPACE_CHARS_MAX
                && name.chars().all(plain)
                && !name.starts_with(':')
                && !name.starts_with("AWS/");
            if !allowed {
                let message = format!(
                    "namespace `{name}` is not one for CloudWatch; write up to 255 letters, digits \
                     and any of . - _ / # that do not begin with AWS/, for instance \"SlurmAsg\""
                );
                return Err(self.error(namespace.span().start, message));
            }
            metrics.namespace = namespace.into_inner();
        }
        if let Some(period) = raw.period {
            let secs = self.within("period", "in seconds", period, 1..=3600)?;
            metrics.period = Duration::from_secs(secs);
        }
        Ok(metrics)
    }

    fn group(
        &self,
        mut raw: FileGroup,
        taken: &mut Taken,
        warnings: &mut Vec<String>,
    ) -> Result<(GroupName, GroupPolicy), PolicyError> {
        let (raw_sizes, raw_launch) = (raw.take_sizes(), raw.take_launch());
        let scale_in = scale_in::read(self, raw.take_scale_in())?;
        let name_at = raw.name.span().start;
        let name = GroupName::new(raw.name.get_ref());
        if !is_plain(name.as_str()) {
            let message =
                format!("group name `{name}` may have letters, digits, `-`, `_` and `.` only");
            return Err(self.error(name_at, message));
        }
        if taken.names.insert(name.clone(), ()).is_some() {
            return Err(self.error(name_at, format!("a group `{name}` is there already")));
        }
        let nodes = self.nodes(&name, &raw.nodes, taken)?;
        let asgs = self.asgs(&name, raw.asg, taken)?;
        let scale_out = self.scale_out(raw.scale_out, &asgs)?;
        let api = api::read(self, raw.api, scale_out)?;
        let (launch, launch_limit) = launch::read(self, raw_launch, scale_out)?;
        let seconds = |name, key: Option<_>, default, max| match key {
            None => Ok(Duration::from_secs(default)),
            Some(secs) => self.within(name, "in seconds", secs, 1..=max).map(Duration::from_secs),
        };
        let orphan_grace = seconds("orphan_grace", raw.orphan_grace, 300, 86_400)?;
        let drain_limit =
            seconds("drain_limit", raw.drain_limit, DRAIN_LIMIT_MAX_SECS, DRAIN_LIMIT_MAX_SECS)?;
        let capacity_cooldown = seconds("capacity_cooldown", raw.capacity_cooldown, 600, 86_400)?;
        let boot_failures_max = raw.boot_failures_max.unwrap_or(BOOT_FAILURES_MAX);
        let prelaunch = raw.prelaunch.unwrap_or(true);
        let price = raw.price_per_hour.map(|raw| price::read_price(self, &raw)).transpose()?;
        let room = sizes::Room { nodes: nodes.len(), asgs: asgs.len() };
        let sizes = sizes::read(self, raw_sizes, &room, warnings)?;
        let group = GroupPolicy {
            nodes,
            asgs,
            prelaunch,
            scale_out,
            api,
            launch,
            launch_limit,
            scale_in,
            orphan_grace,
            drain_limit,
            capacity_cooldown,
            boot_failures_max,
            sizes,
            price,
        };
        Ok((name, group))
    }

    fn scale_out(
        &self,
        raw: Option<toml::Spanned<String>>,
        asgs: &[AsgName],
    ) -> Result<ScaleOut, PolicyError> {
        let Some(raw) = raw else { return Ok(ScaleOut::default()) };
        let message = match raw.get_ref().as_str() {
            "direct" => return Ok(ScaleOut::Direct),
            // One metric, two groups with alarms on it: both would grow for the same nodes.
            "alarm" if asgs.len() == 1 => return Ok(ScaleOut::Alarm),
            "alarm" => "scale_out = \"alarm\" goes with one Auto Scaling group: alarms know no \
                        order of preference; give each a [[group]] of its own"
                .to_owned(),
            other => format!("scale_out `{other}` is not known; write \"direct\" or \"alarm\""),
        };
        Err(self.error(raw.span().start, message))
    }

    fn nodes(
        &self,
        group: &GroupName,
        raw: &toml::Spanned<String>,
        taken: &mut Taken,
    ) -> Result<Vec<NodeName>, PolicyError> {
        let at = raw.span().start;
        let nodes = hostlist::expand(raw.get_ref())
            .map_err(|error| self.error(at, format!("nodes: {error}")))?;
        for node in &nodes {
            if let Some(other) = taken.nodes.insert(node.clone(), group.clone()) {
                let message = format!(
                    "node {node} of group `{group}` is in group `{other}` already; a node has one group"
                );
                return Err(self.error(at, message));
            }
        }
        Ok(nodes)
    }

    fn asgs(
        &self,
        group: &GroupName,
        raw: toml::Spanned<OneOrMore>,
        taken: &mut Taken,
    ) -> Result<Vec<AsgName>, PolicyError> {
        let at = raw.span().start;
        let names = match raw.into_inner() {
            OneOrMore::One(name) => vec![name],
            OneOrMore::More(names) => names,
        };
        if names.is_empty() || names.iter().any(String::is_empty) {
            let message = "asg must name an Auto Scaling group, or list some".to_owned();
            return Err(self.error(at, message));
        }
        let names: Vec<AsgName> = names.iter().map(|name| AsgName::new(name)).collect();
        for name in &names {
            if let Some(other) = taken.asgs.insert(name.clone(), group.clone()) {
                let message = format!(
                    "Auto Scaling group {name} serves group `{other}` already; give each its own"
                );
                return Err(self.error(at, message));
            }
        }
        Ok(names)
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(Path::new("asg.toml"), text).unwrap_err().to_string()
    }

    const GROUP: &str = "[[group]]\nname = \"c\"\nnodes = \"c[1-2]\"\nasg = \"a\"\n";

    #[test]
    fn the_shortest_file_has_one_group() {
        let policy = parse(Path::new("asg.toml"), GROUP).unwrap();
        let group = &policy.groups[&GroupName::new("c")];
        assert_eq!(group.nodes, ["c1".into(), "c2".into()]);
        assert_eq!(group.asgs, [AsgName::new("a")]);
        assert_eq!(group.orphan_grace, Duration::from_secs(300));
        assert!(group.prelaunch);
        assert_eq!(policy.socket, None);
        assert_eq!(policy.group_of(&"c2".into()), Some(&GroupName::new("c")));
        assert_eq!(policy.group_of(&"d1".into()), None);
    }

    #[test]
    fn alarms_and_metrics_are_off_unless_they_are_asked_for() {
        let policy = parse(Path::new("asg.toml"), GROUP).unwrap();
        assert_eq!(policy.groups[&GroupName::new("c")].scale_out, ScaleOut::Direct);
        assert_eq!(policy.metrics, MetricsPolicy::default());
        let text = format!(
            "[metrics]\npublish = true\nnamespace = \"HPC/Slurm\"\nperiod = 10\n{GROUP}\
             scale_out = \"alarm\"\n"
        );
        let policy = parse(Path::new("asg.toml"), &text).unwrap();
        assert_eq!(policy.groups[&GroupName::new("c")].scale_out, ScaleOut::Alarm);
        let (namespace, period) = ("HPC/Slurm".to_owned(), Duration::from_secs(10));
        assert_eq!(policy.metrics, MetricsPolicy { publish: true, namespace, period });
    }

    #[test]
    fn every_error_names_file_line_and_what_to_write() {
        let table = [
            ("", "asg.toml:1: no [[group]]; write [[group]] with name, nodes and asg"),
            (
                "regoin = \"eu-west-1\"",
                "asg.toml:1: unknown field `regoin`, expected one of `region`, `state_dir`, `socket`, `events_queue`, `operators`, `readers`, `metrics`, `events`, `currency`, `job_notices`, `group`",
            ),
            (
                "region = \"Ireland\"\n[[group]]\nname=\"c\"\nnodes=\"c1\"\nasg=\"a\"",
                "asg.toml:1: region `Ireland` is not an AWS region; write for instance \"eu-west-1\"",
            ),
            (
                "socket = \"run/x\"\n[[group]]\nname=\"c\"\nnodes=\"c1\"\nasg=\"a\"",
                "asg.toml:1: socket must be an absolute path, beginning with /",
            ),
            (
                "[[group]]\nname = \"c\"\nnodes = \"c[1-\"\nasg = \"a\"",
                "asg.toml:3: nodes: `c[1-` has a bracket without its partner; write for instance compute-[1-8]",
            ),
            (
                "[[group]]\nname = \"c\"\nnodes = \"c1\"\nasg = []",
                "asg.toml:4: asg must name an Auto Scaling group, or list some",
            ),
            (
                "[[group]]\nname = \"c\"\nnodes = \"c1\"\nasg = 3",
                "asg.toml:4: expected a name in quotes, or a list of names",
            ),
            (
                "[[group]]\nname = \"c\"\nnodes = \"c1\"\nasg = \"a\"\ndrain_limit = 172801",
                "asg.toml:5: drain_limit is in seconds, from 1 to 172800",
            ),
            (
                "[[group]]\nname = \"c\"\nnodes = \"c1\"\nasg = \"a\"\norphan_grace = 0",
                "asg.toml:5: orphan_grace is in seconds, from 1 to 86400",
            ),
            (
                "[[group]]\nname = \"c\"\nnodes = \"c1\"\nasg = \"a\"\nscale_out = \"alarms\"",
                "asg.toml:5: scale_out `alarms` is not known; write \"direct\" or \"alarm\"",
            ),
            (
                "[[group]]\nname = \"c\"\nnodes = \"c1\"\nasg = [\"a\", \"b\"]\nscale_out = \"alarm\"",
                "asg.toml:5: scale_out = \"alarm\" goes with one Auto Scaling group: alarms know no \
                 order of preference; give each a [[group]] of its own",
            ),
            (
                "[metrics]\npublish = true\nperiod = 0\n[[group]]\nname = \"c\"\nnodes = \"c1\"\nasg = \"a\"",
                "asg.toml:3: period is in seconds, from 1 to 3600",
            ),
            (
                "[metrics]\nnamespace = \"AWS/EC2\"\n[[group]]\nname = \"c\"\nnodes = \"c1\"\nasg = \"a\"",
                "asg.toml:2: namespace `AWS/EC2` is not one for CloudWatch; write up to 255 letters, \
                 digits and any of . - _ / # that do not begin with AWS/, for instance \"SlurmAsg\"",
            ),
            (
                "[metrics]\npublished = true\n[[group]]\nname = \"c\"\nnodes = \"c1\"\nasg = \"a\"",
                "asg.toml:2: unknown field `published`, expected one of `publish`, `namespace`, `period`",
            ),
            (
                "[[group]]\nname = \"c c\"\nnodes = \"c1\"\nasg = \"a\"",
                "asg.toml:2: group name `c c` may have letters, digits, `-`, `_` and `.` only",
            ),
        ];
        for (text, message) in table {
            assert_eq!(error(text), message, "{text}");
        }
        let twice = "[[group]]\nname = \"d\"\nnodes = \"c2\"\nasg = \"b\"\n";
        assert!(error(&format!("{GROUP}{twice}")).contains("node c2 of group `d` is in group `c`"));
        let shared = "[[group]]\nname = \"d\"\nnodes = \"d1\"\nasg = \"a\"\n";
        assert!(error(&format!("{GROUP}{shared}")).contains("asg.toml:8: Auto Scaling group a"));
        assert!(error("region = ").starts_with("asg.toml:1: "));
        assert!(!error("region = ").contains('\n'));
    }
}
