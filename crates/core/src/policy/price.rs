//! What an instance costs: only for reports, nothing is decided by it.

use super::{PolicyError, Source};

/// The currency if asg.toml says none: AWS's price lists are in US dollars.
pub const CURRENCY: &str = "USD";
/// The largest price of an hour that may be given; more is a slip of the pen.
const PRICE_MAX: f64 = 100_000.0;
const MILLIONTHS: f64 = 1_000_000.0;

/// The price of an instance for an hour, in millionths of the currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price(u64);

impl Price {
    /// From millionths of the currency.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Millionths of the currency.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// What so many milliseconds cost, in millionths of the currency.
    #[must_use]
    pub fn of_millis(self, millis: u64) -> u64 {
        let exact = u128::from(self.0) * u128::from(millis) / 3_600_000;
        u64::try_from(exact).unwrap_or(u64::MAX)
    }
}

pub(super) fn read_price(
    source: &Source<'_>,
    raw: &toml::Spanned<f64>,
) -> Result<Price, PolicyError> {
    let price = *raw.get_ref();
    // Not a number is not in the range either.
    if !(0.0..=PRICE_MAX).contains(&price) {
        let message =
            format!("price_per_hour is what an instance costs for an hour, from 0 to {PRICE_MAX}");
        return Err(source.error(raw.span().start, message));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the range above"
    )]
    let micros = (price * MILLIONTHS).round() as u64;
    Ok(Price(micros))
}

pub(super) fn read_currency(
    source: &Source<'_>,
    raw: toml::Spanned<String>,
) -> Result<String, PolicyError> {
    let name = raw.get_ref();
    if (1..=8).contains(&name.chars().count()) && name.chars().all(char::is_alphabetic) {
        return Ok(raw.into_inner());
    }
    let message = format!("currency `{name}` is no currency; write for instance \"EUR\"");
    Err(source.error(raw.span().start, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::parse;

    const GROUP: &str = "[[group]]\nname = \"c\"\nnodes = \"c1\"\nasg = \"a\"\n";

    #[test]
    fn prices_are_taken_to_the_millionth_and_errors_say_what_to_write() {
        let price = |line: &str| {
            let policy = parse("asg.toml".as_ref(), &format!("{GROUP}{line}"));
            policy
                .map(|policy| policy.groups.values().next().and_then(|group| group.price))
                .map_err(|error| error.to_string())
        };
        assert_eq!(price(""), Ok(None));
        assert_eq!(price("price_per_hour = 0.0416"), Ok(Some(Price(41_600))));
        assert_eq!(price("price_per_hour = 3"), Ok(Some(Price(3_000_000))));
        let wrong = "asg.toml:5: price_per_hour is what an instance costs for an hour, from 0 to \
                     100000";
        for line in ["price_per_hour = -1", "price_per_hour = 1e6", "price_per_hour = nan"] {
            assert_eq!(price(line), Err(wrong.to_owned()));
        }
        assert!(price("price_per_hour = \"1\"").unwrap_err().starts_with("asg.toml:5: "));
        let currency = |line: &str| parse("f".as_ref(), &format!("{line}\n{GROUP}"));
        assert_eq!(currency("").unwrap().currency, "USD");
        assert_eq!(currency("currency = \"EUR\"").unwrap().currency, "EUR");
        let error = currency("currency = \"<b>\"").unwrap_err().to_string();
        assert_eq!(error, "f:1: currency `<b>` is no currency; write for instance \"EUR\"");
    }

    #[test]
    fn an_hour_costs_its_price_and_nothing_overflows() {
        assert_eq!(Price(41_600).of_millis(3_600_000), 41_600);
        assert_eq!(Price(41_600).of_millis(1_800_000), 20_800);
        assert_eq!(Price(u64::MAX).of_millis(u64::MAX), u64::MAX);
    }
}
