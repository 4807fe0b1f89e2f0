//! What AWS says beforehand of instances that it takes away: messages of EC2 and AWS Health, as
//! EventBridge delivers them to a queue.
//!
//! Formats: EC2 user guide, "Spot Instance interruption notices", "EC2 instance rebalance
//! recommendations", "State change events"; AWS Health user guide, "EventBridge schema". A message
//! is a hint: a node drains because of it, and what is dead only EC2 itself says.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::InstanceId;
use crate::snapshot::is_dead_state;
use crate::time::{Timestamp, rfc3339};
use crate::word::one_line;

/// The longest message that SQS takes, bytes (quotas of SQS, since 2025; before it was a quarter).
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Instances of one message; AWS Health names up to 100 in one.
const INSTANCES_MAX: usize = 1000;
/// EC2 interrupts a Spot Instance this long after its notice.
const SPOT_NOTICE: Duration = Duration::from_secs(120);
/// Characters of a code of AWS Health; the longest known have about 60.
const CODE_CHARS_MAX: usize = 100;

/// What AWS means to do with an instance. The later in this list, the sooner it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A scheduled event: it is retired, stopped or rebooted, most often days later.
    ScheduledEvent,
    /// It is at elevated risk of being interrupted.
    RebalanceRecommendation,
    /// A Spot Instance is interrupted two minutes later.
    SpotInterruption,
}

impl NoticeKind {
    /// The word in a node's reason: `(Code:SpotInterruption)`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::ScheduledEvent => "ScheduledEvent",
            Self::RebalanceRecommendation => "RebalanceRecommendation",
            Self::SpotInterruption => "SpotInterruption",
        }
    }
}

/// A notice that an instance goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// Why it goes.
    pub kind: NoticeKind,
    /// AWS's word for what happens: `terminate`, `AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED`; may be
    /// empty.
    pub what: String,
    /// When AWS said so.
    pub at: Timestamp,
    /// When it goes, if that is said.
    pub goes_at: Option<Timestamp>,
}

impl Notice {
    /// A node's reason, for `sinfo -R`: `(Code:SpotInterruption) i-… goes at 14:05 UTC`.
    #[must_use]
    pub fn reason(&self, instance: &InstanceId) -> String {
        let (code, what) = (self.kind.code(), &self.what);
        // An event may be weeks ahead.
        let at = |time: Timestamp| match self.kind {
            NoticeKind::ScheduledEvent => date_and_minute(time),
            NoticeKind::RebalanceRecommendation | NoticeKind::SpotInterruption => {
                hour_and_minute(time)
            }
        };
        let goes_at = self.goes_at.map(|time| format!(" at {} UTC", at(time))).unwrap_or_default();
        match self.kind {
            NoticeKind::ScheduledEvent => format!("(Code:{code}) {instance}: {what}{goes_at}"),
            NoticeKind::RebalanceRecommendation => {
                format!("(Code:{code}) {instance} is likely to be interrupted")
            }
            NoticeKind::SpotInterruption => format!("(Code:{code}) {instance} goes{goes_at}"),
        }
    }

    /// Whether this says more than an earlier notice of the same instance.
    #[must_use]
    pub fn supersedes(&self, earlier: &Self) -> bool {
        self.kind > earlier.kind || self.kind == earlier.kind && self.goes_at != earlier.goes_at
    }
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Instances go.
    Notice(Notice, Vec<InstanceId>),
    /// An instance stops or ends, as EC2 can say itself now.
    StateChange(InstanceId),
    /// Nothing that matters here.
    Other,
}

/// A message that cannot be read: why, in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadMessage(String);

impl BadMessage {
    fn new(why: &str) -> Self {
        Self(one_line(why))
    }
}

/// EventBridge's envelope.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "detail-type")]
    detail_type: String,
    time: Option<String>,
    #[serde(default)]
    detail: Value,
}

