//! How a group's instances are asked for.

use super::{PolicyError, ScaleOut, Source};

/// The call that asks for instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Api {
    /// SetDesiredCapacity: a number; whether instances come shows later.
    #[default]
    SetDesiredCapacity,
    /// LaunchInstances: instance ids or errors at once, in one zone. Where the endpoint or the group
    /// cannot, it is SetDesiredCapacity after all.
    LaunchInstances,
}

/// Reads the key.
pub fn read(
    source: &Source<'_>,
    raw: Option<toml::Spanned<String>>,
    scale_out: ScaleOut,
) -> Result<Api, PolicyError> {
    let Some(raw) = raw else { return Ok(Api::default()) };
    let message = match raw.get_ref().as_str() {
        "set-desired-capacity" => return Ok(Api::SetDesiredCapacity),
        "launch-instances" if scale_out == ScaleOut::Direct => return Ok(Api::LaunchInstances),
        "launch-instances" => {
            "api = \"launch-instances\" goes with scale_out = \"direct\": alarms \
                               raise the capacity themselves"
                .to_owned()
        }
        other => format!(
            "api `{other}` is not known; write \"set-desired-capacity\" or \"launch-instances\""
        ),
    };
    Err(source.error(raw.span().start, message))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::parse;

    fn read_with(lines: &str) -> Result<Api, String> {
        let text = format!("[[group]]\nname = \"g\"\nnodes = \"n1\"\nasg = \"a\"\n{lines}");
        let policy = parse(Path::new("asg.toml"), &text).map_err(|error| error.to_string())?;
        Ok(policy.groups[&"g".into()].api)
    }

    #[test]
    fn a_number_is_set_unless_launches_are_asked_for() {
        assert_eq!(read_with(""), Ok(Api::SetDesiredCapacity));
        assert_eq!(read_with("api = \"set-desired-capacity\""), Ok(Api::SetDesiredCapacity));
        assert_eq!(read_with("api = \"launch-instances\""), Ok(Api::LaunchInstances));
    }

    #[test]
    fn what_does_not_go_together_is_said_with_its_line() {
        let alarms = "scale_out = \"alarm\"\napi = \"launch-instances\"";
        let error = read_with(alarms).unwrap_err();
        assert!(error.starts_with("asg.toml:6: api = \"launch-instances\" goes with"), "{error}");
        let error = read_with("api = \"fleet\"").unwrap_err();
        assert!(error.starts_with("asg.toml:5: api `fleet` is not known; write"), "{error}");
    }
}
