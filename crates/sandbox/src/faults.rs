//! Faults to inject, and what they do to a call or a launch.

use serde::{Deserialize, Serialize};

/// A fault, as POSTed to `/sandbox/faults`. `actions` empty means every action; without `count` and `rate` every call is hit.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Calls are refused for coming too fast.
    Throttle {
        /// Which calls.
        #[serde(default)]
        actions: Vec<String>,
        /// How many calls.
        count: Option<u32>,
        /// Which part of the calls, 0 to 1.
        rate: Option<f64>,
    },
    /// Calls are answered 500.
    ServerError {
        /// Which calls.
        #[serde(default)]
        actions: Vec<String>,
        /// How many calls.
        count: Option<u32>,
        /// Which part of the calls, 0 to 1.
        rate: Option<f64>,
    },
    /// Calls are carried out late.
    Latency {
        /// By how much.
        ms: u64,
        /// Which calls.
        #[serde(default)]
        actions: Vec<String>,
    },
    /// Calls are refused for want of rights, until the fault is cleared.
    Denied {
        /// Which calls.
        #[serde(default)]
        actions: Vec<String>,
    },
    /// Calls are accepted, not carried out and not answered; the connection is closed after [`HANG_MAX_MS`].
    Hang {
        /// Which calls.
        #[serde(default)]
        actions: Vec<String>,
    },
    /// Calls are carried out, and the connection closed without an answer.
    LostReply {
        /// How many calls.
        count: u32,
        /// Which calls.
        #[serde(default)]
        actions: Vec<String>,
    },
    /// The group's launches fail for want of capacity, until the fault is cleared.
    NoCapacity {
        /// Name of the Auto Scaling group.
        group: String,
        /// In this Availability Zone only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        zone: Option<String>,
        /// So many launches still succeed.
        #[serde(default)]
        after: u32,
        /// The activity's message instead of InsufficientInstanceCapacity's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// Instances go InService without ever running their boot command.
    NeverBoots {
        /// How many.
        count: u32,
    },
    /// Instances take another time to boot.
    BootDelay {
        /// From Pending to InService.
        ms: u64,
        /// How many.
        count: u32,
    },
}

/// How long a hanging call's connection stays open.
pub const HANG_MAX_MS: u64 = 120_000;

/// A fault with the number it may be spoken of by.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub struct FaultInForce {
    /// Counted from 1 over the sandbox's life.
    pub id: u64,
    /// The fault as it stands: counts go down as it strikes.
    pub fault: Fault,
}

/// How a call is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As the world says.
    Proper,
    /// Refused as too fast, not carried out.
    Throttled,
    /// Refused with a 500, not carried out.
    ServerError,
    /// Refused for want of rights, not carried out.
    Denied,
    /// Neither carried out nor answered.
    Hang,
    /// Carried out, not answered.
    LostReply,
}

/// What the faults in force do to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// To wait before anything else.
    pub delay_ms: u64,
    /// How it ends.
    pub ending: Ending,
}

/// The faults in force, in the order they were set.
#[derive(Debug, Default)]
pub struct Faults {
    in_force: Vec<FaultInForce>,
    last_id: u64,
    dice: u64,
}

impl Faults {
    /// Puts a fault in force; an error is a line on what is wrong with it.
    pub fn add(&mut self, fault: Fault) -> Result<u64, String> {
        check(&fault)?;
        self.last_id += 1;
        self.in_force.push(FaultInForce { id: self.last_id, fault });
        Ok(self.last_id)
    }

    /// The faults in force.
    #[must_use]
    pub fn in_force(&self) -> &[FaultInForce] {
        &self.in_force
    }

    /// Ends all faults.
    pub fn clear(&mut self) {
        self.in_force.clear();
    }

    /// What happens to a call of `action` now. Delays add up; of the endings the fault set first wins.
    pub fn on_call(&mut self, action: &str) -> Verdict {
        let mut verdict = Verdict { delay_ms: 0, ending: Ending::Proper };
        for entry in &mut self.in_force {
            if let Fault::Latency { ms, actions } = &entry.fault {
                verdict.delay_ms += if concerns(actions, action) { *ms } else { 0 };
            } else if verdict.ending == Ending::Proper {
                verdict.ending = strike(&mut entry.fault, action, &mut self.dice);
            }
        }
        self.drop_spent();
        verdict
    }

    /// Whether a launch in `group` and `zone` fails now, and the message to give if not the usual one.
    pub fn refuses_launch(&mut self, group: &str, zone: &str) -> Option<Option<String>> {
        self.in_force.iter_mut().find_map(|entry| {
            let Fault::NoCapacity { group: name, zone: place, after, message } = &mut entry.fault
            else {
                return None;
            };
            let here = name == group && place.as_ref().is_none_or(|place| place == zone);
            (here && !take(after)).then(|| message.clone())
        })
    }

    /// Whether the instance being launched never boots.
    pub fn prevents_boot(&mut self) -> bool {
        let hit = self.in_force.iter_mut().any(|entry| {
            let Fault::NeverBoots { count } = &mut entry.fault else { return false };
            take(count)
        });
        self.drop_spent();
        hit
    }

    /// The boot delay of the instance being launched, if not the usual one.
    pub fn boot_delay_ms(&mut self) -> Option<u64> {
        let delay = self.in_force.iter_mut().find_map(|entry| {
            let Fault::BootDelay { ms, count } = &mut entry.fault else { return None };
            take(count).then_some(*ms)
        });
        self.drop_spent();
        delay
    }

