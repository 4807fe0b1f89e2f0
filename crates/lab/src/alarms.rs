//! The alarms of packaging/cloudformation, put into the sandbox: what is shipped is what is tried.
#![expect(clippy::indexing_slicing, reason = "what is missing in a JSON value is null")]

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

const TEMPLATE: &str = include_str!("../../../packaging/cloudformation/alarms.json");
/// Milliseconds in the template's unit of time.
const SECOND_MS: i64 = 1000;

/// Values of the template's parameters, by name. What is not here has the template's default.
pub type Parameters = BTreeMap<&'static str, String>;

/// The template's alarms with their policies, as `[[alarm]]` tables of sandbox.toml.
///
/// # Errors
/// If the template asks for something that the sandbox does not play, or a value is missing.
pub fn sandbox_alarms(parameters: &Parameters) -> Result<Vec<toml::Table>> {
    let template = Template::load(parameters)?;
    let resources = template.resources()?.iter();
    let alarms = resources.filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm");
    alarms.map(|(name, resource)| template.alarm(name, &resource["Properties"])).collect()
}

struct Template<'a> {
    root: Value,
    parameters: &'a Parameters,
}

impl<'a> Template<'a> {
    fn load(parameters: &'a Parameters) -> Result<Self> {
        let root = serde_json::from_str(TEMPLATE).context("alarms.json")?;
        Ok(Self { root, parameters })
    }

    fn resources(&self) -> Result<&serde_json::Map<String, Value>> {
        self.root["Resources"].as_object().context("alarms.json has no Resources")
    }

    /// A value as text: itself, or what `Ref` names among the parameters.
    fn text(&self, value: &Value) -> Result<String> {
        match (value, value["Ref"].as_str()) {
            (Value::String(text), _) => Ok(text.clone()),
            (Value::Number(number), _) => Ok(number.to_string()),
            (_, Some(name)) => match self.parameters.get(name) {
                Some(value) => Ok(value.clone()),
                None => self
                    .text(&self.root["Parameters"][name]["Default"])
                    .with_context(|| format!("no value for the parameter {name}")),
            },
            _ => bail!("{value} is neither a value nor a parameter"),
        }
    }

    fn number(&self, value: &Value) -> Result<i64> {
        let text = self.text(value)?;
        text.parse().with_context(|| format!("{text} is no whole number"))
    }

