//! Who decides that an idle node goes.

use std::time::Duration;

use super::{PolicyError, Source};
use crate::time::Timestamp;

/// Who decides that an idle node goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScaleIn {
    /// Slurm, by its SuspendTime.
    #[default]
    Slurm,
    /// slurm-asg: shortly before the next hour of the instance is billed.
    BillingHour(BillingHour),
    /// Nobody: capacity only grows.
    Never,
}

/// When an idle node's instance is worth ending: software that is billed by full hours is paid
/// for until the hour is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BillingHour {
    /// So long the node has been idle at least.
    pub cooldown: Duration,
    /// What is billed at once: an hour, counted from the instance's launch.
    pub period: Duration,
    /// So long before the end of such a period the node may go.
    pub window: Duration,
}

impl BillingHour {
    const COOLDOWN_SECS: u64 = 600;
    const PERIOD_SECS: u64 = 3600;
    const WINDOW_PERCENT: u64 = 5;

    /// When a node may go that has been idle since `idle_since` and whose instance was launched
    /// at `launched`: at `now` if that is it, else the next time.
    #[must_use]
    pub fn next(&self, launched: Timestamp, idle_since: Timestamp, now: Timestamp) -> Timestamp {
        let earliest = now.max(idle_since.after(self.cooldown));
        let (period, window) = (millis(self.period), millis(self.window));
        let age = millis(earliest.since(launched));
        let into = age.checked_rem(period).unwrap_or(0);
        let wait = period.saturating_sub(window).saturating_sub(into);
        earliest.after(Duration::from_millis(wait))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The keys of one `[[group]]` that are about this, as they were written.
#[derive(Default)]
pub(super) struct Raw {
    pub scale_in: Option<toml::Spanned<String>>,
    pub cooldown: Option<toml::Spanned<u64>>,
    pub period: Option<toml::Spanned<u64>>,
    pub window: Option<toml::Spanned<u64>>,
}

/// Reads them.
pub(super) fn read(source: &Source<'_>, raw: Raw) -> Result<ScaleIn, PolicyError> {
    let word = raw.scale_in.as_ref().map_or("slurm", |word| word.get_ref());
    let others = [
        ("cooldown", &raw.cooldown),
        ("billing_period", &raw.period),
        ("billing_window_percent", &raw.window),
    ];
    let given = others.iter().find_map(|(name, key)| key.as_ref().map(|key| (*name, key)));
    match word {
        "billing-hour" => {}
        "slurm" | "never" => {
            let Some((name, key)) = given else {
                return Ok(if word == "never" { ScaleIn::Never } else { ScaleIn::Slurm });
            };
            let message = format!(
                "{name} goes with scale_in = \"billing-hour\"; otherwise SuspendTime in \
                 slurm.conf says how long idle nodes are kept"
            );
            return Err(source.error(key.span().start, message));
        }
        other => {
            let at = raw.scale_in.as_ref().map_or(0, |word| word.span().start);
            let message = format!(
                "scale_in `{other}` is not known; write \"slurm\", \"billing-hour\" or \"never\""
            );
            return Err(source.error(at, message));
        }
    }
    let cooldown = match raw.cooldown {
        None => BillingHour::COOLDOWN_SECS,
        Some(key) => source.within("cooldown", "in seconds", key, 1..=86_400)?,
    };
    let period = match raw.period {
        None => BillingHour::PERIOD_SECS,
        Some(key) => source.within("billing_period", "in seconds", key, 10..=86_400)?,
    };
    let percent = match raw.window {
        None => BillingHour::WINDOW_PERCENT,
        Some(key) => source.within("billing_window_percent", "in percent", key, 1..=100)?,
    };
    Ok(ScaleIn::BillingHour(BillingHour {
        cooldown: Duration::from_secs(cooldown),
        period: Duration::from_secs(period),
        window: Duration::from_millis(period * 10 * percent),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::GroupName;
    use crate::policy::parse;
    use std::path::Path;

    fn group(keys: &str) -> Result<ScaleIn, String> {
        let text = format!("[[group]]\nname = \"c\"\nnodes = \"c1\"\nasg = \"a\"\n{keys}");
        let policy = parse(Path::new("asg.toml"), &text).map_err(|error| error.to_string())?;
        Ok(policy.groups[&GroupName::new("c")].scale_in)
    }

    #[test]
    fn slurm_decides_unless_another_is_named() {
        assert_eq!(group(""), Ok(ScaleIn::Slurm));
        assert_eq!(group("scale_in = \"never\""), Ok(ScaleIn::Never));
        let hour = BillingHour {
            cooldown: Duration::from_secs(600),
            period: Duration::from_secs(3600),
            window: Duration::from_secs(180),
        };
        assert_eq!(group("scale_in = \"billing-hour\""), Ok(ScaleIn::BillingHour(hour)));
        let table = [
            ("scale_in = \"allways\"", "asg.toml:5: scale_in `allways` is not known; write"),
            ("cooldown = 60", "asg.toml:5: cooldown goes with scale_in = \"billing-hour\""),
            (
                "scale_in = \"billing-hour\"\nbilling_window_percent = 0",
                "asg.toml:6: billing_window_percent is in percent, from 1 to 100",
            ),
            (
                "scale_in = \"billing-hour\"\ncooldown = 0",
                "asg.toml:6: cooldown is in seconds, from 1 to 86400",
            ),
        ];
        for (keys, message) in table {
            let error = group(keys).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn a_node_goes_in_the_last_part_of_its_instance_s_hour() {
        let hour = BillingHour {
            cooldown: Duration::from_secs(600),
            period: Duration::from_secs(3600),
            window: Duration::from_secs(180),
        };
        let at = |secs| Timestamp::from_secs(secs);
        // Launched at 0; idle since, now, and when it may go.
        let table = [
            (0, 100, 3420),
            (0, 3420, 3420),
            (0, 3500, 3500),
            (0, 3599, 3599),
            (0, 3600, 7020),
            // Not idle for long enough in this hour's window.
            (3000, 3450, 7020),
            (3010, 3450, 7020),
            (2990, 3450, 3590),
        ];
        for (idle, now, goes) in table {
            assert_eq!(hour.next(at(0), at(idle), at(now)), at(goes), "idle {idle} now {now}");
        }
    }
}