impl Envelope {
    fn text(&self, key: &str) -> &str {
        self.detail.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// The one instance that a message of EC2 is about.
    fn instance(&self) -> Result<InstanceId, BadMessage> {
        let id = self.text("instance-id");
        instance_id(id).ok_or_else(|| {
            BadMessage::new(&format!("{}: no instance-id in its detail", self.detail_type))
        })
    }
}

/// Reads a message's body. `now` stands for its time where that is missing.
///
/// # Errors
/// If it is no event of EventBridge, or one of those that matter without what matters in it.
pub fn read(body: &str, now: Timestamp) -> Result<Message, BadMessage> {
    if body.len() > MESSAGE_BYTES_MAX {
        return Err(BadMessage::new("longer than a message of SQS can be"));
    }
    if !body.trim_start().starts_with('{') {
        return Err(BadMessage::new("no JSON object"));
    }
    let event: Envelope =
        serde_json::from_str(body).map_err(|error| BadMessage::new(&error.to_string()))?;
    let at = event.time.as_deref().and_then(rfc3339::parse).unwrap_or(now);
    match event.detail_type.as_str() {
        "EC2 Spot Instance Interruption Warning" => {
            let what = code(event.text("instance-action"));
            let goes_at = Some(at.after(SPOT_NOTICE));
            let notice = Notice { kind: NoticeKind::SpotInterruption, what, at, goes_at };
            Ok(Message::Notice(notice, vec![event.instance()?]))
        }
        "EC2 Instance Rebalance Recommendation" => {
            let kind = NoticeKind::RebalanceRecommendation;
            let notice = Notice { kind, what: String::new(), at, goes_at: None };
            Ok(Message::Notice(notice, vec![event.instance()?]))
        }
        "EC2 Instance State-change Notification" => {
            let instance = event.instance()?;
            let ends = is_dead_state(event.text("state"));
            Ok(if ends { Message::StateChange(instance) } else { Message::Other })
        }
        "AWS Health Event" => read_health(&event, at),
        _ => Ok(Message::Other),
    }
}

/// AWS Health says of scheduled events of EC2, and of much else.
fn read_health(event: &Envelope, at: Timestamp) -> Result<Message, BadMessage> {
    let is_meant = event.text("service") == "EC2"
        && event.text("eventTypeCategory") == "scheduledChange"
        && event.text("statusCode") != "closed";
    if !is_meant {
        return Ok(Message::Other);
    }
    let entities = event.detail.get("affectedEntities").and_then(Value::as_array);
    let entities = entities.into_iter().flatten();
    let instances: Vec<_> = entities
        .filter_map(|entity| entity.get("entityValue").and_then(Value::as_str))
        .filter_map(instance_id)
        .take(INSTANCES_MAX)
        .collect();
    if instances.is_empty() {
        // Volumes and hosts have such events too.
        return Ok(Message::Other);
    }
    let what = code(event.text("eventTypeCode"));
    if what.is_empty() {
        return Err(BadMessage::new("AWS Health Event: no eventTypeCode in its detail"));
    }
    let goes_at = health_time(event.text("startTime"));
    Ok(Message::Notice(Notice { kind: NoticeKind::ScheduledEvent, what, at, goes_at }, instances))
}

/// AWS Health writes `Sat, 05 Jun 2027 15:10:09 GMT`.
fn health_time(text: &str) -> Option<Timestamp> {
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    u64::try_from(time.as_millisecond()).ok().map(Timestamp::from_millis)
}

/// `i-` and 8 or 17 hexadecimal digits (EC2 user guide, "Resource IDs").
fn instance_id(text: &str) -> Option<InstanceId> {
    let digits = text.strip_prefix("i-")?;
    let fits = (1..=17).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_hexdigit());
    fits.then(|| InstanceId::new(text))
}

/// A word of AWS: it goes into a node's reason. Empty if it is none.
fn code(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let fits = text.chars().count() <= CODE_CHARS_MAX && text.chars().all(plain);
    if fits { text.to_owned() } else { String::new() }
}

fn hour_and_minute(time: Timestamp) -> String {
    rfc3339::text(time).get(11..16).unwrap_or_default().to_owned()
}