    fn alarm(&self, name: &str, alarm: &Value) -> Result<toml::Table> {
        let [action] = alarm["AlarmActions"].as_array().map(Vec::as_slice).unwrap_or_default()
        else {
            bail!("{name}: the sandbox plays alarms with one action");
        };
        let policy = action["Ref"].as_str().context("the action is no resource")?;
        let policy = &self.root["Resources"][policy]["Properties"];
        let played = alarm["TreatMissingData"] == "notBreaching"
            && policy["PolicyType"] == "SimpleScaling"
            && policy["AdjustmentType"] == "ChangeInCapacity";
        if !played {
            bail!("{name}: the sandbox plays notBreaching, SimpleScaling and ChangeInCapacity");
        }
        let mut dimensions = toml::Table::new();
        for dimension in alarm["Dimensions"].as_array().into_iter().flatten() {
            dimensions
                .insert(self.text(&dimension["Name"])?, self.text(&dimension["Value"])?.into());
        }
        let mut table = toml::Table::new();
        let mut put = |key: &str, value: toml::Value| table.insert(key.to_owned(), value);
        put("name", name.into());
        put("dimensions", dimensions.into());
        for (key, property) in [
            ("namespace", "Namespace"),
            ("metric", "MetricName"),
            ("statistic", "Statistic"),
            ("comparison", "ComparisonOperator"),
        ] {
            put(key, self.text(&alarm[property])?.into());
        }
        put("threshold", self.number(&alarm["Threshold"])?.into());
        put("evaluation_periods", self.number(&alarm["EvaluationPeriods"])?.into());
        put("period_ms", (self.number(&alarm["Period"])? * SECOND_MS).into());
        put("group", self.text(&policy["AutoScalingGroupName"])?.into());
        put("adjustment", self.number(&policy["ScalingAdjustment"])?.into());
        put("cooldown_ms", (self.number(&policy["Cooldown"])? * SECOND_MS).into());
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use slurm_asg_core::metrics::{CLUSTER_DIMENSION, GROUP_DIMENSION, Metric};
    use slurm_asg_core::policy::MetricsPolicy;
    use slurm_asg_sandbox::{Comparison, Config, Statistic};

    use super::*;

    fn parameters() -> Parameters {
        let names = ["AutoScalingGroupName", "ClusterName", "GroupName"];
        names.map(|name| (name, format!("the {name}"))).into()
    }

    #[test]
    fn the_alarms_are_on_the_metric_that_the_plugin_publishes_by_default() {
        let alarms = sandbox_alarms(&parameters()).unwrap();
        let file = toml::toml! { boot_command = ["true"] log_dir = "/tmp" };
        let mut file: toml::Table = file;
        let group = toml::toml! { name = "the AutoScalingGroupName" max = 1 };
        file.insert("group".into(), vec![group].into());
        file.insert("alarm".into(), alarms.into());
        let config = Config::parse(&toml::to_string(&file).unwrap(), "test").unwrap();
        let metrics = MetricsPolicy::default();
        let dimensions =
            [(CLUSTER_DIMENSION, "the ClusterName"), (GROUP_DIMENSION, "the GroupName")];
        let dimensions = dimensions.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        assert_eq!(config.alarm.len(), 2);
        for alarm in &config.alarm {
            assert_eq!(alarm.namespace, metrics.namespace);
            assert_eq!(alarm.metric, Metric::Pending.name());
            assert_eq!(alarm.dimensions, dimensions);
            // A sum would count a minute twice that has two publications, after a restart.
            assert_eq!(alarm.statistic, Statistic::Average);
            assert_eq!(alarm.comparison, Comparison::GreaterThanOrEqualToThreshold);
            assert_eq!(u128::from(alarm.period_ms), metrics.period.as_millis());
            // The metric must have seen the last launch.
            assert!(alarm.cooldown_ms >= 2 * alarm.period_ms);
            assert_eq!(alarm.group, "the AutoScalingGroupName");
        }
        let steps = config.alarm.iter().map(|alarm| (alarm.threshold, alarm.adjustment));
        assert_eq!(steps.collect::<Vec<_>>(), [(1.0, 1), (200.0, 20)]);
    }

    #[test]
    fn every_resource_of_the_template_that_is_named_is_there() {
        let parameters = parameters();
        let template = Template::load(&parameters).unwrap();
        let known = |name: &str| {
            ["Parameters", "Resources", "Conditions"]
                .iter()
                .any(|part| template.root[part].get(name).is_some())
        };
        let text = template.root.to_string();
        let named = text.split(r#"{"Ref":""#).skip(1).map(|rest| rest.split('"').next().unwrap());
        let named: Vec<_> = named.collect();
        assert!(named.len() > 20, "{named:?}");
        for name in named {
            assert!(known(name), "{name}");
        }
        for name in template.root["Parameters"].as_object().unwrap().keys() {
            assert!(text.contains(&format!(r#"{{"Ref":"{name}"}}"#)), "{name} is of no use");
        }
    }

    #[test]
    fn the_right_that_is_given_is_the_one_that_publishing_needs_and_no_more() {
        let parameters = parameters();
        let template = Template::load(&parameters).unwrap();
        let document =
            &template.root["Resources"]["PublishMetrics"]["Properties"]["PolicyDocument"];
        let expected = serde_json::json!([{
            "Effect": "Allow",
            "Action": "cloudwatch:PutMetricData",
            "Resource": "*",
            "Condition": { "StringEquals": { "cloudwatch:namespace": { "Ref": "Namespace" } } },
        }]);
        assert_eq!(document["Statement"], expected);
    }

    #[test]
    fn a_parameter_without_a_value_is_named() {
        let error = sandbox_alarms(&Parameters::new()).unwrap_err();
        assert_eq!(error.to_string(), "no value for the parameter ClusterName");
    }
}
