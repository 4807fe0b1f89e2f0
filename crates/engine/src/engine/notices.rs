//! What AWS says of instances that it takes away, from the queue.
//!
//! A message is deleted once what it says is saved: one that is lost with a crash comes again.

use slurm_asg_core::event::{Event, EventName};
use slurm_asg_core::ids::{AsgName, InstanceId, NodeName};
use slurm_asg_core::notice::{self, Message, Notice};
use slurm_asg_core::snapshot::Snapshot;

use super::Engine;
use crate::cloud::Cloud;
use crate::journal::Journal;
use crate::scheduler::Scheduler;
use crate::store::Store;
use crate::story::{self, with_group};
use crate::{About, Clock};

/// How many messages have come, by what they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// About an instance of a group.
    pub notices: u64,
    /// About instances of others.
    pub unknown: u64,
    /// About nothing that matters here.
    pub other: u64,
    /// Not to be read.
    pub malformed: u64,
}

impl<C: Cloud, S: Scheduler, K: Clock, T: Store, J: Journal> Engine<C, S, K, T, J> {
    /// How many messages have come.
    pub const fn messages(&self) -> Messages {
        self.messages
    }

    /// Takes the messages that have come. `true` if a look should follow.
    pub fn take_messages(&mut self) -> bool {
        let now = self.clock.now();
        if let Some(result) = self.cloud.listened() {
            self.troubles.note(&About::Queue, now, result.as_ref().err());
        }
        if self.view.asgs.is_empty() {
            // Whose instances they are about only a look can tell.
            return true;
        }
        let messages = self.cloud.messages();
        if messages.is_empty() {
            return false;
        }
        let snapshot = self.snapshot(now);
        let (mut events, mut done, mut news) = (Vec::new(), Vec::new(), Vec::new());
        for message in messages {
            let is_ours = match notice::read(&message.body, now) {
                Ok(said) => self.take(said, &snapshot, &mut events),
                Err(why) => {
                    self.messages.malformed += 1;
                    if self.messages.malformed == 1 {
                        tracing::warn!(
                            "a message of events_queue cannot be read ({why}); it is deleted, as \
                             all of its kind will be without a further word"
                        );
                    }
                    false
                }
            };
            if is_ours { &mut news } else { &mut done }.push(message.receipt);
        }
        let is_news = !news.is_empty();
        if is_news {
            story::log(&events);
            // What went wrong before that comes before it in the log.
            self.tell_troubles();
            self.record(events);
            self.save();
            // What is not saved comes again.
            if self.saved.as_ref() == Some(&self.memory) {
                done.append(&mut news);
            }
        }
        self.cloud.delete_later(done);
        is_news
    }

    /// `true` if it is about an instance of the groups.
    fn take(&mut self, said: Message, snapshot: &Snapshot, events: &mut Vec<Event>) -> bool {
        let instances = match said {
            Message::Other => {
                self.messages.other += 1;
                return false;
            }
            Message::StateChange(instance) => {
                let is_ours = self.memory.take_state_change(&instance, snapshot);
                self.count(is_ours);
                return is_ours;
            }
            Message::Notice(notice, mut instances) => {
                instances.retain(|id| self.memory.may_be_ours(id, snapshot));
                for id in &instances {
                    if self.memory.take_notice(id, notice.clone()) {
                        events.push(self.told(id, &notice, snapshot));
                    }
                }
                instances
            }
        };
        self.count(!instances.is_empty());
        !instances.is_empty()
    }

    const fn count(&mut self, is_ours: bool) {
        if is_ours {
            self.messages.notices += 1;
        } else {
            self.messages.unknown += 1;
        }
    }

    fn told(&self, instance: &InstanceId, notice: &Notice, snapshot: &Snapshot) -> Event {
        let (asg, node) = self.place_of(instance, snapshot);
        let event = Event {
            asg,
            node,
            instance: Some(instance.clone()),
            reason: Some(notice.reason(instance)),
            ..Event::new(snapshot.now, EventName::InstanceNotice)
        };
        with_group(&self.policy, event)
    }

    /// Where an instance is: its Auto Scaling group, and the node that it serves.
    fn place_of(
        &self,
        instance: &InstanceId,
        snapshot: &Snapshot,
    ) -> (Option<AsgName>, Option<NodeName>) {
        let mut bound = self.memory.bindings.iter();
        if let Some((node, binding)) = bound.find(|(_, it)| it.instance == *instance) {
            return (Some(binding.asg.clone()), Some(node.clone()));
        }
        let asg = snapshot.asgs.keys().find(|name| snapshot.member(name, instance).is_some());
        (asg.cloned(), None)
    }
}
