//! What a job of several nodes gets when not all of them can be had.

use std::time::Duration;

use super::{PolicyError, ScaleOut, Source};

/// How long a job's nodes may lack instances, seconds.
const LIMIT_SECS: u64 = 120;
const LIMIT_SECS_MIN: u64 = 10;
const LIMIT_SECS_MAX: u64 = 86_400;

/// What a job of several nodes gets when not all of them can be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Launch {
    /// What there is; Slurm's ResumeTimeout ends the waiting.
    #[default]
    BestEffort,
    /// Nothing; after `launch_limit` it is requeued, and what it had goes to others.
    AllOrNothing,
}

/// What the file has of it.
pub struct Raw {
    pub launch: Option<toml::Spanned<String>>,
    pub limit: Option<toml::Spanned<u64>>,
}

/// Reads both keys.
pub fn read(
    source: &Source<'_>,
    raw: Raw,
    scale_out: ScaleOut,
) -> Result<(Launch, Duration), PolicyError> {
    let launch = match &raw.launch {
        None => Launch::default(),
        Some(key) => launch(key.get_ref(), scale_out)
            .map_err(|message| source.error(key.span().start, message))?,
    };
    let limit = match raw.limit {
        None => LIMIT_SECS,
        Some(key) if launch != Launch::AllOrNothing => {
            let message = "launch_limit goes with launch = \"all-or-nothing\" only; write that too, \
                           or take this out";
            return Err(source.error(key.span().start, message.to_owned()));
        }
        Some(key) => {
            let within = LIMIT_SECS_MIN..=LIMIT_SECS_MAX;
            source.within("launch_limit", "in seconds", key, within)?
        }
    };
    Ok((launch, Duration::from_secs(limit)))
}

fn launch(word: &str, scale_out: ScaleOut) -> Result<Launch, String> {
    match word {
        "best-effort" => Ok(Launch::BestEffort),
        "all-or-nothing" if scale_out == ScaleOut::Direct => Ok(Launch::AllOrNothing),
        "all-or-nothing" => {
            Err("launch = \"all-or-nothing\" goes with scale_out = \"direct\": alarms \
                                 know of no jobs"
                .to_owned())
        }
        other => Err(format!(
            "launch `{other}` is not known; write \"best-effort\" or \"all-or-nothing\""
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::parse;

    fn read_with(lines: &str) -> Result<(Launch, u64), String> {
        let text = format!("[[group]]\nname = \"g\"\nnodes = \"n1\"\nasg = \"a\"\n{lines}");
        let policy = parse(Path::new("asg.toml"), &text).map_err(|error| error.to_string())?;
        let group = &policy.groups[&"g".into()];
        Ok((group.launch, group.launch_limit.as_secs()))
    }

    #[test]
    fn jobs_get_what_there_is_unless_all_or_nothing_is_asked_for() {
        assert_eq!(read_with(""), Ok((Launch::BestEffort, 120)));
        assert_eq!(read_with("launch = \"best-effort\""), Ok((Launch::BestEffort, 120)));
        let all = "launch = \"all-or-nothing\"\n";
        assert_eq!(read_with(all), Ok((Launch::AllOrNothing, 120)));
        let limited = format!("{all}launch_limit = 45");
        assert_eq!(read_with(&limited), Ok((Launch::AllOrNothing, 45)));
    }

    #[test]
    fn what_does_not_go_together_is_said_with_its_line() {
        let table = [
            ("launch = \"all\"", "asg.toml:5: launch `all` is not known; write \"best-effort\" or"),
            (
                "scale_out = \"alarm\"\nlaunch = \"all-or-nothing\"",
                "asg.toml:6: launch = \"all-or-nothing\" goes with scale_out = \"direct\"",
            ),
            ("launch_limit = 60", "asg.toml:5: launch_limit goes with launch = \"all-or-nothing\""),
            (
                "launch = \"all-or-nothing\"\nlaunch_limit = 5",
                "asg.toml:6: launch_limit is in seconds, from 10 to 86400",
            ),
        ];
        for (lines, message) in table {
            let error = read_with(lines).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
