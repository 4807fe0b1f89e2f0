//! SQS queues, and EventBridge's rules that put notices of instances into them.

use super::{World, time_as, time_text_s};
use crate::error::ApiError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Messages of one queue; older ones are forgotten beyond this many.
pub const QUEUE_MAX: usize = 100_000;
/// From the notice of a Spot interruption to the interruption, at AWS.
pub const SPOT_NOTICE_MS: u64 = 120_000;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// MessageId.
    pub id: String,
    /// ReceiptHandle of its last receipt; empty before the first.
    pub receipt: String,
    /// What it says.
    pub body: String,
    visible_at_ms: u64,
}

/// The queues, by name.
#[derive(Debug, Default)]
pub struct Queues(BTreeMap<String, VecDeque<Message>>);

/// A notice to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Notice {
    /// A Spot interruption: the machine loses power after so many milliseconds.
    SpotInterruption {
        /// At AWS two minutes.
        #[serde(default = "spot_notice")]
        after_ms: u64,
    },
    /// A rebalance recommendation; nothing follows from it.
    RebalanceRecommendation {},
    /// A scheduled event of AWS Health: it is retired ten days later.
    ScheduledEvent {},
}

const fn spot_notice() -> u64 {
    SPOT_NOTICE_MS
}

impl Queues {
    /// Empty ones of these names.
    pub fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| (name.clone(), VecDeque::new())).collect())
    }

    /// How many messages each has, received or not.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        self.0.iter().map(|(name, messages)| (name.clone(), messages.len())).collect()
    }

    fn of_url(&mut self, url: &str) -> Result<&mut VecDeque<Message>, ApiError> {
        let name = url.rsplit('/').next().unwrap_or_default();
        let none =
            || ApiError::new(400, "QueueDoesNotExist", "The specified queue does not exist.");
        self.0.get_mut(name).ok_or_else(none)
    }
}

impl World {
    /// How many messages the queues have.
    #[must_use]
    pub fn queue_counts(&self) -> BTreeMap<String, usize> {
        self.queues.counts()
    }

    /// Puts a message into every queue.
    pub fn post(&mut self, body: &str) {
        let names: Vec<String> = self.queues.0.keys().cloned().collect();
        for name in names {
            let id = self.fresh_id();
            let body = body.to_owned();
            let message = Message { id, receipt: String::new(), body, visible_at_ms: 0 };
            let Some(queue) = self.queues.0.get_mut(&name) else { continue };
            if queue.len() >= QUEUE_MAX {
                queue.pop_front();
            }
            queue.push_back(message);
        }
    }

    /// ReceiveMessage: up to `count` messages, which nobody else receives for `hidden_ms`.
    pub fn receive(
        &mut self,
        url: &str,
        count: usize,
        hidden_ms: u64,
        now_ms: u64,
    ) -> Result<Vec<Message>, ApiError> {
        let messages = self.queues.of_url(url)?;
        let ready = messages.iter_mut().filter(|message| message.visible_at_ms <= now_ms);
        Ok(ready
            .take(count)
            .map(|message| {
                message.visible_at_ms = now_ms + hidden_ms;
                message.receipt = format!("{}#{}", message.id, message.visible_at_ms);
                message.clone()
            })
            .collect())
    }

    /// DeleteMessage. One that is gone already is a success.
    pub fn delete_message(&mut self, url: &str, receipt: &str) -> Result<(), ApiError> {
        let messages = self.queues.of_url(url)?;
        let id = receipt.split('#').next().unwrap_or_default();
        messages.retain(|message| message.id != id);
        Ok(())
    }

    /// Tells the queues what becomes of an instance. `false` if there is no such living machine.
    pub fn notify(&mut self, id: &str, notice: Notice, now_ms: u64) -> bool {
        if !self.cloud.instances.get(id).is_some_and(|instance| instance.alive) {
            return false;
        }
        match notice {
            Notice::SpotInterruption { after_ms } => {
                let detail = serde_json::json!({"instance-id": id, "instance-action": "terminate"});
                self.tell("EC2 Spot Instance Interruption Warning", id, &detail, now_ms);
                self.interruptions.insert(id.to_owned(), now_ms + after_ms);
            }
            Notice::RebalanceRecommendation {} => {
                let detail = serde_json::json!({"instance-id": id});
                self.tell("EC2 Instance Rebalance Recommendation", id, &detail, now_ms);
            }
            Notice::ScheduledEvent {} => {
                let at_ms = now_ms + 10 * 24 * 3_600_000;
                let detail = serde_json::json!({
                    "service": "EC2",
                    "eventTypeCode": "AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED",
                    "eventTypeCategory": "scheduledChange",
                    "statusCode": "upcoming",
                    "startTime": time_as("%a, %d %b %Y %H:%M:%S GMT", at_ms),
                    "affectedEntities": [{"entityValue": id}],
                });
                self.tell("AWS Health Event", id, &detail, now_ms);
            }
        }
        true
    }

