//! Virtual time: a queue of events, sleeping futures, and the pace of the loop.

use std::cell::{RefCell, RefMut};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use slurm_asg_core::time::Timestamp;
use slurm_asg_engine::Clock;

use crate::world::{Event, START, World};

/// Milliseconds of virtual time.
pub type Millis = u64;
pub const SECOND: Millis = 1000;
pub const MINUTE: Millis = 60 * SECOND;

/// What is to happen, in order of time and then of having been asked for.
#[derive(Default)]
pub struct Timeline {
    heap: BinaryHeap<Reverse<(Millis, u64, Event)>>,
    asked: u64,
}

impl Timeline {
    pub fn at(&mut self, at: Millis, event: Event) {
        self.asked += 1;
        self.heap.push(Reverse((at, self.asked, event)));
    }

    /// When the next event is due.
    pub fn next(&self) -> Option<Millis> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// The next event that is due by `limit`.
    pub fn due(&mut self, limit: Millis) -> Option<(Millis, Event)> {
        if self.heap.peek()?.0.0 > limit {
            return None;
        }
        self.heap.pop().map(|Reverse((at, _, event))| (at, event))
    }
}

/// The world, as the engine's traits share it.
#[derive(Clone)]
pub struct Shared(pub Rc<RefCell<World>>);

impl Shared {
    pub fn world(&self) -> RefMut<'_, World> {
        self.0.borrow_mut()
    }

    /// Lets the world go on for some time.
    pub async fn sleep(&self, millis: Millis) {
        let until = self.world().now + millis;
        poll_fn(|_| {
            let mut world = self.world();
            if world.now >= until {
                return Poll::Ready(());
            }
            world.sleepers.push(until);
            Poll::Pending
        })
        .await;
    }
}

impl Clock for Shared {
    fn now(&self) -> Timestamp {
        let world = self.0.borrow();
        Timestamp::from_millis(world.now).moved(world.clock_is_ahead)
    }

    fn ticks(&self) -> Duration {
        Duration::from_millis(self.0.borrow().now - START)
    }
}

/// When the loop looks next: the plugin's src/pace.rs in virtual time.
#[derive(Default)]
pub struct Pace {
    planned: Millis,
    rest: Millis,
    rung: Vec<Millis>,
}

impl Pace {
    pub fn ring(&mut self, now: Millis) {
        let first = self.rung.iter().copied().find(|at| *at <= now + 100);
        self.rung = [300, 1000, 2000].map(|after| now + after).to_vec();
        self.rung.push(first.unwrap_or(now + 100));
    }

    /// A program has asked for a look at once.
    pub fn look_now(&mut self, now: Millis) {
        self.planned = self.planned.min(now);
    }

    pub fn looked(&mut self, now: Millis, pause: Millis, rest: Millis) {
        self.rung.retain(|at| *at > now);
        self.planned = now + pause;
        self.rest = now + rest;
    }

    pub fn next(&self) -> Millis {
        self.rung.iter().copied().fold(self.planned, Millis::min).max(self.rest)
    }
}
