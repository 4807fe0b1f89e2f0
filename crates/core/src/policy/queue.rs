//! The key `events_queue`: the SQS queue that AWS's notices come from.

use super::{PolicyError, Source};

/// Characters of a URL; SQS's have about 130 at most (80 of them the queue's name).
const URL_CHARS_MAX: usize = 500;
const EXAMPLE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/slurm-asg-events";

/// Reads the key. `region` is asg.toml's.
pub(super) fn read(
    source: &Source<'_>,
    raw: toml::Spanned<String>,
    region: Option<&str>,
) -> Result<String, PolicyError> {
    let url = raw.get_ref();
    let at = raw.span().start;
    if !is_queue(url) {
        let message = if url.starts_with("arn:") {
            format!(
                "events_queue is the queue's URL, not its ARN; write for instance \"{EXAMPLE}\""
            )
        } else {
            format!("events_queue is no URL of an SQS queue; write for instance \"{EXAMPLE}\"")
        };
        return Err(source.error(at, message));
    }
    if let (Some(of_queue), Some(region)) = (region_of(url), region)
        && of_queue != region
    {
        let message = format!(
            "events_queue is in {of_queue}, and region is {region}; make the queue in {region}, \
             where the instances and their events are"
        );
        return Err(source.error(at, message));
    }
    Ok(raw.into_inner())
}

/// `https://HOST/ACCOUNT/NAME`.
fn is_queue(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let parts: Vec<&str> = rest.unwrap_or_default().split('/').collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || ".:_-[]".contains(c);
    let fits = |part: &&str| !part.is_empty() && part.chars().all(plain);
    url.len() <= URL_CHARS_MAX && parts.len() == 3 && parts.iter().all(fits)
}

/// The region in the name of one of AWS's own hosts.
fn region_of(url: &str) -> Option<&str> {
    let (region, rest) = url.strip_prefix("https://sqs.")?.split_once('.')?;
    rest.starts_with("amazonaws.com").then_some(region)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::policy::parse;

    fn read(region: &str, url: &str) -> Result<Option<String>, String> {
        let text = format!(
            "{region}events_queue = \"{url}\"\n[[group]]\nname = 'g'\nnodes = 'n[1-2]'\nasg = 'a'\n"
        );
        let policy = parse(Path::new("asg.toml"), &text);
        policy.map(|policy| policy.events_queue).map_err(|error| error.to_string())
    }

    #[test]
    fn the_url_of_a_queue_is_taken() {
        for url in [
            super::EXAMPLE,
            "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q.fifo",
            "https://vpce-1-2.sqs.eu-west-1.vpce.amazonaws.com/123456789012/q",
            "http://127.0.0.1:4566/123456789012/q",
        ] {
            assert_eq!(read("", url), Ok(Some(url.to_owned())));
        }
        assert!(read("region = 'eu-west-1'\n", super::EXAMPLE).is_ok());
    }

    #[test]
    fn anything_else_is_refused_with_what_to_write() {
        let write = format!("write for instance \"{}\"", super::EXAMPLE);
        for (url, why) in [
            ("", "is no URL of an SQS queue"),
            ("slurm-asg-events", "is no URL of an SQS queue"),
            ("https://sqs.eu-west-1.amazonaws.com/q", "is no URL of an SQS queue"),
            ("https://sqs.eu-west-1.amazonaws.com/1/q?x=y", "is no URL of an SQS queue"),
            ("ftp://host/1/q", "is no URL of an SQS queue"),
            ("arn:aws:sqs:eu-west-1:123456789012:q", "is the queue's URL, not its ARN"),
        ] {
            assert_eq!(read("", url), Err(format!("asg.toml:1: events_queue {why}; {write}")));
        }
        let elsewhere = read("region = 'us-east-1'\n", super::EXAMPLE).unwrap_err();
        assert!(
            elsewhere.starts_with("asg.toml:2: events_queue is in eu-west-1, and"),
            "{elsewhere}"
        );
    }
}