    /// Tells the queues that an instance has another state.
    pub(super) fn tell_state(&mut self, id: &str, state: &str, now_ms: u64) {
        let detail = serde_json::json!({"instance-id": id, "state": state});
        self.tell("EC2 Instance State-change Notification", id, &detail, now_ms);
    }

    /// An event as EventBridge delivers it.
    fn tell(&mut self, detail_type: &str, id: &str, detail: &serde_json::Value, now_ms: u64) {
        let region = self.config().region.clone();
        let source = if detail_type.starts_with("AWS Health") { "aws.health" } else { "aws.ec2" };
        let event = serde_json::json!({
            "version": "0",
            "id": self.fresh_id(),
            "detail-type": detail_type,
            "source": source,
            "account": "123456789012",
            "time": time_text_s(now_ms),
            "region": region,
            "resources": [format!("arn:aws:ec2:{region}:123456789012:instance/{id}")],
            "detail": detail,
        });
        self.post(&event.to_string());
    }

    /// Interrupts the Spot Instances whose time is up.
    pub(super) fn interrupt_due(&mut self, now_ms: u64) {
        let due = self.interruptions.iter().filter(|(_, at_ms)| **at_ms <= now_ms);
        let due: Vec<String> = due.map(|(id, _)| id.clone()).collect();
        for id in due {
            self.interruptions.remove(&id);
            self.die(&id, now_ms);
        }
    }

    /// When the next Spot Instance is interrupted.
    pub(super) fn next_interruption_ms(&self) -> Option<u64> {
        self.interruptions.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Bench;
    use super::Notice;

    const URL: &str = "http://127.0.0.1:1/123456789012/q";

    fn bench() -> Bench {
        Bench::new(1, 1, 1, "queues=[\"q\"]")
    }

    #[test]
    fn a_message_comes_again_until_it_is_deleted() {
        let mut bench = bench();
        bench.world.post("hello");
        let mut receive = |at_ms| bench.world.receive(URL, 10, 100, at_ms).unwrap();
        let first = receive(1000);
        assert_eq!(first[0].body, "hello");
        assert!(receive(1099).is_empty(), "somebody has it");
        let again = receive(1100);
        assert_eq!(again.len(), 1);
        assert!(again[0].receipt != first[0].receipt && again[0].id == first[0].id);
        bench.world.delete_message(URL, &again[0].receipt).unwrap();
        assert!(bench.world.receive(URL, 10, 100, 9999).unwrap().is_empty());
        assert_eq!(bench.world.queue_counts()["q"], 0);
        let other = bench.world.receive("http://host/1/other", 1, 1, 1).unwrap_err();
        assert_eq!((other.status, other.code), (400, "QueueDoesNotExist"));
    }

    #[test]
    fn a_spot_interruption_is_told_first_and_then_the_machine_dies() {
        let mut bench = bench();
        let id = bench.world.cloud().instances.keys().next().unwrap().clone();
        let notice = Notice::SpotInterruption { after_ms: 40 };
        assert!(bench.world.notify(&id, notice, bench.now_ms));
        assert!(!bench.world.notify("i-0", notice, bench.now_ms), "there is none");
        let told = bench.world.receive(URL, 10, 100, bench.now_ms).unwrap();
        assert!(told[0].body.contains("EC2 Spot Instance Interruption Warning"));
        bench.pass(39);
        assert!(bench.world.cloud().instances[&id].alive);
        bench.pass(1);
        assert!(!bench.world.cloud().instances[&id].alive);
        let told = bench.world.receive(URL, 10, 100, bench.now_ms).unwrap();
        assert!(told[0].body.contains("\"state\":\"shutting-down\""), "{}", told[0].body);
    }
}