    fn drop_spent(&mut self) {
        self.in_force.retain(|entry| match &entry.fault {
            Fault::Throttle { count, .. } | Fault::ServerError { count, .. } => *count != Some(0),
            Fault::LostReply { count, .. }
            | Fault::NeverBoots { count }
            | Fault::BootDelay { count, .. } => *count > 0,
            Fault::Latency { .. }
            | Fault::Hang { .. }
            | Fault::Denied { .. }
            | Fault::NoCapacity { .. } => true,
        });
    }
}

fn check(fault: &Fault) -> Result<(), String> {
    match fault {
        Fault::Throttle { count: Some(_), rate: Some(_), .. }
        | Fault::ServerError { count: Some(_), rate: Some(_), .. } => {
            Err("give count or rate, not both".into())
        }
        Fault::Throttle { rate: Some(rate), .. } | Fault::ServerError { rate: Some(rate), .. }
            if !(0.0..=1.0).contains(rate) =>
        {
            Err(format!("rate {rate}: write a number from 0 to 1"))
        }
        Fault::Latency { ms, .. } if *ms > HANG_MAX_MS => {
            Err(format!("ms {ms}: at most {HANG_MAX_MS}"))
        }
        Fault::Throttle { .. }
        | Fault::ServerError { .. }
        | Fault::Latency { .. }
        | Fault::Hang { .. }
        | Fault::Denied { .. }
        | Fault::LostReply { .. } => Ok(()),
        Fault::NoCapacity { .. } | Fault::NeverBoots { .. } | Fault::BootDelay { .. } => Ok(()),
    }
}

/// How one fault ends a call of `action`.
fn strike(fault: &mut Fault, action: &str, dice: &mut u64) -> Ending {
    let (hit, ending) = match fault {
        Fault::Throttle { actions, count, rate } => {
            (concerns(actions, action) && strikes(count, *rate, dice), Ending::Throttled)
        }
        Fault::ServerError { actions, count, rate } => {
            (concerns(actions, action) && strikes(count, *rate, dice), Ending::ServerError)
        }
        Fault::LostReply { actions, count } => {
            (concerns(actions, action) && take(count), Ending::LostReply)
        }
        Fault::Hang { actions } => (concerns(actions, action), Ending::Hang),
        Fault::Denied { actions } => (concerns(actions, action), Ending::Denied),
        Fault::Latency { .. }
        | Fault::NoCapacity { .. }
        | Fault::NeverBoots { .. }
        | Fault::BootDelay { .. } => return Ending::Proper,
    };
    if hit { ending } else { Ending::Proper }
}

fn concerns(actions: &[String], action: &str) -> bool {
    actions.is_empty() || actions.iter().any(|name| name == action)
}

fn take(count: &mut u32) -> bool {
    let some_left = *count > 0;
    *count = count.saturating_sub(1);
    some_left
}

fn strikes(count: &mut Option<u32>, rate: Option<f64>, dice: &mut u64) -> bool {
    match (count, rate) {
        (Some(count), _) => take(count),
        (None, Some(rate)) => roll(dice) < rate,
        (None, None) => true,
    }
}

/// The next number in 0..1 of a fixed sequence: runs repeat, unlike with real chance.
fn roll(dice: &mut u64) -> f64 {
    *dice += 1;
    f64::from(u32::try_from(crate::world::scramble(*dice) >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> Fault {
        serde_json::from_str(json).unwrap()
    }

    fn endings(faults: &mut Faults, action: &str, calls: usize) -> Vec<Ending> {
        (0..calls).map(|_| faults.on_call(action).ending).collect()
    }

    #[test]
    fn a_count_runs_out_and_names_only_its_actions() {
        let mut faults = Faults::default();
        faults.add(fault(r#"{"kind":"throttle","count":2,"actions":["A"]}"#)).unwrap();
        assert_eq!(endings(&mut faults, "B", 2), [Ending::Proper; 2]);
        assert_eq!(
            endings(&mut faults, "A", 3),
            [Ending::Throttled, Ending::Throttled, Ending::Proper]
        );
        assert!(faults.in_force().is_empty());
    }

    #[test]
    fn a_rate_strikes_about_that_often_and_always_the_same() {
        let run = || {
            let mut faults = Faults::default();
            faults.add(fault(r#"{"kind":"server_error","rate":0.25}"#)).unwrap();
            endings(&mut faults, "A", 1000)
        };
        let hits = run().iter().filter(|ending| **ending == Ending::ServerError).count();
        assert!((200..300).contains(&hits), "{hits}");
        assert_eq!(run(), run());
    }

    #[test]
    fn delays_add_up_and_the_first_ending_wins() {
        let mut faults = Faults::default();
        for json in [
            r#"{"kind":"latency","ms":5}"#,
            r#"{"kind":"lost_reply","count":1}"#,
            r#"{"kind":"hang"}"#,
            r#"{"kind":"latency","ms":7}"#,
        ] {
            faults.add(fault(json)).unwrap();
        }
        assert_eq!(faults.on_call("A"), Verdict { delay_ms: 12, ending: Ending::LostReply });
        assert_eq!(faults.on_call("A"), Verdict { delay_ms: 12, ending: Ending::Hang });
    }

    #[test]
    fn wrong_faults_are_told_in_one_line() {
        let unknown = serde_json::from_str::<Fault>(r#"{"kind":"flood"}"#).unwrap_err().to_string();
        assert!(
            unknown.contains("unknown variant `flood`") && unknown.contains("`never_boots`"),
            "{unknown}"
        );
        assert!(serde_json::from_str::<Fault>(r#"{"kind":"throttle","cuont":1}"#).is_err());
        assert!(Faults::default().add(fault(r#"{"kind":"throttle","rate":2}"#)).is_err());
        assert!(
            Faults::default().add(fault(r#"{"kind":"throttle","rate":0.5,"count":1}"#)).is_err()
        );
    }
}