fn date_and_minute(time: Timestamp) -> String {
    let text = rfc3339::text(time);
    format!("{} {}", text.get(..10).unwrap_or_default(), text.get(11..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_599_296_007);
    const ID: &str = "i-0123456789abcdef0";

    fn ec2(detail_type: &str, detail: &str) -> String {
        format!(
            r#"{{"version":"0","id":"1","detail-type":"{detail_type}","source":"aws.ec2",
            "account":"123456789012","time":"2026-11-25T14:03:10Z","region":"eu-west-1",
            "resources":["arn:aws:ec2:eu-west-1:123456789012:instance/{ID}"],"detail":{detail}}}"#
        )
    }

    fn health(status: &str, category: &str, entity: &str) -> String {
        ec2(
            "AWS Health Event",
            &format!(
                r#"{{"service":"EC2","eventTypeCode":"AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED",
                "eventTypeCategory":"{category}","statusCode":"{status}",
                "startTime":"Sat, 05 Dec 2026 15:10:09 GMT",
                "affectedEntities":[{{"entityValue":"{entity}"}}]}}"#
            ),
        )
    }

    #[test]
    fn each_notice_says_in_the_nodes_reason_what_happens_and_when() {
        let spot = r#"{"instance-id":"i-0123456789abcdef0","instance-action":"terminate"}"#;
        let one = r#"{"instance-id":"i-0123456789abcdef0"}"#;
        let table = [
            (
                ec2("EC2 Spot Instance Interruption Warning", spot),
                "(Code:SpotInterruption) i-0123456789abcdef0 goes at 14:05 UTC",
            ),
            (
                ec2("EC2 Instance Rebalance Recommendation", one),
                "(Code:RebalanceRecommendation) i-0123456789abcdef0 is likely to be interrupted",
            ),
            (
                health("upcoming", "scheduledChange", ID),
                "(Code:ScheduledEvent) i-0123456789abcdef0: AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED \
                 at 2026-12-05 15:10 UTC",
            ),
        ];
        for (body, reason) in table {
            let Ok(Message::Notice(notice, instances)) = read(&body, NOW) else {
                panic!("{body}");
            };
            assert_eq!(instances, [InstanceId::new(ID)]);
            assert_eq!(notice.reason(&instances[0]), reason);
        }
    }

    #[test]
    fn a_state_change_matters_if_the_instance_ends() {
        for (state, ends) in [
            ("pending", false),
            ("running", false),
            ("shutting-down", true),
            ("terminated", true),
            ("stopping", true),
            ("stopped", true),
            ("of the future", false),
        ] {
            let detail = format!(r#"{{"instance-id":"{ID}","state":"{state}"}}"#);
            let said = read(&ec2("EC2 Instance State-change Notification", &detail), NOW);
            let expected =
                if ends { Message::StateChange(InstanceId::new(ID)) } else { Message::Other };
            assert_eq!(said, Ok(expected), "{state}");
        }
    }

    #[test]
    fn what_does_not_matter_is_no_mistake() {
        for body in [
            health("closed", "scheduledChange", ID),
            health("open", "accountNotification", ID),
            health("open", "scheduledChange", "vol-0123456789abcdef0"),
            ec2("EC2 Fleet Instance Change", "{}"),
        ] {
            assert_eq!(read(&body, NOW), Ok(Message::Other), "{body}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_in_a_line() {
        let spot = "EC2 Spot Instance Interruption Warning";
        for (body, why) in [
            (String::new(), "no JSON object"),
            ("[]".to_owned(), "no JSON object"),
            ("{".to_owned(), "EOF while parsing an object at line 1 column 1"),
            ("{}".to_owned(), "missing field `detail-type` at line 1 column 2"),
            (
                ec2(spot, "{}"),
                "EC2 Spot Instance Interruption Warning: no instance-id in its detail",
            ),
            (
                ec2(spot, r#"{"instance-id":"i-1; rm -rf /"}"#),
                "EC2 Spot Instance Interruption Warning: no instance-id in its detail",
            ),
            (" ".repeat(MESSAGE_BYTES_MAX + 1), "longer than a message of SQS can be"),
        ] {
            assert_eq!(read(&body, NOW).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn a_later_notice_counts_if_it_says_more() {
        let notice = |kind, goes_at| Notice { kind, what: String::new(), at: NOW, goes_at };
        let event = notice(NoticeKind::ScheduledEvent, Some(NOW));
        let rebalance = notice(NoticeKind::RebalanceRecommendation, None);
        let spot = notice(NoticeKind::SpotInterruption, Some(NOW));
        assert!(rebalance.supersedes(&event) && spot.supersedes(&rebalance));
        assert!(!spot.supersedes(&spot) && !event.supersedes(&spot));
        assert!(notice(NoticeKind::ScheduledEvent, None).supersedes(&event), "it was put off");
    }

    proptest! {
        /// Whatever a message's parts are, the answer is a notice with instances whose ids are
        /// plain, nothing, or one line; and a reason is one line of bounded length.
        #[test]
        fn any_message_is_a_notice_nothing_or_one_line(
            detail_type in prop_oneof![
                Just("EC2 Spot Instance Interruption Warning".to_owned()),
                Just("EC2 Instance Rebalance Recommendation".to_owned()),
                Just("EC2 Instance State-change Notification".to_owned()),
                Just("AWS Health Event".to_owned()),
                any::<String>(),
            ],
            id in prop_oneof![Just(ID.to_owned()), "i-[0-9a-f]{0,20}", any::<String>()],
            time in prop_oneof![Just("2026-11-25T14:03:10Z".to_owned()), any::<String>()],
            word in prop_oneof![Just("terminated".to_owned()), any::<String>()],
        ) {
            let body = serde_json::json!({
                "detail-type": detail_type, "time": time,
                "detail": {
                    "instance-id": id, "instance-action": word, "state": word, "service": "EC2",
                    "eventTypeCategory": "scheduledChange", "eventTypeCode": word,
                    "startTime": time, "affectedEntities": [{"entityValue": id}, 7, {}],
                },
            });
            match read(&body.to_string(), NOW) {
                Ok(Message::Notice(notice, instances)) => {
                    prop_assert!(!instances.is_empty());
                    for instance in &instances {
                        prop_assert_eq!(instance.as_str(), id.as_str());
                        let reason = notice.reason(instance);
                        prop_assert!(reason.len() < 250 && !reason.contains(char::is_control));
                    }
                }
                Ok(Message::StateChange(instance)) => prop_assert_eq!(instance.as_str(), id),
                Ok(Message::Other) => {}
                Err(why) => prop_assert!(!why.to_string().contains(char::is_control)),
            }
        }
    }
}
