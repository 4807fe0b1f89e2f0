//! Settings of Auto Scaling groups that nobody but their owner may change, and that keep AWS from
//! ending instances that run jobs.

use std::collections::BTreeMap;
use std::fmt;

use crate::ids::AsgName;
use crate::policy::Policy;
use crate::snapshot::{Asg, Seen};
use crate::word::variant_name;

/// The process that ends instances, busy or not, to even out zones.
pub const AZ_REBALANCE: &str = "AZRebalance";

/// A setting that a group should have and has not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Advice {
    /// The Auto Scaling group.
    pub asg: AsgName,
    /// What it should have.
    pub setting: Setting,
}

/// What a group should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// NewInstancesProtectedFromScaleIn: else an instance that is in service is unprotected until
    /// it is seen with its node, and each fifty take a call.
    ProtectNew,
    /// AZRebalance is suspended (SuspendProcesses).
    SuspendAzRebalance,
}

impl Setting {
    /// As one stable word.
    #[must_use]
    pub fn word(self) -> String {
        variant_name(&self)
    }

    const fn is_kept_by(self, asg: &Asg) -> bool {
        match self {
            Self::ProtectNew => asg.protects_new,
            Self::SuspendAzRebalance => asg.suspends_az_rebalance,
        }
    }
}

/// What should be otherwise in the groups that could be seen.
#[must_use]
pub fn advice(policy: &Policy, asgs: &BTreeMap<AsgName, Seen<Asg>>) -> Vec<Advice> {
    let settings = [Setting::ProtectNew, Setting::SuspendAzRebalance];
    let of = |name: AsgName| {
        let asg = asgs.get(&name).and_then(Seen::known);
        let missing = settings.into_iter().filter(|it| asg.is_some_and(|asg| !it.is_kept_by(asg)));
        missing.map(|setting| Advice { asg: name.clone(), setting }).collect::<Vec<_>>()
    };
    policy.asgs().into_iter().flat_map(of).collect()
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asg = &self.asg;
        match self.setting {
            Setting::ProtectNew => write!(
                f,
                "Auto Scaling group {asg} does not protect new instances from scale-in \
                 (NewInstancesProtectedFromScaleIn)"
            ),
            Setting::SuspendAzRebalance => write!(
                f,
                "Auto Scaling group {asg} rebalances its zones, and may end instances that run \
                 jobs for that (AZRebalance is not suspended)"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::policy_with;

    #[test]
    fn what_is_missing_is_advised_and_what_could_not_be_seen_is_not() {
        let of = |seen: Option<Seen<Asg>>| -> Vec<Setting> {
            let asgs = seen.map(|seen| (AsgName::new("a"), seen)).into_iter().collect();
            advice(&policy_with(""), &asgs).iter().map(|advice| advice.setting).collect()
        };
        let known = |protects_new, suspends_az_rebalance| {
            Some(Seen::Known(Asg { protects_new, suspends_az_rebalance, ..Asg::default() }))
        };
        assert_eq!(of(known(false, false)), [Setting::ProtectNew, Setting::SuspendAzRebalance]);
        assert_eq!(of(known(true, false)), [Setting::SuspendAzRebalance]);
        assert_eq!(of(known(false, true)), [Setting::ProtectNew]);
        assert_eq!(of(known(true, true)), []);
        assert_eq!(of(Some(Seen::Unknown { why: "denied".to_owned() })), []);
        assert_eq!(of(None), []);
    }
}
