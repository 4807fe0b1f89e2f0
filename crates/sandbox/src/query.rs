//! Requests of AWS's query protocols: form-encoded parameters, lists as numbered keys.

use crate::error::ApiError;
use std::collections::BTreeMap;

/// The parameters of one call, flat as sent.
#[derive(Debug, Clone, Default)]
pub struct Params(BTreeMap<String, String>);

impl From<BTreeMap<String, String>> for Params {
    fn from(flat: BTreeMap<String, String>) -> Self {
        Self(flat)
    }
}

impl Params {
    /// Decodes a request body.
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// The flat map, for the call log.
    #[must_use]
    pub fn flat(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// A text parameter.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Whether there is a parameter `key.…`.
    #[must_use]
    pub fn has_members_of(&self, key: &str) -> bool {
        let prefix = format!("{key}.");
        let next = self.0.range(prefix.clone()..).next();
        next.is_some_and(|(name, _)| name.starts_with(&prefix))
    }

    /// A text parameter that must be there.
    pub fn required(&self, key: &str) -> Result<&str, ApiError> {
        self.get(key).filter(|value| !value.is_empty()).ok_or_else(|| ApiError::missing(key))
    }

    /// A whole number of at least zero.
    pub fn number(&self, key: &str) -> Result<Option<u32>, ApiError> {
        self.get(key).map(|text| text.parse().map_err(|_| malformed(key, text))).transpose()
    }

    /// `true` or `false`.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>, ApiError> {
        self.get(key).map(|text| text.parse().map_err(|_| malformed(key, text))).transpose()
    }

    /// The values of `prefix.1`, `prefix.2`, …, up to the first gap.
    #[must_use]
    pub fn list(&self, prefix: &str) -> Vec<&str> {
        (1..).map_while(|n: u32| self.get(&format!("{prefix}.{n}"))).collect()
    }

    /// `(prefix.N.name, values)` pairs of a list of filters, whose values are `prefix.N.value.M`.
    #[must_use]
    pub fn filters(&self, prefix: &str, value: &str) -> Vec<(&str, Vec<&str>)> {
        (1..)
            .map_while(|n: u32| {
                let name = self.get(&format!("{prefix}.{n}.Name"))?;
                Some((name, self.list(&format!("{prefix}.{n}.{value}"))))
            })
            .collect()
    }
}

fn malformed(key: &str, text: &str) -> ApiError {
    ApiError::new(400, "MalformedInput", format!("{key}: cannot read \"{text}\""))
}

/// Unix epoch milliseconds of a time as the query protocols write it.
pub fn parse_time(text: &str) -> Result<u64, ApiError> {
    let time = text
        .parse::<jiff::Timestamp>()
        .map_err(|_| ApiError::validation(format!("Not a valid timestamp: {text}")))?;
    Ok(u64::try_from(time.as_millisecond()).unwrap_or(0))
}

/// One page of `items`: at most `page_max` from where `token` says, and the token of the next page.
pub fn page<'a, T>(
    items: &'a [T],
    token: Option<&str>,
    page_max: u32,
) -> Result<(&'a [T], Option<String>), ApiError> {
    let bad = || ApiError::new(400, "InvalidNextToken", "The token is not valid.");
    let start: usize = token
        .map_or(Ok(0), |text| text.strip_prefix("page-").unwrap_or("").parse())
        .map_err(|_| bad())?;
    let rest = items.get(start..).ok_or_else(bad)?;
    let count = rest.len().min(usize::try_from(page_max).unwrap_or(usize::MAX));
    let (now, later) = rest.split_at(count);
    Ok((now, (!later.is_empty()).then(|| format!("page-{}", start + count))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_and_filters_are_numbered_from_one() {
        let params = Params::parse(
            b"A.member.1=x&A.member.2=y&A.member.4=z&Filter.1.Name=n&Filter.1.Value.1=a%26b",
        );
        assert_eq!(params.list("A.member"), ["x", "y"]);
        assert_eq!(params.filters("Filter", "Value"), [("n", vec!["a&b"])]);
        assert!(params.has_members_of("A.member") && !params.has_members_of("A.mem"));
        assert_eq!(params.number("A.member.1").unwrap_err().code, "MalformedInput");
    }

    proptest! {
        #[test]
        fn pages_put_together_are_the_whole(items in prop::collection::vec(any::<u8>(), 0..50), page_max in 1u32..9) {
            let (mut all, mut token) = (Vec::new(), None);
            loop {
                let (now, next) = page(&items, token.as_deref(), page_max).unwrap();
                all.extend_from_slice(now);
                let Some(next) = next else { break };
                token = Some(next);
            }
            prop_assert_eq!(all, items);
        }
    }
}
